//! Speaking to one engine.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use longshore_events::{Events, Task, TaskKind};
use longshore_http::{
    Body as HttpBody, Client, HostTls, HttpError, HttpErrorKind, HttpSettings, Method, Request, Response,
    Url, block_on,
};
use longshore_image::ContentError;
use longshore_image::archive::{Archive, ArchiveBytes, SavedImage};
use longshore_oci::Platform;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::endpoint::{Address, Endpoint, EngineKind, EngineVariables, TlsFiles};
use crate::error::{EngineError, EngineErrorKind};
use crate::stream::{Body, listen_to_load};
use crate::version::{ApiVersion, RANGE};

/// Largest answer that is read whole, in bytes: the list of all images of a build server.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// Bytes of an answer that says no.
const MAX_REFUSAL: usize = 16 * 1024;

/// Longest silence of an engine, which unpacks a large layer without a word.
const PATIENCE: Duration = Duration::from_secs(600);

/// An engine that can be spoken to.
pub struct Engine {
    endpoint: Endpoint,
    client: Client,
    base: Url,
    version: OnceLock<ApiVersion>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Engine").field(&self.endpoint).finish()
    }
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// What it is, whoever was expected.
    pub kind: EngineKind,
    /// Its version.
    pub version: String,
    /// The version of the API that is spoken with it.
    pub api_version: String,
    /// What it runs on: `linux/amd64`.
    pub platform: String,
    /// What it keeps layers with: `overlay2`, `overlayfs`, `vfs`.
    pub storage_driver: String,
    /// Whether it keeps images in containerd, which takes indexes of several platforms.
    pub containerd_store: bool,
    /// Whether it runs without root.
    pub rootless: bool,
    /// Where it keeps what it has.
    pub folder: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    #[serde(default)]
    version: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    arch: String,
    #[serde(default)]
    components: Option<Vec<Component>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    #[serde(default)]
    driver: String,
    #[serde(default)]
    driver_status: Option<Vec<Vec<String>>>,
    #[serde(default)]
    security_options: Option<Vec<String>>,
    #[serde(default)]
    docker_root_dir: String,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Engine {
    /// The engine at `endpoint`. Nothing is sent yet. `settings` are those of other HTTP: proxies count for TCP alone.
    ///
    /// Errors: the address is none that a URL can hold.
    pub fn new(endpoint: Endpoint, settings: &HttpSettings) -> Result<Engine, EngineError> {
        let address = match &endpoint.address {
            Address::Unix(_) => "http://localhost/".to_owned(),
            Address::Tcp(host, None) => format!("http://{host}/"),
            Address::Tcp(host, Some(_)) => format!("https://{host}/"),
        };
        let base = Url::parse(&address).map_err(|_| EngineError {
            action: "speak to",
            endpoint: endpoint.to_string(),
            kind: EngineErrorKind::Address(endpoint.address.to_string()),
        })?;
        // An engine that is not there is told of at once: the next place is looked at, or the person starts it.
        let mut settings = HttpSettings { attempts: 1, stall_timeout: PATIENCE, ..settings.clone() };
        let client = match &endpoint.address {
            Address::Unix(socket) => {
                settings.proxies = longshore_http::ProxySettings::default();
                Client::unix(settings, socket)
            }
            Address::Tcp(_, tls) => {
                if let Some(files) = tls {
                    trust(&mut settings, &base, files);
                }
                Client::new(settings)
            }
        };
        Ok(Engine { endpoint, client, base, version: OnceLock::new() })
    }

    /// The first engine of `kind` that answers where `variables` lead.
    ///
    /// Errors: none does; then the one that is there and refuses is told of, if there is one. An address or a context that is
    /// named cannot be understood.
    pub fn find(
        kind: EngineKind,
        variables: &EngineVariables,
        settings: &HttpSettings,
        events: &Events,
    ) -> Result<Engine, EngineError> {
        let mut looked = Vec::new();
        let mut refused = None;
        for endpoint in variables.endpoints(kind)? {
            looked.push(endpoint.address.to_string());
            let missing = matches!(&endpoint.address, Address::Unix(socket) if !socket.exists());
            if missing {
                continue;
            }
            let engine = Engine::new(endpoint, settings)?;
            match engine.ping(events) {
                Ok(()) => return Ok(engine),
                Err(error) if error.is_absent() => refused = refused.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        let kind_of_error = EngineErrorKind::Absent { looked };
        let absent = EngineError { action: "find", endpoint: kind.to_string(), kind: kind_of_error };
        Err(refused.unwrap_or(absent))
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks whether it is there. Errors: it is not, or speaks an API that is too old.
    pub fn ping(&self, events: &Events) -> Result<(), EngineError> {
        self.agree(events).map(drop).map_err(|kind| self.error("reach", kind))
    }

    /// Asks what it is. Errors: it does not answer.
    pub fn info(&self, events: &Events) -> Result<EngineInfo, EngineError> {
        let ask = || -> Result<EngineInfo, EngineErrorKind> {
            let version: Version = self.json(self.request(Method::GET, "version", events)?, events)?;
            let info: Info = self.json(self.request(Method::GET, "info", events)?, events)?;
            let components = version.components.unwrap_or_default();
            let podman = components.iter().any(|component| component.name.starts_with("Podman"));
            let status = info.driver_status.unwrap_or_default();
            let snapshotter =
                |pair: &Vec<String>| pair.iter().any(|text| text.starts_with("io.containerd.snapshotter"));
            let rootless = |option: &String| option.split(',').any(|part| part == "name=rootless");
            Ok(EngineInfo {
                kind: if podman { EngineKind::Podman } else { EngineKind::Docker },
                version: version.version,
                api_version: self.agree(events)?.to_string(),
                platform: format!("{}/{}", version.os, version.arch),
                storage_driver: info.driver,
                containerd_store: status.iter().any(snapshotter),
                rootless: info.security_options.unwrap_or_default().iter().any(rootless),
                folder: info.docker_root_dir,
            })
        };
        ask().map_err(|kind| self.error("ask", kind))
    }

    /// Loads images, streamed as an archive without a file in between. Of an index, an engine that keeps one platform gets that
    /// for `platform`. Returns the names that the engine says it loaded, or the IDs of those without a name.
    ///
    /// Errors: an image cannot be read, or the engine refuses it or breaks off.
    pub fn load(
        &self,
        images: &[SavedImage],
        platform: &Platform,
        events: &Events,
    ) -> Result<Vec<String>, EngineError> {
        let load = || -> Result<Vec<String>, EngineErrorKind> {
            let archive = ArchiveBytes::new(images, platform)?;
            let mut request = self.request(Method::POST, "images/load", events)?;
            request.url.query_pairs_mut().append_pair("quiet", "0");
            let (size, events_of_body) = (archive.size(), events.clone());
            let open = move || -> io::Result<Box<dyn Read + Send>> {
                let task = events_of_body.task(TaskKind::Upload, "send to the engine");
                Ok(Box::new(Counted { inner: archive.read(), task: Some(task), done: 0, size }))
            };
            let tar = longshore_http::header::HeaderValue::from_static("application/x-tar");
            let sent = Request::new(request.method, request.url)
                .header(longshore_http::header::CONTENT_TYPE, tar)
                .body(HttpBody::reader(size, open));
            listen_to_load(Body::new(self.send(&sent, events)?), events)
        };
        load().map_err(|kind| self.error("load an image into", kind))
    }

    /// Fetches images by their names as an archive, by way of a temporary file without a name in `temporary`.
    ///
    /// Errors: the engine does not have one of them, or what it sends is no archive.
    pub fn export(&self, names: &[&str], temporary: &Path, events: &Events) -> Result<Archive, EngineError> {
        let export = || -> Result<Archive, EngineErrorKind> {
            let mut request = self.request(Method::GET, "images/get", events)?;
            request.url.query_pairs_mut().extend_pairs(names.iter().map(|name| ("names", name)));
            let sent = Request::new(request.method, request.url);
            Ok(Archive::read(Body::new(self.send(&sent, events)?), temporary, events)?)
        };
        export().map_err(|kind| self.error("export an image from", kind))
    }

    pub(crate) fn error(&self, action: &'static str, kind: EngineErrorKind) -> EngineError {
        EngineError { action, endpoint: self.endpoint.to_string(), kind }
    }

    /// The version of the API that is spoken, asked for once.
    fn agree(&self, events: &Events) -> Result<ApiVersion, EngineErrorKind> {
        if let Some(version) = self.version.get() {
            return Ok(*version);
        }
        let mut url = self.base.clone();
        url.set_path("_ping");
        let response = self.send(&Request::get(url), events)?;
        let name = longshore_http::header::HeaderName::from_static("api-version");
        let found = response.header(name).unwrap_or_default().to_owned();
        let agreed = found.parse::<ApiVersion>().ok().and_then(ApiVersion::agreed);
        let version = agreed.ok_or(EngineErrorKind::Version { found, expected: RANGE })?;
        Ok(*self.version.get_or_init(|| version))
    }

    /// A request to a path below the agreed version.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        events: &Events,
    ) -> Result<Call, EngineErrorKind> {
        let mut url = self.base.clone();
        url.set_path(&format!("v{}/{path}", self.agree(events)?));
        Ok(Call { method, url })
    }

    pub(crate) fn json<T: DeserializeOwned>(
        &self,
        call: Call,
        events: &Events,
    ) -> Result<T, EngineErrorKind> {
        let response = self.send(&Request::new(call.method, call.url), events)?;
        let bytes = block_on(response.bytes(MAX_ANSWER))?;
        serde_json::from_slice(&bytes).map_err(EngineErrorKind::Json)
    }

    /// Sends a request, and makes an error of an answer that says no.
    pub(crate) fn send(&self, request: &Request, events: &Events) -> Result<Response, EngineErrorKind> {
        let response = block_on(self.client.send(request, events)).map_err(cause)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = block_on(response.excerpt(MAX_REFUSAL));
        let message = serde_json::from_str(&text).map_or(text, |refusal: Refusal| refusal.message);
        let message = message.trim().chars().filter(|c| !c.is_control()).collect();
        Err(EngineErrorKind::Status { status: status.as_u16(), message })
    }
}

/// Adds an engine's files to the settings of its host, which has no port where that is the scheme's own.
fn trust(settings: &mut HttpSettings, base: &Url, files: &TlsFiles) {
    let name = base.host_str().unwrap_or_default();
    let host = base.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
    let authorities = files.authority.iter().cloned().collect();
    settings.hosts.insert(host.clone(), HostTls { authorities, identity: files.identity.clone() });
    if files.unverified {
        settings.unverified_hosts.insert(host);
    }
}

/// What is asked of an engine.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
}

/// Where an image could not be read while it was sent, that is what went wrong.
fn cause(error: HttpError) -> EngineErrorKind {
    let (method, url) = (error.method, error.url);
    match error.kind {
        HttpErrorKind::Local(source) => match source.downcast::<ContentError>() {
            Ok(error) => EngineErrorKind::Content(error),
            Err(source) => HttpError { method, url, kind: HttpErrorKind::Local(source) }.into(),
        },
        HttpErrorKind::Cancelled(cancelled) => EngineErrorKind::Cancelled(cancelled),
        kind => HttpError { method, url, kind }.into(),
    }
}

struct Counted<R> {
    inner: R,
    task: Option<Task>,
    done: u64,
    size: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.done += count as u64;
        if let Some(task) = &self.task {
            task.progress(self.done, Some(self.size));
        }
        if self.done == self.size
            && let Some(task) = self.task.take()
        {
            task.done("");
        }
        Ok(count)
    }
}
