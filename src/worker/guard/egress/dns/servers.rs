//! Whom to ask: resolv.conf(5), read again when it has changed.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

const PORT: u16 = 53;
/// As many as a C library asks (MAXNS).
const MAX_SERVERS: usize = 3;

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::worker::guard::egress) struct Servers {
    /// In the order in which they are asked.
    pub(super) addresses: Vec<SocketAddr>,
    /// How long one has to answer.
    pub(super) patience: Duration,
    /// How often all are asked.
    pub(super) rounds: usize,
    /// What a C library adds to short names; lower case.
    pub(in crate::worker::guard::egress) search: Vec<String>,
}

/// The file with them.
#[derive(Debug)]
pub(in crate::worker::guard::egress) struct ServersFile {
    path: PathBuf,
    /// Asked in place of those in the file.
    instead: Vec<SocketAddr>,
    changed: Option<SystemTime>,
    servers: Servers,
}

impl ServersFile {
    /// The file at `path`; where `instead` names servers, they are asked, and the file has the other settings.
    pub(in crate::worker::guard::egress) fn new(path: PathBuf, instead: Vec<SocketAddr>) -> Self {
        let mut file = Self { path, instead, changed: None, servers: parsed("") };
        file.read();
        file
    }

    /// The settings as they are now.
    pub(in crate::worker::guard::egress) fn current(&mut self) -> &Servers {
        let changed = fs::metadata(&self.path).and_then(|file| file.modified()).ok();
        if changed != self.changed || changed.is_none() {
            self.changed = changed;
            self.read();
        }
        &self.servers
    }

    fn read(&mut self) {
        self.servers = parsed(&fs::read_to_string(&self.path).unwrap_or_default());
        if !self.instead.is_empty() {
            self.servers.addresses.clone_from(&self.instead);
        }
    }
}

fn parsed(text: &str) -> Servers {
    let mut servers =
        Servers { addresses: Vec::new(), patience: Duration::from_secs(3), rounds: 2, search: Vec::new() };
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => {
                // A zone after `%` is for link-local servers, which the standard library does not read.
                let address = words.next().and_then(|word| word.split('%').next()?.parse::<IpAddr>().ok());
                servers.addresses.extend(address.map(|address| SocketAddr::new(address, PORT)));
            }
            Some("search" | "domain") => {
                servers.search = words
                    .map(|word| word.trim_end_matches('.').to_ascii_lowercase())
                    .filter(|word| !word.is_empty())
                    .collect();
            }
            Some("options") => words.for_each(|option| match option.split_once(':') {
                Some(("timeout", seconds)) => {
                    let seconds = seconds.parse().unwrap_or(3).clamp(1, 30);
                    servers.patience = Duration::from_secs(seconds);
                }
                Some(("attempts", rounds)) => servers.rounds = rounds.parse().unwrap_or(2).clamp(1, 5),
                _ => {}
            }),
            _ => {}
        }
    }
    servers.addresses.truncate(MAX_SERVERS);
    if servers.addresses.is_empty() {
        servers.addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_as_a_c_library_reads_it() {
        let text = "# made by something\nsearch a.example b.example.\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\n\
                    nameserver nonsense\nnameserver 192.0.2.2\nnameserver 192.0.2.3\noptions ndots:5 timeout:1 attempts:9\n";
        let servers = parsed(text);
        let expected = ["192.0.2.1:53", "[fe80::1]:53", "192.0.2.2:53"].map(|text| text.parse().expect("an address"));
        assert_eq!(servers.addresses, expected);
        assert_eq!((servers.patience, servers.rounds), (Duration::from_secs(1), 5));
        assert_eq!(servers.search, ["a.example", "b.example"]);
    }

    #[test]
    fn without_a_file_this_machine_is_asked() {
        let mut file = ServersFile::new("/does/not/exist".into(), vec![]);
        assert_eq!(file.current().addresses, ["127.0.0.1:53".parse().expect("an address")]);
        let other: SocketAddr = "192.0.2.9:5353".parse().expect("an address");
        assert_eq!(ServersFile::new("/etc/resolv.conf".into(), vec![other]).current().addresses, [other]);
    }
}
