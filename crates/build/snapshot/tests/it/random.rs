//! Random changes to random trees: the same whether made through an overlay, in a copy, or by the writer; and the same again when the
//! layers that come out of them are put on top of one another.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use longshore_events::Events;
use longshore_image::Image;
use longshore_image::flatten::{Contents, flatten};
use longshore_image::layer::Timestamps;
use longshore_image::mutate::Draft;
use longshore_image::validate::validate_layout;
use longshore_oci::History;
use longshore_oci::media_type::{Compression, ImageFormat};
use longshore_sandbox::Root;
use longshore_snapshot::{Chain, LayerOptions, Ownership, Snapshots};
use longshore_store::Store;
use longshore_testkit::{Folder, Requirement, Skip, Stop, Suite, TestResult, program, run};

use crate::facts::{Facts, assert_same, of_folder, of_image, of_view, unlinked};
use crate::operations::{Operation, Random, in_folder, let_time_pass, through_writer};
use crate::tars::{finish, platform};

const ROOT: &[Requirement] = &[Requirement::Root];
const UMOCI: &[Requirement] = &[Requirement::Root, Requirement::Program("umoci")];

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("the_same_changes_give_the_same_tree_in_every_way", ROOT, same_changes)
        .test("layers_put_on_top_of_one_another_give_the_tree_again", ROOT, layers_again)
        .test("umoci_unpacks_the_layers_to_the_same_tree", UMOCI, umoci_agrees)
}

/// An overlay that is mounted until dropped.
pub(crate) struct Mounted(std::path::PathBuf);

impl Mounted {
    pub(crate) fn new(root: &Root, at: &Path) -> Result<Mounted, Stop> {
        let Root::Overlay { lower, upper, work, .. } = root else {
            return Err(Stop::failed(format!("{root:?} is no overlay")));
        };
        fs::create_dir_all(at)?;
        let lower: Vec<_> = lower.iter().map(|path| path.display().to_string()).collect();
        let options = format!(
            "lowerdir={},upperdir={},workdir={},index=off,metacopy=off,redirect_dir=off",
            lower.join(":"),
            upper.display(),
            work.display()
        );
        let mut mount = Command::new("mount");
        mount.args(["-t", "overlay", "overlay", "-o", &options]).arg(at);
        let ran = run(&mut mount, Duration::from_secs(20))?;
        match ran.succeeded() {
            Ok(_) => Ok(Mounted(at.to_owned())),
            Err(error) => Err(Skip(format!("no overlay can be mounted here: {error}")).into()),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        umount.arg(&self.0);
        // The folder it is in cannot be removed then, which fails the test.
        let _ = run(&mut umount, Duration::from_secs(20));
    }
}

/// The ways of making the same changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Overlay,
    Copy,
    Writer,
}

const WAYS: [Way; 3] = [Way::Overlay, Way::Copy, Way::Writer];

struct Bench {
    folder: Folder,
    store: Store,
    overlay: Snapshots,
    copy: Snapshots,
}

impl Bench {
    fn new() -> Result<Bench, Stop> {
        let folder = Folder::new()?;
        let store = Store::open(&folder.join("store"))?;
        let overlay = Snapshots::open(&store, Ownership::Root, true)?;
        let copy = Snapshots::open(&store, Ownership::Root, false)?;
        Ok(Bench { folder, store, overlay, copy })
    }

    fn snapshots(&self, way: Way) -> &Snapshots {
        if way == Way::Copy { &self.copy } else { &self.overlay }
    }

    fn apply(&self, way: Way, chain: &mut Chain, step: usize, changes: &[Operation]) -> TestResult {
        let events = Events::silent();
        let snapshots = self.snapshots(way);
        let mut draft = snapshots.draft(chain)?;
        if way == Way::Writer {
            let mut writer = draft.writer(chain.view(&events)?)?;
            for change in changes {
                through_writer(&mut writer, change)?;
            }
        } else {
            match draft.root(&events)? {
                Root::Folder(root) => {
                    let_time_pass();
                    changes.iter().try_for_each(|change| in_folder(&root, change))?;
                }
                overlay => {
                    let root = self.folder.join("mounted");
                    let _mounted = Mounted::new(&overlay, &root)?;
                    changes.iter().try_for_each(|change| in_folder(&root, change))?;
                }
            }
        }
        let id = format!("{:08x}{step:08x}", way as usize).parse()?;
        let snapshot = draft.commit(&id)?;
        assert_eq!(
            snapshots.get(&id)?.map(|found| found.folder().to_owned()),
            Some(snapshot.folder().to_owned())
        );
        chain.push(snapshot);
        Ok(())
    }

    /// An image of a chain's differences.
    fn image(&self, chain: &Chain, options: &LayerOptions) -> Result<Image, Stop> {
        let writer = self.store.writer()?;
        let mut draft = Draft::empty(&platform()?);
        for snapshot in chain.snapshots() {
            let layer = snapshot.layer(&writer, options, &Events::silent())?;
            assert_eq!(snapshot.layer(&writer, options, &Events::silent())?, layer, "remembered");
            draft.append(&layer, History::default());
        }
        finish(self.store.layout(), draft)
    }
}

const OPTIONS: LayerOptions =
    LayerOptions { timestamps: Timestamps::Keep, format: ImageFormat::Oci, compression: Compression::Gzip };

/// A few rounds of changes that are made in a plain folder, and in every way. Gives the chains and the tree that they must show.
fn rounds(bench: &Bench, seed: u64) -> Result<(Vec<(Way, Chain)>, Facts), Stop> {
    let mut random = Random(seed);
    let plain = bench.folder.join("plain");
    fs::create_dir(&plain)?;
    let mut chains: Vec<_> = WAYS.into_iter().map(|way| (way, bench.snapshots(way).scratch())).collect();
    let mut expected = Facts::new();
    for step in 0..4 {
        let mut changes = Vec::new();
        for _ in 0..30 {
            let Some(change) = random.operation(&plain) else { continue };
            in_folder(&plain, &change)?;
            changes.push(change);
        }
        expected = unlinked(&of_folder(&plain)?);
        for (way, chain) in &mut chains {
            bench.apply(*way, chain, step, &changes)?;
            let view = chain.view(&Events::silent())?;
            let what = format!("seed {seed}, step {step}, {way:?}, {changes:#?}");
            assert_same(&what, &unlinked(&of_view(&view)?), &expected);
        }
    }
    Ok((chains, expected))
}

fn same_changes() -> TestResult {
    let mut files = 0;
    for seed in 0..20 {
        let bench = Bench::new()?;
        let (chains, expected) = rounds(&bench, seed)?;
        files += expected.len();
        let linked: Vec<_> = chains
            .iter()
            .map(|(_, chain)| of_view(&chain.view(&Events::silent())?))
            .collect::<Result<_, _>>()?;
        assert_same(&format!("seed {seed}: names of one file, overlay and copy"), &linked[0], &linked[1]);
        assert_same(&format!("seed {seed}: names of one file, overlay and writer"), &linked[0], &linked[2]);
    }
    assert!(files > 500, "only {files} files were compared");
    Ok(())
}

fn layers_again() -> TestResult {
    let events = Events::silent();
    for seed in 100..110 {
        let bench = Bench::new()?;
        let (chains, expected) = rounds(&bench, seed)?;
        for (way, chain) in chains {
            let compression = [Compression::Gzip, Compression::Zstd, Compression::None][way as usize];
            let image = bench.image(&chain, &LayerOptions { compression, ..OPTIONS })?;
            let flat = flatten(&image, Contents::Hashed, &events)?;
            assert_same(&format!("seed {seed}, {way:?}, flattened"), &of_image(&flat)?, &expected);

            let other = Folder::new()?;
            let store = Store::open(&other.join("store"))?;
            for overlay in [true, false] {
                let base = Snapshots::open(&store, Ownership::Root, overlay)?.base(&image)?;
                let what = format!("seed {seed}, {way:?}, overlay {overlay}");
                let indexed = of_view(&base.view(&events)?)?;
                assert_same(&format!("{what}, by index"), &unlinked(&indexed), &expected);
                assert_eq!(base.folders(&events)?.len(), 4);
                let unpacked = of_view(&base.view(&events)?)?;
                assert_same(&format!("{what}, unpacked"), &unpacked, &indexed);
            }
        }
    }
    Ok(())
}

fn umoci_agrees() -> TestResult {
    for seed in 200..204 {
        let bench = Bench::new()?;
        let (chains, expected) = rounds(&bench, seed)?;
        for (way, chain) in chains {
            let image = bench.image(&chain, &OPTIONS)?;
            bench.store.layout().tag(Some("dev"), image.descriptor())?;
            let mut violations = validate_layout(bench.store.layout().folder(), &Events::silent())?;
            // The layers of the other ways are of no image any more.
            violations.retain(|violation| violation.rule != "layout-orphan");
            assert_eq!(violations, []);
            let bundle = bench.folder.join(format!("bundle-{way:?}"));
            let from = format!("{}:dev", bench.store.layout().folder().display());
            let mut umoci = Command::new(program("umoci")?);
            umoci.args(["unpack", "--image", &from]).arg(&bundle);
            run(&mut umoci, Duration::from_secs(60))?.succeeded()?;
            let theirs = unlinked(&of_folder(&bundle.join("rootfs"))?);
            assert_same(&format!("seed {seed}, {way:?}, by umoci"), &theirs, &expected);
        }
    }
    Ok(())
}
