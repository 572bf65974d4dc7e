//! Tokens: how a registry's token server turns credentials into the right to do one thing for a short time.
//!
//! Distribution's token specification: a GET with the scopes wanted, by Basic or by nobody; and its OAuth 2 form, a POST with a refresh
//! token, for identity tokens. Every scope is asked for on its own or together with others, so that one token may read one
//! repository and write another (cross-repository mounts).

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use longshore_events::Events;
use longshore_http::{Client, Request, Response, Secret, StatusCode, Url, block_on};
use serde::Deserialize;

use crate::answer::said;
use crate::challenge::Challenge;
use crate::credentials::Credential;
use crate::error::{Outcome, RegistryErrorKind};
use crate::form::post;

/// What a token lasts where its server does not say (distribution's token specification).
const LIFE: u64 = 60;
/// A token is not used in the last moments of its life.
const MARGIN: Duration = Duration::from_secs(5);
/// Largest answer of a token server that is read, in bytes.
const MOST: u64 = 1024 * 1024;
const CLIENT_ID: &str = "longshore";

/// A token with its end.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// The `Authorization` header's value.
    pub(crate) header: Secret,
    ends: Instant,
}

impl Token {
    pub(crate) fn is_fresh(&self) -> bool {
        Instant::now() < self.ends
    }
}

/// Where tokens are had.
pub(crate) struct TokenServer {
    /// The registry, for messages.
    registry: String,
    realm: Url,
    service: Option<String>,
}

/// A token server's refusal: the credentials are not good enough.
pub(crate) struct Refused {
    pub(crate) said: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl TokenServer {
    /// The server that a challenge names.
    ///
    /// Errors: it names none, or one that would be sent credentials in the clear on behalf of a registry that has TLS.
    pub(crate) fn of(challenge: &Challenge, registry: &str, base: &Url) -> Outcome<TokenServer> {
        let protocol =
            |problem: String| RegistryErrorKind::Protocol { registry: registry.to_owned(), problem };
        let realm = challenge.parameter("realm").unwrap_or_default();
        let realm: Url = match realm.parse() {
            Ok(realm) => realm,
            Err(_) => return Err(protocol(format!("names `{realm}` as its token server")).into()),
        };
        let secure = realm.scheme() == "https" || (realm.scheme() == "http" && base.scheme() == "http");
        if !secure {
            let shown = longshore_http::redacted(&realm);
            return Err(protocol(format!("names a token server without TLS, {shown}")).into());
        }
        let service = challenge.parameter("service").map(str::to_owned);
        Ok(TokenServer { registry: registry.to_owned(), realm, service })
    }

    /// Asks for a token. The inner error: the server refuses these credentials.
    pub(crate) fn token(
        &self,
        client: &Client,
        scopes: &[String],
        credential: Option<&Credential>,
        events: &Events,
    ) -> Outcome<Result<Token, Refused>> {
        let request = match credential {
            Some(Credential::Identity(refresh)) => self.exchange(scopes, refresh),
            Some(Credential::Password { user, password }) => {
                self.ask(scopes).authorization(&basic(user, password))
            }
            Some(Credential::Bearer(_)) | None => self.ask(scopes),
        };
        let response = block_on(client.send(&request, events))?;
        match response.status() {
            StatusCode::OK => self.read(response).map(Ok),
            // 400 is what RFC 6749 has for a refresh token that is no longer good.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                Ok(Err(Refused { said: block_on(said(response)) }))
            }
            _ => Err(self.unexpected(response)),
        }
    }

    fn ask(&self, scopes: &[String]) -> Request {
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &self.service {
                query.append_pair("service", service);
            }
            for scope in scopes {
                query.append_pair("scope", scope);
            }
        }
        Request::get(url)
    }

    fn exchange(&self, scopes: &[String], refresh: &Secret) -> Request {
        let fields = [
            ("grant_type", "refresh_token"),
            ("service", self.service.as_deref().unwrap_or_default()),
            ("client_id", CLIENT_ID),
            ("scope", &scopes.join(" ")),
            ("refresh_token", refresh.reveal()),
        ];
        post(self.realm.clone(), &fields)
    }

    fn read(&self, response: Response) -> Outcome<Token> {
        let answer: Answer = block_on(response.json(MOST))?;
        let given = answer.token.filter(|token| !token.is_empty()).or(answer.access_token);
        let Some(token) = given.filter(|token| !token.is_empty()) else {
            let problem =
                format!("to a request for a token at {} holds none", longshore_http::redacted(&self.realm));
            return Err(RegistryErrorKind::Protocol { registry: self.registry.clone(), problem }.into());
        };
        // A server that says 0 means its default; nothing sensible lasts longer than a day.
        let life = answer.expires_in.filter(|&seconds| seconds > 0).unwrap_or(LIFE).min(86_400);
        let life = Duration::from_secs(life);
        let ends = Instant::now() + life.saturating_sub(MARGIN.min(life / 2));
        Ok(Token { header: Secret::new(format!("Bearer {token}")), ends })
    }

    fn unexpected(&self, response: Response) -> Box<RegistryErrorKind> {
        let status = response.status();
        let asked = format!("give a token at {}", longshore_http::redacted(&self.realm));
        let said = block_on(said(response));
        RegistryErrorKind::Status { registry: self.registry.clone(), status, asked, said }.into()
    }
}

/// The `Authorization` header of Basic authentication. RFC 7617.
pub(crate) fn basic(user: &str, password: &Secret) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.reveal()))))
}
