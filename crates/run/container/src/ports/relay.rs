//! Bytes from one side to the other, of many connections and datagrams, in one thread.
//!
//! Nothing here waits for one connection: sockets are made without waiting, and a connection that has much to move lets the others have their
//! turn. Where there are no descriptors left, whoever comes waits in the kernel's queue until some are given back.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use super::Listener;
use super::udp::{BOUNDS, Datagrams};

/// Bytes that are moved at once: as many as the longest datagram has.
const BUFFER: usize = 64 * 1024;
/// Pieces of this size that a connection may move before it is another's turn.
const TURN: usize = 16;
/// Events that are taken at once.
const EVENTS: usize = 256;
/// How long nobody is accepted after a lack of descriptors, if none is given back before.
const PAUSE: Duration = Duration::from_millis(200);

/// One direction of a connection.
#[derive(Default)]
struct Half {
    /// What was read and could not be written.
    rest: Vec<u8>,
    ended: bool,
    closed: bool,
}

struct Connection {
    outside: TcpStream,
    inside: TcpStream,
    /// Until the connection inside is made.
    is_connecting: bool,
    inward: Half,
    outward: Half,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// One side has to be waited for.
    Waits,
    /// There may be more to move.
    Goes,
    Over,
}

struct Server<'s> {
    listeners: Vec<(&'s TcpListener, u16)>,
    datagrams: Vec<Datagrams<'s>>,
    address: Ipv4Addr,
    epoll: OwnedFd,
    connections: HashMap<u64, Rc<RefCell<Connection>>>,
    /// Those that have more to move, by one of their keys.
    busy: VecDeque<u64>,
    /// When listeners are asked again, if they are not now.
    paused: Option<Instant>,
    buffer: Vec<u8>,
}

/// Serves until the monitor is gone. Returns an exit code.
pub(super) fn run(listeners: &[(Listener, u16)], address: Ipv4Addr, control: &UnixStream) -> i32 {
    match Server::new(listeners, address).and_then(|mut server| server.serve(control)) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

pub(super) fn key(descriptor: &impl AsFd) -> u64 {
    u64::from(descriptor.as_fd().as_raw_fd().unsigned_abs())
}

impl Server<'_> {
    fn new(all: &[(Listener, u16)], address: Ipv4Addr) -> io::Result<Server<'_>> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let (mut listeners, mut datagrams) = (Vec::new(), Vec::new());
        for (listener, port) in all {
            match listener {
                Listener::Tcp(listener) => {
                    listener.set_nonblocking(true)?;
                    epoll::add(&epoll, listener, EventData::new_u64(key(listener)), EventFlags::IN)?;
                    listeners.push((listener, *port));
                }
                Listener::Udp(socket) => {
                    let target = SocketAddr::from((address, *port));
                    datagrams.push(Datagrams::new(socket, target, BOUNDS, &epoll)?);
                }
            }
        }
        Ok(Server {
            listeners,
            datagrams,
            address,
            epoll,
            connections: HashMap::new(),
            busy: VecDeque::new(),
            paused: None,
            buffer: vec![0; BUFFER],
        })
    }

    fn serve(&mut self, control: &UnixStream) -> io::Result<()> {
        epoll::add(&self.epoll, control, EventData::new_u64(key(control)), EventFlags::IN)?;
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            let wait = self.wait();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), wait.as_ref()) {
                Err(Errno::INTR) => continue,
                answer => answer?,
            };
            for event in &events {
                let ready = event.data.u64();
                if ready == key(control) {
                    return Ok(());
                }
                match self.listeners.iter().find(|(listener, _)| key(listener) == ready).copied() {
                    Some((listener, port)) => self.accept(listener, port)?,
                    None if self.pump_datagrams(ready) => {}
                    None => self.pump(ready, event.flags),
                }
            }
            // Each once, so that whoever is new has a turn, too.
            for _ in 0..self.busy.len() {
                if let Some(key) = self.busy.pop_front() {
                    self.pump(key, EventFlags::empty());
                }
            }
            let now = Instant::now();
            if self.paused.is_some_and(|until| now >= until) {
                self.listen()?;
            }
            for datagrams in &mut self.datagrams {
                if datagrams.next_look().is_some_and(|next| now >= next) {
                    datagrams.forget_idle(now);
                }
            }
        }
    }

    /// How long nothing happens by itself.
    fn wait(&self) -> Option<Timespec> {
        let looks = self.datagrams.iter().filter_map(Datagrams::next_look);
        let busy = (!self.busy.is_empty()).then(Instant::now);
        looks.chain(self.paused).chain(busy).min().map(|until| {
            let wait = until.saturating_duration_since(Instant::now());
            Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() }
        })
    }

    fn pump_datagrams(&mut self, ready: u64) -> bool {
        let Server { datagrams, epoll, buffer, .. } = self;
        datagrams.iter_mut().any(|datagrams| datagrams.pump(ready, epoll, buffer))
    }

    /// Accepts whoever waits. There is a socket for them before they are, so that nobody is accepted who cannot be served.
    fn accept(&mut self, listener: &TcpListener, port: u16) -> io::Result<()> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        loop {
            let accepted = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
                .map_err(io::Error::from)
                .and_then(|inside| Ok((inside, listener.accept()?.0)));
            match accepted {
                Ok((inside, outside)) => {
                    // A refusal inside is passed on as an end, as Docker's proxy does.
                    let _ = self.connect(outside, inside, port);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_lack(&error) => return self.pause(),
                // Whoever it was is gone already: accept(2) says so by one of many errors.
                Err(_) => {}
            }
        }
    }

    fn connect(&mut self, outside: TcpStream, inside: OwnedFd, port: u16) -> io::Result<()> {
        match connect(&inside, &SocketAddr::from((self.address, port))) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let inside = TcpStream::from(inside);
        outside.set_nonblocking(true)?;
        for stream in [&outside, &inside] {
            stream.set_nodelay(true)?;
            let both = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&self.epoll, stream, EventData::new_u64(key(stream)), both)?;
        }
        let keys = [key(&outside), key(&inside)];
        let connection = Connection {
            outside,
            inside,
            is_connecting: true,
            inward: Half::default(),
            outward: Half::default(),
        };
        let connection = Rc::new(RefCell::new(connection));
        for key in keys {
            self.connections.insert(key, Rc::clone(&connection));
        }
        Ok(())
    }

    /// Goes on with a connection, by the key of one of its sides.
    fn pump(&mut self, key_of_side: u64, flags: EventFlags) {
        let Some(connection) = self.connections.get(&key_of_side).cloned() else { return };
        let mut connection = connection.borrow_mut();
        if connection.is_connecting && key_of_side == key(&connection.inside) && !flags.is_empty() {
            // What is wrong with it is told by reading from it.
            connection.is_connecting = false;
        }
        match connection.pump(&mut self.buffer) {
            Progress::Waits => {}
            Progress::Goes => {
                // Once, however many events it has.
                if !self.busy.contains(&key_of_side) {
                    self.busy.push_back(key_of_side);
                }
            }
            Progress::Over => {
                self.connections.remove(&key(&connection.outside));
                self.connections.remove(&key(&connection.inside));
                if self.paused.is_some() {
                    self.paused = Some(Instant::now());
                }
            }
        }
    }

    /// Asks listeners no more for a while: as long as somebody waits there, they would be ready all the time.
    fn pause(&mut self) -> io::Result<()> {
        for (listener, _) in &self.listeners {
            let nothing = EventFlags::empty();
            epoll::modify(&self.epoll, listener, EventData::new_u64(key(listener)), nothing)?;
        }
        self.paused = Some(Instant::now() + PAUSE);
        Ok(())
    }

    /// Asks them again.
    fn listen(&mut self) -> io::Result<()> {
        for (listener, _) in &self.listeners {
            epoll::modify(&self.epoll, listener, EventData::new_u64(key(listener)), EventFlags::IN)?;
        }
        self.paused = None;
        Ok(())
    }
}

/// Whether there are no descriptors, or no memory for one, left.
pub(super) fn is_lack(error: &io::Error) -> bool {
    let lacks = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::NOSPC];
    lacks.iter().any(|lack| error.raw_os_error() == Some(lack.raw_os_error()))
}

impl Connection {
    /// Moves what can be moved.
    fn pump(&mut self, buffer: &mut [u8]) -> Progress {
        if self.is_connecting {
            return Progress::Waits;
        }
        let inward = self.inward.pump(&self.outside, &self.inside, buffer);
        let outward = self.outward.pump(&self.inside, &self.outside, buffer);
        match (inward, outward) {
            (Err(_), _) | (_, Err(_)) => Progress::Over,
            _ if self.inward.closed && self.outward.closed => Progress::Over,
            (Ok(Progress::Goes), _) | (_, Ok(Progress::Goes)) => Progress::Goes,
            _ => Progress::Waits,
        }
    }
}

impl Half {
    /// Moves bytes until one side has to be waited for, or until it is another's turn.
    fn pump(&mut self, mut from: &TcpStream, to: &TcpStream, buffer: &mut [u8]) -> io::Result<Progress> {
        for _ in 0..TURN {
            if self.closed {
                return Ok(Progress::Waits);
            }
            if !self.rest.is_empty() {
                let sent = send(to, &self.rest)?;
                self.rest.drain(..sent);
                if !self.rest.is_empty() {
                    return Ok(Progress::Waits);
                }
                // Most connections have nothing to move most of the time.
                self.rest = Vec::new();
            }
            if self.ended {
                self.closed = true;
                // The other side may be gone altogether.
                let _ = to.shutdown(Shutdown::Write);
                return Ok(Progress::Waits);
            }
            match from.read(buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    let read = buffer.get(..count).unwrap_or_default();
                    let sent = send(to, read)?;
                    self.rest.extend_from_slice(read.get(sent..).unwrap_or_default());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::Waits),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Progress::Goes)
    }
}

/// Sends as much as is taken at once, and says how much that is.
fn send(mut to: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match to.write(bytes.get(sent..).unwrap_or_default()) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets, one thread for each connection, and the address of a relay before it.
    fn relayed(count: usize) -> (SocketAddr, UnixStream, std::thread::JoinHandle<i32>) {
        let target = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = target.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in target.incoming().take(count) {
                let stream = stream.unwrap();
                std::thread::Builder::new()
                    .stack_size(64 * 1024)
                    .spawn(move || {
                        let mut ends = (&stream, &stream);
                        // A client that goes away ends it.
                        let _ = io::copy(&mut ends.0, &mut ends.1);
                        let _ = stream.shutdown(Shutdown::Write);
                    })
                    .unwrap();
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (control, theirs) = UnixStream::pair().unwrap();
        let relay =
            std::thread::spawn(move || run(&[(Listener::Tcp(listener), port)], Ipv4Addr::LOCALHOST, &theirs));
        (address, control, relay)
    }

    fn echoed(mut stream: &TcpStream, text: &[u8]) -> Vec<u8> {
        stream.write_all(text).unwrap();
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).unwrap();
        answer
    }

    #[test]
    fn many_connections_at_once_are_each_served() {
        // Six descriptors of this process for each: both ends of two connections, which the echo and the client have alone.
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(20_000);
        let count = usize::try_from(limit / 6).unwrap().min(2000);
        assert!(count > 100);
        let (address, control, relay) = relayed(count);
        let clients: Vec<TcpStream> = (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
        for (number, client) in clients.iter().enumerate() {
            client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let text = format!("client {number}");
            assert_eq!(echoed(client, text.as_bytes()), text.as_bytes());
        }
        drop(clients);
        drop(control);
        assert_eq!(relay.join().unwrap(), 0);
    }

    #[test]
    fn much_is_moved_both_ways_beside_others_and_to_its_end() {
        let (address, control, relay) = relayed(2);
        let (large, small) = (TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap());
        let bytes: Vec<u8> = (0..20_000_000_u32).map(|number| (number % 251) as u8).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (&large).write_all(&bytes).unwrap();
                large.shutdown(Shutdown::Write).unwrap();
            });
            for _ in 0..20 {
                assert_eq!(echoed(&small, b"small"), b"small");
            }
            let mut answer = Vec::new();
            (&large).read_to_end(&mut answer).unwrap();
            assert!(answer == bytes, "{} bytes", answer.len());
        });
        drop(control);
        assert_eq!(relay.join().unwrap(), 0);
    }

    #[test]
    fn an_end_before_anything_was_sent_and_a_refusal_are_passed_on() {
        let (address, control, relay) = relayed(1);
        let mut client = TcpStream::connect(address).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"");
        // Its one connection is over, and its listening socket with it.
        std::thread::sleep(Duration::from_millis(100));
        let mut refused = TcpStream::connect(address).unwrap();
        refused.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert!(matches!(refused.read(&mut [0; 1]), Ok(0)) || refused.take_error().is_ok());
        drop(control);
        assert_eq!(relay.join().unwrap(), 0);
    }
}
