//! Egress: which hosts scripts reach. The guard makes their sockets, connects them, and answers their DNS questions.
//!
//! ```text
//! script ── socket() ──▶ kernel ── notification ──▶ guard: makes it, keeps a duplicate, hands it over
//!        ── connect() ─▶        ──              ──▶ guard: copies the address, decides on its copy, connects the duplicate
//!        ── UDP to port 53 ───────────────────────▶ guard: answers, and remembers which address it gave for which name
//! ```
//!
//! - [`notify`]: the calls that wait, and their answers; [`caller`] and [`address`]: what they are about;
//! - [`sockets`]: what the guard keeps of the sockets it made; [`names`]: which names led to which addresses;
//! - [`dns`]: the name service; [`traffic`]: bytes by connection, from the kernel;
//! - [`record`]: what is told of it; [`watchlist`]: what is in the guard's epoll;
//! - [`starting`]: how many processes and threads there are, which the same listener is asked about;
//! - [`own_files`]: modes and times of files, for the same reason;
//! - [`answering`], [`addressing`] and [`resolving`]: call by call and question by question, what happens.
//!
//! Invariants
//! - EG-4: no call whose arguments in memory decide is answered with "continue": the kernel would read them again.
//! - EG-5: what is acted on is the guard's own copy of what it decided on.
//! - EG-6: no datagram socket exists inside: what a script takes for one ends in the guard.
//! - EG-7: the guard never waits for the network; a connection of one script holds up nobody else's.
//! - EG-8: a connected socket is the script's alone: the guard keeps no duplicate that would hold it open.

mod address;
mod addressing;
mod answering;
mod caller;
mod dns;
mod names;
mod notify;
pub(crate) mod own_files;
mod record;
mod resolving;
mod sockets;
mod starting;
mod traffic;
mod watchlist;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use airlock_actors::domain::ErrorType;
use airlock_actors::domain::egress::{HostPolicy, OwnAddresses};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollFlags};

use self::dns::servers::ServersFile;
use self::names::{Answers, HostsFile};
use self::notify::Listener;
use self::record::Record;
use self::resolving::Resolving;
use self::sockets::Sockets;
use self::starting::Starts;
use self::traffic::Traffic;
use self::watchlist::{Watched, Watchlist};
use crate::worker::protocol::Outcome;
use airlock_actors::ports::EgressSeen;

/// How long the addresses of this machine are taken to be as they were.
const INTERFACES_ARE_KNOWN: Duration = Duration::from_secs(10);

/// Calls answered before others get their turn.
const CALLS_PER_TURN: usize = 64;

/// How egress is set up.
#[derive(Debug, Clone, Default)]
pub(super) struct EgressConfig {
    /// Port that Airlock's server listens on.
    pub(super) server_port: Option<u16>,
    /// Name servers to ask; those of the machine, if there are none.
    pub(super) name_servers: Vec<SocketAddr>,
    /// The process that forks those of executions; it and the guard are nobody's script.
    pub(super) fork_server: i32,
}

/// What is known of one execution.
struct Script {
    /// Its temporary folder, without links in its path.
    folder: PathBuf,
    policy: HostPolicy,
    sockets: Sockets,
    answers: Answers,
    record: Record,
    starts: Starts,
}

/// What egress leaves of an execution.
#[derive(Default)]
pub(super) struct Left {
    /// Whom it asked for.
    pub(super) seen: Vec<EgressSeen>,
    /// The sentence about what was refused last.
    pub(super) last_refusal: Option<String>,
}

/// The part of the guard that decides on connections.
pub(super) struct Egress {
    listener: Listener,
    own: OwnAddresses,
    own_read: Instant,
    hosts: HostsFile,
    resolving: Resolving,
    traffic: Traffic,
    /// By the number of the fork, from the start of its script to its end.
    scripts: HashMap<u64, Script>,
    /// The fork that a process belongs to: the main processes of executions.
    mains: HashMap<i32, u64>,
    /// Where looking upwards for one ends: the fork server, and the guard.
    ends: [i32; 2],
    watchlist: Watchlist,
    /// Executions that go on asking for more processes than they may have.
    bombs: Vec<u64>,
}

impl Egress {
    /// Takes the listener over, and puts it into `epoll`.
    pub(super) fn new(listener: OwnedFd, config: &EgressConfig, epoll: &Epoll) -> Result<Self, String> {
        let servers = ServersFile::new("/etc/resolv.conf".into(), config.name_servers.clone());
        let mut egress = Self {
            listener: Listener::new(listener),
            own: OwnAddresses { addresses: own_addresses(), server_port: config.server_port },
            own_read: Instant::now(),
            hosts: HostsFile::new("/etc/hosts".into()),
            resolving: Resolving::new(servers),
            traffic: Traffic::new(),
            scripts: HashMap::new(),
            mains: HashMap::new(),
            ends: [config.fork_server, nix::unistd::getpid().as_raw()],
            watchlist: Watchlist::default(),
            bombs: Vec::new(),
        };
        let failed = |error: Errno| format!("epoll: {error}");
        let Self { watchlist, listener, traffic, .. } = &mut egress;
        watchlist.add(epoll, listener.descriptor(), Watched::Listener, EpollFlags::EPOLLIN).map_err(failed)?;
        if let Some(socket) = traffic.descriptor() {
            watchlist.add(epoll, socket, Watched::Traffic, EpollFlags::EPOLLIN).map_err(failed)?;
        }
        Ok(egress)
    }

    /// From now on the processes below `main` are a script's, under `policy`.
    /// `folder`: its own, without links in the path. `most_tasks`: processes and threads that it may have.
    pub(super) fn begin(&mut self, fork: u64, main: i32, folder: PathBuf, policy: HostPolicy, most_tasks: u64) {
        self.look_at_interfaces();
        let script = Script {
            folder,
            policy,
            sockets: Sockets::new(),
            answers: Answers::default(),
            record: Record::new(Instant::now()),
            starts: Starts::new(main, most_tasks),
        };
        self.scripts.insert(fork, script);
        self.mains.insert(main, fork);
    }

    /// A machine's addresses change while a worker lives.
    fn look_at_interfaces(&mut self) {
        if self.own_read.elapsed() >= INTERFACES_ARE_KNOWN {
            (self.own.addresses, self.own_read) = (own_addresses(), Instant::now());
        }
    }

    /// An execution is over and its processes are gone. What it had under way ends with it.
    pub(super) fn end(&mut self, fork: u64) -> Left {
        self.on_traffic();
        self.traffic.forget(fork);
        self.mains.retain(|_, other| *other != fork);
        self.resolving.forget(fork);
        let resolving = &self.resolving;
        self.watchlist.retain(|watched| match watched {
            Watched::Connecting(other, _) | Watched::Stub(other, _) => other != fork,
            Watched::Lookup(lookup) => resolving.has(lookup),
            Watched::Listener | Watched::Traffic => true,
        });
        let Some(script) = self.scripts.remove(&fork) else { return Left::default() };
        let last_refusal = script.record.last_refusal().map(ToOwned::to_owned);
        Left { seen: script.record.into_entries(), last_refusal }
    }

    /// A descriptor is ready.
    pub(super) fn on_event(&mut self, number: u64, epoll: &Epoll) {
        match self.watchlist.get(number) {
            Some(Watched::Listener) => self.on_calls(epoll),
            Some(Watched::Traffic) => self.on_traffic(),
            Some(Watched::Connecting(fork, inode)) => self.on_connecting(fork, inode, epoll),
            Some(Watched::Stub(fork, inode)) => self.on_stub(number, fork, inode, epoll),
            Some(Watched::Lookup(lookup)) => self.on_lookup(number, lookup, epoll),
            None => {}
        }
    }

    /// The next execution that goes on asking for more processes than it may have.
    pub(super) fn next_bomb(&mut self) -> Option<u64> {
        self.bombs.pop()
    }

    /// The next moment at which [`Self::on_time`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        [self.resolving.next_deadline(), self.traffic.next_deadline()].into_iter().flatten().min()
    }

    /// Whether nothing more is to be learnt of an execution whose processes are gone: then it may be ended.
    pub(super) fn is_settled(&mut self, fork: u64) -> bool {
        // Its sockets are the guard's alone now: closed, the kernel takes them down.
        if let Some(script) = self.scripts.get_mut(&fork) {
            script.sockets = Sockets::new();
        }
        self.on_traffic();
        self.traffic.is_settled(fork)
    }

    /// Questions whose server has had its time go on to the next.
    pub(super) fn on_time(&mut self, epoll: &Epoll) {
        for lookup in self.resolving.late(Instant::now()) {
            if let Some(number) = self.watchlist.number_of(Watched::Lookup(lookup)) {
                self.on_lookup(number, lookup, epoll);
            }
        }
    }

    /// The bytes of connections that have ended.
    fn on_traffic(&mut self) {
        for (fork, entry, sent, received) in self.traffic.ended() {
            if let Some(script) = self.scripts.get_mut(&fork) {
                script.record.carried(&entry, sent, received);
            }
        }
    }

    /// The execution that a thread belongs to: its process, or one above it, is an execution's main one.
    fn fork_of(&self, thread: i32) -> Option<u64> {
        const DEEPEST: usize = 4096;
        let mut process = thread;
        for _ in 0..DEEPEST {
            if let Some(&fork) = self.mains.get(&process) {
                return Some(fork);
            }
            // The fork server asks most of all: for each fork.
            if self.ends.contains(&process) {
                return None;
            }
            let (group, parent) = caller::process_and_parent(process)?;
            if let Some(&fork) = self.mains.get(&group) {
                return Some(fork);
            }
            if parent <= 1 {
                return None;
            }
            process = parent;
        }
        None
    }
}

/// How a script ended, with the reason when a refused connection seems to have ended it: the exception says no more than that
/// something was not permitted, or that there is no such name.
pub(super) fn explained(outcome: Outcome, refusal: &str) -> Outcome {
    const WORDS: &[&str] = &[
        "not permitted",
        "not known",
        "resol",
        "connect",
        "Connect",
        "host name",
        "gaierror",
        "Network",
        "Errno 1]",
        "DNS",
        "NXDOMAIN",
    ];
    match outcome {
        Outcome::Failed { error_type: ErrorType::Python(name), error, traceback }
            if WORDS.iter().any(|word| error.contains(word) || name.contains(word)) =>
        {
            let error = format!("{error} (Airlock refused it: {refusal})");
            Outcome::Failed { error_type: ErrorType::Python(name), error, traceback }
        }
        other => other,
    }
}

/// Answers a call that waits while no script runs yet: the fork server starts.
pub(super) fn answer_fork_server(listener: &OwnedFd) {
    let Ok(copy) = listener.try_clone() else { return };
    let listener = Listener::new(copy);
    if let Ok(Some(call)) = listener.receive() {
        match answering::of_nobody(&listener, &call) {
            Ok(_) => {}
            Err(errno) => listener.answer(call.id, Err(errno)),
        }
    }
}

/// The addresses of this machine's interfaces.
fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let addresses = interfaces.filter_map(|interface| interface.address).filter_map(|address| {
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    addresses.collect()
}
