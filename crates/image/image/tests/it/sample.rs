//! An image that has something of everything, and the peers.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use longshore_image::layer::{Entry, EntryKind, LayerBuilder, Timestamps};
use longshore_image::mutate::{Assembled, Draft};
use longshore_image::{Image, Layout};
use longshore_oci::media_type::ImageFormat;
use longshore_oci::{History, Platform};
use longshore_testkit::{Ran, Stop, program, run};

/// The platform of the samples.
pub(crate) fn platform() -> Platform {
    Platform::new("linux", "amd64", None)
}

/// A layout at `folder` with an image of two layers, tagged `dev`.
pub(crate) fn layout(folder: &Path, format: ImageFormat) -> Result<(Layout, Image), Stop> {
    let layout = Layout::create(folder)?;
    let image = store(&layout, &draft(&layout, "amd64")?.finish(format)?)?;
    layout.tag(Some("dev"), image.descriptor())?;
    Ok((layout, image))
}

/// An image for an architecture, its layers in `layout`.
pub(crate) fn draft(layout: &Layout, architecture: &str) -> Result<Draft, Stop> {
    let mut draft = Draft::empty(&Platform::new("linux", architecture, None));
    draft.config.created = Some("1970-01-01T00:00:00Z".to_owned());
    draft.config.config.user = "65532:65532".to_owned();
    draft.config.config.env = vec!["PATH=/usr/bin:/bin".to_owned()];
    draft.config.config.entrypoint = Some(vec!["/app/server".to_owned()]);
    draft.config.config.labels.insert("org.example.team".to_owned(), "core".to_owned());
    let hard = Entry {
        kind: EntryKind::Hardlink { target: "app/server".into() },
        ..Entry::file("app/same", 0o555, 0)
    };
    let below: &[(Entry, &[u8])] = &[
        (Entry::directory("app", 0o755), b""),
        (Entry::file("app/server", 0o555, 12), b"\x7fELF program"),
        (hard, b""),
        (Entry::symlink("app/link", "server"), b""),
        (Entry::directory("etc", 0o755), b""),
        (Entry::file("etc/old", 0o644, 3), b"old"),
        (Entry::directory("tmp", 0o1777), b""),
    ];
    let long = format!("app/{}", "long/".repeat(40));
    let above: &[(Entry, &[u8])] = &[
        (Entry::file("etc/.wh.old", 0o644, 0), b""),
        (Entry::file("etc/new", 0o640, 3).owned_by(65532, 65532), b"new"),
        (Entry::directory(long, 0o755), b""),
    ];
    for entries in [below, above] {
        let mut builder = LayerBuilder::new(layout.blob_writer()?, Timestamps::Fixed(0));
        for (entry, content) in entries {
            builder.append(entry, &mut &content[..])?;
        }
        let (layer, file) = builder.finish(ImageFormat::Oci)?;
        layout.adopt(file, &layer.descriptor.digest)?;
        let created = Some("1970-01-01T00:00:00Z".to_owned());
        draft.append(&layer, History { created, ..History::default() });
    }
    Ok(draft)
}

/// Writes an image's documents into `layout`.
pub(crate) fn store(layout: &Layout, assembled: &Assembled) -> Result<Image, Stop> {
    for document in &assembled.documents {
        layout.write_bytes(&document.descriptor, &document.bytes)?;
    }
    Ok(layout.image(&assembled.root))
}

/// Runs a peer to a good end.
pub(crate) fn peer(name: &str, arguments: &[&str]) -> Result<Ran, Stop> {
    Ok(run(Command::new(program(name)?).args(arguments), Duration::from_secs(120))?.succeeded()?)
}

/// Runs skopeo without the machine's policy.
pub(crate) fn skopeo(arguments: &[&str]) -> Result<Ran, Stop> {
    peer("skopeo", &[&["--insecure-policy"], arguments].concat())
}
