//! One call of grpc.health.v1.Health/Check over HTTP/2 with prior knowledge (RFC 9113; grpc: `doc/PROTOCOL-HTTP2.md`,
//! `doc/health-checking.md`).
//!
//! The whole request goes out at once, with the connection's preface: servers take it before they have answered anything. The server is told
//! that there is no table to remember headers in (HPACK, RFC 7541), so that `grpc-status`, the one header that matters, always comes by its
//! name, which has exactly two forms, plain and Huffman-coded. It is looked for, and the other headers are not decoded.

use crate::connection::Connection;
use crate::system;
use crate::target::LONGEST_SERVICE;
use crate::text::{self, Digits};

/// The preface, settings (no table of headers, no pushes), and the call's headers. Of the static table (RFC 7541, appendix A) there are
/// `:method: POST`, `:scheme: http`, and the names of `:path`, `:authority` and `content-type`. The authority is not that of the URL: a health
/// service has no virtual hosts, and so the length is known here.
const BEGINNING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\x0c\x04\0\0\0\0\0\0\x01\0\0\0\0\0\x02\0\0\0\0\
    \0\0\x4b\x01\x04\0\0\0\x01\
    \x83\x86\x04\x1c/grpc.health.v1.Health/Check\x01\x09localhost\x0f\x10\x10application/grpc\0\x02te\x08trailers";

/// `grpc-status` in the code of RFC 7541, appendix B, with its length.
const STATUS_CODED: &[u8] = b"\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f";
const STATUS_PLAIN: &[u8] = b"\x0bgrpc-status";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;

/// Bytes before a frame's payload.
const HEAD: usize = 9;
/// The longest payload that a server may send unless it is told otherwise (RFC 9113, section 6.5.2).
const LONGEST: usize = 16_384;

/// Asks for the health of a service; without a name, of the server.
pub(crate) fn check(connection: &Connection<'_>, service: &[u8]) {
    let mut buffer = [0; HEAD + LONGEST];
    let length = request(service, &mut buffer);
    connection.send(text::first(&buffer, length));
    let mut length = 0;
    let mut call = Call { message: [0; 8], length: 0, status: UNKNOWN };
    loop {
        length = connection.receive(&mut buffer, length);
        let mut rest = text::first(&buffer, length);
        while let [a, b, c, kind, flags, _, _, _, _, payload @ ..] = rest {
            let size = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            // It is longer than it may be: other protocols look like that.
            if size > LONGEST {
                connection.fail("not HTTP/2", 0);
            }
            if payload.len() < size {
                break;
            }
            rest = text::behind(payload, size);
            call.take(*kind, *flags, text::first(payload, size), connection);
        }
        // What belongs to the next frame comes to the front.
        let left = rest.len();
        let start = length - left;
        length = 0;
        while length < left
            && let Some(byte) = buffer.get(start + length).copied()
            && let Some(place) = buffer.get_mut(length)
        {
            *place = byte;
            length += 1;
        }
    }
}

/// The beginning and a DATA frame with a HealthCheckRequest, whose field 1 is the service.
fn request(service: &[u8], space: &mut [u8]) -> usize {
    const { assert!(LONGEST_SERVICE + 7 < 128) };
    let length = service.len() as u8;
    let head = [0, 0, length + 7, DATA, END_STREAM, 0, 0, 0, 1, 0, 0, 0, 0, length + 2, 0x0a, length];
    text::join(space, &[BEGINNING, &head, service])
}

/// What is no code of gRPC.
const UNKNOWN: u8 = u8::MAX;

/// What has come of the call. There is one stream, so all its frames are the call's.
struct Call {
    /// The message with its prefix.
    message: [u8; 8],
    length: usize,
    /// `grpc-status`, once it came.
    status: u8,
}

impl Call {
    /// Takes a frame. Ends the process when the call has ended.
    fn take(&mut self, kind: u8, flags: u8, payload: &[u8], connection: &Connection<'_>) {
        match kind {
            SETTINGS if flags & ACK == 0 => connection.send(b"\0\0\0\x04\x01\0\0\0\0"),
            RST_STREAM => connection.fail("the call was refused", 0),
            DATA => {
                for byte in payload {
                    if let Some(place) = self.message.get_mut(self.length) {
                        *place = *byte;
                        self.length += 1;
                    }
                }
            }
            HEADERS => self.status = status(payload, self.status),
            _ => {}
        }
        if kind <= HEADERS && flags & END_STREAM != 0 {
            self.conclude(connection);
        }
    }

    /// Ends the process, with success if the service is well.
    fn conclude(&self, connection: &Connection<'_>) -> ! {
        // A message without compression, of two bytes: field 1 of the HealthCheckResponse, which is its only one, and not there if it is 0.
        let (what, number): (&[u8], _) = match (self.status, &self.message) {
            (0, [0, 0, 0, 0, 2, 8, 1, _]) => system::exit(0),
            (0, [0, 0, 0, 0, _, _, health, _]) => (b"not SERVING: status ", *health),
            (5, _) => (b"unknown service: gRPC status ", 5),
            (12, _) => (b"no grpc.health.v1: gRPC status ", 12),
            (code, _) => (b"gRPC status ", code),
        };
        connection.fail_with(what, Digits::new(number.into()).as_bytes())
    }
}

/// The value of `grpc-status` in a block of headers; what was known before, if it is not there.
fn status(block: &[u8], before: u8) -> u8 {
    let mut rest = block;
    while let [_, after @ ..] = rest {
        if let Some(value) = rest.strip_prefix(STATUS_PLAIN).or_else(|| rest.strip_prefix(STATUS_CODED)) {
            // Two digits are never shorter when they are coded, so only a 0 could come so, from a server that codes everything.
            return match value {
                [0x81, 0x07, ..] => 0,
                [1, digit, ..] => digit.wrapping_sub(b'0'),
                [2, _, digit, ..] => digit.wrapping_sub(b'0').wrapping_add(10),
                _ => UNKNOWN,
            };
        }
        rest = after;
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_found_among_headers() {
        let coded = [&[0x40][..], STATUS_CODED, &[0x01, b'0']].concat();
        let coded_value = [&[0x00][..], STATUS_PLAIN, &[0x81, 0x07]].concat();
        let cases: &[(&[u8], u8)] = &[
            (b"", 77),
            (&[0x88, 0x20, 0xbe], 77),
            (b"\x0f\x10\x10application/grpc\x88", 77),
            (b"\x88\x00\x0bgrpc-status\x0212\x00\x04some\x02ok", 12),
            (b"\x10\x0bgrpc-status\x015", 5),
            (b"\x00\x0bgrpc-status\x03100", UNKNOWN),
            (b"\x00\x0bgrpc-status\x00", UNKNOWN),
            (b"\x00\x0bgrpc-status", UNKNOWN),
            (&coded, 0),
            (&coded_value, 0),
        ];
        for (block, expected) in cases {
            assert_eq!(status(block, 77), *expected, "{block:x?}");
        }
    }

    #[test]
    fn the_request_is_made_of_whole_frames() {
        let mut space = [0; 400];
        for service in [&b""[..], b"shop.Cart", &[b's'; LONGEST_SERVICE]] {
            let length = request(service, &mut space);
            let mut rest = space[..length].strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
            let mut kinds = Vec::new();
            while let [0, 0, length, kind, _, _, _, _, stream, after @ ..] = rest {
                let (payload, after) = after.split_at(usize::from(*length));
                kinds.push((*kind, *stream));
                rest = after;
                if *kind == DATA {
                    let length = service.len() as u8;
                    assert_eq!(payload, [&[0, 0, 0, 0, length + 2, 0x0a, length], service].concat());
                }
            }
            assert_eq!((kinds, rest), (vec![(SETTINGS, 0), (HEADERS, 1), (DATA, 1)], &b""[..]));
        }
    }
}
