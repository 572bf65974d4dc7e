//! Datagrams to and from a published UDP port.
//!
//! UDP knows no connections, so one is made up, as Docker's proxy does (moby: `cmd/docker-proxy/udp_proxy_linux.go`): each client's address gets a
//! socket inside, whose answers go back to that client, until nothing was said for a while.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};

use super::relay::{is_lack, key};

/// Docker's time; clients as many as a resolver of a busy machine has at a time.
pub(super) const BOUNDS: Bounds = Bounds { idle: Duration::from_secs(90), clients: 1024 };
/// Datagrams that are moved before it is another's turn.
const TURN: usize = 64;

/// What is kept of clients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// How long one may be silent until it is forgotten.
    pub(super) idle: Duration,
    /// How many a port has at a time: who was silent longest makes room for another.
    pub(super) clients: usize,
}

/// A published port with its clients.
pub(super) struct Datagrams<'s> {
    outside: &'s UdpSocket,
    target: SocketAddr,
    bounds: Bounds,
    clients: HashMap<SocketAddr, u64>,
    flows: HashMap<u64, Flow>,
    /// When it was last looked who was silent.
    looked: Instant,
}

/// What one client says and is answered.
struct Flow {
    inside: UdpSocket,
    client: SocketAddr,
    used: Instant,
}

impl<'s> Datagrams<'s> {
    /// Errors: the socket cannot be used without waiting.
    pub(super) fn new(
        outside: &'s UdpSocket,
        target: SocketAddr,
        bounds: Bounds,
        epoll: &OwnedFd,
    ) -> io::Result<Datagrams<'s>> {
        outside.set_nonblocking(true)?;
        epoll::add(epoll, outside, EventData::new_u64(key(outside)), EventFlags::IN)?;
        let (clients, flows) = (HashMap::new(), HashMap::new());
        Ok(Datagrams { outside, target, bounds, clients, flows, looked: Instant::now() })
    }

    /// Moves what has come at one of its sockets, by its key. Whether it is one of them.
    ///
    /// A datagram that cannot be moved is lost, as any may be.
    pub(super) fn pump(&mut self, ready: u64, epoll: &OwnedFd, buffer: &mut [u8]) -> bool {
        if ready == key(self.outside) {
            self.inward(epoll, buffer);
            return true;
        }
        let Some(flow) = self.flows.get_mut(&ready) else { return false };
        for _ in 0..TURN {
            match flow.inside.recv(buffer) {
                Ok(count) => {
                    flow.used = Instant::now();
                    let _ = self.outside.send_to(buffer.get(..count).unwrap_or_default(), flow.client);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Nobody listens inside: told once for each that was sent there.
                Err(_) => {}
            }
        }
        true
    }

    fn inward(&mut self, epoll: &OwnedFd, buffer: &mut [u8]) {
        for _ in 0..TURN {
            match self.outside.recv_from(buffer) {
                Ok((count, client)) => {
                    if let Ok(flow) = self.flow(client, epoll) {
                        flow.used = Instant::now();
                        let _ = flow.inside.send(buffer.get(..count).unwrap_or_default());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {}
            }
        }
    }

    fn flow(&mut self, client: SocketAddr, epoll: &OwnedFd) -> io::Result<&mut Flow> {
        let key = match self.clients.get(&client) {
            Some(key) => *key,
            None => {
                if self.flows.len() >= self.bounds.clients {
                    self.forget_oldest();
                }
                match self.open(client, epoll) {
                    Err(error) if is_lack(&error) && self.forget_oldest() => self.open(client, epoll)?,
                    key => key?,
                }
            }
        };
        self.flows.get_mut(&key).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn open(&mut self, client: SocketAddr, epoll: &OwnedFd) -> io::Result<u64> {
        let inside = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        inside.set_nonblocking(true)?;
        inside.connect(self.target)?;
        let key = key(&inside);
        epoll::add(epoll, &inside, EventData::new_u64(key), EventFlags::IN)?;
        self.flows.insert(key, Flow { inside, client, used: Instant::now() });
        self.clients.insert(client, key);
        Ok(key)
    }

    /// Whether there was one.
    fn forget_oldest(&mut self) -> bool {
        let oldest = self.flows.iter().min_by_key(|(_, flow)| flow.used).map(|(key, _)| *key);
        if let Some(flow) = oldest.and_then(|key| self.flows.remove(&key)) {
            self.clients.remove(&flow.client);
        }
        oldest.is_some()
    }

    /// Forgets who was silent too long.
    pub(super) fn forget_idle(&mut self, now: Instant) {
        let idle = self.bounds.idle;
        self.looked = now;
        self.flows.retain(|_, flow| now.saturating_duration_since(flow.used) < idle);
        let flows = &self.flows;
        self.clients.retain(|_, key| flows.contains_key(key));
    }

    /// When that is to be looked at next.
    pub(super) fn next_look(&self) -> Option<Instant> {
        (!self.flows.is_empty()).then(|| self.looked + self.bounds.idle / 9)
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::epoll::{CreateFlags, create};

    use super::*;

    const MOST: usize = 20;

    fn socket() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    #[test]
    fn each_client_has_a_flow_until_it_is_silent_or_too_many_came_after_it() {
        let (server, outside) = (socket(), socket());
        let epoll = create(CreateFlags::CLOEXEC).unwrap();
        let target = server.local_addr().unwrap();
        let idle = Duration::from_secs(60);
        let mut datagrams = Datagrams::new(&outside, target, Bounds { idle, clients: MOST }, &epoll).unwrap();
        let address = outside.local_addr().unwrap();
        let mut buffer = [0; 2048];
        let client = socket();
        let mut ask = |datagrams: &mut Datagrams<'_>, from: &UdpSocket, text: &[u8]| {
            from.send_to(text, address).unwrap();
            assert!(datagrams.pump(key(&outside), &epoll, &mut buffer));
            let mut heard = [0; 64];
            let (count, seen) = server.recv_from(&mut heard).unwrap();
            assert_eq!(&heard[..count], text);
            seen
        };
        let first = ask(&mut datagrams, &client, b"one");
        assert_eq!(ask(&mut datagrams, &client, b"two"), first, "the same flow");
        server.send_to(b"answer", first).unwrap();
        let flow = datagrams.clients[&client.local_addr().unwrap()];
        assert!(datagrams.pump(flow, &epoll, &mut [0; 64]));
        let mut heard = [0; 64];
        let (count, from) = client.recv_from(&mut heard).unwrap();
        assert_eq!((&heard[..count], from), (&b"answer"[..], address));
        assert!(!datagrams.pump(u64::MAX, &epoll, &mut [0; 64]));

        let others: Vec<UdpSocket> = (0..MOST).map(|_| socket()).collect();
        for other in &others {
            ask(&mut datagrams, other, b"other");
        }
        assert_eq!((datagrams.flows.len(), datagrams.clients.len()), (MOST, MOST));
        assert!(!datagrams.clients.contains_key(&client.local_addr().unwrap()));

        let until = datagrams.next_look().unwrap();
        assert!(until > Instant::now() && until <= Instant::now() + idle);
        datagrams.forget_idle(Instant::now() + idle + Duration::from_secs(1));
        assert_eq!((datagrams.flows.len(), datagrams.clients.len(), datagrams.next_look()), (0, 0, None));
    }
}
