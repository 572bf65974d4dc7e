//! Where an answer says to ask instead.
//!
//! Redirects are followed here and not by the HTTP library, since trust, identity and exemptions from certificate checks belong to one
//! host: each hop gets the client of its own host.

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, LOCATION};
use reqwest::{Method, StatusCode};
use url::Url;

use crate::error::HttpErrorKind;
use crate::redact::redacted;
use crate::request::{Body, Request};

/// Redirects in a row that are followed.
pub(crate) const MOST: usize = 10;

/// The request that an answer's redirect asks for (RFC 9110, 15.4); `None` where the answer is none.
///
/// Credentials go only to the host, scheme and port they were meant for. Errors: it leads from https to http, or is no URL.
pub(crate) fn next(request: &Request, answer: &reqwest::Response) -> Result<Option<Request>, HttpErrorKind> {
    let status = answer.status();
    let moved = matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let Some(location) = answer.headers().get(LOCATION).filter(|_| moved) else { return Ok(None) };
    let wrong = |message: String| HttpErrorKind::Redirect(message);
    let location = location.to_str().map_err(|_| wrong("its location is not text".to_owned()))?;
    let url =
        request.url.join(location).map_err(|error| wrong(format!("its location is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(format!("it leads to {}", redacted(&url))));
    }
    if request.url.scheme() == "https" && url.scheme() != "https" {
        return Err(wrong(format!("it leads from https to {}", redacted(&url))));
    }
    let mut following = request.clone();
    if !is_same_place(&request.url, &url) {
        following.headers.remove(AUTHORIZATION);
        following.headers.remove(COOKIE);
    }
    let keeps_method = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    if !keeps_method && !matches!(following.method, Method::GET | Method::HEAD) {
        following.method = Method::GET;
        following.body = Body::Empty;
        following.headers.remove(CONTENT_TYPE);
        following.headers.remove(CONTENT_LENGTH);
    }
    following.url = url;
    Ok(Some(following))
}

fn is_same_place(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}
