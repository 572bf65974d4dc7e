//! What can go wrong with a registry.

use std::io;
use std::time::Duration;

use longshore_events::Cancelled;
use longshore_http::{HttpError, StatusCode};
use longshore_image::{ContentError, ContentErrorKind, SinkError};
use longshore_oci::Digest;
use longshore_store::StoreError;

use crate::credentials::CredentialError;
use crate::endpoint::EndpointError;

/// Work with a registry that did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}")]
pub struct RegistryError {
    /// What was being done, and to what: "pull docker.io/library/alpine:3.20".
    pub action: String,
    /// What went wrong.
    #[source]
    pub kind: Box<RegistryErrorKind>,
}

/// What went wrong with a registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryErrorKind {
    /// 401: no credentials, or wrong ones.
    #[error("{}", .0.message())]
    Unauthorized(Unauthorized),
    /// 403: the credentials are known and not enough.
    #[error("{registry} denies access to {repository}{}", because(.said))]
    Denied {
        /// The registry.
        registry: String,
        /// The repository there.
        repository: String,
        /// What the registry said.
        said: Option<String>,
        /// Whether credentials were shown.
        anonymous: bool,
    },
    /// 404.
    #[error("{registry} has no {what}{}", because(.said))]
    NotFound {
        /// The registry.
        registry: String,
        /// What was asked for: "manifest 1.0 in team/app".
        what: String,
        /// What the registry said.
        said: Option<String>,
    },
    /// 413.
    #[error("{registry} does not take {size} bytes at once{}", because(.said))]
    TooLarge {
        /// The registry, or the proxy before it.
        registry: String,
        /// Bytes that were sent.
        size: u64,
        /// What the registry said.
        said: Option<String>,
    },
    /// 429, still after several attempts.
    #[error("{registry} refuses further requests for now{}{}", wait(*.retry_after), because(.said))]
    TooManyRequests {
        /// The registry.
        registry: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// What the registry said.
        said: Option<String>,
    },
    /// Another answer than those that the protocol has for the request.
    #[error("{registry} answered {status} when asked to {asked}{}", because(.said))]
    Status {
        /// The registry.
        registry: String,
        /// HTTP status.
        status: StatusCode,
        /// What it was asked to do: "begin an upload to team/app".
        asked: String,
        /// What the registry said.
        said: Option<String>,
    },
    /// The answer breaks the protocol.
    #[error("the answer of {registry} {problem}")]
    Protocol {
        /// The registry.
        registry: String,
        /// What is wrong: "has no Location header".
        problem: String,
    },
    /// The bytes, or what the registry says of them, have another digest than they must have.
    #[error("{registry} gave {what} with the digest {found} where {expected} is right")]
    WrongDigest {
        /// The registry.
        registry: String,
        /// What it gave: "manifest 1.0".
        what: String,
        /// The right digest.
        expected: Digest,
        /// The digest that was found.
        found: Digest,
    },
    /// A blob has another size than its manifest says.
    #[error("{registry} gave {found} bytes for {digest}, which has {expected}")]
    WrongSize {
        /// The registry.
        registry: String,
        /// The blob.
        digest: Digest,
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// Docker's manifest schema 1.
    #[error("it is a manifest of Docker's schema 1, which is not supported")]
    Schema1,
    /// No manifest that is known.
    #[error("it is no image manifest or index (its media type is `{0}`)")]
    MediaType(String),
    /// A layer that its registry does not hold.
    #[error("layer {digest} may not be distributed by registries (`{media_type}`): its places are {}", places(.urls))]
    Foreign {
        /// The layer.
        digest: Digest,
        /// Its media type.
        media_type: String,
        /// Where the manifest says it is.
        urls: Vec<String>,
    },
    /// A name cannot be used for what is wanted.
    #[error("{0}")]
    Reference(&'static str),
    /// Credentials cannot be read.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// The registry's or mirror's address is none.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// No answer came.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The image cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store cannot take a blob.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A blob's file cannot be written.
    #[error("cannot write blob {digest}")]
    Write {
        /// The blob.
        digest: Digest,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// A registry that wants credentials, or better ones.
#[derive(Debug, Clone)]
pub struct Unauthorized {
    /// The registry.
    pub registry: String,
    /// The repository there.
    pub repository: String,
    /// Where the credentials came from that it did not accept.
    pub used: Option<String>,
    /// Where credentials were looked for.
    pub looked: Vec<String>,
    /// What the registry or its token server said.
    pub said: Option<String>,
}

impl Unauthorized {
    fn message(&self) -> String {
        let Unauthorized { registry, repository, used, .. } = self;
        let said = because(&self.said);
        match used {
            Some(used) => {
                format!("{registry} does not accept the credentials from {used} for {repository}{said}")
            }
            None => format!("{registry} wants credentials for {repository}, and there are none{said}"),
        }
    }
}

/// What the inner functions return: the façade says what was being done.
pub(crate) type Outcome<T> = Result<T, Box<RegistryErrorKind>>;

macro_rules! boxed {
    ($($source:ty),+) => {$(
        impl From<$source> for Box<RegistryErrorKind> {
            fn from(source: $source) -> Self {
                Box::new(source.into())
            }
        }
    )+};
}

boxed!(CredentialError, EndpointError, HttpError, StoreError, SinkError, Cancelled);

impl From<ContentError> for Box<RegistryErrorKind> {
    /// A registry's own error that went through [`longshore_image::Content`] comes out as what it was.
    fn from(error: ContentError) -> Self {
        let ContentError { what, digest, kind } = error;
        let kind = match kind {
            ContentErrorKind::Io(inner) => match inner.downcast::<RegistryErrorKind>() {
                Ok(own) => return Box::new(own),
                Err(inner) => ContentErrorKind::Io(inner),
            },
            other => other,
        };
        Box::new(ContentError { what, digest, kind }.into())
    }
}

impl RegistryError {
    /// Whether the work was cancelled rather than failed.
    pub fn is_cancelled(&self) -> bool {
        self.kind.is_cancelled()
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        self.kind.hint()
    }
}

impl RegistryErrorKind {
    pub(crate) fn is_cancelled(&self) -> bool {
        match self {
            RegistryErrorKind::Cancelled(_) => true,
            RegistryErrorKind::Http(error) => error.is_cancelled(),
            _ => false,
        }
    }

    fn hint(&self) -> Option<String> {
        use RegistryErrorKind as Kind;
        match self {
            Kind::Unauthorized(unauthorized) => Some(login_hint(unauthorized)),
            Kind::Denied { registry, anonymous: true, .. } => {
                Some(format!("log in first: docker login {}", login_name(registry)))
            }
            Kind::Denied { .. } => {
                Some("the account lacks the right, or the repository has to be created first".to_owned())
            }
            Kind::NotFound { .. } => {
                Some("check the name and the tag; some registries also answer so to those who may not look".to_owned())
            }
            Kind::TooLarge { .. } => {
                Some("a proxy before the registry limits what a request may carry (nginx: client_max_body_size)".to_owned())
            }
            Kind::TooManyRequests { registry, .. } => Some(format!(
                "wait, log in for a higher limit (docker login {}), or set a mirror",
                login_name(registry)
            )),
            Kind::WrongDigest { .. } | Kind::WrongSize { .. } => Some(
                "the registry, or a cache before it, is damaged or lies: nothing of it was kept".to_owned(),
            ),
            Kind::Schema1 => Some(
                "given up in 2017: push the image once more with a current tool, or copy it with one that converts it"
                    .to_owned(),
            ),
            Kind::Http(error) => error.hint(),
            Kind::Content(error) => error.hint(),
            Kind::Store(error) => error.hint(),
            Kind::Sink(error) => error.hint(),
            Kind::Credentials(error) => error.hint(),
            _ => None,
        }
    }
}

fn login_hint(unauthorized: &Unauthorized) -> String {
    let Unauthorized { registry, looked, .. } = unauthorized;
    let login = format!("docker login {}", login_name(registry));
    match looked.as_slice() {
        [] => login,
        places => format!("{login}; credentials were looked for in {}", places.join(", ")),
    }
}

/// What stands after `docker login`: nothing for Docker Hub.
fn login_name(registry: &str) -> &str {
    if registry == longshore_oci::DEFAULT_REGISTRY { "" } else { registry }
}

fn because(said: &Option<String>) -> String {
    said.as_ref().map_or_else(String::new, |said| format!(": {said}"))
}

fn wait(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| format!(" (for {} s)", wait.as_secs()))
}

fn places(urls: &[String]) -> String {
    if urls.is_empty() { "not named".to_owned() } else { urls.join(", ") }
}
