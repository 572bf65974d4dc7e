//! What can go wrong with a request.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use longshore_events::Cancelled;
use url::Url;

use crate::redact::redacted;

/// A request that got no usable answer.
#[derive(Debug, thiserror::Error)]
#[error("cannot {method} {url}")]
pub struct HttpError {
    /// The method.
    pub method: String,
    /// The URL, without what is secret in it.
    pub url: String,
    /// What went wrong.
    #[source]
    pub kind: HttpErrorKind,
}

/// What went wrong with a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpErrorKind {
    /// No connection could be made.
    #[error("cannot connect to {host}")]
    Connect {
        /// HOST or HOST:PORT, or the proxy's.
        host: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server's certificate is not trusted, or TLS failed otherwise.
    #[error("the TLS handshake with {host} failed")]
    Tls {
        /// HOST or HOST:PORT.
        host: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No byte moved for too long.
    #[error("{host} sent nothing for {} s", .after.as_secs_f32())]
    Stalled {
        /// HOST or HOST:PORT.
        host: String,
        /// How long.
        after: Duration,
    },
    /// The exchange broke off.
    #[error("the exchange with {host} broke off")]
    Broken {
        /// HOST or HOST:PORT.
        host: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A redirect leads from https to http, or there are too many.
    #[error("the answer is a redirect that is not followed: {0}")]
    Redirect(String),
    /// The answer has more bytes than are accepted.
    #[error("the answer has more than the {limit} bytes that are accepted")]
    TooLarge {
        /// Bytes that are accepted.
        limit: u64,
    },
    /// The answer is not the JSON that was expected.
    #[error("the answer is not the JSON that was expected")]
    Json(#[source] serde_json::Error),
    /// The answer to a request for a part is not that part.
    #[error("the server answered {status} to a request for the rest of a file")]
    Range {
        /// HTTP status.
        status: u16,
    },
    /// Bytes to send could not be read, or received ones not be written.
    #[error("cannot handle the bytes on this side")]
    Local(#[source] io::Error),
    /// A file of certificates or keys cannot be used.
    #[error("cannot use the certificates in {}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system's trust store cannot be read.
    #[error("the system's trust store cannot be read: {0}")]
    TrustStore(String),
    /// The client could not be set up, or the request not be formed.
    #[error("the request cannot be made")]
    Request(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl HttpError {
    pub(crate) fn new(method: &reqwest::Method, url: &Url, kind: HttpErrorKind) -> Self {
        HttpError { method: method.to_string(), url: redacted(url), kind }
    }

    /// Whether the work was cancelled rather than failed.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.kind, HttpErrorKind::Cancelled(_))
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match &self.kind {
            HttpErrorKind::Connect { .. } => {
                "check the host's name and that the network or the proxy (HTTPS_PROXY, NO_PROXY) reaches it"
            }
            HttpErrorKind::Tls { source, .. } if is_unknown_issuer(source.as_ref()) => {
                "the certificate is signed by an authority that this machine does not know: name its file with --ca-file, or add it to \
                 the system's trust store (SSL_CERT_FILE is honoured)"
            }
            HttpErrorKind::Stalled { .. } => {
                "the peer or something on the way hangs: try again, or look at the proxy"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// Whether another attempt may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            HttpErrorKind::Connect { .. } | HttpErrorKind::Stalled { .. } | HttpErrorKind::Broken { .. }
        )
    }
}

/// Sorts what the HTTP library says; its own messages repeat the URL, secrets included, so that is taken out.
pub(crate) fn kind_of(error: reqwest::Error, host: String) -> HttpErrorKind {
    let error = error.without_url();
    let (redirect, connect, request) = (error.is_redirect(), error.is_connect(), error.is_builder());
    let source: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
    if redirect {
        return HttpErrorKind::Redirect(innermost(source.as_ref()));
    }
    if request {
        return HttpErrorKind::Request(source);
    }
    if find::<rustls::Error>(source.as_ref()).is_some() {
        return HttpErrorKind::Tls { host, source: plain(source.as_ref()) };
    }
    if connect {
        return HttpErrorKind::Connect { host, source: plain(source.as_ref()) };
    }
    HttpErrorKind::Broken { host, source: plain(source.as_ref()) }
}

/// The library's layers of wrapping say "client error (Connect)" and "tcp connect error"; a person needs the last of them.
fn plain(error: &(dyn std::error::Error + 'static)) -> Box<dyn std::error::Error + Send + Sync> {
    innermost(error).into()
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

fn find<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<T>() {
            return Some(found);
        }
        // An I/O error hides what it was made from one level deeper than `source` shows.
        if let Some(inner) = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && let Some(found) = find::<T>(inner)
        {
            return Some(found);
        }
        next = current.source();
    }
    None
}

fn is_unknown_issuer(error: &(dyn std::error::Error + 'static)) -> bool {
    error.to_string().contains("UnknownIssuer")
}
