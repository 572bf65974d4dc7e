//! An answer whose body is read piece by piece.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use longshore_events::Events;
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use crate::client::host_of;
use crate::error::{HttpError, HttpErrorKind, kind_of};
use crate::stall::within;

/// An answer. Its body is read by one of the methods that take it by value or by [`Response::chunk`].
#[derive(Debug)]
pub struct Response {
    pub(crate) inner: reqwest::Response,
    pub(crate) method: Method,
    pub(crate) stall: Duration,
    pub(crate) events: Events,
}

impl Response {
    /// HTTP status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// Where the answer came from, after redirects.
    pub fn url(&self) -> &Url {
        self.inner.url()
    }

    /// Headers.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// A header's first value, if it is text.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// Bytes of the body as announced.
    pub fn content_length(&self) -> Option<u64> {
        self.inner.content_length()
    }

    /// The next piece of the body; `None` at its end. Errors: the body breaks off or stalls, or the work was cancelled.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let host = host_of(self.inner.url());
        let (method, url) = (self.method.clone(), self.inner.url().clone());
        let outcome = within(self.stall, &host, &self.events, self.inner.chunk()).await;
        outcome
            .and_then(|chunk| chunk.map_err(|error| kind_of(error, host)))
            .map_err(|kind| HttpError::new(&method, &url, kind))
    }

    /// The whole body, of at most `limit` bytes.
    pub async fn bytes(mut self, limit: u64) -> Result<Bytes, HttpError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(HttpError::new(&self.method, self.url(), HttpErrorKind::TooLarge { limit }));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// The beginning of the body, of at most `limit` bytes, as text for a message. What cannot be read is left out.
    pub async fn excerpt(mut self, limit: usize) -> String {
        let mut body = BytesMut::new();
        while let Ok(Some(chunk)) = self.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() >= limit {
                break;
            }
        }
        body.truncate(limit);
        String::from_utf8_lossy(&body).into_owned()
    }

    /// The whole body, of at most `limit` bytes, as JSON.
    pub async fn json<T: DeserializeOwned>(self, limit: u64) -> Result<T, HttpError> {
        let (method, url) = (self.method.clone(), self.url().clone());
        let bytes = self.bytes(limit).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| HttpError::new(&method, &url, HttpErrorKind::Json(error)))
    }
}
