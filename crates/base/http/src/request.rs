//! A request that can be sent more than once.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

/// Opens a body from its beginning.
type Open = Arc<dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// What a request carries.
#[derive(Clone, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes at hand.
    Bytes(Bytes),
    /// Bytes that are read while they are sent, on a thread of their own; opened anew for each attempt.
    Reader {
        /// How many bytes there are.
        size: u64,
        /// Opens them.
        open: Open,
    },
}

impl Body {
    /// A body of `size` bytes that `open` opens from its beginning.
    pub fn reader(
        size: u64,
        open: impl Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync + 'static,
    ) -> Self {
        Body::Reader { size, open: Arc::new(open) }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Body::Empty => formatter.write_str("Empty"),
            Body::Bytes(bytes) => write!(formatter, "Bytes({})", bytes.len()),
            Body::Reader { size, .. } => write!(formatter, "Reader({size})"),
        }
    }
}

/// A request that can be sent more than once.
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    pub(crate) repeatable: bool,
}

impl Request {
    /// A request without a body. GET, HEAD, PUT, DELETE and OPTIONS may be tried again, others not unless
    /// [`Request::repeatable`] says so.
    pub fn new(method: Method, url: Url) -> Self {
        let repeatable = method.is_idempotent();
        Request { method, url, headers: HeaderMap::new(), body: Body::Empty, repeatable }
    }

    /// A GET request.
    pub fn get(url: Url) -> Self {
        Request::new(Method::GET, url)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Adds a header whose value is text. Text that cannot stand in a header is left out: control characters.
    #[must_use]
    pub fn text_header(self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => self.header(name, value),
            Err(_) => self,
        }
    }

    /// Adds an `Authorization` header, which is neither shown nor sent on to another host.
    #[must_use]
    pub fn authorization(self, value: &crate::Secret) -> Self {
        match HeaderValue::from_str(value.reveal()) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.header(reqwest::header::AUTHORIZATION, value)
            }
            Err(_) => self,
        }
    }

    /// What it carries.
    #[must_use]
    pub fn body(self, body: Body) -> Self {
        Request { body, ..self }
    }

    /// Whether it may be sent again when its fate is not known.
    #[must_use]
    pub fn repeatable(self, repeatable: bool) -> Self {
        Request { repeatable, ..self }
    }

    /// The URL.
    pub fn url(&self) -> &Url {
        &self.url
    }
}
