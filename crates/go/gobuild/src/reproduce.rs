//! Building an image again from what it says of itself, and comparing.
//!
//! The image's label holds the recipe: settings, facts and pins. With a checkout of the source at the image's revision that is all
//! that anybody needs. The rebuild uses a store of its own, and by default a Go build cache of its own, so that nothing of the
//! first build can vouch for itself.

use std::path::{Path, PathBuf};

use longshore_config::{ImageFormat, Lock};
use longshore_events::Events;
use longshore_files::FileError;
use longshore_image::layer::FORMAT;
use longshore_image::{ContentError, Image};
use longshore_oci::{Digest, annotation};
use longshore_store::{Store, StoreError};
use serde::Serialize;

use crate::build::build;
use crate::compare::{Difference, first_difference};
use crate::error::BuildError;
use crate::recipe::{RECIPE_LABEL, RECIPE_VERSION, Recipe};
use crate::request::{BuildEnvironment, BuildRequest, LockMode};

/// How to build again.
#[derive(Debug, Clone, Default)]
pub struct ReproduceOptions {
    /// Use the Go build cache of this machine: faster, and a lesser proof.
    pub shared_go_cache: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reproduction {
    /// Digest of the original.
    pub original: Digest,
    /// Digest of the rebuilt image.
    pub rebuilt: Digest,
    /// The revision that the image names.
    pub revision: Option<String>,
    /// The first difference; none if both are the same, byte for byte.
    pub difference: Option<Difference>,
}

impl Reproduction {
    /// Whether both images are the same, byte for byte.
    pub fn is_identical(&self) -> bool {
        self.difference.is_none()
    }
}

/// An image could not be built again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReproduceError {
    /// The folder that was named is not the image's project.
    #[error("there is no go.mod in {}, where the image's source would be", .0.display())]
    NoProject(PathBuf),
    /// The image cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The image does not say how it was made.
    #[error("the image {0} does not say how it was made: it has no label {RECIPE_LABEL}")]
    NoRecipe(Digest),
    /// The recipe cannot be read.
    #[error("the recipe in the image {image} cannot be read")]
    Malformed {
        /// The image.
        image: Digest,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The image was made by a longshore whose images have another form.
    #[error("the image has layers of format {found}, and this longshore writes format {FORMAT}")]
    Format {
        /// The image's layer format.
        found: u32,
    },
    /// The source is at another revision.
    #[error("the image was made of revision {image}, and {} is at {source_revision}", folder.display())]
    Revision {
        /// The image's revision.
        image: String,
        /// The source's folder.
        folder: std::path::PathBuf,
        /// Its revision.
        source_revision: String,
    },
    /// The rebuild failed.
    #[error("cannot build the image again")]
    Build(#[from] BuildError),
    /// The temporary store cannot be made.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl ReproduceError {
    /// Advice on what to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            ReproduceError::Content(error) => error.hint(),
            ReproduceError::Build(error) => error.hint(),
            ReproduceError::Store(error) => error.hint(),
            ReproduceError::File(error) => error.hint(),
            ReproduceError::NoProject(_) => {
                Some("name the folder of the project: longshore reproduce IMAGE PATH".to_owned())
            }
            ReproduceError::NoRecipe(_) => {
                Some("only images that longshore built can be built again".to_owned())
            }
            ReproduceError::Malformed { .. } | ReproduceError::Format { .. } => {
                Some("use the version of longshore that built it".to_owned())
            }
            ReproduceError::Revision { image, .. } => {
                Some(format!("git checkout {}", image.trim_end_matches("-dirty")))
            }
        }
    }

    /// Whether the work was cancelled rather than failed.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, ReproduceError::Build(error) if error.is_cancelled())
    }
}

/// Reads how an image was made. Errors: it does not say so, or in another form than this longshore's.
pub fn recipe_of(image: &Image) -> Result<Recipe, ReproduceError> {
    let images = image.images()?;
    let digest = || image.digest().clone();
    let first = images.first().ok_or_else(|| ReproduceError::NoRecipe(digest()))?;
    let config = first.config()?;
    let label = config.config.labels.get(RECIPE_LABEL).ok_or_else(|| ReproduceError::NoRecipe(digest()))?;
    let malformed = |source| ReproduceError::Malformed { image: digest(), source };
    let mut recipe: Recipe = serde_json::from_str(label).map_err(malformed)?;
    if recipe.layers != FORMAT || recipe.version != RECIPE_VERSION {
        return Err(ReproduceError::Format { found: recipe.layers });
    }
    recipe.settings.image_format = ImageFormat::of(&image.descriptor().media_type);
    Ok(recipe)
}

/// Builds `original` again from the source in `folder`, which is the project's: where longshore.toml stands, or would.
///
/// Errors: the image does not say how it was made, the source is at another revision, or the rebuild fails.
pub fn reproduce(
    original: &Image,
    folder: &Path,
    environment: &BuildEnvironment<'_>,
    options: &ReproduceOptions,
    events: &Events,
) -> Result<Reproduction, ReproduceError> {
    let recipe = recipe_of(original)?;
    let revision = revision_of(original)?;
    let request = request_of(recipe, folder);
    if !request.module.join("go.mod").is_file() {
        return Err(ReproduceError::NoProject(request.module));
    }
    if let Some(image) = &revision {
        check_revision(image, &request, environment, events)?;
    }
    let place = environment.store.temporary_folder();
    longshore_files::create_folders(&place)?;
    let scratch = tempfile::Builder::new().prefix("reproduce-").tempdir_in(&place);
    let scratch = scratch.map_err(FileError::of("make a folder in", &place))?;
    let store = Store::open(&scratch.path().join("store"))?;
    let mut variables = environment.variables.clone();
    if !options.shared_go_cache {
        variables.insert("GOCACHE".into(), scratch.path().join("go-build").into());
    }
    let inner = BuildEnvironment {
        store: &store,
        toolchains: environment.toolchains,
        bases: environment.bases,
        variables,
    };
    let outcome = build(&request, &inner, events);
    let rebuilt = store.layout().image(&outcome?.root);
    let difference = compare(original, &rebuilt)?;
    let result = Reproduction {
        original: original.digest().clone(),
        rebuilt: rebuilt.digest().clone(),
        revision,
        difference,
    };
    // Go's caches may hold read-only folders, which the temporary folder's own end would leave.
    longshore_files::remove_tree(scratch.path())?;
    Ok(result)
}

fn request_of(recipe: Recipe, folder: &Path) -> BuildRequest {
    let module = if recipe.module == "." { folder.to_owned() } else { folder.join(&recipe.module) };
    BuildRequest {
        root: folder.to_owned(),
        module,
        lock: LockMode::Given(Box::new(given_pins(&recipe, folder))),
        package: recipe.package,
        name: recipe.name,
        settings: recipe.settings,
        facts: recipe.facts,
        fresh: true,
        source_date_epoch: recipe.source_date_epoch,
    }
}

/// The recipe's pins, with the toolchain's hash from the project's lock where that is of the same version.
fn given_pins(recipe: &Recipe, folder: &Path) -> Lock {
    let mut pins = recipe.pins();
    if let (Ok(Some(lock)), Some(go)) = (Lock::load(folder), &mut pins.go)
        && let Some(locked) = lock.go.filter(|locked| locked.version == go.version)
    {
        go.hashes = locked.hashes;
    }
    pins
}

fn revision_of(image: &Image) -> Result<Option<String>, ReproduceError> {
    let images = image.images()?;
    let Some(first) = images.first() else { return Ok(None) };
    Ok(first.config()?.config.labels.get(annotation::REVISION).cloned())
}

fn check_revision(
    image: &str,
    request: &BuildRequest,
    environment: &BuildEnvironment<'_>,
    events: &Events,
) -> Result<(), ReproduceError> {
    let source =
        crate::vcs::revision(&request.module, &environment.variables, events).map_err(BuildError::from)?;
    match source {
        Some(source) if source == image.trim_end_matches("-dirty") => Ok(()),
        source => Err(ReproduceError::Revision {
            image: image.to_owned(),
            folder: request.module.clone(),
            source_revision: source.unwrap_or_else(|| "no revision".to_owned()),
        }),
    }
}

/// Compares the images of all platforms that the original has.
fn compare(original: &Image, rebuilt: &Image) -> Result<Option<Difference>, ContentError> {
    if original.digest() == rebuilt.digest() {
        return Ok(None);
    }
    for image in original.images()? {
        let twin = rebuilt.select(&image.platform()?)?;
        if let Some(difference) = first_difference(&image, &twin)? {
            return Ok(Some(difference));
        }
    }
    if !original.is_index() {
        return Ok(None);
    }
    Ok(Some(Difference {
        platform: "all platforms".to_owned(),
        part: "index".to_owned(),
        path: None,
        field: "form".to_owned(),
        offset: None,
        original: original.digest().to_string(),
        rebuilt: rebuilt.digest().to_string(),
    }))
}
