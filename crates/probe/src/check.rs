//! `probe URL`: the command line, and the three ways to ask.

use crate::arguments::Arguments;
use crate::connection::Connection;
use crate::target::{Scheme, Target};
use crate::{grpc, http, refuse, system, text, usage};

/// How long an answer may take, in milliseconds, unless the command line says otherwise.
const TIMEOUT: u64 = 5000;

/// Runs the command; `next` is the first of its words.
pub(crate) fn main(mut next: Option<&'static [u8]>, mut arguments: Arguments) -> ! {
    let mut url: &[u8] = b"";
    let mut timeout = TIMEOUT;
    while let Some(word) = next {
        if let Some(value) = word.strip_prefix(b"--timeout") {
            // The value is behind `=`, or the next word.
            let value = match value {
                [_, value @ ..] => value,
                [] => arguments.next().unwrap_or_default(),
            };
            timeout = text::milliseconds(value).unwrap_or(0);
            if timeout == 0 {
                refuse("not a time", value);
            }
        } else if let [b'-', option @ ..] = word {
            match option {
                b"h" | b"V" | b"-help" | b"-version" => usage(),
                _ => refuse("unexpected", word),
            }
        } else if url.is_empty() {
            url = word;
        } else {
            refuse("unexpected", word);
        }
        next = arguments.next();
    }
    let mut target = Target::parse(url);
    let connection = Connection::open(&mut target, timeout);
    match target.scheme {
        Scheme::Tcp => {}
        Scheme::Http => http::check(&connection, &target),
        Scheme::Grpc => grpc::check(&connection, target.path),
    }
    system::exit(0)
}
