//! What a registry says is wrong. OCI distribution-spec 1.1, "Error codes".

use longshore_http::Response;
use serde::Deserialize;

/// Bytes of a body that are looked at for a message.
const EXCERPT: usize = 16 * 1024;
/// Letters of a message that are shown.
const SHOWN: usize = 600;

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<OneError>,
    /// As token servers answer (RFC 6749, 5.2), and Docker Hub in `details`.
    #[serde(default, alias = "details", alias = "error_description")]
    message: Option<String>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: serde_json::Value,
}

/// What the body of an answer says, as one line for a person; `None` where it says nothing.
pub(crate) async fn said(response: Response) -> Option<String> {
    readable(&response.excerpt(EXCERPT).await)
}

fn readable(body: &str) -> Option<String> {
    let text = match serde_json::from_str::<Errors>(body) {
        Ok(Errors { errors, message }) if !errors.is_empty() => {
            let lines: Vec<_> = errors.iter().map(one).collect();
            match message {
                Some(message) => format!("{}; {message}", lines.join("; ")),
                None => lines.join("; "),
            }
        }
        Ok(Errors { message, .. }) => message?,
        // A page of HTML is for a browser.
        Err(_) if body.trim_start().starts_with(['<', '{']) => return None,
        Err(_) => body.trim().to_owned(),
    };
    // What a stranger's server says must not steer the terminal.
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    let plain = plain.trim();
    (!plain.is_empty()).then(|| plain.to_owned())
}

fn one(error: &OneError) -> String {
    let text = match (error.code.is_empty(), error.message.is_empty()) {
        (_, true) => error.code.clone(),
        (true, false) => error.message.clone(),
        (false, false) => format!("{} ({})", error.message, error.code),
    };
    match &error.detail {
        serde_json::Value::String(detail) if !detail.is_empty() => format!("{text}: {detail}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn errors_become_one_readable_line() {
        for (body, expected) in [
            (
                r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied","detail":[{"Type":"repository"}]}]}"#,
                Some("requested access to the resource is denied (DENIED)"),
            ),
            (r#"{"errors":[{"code":"A","message":"b","detail":"c"},{"code":"D"}]}"#, Some("b (A): c; D")),
            (r#"{"details":"incorrect username or password"}"#, Some("incorrect username or password")),
            (r#"{"errors":[]}"#, None),
            ("<html>503</html>", None),
            ("too\u{1b}[31m big\n", Some("too [31m big")),
            ("", None),
        ] {
            assert_eq!(super::readable(body).as_deref(), expected, "{body}");
        }
    }
}
