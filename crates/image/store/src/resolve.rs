//! From what a person types to an image of the store.

use longshore_image::Image;
use longshore_oci::{Descriptor, Digest, Reference};

use crate::error::ResolveError;
use crate::store::{Store, StoredImage};

/// Fewer digits than this name nothing: a short word of a-f is more likely a repository.
const MIN_PREFIX: usize = 6;

impl Store {
    /// The image that `name` means: a name as it stands in the layout, a reference (tag `latest` where it has none), a digest, or
    /// the beginning of a manifest's or config's digest with six digits at least.
    ///
    /// Errors: nothing fits, several fit, or the store cannot be read.
    pub fn resolve(&self, name: &str) -> Result<Image, ResolveError> {
        let images = self.images()?;
        if let Some(found) = by_name(&images, name) {
            return Ok(found.image.clone());
        }
        if let Some(prefix) = digest_prefix(name) {
            let mut found = self.by_prefix(&images, prefix);
            match found.len() {
                0 => {}
                1 => return Ok(found.remove(0)),
                _ => {
                    let candidates = found.iter().map(|image| image.digest().to_string()).collect();
                    return Err(ResolveError::Ambiguous { prefix: name.to_owned(), candidates });
                }
            }
        }
        let names = images.iter().filter_map(|image| image.name.as_deref());
        Err(ResolveError::NotFound { name: name.to_owned(), nearest: nearest(name, names) })
    }

    /// Roots and the manifests below them whose own digest, or whose config's, begins with `prefix`.
    fn by_prefix(&self, images: &[StoredImage], prefix: &str) -> Vec<Image> {
        let mut found: Vec<Image> = Vec::new();
        let mut add = |image: Image| {
            if !found.iter().any(|other| other.digest() == image.digest()) {
                found.push(image);
            }
        };
        for stored in images {
            if fits(stored.image.descriptor(), prefix) {
                add(stored.image.clone());
                continue;
            }
            // An image that cannot be read is not the one that is meant; naming it in full shows what is wrong with it.
            for image in stored.image.images().unwrap_or_default() {
                let config = image.manifest().is_ok_and(|manifest| fits(&manifest.config, prefix));
                if config || fits(image.descriptor(), prefix) {
                    add(image);
                }
            }
        }
        found
    }
}

fn by_name<'a>(images: &'a [StoredImage], name: &str) -> Option<&'a StoredImage> {
    let literal = images.iter().find(|image| image.name.as_deref() == Some(name));
    literal.or_else(|| {
        let wanted = name.parse::<Reference>().ok()?.with_default_tag();
        let reference = |image: &StoredImage| {
            image.name.as_deref()?.parse::<Reference>().ok().map(Reference::with_default_tag)
        };
        match wanted.digest() {
            // NAME@DIGEST: the digest decides.
            Some(digest) => images.iter().find(|image| image.image.digest() == digest),
            None => images.iter().find(|image| reference(image).as_ref() == Some(&wanted)),
        }
    })
}

fn digest_prefix(name: &str) -> Option<&str> {
    let digits = match name.parse::<Digest>() {
        Ok(_) => return name.split_once(':').map(|(_, digits)| digits),
        Err(_) => name.strip_prefix("sha256:").unwrap_or(name),
    };
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (digits.len() >= MIN_PREFIX && digits.bytes().all(hexadecimal)).then_some(digits)
}

fn fits(descriptor: &Descriptor, prefix: &str) -> bool {
    descriptor.digest.encoded().starts_with(prefix)
}

/// The name that takes the fewest edits to become, where that is at most a third of its letters.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let distance = |other: &str| strsim::damerau_levenshtein(name, other);
    let close = names.map(|other| (distance(other), other)).filter(|(edits, other)| edits * 3 <= other.len());
    close.min().map(|(_, other)| other.to_owned())
}
