//! One policy for whatever speaks HTTP: TLS, proxies, private CAs, retries, time limits, redaction.
//!
//! A [`Client`] is made from [`HttpSettings`], which is a value: nothing here reads a variable, except that the system's trust store
//! is found as OpenSSL finds it (`SSL_CERT_FILE`, `SSL_CERT_DIR`). [`Client::send`] tries again what may be tried again; a
//! peer that stops moving bytes is an error after [`HttpSettings::stall_timeout`], however long the whole takes.
//! [`Client::download`] goes on where a broken body ended. No error, no log line and no `Debug` shows a password, a token or a
//! signed query.
//!
//! Rooms that compute stay plain code: [`block_on`] is the one bridge.

mod bridge;
mod client;
mod download;
mod error;
mod names;
mod proxy;
mod redact;
mod redirect;
mod request;
mod response;
mod retry;
mod settings;
mod stall;
mod tls;

pub use bridge::block_on;
pub use client::{Client, host_of};
pub use download::{Download, Receive, Transfer};
pub use error::{HttpError, HttpErrorKind};
pub use proxy::ProxySettings;
pub use redact::{Secret, redacted};
pub use request::{Body, Request};
pub use response::Response;
pub use retry::retry_after;
pub use settings::{HostTls, HttpSettings};

pub use bytes::Bytes;
pub use reqwest::header;
pub use reqwest::{Method, StatusCode};
pub use url::Url;
