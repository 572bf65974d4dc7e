//! What can go wrong with an engine.

use std::io;
use std::path::PathBuf;

use longshore_events::Cancelled;
use longshore_http::{HttpError, HttpErrorKind};
use longshore_image::ContentError;
use longshore_image::archive::ArchiveError;

/// Something that an engine was asked to do, and that was not done.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {endpoint}")]
pub struct EngineError {
    /// What was being done: "load an image into", "find".
    pub action: &'static str,
    /// The engine, for a person: "Docker at unix:///var/run/docker.sock".
    pub endpoint: String,
    /// What went wrong.
    #[source]
    pub kind: EngineErrorKind,
}

/// Why an engine did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineErrorKind {
    /// There is no answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It answered with a status that says no.
    #[error("it answered {status}: {message}")]
    Status {
        /// HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// It began its work, and failed.
    #[error("it says: {0}")]
    Failed(String),
    /// It ended without saying that it did what it was asked to.
    #[error("it did not say that an image was loaded")]
    Unconfirmed,
    /// What it said is not what the API says it says.
    #[error("its answer is not the JSON that its API promises")]
    Json(#[source] serde_json::Error),
    /// What a program wrote breaks off, or is no stream.
    #[error("what it sends breaks off: {0}")]
    Stream(#[source] io::Error),
    /// Its API is older than what is spoken here, or newer.
    #[error("its API is of version {found}, and {expected} is spoken here")]
    Version {
        /// What it speaks.
        found: String,
        /// What is spoken here.
        expected: &'static str,
    },
    /// Its address is of a kind that is not spoken.
    #[error("`{0}` is not an address that can be spoken to: expected unix://PATH or tcp://HOST:PORT")]
    Address(String),
    /// Nothing listens at any of the places where it may be.
    #[error("none listens at {}", looked.join(", "))]
    Absent {
        /// The places that were looked at.
        looked: Vec<String>,
    },
    /// A context names the engine, and there is no such context.
    #[error("there is no Docker context `{name}` in {}", folder.display())]
    NoContext {
        /// The context's name.
        name: String,
        /// Docker's folder of settings.
        folder: PathBuf,
    },
    /// A file of Docker's settings cannot be read.
    #[error("cannot read {}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// An image to load cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// What it exports cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

const NOT_STARTED: &str = "no engine listens there: start one (`systemctl start docker`, `systemctl --user start podman.socket`), or set DOCKER_HOST";

impl EngineError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match &self.kind {
            EngineErrorKind::Http(error) => return http_hint(error),
            EngineErrorKind::Content(error) => return error.hint(),
            EngineErrorKind::Archive(error) => return error.hint(),
            EngineErrorKind::Address(address) if address.starts_with("ssh://") => {
                "forward the socket with `ssh -L /tmp/docker.sock:/var/run/docker.sock HOST` and set DOCKER_HOST=unix:///tmp/docker.sock"
            }
            EngineErrorKind::Absent { .. } => NOT_STARTED,
            EngineErrorKind::NoContext { .. } => {
                "`docker context ls` lists the contexts; DOCKER_HOST names an engine without one"
            }
            EngineErrorKind::Failed(message) | EngineErrorKind::Status { message, .. }
                if message.contains("no space left on device") =>
            {
                "the engine's disk is full: `docker system prune` frees space"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// Whether nothing listens there, so that another engine may be looked for.
    pub fn is_absent(&self) -> bool {
        let connect = |error: &HttpError| matches!(error.kind, HttpErrorKind::Connect { .. });
        match &self.kind {
            EngineErrorKind::Absent { .. } => true,
            EngineErrorKind::Http(error) => connect(error),
            _ => false,
        }
    }
}

fn http_hint(error: &HttpError) -> Option<String> {
    let HttpErrorKind::Connect { source, .. } = &error.kind else { return error.hint() };
    let words = source.to_string();
    let hint = if words.contains("Permission denied") {
        "you may not use its socket: join the group `docker`, use a rootless engine, or work without an engine"
    } else {
        NOT_STARTED
    };
    Some(hint.to_owned())
}
