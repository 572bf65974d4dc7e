//! What is asked: `http://127.0.0.1:8080/health`, `tcp://[::1]:5432`, `grpc://localhost:50051/shop.Cart`.
//!
//! No names are resolved but `localhost`: a probe asks the service beside it, and an image with one program has no resolver's
//! configuration to go by.

use crate::refuse;
use crate::system::{AF_INET, AF_INET6};
use crate::text;

/// Longest URL, in bytes.
const LONGEST: usize = 1024;
/// Longest name of a gRPC service, in bytes: its length takes one byte in the request.
pub(crate) const LONGEST_SERVICE: usize = 120;
/// Bytes of `struct sockaddr_in`, and of `struct sockaddr_in6`.
const LENGTH_V4: usize = 16;
const LENGTH_V6: usize = 28;
/// Space for both, of a size that makes it easy to see that a place is inside.
const SPACE: usize = 32;

/// How a service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Tcp,
    Grpc,
}

/// A URL's parts.
pub(crate) struct Target<'a> {
    pub(crate) url: &'a [u8],
    pub(crate) scheme: Scheme,
    /// `struct sockaddr_in` or `struct sockaddr_in6`: family, port, for IPv6 the flow, and the address.
    address: [u8; SPACE],
    /// Whether the host is `localhost`, and ::1 was not tried yet.
    has_other: bool,
    /// Host and port as they were written.
    pub(crate) authority: &'a [u8],
    /// What follows the slash behind them: for HTTP what is asked for, with its query; for gRPC the name of the service. It may be empty.
    pub(crate) path: &'a [u8],
}

/// Where the address stands in `struct sockaddr_in`, and in `struct sockaddr_in6`.
const PLACE_V4: usize = 4;
const PLACE_V6: usize = 8;

impl<'a> Target<'a> {
    /// Reads a URL. What is wrong with one ends the process.
    pub(crate) fn parse(url: &'a [u8]) -> Target<'a> {
        if url.len() > LONGEST || url.iter().any(|byte| *byte <= b' ' || *byte > b'~') {
            refuse("not a URL", url);
        }
        let (name, rest) = text::cut(url, b':');
        let scheme = match name {
            b"http" => Scheme::Http,
            b"tcp" => Scheme::Tcp,
            b"grpc" => Scheme::Grpc,
            _ => refuse("not http://, tcp:// or grpc://", url),
        };
        let Some([b'/', b'/', rest @ ..]) = rest else { refuse("not a URL", url) };
        let (authority, path) = text::cut(rest, b'/');
        let path = path.unwrap_or_default();
        let longest = match scheme {
            Scheme::Http => LONGEST,
            Scheme::Tcp => 0,
            Scheme::Grpc => LONGEST_SERVICE,
        };
        if path.len() > longest {
            refuse("the path is too long", url);
        }
        let mut target = Target { url, scheme, address: [0; SPACE], has_other: false, authority, path };
        let port = match target.host() {
            Some([]) if scheme == Scheme::Http => Some(80),
            Some([b':', digits @ ..]) => text::whole_number(digits, 65535),
            Some(_) => None,
            None => refuse("not an IPv4 address, [IPv6 address] or localhost", url),
        };
        let port = port.unwrap_or(0);
        if port == 0 {
            refuse("no port from 1 to 65535", url);
        }
        target.address[2] = (port >> 8) as u8;
        target.address[3] = port as u8;
        target
    }

    /// Takes the host, and returns what follows it.
    fn host(&mut self) -> Option<&'a [u8]> {
        if let [b'[', inner @ ..] = self.authority {
            let (inner, port) = text::cut(inner, b']');
            self.address[0] = AF_INET6;
            v6(inner, &mut self.address)?;
            return port;
        }
        self.address[0] = AF_INET;
        if let Some(port) = self.authority.strip_prefix(b"localhost") {
            self.has_other = true;
            self.address[PLACE_V4] = 127;
            self.address[PLACE_V4 + 3] = 1;
            return Some(port);
        }
        v4(self.authority, &mut self.address)
    }

    /// The address as the kernel takes it.
    pub(crate) fn address(&self) -> &[u8] {
        let length = if self.address[0] == AF_INET { LENGTH_V4 } else { LENGTH_V6 };
        text::first(&self.address, length)
    }

    /// Turns from 127.0.0.1 to ::1, if that is to be tried too.
    pub(crate) fn try_other_address(&mut self) -> bool {
        let has_other = self.has_other;
        if has_other {
            self.has_other = false;
            self.address[0] = AF_INET6;
            self.address[PLACE_V4] = 0;
            self.address[PLACE_V4 + 3] = 0;
            self.address[PLACE_V6 + 15] = 1;
        }
        has_other
    }
}

/// Four numbers up to 255 with points between; a leading zero could mean octal, and is refused. Returns what follows.
#[expect(clippy::indexing_slicing, reason = "every place is inside")]
fn v4<'a>(text: &'a [u8], address: &mut [u8; SPACE]) -> Option<&'a [u8]> {
    let mut rest = text;
    let mut place = PLACE_V4;
    loop {
        let (value, after) = text::number(rest)?;
        if value > 255 || matches!(rest, [b'0', b'0'..=b'9', ..]) {
            return None;
        }
        address[place % SPACE] = value as u8;
        place += 1;
        if place == PLACE_V4 + 4 {
            return Some(after);
        }
        let [b'.', next @ ..] = after else { return None };
        rest = next;
    }
}

/// RFC 4291, section 2.2: eight groups, one run of zeros as `::`. The form that ends in an IPv4 address is not taken.
#[expect(clippy::indexing_slicing, reason = "every place is inside")]
fn v6(text: &[u8], address: &mut [u8; SPACE]) -> Option<()> {
    const END: usize = PLACE_V6 + 16;
    let mut rest = text;
    let mut place = PLACE_V6;
    // There is none yet.
    let mut gap = END + 1;
    if let [b':', b':', after @ ..] = rest {
        gap = place;
        rest = after;
    }
    while let [_, ..] = rest {
        let mut value = 0;
        let mut digits = 0;
        while let [byte, after @ ..] = rest
            && let Some(digit) = char::from(*byte).to_digit(16)
        {
            value = value << 4 | digit;
            digits += 1;
            rest = after;
        }
        if !(1..=4).contains(&digits) || place == END {
            return None;
        }
        address[place % SPACE] = (value >> 8) as u8;
        address[(place + 1) % SPACE] = value as u8;
        place += 2;
        match rest {
            [] => {}
            [b':', b':', after @ ..] if gap > END => {
                gap = place;
                rest = after;
            }
            [b':', after @ ..] if !after.is_empty() => rest = after,
            _ => return None,
        }
    }
    // Eight groups, or fewer and a gap.
    if (place == END) != (gap > END) {
        return None;
    }
    // What stands behind the gap belongs to the end.
    let mut end = END;
    while place > gap {
        place -= 1;
        end -= 1;
        address.swap(place % SPACE, end % SPACE);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::exit_of;
    use core::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn urls_are_taken_apart() {
        let v4: &[u8] = &[2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let port_80 = [&[2, 0, 0, 80], &v4[4..]].concat();
        let v6: &[u8] =
            &[10, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        let cases = [
            ("http://127.0.0.1:8080/health", Scheme::Http, v4, "127.0.0.1:8080", "health"),
            ("http://127.0.0.1", Scheme::Http, &port_80, "127.0.0.1", ""),
            ("http://localhost:8080/a?b=/c:1", Scheme::Http, v4, "localhost:8080", "a?b=/c:1"),
            ("tcp://[::1]:65535", Scheme::Tcp, v6, "[::1]:65535", ""),
            ("tcp://127.0.0.1:8080/", Scheme::Tcp, v4, "127.0.0.1:8080", ""),
            ("grpc://127.0.0.1:8080", Scheme::Grpc, v4, "127.0.0.1:8080", ""),
            ("grpc://127.0.0.1:8080/shop.Cart", Scheme::Grpc, v4, "127.0.0.1:8080", "shop.Cart"),
        ];
        for (url, scheme, address, authority, path) in cases {
            let target = Target::parse(url.as_bytes());
            assert_eq!((target.scheme, target.address()), (scheme, address), "{url}");
            assert_eq!((target.authority, target.path), (authority.as_bytes(), path.as_bytes()), "{url}");
            assert_eq!(target.has_other, url.contains("localhost"), "{url}");
        }
        let mut localhost = Target::parse(b"tcp://localhost:65535");
        assert!(localhost.try_other_address());
        assert_eq!(localhost.address(), v6);
        assert!(!localhost.try_other_address());
    }

    #[test]
    fn what_is_no_url_is_refused() {
        let long = format!("http://127.0.0.1/{}", "a".repeat(LONGEST));
        let service = format!("grpc://127.0.0.1:1/{}", "a".repeat(LONGEST_SERVICE + 1));
        let urls = [
            "",
            "127.0.0.1:80",
            "https://127.0.0.1/",
            "http:/127.0.0.1/",
            "http://example.com/",
            "http://user@127.0.0.1/",
            "http://",
            "http://::1/",
            "http://[::1/",
            "http://[fe80::1%eth0]/",
            "http://localhost.:80/",
            "http://1.2.3.4.5/",
            "http://[::1]80/",
            "http://127.0.0.1:/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:65536/",
            "http://127.0.0.1:8o/",
            "tcp://127.0.0.1",
            "tcp://127.0.0.1:1/a",
            "http://127.0.0.1/a b",
            "http://127.0.0.1?a=b",
            "http://127.0.0.1/\r\nX: y",
            &long,
            &service,
        ];
        for url in urls {
            assert_eq!(exit_of(|| _ = Target::parse(url.as_bytes())), Some(2), "{url}");
        }
        assert_eq!(exit_of(|| _ = Target::parse(b"tcp://127.0.0.1:1")), None);
    }

    #[test]
    fn addresses_are_read_as_the_standard_library_reads_them() {
        let four = [
            "1.2.3.4",
            "255.255.255.255",
            "0.0.0.0",
            "01.2.3.4",
            "1.2.3",
            "1.2.3.4.5",
            "256.1.1.1",
            "1..2.3",
            "",
        ];
        for text in four {
            let mut address = [0; SPACE];
            let is_whole = v4(text.as_bytes(), &mut address).is_some_and(<[u8]>::is_empty);
            let read = is_whole.then(|| address[4..8].to_vec());
            assert_eq!(
                read,
                text.parse::<Ipv4Addr>().ok().map(|address| address.octets().to_vec()),
                "{text}"
            );
        }
        let six = [
            "::",
            "::1",
            "1::",
            "fe80::1:2",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "1:2:3:4::5:6:7:8",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4:5:6:7:8::",
            "1.2.3.4::",
            ":::",
            "::1::",
            "12345::",
            "g::",
            ":1",
            "1:",
            "",
            "ABCD::ef",
            "fe80::1%eth0",
            "1::8",
            "a:b::c:d:e",
        ];
        for text in six {
            let mut address = [0; SPACE];
            let read = v6(text.as_bytes(), &mut address).map(|()| address[8..24].to_vec());
            assert_eq!(
                read,
                text.parse::<Ipv6Addr>().ok().map(|address| address.octets().to_vec()),
                "{text}"
            );
        }
    }
}
