//! Which process has a port (proc_net(5): `/proc/net/tcp`, `/proc/net/udp`).

use std::fs;

use longshore_runtime::Protocol;

/// State of a TCP socket that listens.
const LISTENS: &str = "0A";
/// State of a UDP socket that is connected to nobody.
const UNCONNECTED: &str = "07";

/// The process that listens at a port of the machine, as a person would name it; `None` where it cannot be found out.
pub(super) fn by(port: u16, protocol: Protocol) -> Option<String> {
    let (paths, state) = match protocol {
        Protocol::Tcp => (["/proc/net/tcp", "/proc/net/tcp6"], LISTENS),
        Protocol::Udp => (["/proc/net/udp", "/proc/net/udp6"], UNCONNECTED),
    };
    let tables = paths.map(|path| fs::read_to_string(path).unwrap_or_default());
    let inode = tables.iter().find_map(|table| listening(table, port, state))?;
    let socket = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(number) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        let has_it = descriptors.flatten().any(|descriptor| {
            fs::read_link(descriptor.path()).is_ok_and(|link| link.as_os_str() == socket.as_str())
        });
        if has_it {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("process {number} ({})", name.trim()));
        }
    }
    None
}

/// The inode of the socket that listens at a port.
fn listening<'t>(table: &'t str, port: u16, state: &str) -> Option<&'t str> {
    let wanted = format!("{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1)?.rsplit(':').next()? == wanted && *fields.get(3)? == state;
        is_it.then(|| fields.get(9).copied())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_listens_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = by(port, Protocol::Tcp).unwrap();
        assert!(found.starts_with(&format!("process {} (", std::process::id())), "{found}");
        drop(listener);
        assert_eq!(by(port, Protocol::Tcp), None);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(by(port, Protocol::Udp), Some(found));
    }
}
