//! Google's Artifact Registry and Container Registry.
//!
//! Application default credentials: the file that `$GOOGLE_APPLICATION_CREDENTIALS` names or that gcloud left, of a service account
//! (a JWT signed by its key, RFC 7523) or of a user (an OAuth 2 refresh token); else the machine's metadata server.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use longshore_http::header::HeaderName;
use longshore_http::{Request, Secret, Url};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;

use super::cloud::{Provided, Surroundings, read};
use super::{Credential, CredentialError};
use crate::form::post;

const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const API: &str = "Google";
const VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const METADATA: &str = "computeMetadata/v1/instance/service-accounts/default/token";

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum File {
    ServiceAccount {
        client_email: String,
        private_key: String,
        #[serde(default)]
        private_key_id: String,
        token_uri: Option<String>,
    },
    AuthorizedUser {
        client_id: String,
        client_secret: String,
        refresh_token: String,
        token_uri: Option<String>,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
}

pub(super) fn is_registry(registry: &str) -> bool {
    registry == "gcr.io" || registry.ends_with(".gcr.io") || registry.ends_with(".pkg.dev")
}

pub(super) fn look_for(around: &Surroundings<'_>) -> Result<Provided, CredentialError> {
    let below_home = ".config/gcloud/application_default_credentials.json";
    if let Some(path) = around.file(VARIABLE, below_home)
        && let Some(bytes) = read(&path, around.variable(VARIABLE).is_some())?
    {
        let answer: Answer = around.ask(API, &request(&path, &bytes)?)?;
        return Ok(Provided::Found(credential(answer), path.display().to_string()));
    }
    let host = around.variable("GCE_METADATA_HOST").unwrap_or("169.254.169.254");
    let url: Result<Url, _> = format!("http://{host}/{METADATA}").parse();
    let url = url.map_err(|_| CredentialError::Variable {
        name: "GCE_METADATA_HOST".to_owned(),
        expected: "HOST or HOST:PORT",
    })?;
    let request = Request::get(url).text_header(HeaderName::from_static("metadata-flavor"), "Google");
    Ok(match around.ask_metadata(API, &request)? {
        Some(answer) => Provided::Found(credential(answer), "Google's metadata server".to_owned()),
        None => Provided::Nothing("Google's application default credentials and metadata server"),
    })
}

fn credential(answer: Answer) -> Credential {
    Credential::Password { user: "oauth2accesstoken".to_owned(), password: Secret::new(answer.access_token) }
}

fn request(path: &Path, bytes: &[u8]) -> Result<Request, CredentialError> {
    let file: File = serde_json::from_slice(bytes).map_err(|error| CredentialError::Json {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
    })?;
    let unusable = |entry: &str| CredentialError::Unusable { path: path.to_owned(), entry: entry.to_owned() };
    let url = |uri: &Option<String>| -> Result<Url, CredentialError> {
        uri.as_deref().unwrap_or(TOKEN_URL).parse().map_err(|_| unusable("token_uri"))
    };
    match &file {
        File::ServiceAccount { client_email, private_key, private_key_id, token_uri } => {
            let url = url(token_uri)?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let audience = token_uri.as_deref().unwrap_or(TOKEN_URL);
            let claims = serde_json::json!({
                "iss": client_email, "scope": SCOPE, "aud": audience, "iat": now, "exp": now + 3600,
            });
            let header = serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": private_key_id});
            let signed = jwt(&header, &claims, private_key).ok_or_else(|| unusable("private_key"))?;
            let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
            Ok(post(url, &[("grant_type", grant), ("assertion", &signed)]))
        }
        File::AuthorizedUser { client_id, client_secret, refresh_token, token_uri } => Ok(post(
            url(token_uri)?,
            &[
                ("grant_type", "refresh_token"),
                ("client_id", client_id),
                ("client_secret", client_secret),
                ("refresh_token", refresh_token),
            ],
        )),
        File::Unknown => Err(unusable("type")),
    }
}

/// A JWT (RFC 7519) signed by an RSA key in PEM, PKCS #8. `None`: the key is none.
fn jwt(header: &serde_json::Value, claims: &serde_json::Value, pem: &str) -> Option<String> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(body).ok()?).ok()?;
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).ok()?;
    Some(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use longshore_testkit::{Answer as Served, FaultServer, Folder, Reply};

    use super::*;
    use crate::credentials::testing::{look_for as look, variables};

    /// A key made for this test, PKCS #8 in base64, and its public half.
    const KEY: &str = include_str!("../../tests/data/rsa-private.base64");
    const PUBLIC: &str = include_str!("../../tests/data/rsa-public.base64");

    #[test]
    fn registries_of_google_are_known_by_their_names() {
        for (registry, is) in [
            ("gcr.io", true),
            ("eu.gcr.io", true),
            ("europe-docker.pkg.dev", true),
            ("notgcr.io", false),
            ("gcr.io.evil.example", false),
        ] {
            assert_eq!(is_registry(registry), is, "{registry}");
        }
    }

    #[test]
    fn a_service_accounts_assertion_is_signed_by_its_key() {
        let claims = serde_json::json!({"iss": "me"});
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----\n");
        let jwt = jwt(&serde_json::json!({"alg": "RS256"}), &claims, &pem).unwrap();
        let (message, signature) = jwt.rsplit_once('.').unwrap();
        let public: String = PUBLIC.split_whitespace().collect();
        let public = STANDARD.decode(public).unwrap();
        let key =
            ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, public);
        key.verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        assert_eq!(message, "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJtZSJ9");
        assert_eq!(super::jwt(&claims, &claims, "no key"), None);
    }

    #[test]
    fn accounts_users_and_machines_get_their_tokens() {
        let server = FaultServer::start(|request| {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let token = match request.target.as_str() {
                "/token"
                    if form.starts_with(
                        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=ey",
                    ) =>
                {
                    "account"
                }
                "/token"
                    if form == "grant_type=refresh_token&client_id=i&client_secret=s&refresh_token=r" =>
                {
                    "user"
                }
                "/computeMetadata/v1/instance/service-accounts/default/token"
                    if request.header("metadata-flavor") == Some("Google") =>
                {
                    "machine"
                }
                _ => return Reply::Answer(Served::new(400, r#"{"error_description":"Bad Request"}"#)),
            };
            Reply::Answer(Served::new(200, format!(r#"{{"access_token":"{token}","expires_in":3599}}"#)))
        })
        .unwrap();
        let folder = Folder::new().unwrap();
        let file = |name: &str, content: serde_json::Value| {
            folder.write(name, content.to_string()).unwrap().display().to_string()
        };
        let token_uri = format!("{}/token", server.url());
        let account = file(
            "account",
            serde_json::json!({
                "type": "service_account", "client_email": "me@x", "private_key": KEY, "token_uri": token_uri,
            }),
        );
        let user = file(
            "user",
            serde_json::json!({
                "type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r",
                "token_uri": token_uri,
            }),
        );
        let other = file("other", serde_json::json!({"type": "external_account"}));
        let address = server.address();
        let unusable = format!("cannot use `type` in {other}");
        for (own, expected) in [
            (&[(VARIABLE, account.as_str())][..], "oauth2accesstoken account"),
            (&[(VARIABLE, &user)], "oauth2accesstoken user"),
            (&[("GCE_METADATA_HOST", &address)], "oauth2accesstoken machine"),
            (&[("GCE_METADATA_HOST", "127.0.0.1:1")], "nothing"),
            (&[(VARIABLE, &other)], &unusable),
        ] {
            assert_eq!(look("gcr.io", &variables(own), "https://unused.example/v2/"), expected);
        }
    }
}
