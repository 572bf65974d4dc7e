//! Dockerfile builds against BuildKit (nothing changed, one line changed, cold) and buildah (nothing changed).
//!
//! Every side has its own copy of the context, its own store, and the same base images out of one OCI layout; every side
//! ends with the image in its store. A cold build begins with nothing: no base images, steps or modules, which
//! `go mod download` then fetches again.
//!
//! Whatever was written stays until the end. ext4 takes no number of an inode again that was freed in the last minutes, and
//! looks at each such one for every file it makes, so that a build after a large removal would measure that removal.

mod buildah;
mod buildkit;
mod subject;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

use longshore_image::Layout;
use longshore_testkit::distributions;

use super::measure::{alternate, answer, peak_memory, time};
use super::report::{Row, mebibytes};
use super::{Bench, recreate};
use crate::bases;
use crate::command::{Result, command};
use buildah::Buildah;
use buildkit::BuildKit;
use subject::{Place, SUBJECTS, Subject};

const ROUNDS_UNCHANGED: usize = 9;
const ROUNDS_CHANGED: usize = 3;
const ROUNDS_COLD: usize = 2;

/// Largest ratios of longshore's time to a peer's.
const UNCHANGED_TO_BUILDKIT: f64 = 0.1;
const UNCHANGED_TO_BUILDAH: f64 = 0.02;
const CHANGED_TO_BUILDKIT: f64 = 0.1;
/// Where one of very many files changed, all are copied again, as in a cold build.
const COPIED_TO_BUILDKIT: f64 = 0.8;
const COLD_TO_BUILDKIT: f64 = 0.8;
/// Largest peak of longshore's memory, in bytes.
const MEMORY: u64 = 64 << 20;

/// Something that builds a subject from a place, and keeps what it can use again.
trait Side {
    /// The build, its image written to the side's store.
    fn build(&self, place: &Place) -> Result<Command>;
}

/// A side that can begin again.
trait Forgetful: Side {
    /// Goes on with an empty store. It is not measured.
    fn forget(&self) -> Result<()>;
}

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let images = subject::base_images();
    bases::make(&distributions::folder(), &images).map_err(|error| format!("no base images: {error}"))?;
    let scratch = bench.scratch.join("dockerfile");
    let own =
        Longshore { binary: bench.longshore.clone(), stores: scratch.join("stores"), count: Cell::new(0) };
    let (buildkit, buildah) = (BuildKit::start(), Buildah::new(&scratch.join("buildah"), &images));

    if let Some(unknown) = bench.parts.iter().find(|part| !SUBJECTS.iter().any(|known| known.name == **part))
    {
        return Err(format!(
            "there is no part {unknown}; there are {}",
            SUBJECTS.map(|subject| subject.name).join(", ")
        ));
    }
    let mut rows = Vec::new();
    for (number, subject) in SUBJECTS.iter().enumerate() {
        if !bench.parts.is_empty() && !bench.parts.iter().any(|part| part == subject.name) {
            continue;
        }
        println!("Measuring {}.", subject.name);
        let scratch = scratch.join(number.to_string());
        match &buildkit {
            Ok(peer) => rows.extend(against_buildkit(&scratch, subject, &own, peer)),
            Err(reason) => rows.push(Row::unmeasured(&subject.job("against BuildKit"), reason.as_str())),
        }
        let job = subject.job("nothing changed");
        match &buildah {
            _ if !subject.builds_with_buildah => {}
            Ok(peer) => {
                rows.push(Row::or_reason(&job, against_buildah(&scratch, subject, &own, peer, &job)));
            }
            Err(reason) => rows.push(Row::unmeasured(&subject.job("against buildah"), reason.as_str())),
        }
        let job = subject.job("cold, peak memory");
        rows.push(Row::or_reason(&job, memory(&scratch, subject, &own, &job)));
    }
    Ok(rows)
}

/// The side that is measured.
struct Longshore {
    binary: PathBuf,
    /// The folder of its stores, of which the last one is in use.
    stores: PathBuf,
    count: Cell<usize>,
}

impl Side for Longshore {
    fn build(&self, place: &Place) -> Result<Command> {
        let mut build = command(&self.binary);
        build.arg("--store").arg(self.stores.join(self.count.get().to_string())).args([
            "build",
            "--go-cache",
            "--progress",
            "quiet",
            "-t",
            "bench:1",
            "-f",
        ]);
        build.arg(place.dockerfile()).arg(place.context());
        for image in place.images() {
            let context = distributions::build_context(image).map_err(|skip| skip.0)?;
            build.args(["--build-context", &context]);
        }
        Ok(build)
    }
}

impl Forgetful for Longshore {
    fn forget(&self) -> Result<()> {
        self.count.set(self.count.get() + 1);
        Ok(())
    }
}

/// The three jobs, in an order in which each begins with what the one before left.
fn against_buildkit(scratch: &Path, subject: &Subject, own: &Longshore, peer: &BuildKit) -> Vec<Row> {
    let places = Place::new(&scratch.join("own"), subject)
        .and_then(|ours| Ok((ours, Place::new(&scratch.join("peer"), subject)?)));
    let (ours, theirs) = match places {
        Ok(places) => places,
        Err(reason) => return vec![Row::unmeasured(subject.name, reason)],
    };
    let row = |what: &str, figures: Result<_>, most| {
        let job = subject.job(what);
        Row::or_reason(&job, figures.map(|figures| Row::times(&job, "BuildKit", figures, most)))
    };
    let most = if subject.copies_all { COPIED_TO_BUILDKIT } else { CHANGED_TO_BUILDKIT };
    vec![
        row("cold", cold((own, &ours), (peer, &theirs)), COLD_TO_BUILDKIT),
        row("nothing changed", unchanged((own, &ours), (peer, &theirs)), UNCHANGED_TO_BUILDKIT),
        row("one line changed", changed((own, &ours), (peer, &theirs)), most),
    ]
}

type Figures = (std::time::Duration, std::time::Duration);
type Party<'p> = (&'p dyn Side, &'p Place);

fn cold(ours: (&dyn Forgetful, &Place), theirs: (&dyn Forgetful, &Place)) -> Result<Figures> {
    let build = |(side, place): (&dyn Forgetful, &Place)| {
        side.forget()?;
        time(&mut side.build(place)?)
    };
    alternate(ROUNDS_COLD, |_| build(ours), |_| build(theirs))
}

fn unchanged(ours: Party<'_>, theirs: Party<'_>) -> Result<Figures> {
    let build = |(side, place): Party<'_>| time(&mut side.build(place)?);
    let first = answer(&mut ours.0.build(ours.1)?)?;
    build(theirs)?;
    let figures = alternate(ROUNDS_UNCHANGED, |_| build(ours), |_| build(theirs))?;
    let again = answer(&mut ours.0.build(ours.1)?)?;
    if again == first { Ok(figures) } else { Err(format!("longshore built {first}, then {again}")) }
}

fn changed(ours: Party<'_>, theirs: Party<'_>) -> Result<Figures> {
    let mut images = std::collections::BTreeSet::new();
    let build = |(side, place): Party<'_>, round| {
        place.change(round)?;
        time(&mut side.build(place)?)
    };
    let figures = alternate(
        ROUNDS_CHANGED,
        |round| {
            let duration = build(ours, round)?;
            images.insert(answer(&mut ours.0.build(ours.1)?)?);
            Ok(duration)
        },
        |round| build(theirs, round),
    )?;
    match images.len() {
        ROUNDS_CHANGED => Ok(figures),
        count => Err(format!("{ROUNDS_CHANGED} changes made {count} images")),
    }
}

fn against_buildah(
    scratch: &Path,
    subject: &Subject,
    own: &Longshore,
    peer: &Buildah,
    job: &str,
) -> Result<Row> {
    let ours = Place::new(&scratch.join("own-buildah"), subject)?;
    let theirs = Place::new(&scratch.join("peer-buildah"), subject)?;
    let figures = unchanged((own, &ours), (peer, &theirs))?;
    Ok(Row::times(job, "buildah", figures, UNCHANGED_TO_BUILDAH))
}

fn memory(scratch: &Path, subject: &Subject, own: &Longshore, job: &str) -> Result<Row> {
    let place = Place::new(&scratch.join("own-memory"), subject)?;
    own.forget()?;
    let peak = peak_memory(&mut own.build(&place)?)?;
    Ok(Row::figure(job, mebibytes(peak), "at most 64 MiB", peak <= MEMORY))
}

/// The digest of a base image, which names it in a layout whatever it is called there.
fn digest(image: &str) -> Result<String> {
    let entries = Layout::open(&distributions::folder())
        .and_then(|layout| layout.entries())
        .map_err(|error| format!("cannot read the base images: {error}"))?;
    let entry = entries.into_iter().find(|entry| entry.name.as_deref() == Some(image));
    let entry = entry.ok_or_else(|| format!("{image} is not among the base images"))?;
    Ok(entry.descriptor.digest.to_string())
}
