//! Results of steps that come as layers: what is unpacked is the difference that was written.

use std::path::Path;
use std::time::{Duration, SystemTime};

use longshore_events::Events;
use longshore_image::layer::{Layer, Timestamps};
use longshore_oci::Digest;
use longshore_oci::media_type::{Compression, ImageFormat};
use longshore_snapshot::{LayerOptions, Ownership, Snapshot, SnapshotError, Snapshots, StepLayer};
use longshore_testkit::{Requirement, Stop, Suite, TestResult};

use crate::facts::of_view;
use crate::hostile::Bench;
use crate::rules::{id, plain};
use crate::tars::lower;

const ROOT: &[Requirement] = &[Requirement::Root];

pub(crate) fn add(suite: Suite) -> Suite {
    suite.test("a_difference_comes_back_out_of_its_layer", ROOT, comes_back).test(
        "a_layer_that_lies_about_its_tar_leaves_nothing",
        ROOT,
        lies,
    )
}

const OPTIONS: LayerOptions =
    LayerOptions { timestamps: Timestamps::Keep, format: ImageFormat::Oci, compression: Compression::Gzip };

/// A difference of each kind of change, and its layer.
fn made(bench: &Bench) -> Result<(Snapshot, Layer), Stop> {
    let base = bench.base(&[lower()])?;
    let mut draft = bench.snapshots.draft(&base)?;
    let mut writer = draft.writer(base.view(&Events::silent())?)?;
    writer.file(Path::new("usr/bin/b"), &plain(0o4755), &mut &b"1"[..])?;
    writer.hard_link(Path::new("usr/bin/a"), Path::new("usr/bin/b"))?;
    writer.remove(Path::new("usr/bin/tool"))?;
    writer.remove(Path::new("closed"))?;
    writer.folder(Path::new("closed"), &plain(0o750))?;
    let owned = longshore_snapshot::Metadata { uid: 70_000, gid: 8, ..plain(0o600) };
    writer.file(Path::new("closed/new"), &owned, &mut &b"2"[..])?;
    writer.symlink(Path::new("link"), Path::new("usr/bin/b"), &plain(0o777))?;
    let snapshot = draft.commit(&id(1)?)?;
    let layer = snapshot.layer(&bench.store.writer()?, &OPTIONS, &Events::silent())?;
    Ok((snapshot, layer))
}

fn comes_back() -> TestResult {
    let events = Events::silent();
    let maker = Bench::new()?;
    let (snapshot, layer) = made(&maker)?;
    let mut chain = maker.base(&[lower()])?;
    chain.push(snapshot);
    let seen = of_view(&chain.view(&events)?)?;
    assert!(
        seen.contains_key(Path::new("closed/new")) && !seen.contains_key(Path::new("usr/bin/tool")),
        "{seen:?}"
    );

    let source = maker.store.layout().image(&layer.descriptor);
    // To the nanosecond: it stands in an image's history.
    let created = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
    for overlay in [true, false] {
        let taker = Bench::new()?;
        let snapshots = Snapshots::open(&taker.store, Ownership::Root, overlay)?;
        let below = taker.base(&[lower()])?;
        let from = StepLayer { source: &source, layer: &layer, options: OPTIONS, created };
        let taken = snapshots.import(&id(1)?, &from, &below, &events)?;
        assert_eq!(taken.created()?, created);
        let mut chain = below;
        chain.push(taken.clone());
        assert_eq!(of_view(&chain.view(&events)?)?, seen, "overlay: {overlay}");
        // The blob is not in this store: it is written once more, and is the same.
        assert_eq!(taken.layer(&taker.store.writer()?, &OPTIONS, &events)?, layer, "overlay: {overlay}");
        // Taken once, however often it is asked for.
        let gone = StepLayer { source: &taker.store.layout().image(&layer.descriptor), ..from };
        let again = snapshots.import(&id(1)?, &gone, &taker.base(&[lower()])?, &events)?;
        assert_eq!(again.folder(), taken.folder());
    }
    Ok(())
}

fn lies() -> TestResult {
    let maker = Bench::new()?;
    let (_, layer) = made(&maker)?;
    let lie = Layer { diff_id: Digest::of(b"another"), ..layer.clone() };
    let taker = Bench::new()?;
    let here = maker.store.layout().image(&layer.descriptor);
    let absent = taker.store.layout().image(&layer.descriptor);
    for (source, layer, expected) in
        [(&here, &lie, "its tar has the digest"), (&absent, &layer, "it is not there")]
    {
        let from = StepLayer { source, layer, options: OPTIONS, created: SystemTime::UNIX_EPOCH };
        let below = taker.base(&[lower()])?;
        let refused = taker.snapshots.import(&id(1)?, &from, &below, &Events::silent());
        let Err(error @ SnapshotError::Layer { .. }) = refused else {
            return Err(Stop::failed(format!("{expected}: {refused:?}")));
        };
        assert!(error.is_of_layer());
        let causes = std::iter::successors(std::error::Error::source(&error), |error| error.source());
        let text: Vec<String> = causes.map(ToString::to_string).collect();
        assert!(text.iter().any(|text| text.contains(expected)), "{expected}: {text:?}");
        assert!(taker.snapshots.get(&id(1)?)?.is_none());
    }
    assert_eq!(taker.leftovers()?, Vec::<String>::new());
    Ok(())
}
