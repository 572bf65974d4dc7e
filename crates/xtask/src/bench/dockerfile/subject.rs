//! What is built: the guide's Dockerfiles with their service, and a context of very many files.

use std::path::{Path, PathBuf};

use longshore_testkit::{copy_tree, example};

use super::recreate;
use crate::command::{Result, context, write};

/// Files of the large context: folders by files in each, and the size of one in bytes.
const FOLDERS: usize = 200;
const FILES: usize = 100;
const SIZE: usize = 1000;
/// The large context's file that changes.
const CHANGING: &str = "folder-7/file-7";

const ALPINE: &str = "alpine:latest";
const GOLANG: &str = "golang:1.21-alpine";

/// A Dockerfile and a context.
pub(super) struct Subject {
    pub(super) name: &'static str,
    images: &'static [&'static str],
    /// Debian's buildah builds stages that nothing needs, and the guide's test stage wants a C compiler that its base lacks.
    pub(super) builds_with_buildah: bool,
    /// A change of one file has all files copied again, and nothing else done.
    pub(super) copies_all: bool,
    source: Source,
}

impl Subject {
    /// A row's name.
    pub(super) fn job(&self, what: &str) -> String {
        format!("{}: {what}", self.name)
    }
}

enum Source {
    /// A Dockerfile of the guide.
    Guide(&'static str),
    /// The guide's first one, its `go build` without `-a`.
    GuideWithCache,
    /// [`FOLDERS`] folders of [`FILES`] files, copied.
    ManyFiles,
}

pub(super) const SUBJECTS: [Subject; 6] = [
    guide("Dockerfile", &[GOLANG, ALPINE], true),
    Subject {
        name: "Dockerfile without `-a`",
        images: &[GOLANG, ALPINE],
        builds_with_buildah: false,
        copies_all: false,
        source: Source::GuideWithCache,
    },
    guide("Dockerfile.advanced", &[GOLANG], false),
    guide("Dockerfile.buildkit", &[GOLANG, ALPINE], false),
    guide("Dockerfile.secure", &[GOLANG, ALPINE], false),
    Subject {
        name: "20,000 files",
        images: &[ALPINE],
        builds_with_buildah: true,
        copies_all: true,
        source: Source::ManyFiles,
    },
];

const fn guide(name: &'static str, images: &'static [&'static str], builds_with_buildah: bool) -> Subject {
    Subject { name, images, builds_with_buildah, copies_all: false, source: Source::Guide(name) }
}

/// Every base image that a subject starts from.
pub(super) fn base_images() -> Vec<&'static str> {
    let mut images: Vec<_> = SUBJECTS.iter().flat_map(|subject| subject.images).copied().collect();
    images.sort_unstable();
    images.dedup();
    images
}

/// A side's copy of a subject.
pub(super) struct Place {
    folder: PathBuf,
    images: &'static [&'static str],
    /// The file that changes, and the text in it that does; none: all of it.
    changing: (PathBuf, Option<&'static str>),
}

impl Place {
    /// Writes the subject below `folder`, in place of the one that was there.
    pub(super) fn new(folder: &Path, subject: &Subject) -> Result<Place> {
        recreate(folder)?;
        let context = folder.join("context");
        let changing = match &subject.source {
            Source::Guide(name) => {
                service(&context)?;
                let text = read(&context.join(name))?;
                write(&folder.join("Dockerfile"), &text)?;
                (context.join("cmd/server/main.go"), Some("NewHealthChecker(\"1.0"))
            }
            Source::GuideWithCache => {
                service(&context)?;
                let text = read(&context.join("Dockerfile"))?;
                let without = text.replace(" -a -installsuffix cgo", "");
                if without == text {
                    return Err("the guide's Dockerfile has no -a".into());
                }
                write(&folder.join("Dockerfile"), &without)?;
                (context.join("cmd/server/main.go"), Some("NewHealthChecker(\"1.0"))
            }
            Source::ManyFiles => {
                many_files(&context)?;
                let dockerfile =
                    "FROM alpine:latest\nWORKDIR /data\nCOPY . .\nRUN find . -type f | wc -l > /count\n";
                write(&folder.join("Dockerfile"), dockerfile)?;
                (context.join(CHANGING), None)
            }
        };
        Ok(Place { folder: folder.to_owned(), images: subject.images, changing })
    }

    pub(super) fn dockerfile(&self) -> PathBuf {
        self.folder.join("Dockerfile")
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn context(&self) -> PathBuf {
        self.folder.join("context")
    }

    pub(super) fn images(&self) -> &'static [&'static str] {
        self.images
    }

    /// Changes one line so that it was never so before in this place.
    pub(super) fn change(&self, round: usize) -> Result<()> {
        let (file, text) = &self.changing;
        let Some(text) = text else {
            return write(file, format!("change {round}\n"));
        };
        let before = read(file)?;
        let after = before.replace(text, &format!("{text}.{round}"));
        if after == before {
            return Err(format!("{} does not hold {text}", file.display()));
        }
        write(file, &after)
    }
}

fn service(context: &Path) -> Result<()> {
    copy_tree(&example("guide"), context).map_err(self::context("cannot copy the example"))
}

fn many_files(folder: &Path) -> Result<()> {
    for number in 0..FOLDERS {
        let below = folder.join(format!("folder-{number}"));
        std::fs::create_dir_all(&below).map_err(context(format!("cannot create {}", below.display())))?;
        for file in 0..FILES {
            let line = format!("line of file {file} in folder {number}\n");
            write(&below.join(format!("file-{file}")), line.repeat(SIZE / line.len()))?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(context(format!("cannot read {}", path.display())))
}
