//! Reading from the places that GOPROXY and GOSUMDB name: over HTTP, or from a folder.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use longshore_events::{Cancelled, Events, Task};
use longshore_files::FileError;
use longshore_http::{
    Client, Download, HttpError, Request, Response, Secret, Transfer, block_on, host_of, redacted,
};
use url::Url;

use crate::environment::GoEnvironment;
use crate::netrc::Netrc;

/// How much of a refusal's text a message shows, in bytes.
const EXCERPT: usize = 300;

/// Something could not be had from a proxy or database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// It is not there: 404, 410, or no such file.
    #[error("{place} does not have it")]
    Missing {
        /// The URL, without credentials, or the path.
        place: String,
    },
    /// `GOPROXY=off`.
    #[error("GOPROXY=off forbids it")]
    Off,
    /// It was refused.
    #[error("{place} answers {status}{}", said(.text))]
    Refused {
        /// The URL, without credentials.
        place: String,
        /// HTTP status.
        status: u16,
        /// The beginning of what the server said about it.
        text: String,
    },
    /// There is no usable answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It is larger than it may be.
    #[error("{place} gives more than the {limit} bytes that are read of it")]
    TooLarge {
        /// The URL, without credentials, or the path.
        place: String,
        /// Bytes that are read at most.
        limit: u64,
    },
    /// A file of a `file://` place, or a temporary one, could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The work was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

impl RemoteError {
    /// Whether it merely is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, RemoteError::Missing { .. })
    }

    /// Whether the place was reached and refused.
    pub(crate) fn is_refusal(&self) -> bool {
        let client_error = |status: &u16| (400..500).contains(status);
        self.is_missing() || matches!(self, RemoteError::Refused { status, .. } if client_error(status))
    }

    /// Whether the work was cancelled rather than failed.
    pub fn is_cancelled(&self) -> bool {
        match self {
            RemoteError::Cancelled(_) => true,
            RemoteError::Http(error) => error.is_cancelled(),
            _ => false,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            RemoteError::Off => Some("set GOPROXY to a proxy, such as https://proxy.golang.org".into()),
            RemoteError::Refused { status: 401 | 403 | 407, .. } => Some(
                "if it wants a login, put one for its host into ~/.netrc (NETRC names another file)".into(),
            ),
            RemoteError::Http(error) => error.hint(),
            RemoteError::File(error) => error.hint(),
            _ => None,
        }
    }
}

/// A URL with a path appended to its own.
pub(crate) fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}

/// The path of a `file` URL.
pub(crate) fn local(url: &Url) -> Option<PathBuf> {
    (url.scheme() == "file").then(|| url.to_file_path().ok()).flatten()
}

/// Opens a file of a `file://` place.
pub(crate) fn open(path: &Path) -> Result<File, RemoteError> {
    File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            RemoteError::Missing { place: path.display().to_string() }
        }
        _ => FileError::of("open", path)(error).into(),
    })
}

/// What reads from places, with the logins that the user keeps for them.
pub(crate) struct Remote {
    client: Client,
    netrc: Netrc,
}

impl Remote {
    /// Reads the user's logins: from the file that NETRC names, else ~/.netrc, unless GOAUTH says not to. Commands in GOAUTH are not run:
    /// they are told as a warning.
    pub(crate) fn new(
        client: Client,
        environment: &GoEnvironment,
        events: &Events,
    ) -> Result<Self, FileError> {
        let methods = environment.value("GOAUTH").unwrap_or("netrc").split(';').map(str::trim);
        let mut netrc = Netrc::default();
        for method in methods {
            match method {
                "off" => {}
                "netrc" => netrc = read_netrc(environment)?,
                other => {
                    let command = other.split_whitespace().next().unwrap_or_default();
                    events.warn(format!(
                        "GOAUTH's {command:?} is not asked for a login to fetch the toolchain: only netrc is"
                    ));
                }
            }
        }
        Ok(Remote { client, netrc })
    }

    /// The whole of a small thing.
    pub(crate) fn read(&self, url: &Url, limit: u64, events: &Events) -> Result<Vec<u8>, RemoteError> {
        if let Some(path) = local(url) {
            let mut bytes = Vec::new();
            open(&path)?.take(limit + 1).read_to_end(&mut bytes).map_err(FileError::of("read", &path))?;
            let is_all = bytes.len() as u64 <= limit;
            return is_all
                .then_some(bytes)
                .ok_or(RemoteError::TooLarge { place: path.display().to_string(), limit });
        }
        block_on(async {
            let response = self.client.send(&self.request(url), events).await?;
            if !response.status().is_success() {
                return Err(refusal(url, response).await);
            }
            Ok(response.bytes(limit).await?.to_vec())
        })
    }

    /// Downloads a large thing into a file, which is written anew. A download that breaks off is continued; one that fails leaves
    /// no file.
    pub(crate) fn download(
        &self,
        url: &Url,
        path: &Path,
        limit: u64,
        task: &Task,
    ) -> Result<(), RemoteError> {
        let downloaded = self.download_to(url, path, limit, task);
        if downloaded.is_err() {
            fs::remove_file(path).map_err(FileError::of("remove", path))?;
        }
        downloaded
    }

    fn download_to(&self, url: &Url, path: &Path, limit: u64, task: &Task) -> Result<(), RemoteError> {
        let mut file = BufWriter::new(File::create(path).map_err(FileError::of("create", path))?);
        let mut received = 0;
        let mut receive = |bytes: longshore_http::Bytes| {
            file.write_all(&bytes)?;
            received += bytes.len() as u64;
            task.progress(received, None);
            Ok(())
        };
        block_on(async {
            match self
                .client
                .download(&self.request(url), &mut Transfer::new(limit), &mut receive, task.events())
                .await?
            {
                Download::Complete(_) => Ok(()),
                Download::Refused(response) => Err(refusal(url, *response).await),
            }
        })?;
        file.flush().map_err(FileError::of("write", path))?;
        Ok(())
    }

    fn request(&self, url: &Url) -> Request {
        let request = Request::get(url.clone());
        // As with Go, a login is never sent in the clear.
        let login = (url.scheme() == "https").then(|| self.netrc.login(&host_of(url))).flatten();
        match login {
            Some((login, password)) => {
                let encoded = STANDARD.encode(format!("{login}:{password}"));
                request.authorization(&Secret::new(format!("Basic {encoded}")))
            }
            None => request,
        }
    }
}

async fn refusal(url: &Url, response: Response) -> RemoteError {
    let (place, status) = (redacted(url), response.status().as_u16());
    match status {
        404 | 410 => RemoteError::Missing { place },
        _ => {
            let text = response.excerpt(EXCERPT).await;
            let line = text.lines().next().unwrap_or_default().trim();
            // A page for browsers explains nothing in its first line.
            let text =
                if line.starts_with('<') { String::new() } else { line.replace(char::is_control, " ") };
            RemoteError::Refused { place, status, text }
        }
    }
}

fn read_netrc(environment: &GoEnvironment) -> Result<Netrc, FileError> {
    let named = environment.variable("NETRC").filter(|path| !path.is_empty()).map(PathBuf::from);
    let Some(path) = named.or_else(|| Some(environment.home()?.join(".netrc"))) else {
        return Ok(Netrc::default());
    };
    match fs::read(&path) {
        Ok(bytes) => Ok(Netrc::parse(&String::from_utf8_lossy(&bytes))),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Netrc::default())
        }
        Err(error) => Err(FileError::of("read", &path)(error)),
    }
}
