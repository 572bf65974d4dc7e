//! One endpoint, met: how it is spoken to, what it wants to see, and the tokens that it gave.
//!
//! Whoever sends a request says what it needs to do ([`Access`]); the session finds out how the endpoint is to be asked (one
//! request to `/v2/`, once), gets what it wants, shows it, and when it is refused though it was shown – a token that ended early –
//! gets it anew, once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use longshore_events::Events;
use longshore_http::header::WWW_AUTHENTICATE;
use longshore_http::{
    Client, HttpErrorKind, Request, Response, Secret, StatusCode, Url, block_on, retry_after,
};

use crate::answer::said;
use crate::challenge::{self, Challenge};
use crate::credentials::{self, Credential, Found, Wanted};
use crate::endpoint::Endpoint;
use crate::error::{Outcome, RegistryErrorKind, Unauthorized};
use crate::token::{Token, TokenServer, basic};

/// What a request needs to be allowed to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    /// The repository, by the endpoint's name for it.
    pub(crate) repository: String,
    /// `pull`, `pull,push`, `pull,push,delete`.
    pub(crate) actions: &'static str,
    /// Another repository of the endpoint that is read.
    pub(crate) also_from: Option<String>,
}

impl Access {
    fn scopes(&self) -> Vec<String> {
        let own = format!("repository:{}:{}", self.repository, self.actions);
        let other = self.also_from.as_ref().map(|other| format!("repository:{other}:pull"));
        [own].into_iter().chain(other).collect()
    }
}

/// An endpoint and what is known of it. Shared by all that speak to it.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) endpoint: Endpoint,
    variables: Arc<BTreeMap<String, String>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    base: Option<Url>,
    challenge: Option<Challenge>,
    tokens: BTreeMap<Vec<String>, Token>,
    credentials: BTreeMap<String, Found>,
}

/// What is shown with a request, and where it is from.
#[derive(Default)]
struct Shown {
    header: Option<Secret>,
    source: Option<String>,
}

impl Session {
    pub(crate) fn new(
        client: Client,
        endpoint: Endpoint,
        variables: Arc<BTreeMap<String, String>>,
    ) -> Session {
        Session { client, endpoint, variables, state: Mutex::default() }
    }

    /// The registry's name.
    pub(crate) fn registry(&self) -> &str {
        &self.endpoint.registry
    }

    /// The endpoint's `…/v2/`. Asks it once; threads that come meanwhile wait for the answer.
    pub(crate) fn base(&self, events: &Events) -> Outcome<Url> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(base) = &state.base {
            return Ok(base.clone());
        }
        let (base, response) = self.meet(events)?;
        state.challenge = chosen(&response);
        state.base = Some(base.clone());
        Ok(base)
    }

    /// Finds the way to speak to the endpoint.
    fn meet(&self, events: &Events) -> Outcome<(Url, Response)> {
        let mut first_error = None;
        for (index, base) in self.endpoint.bases.iter().enumerate() {
            let request = Request::get(base.clone());
            let last = index + 1 == self.endpoint.bases.len();
            // Where there is another way, a refusal is an answer.
            let outcome = if last {
                block_on(self.client.send(&request, events))
            } else {
                block_on(self.client.send_once(&request, events))
            };
            match outcome {
                // A server that speaks TLS says 400 to plain HTTP: then its certificate was the problem.
                Ok(response) if response.status() == StatusCode::BAD_REQUEST && first_error.is_some() => {}
                Ok(response) => {
                    let status = response.status();
                    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
                        return Err(self.failure(response, "say what it is", "its API"));
                    }
                    return Ok((base.clone(), response));
                }
                Err(error) if error.is_cancelled() => return Err(error.into()),
                // Nobody listens: the second way fails alike, and its message is the simpler one.
                Err(error) if matches!(error.kind, HttpErrorKind::Connect { .. }) && !last => {}
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(match first_error {
            Some(error) => error.into(),
            None => self.protocol("is none that a registry gives"),
        })
    }

    /// Sends a request with what the endpoint wants to see. The answer may have any status but 401.
    pub(crate) fn send(&self, request: &Request, access: &Access, events: &Events) -> Outcome<Response> {
        self.send_by(request, access, events, |request| block_on(self.client.send(request, events)))
    }

    /// As [`Session::send`], for a request that moves much: what fails is not tried again here.
    pub(crate) fn send_once(&self, request: &Request, access: &Access, events: &Events) -> Outcome<Response> {
        self.send_by(request, access, events, |request| block_on(self.client.send_once(request, events)))
    }

    fn send_by(
        &self,
        request: &Request,
        access: &Access,
        events: &Events,
        send: impl Fn(&Request) -> Result<Response, longshore_http::HttpError>,
    ) -> Outcome<Response> {
        let mut refused: Option<Response> = None;
        loop {
            let shown = self.shown(access, events)?;
            // Nothing to show after all: the first answer stands.
            if let Some(response) = refused.take_if(|_| shown.header.is_none()) {
                return Err(self.unauthorized(access, shown.source, block_on(said(response)), events));
            }
            let response = send(&with(request.clone(), &shown))?;
            if response.status() != StatusCode::UNAUTHORIZED {
                return Ok(response);
            }
            if refused.is_some() || !self.learn(&response, access, &shown) {
                return Err(self.unauthorized(access, shown.source, block_on(said(response)), events));
            }
            refused = Some(response);
        }
    }

    /// A request with what the endpoint wants to see, for those who send it themselves.
    pub(crate) fn authorized(&self, request: Request, access: &Access, events: &Events) -> Outcome<Request> {
        Ok(with(request, &self.shown(access, events)?))
    }

    /// Forgets what was shown for an access, since it was refused. Whether there is anything else to show.
    pub(crate) fn learn_from(&self, response: &Response, access: &Access, events: &Events) -> Outcome<bool> {
        let shown = self.shown(access, events)?;
        Ok(self.learn(response, access, &shown))
    }

    /// The error of a 401 that nothing helps against.
    pub(crate) fn unauthorized_by(
        &self,
        response: Response,
        access: &Access,
        events: &Events,
    ) -> Box<RegistryErrorKind> {
        match self.shown(access, events) {
            Ok(shown) => self.unauthorized(access, shown.source, block_on(said(response)), events),
            Err(error) => error,
        }
    }

    /// Takes in a 401. Whether another attempt may show something else.
    fn learn(&self, response: &Response, access: &Access, shown: &Shown) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let challenge = chosen(response);
        let is_new = challenge.is_some() && challenge != state.challenge;
        let forgot = state.tokens.remove(&access.scopes()).is_some();
        if challenge.is_some() {
            state.challenge = challenge;
        }
        // Basic credentials do not get better by showing them twice.
        forgot || (is_new && shown.header.is_none())
    }

    fn shown(&self, access: &Access, events: &Events) -> Outcome<Shown> {
        let base = self.base(events)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(challenge) = state.challenge.clone() else { return Ok(Shown::default()) };
        let found = self.found(&mut state, access, events)?;
        let (credential, source) = found.credential.unzip();
        let header = match (challenge.scheme.as_str(), &credential) {
            (_, Some(Credential::Bearer(token))) => Some(Secret::new(format!("Bearer {}", token.reveal()))),
            ("basic", Some(Credential::Password { user, password })) => Some(basic(user, password)),
            ("bearer", _) => {
                let server = TokenServer::of(&challenge, self.registry(), &base)?;
                let token = self.token(&mut state, &server, access, credential.as_ref(), events)?;
                match token {
                    Ok(token) => Some(token.header),
                    Err(said) => {
                        drop(state);
                        return Err(self.unauthorized(access, source, said, events));
                    }
                }
            }
            _ => None,
        };
        let source = source.filter(|_| header.is_some());
        Ok(Shown { header, source })
    }

    /// A fresh token for an access, remembered or asked for. The inner error is what the token server said to refuse.
    fn token(
        &self,
        state: &mut State,
        server: &TokenServer,
        access: &Access,
        credential: Option<&Credential>,
        events: &Events,
    ) -> Outcome<Result<Token, Option<String>>> {
        let scopes = access.scopes();
        if let Some(token) = state.tokens.get(&scopes).filter(|token| token.is_fresh()) {
            return Ok(Ok(token.clone()));
        }
        let token = match server.token(&self.client, &scopes, credential, events)? {
            Ok(token) => token,
            Err(refused) => return Ok(Err(refused.said)),
        };
        state.tokens.insert(scopes, token.clone());
        Ok(Ok(token))
    }

    fn found(&self, state: &mut State, access: &Access, events: &Events) -> Outcome<Found> {
        if let Some(found) = state.credentials.get(&access.repository) {
            return Ok(found.clone());
        }
        let (registry, repository) = (self.registry(), &access.repository);
        let base = state.base.as_ref().or(self.endpoint.bases.first());
        let Some(base) = base else { return Ok(Found::default()) };
        let wanted = Wanted { registry, repository, variables: &self.variables, base };
        let found = credentials::look_for(&wanted, &self.client, events)?;
        state.credentials.insert(access.repository.clone(), found.clone());
        Ok(found)
    }

    fn unauthorized(
        &self,
        access: &Access,
        used: Option<String>,
        said: Option<String>,
        events: &Events,
    ) -> Box<RegistryErrorKind> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let looked = match self.found(&mut state, access, events) {
            Ok(found) => found.looked,
            Err(error) => return error,
        };
        let (registry, repository) = (self.registry().to_owned(), access.repository.clone());
        RegistryErrorKind::Unauthorized(Unauthorized { registry, repository, used, looked, said }).into()
    }

    /// Whether requests carry something that proves who asks.
    fn is_anonymous(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.credentials.values().all(|found| found.credential.is_none())
    }

    /// The error that an answer's status means.
    pub(crate) fn failure(&self, response: Response, asked: &str, what: &str) -> Box<RegistryErrorKind> {
        let (status, registry) = (response.status(), self.registry().to_owned());
        let retry_after = retry_after(response.headers(), std::time::SystemTime::now());
        let said = block_on(said(response));
        let kind = match status {
            StatusCode::FORBIDDEN => {
                let anonymous = self.is_anonymous();
                RegistryErrorKind::Denied { registry, repository: what.to_owned(), said, anonymous }
            }
            StatusCode::NOT_FOUND => RegistryErrorKind::NotFound { registry, what: what.to_owned(), said },
            StatusCode::TOO_MANY_REQUESTS => {
                RegistryErrorKind::TooManyRequests { registry, retry_after, said }
            }
            _ => RegistryErrorKind::Status { registry, status, asked: asked.to_owned(), said },
        };
        kind.into()
    }

    /// An answer that breaks the protocol.
    pub(crate) fn protocol(&self, problem: impl Into<String>) -> Box<RegistryErrorKind> {
        RegistryErrorKind::Protocol { registry: self.registry().to_owned(), problem: problem.into() }.into()
    }
}

fn with(request: Request, shown: &Shown) -> Request {
    match &shown.header {
        Some(header) => request.authorization(header),
        None => request,
    }
}

/// The challenge to answer: tokens rather than passwords.
fn chosen(response: &Response) -> Option<Challenge> {
    if response.status() != StatusCode::UNAUTHORIZED {
        return None;
    }
    let values = response.headers().get_all(WWW_AUTHENTICATE).iter();
    let mut challenges: Vec<_> =
        values.filter_map(|value| value.to_str().ok()).flat_map(challenge::parse).collect();
    challenges.retain(|challenge| matches!(challenge.scheme.as_str(), "bearer" | "basic"));
    challenges.sort_by_key(|challenge| challenge.scheme != "bearer");
    challenges.into_iter().next()
}
