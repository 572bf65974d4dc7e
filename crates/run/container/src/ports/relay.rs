//! Bytes from one side to the other, of many connections, in one thread.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;

/// Bytes that are under way in one direction.
const BUFFER: usize = 32 * 1024;
/// Events that are taken at once.
const EVENTS: usize = 256;

/// One direction of a connection.
struct Half {
    buffer: Vec<u8>,
    sent: usize,
    ended: bool,
    closed: bool,
}

struct Connection {
    outside: TcpStream,
    inside: TcpStream,
    inward: Half,
    outward: Half,
}

/// Serves until the monitor is gone. Returns an exit code.
pub(super) fn run(listeners: &[(TcpListener, u16)], address: Ipv4Addr, control: &UnixStream) -> i32 {
    match serve(listeners, address, control) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

fn serve(listeners: &[(TcpListener, u16)], address: Ipv4Addr, control: &UnixStream) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, control, EventData::new_u64(key(control)), EventFlags::IN)?;
    for (listener, _) in listeners {
        listener.set_nonblocking(true)?;
        epoll::add(&epoll, listener, EventData::new_u64(key(listener)), EventFlags::IN)?;
    }
    let mut connections: HashMap<u64, Rc<std::cell::RefCell<Connection>>> = HashMap::new();
    let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
    loop {
        events.clear();
        match epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Err(rustix::io::Errno::INTR) => continue,
            answer => answer?,
        };
        for event in &events {
            let ready = event.data.u64();
            if ready == key(control) {
                return Ok(());
            }
            if let Some((listener, port)) = listeners.iter().find(|(listener, _)| key(listener) == ready) {
                accept(listener, SocketAddr::from((address, *port)), &epoll, &mut connections);
                continue;
            }
            let Some(connection) = connections.get(&ready).cloned() else { continue };
            let mut connection = connection.borrow_mut();
            if connection.pump() {
                connections.remove(&key(&connection.outside));
                connections.remove(&key(&connection.inside));
            }
        }
    }
}

fn key(descriptor: &impl AsFd) -> u64 {
    u64::from(descriptor.as_fd().as_raw_fd().unsigned_abs())
}

fn accept(
    listener: &TcpListener,
    target: SocketAddr,
    epoll: &OwnedFd,
    connections: &mut HashMap<u64, Rc<std::cell::RefCell<Connection>>>,
) {
    // Whoever waits is accepted; where there are no descriptors left, they wait on.
    while let Ok((outside, _)) = listener.accept() {
        // Within one machine a connection is made, or refused, at once. A refusal is passed on as an end, as Docker's proxy does.
        let Ok(inside) = TcpStream::connect(target) else { continue };
        let both = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let prepared = [&outside, &inside].into_iter().try_for_each(|stream| {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            epoll::add(epoll, stream, EventData::new_u64(key(stream)), both).map_err(io::Error::from)
        });
        if prepared.is_err() {
            continue;
        }
        let keys = [key(&outside), key(&inside)];
        let connection = Connection { outside, inside, inward: Half::new(), outward: Half::new() };
        let connection = Rc::new(std::cell::RefCell::new(connection));
        for key in keys {
            connections.insert(key, Rc::clone(&connection));
        }
    }
}

impl Connection {
    /// Moves what can be moved. Whether it is over.
    fn pump(&mut self) -> bool {
        let moved = self.inward.pump(&self.outside, &self.inside);
        let moved = moved.and_then(|()| self.outward.pump(&self.inside, &self.outside));
        moved.is_err() || (self.inward.closed && self.outward.closed)
    }
}

impl Half {
    fn new() -> Half {
        Half { buffer: Vec::new(), sent: 0, ended: false, closed: false }
    }

    /// Moves bytes until one side has to be waited for.
    fn pump(&mut self, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        while !self.closed {
            while self.sent < self.buffer.len() {
                match to.write(self.buffer.get(self.sent..).unwrap_or_default()) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(count) => self.sent += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            if self.ended {
                self.closed = true;
                // The other side may be gone altogether.
                let _ = to.shutdown(Shutdown::Write);
                return Ok(());
            }
            self.buffer.resize(BUFFER, 0);
            self.sent = 0;
            let read = from.read(&mut self.buffer);
            self.buffer.truncate(*read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
