//! Amazon's Elastic Container Registry.
//!
//! `GetAuthorizationToken` (ECR API 2015-09-21), signed by Signature Version 4, with the keys of the environment or of the shared
//! credentials file.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use longshore_http::header::{CONTENT_TYPE, HeaderName};
use longshore_http::{Body, Method, Request, Secret, Url};
use ring::{digest, hmac};
use serde::Deserialize;

use super::cloud::{Provided, Surroundings, read};
use super::{Credential, CredentialError};

const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
const JSON: &str = "application/x-amz-json-1.1";
const API: &str = "ECR";

/// Where a registry of ECR is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    region: String,
    domain: String,
    fips: bool,
}

impl Place {
    /// `ACCOUNT.dkr.ecr.REGION.amazonaws.com`, with `-fips`, and with `.cn` in China.
    pub(super) fn of(registry: &str) -> Option<Place> {
        let (account, rest) = registry.split_once(".dkr.")?;
        let (service, rest) = rest.split_once('.')?;
        let (region, domain) = rest.split_once('.')?;
        let is_account = !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit());
        let known =
            matches!(service, "ecr" | "ecr-fips") && matches!(domain, "amazonaws.com" | "amazonaws.com.cn");
        (is_account && known).then(|| Place {
            region: region.to_owned(),
            domain: domain.to_owned(),
            fips: service == "ecr-fips",
        })
    }

    fn api(&self) -> String {
        let Place { region, domain, .. } = self;
        match self.fips {
            true => format!("https://ecr-fips.{region}.{domain}/"),
            false => format!("https://api.ecr.{region}.{domain}/"),
        }
    }
}

struct Keys {
    id: String,
    secret: Secret,
    session: Option<Secret>,
    source: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    authorization_data: Vec<Authorization>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    authorization_token: String,
}

pub(super) fn look_for(around: &Surroundings<'_>, place: &Place) -> Result<Provided, CredentialError> {
    let Some(keys) = keys(around)? else {
        return Ok(Provided::Nothing("AWS_ACCESS_KEY_ID and the shared credentials file of AWS"));
    };
    let variable = match around.variable("AWS_ENDPOINT_URL_ECR") {
        Some(_) => "AWS_ENDPOINT_URL_ECR",
        None => "AWS_ENDPOINT_URL",
    };
    let url = around.url(variable, &place.api())?;
    let now = basic_time(SystemTime::now());
    let answer: Answer = around.ask(API, &request(url, &keys, &place.region, &now))?;
    let unusable = || CredentialError::Answer { api: API };
    let token = answer.authorization_data.into_iter().next().ok_or_else(unusable)?.authorization_token;
    let bytes = STANDARD.decode(token).map_err(|_| unusable())?;
    let text = String::from_utf8(bytes).map_err(|_| unusable())?;
    let (user, password) = text.split_once(':').ok_or_else(unusable)?;
    let credential = Credential::Password { user: user.to_owned(), password: Secret::new(password) };
    Ok(Provided::Found(credential, keys.source))
}

/// `YYYYMMDDTHHMMSSZ`, out of the date that HTTP has: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn basic_time(now: SystemTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let date = httpdate::fmt_http_date(now);
    let mut words = date.split(' ').skip(1);
    let mut word = || words.next().unwrap_or_default();
    let (day, month, year, time) = (word(), word(), word(), word());
    let month = 1 + MONTHS.iter().position(|name| *name == month).unwrap_or_default();
    format!("{year}{month:02}{day}T{}Z", time.replace(':', ""))
}

fn keys(around: &Surroundings<'_>) -> Result<Option<Keys>, CredentialError> {
    if let (Some(id), Some(secret)) =
        (around.variable("AWS_ACCESS_KEY_ID"), around.variable("AWS_SECRET_ACCESS_KEY"))
    {
        let session = around.variable("AWS_SESSION_TOKEN").map(Secret::new);
        let source = "AWS_ACCESS_KEY_ID".to_owned();
        return Ok(Some(Keys { id: id.to_owned(), secret: Secret::new(secret), session, source }));
    }
    const VARIABLE: &str = "AWS_SHARED_CREDENTIALS_FILE";
    let Some(path) = around.file(VARIABLE, ".aws/credentials") else { return Ok(None) };
    let Some(bytes) = read(&path, around.variable(VARIABLE).is_some())? else { return Ok(None) };
    let profile = around.variable("AWS_PROFILE").unwrap_or("default");
    let text = String::from_utf8_lossy(&bytes);
    let value = |name: &str| setting(&text, profile, name).map(str::to_owned);
    let (Some(id), Some(secret)) = (value("aws_access_key_id"), value("aws_secret_access_key")) else {
        return Ok(None);
    };
    let session = value("aws_session_token").map(Secret::new);
    let source = format!("profile {profile} in {}", path.display());
    Ok(Some(Keys { id, secret: Secret::new(secret), session, source }))
}

/// A value of a profile in a shared credentials file.
fn setting<'a>(text: &'a str, profile: &str, name: &str) -> Option<&'a str> {
    let mut in_profile = false;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            in_profile = section.trim() == profile;
        } else if in_profile
            && let Some((key, value)) = line.split_once('=')
            && key.trim().eq_ignore_ascii_case(name)
        {
            return Some(value.trim()).filter(|value| !value.is_empty());
        }
    }
    None
}

fn request(url: Url, keys: &Keys, region: &str, now: &str) -> Request {
    let host = match (url.host_str().unwrap_or_default(), url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let session = keys.session.as_ref().map(|token| ("x-amz-security-token", token.reveal()));
    // In the order of their names, as the signature wants them.
    let headers: Vec<(&str, &str)> = [("content-type", JSON), ("host", &host), ("x-amz-date", now)]
        .into_iter()
        .chain(session)
        .chain([("x-amz-target", TARGET)])
        .collect();
    let body = "{}";
    let signature = Signature { region, service: "ecr", now, method: "POST", path: url.path() };
    let authorization = signature.authorization(&headers, body.as_bytes(), keys);
    let mut request = Request::new(Method::POST, url)
        .text_header(CONTENT_TYPE, JSON)
        .text_header(HeaderName::from_static("x-amz-date"), now)
        .text_header(HeaderName::from_static("x-amz-target"), TARGET)
        .authorization(&authorization)
        .body(Body::Bytes(body.into()))
        .repeatable(true);
    if let Some(session) = &keys.session {
        request = request.text_header(HeaderName::from_static("x-amz-security-token"), session.reveal());
    }
    request
}

/// What Signature Version 4 signs besides headers and body.
struct Signature<'a> {
    region: &'a str,
    service: &'a str,
    /// `YYYYMMDDTHHMMSSZ`.
    now: &'a str,
    method: &'a str,
    path: &'a str,
}

impl Signature<'_> {
    /// The `Authorization` header for these headers, which stand in the order of their lower-case names.
    fn authorization(&self, headers: &[(&str, &str)], body: &[u8], keys: &Keys) -> Secret {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let body = sha256(body);
        let canonical = format!("{}\n{}\n\n{lines}\n{names}\n{body}", self.method, self.path);
        let day = &self.now[..8.min(self.now.len())];
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", self.now, sha256(canonical.as_bytes()));
        let first = format!("AWS4{}", keys.secret.reveal());
        let key = [day, self.region, self.service, "aws4_request"]
            .iter()
            .fold(first.into_bytes(), |key, part| keyed(&key, part.as_bytes()));
        let signature = hex::encode(keyed(&key, to_sign.as_bytes()));
        Secret::new(format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            keys.id
        ))
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

fn keyed(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), bytes).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use longshore_testkit::{Answer, FaultServer, Reply};

    use super::*;
    use crate::credentials::testing::{look_for as look, variables};

    fn keys() -> Keys {
        Keys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session: None,
            source: String::new(),
        }
    }

    #[test]
    fn a_signature_is_that_of_the_documented_test_suite() {
        let now = "20150830T123600Z";
        let signature = Signature { region: "us-east-1", service: "service", now, method: "GET", path: "/" };
        let headers = [("host", "example.amazonaws.com"), ("x-amz-date", now)];
        assert_eq!(
            signature.authorization(&headers, b"", &keys()).reveal(),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
    }

    #[test]
    fn times_are_written_as_signatures_want_them() {
        let after = |seconds| basic_time(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
        assert_eq!(after(784_111_777), "19941106T084937Z");
        assert_eq!(after(1_440_938_160), "20150830T123600Z");
    }

    #[test]
    fn registries_of_ecr_are_known_by_their_names() {
        for (registry, api) in [
            (
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
                Some("https://api.ecr.eu-west-1.amazonaws.com/"),
            ),
            ("1.dkr.ecr-fips.us-east-1.amazonaws.com", Some("https://ecr-fips.us-east-1.amazonaws.com/")),
            ("1.dkr.ecr.cn-north-1.amazonaws.com.cn", Some("https://api.ecr.cn-north-1.amazonaws.com.cn/")),
            ("1.dkr.ecr.eu-west-1.amazonaws.com.evil.example", None),
            ("a.dkr.ecr.eu-west-1.amazonaws.com", None),
            ("public.ecr.aws", None),
        ] {
            assert_eq!(Place::of(registry).map(|place| place.api()).as_deref(), api, "{registry}");
        }
    }

    #[test]
    fn a_token_is_asked_for_with_the_keys_of_the_environment_or_a_profile() {
        let server = FaultServer::start(|request| {
            let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
            let authorization = header("authorization");
            let right = request.method == "POST"
                && request.target == "/"
                && request.body == b"{}"
                && header("x-amz-target") == TARGET
                && header("content-type") == JSON
                && authorization
                    .contains("/eu-west-1/ecr/aws4_request, SignedHeaders=content-type;host;x-amz-date;");
            let body = match right {
                // AWS:token-ID
                true if authorization.contains("Credential=ID/") => {
                    r#"{"authorizationData":[{"authorizationToken":"QVdTOnRva2VuLUlE"}]}"#
                }
                true if authorization.contains("x-amz-security-token") => {
                    r#"{"authorizationData":[{"authorizationToken":"QVdTOnByb2ZpbGU="}]}"#
                }
                _ => {
                    return Reply::Answer(Answer::new(400, r#"{"message":"The security token is invalid"}"#));
                }
            };
            Reply::Answer(Answer::new(200, body))
        })
        .unwrap();
        let folder = longshore_testkit::Folder::new().unwrap();
        let file = "[default]\naws_access_key_id = WRONG\n[other]\naws_access_key_id=P\naws_secret_access_key = s\n\
                    aws_session_token=t\n";
        let file = folder.write("credentials", file).unwrap().display().to_string();
        let url = server.url();
        let registry = "1.dkr.ecr.eu-west-1.amazonaws.com";
        for (own, expected) in [
            (&[("AWS_ACCESS_KEY_ID", "ID"), ("AWS_SECRET_ACCESS_KEY", "s")][..], "AWS token-ID"),
            (&[("AWS_SHARED_CREDENTIALS_FILE", &file), ("AWS_PROFILE", "other")], "AWS profile"),
            (&[("AWS_SHARED_CREDENTIALS_FILE", &file)], "nothing"),
            (&[], "nothing"),
            (
                &[("AWS_ACCESS_KEY_ID", "X"), ("AWS_SECRET_ACCESS_KEY", "s")],
                "ECR refuses: 400 Bad Request: The security token is invalid",
            ),
        ] {
            let mut all = variables(own);
            all.insert("AWS_ENDPOINT_URL_ECR".to_owned(), url.clone());
            assert_eq!(look(registry, &all, "https://unused.example/v2/"), expected);
        }
    }
}
