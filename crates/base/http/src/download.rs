//! Downloads that go on where they broke off.

use std::io;

use bytes::Bytes;
use longshore_events::Events;
use reqwest::StatusCode;
use reqwest::header::{ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE};

use crate::client::{Client, host_of};
use crate::error::{HttpError, HttpErrorKind};
use crate::request::Request;
use crate::response::Response;
use crate::retry::backoff;

/// What takes the bytes of a download, in order, each once.
pub type Receive<'a> = dyn FnMut(Bytes) -> io::Result<()> + Send + 'a;

/// How a download ended.
#[derive(Debug)]
pub enum Download {
    /// All bytes came; how many.
    Complete(u64),
    /// The server answered with a status that carries no bytes of the body: 401, 404. What was received before stays received, and
    /// another call with the same [`Transfer`] goes on from there.
    Refused(Box<Response>),
}

/// How far a download is.
#[derive(Debug)]
pub struct Transfer {
    limit: u64,
    received: u64,
    etag: Option<HeaderValue>,
    headers: HeaderMap,
    failures: u32,
}

impl Transfer {
    /// A download of at most `limit` bytes of which none has come.
    pub fn new(limit: u64) -> Self {
        Transfer { limit, received: 0, etag: None, headers: HeaderMap::new(), failures: 0 }
    }

    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Headers of the answer that brought the first bytes: what tells when the body was changed, and by which tag to ask for it again.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

impl Client {
    /// Downloads a body. One that breaks off or stalls is asked for again from where it ended; a server that then sends the whole has
    /// its beginning passed over. Whoever receives the bytes checks them as a whole: a body that changed in between is not noticed
    /// here.
    ///
    /// Errors: no attempt in a row got any further, there are too many bytes, `receive` failed, or the work was cancelled.
    pub async fn download(
        &self,
        request: &Request,
        transfer: &mut Transfer,
        receive: &mut Receive<'_>,
        events: &Events,
    ) -> Result<Download, HttpError> {
        loop {
            let response = self.send(&transfer.request(request), events).await?;
            let status = response.status();
            let skip = match (status, transfer.received) {
                (StatusCode::OK, _) => transfer.received,
                (StatusCode::PARTIAL_CONTENT, received) if received > 0 && starts_at(&response, received) => {
                    0
                }
                // The body broke off after its last byte: there is no rest to ask for.
                (StatusCode::RANGE_NOT_SATISFIABLE, received)
                    if received > 0 && ends_at(&response, received) =>
                {
                    return Ok(Download::Complete(received));
                }
                (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, _) => {
                    let kind = HttpErrorKind::Range { status: status.as_u16() };
                    return Err(HttpError::new(&request.method, &request.url, kind));
                }
                _ => return Ok(Download::Refused(Box::new(response))),
            };
            let before = transfer.received;
            let Err(error) = transfer.take_body(response, skip, receive).await else {
                return Ok(Download::Complete(transfer.received));
            };
            transfer.failures = if transfer.received > before { 1 } else { transfer.failures + 1 };
            if !error.is_transient() || transfer.failures >= self.settings().attempts {
                return Err(error);
            }
            let (host, got) = (host_of(&request.url), transfer.received);
            events.note(format!("{host} broke off after {got} bytes; going on from there"));
            self.sleep(backoff(self.settings().backoff, transfer.failures), request, events).await?;
        }
    }
}

impl Transfer {
    fn request(&self, request: &Request) -> Request {
        if self.received == 0 {
            return request.clone();
        }
        let rest = request.clone().text_header(RANGE, &format!("bytes={}-", self.received));
        match &self.etag {
            Some(etag) => rest.header(IF_RANGE, etag.clone()),
            None => rest,
        }
    }

    /// Passes on a body, but for its first `skip` bytes.
    async fn take_body(
        &mut self,
        mut response: Response,
        mut skip: u64,
        receive: &mut Receive<'_>,
    ) -> Result<(), HttpError> {
        // Only a strong validator says that the bytes are the same.
        if self.received == 0 {
            self.headers.clone_from(response.headers());
        }
        let etag = response.headers().get(ETAG).filter(|etag| !etag.as_bytes().starts_with(b"W/"));
        self.etag = etag.cloned().or(self.etag.take());
        let (method, url) = (response.method.clone(), response.url().clone());
        while let Some(mut chunk) = response.chunk().await? {
            let passed = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            let _ = chunk.split_to(passed);
            skip -= passed as u64;
            self.received += chunk.len() as u64;
            if self.received > self.limit {
                return Err(HttpError::new(&method, &url, HttpErrorKind::TooLarge { limit: self.limit }));
            }
            if !chunk.is_empty() {
                receive(chunk).map_err(|error| HttpError::new(&method, &url, HttpErrorKind::Local(error)))?;
            }
        }
        Ok(())
    }
}

/// Whether a partial answer begins at `offset`: `Content-Range: bytes OFFSET-END/SIZE`.
fn starts_at(response: &Response, offset: u64) -> bool {
    let range = response.header(reqwest::header::CONTENT_RANGE);
    let start =
        range.and_then(|range| range.trim().strip_prefix("bytes ")).and_then(|range| range.split_once('-'));
    start.is_some_and(|(start, _)| start.trim().parse() == Ok(offset))
}

/// Whether a refusal says that the whole has `size` bytes: `Content-Range: bytes */SIZE`.
fn ends_at(response: &Response, size: u64) -> bool {
    let range = response.header(reqwest::header::CONTENT_RANGE);
    let whole = range.and_then(|range| range.trim().strip_prefix("bytes */"));
    whole.is_some_and(|whole| whole.trim().parse() == Ok(size))
}
