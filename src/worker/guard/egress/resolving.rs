//! Questions of scripts: which are asked on, whose answers they are, and what they cost at most.

use std::collections::HashMap;
use std::os::fd::AsRawFd as _;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollFlags};
use nix::sys::socket::{MsgFlags, recv, send};

use super::dns::lookup::{Lookup, Progress};
use super::dns::message::{MAX_QUESTION_BYTES, Question, Said, Unanswerable};
use super::dns::servers::{Servers, ServersFile};
use super::watchlist::{Watched, Watchlist};
use super::{Egress, Script};
use airlock_actors::domain::egress::Refusal;

/// Questions of one execution that are under way at once; more are told that nobody could tell.
const MAX_LOOKUPS: usize = 256;
/// Questions taken from one socket before others get their turn.
const QUESTIONS_PER_TURN: usize = 32;

/// A question under way, and whose.
struct Asked {
    fork: u64,
    stub: u64,
    lookup: Lookup,
}

/// The questions under way.
pub(super) struct Resolving {
    servers: ServersFile,
    asked: HashMap<u64, Asked>,
    last: u64,
}

impl Resolving {
    pub(super) fn new(servers: ServersFile) -> Self {
        Self { servers, asked: HashMap::new(), last: 0 }
    }

    pub(super) fn has(&self, lookup: u64) -> bool {
        self.asked.contains_key(&lookup)
    }

    /// Ends what an execution asked.
    pub(super) fn forget(&mut self, fork: u64) {
        self.asked.retain(|_, asked| asked.fork != fork);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.asked.values().map(|asked| asked.lookup.deadline).min()
    }

    /// Those whose server has had its time.
    pub(super) fn late(&self, now: Instant) -> Vec<u64> {
        self.asked.iter().filter(|(_, asked)| asked.lookup.deadline <= now).map(|(number, _)| *number).collect()
    }
}

/// What is to be done with a name.
enum Permission {
    /// Ask; its addresses are remembered under these names.
    Ask(Vec<String>),
    /// Say that there is no such name. `recorded`: what to write down, if anything.
    Refuse { recorded: Option<String> },
}

/// A C library adds the domains it searches to short names: `db` becomes `db.corp.example`. Entries mean what the script
/// wrote, and only that is written down.
fn permission(script: &Script, host: &str, servers: &Servers) -> Permission {
    let as_written = servers.search.iter().find_map(|domain| host.strip_suffix(domain.as_str())?.strip_suffix('.'));
    let allowed = script.policy.allows_name(host);
    let short = as_written.filter(|written| !written.contains('.') && script.policy.allows_name(written));
    if allowed || short.is_some() {
        return Permission::Ask([Some(host), short].into_iter().flatten().map(ToOwned::to_owned).collect());
    }
    let recorded = match as_written {
        // The name alone is allowed, and is asked for next.
        Some(written) if script.policy.allows_name(written) => None,
        written => Some(written.unwrap_or(host).to_owned()),
    };
    Permission::Refuse { recorded }
}

impl Egress {
    /// A script wrote to what it takes for a connected datagram socket.
    pub(super) fn on_stub(&mut self, number: u64, fork: u64, inode: u64, epoll: &Epoll) {
        let mut buffer = [0; MAX_QUESTION_BYTES];
        for _ in 0..QUESTIONS_PER_TURN {
            let stub = self.scripts.get(&fork).and_then(|script| script.sockets.stubs.get(&inode));
            let Some(stub) = stub else {
                self.watchlist.forget(number);
                return;
            };
            match recv(stub.ours.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(count) if stub.peer.is_some() => {
                    self.question(fork, inode, buffer.get(..count).unwrap_or_default(), epoll);
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Answers one question, or begins to find out.
    pub(super) fn question(&mut self, fork: u64, inode: u64, bytes: &[u8], epoll: &Epoll) {
        let question = match Question::read(bytes) {
            Ok(question) => question,
            Err(Unanswerable::Answer(answer)) => return self.reply(fork, inode, &answer),
            Err(Unanswerable::Silent) => return,
        };
        let servers = self.resolving.servers.current().clone();
        let Some(script) = self.scripts.get_mut(&fork) else { return };
        match permission(script, &question.host, &servers) {
            Permission::Refuse { recorded } => {
                if let Some(name) = recorded {
                    script.record.count(&name, None, Some(Refusal::NotListed));
                }
                let answer = question.no_such_name();
                return self.reply(fork, inode, &answer);
            }
            Permission::Ask(_) => {
                script.record.count(&question.host, None, None);
            }
        }
        let under_way = self.resolving.asked.values().filter(|asked| asked.fork == fork).count();
        let failure = question.failure();
        let lookup = (under_way < MAX_LOOKUPS).then(|| Lookup::begin(question, servers)).flatten();
        let Some(lookup) = lookup else { return self.reply(fork, inode, &failure) };
        self.resolving.last += 1;
        let number = self.resolving.last;
        self.resolving.asked.insert(number, Asked { fork, stub: inode, lookup });
        if !self.watch_lookup(number, epoll) {
            self.resolving.asked.remove(&number);
            self.reply(fork, inode, &failure);
        }
    }

    fn watch_lookup(&mut self, lookup: u64, epoll: &Epoll) -> bool {
        let Some(asked) = self.resolving.asked.get(&lookup) else { return false };
        let watched = Watched::Lookup(lookup);
        self.watchlist.add(epoll, asked.lookup.descriptor(), watched, interest(&asked.lookup)).is_ok()
    }

    /// A server answered, or has had its time.
    pub(super) fn on_lookup(&mut self, number: u64, lookup: u64, epoll: &Epoll) {
        let Some(asked) = self.resolving.asked.get_mut(&lookup) else {
            self.watchlist.forget(number);
            return;
        };
        match asked.lookup.proceed() {
            Progress::Waits => {
                Watchlist::change(epoll, asked.lookup.descriptor(), number, interest(&asked.lookup));
            }
            Progress::OtherDescriptor => {
                // The old one is closed, and so out of the epoll.
                self.watchlist.forget(number);
                if !self.watch_lookup(lookup, epoll) {
                    self.finish_lookup(lookup, None);
                }
            }
            Progress::Over(said) => {
                self.watchlist.forget(number);
                self.finish_lookup(lookup, said);
            }
        }
    }

    fn finish_lookup(&mut self, lookup: u64, said: Option<Said>) {
        let Some(Asked { fork, stub, lookup }) = self.resolving.asked.remove(&lookup) else { return };
        let servers = self.resolving.servers.current().clone();
        let Some(script) = self.scripts.get_mut(&fork) else { return };
        let answer = match (said, permission(script, &lookup.question.host, &servers)) {
            (Some(Said::Answer { bytes, addresses }), Permission::Ask(names)) => {
                let mut remembered = true;
                for name in &names {
                    remembered &= addresses.iter().all(|&address| script.answers.remember(name, address));
                }
                if remembered { bytes } else { lookup.question.failure() }
            }
            _ => lookup.question.failure(),
        };
        self.reply(fork, stub, &answer);
    }

    /// To the script; one that does not read loses it, as with any datagram.
    fn reply(&mut self, fork: u64, inode: u64, answer: &[u8]) {
        let stub = self.scripts.get(&fork).and_then(|script| script.sockets.stubs.get(&inode));
        if let Some(stub) = stub {
            let _ = send(stub.ours.as_raw_fd(), answer, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
            self.hand_over(fork, inode);
        }
    }
}

fn interest(lookup: &Lookup) -> EpollFlags {
    if lookup.sends() { EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN }
}
