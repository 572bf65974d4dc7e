//! Forms, as OAuth 2 servers take them.

use longshore_http::header::{CONTENT_TYPE, HeaderValue};
use longshore_http::{Body, Method, Request, Url};

/// A POST of a form. It asks for a token, and so does no harm when it is sent twice.
pub(crate) fn post(url: Url, fields: &[(&str, &str)]) -> Request {
    let mut form = url.clone();
    form.set_query(None);
    form.query_pairs_mut().extend_pairs(fields);
    let body = form.query().unwrap_or_default().to_owned();
    Request::new(Method::POST, url)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
        .body(Body::Bytes(body.into()))
        .repeatable(true)
}
