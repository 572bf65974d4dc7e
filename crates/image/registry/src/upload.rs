//! One blob on its way into a repository.
//!
//! OCI distribution-spec 1.1, "Pushing blobs". A POST begins the upload (or mounts the blob from another repository, which ends it); one
//! PUT carries all bytes. When that breaks off, the registry is asked how far it got, and the rest follows by PATCH; a registry that
//! does not know begins anew. What refuses a large body gets pieces.

use std::sync::Arc;
use std::time::{Duration, Instant};

use longshore_events::Events;
use longshore_http::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use longshore_http::{Body, HttpErrorKind, Method, Request, Response, StatusCode, Url};
use longshore_oci::Descriptor;

use crate::error::{Outcome, RegistryErrorKind};
use crate::parallel::Stop;
use crate::progress::Progress;
use crate::repository::{Repository, said_digest, too_large};
use crate::session::Access;
use crate::source::{OpenBlob, Source};

/// Bytes of a piece, where a registry or the proxy before it refuses a blob as a whole.
const PIECE: u64 = 16 * 1024 * 1024;
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// A blob to upload.
pub(crate) struct Upload<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) descriptor: &'a Descriptor,
    pub(crate) open: Arc<OpenBlob>,
    /// Repositories of the same endpoint that may hold the blob, by the endpoint's names.
    pub(crate) mount_from: &'a [String],
    pub(crate) progress: Progress,
    pub(crate) stop: Stop,
    pub(crate) events: &'a Events,
}

/// How a blob got there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Uploaded {
    /// Its bytes were sent.
    Sent,
    /// The registry took it from this repository.
    Mounted(String),
}

/// An upload that the registry knows.
struct Begun {
    location: Url,
    /// Bytes that the registry has.
    offset: u64,
    /// Bytes of a piece; `None` where the rest goes at once.
    piece: Option<u64>,
}

enum Beginning {
    Begun(Begun),
    Mounted,
}

impl Upload<'_> {
    /// Uploads the blob, or has it mounted.
    pub(crate) fn run(&self) -> Outcome<Uploaded> {
        for from in self.mount_from {
            if self.is_in(from) {
                match self.begin(Some(from))? {
                    Beginning::Mounted => return Ok(Uploaded::Mounted(from.clone())),
                    Beginning::Begun(begun) => return self.send(begun).map(|()| Uploaded::Sent),
                }
            }
        }
        match self.begin(None)? {
            Beginning::Mounted => Ok(Uploaded::Sent),
            Beginning::Begun(begun) => self.send(begun).map(|()| Uploaded::Sent),
        }
    }

    /// Whether another repository holds the blob, as far as one may look into it.
    fn is_in(&self, from: &str) -> bool {
        let other = Repository { session: Arc::clone(&self.repository.session), name: from.to_owned() };
        let path = format!("blobs/{}", self.descriptor.digest);
        other.has(&path, &other.reading(), self.events).unwrap_or(false)
    }

    fn begin(&self, mount_from: Option<&str>) -> Outcome<Beginning> {
        let mut url = self.repository.url("blobs/uploads/", self.events)?;
        let mut access = self.repository.writing();
        if let Some(from) = mount_from {
            url.query_pairs_mut()
                .append_pair("mount", &self.descriptor.digest.to_string())
                .append_pair("from", from);
            access.also_from = Some(from.to_owned());
        }
        // An upload that nobody goes on with is thrown away by the registry: beginning twice does no harm.
        let request = Request::new(Method::POST, url).repeatable(true);
        let response = match self.repository.session.send(&request, &access, self.events) {
            Err(error) if mount_from.is_some() && matches!(*error, RegistryErrorKind::Unauthorized(_)) => {
                return self.begin(None);
            }
            other => other?,
        };
        match response.status() {
            StatusCode::CREATED => Ok(Beginning::Mounted),
            StatusCode::ACCEPTED => {
                let location = self.location(&response)?;
                Ok(Beginning::Begun(Begun { location, offset: 0, piece: None }))
            }
            // Some registries refuse a mount rather than begin an upload in its place.
            _ if mount_from.is_some() => self.begin(None),
            _ => {
                let name = &self.repository.name;
                Err(self.repository.refused(response, &format!("begin an upload to {name}"), name))
            }
        }
    }

    /// Sends what the registry has not, and again from where it broke off.
    fn send(&self, mut begun: Begun) -> Outcome<()> {
        let settings = self.repository.session.client.settings().clone();
        let (mut failures, mut furthest): (u32, u64) = (0, 0);
        loop {
            let error = match self.send_rest(&mut begun) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            failures = if begun.offset > furthest { 1 } else { failures + 1 };
            furthest = furthest.max(begun.offset);
            let pieces = matches!(*error, RegistryErrorKind::TooLarge { .. }) && begun.piece.is_none();
            if self.stop.check().is_err() || failures >= settings.attempts.max(1) {
                return Err(error);
            }
            let wait = match (&*error, pieces) {
                (RegistryErrorKind::TooLarge { .. }, true) if self.descriptor.size > PIECE => Duration::ZERO,
                (RegistryErrorKind::TooManyRequests { retry_after, .. }, _) => {
                    retry_after.unwrap_or(settings.backoff * failures)
                }
                (RegistryErrorKind::Status { status, .. }, _) if may_pass(*status) => {
                    settings.backoff * failures
                }
                // The registry forgot the upload: it begins anew.
                (RegistryErrorKind::NotFound { .. }, _) => settings.backoff * failures,
                (RegistryErrorKind::Http(http), _) if is_transient(&http.kind) => settings.backoff * failures,
                _ => return Err(error),
            };
            if wait > settings.retry_after_limit {
                return Err(error);
            }
            self.events.note(format!(
                "the upload of {} broke off; going on with it",
                self.descriptor.digest.short()
            ));
            self.pause(wait)?;
            let piece = if pieces { Some(PIECE) } else { begun.piece };
            begun = self.resumed(&begun)?;
            begun.piece = piece;
        }
    }

    /// The upload as far as the registry got, or a new one where it cannot say.
    fn resumed(&self, begun: &Begun) -> Outcome<Begun> {
        let status = Request::get(begun.location.clone());
        let response = self.repository.session.send(&status, &self.access(), self.events)?;
        if response.status() == StatusCode::NO_CONTENT
            && let Some(offset) = offset(&response).filter(|offset| *offset <= self.descriptor.size)
        {
            let location = self.location(&response).unwrap_or_else(|_| begun.location.clone());
            return Ok(Begun { location, offset, piece: None });
        }
        match self.begin(None)? {
            Beginning::Begun(begun) => Ok(begun),
            Beginning::Mounted => Err(self.repository.session.protocol("says that an upload is a mount")),
        }
    }

    /// One attempt at the rest. `begun` is kept at how far the registry said that it got.
    fn send_rest(&self, begun: &mut Begun) -> Outcome<()> {
        let size = self.descriptor.size;
        if begun.offset == 0 && begun.piece.is_none() {
            let response = self.body(Method::PUT, self.finishing(begun), &Source::new(self, 0), size)?;
            return self.finished(response, size);
        }
        let source = Source::new(self, begun.offset);
        while begun.offset < size {
            let length = begun.piece.unwrap_or(size).min(size - begun.offset);
            let response =
                self.body(Method::PATCH, begun.location.clone(), &source.at(begun.offset), length)?;
            if !matches!(
                response.status(),
                StatusCode::ACCEPTED | StatusCode::NO_CONTENT | StatusCode::CREATED
            ) {
                return Err(self.refused(response, length));
            }
            begun.location = self.location(&response)?;
            let reached = offset(&response).unwrap_or(begun.offset + length);
            if reached <= begun.offset || reached > begun.offset + length {
                return Err(self.repository.session.protocol(format!("puts an upload at byte {reached}")));
            }
            begun.offset = reached;
        }
        let request = Request::new(Method::PUT, self.finishing(begun)).header(CONTENT_TYPE, BYTES);
        let response = self.repository.session.send_once(&request, &self.access(), self.events)?;
        self.finished(response, 0)
    }

    fn body(&self, method: Method, url: Url, source: &Source, length: u64) -> Outcome<Response> {
        let start = source.start;
        let patch = method == Method::PATCH;
        let mut request = Request::new(method, url).header(CONTENT_TYPE, BYTES);
        if patch {
            request = request.text_header(CONTENT_RANGE, &format!("{start}-{}", start + length - 1));
        }
        let source = source.clone();
        let body = Body::reader(length, move || Ok(source.piece(length)));
        self.repository.session.send_once(&request.body(body), &self.access(), self.events)
    }

    /// The URL that ends the upload.
    fn finishing(&self, begun: &Begun) -> Url {
        let mut url = begun.location.clone();
        url.query_pairs_mut().append_pair("digest", &self.descriptor.digest.to_string());
        url
    }

    fn finished(&self, response: Response, sent: u64) -> Outcome<()> {
        if !matches!(response.status(), StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::ACCEPTED) {
            return Err(self.refused(response, sent));
        }
        let expected = &self.descriptor.digest;
        match said_digest(&response)
            .filter(|said| said.algorithm() == expected.algorithm() && said != expected)
        {
            None => Ok(()),
            Some(found) => Err(RegistryErrorKind::WrongDigest {
                registry: self.repository.session.registry().to_owned(),
                what: format!("a blob of {} back", self.repository.name),
                expected: expected.clone(),
                found,
            }
            .into()),
        }
    }

    fn refused(&self, response: Response, sent: u64) -> Box<RegistryErrorKind> {
        let name = &self.repository.name;
        let asked = format!("take the blob {} into {name}", self.descriptor.digest);
        too_large(self.repository.refused(response, &asked, name), sent)
    }

    fn access(&self) -> Access {
        self.repository.writing()
    }

    /// Where the upload goes on: a URL, or a path of the same registry.
    fn location(&self, response: &Response) -> Outcome<Url> {
        let session = &self.repository.session;
        let value = response.header(LOCATION).ok_or_else(|| session.protocol("has no Location header"))?;
        let mut url = response
            .url()
            .join(value)
            .map_err(|_| session.protocol(format!("has `{value}` as its Location header")))?;
        let base = session.base(self.events)?;
        let same = url.host_str() == base.host_str();
        // Behind a proxy that ends TLS some registries write http for themselves.
        if same && base.scheme() == "https" && url.scheme() == "http" && url.port() == base.port() {
            let _ = url.set_scheme("https");
        }
        if !same || url.port_or_known_default() != base.port_or_known_default() {
            // Nobody else is given the right to write here.
            return Err(session.protocol(format!(
                "leads the upload to another host, {}",
                url.host_str().unwrap_or_default()
            )));
        }
        Ok(url)
    }

    fn pause(&self, wait: Duration) -> Outcome<()> {
        let end = Instant::now() + wait;
        loop {
            self.events.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}

/// Bytes that a registry has, by `Range: 0-LAST`. `0-0` is what registries say of an upload that has none.
fn offset(response: &Response) -> Option<u64> {
    let (_, last) = response.header(RANGE)?.trim_start_matches("bytes=").split_once('-')?;
    let last: u64 = last.trim().parse().ok()?;
    if last == 0 { Some(0) } else { last.checked_add(1) }
}

fn may_pass(status: StatusCode) -> bool {
    // 416: the registry is at another byte than it was said to be; it is asked.
    status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::RANGE_NOT_SATISFIABLE)
}

fn is_transient(kind: &HttpErrorKind) -> bool {
    matches!(
        kind,
        HttpErrorKind::Connect { .. } | HttpErrorKind::Stalled { .. } | HttpErrorKind::Broken { .. }
    )
}
