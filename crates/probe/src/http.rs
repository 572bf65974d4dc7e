//! One GET over HTTP/1.1 (RFC 9112), of whose answer only the status line is read.
//!
//! Kubernetes' httpGet probe takes 200 to 399 for success, and so does this: a redirect is an answer of a server that works.
//! An answer of 100 to 199 before the final one is not expected, since nothing in the request asks for it.

use crate::connection::Connection;
use crate::target::Target;
use crate::text;

/// Longest part of an answer that is looked at, for its status line.
const LONGEST: usize = 2048;

/// Asks for the target's path.
pub(crate) fn check(connection: &Connection<'_>, target: &Target<'_>) {
    // A request is shorter than what is read of an answer, so they can have the same space.
    let mut buffer = [0; LONGEST];
    let length = request(target, &mut buffer);
    connection.send(text::first(&buffer, length));
    let mut length = 0;
    loop {
        length = connection.receive(&mut buffer, length);
        if let (line, Some(_)) = text::cut(text::first(&buffer, length), b'\r') {
            match status(line) {
                [b'2' | b'3', ..] => return,
                [] => connection.fail("not HTTP/1", 0),
                shown => connection.fail_with(b"answered ", shown),
            }
        }
    }
}

fn request(target: &Target<'_>, space: &mut [u8; LONGEST]) -> usize {
    text::join(
        space,
        &[
            b"GET /",
            target.path,
            b" HTTP/1.1\r\nHost: ",
            target.authority,
            b"\r\nUser-Agent: longshore-probe\r\nConnection: close\r\n\r\n",
        ],
    )
}

/// The status and its reason in a status line; nothing if it is not one.
fn status(line: &[u8]) -> &[u8] {
    match line {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', status @ ..] => match status {
            [_, _, _] | [_, _, _, b' ', ..] => status,
            _ => b"",
        },
        _ => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_the_standard_has_them() {
        let rest = "\r\nUser-Agent: longshore-probe\r\nConnection: close\r\n\r\n";
        let cases = [
            ("http://127.0.0.1:8080/health?a=b", "GET /health?a=b HTTP/1.1\r\nHost: 127.0.0.1:8080"),
            ("http://[::1]", "GET / HTTP/1.1\r\nHost: [::1]"),
            ("http://localhost/?x", "GET /?x HTTP/1.1\r\nHost: localhost"),
        ];
        for (url, expected) in cases {
            let target = Target::parse(url.as_bytes());
            let mut space = [0; LONGEST];
            let length = request(&target, &mut space);
            let request = String::from_utf8(space[..length].to_vec()).unwrap();
            assert_eq!(request, format!("{expected}{rest}"));
        }
        let long = format!("http://127.0.0.1/{}", "a".repeat(1000));
        let target = Target::parse(long.as_bytes());
        let mut space = [0; LONGEST];
        let length = request(&target, &mut space);
        assert!(space[..length].ends_with(b"\r\n\r\n"), "the longest URL fits");
    }

    #[test]
    fn the_status_is_found() {
        let cases: &[(&[u8], &[u8])] = &[
            (b"HTTP/1.1 200 OK", b"200 OK"),
            (b"HTTP/1.0 404", b"404"),
            (b"HTTP/1.1 503 ", b"503 "),
            (b"HTTP/2 200", b""),
            (b"HTTP/1.1 2000", b""),
            (b"HTTP/1.1 20", b""),
            (b"HTTP/1.1", b""),
            (b"SSH-2.0-OpenSSH", b""),
            (b"", b""),
        ];
        for (line, expected) in cases {
            assert_eq!(status(line), *expected, "{line:?}");
        }
    }
}
