//! A server on loopback that answers as a test tells it to: wrongly, slowly, in part, or not at all.
//!
//! Alone it plays a broken registry or module proxy. In front of a real registry it forwards what the test does not
//! spoil, so that a push or a pull meets exactly one fault in the middle of real traffic.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// A request as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `PATCH`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names (in lower case) and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body, without its transfer coding.
    pub body: Vec<u8>,
    /// How many requests of this method and target came before.
    pub earlier: usize,
}

impl Request {
    /// The first value of a header; the name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// An answer with a status and a body; its Content-Length is added.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Answer {
        Answer { status, headers: Vec::new(), body: body.into() }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Answer {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Test\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head + "\r\n"
    }
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Answer it.
    Answer(Answer),
    /// Announce the whole body, send this many bytes of it, and close the connection.
    Truncated(Answer, usize),
    /// Announce the whole body, send this many bytes of it, and say nothing more until the server ends.
    Stalled(Answer, usize),
    /// Say nothing at all until the server ends.
    Silence,
    /// Close the connection without an answer.
    Closed,
    /// Let the server behind this one answer.
    Forward,
    /// Let the server behind this one answer, but pass on only this many bytes (head included), then close.
    ForwardTruncated(usize),
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

struct Shared {
    handler: Box<Handler>,
    upstream: Option<String>,
    requests: Mutex<Vec<Request>>,
    ended: AtomicBool,
}

/// A running server; it ends on drop, and so do the connections that it keeps hanging.
pub struct FaultServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl FaultServer {
    /// Starts a server that answers by itself.
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> io::Result<FaultServer> {
        FaultServer::listen(None, Box::new(handler))
    }

    /// Starts a server in front of a plain HTTP server at `upstream`, an `ADDRESS:PORT`.
    pub fn in_front_of(
        upstream: &str,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> io::Result<FaultServer> {
        FaultServer::listen(Some(upstream.to_owned()), Box::new(handler))
    }

    fn listen(upstream: Option<String>, handler: Box<Handler>) -> io::Result<FaultServer> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let requests = Mutex::new(Vec::new());
        let shared = Arc::new(Shared { handler, upstream, requests, ended: AtomicBool::new(false) });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&accepting);
                // A client that goes away in the middle is what many of these tests are about.
                thread::spawn(move || shared.serve(&stream).unwrap_or_default());
            }
        });
        Ok(FaultServer { address, shared })
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, in the order of their arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; if it cannot be reached it has ended.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut request = read_request(stream)?;
        {
            let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            let same = |other: &&Request| other.method == request.method && other.target == request.target;
            request.earlier = requests.iter().filter(same).count();
            requests.push(request.clone());
        }
        let mut out = stream;
        match (self.handler)(&request) {
            Reply::Answer(answer) => {
                out.write_all(answer.head().as_bytes())?;
                if request.method != "HEAD" {
                    out.write_all(&answer.body)?;
                }
            }
            Reply::Truncated(answer, sent) => send_part(out, &answer, sent)?,
            Reply::Stalled(answer, sent) => {
                send_part(out, &answer, sent)?;
                self.hang();
            }
            Reply::Silence => self.hang(),
            Reply::Closed => {}
            Reply::Forward => self.forward(&request, out, u64::MAX)?,
            Reply::ForwardTruncated(bytes) => self.forward(&request, out, bytes as u64)?,
        }
        stream.shutdown(Shutdown::Both)
    }

    fn hang(&self) {
        while !self.ended.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn forward(&self, request: &Request, mut client: &TcpStream, limit: u64) -> io::Result<()> {
        let upstream =
            self.upstream.as_ref().ok_or_else(|| io::Error::other("there is no server behind this one"))?;
        let mut server = TcpStream::connect(upstream)?;
        let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
        // The host stays as the client wrote it, so that the locations in the answers lead back here.
        for (name, value) in &request.headers {
            if !matches!(name.as_str(), "connection" | "transfer-encoding" | "content-length" | "expect") {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        head.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", request.body.len()));
        server.write_all(head.as_bytes())?;
        server.write_all(&request.body)?;
        io::copy(&mut server.take(limit), &mut client).map(drop)
    }
}

fn send_part(mut out: &TcpStream, answer: &Answer, sent: usize) -> io::Result<()> {
    out.write_all(answer.head().as_bytes())?;
    out.write_all(&answer.body[..sent.min(answer.body.len())])?;
    out.flush()
}

fn read_request(stream: &TcpStream) -> io::Result<Request> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(invalid("no request line"));
    };
    let mut request = Request { method, target, headers: Vec::new(), body: Vec::new(), earlier: 0 };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid("no header"))?;
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if request.header("expect").is_some() {
        let mut out = stream;
        out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if request.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        request.body = read_chunks(&mut reader)?;
    } else if let Some(length) = request.header("content-length") {
        let length: u64 = length.parse().map_err(|_| invalid("no length"))?;
        reader.take(length).read_to_end(&mut request.body)?;
    }
    Ok(request)
}

fn read_chunks(reader: &mut BufReader<&TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let digits = line.trim_end().split(';').next().unwrap_or_default();
        let length = u64::from_str_radix(digits, 16)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        reader.by_ref().take(length).read_to_end(&mut body)?;
        // The end of the chunk, or of the trailer, of which nobody here sends any.
        reader.read_line(&mut line)?;
        if length == 0 {
            return Ok(body);
        }
    }
}
