//! Published ports: a process that accepts on the machine and connects inside.
//!
//! A container's network is its own, and an ordinary user may not connect it with the machine's. But a socket belongs to the network that
//! it was made in, whoever holds it: the listening ones are made by the monitor, on the machine; the process that holds them enters the
//! container's network and connects there. That works alike for everybody, as RootlessKit's built-in port driver does.

mod relay;
mod taken;
mod udp;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use longshore_runtime::{NetworkMode, Protocol, PublishedPort};
use longshore_sandbox::{descriptor, start_self};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};
use serde::{Deserialize, Serialize};

use crate::error::{ContainerError, Failure};
use crate::message::Message;
use crate::monitor::{Helper, PORTS};
use crate::record::Record;

/// The listening sockets of a container's published ports.
pub(crate) struct Ports {
    listeners: Vec<(Listener, PublishedPort)>,
}

/// A socket of the machine at a published port.
pub(super) enum Listener {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Listener {
    fn bind(address: SocketAddr, protocol: Protocol) -> std::io::Result<Listener> {
        match protocol {
            Protocol::Tcp => TcpListener::bind(address).map(Listener::Tcp),
            Protocol::Udp => UdpSocket::bind(address).map(Listener::Udp),
        }
    }

    fn from(descriptor: OwnedFd, protocol: Protocol) -> Listener {
        match protocol {
            Protocol::Tcp => Listener::Tcp(descriptor.into()),
            Protocol::Udp => Listener::Udp(descriptor.into()),
        }
    }

    fn address(&self) -> std::io::Result<SocketAddr> {
        match self {
            Listener::Tcp(listener) => listener.local_addr(),
            Listener::Udp(socket) => socket.local_addr(),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Udp(socket) => socket.as_fd(),
        }
    }
}

/// What the process is told.
#[derive(Debug, Serialize, Deserialize)]
struct Errand {
    /// The container's process 1.
    process: u32,
    /// The address inside.
    address: Ipv4Addr,
    /// The port inside, for each listening socket.
    ports: Vec<(u16, Protocol)>,
}

impl Ports {
    /// Listens at the ports of the machine. Those of a container that has no network of its own are discarded.
    ///
    /// Errors: one is taken, or may not be had.
    pub(crate) fn listen(record: &Record) -> Result<Ports, Failure> {
        let mut listeners = Vec::new();
        for port in record.settings.ports.iter().filter(|_| record.settings.network == NetworkMode::Own) {
            let listener = listen(port)?;
            let taken = listener.address().map(|address| address.port()).ok();
            listeners.push((listener, PublishedPort { host: taken, ..port.clone() }));
        }
        Ok(Ports { listeners })
    }

    /// What is to be said of ports that are discarded: Docker goes on without them, too.
    pub(crate) fn warning(record: &Record) -> Option<String> {
        let why = match record.settings.network {
            NetworkMode::Own => return None,
            NetworkMode::Host => "host: what the program listens at is the machine's",
            NetworkMode::None => "none: nothing leads there",
        };
        let has_ports = !record.settings.ports.is_empty();
        has_ports.then(|| format!("published ports are discarded with --network {why}"))
    }

    /// The ports, with those of the machine that were taken.
    pub(crate) fn published(&self) -> Vec<PublishedPort> {
        self.listeners.iter().map(|(_, port)| port.clone()).collect()
    }

    /// Starts the process that serves them; `None` where there are none.
    pub(crate) fn serve(&self, process: u32, address: Ipv4Addr) -> Result<Option<Helper>, Failure> {
        if self.listeners.is_empty() {
            return Ok(None);
        }
        let problem =
            |error: std::io::Error| ContainerError::new(format!("cannot serve the published ports: {error}"));
        let (control, theirs) = UnixStream::pair().map_err(problem)?;
        let mut program = start_self(PORTS);
        program.command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::null());
        let mut helper = Helper(program.command.spawn().map_err(problem)?, None);
        let ports = self.listeners.iter().map(|(_, port)| (port.container, port.protocol)).collect();
        let errand = serde_json::to_vec(&Errand { process, address, ports });
        let errand = errand.map_err(|error| problem(error.into()))?;
        Message::Order(errand).send(&mut &control).map_err(problem)?;
        for (listener, _) in &self.listeners {
            let listener = listener.as_fd().try_clone_to_owned().map_err(problem)?;
            descriptor::send(&control, Some(&listener)).map_err(|error| problem(error.into()))?;
        }
        // It says so when it is inside, or why it cannot be.
        match Message::receive(&mut &control).map_err(problem)? {
            Some(Message::Started(_)) => {
                helper.1 = Some(control);
                Ok(Some(helper))
            }
            Some(Message::Failed(bytes)) => {
                Err(ContainerError::new(String::from_utf8_lossy(&bytes).into_owned()).into())
            }
            _ => Err(ContainerError::new("the process that serves the published ports ended at once").into()),
        }
    }
}

fn listen(port: &PublishedPort) -> Result<Listener, Failure> {
    let number = port.host.unwrap_or(0);
    let address = port.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let address = SocketAddr::new(address, number);
    Listener::bind(address, port.protocol).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            Failure::PortTaken(address.to_string(), taken::by(number, port.protocol))
        }
        std::io::ErrorKind::PermissionDenied => Failure::Setting(
            "--publish".to_owned(),
            format!("port {number} may be opened by root alone"),
            Some("publish a port above 1023, or lower net.ipv4.ip_unprivileged_port_start".to_owned()),
        ),
        _ => Failure::Setting("--publish".to_owned(), format!("cannot listen at {address}: {error}"), None),
    })
}

/// Does the part of the process. Returns its exit code.
pub(crate) fn serve() -> i32 {
    let Ok(control) = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else { return 70 };
    match enter(&control) {
        Ok((listeners, address)) => {
            if Message::Started(Vec::new()).send(&mut &control).is_err() {
                return 70;
            }
            relay::run(&listeners, address, &control)
        }
        Err(message) => {
            // If nobody hears it, nobody is left to be told.
            let _ = Message::Failed(message.into_bytes()).send(&mut &control);
            1
        }
    }
}

type Entered = (Vec<(Listener, u16)>, Ipv4Addr);

fn enter(control: &UnixStream) -> Result<Entered, String> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| format!("cannot follow the monitor: {error}"))?;
    let Ok(Some(Message::Order(bytes))) = Message::receive(&mut &*control) else {
        return Err("there is no order".to_owned());
    };
    let errand: Errand = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    let mut listeners = Vec::new();
    for (port, protocol) in errand.ports {
        let received = descriptor::receive(control).map_err(|error| error.to_string())?;
        listeners.push((Listener::from(received.ok_or("a socket is missing")?, protocol), port));
    }
    allow_many();
    let path = format!("/proc/{}/ns/net", errand.process);
    let network = std::fs::File::open(&path).map_err(|error| format!("cannot open {path}: {error}"))?;
    move_into_thread_name_spaces(network.as_fd(), ThreadNameSpaceType::NETWORK)
        .map_err(|error| format!("cannot enter the container's network: {error}"))?;
    Ok((listeners, errand.address))
}

/// Lets this process open as many files as it may: each connection takes two. Where that is refused, it may open as many as whoever
/// started the container.
fn allow_many() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
