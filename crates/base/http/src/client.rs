//! Sending requests, and sending them again.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::Stream;
use longshore_events::Events;
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode};
use tokio::sync::mpsc;
use url::Url;

use crate::error::{HttpError, HttpErrorKind, kind_of};
use crate::names::Names;
use crate::redirect;
use crate::request::{Body, Request};
use crate::response::Response;
use crate::retry::{backoff, is_transient, retry_after};
use crate::settings::HttpSettings;
use crate::stall::{Pulse, watched, within};
use crate::tls;

/// Attempts to connect: a wrong name or a server that does not run should be told soon.
const CONNECT_ATTEMPTS: u32 = 3;
/// Bytes that are read from a body at once.
const PIECE: usize = 256 * 1024;

/// Speaks HTTP by the one policy. Cheap to clone; clones share connections. Nothing is set up before the first request.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: HttpSettings,
    socket: Option<PathBuf>,
    /// One client for each scheme and host, since trust and identity are a host's own.
    clients: Mutex<HashMap<String, reqwest::Client>>,
}

impl Client {
    /// A client by `settings`.
    pub fn new(settings: HttpSettings) -> Self {
        Client { inner: Arc::new(Inner { settings, socket: None, clients: Mutex::default() }) }
    }

    /// A client whose every connection goes to a Unix socket, whatever a URL's host.
    pub fn unix(settings: HttpSettings, socket: &Path) -> Self {
        Client {
            inner: Arc::new(Inner { settings, socket: Some(socket.to_owned()), clients: Mutex::default() }),
        }
    }

    /// What the client was made from.
    pub fn settings(&self) -> &HttpSettings {
        &self.inner.settings
    }

    /// Sends a request, and again where that may help: after a refused or broken connection, and after the answers 408, 429 and
    /// 5xx but for 501 and 505, as long as the request is repeatable. Waits in between as `Retry-After` says, or longer each time.
    ///
    /// The last answer is returned whatever its status. Errors: there is none, or the work was cancelled.
    pub async fn send(&self, request: &Request, events: &Events) -> Result<Response, HttpError> {
        let attempts = self.inner.settings.attempts.max(1);
        let mut failed = 0;
        loop {
            let outcome = self.send_once(request, events).await;
            failed += 1;
            let wait = match &outcome {
                Ok(response) => self.wait_after_answer(request, response, failed),
                Err(error) if error.is_transient() && request.repeatable => {
                    Some(backoff(self.inner.settings.backoff, failed))
                }
                Err(_) => None,
            };
            let connecting = matches!(&outcome, Err(HttpError { kind: HttpErrorKind::Connect { .. }, .. }));
            let most = if connecting { attempts.min(CONNECT_ATTEMPTS) } else { attempts };
            match wait {
                Some(wait) if failed < most => {
                    let reason = match &outcome {
                        Ok(response) => format!("{} answered {}", host_of(request.url()), response.status()),
                        Err(error) => error.kind.to_string(),
                    };
                    events.note(format!("{reason}; trying again in {:.1} s", wait.as_secs_f32()));
                    self.sleep(wait, request, events).await?;
                }
                _ => return outcome,
            }
        }
    }

    fn wait_after_answer(&self, request: &Request, response: &Response, failed: u32) -> Option<Duration> {
        let status = response.status();
        // 429 says that nothing was done: whatever was asked may be asked again.
        if !is_transient(status) || !(request.repeatable || status == StatusCode::TOO_MANY_REQUESTS) {
            return None;
        }
        let settings = &self.inner.settings;
        match retry_after(response.headers(), SystemTime::now()) {
            Some(wait) => (wait <= settings.retry_after_limit).then_some(wait),
            None => Some(backoff(settings.backoff, failed)),
        }
    }

    pub(crate) async fn sleep(
        &self,
        wait: Duration,
        request: &Request,
        events: &Events,
    ) -> Result<(), HttpError> {
        within(Duration::MAX, "", events, tokio::time::sleep(wait))
            .await
            .map_err(|kind| HttpError::new(&request.method, &request.url, kind))
    }

    /// Sends a request once. Errors as [`Client::send`].
    pub async fn send_once(&self, request: &Request, events: &Events) -> Result<Response, HttpError> {
        self.exchange(request, events)
            .await
            .map_err(|kind| HttpError::new(&request.method, &request.url, kind))
    }

    /// Sends a request and follows where its answer leads.
    async fn exchange(&self, request: &Request, events: &Events) -> Result<Response, HttpErrorKind> {
        let mut request = std::borrow::Cow::Borrowed(request);
        for _ in 0..=redirect::MOST {
            let response = self.exchange_once(&request, events).await?;
            match redirect::next(&request, &response.inner)? {
                Some(following) => request = std::borrow::Cow::Owned(following),
                None => return Ok(response),
            }
        }
        Err(HttpErrorKind::Redirect(format!("there are more than {} in a row", redirect::MOST)))
    }

    async fn exchange_once(&self, request: &Request, events: &Events) -> Result<Response, HttpErrorKind> {
        events.check()?;
        let host = host_of(&request.url);
        let client = self.client_for(&request.url, &host)?;
        let pulse = Pulse::new(self.inner.settings.stall_timeout);
        let mut builder =
            client.request(request.method.clone(), request.url.clone()).headers(request.headers.clone());
        let mut local_error = None;
        match &request.body {
            Body::Empty if matches!(request.method, Method::POST | Method::PUT | Method::PATCH) => {
                builder = builder.header(reqwest::header::CONTENT_LENGTH, 0);
            }
            Body::Empty => {}
            Body::Bytes(bytes) => builder = builder.body(bytes.clone()),
            Body::Reader { size, open } => {
                let patience = self.inner.settings.answer_timeout;
                let (body, errors) = stream(open().map_err(HttpErrorKind::Local)?, &pulse, patience);
                local_error = Some(errors);
                builder = builder.header(reqwest::header::CONTENT_LENGTH, *size).body(body);
            }
        }
        let outcome = watched(&host, events, &pulse, builder.send()).await?;
        // What went wrong with reading the body is the cause of what the connection then said.
        if outcome.is_err()
            && let Some(error) =
                local_error.and_then(|errors| errors.lock().unwrap_or_else(PoisonError::into_inner).take())
        {
            return Err(HttpErrorKind::Local(error));
        }
        let inner = outcome.map_err(|error| kind_of(error, host))?;
        let stall = self.inner.settings.stall_timeout;
        Ok(Response { inner, method: request.method.clone(), stall, events: events.clone() })
    }

    fn client_for(&self, url: &Url, host: &str) -> Result<reqwest::Client, HttpErrorKind> {
        let key = format!("{}://{host}", url.scheme());
        let mut clients = self.inner.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = self.build(url.scheme() == "https", host)?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn build(&self, secure: bool, host: &str) -> Result<reqwest::Client, HttpErrorKind> {
        let settings = &self.inner.settings;
        let proxies = settings.proxies.clone();
        let builder = reqwest::Client::builder()
            .user_agent(concat!("longshore/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(Duration::from_secs(60))
            .redirect(Policy::none())
            .dns_resolver(Names::shared())
            .no_proxy()
            .proxy(reqwest::Proxy::custom(move |url| proxies.choose(url).cloned()));
        let builder = match &self.inner.socket {
            Some(socket) => builder.unix_socket(socket.as_path()),
            None => builder,
        };
        let builder = if secure { tls::configure(builder, settings, host)? } else { tls::none(builder) };
        builder.build().map_err(|error| HttpErrorKind::Request(Box::new(error.without_url())))
    }
}

/// HOST, or HOST:PORT where the port is not the scheme's own; the scheme where a URL has no host.
pub fn host_of(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => url.scheme().to_owned(),
    }
}

type LocalError = Arc<Mutex<Option<io::Error>>>;

/// A body that a thread reads ahead by a few pieces. What fails while reading is left in the second value.
fn stream(
    mut reader: Box<dyn Read + Send>,
    pulse: &Pulse,
    patience: Duration,
) -> (reqwest::Body, LocalError) {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(4);
    let failure = LocalError::default();
    let (thread_failure, pulse) = (Arc::clone(&failure), pulse.clone());
    tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let item = match reader.read(&mut piece) {
                Ok(0) => {
                    // A registry may take long to store what it has received.
                    pulse.be_patient(patience);
                    return;
                }
                Ok(count) => {
                    piece.truncate(count);
                    Ok(Bytes::from(piece))
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let shown = io::Error::new(error.kind(), error.to_string());
                    *thread_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    Err(shown)
                }
            };
            let failed = item.is_err();
            // Nobody takes the rest: the request ended early.
            if sender.blocking_send(item).is_err() || failed {
                return;
            }
            pulse.beat();
        }
    });
    (reqwest::Body::wrap_stream(Pieces(receiver)), failure)
}

struct Pieces(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
