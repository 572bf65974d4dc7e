//! `cargo xtask bases`: the images that Dockerfiles start from, made where no registry of images can be reached.
//!
//! The parts are real (Alpine's root file system and its apk, the Go distribution, Debian's packages) and come from
//! registries of packages: PyPI and Debian's archive. An image that the layout has already is left alone, so that asking
//! again costs nothing; [`RECIPE`] is raised when an image should be made anew.
//!
//! The machine's own CA certificates are put in: what reaches the Go module proxy here reaches it in a build, too.

mod alpine;
mod debian;
mod distroless;
mod download;
mod golang;
mod packages;
mod tree;
mod wheel;

use std::path::{Path, PathBuf};

use longshore_image::layer::Layer;
use longshore_image::mutate::Draft;
use longshore_image::{Image, Layout};
use longshore_oci::media_type::ImageFormat;
use longshore_oci::{History, Platform};
use longshore_testkit::{Folder, distributions};

use crate::command::{Result, context};
use download::Downloads;

/// Number of what is made here: raised when images that were made before are not good enough any more.
const RECIPE: &str = "1";
/// The annotation of an image's manifest that says by which recipe it was made.
const RECIPE_ANNOTATION: &str = "build.longshore.bases.recipe";

/// All times in the images, and the date they claim: 14 November 2023.
pub(super) const EPOCH: i64 = 1_700_000_000;
const CREATED: &str = "2023-11-14T22:13:20Z";

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The images that the tests use; the others are made when they are asked for by name.
const DEFAULT: [&str; 4] = [
    "alpine:latest",
    "golang:1.21-alpine",
    "gcr.io/distroless/static-debian12:nonroot",
    "debian:bookworm-slim",
];

/// One image: its names, and how it is made.
struct Recipe {
    names: &'static [&'static str],
    make: fn(&Workshop) -> Result<Draft>,
}

/// Every image that can be made, those before that others stand on.
const RECIPES: [Recipe; 6] = [
    Recipe { names: &["alpine:latest", "alpine:3.23"], make: alpine::image },
    Recipe { names: &["golang:1.21-alpine"], make: |shop| golang::on_alpine(shop, "1.21.13") },
    Recipe { names: &["golang:1.26-alpine"], make: |shop| golang::on_alpine(shop, "1.26.6") },
    Recipe { names: &["gcr.io/distroless/static-debian12:nonroot"], make: distroless::image },
    Recipe { names: &["debian:bookworm-slim"], make: debian::image },
    Recipe { names: &["golang:1.26-bookworm"], make: |shop| debian::with_go(shop, "1.26.6") },
];

/// Makes the images that the arguments name: `[OUT] [--only IMAGE…]`. Says whether all are there.
pub(crate) fn bases(arguments: &[&str]) -> Result<bool> {
    let (folder, names) = match arguments {
        ["--only", names @ ..] => (distributions::folder(), names),
        [] => (distributions::folder(), &[][..]),
        [folder] => (PathBuf::from(folder), &[][..]),
        [folder, "--only", names @ ..] => (PathBuf::from(folder), names),
        [_, other, ..] => {
            return Err(format!("unknown argument {other}; it is: bases [OUT] [--only IMAGE…]"));
        }
    };
    make(&folder, if names.is_empty() { &DEFAULT } else { names })?;
    println!("The images are in {}.", folder.display());
    Ok(true)
}

/// Makes what the tests use, or says why not: they are skipped then.
pub(crate) fn prepare() {
    let folder = distributions::folder();
    let made = match rustix::process::geteuid().is_root() {
        true => make(&folder, &DEFAULT),
        false => Err("it takes root".to_owned()),
    };
    match made {
        Ok(()) => println!("The base images are in {}.", folder.display()),
        Err(reason) => println!("No base images: {reason}. Tests that need them will be skipped."),
    }
}

/// Makes what is missing of the named images in an OCI layout.
pub(crate) fn make(folder: &Path, names: &[&str]) -> Result<()> {
    let shop = Workshop::new(folder)?;
    for name in names {
        shop.base(name)?;
    }
    Ok(())
}

/// What the recipes share: the layout they write to, what was downloaded, and a folder that goes away at the end.
struct Workshop {
    layout: Layout,
    downloads: Downloads,
    scratch: Folder,
}

impl Workshop {
    fn new(folder: &Path) -> Result<Workshop> {
        let layout = Layout::create(folder)
            .map_err(context(format!("cannot use {} as a layout", folder.display())))?;
        let scratch = Folder::new().map_err(context("cannot create a folder"))?;
        Ok(Workshop { layout, downloads: Downloads::new()?, scratch })
    }

    /// An empty folder below the scratch folder. A name is used once.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.scratch.join(name);
        std::fs::create_dir(&folder).map_err(context(format!("cannot create {}", folder.display())))?;
        Ok(folder)
    }

    /// The image of a name, made now where the layout lacks it.
    fn base(&self, name: &str) -> Result<Image> {
        let Some(recipe) = RECIPES.iter().find(|recipe| recipe.names.contains(&name)) else {
            let known: Vec<&str> = RECIPES.iter().flat_map(|recipe| recipe.names).copied().collect();
            return Err(format!("no recipe makes {name}; there are {}", known.join(", ")));
        };
        if let Some(image) = self.find(name)? {
            return Ok(image);
        }
        println!("Making {}.", recipe.names.join(" and "));
        let draft = (recipe.make)(self).map_err(context(format!("cannot make {name}")))?;
        self.finish(recipe.names, draft).map_err(context(format!("cannot write {name}")))
    }

    /// The image that the layout has by this name and today's recipe.
    fn find(&self, name: &str) -> Result<Option<Image>> {
        let entries = self.layout.entries().map_err(|error| error.to_string())?;
        let Some(entry) = entries.into_iter().find(|entry| entry.name.as_deref() == Some(name)) else {
            return Ok(None);
        };
        let image = self.layout.image(&entry.descriptor);
        let manifest = image.manifest().map_err(context(format!("cannot read {name}")))?;
        let recipe = manifest.annotations.get(RECIPE_ANNOTATION).map(String::as_str);
        Ok((recipe == Some(RECIPE)).then_some(image))
    }

    fn finish(&self, names: &[&str], mut draft: Draft) -> Result<Image> {
        draft.config.created = Some(CREATED.to_owned());
        draft.annotations.insert(RECIPE_ANNOTATION.to_owned(), RECIPE.to_owned());
        let assembled = draft.finish(ImageFormat::Oci).map_err(|error| error.to_string())?;
        for document in &assembled.documents {
            self.layout
                .write_bytes(&document.descriptor, &document.bytes)
                .map_err(|error| error.to_string())?;
        }
        for name in names {
            self.layout.tag(Some(name), &assembled.root).map_err(|error| error.to_string())?;
        }
        Ok(self.layout.image(&assembled.root))
    }
}

/// An image without layers for the platform that all parts here are made for.
fn empty_draft() -> Draft {
    Draft::empty(&Platform::new("linux", "amd64", None))
}

/// What an image's history says of a layer.
fn history(what: &str) -> History {
    History {
        created: Some(CREATED.to_owned()),
        created_by: Some(format!("cargo xtask bases: {what}")),
        ..History::default()
    }
}

/// Puts a layer on top of a draft.
fn append(draft: &mut Draft, layer: &Layer, what: &str) {
    draft.append(layer, history(what));
}

/// Words as a config's list.
fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}
