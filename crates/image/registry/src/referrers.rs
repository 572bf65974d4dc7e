//! Referrers: manifests that say something about another one, their subject (signatures, bills of materials).
//!
//! OCI distribution-spec 1.1, "Listing Referrers". A registry without the API has the list under a tag made of the subject's digest,
//! which whoever pushes keeps ("Referrers Tag Schema").

use longshore_events::Events;
use longshore_http::header::ACCEPT;
use longshore_http::{Request, StatusCode, block_on};
use longshore_image::MAX_DOCUMENT;
use longshore_oci::media_type::{ImageFormat, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST};
use longshore_oci::{Descriptor, Digest, Index, Manifest, StringMap};
use serde::Deserialize;

use crate::error::{Outcome, RegistryErrorKind};
use crate::repository::{Document, Repository};

/// Pages of a list that are read.
const MOST_PAGES: usize = 1000;

/// An artifact to attach to an image.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// What it is, as a media type: `application/spdx+json`.
    pub artifact_type: String,
    /// Media type of its content.
    pub media_type: String,
    /// Its content.
    pub content: Vec<u8>,
    /// Free-form facts about it.
    pub annotations: StringMap,
}

impl Artifact {
    /// The artifact's manifest.
    pub(crate) fn manifest(&self, subject: Descriptor) -> Manifest {
        let content = Descriptor::of(&self.media_type, &self.content);
        let mut manifest = Manifest::new(ImageFormat::Oci, Descriptor::of(OCI_EMPTY, b"{}"), vec![content]);
        manifest.artifact_type = Some(self.artifact_type.clone());
        manifest.subject = Some(Descriptor::new(subject.media_type, subject.digest, subject.size));
        manifest.annotations = self.annotations.clone();
        manifest
    }
}

/// The manifests whose subject is `subject`, of one type or of all.
pub(crate) fn list(
    repository: &Repository,
    subject: &Digest,
    artifact_type: Option<&str>,
    events: &Events,
) -> Outcome<Vec<Descriptor>> {
    let mut url = repository.url(&format!("referrers/{subject}"), events)?;
    if let Some(artifact_type) = artifact_type {
        url.query_pairs_mut().append_pair("artifactType", artifact_type);
    }
    let mut found = Vec::new();
    for _ in 0..MOST_PAGES {
        let request = Request::get(url.clone()).text_header(ACCEPT, OCI_INDEX);
        let response = repository.session.send(&request, &repository.reading(), events)?;
        match response.status() {
            StatusCode::OK => {}
            // 400 and 405 are what registries say to a path that they do not know.
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED => {
                found = fallback(repository, subject, events)?.map_or_else(Vec::new, |index| index.manifests);
                break;
            }
            _ => {
                let asked = format!("list the referrers of {subject}");
                return Err(repository.refused(response, &asked, &repository.name));
            }
        }
        let next = repository.next_page(&response, &url)?;
        let page: Index = block_on(response.json(MAX_DOCUMENT))?;
        found.extend(page.manifests);
        match next {
            Some(next) => url = next,
            None => break,
        }
    }
    // A registry may leave the choice of the type to whoever asks.
    found.retain(|one| artifact_type.is_none_or(|wanted| one.artifact_type.as_deref() == Some(wanted)));
    Ok(found)
}

/// Stores a manifest, and sees to it that its subject's referrers name it.
pub(crate) fn put(
    repository: &Repository,
    version: &str,
    document: &Document,
    events: &Events,
) -> Outcome<()> {
    let keeps_referrers = repository.put_manifest(version, document, events)?;
    if keeps_referrers {
        return Ok(());
    }
    let Some((subject, own)) = referrer(document) else { return Ok(()) };
    // Not every registry with the API says so when it takes a manifest.
    let url = repository.url(&format!("referrers/{subject}"), events)?;
    let request = Request::get(url).text_header(ACCEPT, OCI_INDEX);
    let response = repository.session.send(&request, &repository.writing(), events)?;
    if response.status() == StatusCode::OK {
        return Ok(());
    }
    let mut index =
        fallback(repository, &subject, events)?.unwrap_or_else(|| Index::new(ImageFormat::Oci, Vec::new()));
    if index.manifests.iter().any(|known| known.digest == own.digest) {
        return Ok(());
    }
    index.manifests.push(own);
    let bytes = serde_json::to_vec(&index)
        .map_err(|_| RegistryErrorKind::Reference("the list of referrers cannot be written as JSON"))?;
    let list = Document { descriptor: Descriptor::of(OCI_INDEX, &bytes), bytes: bytes.into() };
    repository.put_manifest(&tag(&subject), &list, events).map(drop)
}

/// The list under the subject's tag; `None` where there is none.
fn fallback(repository: &Repository, subject: &Digest, events: &Events) -> Outcome<Option<Index>> {
    let tag = tag(subject);
    let document = match repository.manifest(&tag, None, &repository.reading(), events) {
        Ok(document) => document,
        Err(kind) if matches!(*kind, RegistryErrorKind::NotFound { .. }) => return Ok(None),
        Err(kind) => return Err(kind),
    };
    serde_json::from_slice(&document.bytes)
        .map(Some)
        .map_err(|_| repository.session.protocol(format!("has no index under the tag {tag}")))
}

/// `ALGORITHM-DIGITS`, cut as the specification says: 32 letters, 64 digits.
fn tag(subject: &Digest) -> String {
    let digits = subject.encoded();
    format!("{}-{}", subject.algorithm().name(), &digits[..digits.len().min(64)])
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Referring {
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default)]
    annotations: StringMap,
}

/// A manifest's subject, and how the subject's list describes the manifest.
fn referrer(document: &Document) -> Option<(Digest, Descriptor)> {
    let manifest: Referring = serde_json::from_slice(&document.bytes).ok()?;
    let subject = manifest.subject?.digest;
    let mut own = Descriptor::new(
        document.descriptor.media_type.clone(),
        document.descriptor.digest.clone(),
        document.descriptor.size,
    );
    let of_config = manifest.config.map(|config| config.media_type);
    own.artifact_type = manifest.artifact_type.or(of_config.filter(|_| own.media_type == OCI_MANIFEST));
    own.annotations = manifest.annotations;
    Some((subject, own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_listed_by_its_type_under_its_subjects_tag() {
        let subject = Descriptor::of(OCI_MANIFEST, b"subject");
        let artifact = Artifact {
            artifact_type: "application/spdx+json".to_owned(),
            media_type: "application/json".to_owned(),
            content: b"{}".to_vec(),
            annotations: StringMap::from([("a".to_owned(), "b".to_owned())]),
        };
        let bytes = serde_json::to_vec(&artifact.manifest(subject.clone())).unwrap();
        let document = Document { descriptor: Descriptor::of(OCI_MANIFEST, &bytes), bytes: bytes.into() };
        let (of, own) = referrer(&document).unwrap();
        assert_eq!(of, subject.digest);
        assert_eq!(own.artifact_type.as_deref(), Some("application/spdx+json"));
        assert_eq!(own.annotations.get("a").map(String::as_str), Some("b"));
        assert_eq!(own.digest, document.descriptor.digest);
        assert_eq!(tag(&of), format!("sha256-{}", of.encoded()));
    }
}
