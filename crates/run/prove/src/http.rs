//! As much of HTTP/1.1 (RFC 9112) as it takes to ask a service on this machine whether it answers.
//!
//! Blocking, with a time limit on everything. Only the head of a response and a body of known length are read; responses of another form end their
//! connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Largest head of a response, in bytes.
const MAX_HEAD: u64 = 64 << 10;
/// Largest body that is read to keep a connection, in bytes.
const MAX_BODY: u64 = 1 << 20;

/// A connection to a service.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

/// A response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Response {
    /// 200.
    pub(crate) status: u16,
    /// Whether the connection can be used again.
    pub(crate) keeps: bool,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr, timeout: Duration) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream: BufReader::new(stream), address })
    }

    /// Asks for a path, and reads the response.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<Response> {
        let head = self.head(path, "");
        self.stream.get_mut().write_all(head.as_bytes())?;
        self.read()
    }

    /// Sends a request but for the last byte of its body.
    pub(crate) fn begin(&mut self, path: &str) -> io::Result<()> {
        let head = self.head(path, "Content-Type: text/plain\r\nContent-Length: 2\r\n");
        self.stream.get_mut().write_all(format!("{head}x").as_bytes())
    }

    /// Ends a request that was begun, and reads the response.
    pub(crate) fn finish(&mut self) -> io::Result<Response> {
        // Whoever did not want the body may have answered and closed: the answer counts.
        let _ = self.stream.get_mut().write_all(b"x");
        self.read()
    }

    fn head(&self, path: &str, fields: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: longshore-test\r\n{fields}\r\n", self.address)
    }

    fn read(&mut self) -> io::Result<Response> {
        let mut head = Vec::new();
        let mut limited = (&mut self.stream).take(MAX_HEAD);
        loop {
            let start = head.len();
            if limited.read_until(b'\n', &mut head)? == 0 {
                let kind = if head.is_empty() {
                    io::ErrorKind::ConnectionReset
                } else {
                    io::ErrorKind::UnexpectedEof
                };
                return Err(io::Error::new(kind, "the connection was closed without a response"));
            }
            if matches!(&head[start..], b"\r\n" | b"\n") {
                break;
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP");
        let mut lines = head.lines();
        let mut words = lines.next().unwrap_or_default().split(' ');
        let version = words.next().filter(|word| word.starts_with("HTTP/1.")).ok_or_else(wrong)?;
        let status: u16 = words.next().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
        let field = |name: &str| {
            let fields = head.lines().filter_map(|line| line.split_once(':'));
            fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
        };
        let length = field("content-length").and_then(|value| value.parse::<u64>().ok());
        let closes = field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let length = if matches!(status, 204 | 304) { Some(0) } else { length };
        let keeps = match length.filter(|length| *length <= MAX_BODY) {
            Some(length) => {
                let read = io::copy(&mut (&mut self.stream).take(length), &mut io::sink())?;
                read == length && !closes && version == "HTTP/1.1"
            }
            None => false,
        };
        Ok(Response { status, keeps })
    }
}

/// Asks once over a new connection.
pub(crate) fn get(address: SocketAddr, path: &str, timeout: Duration) -> io::Result<Response> {
    Connection::open(address, timeout)?.get(path)
}
