//! Files that tell other programs what was built, with the names and contents that Docker's and ko's have.

use std::path::PathBuf;

use clap::Args;
use longshore_files::{FileError, write_output};
use longshore_oci::Reference;
use serde_json::{Value, json};

use super::BuiltImage;

/// Files that tell what was built.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output options")]
pub(super) struct FileArgs {
    /// Write NAME@DIGEST of every image and name to a file, one a line
    #[arg(long, value_name = "FILE")]
    image_refs: Option<PathBuf>,

    /// Write the image's digest to a file
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    iidfile: Option<PathBuf>,

    /// Write what was built to a JSON file, as `docker buildx build` does
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
}

impl FileArgs {
    /// Writes the files that were asked for.
    pub(super) fn write(&self, images: &[BuiltImage]) -> Result<(), FileError> {
        if let Some(path) = &self.image_refs {
            let line = |image: &BuiltImage, name: &Reference| {
                format!("{}\n", name.with_digest(image.root.digest.clone()).familiar())
            };
            let lines = images.iter().flat_map(|image| image.names.iter().map(move |name| line(image, name)));
            write_output(path, lines.collect::<String>().as_bytes())?;
        }
        if let (Some(path), Some(image)) = (&self.iidfile, images.first()) {
            // Without an end of line, as Docker writes it.
            write_output(path, image.root.digest.to_string().as_bytes())?;
        }
        if let Some(path) = &self.metadata_file {
            let document = match images {
                [image] => metadata(image),
                images => images.iter().map(|image| (image.service.clone(), metadata(image))).collect(),
            };
            write_output(path, format!("{document:#}\n").as_bytes())?;
        }
        Ok(())
    }
}

/// The keys of `docker buildx build --metadata-file`.
fn metadata(image: &BuiltImage) -> Value {
    let names: Vec<_> = image.names.iter().map(Reference::familiar).collect();
    json!({
        "containerimage.descriptor": image.root,
        "containerimage.digest": image.root.digest,
        "image.name": names.join(","),
        "longshore.images": image.images,
        "longshore.cached": image.cached,
    })
}
