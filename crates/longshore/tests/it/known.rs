//! What a Dockerfile's build takes from earlier ones, and what it does again.

use std::path::{Path, PathBuf};

use longshore_events::Events;
use longshore_image::Layout;
use longshore_image::flatten::{Contents, flatten};
use longshore_oci::Digest;
use longshore_testkit::{Folder, Longshore, Stop, Suite, TestResult};

use crate::cache;
use crate::dockerfile::busybox;
use crate::run::user;

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("known::a_step_that_is_run_once_more_is_not_mixed_with_its_first_result", &[], run_again)
        .test("known::a_stage_is_not_built_for_what_is_known_of_it", &[], pruned)
        .test("known::an_image_never_mixes_two_results_of_a_stage", &[], mixed)
}

/// A stage whose content differs each time, copied twice.
const TWICE: &str = "FROM busybox AS a
RUN head -c 16 /dev/urandom > /one
FROM scratch
COPY --from=a /one /one
COPY --from=a /one /two
";

fn run_again() -> TestResult {
    let folder = Folder::new()?;
    folder.write("Dockerfile", TWICE)?;
    let user = user()?.inside(folder.path());
    let first = built(&user, &folder, "first")?;
    assert_eq!(first.0, first.1, "both are what the step left");

    // As pruning does that goes by the time of the last use. Left is the second COPY, which is named by what the first RUN left.
    let gone = remove_snapshots(&user, "one")?;
    assert_eq!(gone, 2, "the RUN and the first COPY");
    let second = built(&user, &folder, "second")?;
    assert_ne!(second.0, first.0, "the step was run once more");
    assert_eq!(second.0, second.1, "one image has one result of it");

    let third = built(&user, &folder, "third")?;
    assert_eq!(third, second, "now it is known");
    Ok(())
}

/// A stage of which nothing is left, and nothing is needed.
fn pruned() -> TestResult {
    let folder = cache::project()?;
    let user = user()?;
    let made = cache::build(&user, &folder, &[])?;
    for (file, count) in [("src", 3), ("downloaded", 1), ("app", 1)] {
        assert_eq!(remove_snapshots(&user, file)?, count, "{file}");
    }
    let again = cache::build(&user, &folder, &[])?;
    assert_eq!((again.digest, again.done), (made.digest, 0), "{}", again.stderr);
    folder.write("Dockerfile", cache::DOCKERFILE.replace("ENV A=b", "RUN true"))?;
    let added = cache::build(&user, &folder, &[])?;
    assert_eq!((added.done, added.steps), (1, Some(8)), "{}", added.stderr);
    Ok(())
}

/// The first COPY is known, and the second is not: what it takes must be made again, and then both are of that.
fn mixed() -> TestResult {
    let folder = Folder::new()?;
    let one = "FROM busybox AS a
RUN head -c 16 /dev/urandom | tee /one > /two
FROM scratch
COPY --from=a /one /one
";
    folder.write("Dockerfile", one)?;
    let user = user()?.inside(folder.path());
    cache::build(&user, &folder, &[])?;
    assert_eq!(remove_snapshots(&user, "two")?, 1);
    folder.write("Dockerfile", format!("{one}COPY --from=a /two /two\n"))?;
    let (one, two) = built(&user, &folder, "both")?;
    assert_eq!(one, two);
    Ok(())
}

/// Builds, and hashes what the image has in `/one` and `/two`.
fn built(user: &Longshore, folder: &Folder, name: &str) -> Result<(Digest, Digest), Stop> {
    let layout = folder.join(name);
    let output = format!("oci:{}", layout.display());
    let busybox = busybox("busybox")?;
    let build = ["build", "-f", "Dockerfile", "--build-context", &busybox, "--output", &output];
    user.run(build)?.succeeded()?;
    let layout = Layout::open(&layout)?;
    let root = layout.entries()?.into_iter().next().ok_or_else(|| Stop::failed("the layout is empty"))?;
    let tree = flatten(&layout.image(&root.descriptor), Contents::Hashed, &Events::silent())?;
    let content = |path: &str| tree.get(path).and_then(|file| file.content.clone());
    content("one").zip(content("two")).ok_or_else(|| Stop::failed("/one or /two is missing"))
}

/// Removes the snapshots of steps that hold a file of that name. Returns how many there were.
fn remove_snapshots(user: &Longshore, file: &str) -> Result<usize, Stop> {
    let mut found: Vec<PathBuf> = Vec::new();
    for kind in std::fs::read_dir(user.store().join("cache"))? {
        let kind = kind?.path();
        if !kind.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snapshots-")) {
            continue;
        }
        for snapshot in std::fs::read_dir(kind)? {
            let snapshot = snapshot?.path();
            if snapshot.join("tree").join(Path::new(file)).exists() {
                found.push(snapshot);
            }
        }
    }
    for snapshot in &found {
        std::fs::remove_dir_all(snapshot)?;
    }
    Ok(found.len())
}
