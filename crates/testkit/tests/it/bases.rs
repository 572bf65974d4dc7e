//! The base images that need no registry.

use longshore_events::Events;
use longshore_image::flatten::{Contents, flatten};
use longshore_image::validate::validate_layout;
use longshore_testkit::bases::{Bases, BasesError, NAMES};
use longshore_testkit::{Folder, Stop, TestResult};

fn make(folder: &Folder, name: &str) -> Result<Bases, Stop> {
    match Bases::make(&folder.join(name)) {
        Err(BasesError::Missing(skip)) => Err(skip.into()),
        other => Ok(other?),
    }
}

pub(crate) fn are_valid_and_always_the_same() -> TestResult {
    let folder = Folder::new()?;
    let (one, two) = (make(&folder, "one")?, make(&folder, "two")?);
    let violations = validate_layout(one.folder(), &Events::silent())?;
    assert!(violations.is_empty(), "{violations:#?}");
    for name in NAMES {
        let digest = |bases: &Bases| -> Result<String, Stop> {
            let image = bases.image(name)?.ok_or_else(|| Stop::failed(format!("there is no {name}")))?;
            Ok(image.digest().to_string())
        };
        assert_eq!(digest(&one)?, digest(&two)?, "{name}");
    }
    assert!(one.image("nothing")?.is_none());
    Ok(())
}

pub(crate) fn hold_a_file_of_each_kind() -> TestResult {
    let folder = Folder::new()?;
    let bases = make(&folder, "bases")?;
    let image = bases.image("busybox")?.ok_or_else(|| Stop::failed("there is no busybox"))?;
    let tree = flatten(&image, Contents::Hashed, &Events::silent())?;
    let shown = |path: &str| {
        tree.get(path)
            .map(|file| (format!("{:o}", file.mode), file.uid, file.xattrs.keys().cloned().collect()))
    };
    let plain = Vec::<String>::new();
    assert_eq!(shown("data/setuid"), Some(("4755".to_owned(), 0, plain.clone())));
    assert_eq!(shown("data/owned"), Some(("600".to_owned(), 1000, plain.clone())));
    assert_eq!(shown("tmp"), Some(("1777".to_owned(), 0, plain)));
    assert_eq!(shown("data/capable"), Some(("755".to_owned(), 0, vec!["security.capability".to_owned()])));
    assert!(tree.get("bin/busybox").is_some_and(|file| file.size > 100_000));
    let configured = bases.image("configured")?.ok_or_else(|| Stop::failed("there is no configured"))?;
    assert!(configured.config()?.config.healthcheck.is_some());
    Ok(())
}
