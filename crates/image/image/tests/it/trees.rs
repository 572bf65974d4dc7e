//! Layers put on top of one another, here and by umoci.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use longshore_events::Events;
use longshore_image::Layout;
use longshore_image::flatten::{Contents, FileKind, flatten};
use longshore_image::layer::{Entry, EntryKind, LayerBuilder, Timestamps};
use longshore_image::mutate::Draft;
use longshore_image::validate::validate_layout;
use longshore_oci::media_type::ImageFormat;
use longshore_oci::{Digest, History};
use longshore_testkit::{Folder, Requirement, Stop, Suite, TestResult};

use crate::sample::{peer, platform, store};

const UMOCI: &[Requirement] = &[Requirement::Program("umoci"), Requirement::Root];

pub(crate) fn add(suite: Suite) -> Suite {
    suite.test("random_layers_make_the_files_that_umoci_unpacks", UMOCI, random_layers)
}

/// The same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % limit as u64).unwrap_or_default()
    }

    fn path(&mut self) -> PathBuf {
        (0..=self.below(3)).map(|_| ["a", "b", "c"][self.below(3)]).collect()
    }
}

/// A layer's entries: each path once, folders before what is in them.
fn random_layer(random: &mut Random, known: &mut Vec<PathBuf>) -> Vec<(Entry, Vec<u8>)> {
    let mut entries: Vec<(Entry, Vec<u8>)> = Vec::new();
    let mut kinds: BTreeMap<PathBuf, bool> = BTreeMap::new();
    let mut files: Vec<PathBuf> = Vec::new();
    for _ in 0..4 + random.below(8) {
        let hide = !known.is_empty() && random.below(4) == 0;
        let path = if hide { known[random.below(known.len())].clone() } else { random.path() };
        let folders: Vec<_> = path.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()).collect();
        let blocked = folders.iter().any(|folder| kinds.get(*folder) == Some(&false));
        if kinds.contains_key(&path) || blocked {
            continue;
        }
        for folder in folders.iter().rev() {
            if kinds.insert(folder.to_path_buf(), true).is_none() {
                entries.push((Entry::directory(*folder, 0o755), Vec::new()));
            }
        }
        let choice = random.below(10);
        let content = vec![b'0' + u8::try_from(random.below(10)).unwrap_or_default(); random.below(5)];
        let size = content.len() as u64;
        let entry = match choice {
            _ if hide => {
                let (folder, name) =
                    (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
                entries.push((
                    Entry::file(folder.join(format!(".wh.{}", name.display())), 0o644, 0),
                    Vec::new(),
                ));
                kinds.insert(path, false);
                continue;
            }
            0..=3 => Entry::file(&path, 0o644, size).owned_by(random.below(3) as u64, 7),
            4 => Entry::symlink(&path, "nowhere"),
            5 | 6 if !files.is_empty() => {
                let target = files[random.below(files.len())].clone();
                Entry { kind: EntryKind::Hardlink { target }, ..Entry::file(&path, 0o644, 0) }
            }
            8 => {
                entries.push((Entry::directory(&path, 0o711), Vec::new()));
                entries.push((Entry::file(path.join(".wh..wh..opq"), 0o644, 0), Vec::new()));
                kinds.insert(path, true);
                continue;
            }
            _ => Entry::directory(&path, 0o700),
        };
        let is_file = matches!(entry.kind, EntryKind::File { .. });
        kinds.insert(path.clone(), entry.kind == EntryKind::Directory);
        if is_file {
            files.push(path.clone());
        }
        known.push(path);
        entries.push((entry, if is_file { content } else { Vec::new() }));
    }
    entries
}

type Facts = BTreeMap<PathBuf, String>;

fn unpacked(root: &Path, below: &Path, facts: &mut Facts) -> TestResult {
    for entry in fs::read_dir(root.join(below))? {
        let path = below.join(entry?.file_name());
        let metadata = fs::symlink_metadata(root.join(&path))?;
        let owner = format!("{:o} {}:{}", metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        let what = if metadata.is_symlink() {
            format!("link {}", fs::read_link(root.join(&path))?.display())
        } else if metadata.is_dir() {
            unpacked(root, &path, facts)?;
            format!("folder {owner}")
        } else {
            format!("file {owner} {}", Digest::of(&fs::read(root.join(&path))?))
        };
        facts.insert(path, what);
    }
    Ok(())
}

fn random_layers() -> TestResult {
    let (mut whiteouts, mut opaque, mut hard_links, mut hidden) = (0, 0, 0, 0);
    for seed in 0..24 {
        let mut random = Random(seed);
        let folder = Folder::new()?;
        let layout = Layout::create(&folder.join("layout"))?;
        let mut draft = Draft::empty(&platform());
        let mut known = Vec::new();
        for _ in 0..2 + random.below(4) {
            let mut builder = LayerBuilder::new(layout.blob_writer()?, Timestamps::Fixed(0));
            for (entry, content) in random_layer(&mut random, &mut known) {
                let name = entry.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                opaque += usize::from(name == ".wh..wh..opq");
                whiteouts += usize::from(name.starts_with(".wh."));
                hard_links += usize::from(matches!(entry.kind, EntryKind::Hardlink { .. }));
                builder.append(&entry, &mut &content[..])?;
            }
            let (layer, file) = builder.finish(ImageFormat::Oci)?;
            layout.adopt(file, &layer.descriptor.digest)?;
            draft.append(&layer, History::default());
        }
        let image = store(&layout, &draft.finish(ImageFormat::Oci)?)?;
        layout.tag(Some("dev"), image.descriptor())?;
        assert_eq!(validate_layout(layout.folder(), &Events::silent())?, []);

        let bundle = folder.join("bundle");
        let from = format!("{}:dev", layout.folder().display());
        peer("umoci", &["unpack", "--image", &from, &bundle.display().to_string()])?;
        let mut theirs = Facts::new();
        unpacked(&bundle.join("rootfs"), Path::new(""), &mut theirs)?;
        let tree = flatten(&image, Contents::Hashed, &Events::silent())?;
        let ours: Result<Facts, Stop> = tree
            .files()
            .map(|(path, file)| {
                let owner = format!("{:o} {}:{}", file.mode, file.uid, file.gid);
                let what = match (file.kind, &file.content, &file.target) {
                    (FileKind::Symlink, _, Some(target)) => format!("link {}", target.display()),
                    (FileKind::Directory, _, _) => format!("folder {owner}"),
                    (_, Some(content), _) => format!("file {owner} {content}"),
                    other => return Err(Stop::failed(format!("{} is {other:?}", path.display()))),
                };
                Ok((path.to_owned(), what))
            })
            .collect();
        assert_eq!(ours?, theirs, "seed {seed}");
        hidden += usize::from(known.iter().any(|path| !theirs.contains_key(path)));
    }
    // The numbers are the same on every machine; these say that the layers were worth comparing.
    assert!(
        whiteouts - opaque > 20 && opaque > 20 && hard_links > 20 && hidden > 12,
        "{whiteouts} {opaque} {hard_links} {hidden}"
    );
    Ok(())
}
