//! One repository at one endpoint: the requests of OCI distribution-spec 1.1 that read it, and those that write manifests.

use std::io;
use std::sync::Arc;

use longshore_events::Events;
use longshore_http::header::{ACCEPT, CONTENT_TYPE, HeaderName, LINK};
use longshore_http::{Body, Bytes, Download, Method, Request, Response, StatusCode, Transfer, Url, block_on};
use longshore_image::MAX_DOCUMENT;
use longshore_oci::media_type::{self, DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use longshore_oci::{Descriptor, Digest, Digester};
use serde::Deserialize;

use crate::error::{Outcome, RegistryErrorKind};
use crate::link;
use crate::session::{Access, Session};

/// Every kind of manifest that can be read. Schema 1 is not among them: a registry that has nothing else then says so.
const MANIFESTS: [&str; 4] = [OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST];
/// Where a registry says which digest it stored or gives.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A repository.
#[derive(Clone)]
pub(crate) struct Repository {
    pub(crate) session: Arc<Session>,
    /// Its name at the endpoint.
    pub(crate) name: String,
}

/// A manifest or index with its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) descriptor: Descriptor,
    pub(crate) bytes: Bytes,
}

/// What every kind of manifest has, to tell them apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: Option<u32>,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
}

impl Repository {
    pub(crate) fn new(session: Arc<Session>, name: &str) -> Repository {
        let name = session.endpoint.repository(name);
        Repository { session, name }
    }

    /// What reading it takes.
    pub(crate) fn reading(&self) -> Access {
        Access { repository: self.name.clone(), actions: "pull", also_from: None }
    }

    /// What writing it takes.
    pub(crate) fn writing(&self) -> Access {
        Access { actions: "pull,push", ..self.reading() }
    }

    /// What removing from it takes.
    pub(crate) fn deleting(&self) -> Access {
        Access { actions: "pull,push,delete", ..self.reading() }
    }

    /// A URL below the repository's.
    pub(crate) fn url(&self, path: &str, events: &Events) -> Outcome<Url> {
        let base = self.session.base(events)?;
        base.join(&format!("{}/{path}", self.name))
            .map_err(|_| self.session.protocol(format!("leads to no URL for {}", self.name)))
    }

    /// Reads a manifest by tag or digest, and proves its bytes against `expected`, or against what the registry says of them.
    ///
    /// The access is the caller's, since a push reads too and has a token that allows more.
    pub(crate) fn manifest(
        &self,
        version: &str,
        expected: Option<&Digest>,
        access: &Access,
        events: &Events,
    ) -> Outcome<Document> {
        let request = self.manifest_request(Method::GET, version, events)?;
        let response = self.session.send(&request, access, events)?;
        if response.status() != StatusCode::OK {
            let what = format!("manifest {version} in {}", self.name);
            return Err(self.refused(
                response,
                &format!("give the manifest {version} of {}", self.name),
                &what,
            ));
        }
        let said = said_digest(&response);
        let header = content_type(&response);
        let bytes = block_on(response.bytes(MAX_DOCUMENT))?;
        self.prove(version, &bytes, expected, said.as_ref())?;
        let media_type = self.kind_of_manifest(&bytes, header)?;
        let digest = expected.cloned().unwrap_or_else(|| Digest::of(&bytes));
        Ok(Document { descriptor: Descriptor::new(media_type, digest, bytes.len() as u64), bytes })
    }

    fn manifest_request(&self, method: Method, version: &str, events: &Events) -> Outcome<Request> {
        let url = self.url(&format!("manifests/{version}"), events)?;
        Ok(Request::new(method, url).text_header(ACCEPT, &MANIFESTS.join(", ")))
    }

    fn prove(
        &self,
        version: &str,
        bytes: &[u8],
        expected: Option<&Digest>,
        said: Option<&Digest>,
    ) -> Outcome<()> {
        for right in expected.into_iter().chain(said) {
            let mut digester = Digester::new(right.algorithm());
            digester.update(bytes);
            let found = digester.finish();
            if found != *right {
                return Err(RegistryErrorKind::WrongDigest {
                    registry: self.session.registry().to_owned(),
                    what: format!("the manifest {version} of {}", self.name),
                    expected: right.clone(),
                    found,
                }
                .into());
            }
        }
        Ok(())
    }

    /// The media type of a manifest: what it says itself, else what the header says, else what it looks like.
    fn kind_of_manifest(&self, bytes: &[u8], header: Option<String>) -> Outcome<String> {
        let shape: Shape = serde_json::from_slice(bytes)
            .map_err(|_| self.session.protocol("is no JSON where a manifest was asked for"))?;
        if shape.schema_version == Some(1) {
            return Err(RegistryErrorKind::Schema1.into());
        }
        let known =
            |media_type: &String| media_type::is_index(media_type) || media_type::is_manifest(media_type);
        if let Some(own) = shape.media_type {
            return if known(&own) { Ok(own) } else { Err(RegistryErrorKind::MediaType(own).into()) };
        }
        match header.filter(known) {
            Some(header) => Ok(header),
            None if shape.manifests.is_some() => Ok(OCI_INDEX.to_owned()),
            None if shape.config.is_some() => Ok(OCI_MANIFEST.to_owned()),
            None => Err(RegistryErrorKind::MediaType("none".to_owned()).into()),
        }
    }

    /// Whether a manifest or blob is there: HEAD. `path` is `blobs/DIGEST` or `manifests/VERSION`.
    pub(crate) fn has(&self, path: &str, access: &Access, events: &Events) -> Outcome<bool> {
        let mut request = Request::new(Method::HEAD, self.url(path, events)?);
        if path.starts_with("manifests/") {
            request = request.text_header(ACCEPT, &MANIFESTS.join(", "));
        }
        let response = self.session.send(&request, access, events)?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(response, &format!("look for {path} in {}", self.name), &self.name)),
        }
    }

    /// Opens a blob's bytes, unverified.
    pub(crate) fn open_blob(&self, descriptor: &Descriptor, events: &Events) -> Outcome<BlobBody> {
        let request = Request::get(self.blob_url(descriptor, events)?);
        let response = self.session.send(&request, &self.reading(), events)?;
        if response.status() != StatusCode::OK {
            return Err(self.refused_blob(response, descriptor));
        }
        Ok(BlobBody { response, piece: Bytes::new() })
    }

    /// Downloads a blob, resumed where it breaks off, and passes on its bytes, unverified. Returns how many there were.
    ///
    /// `receive` fails for reasons of this side alone.
    pub(crate) fn download(
        &self,
        descriptor: &Descriptor,
        receive: &mut (dyn FnMut(Bytes) -> io::Result<()> + Send),
        events: &Events,
    ) -> Outcome<u64> {
        let access = self.reading();
        let plain = Request::get(self.blob_url(descriptor, events)?);
        let mut transfer = Transfer::new(descriptor.size);
        let mut renewed_at = None;
        loop {
            let request = self.session.authorized(plain.clone(), &access, events)?;
            let client = &self.session.client;
            match block_on(client.download(&request, &mut transfer, receive, events))? {
                Download::Complete(size) => return Ok(size),
                // A token ended on the way: the rest is asked for with another one, once for each stretch that came.
                Download::Refused(response) if response.status() == StatusCode::UNAUTHORIZED => {
                    let known = renewed_at.replace(transfer.received()) == Some(transfer.received());
                    if known || !self.session.learn_from(&response, &access, events)? {
                        return Err(self.session.unauthorized_by(*response, &access, events));
                    }
                }
                Download::Refused(response) => return Err(self.refused_blob(*response, descriptor)),
            }
        }
    }

    fn blob_url(&self, descriptor: &Descriptor, events: &Events) -> Outcome<Url> {
        self.url(&format!("blobs/{}", descriptor.digest), events)
    }

    fn refused_blob(&self, response: Response, descriptor: &Descriptor) -> Box<RegistryErrorKind> {
        let what = format!("blob {} in {}", descriptor.digest, self.name);
        self.refused(response, &format!("give the blob {} of {}", descriptor.digest, self.name), &what)
    }

    /// Stores a manifest under a tag or its digest. Returns whether the registry keeps the list of its subject's referrers.
    pub(crate) fn put_manifest(&self, version: &str, document: &Document, events: &Events) -> Outcome<bool> {
        let url = self.url(&format!("manifests/{version}"), events)?;
        let request = Request::new(Method::PUT, url)
            .text_header(CONTENT_TYPE, &document.descriptor.media_type)
            .body(Body::Bytes(document.bytes.clone()));
        let response = self.session.send(&request, &self.writing(), events)?;
        if !response.status().is_success() {
            let asked = format!("take the manifest {version} into {}", self.name);
            let failure = self.refused(response, &asked, &self.name);
            return Err(too_large(failure, document.descriptor.size));
        }
        let keeps_referrers = response.headers().contains_key("oci-subject");
        if let Some(found) = said_digest(&response).filter(|said| *said != document.descriptor.digest)
            && found.algorithm() == document.descriptor.digest.algorithm()
        {
            return Err(RegistryErrorKind::WrongDigest {
                registry: self.session.registry().to_owned(),
                what: format!("the manifest {version} of {} back", self.name),
                expected: document.descriptor.digest.clone(),
                found,
            }
            .into());
        }
        Ok(keeps_referrers)
    }

    /// Removes a manifest by digest.
    pub(crate) fn delete_manifest(&self, digest: &Digest, events: &Events) -> Outcome<()> {
        let url = self.url(&format!("manifests/{digest}"), events)?;
        let response = self.session.send(&Request::new(Method::DELETE, url), &self.deleting(), events)?;
        match response.status() {
            StatusCode::ACCEPTED | StatusCode::OK | StatusCode::NO_CONTENT => Ok(()),
            _ => {
                let what = format!("manifest {digest} in {}", self.name);
                Err(self.refused(response, &format!("delete the manifest {digest} of {}", self.name), &what))
            }
        }
    }

    /// The error that an answer's status means.
    pub(crate) fn refused(&self, response: Response, asked: &str, what: &str) -> Box<RegistryErrorKind> {
        let what = if response.status() == StatusCode::FORBIDDEN { &self.name } else { what };
        self.session.failure(response, asked, what)
    }

    /// Where the next page of a list is. A page on another host is none of this registry's.
    pub(crate) fn next_page(&self, response: &Response, current: &Url) -> Outcome<Option<Url>> {
        let Some(target) = response.header(LINK).and_then(link::next) else { return Ok(None) };
        let next = current.join(target).ok();
        let same = |next: &Url| next.host_str() == current.host_str() && next.port() == current.port();
        match next.filter(same) {
            // Behind a proxy that ends TLS some registries write http.
            Some(mut next) => {
                let _ = next.set_scheme(current.scheme());
                Ok(Some(next))
            }
            None => Err(self.session.protocol("names a next page on another host")),
        }
    }
}

/// A 413 with the size that was refused.
#[expect(clippy::boxed_local, reason = "errors travel boxed")]
pub(crate) fn too_large(failure: Box<RegistryErrorKind>, size: u64) -> Box<RegistryErrorKind> {
    match *failure {
        RegistryErrorKind::Status { registry, status: StatusCode::PAYLOAD_TOO_LARGE, said, .. } => {
            RegistryErrorKind::TooLarge { registry, size, said }.into()
        }
        other => other.into(),
    }
}

/// The digest that a registry names, where it names one that can be checked.
pub(crate) fn said_digest(response: &Response) -> Option<Digest> {
    response.header(CONTENT_DIGEST)?.parse().ok()
}

fn content_type(response: &Response) -> Option<String> {
    let value = response.header(CONTENT_TYPE)?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// A blob's body as it arrives.
pub(crate) struct BlobBody {
    response: Response,
    piece: Bytes,
}

impl io::Read for BlobBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match block_on(self.response.chunk()).map_err(io::Error::other)? {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = self.piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}
