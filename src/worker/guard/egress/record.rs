//! Whom an execution asked for, allowed or not, by host and port.

use std::collections::HashMap;
use std::time::Instant;

use airlock_actors::domain::egress::Refusal;

use airlock_actors::ports::EgressSeen;

/// Most entries of one execution; what goes beyond is counted together.
const MAX_ENTRIES: usize = 200;
/// What that is called.
const OTHERS: &str = "(others)";

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    host: String,
    port: Option<u16>,
    refusal: Option<Refusal>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// The how manieth entry it is.
    place: usize,
    count: u64,
    first_ms: u64,
    sent: Option<u64>,
    received: Option<u64>,
}

/// The record of one execution.
pub(super) struct Record {
    began: Instant,
    entries: HashMap<Key, Seen>,
    last_refusal: Option<String>,
}

/// Names an entry, for the bytes that are told later.
#[derive(Debug, Clone)]
pub(super) struct EntryId(Key);

impl Record {
    pub(super) fn new(began: Instant) -> Self {
        Self { began, entries: HashMap::new(), last_refusal: None }
    }

    /// Counts a connection, or a question for a name (`port` is `None`).
    pub(super) fn count(&mut self, host: &str, port: Option<u16>, refusal: Option<Refusal>) -> EntryId {
        if let Some(refusal) = refusal {
            let place = port.map_or_else(|| host.to_owned(), |port| joined(host, port));
            self.last_refusal = Some(format!("{place} {refusal}"));
        }
        let mut key = Key { host: host.to_owned(), port, refusal };
        if self.entries.len() >= MAX_ENTRIES && !self.entries.contains_key(&key) {
            key = Key { host: OTHERS.to_owned(), port: None, refusal: refusal.map(|_| Refusal::NotListed) };
        }
        let first_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let place = self.entries.len();
        let new = Seen { place, count: 0, first_ms, sent: None, received: None };
        let entry = self.entries.entry(key.clone()).or_insert(new);
        entry.count += 1;
        EntryId(key)
    }

    /// Adds what a connection has carried.
    pub(super) fn carried(&mut self, entry: &EntryId, sent: u64, received: u64) {
        if let Some(seen) = self.entries.get_mut(&entry.0) {
            seen.sent = Some(seen.sent.unwrap_or(0).saturating_add(sent));
            seen.received = Some(seen.received.unwrap_or(0).saturating_add(received));
        }
    }

    /// The sentence about what was refused last.
    pub(super) fn last_refusal(&self) -> Option<&str> {
        self.last_refusal.as_deref()
    }

    /// In the order in which they were first asked for.
    pub(super) fn into_entries(self) -> Vec<EgressSeen> {
        let mut entries = self.entries.into_iter().collect::<Vec<_>>();
        entries.sort_by_key(|(_, seen)| seen.place);
        let told = |(key, seen): (Key, Seen)| EgressSeen {
            host: key.host,
            port: key.port,
            refusal: key.refusal.map(|refusal| refusal.as_str().to_owned()),
            count: seen.count,
            first_ms: seen.first_ms,
            bytes_sent: seen.sent,
            bytes_received: seen.received,
        };
        entries.into_iter().map(told).collect()
    }
}

fn joined(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_counted_and_what_is_too_much_is_put_together() {
        let mut record = Record::new(Instant::now());
        for _ in 0..3 {
            record.count("a.example", Some(443), None);
        }
        let entry = record.count("a.example", Some(443), Some(Refusal::NotListed));
        record.carried(&entry, 1, 2);
        record.carried(&entry, 1, 2);
        for number in 0..MAX_ENTRIES + 10 {
            record.count(&format!("{number}.example"), None, Some(Refusal::NotListed));
        }
        assert_eq!(record.last_refusal(), Some(&*format!("{}.example {}", MAX_ENTRIES + 9, Refusal::NotListed)));
        let entries = record.into_entries();
        assert_eq!(entries.len(), MAX_ENTRIES + 1);
        let of = |host: &str, refused: bool| {
            entries.iter().find(|entry| entry.host == host && entry.refusal.is_some() == refused).expect("is there")
        };
        assert_eq!(of("a.example", false).count, 3);
        assert_eq!((of("a.example", true).bytes_sent, of("a.example", true).bytes_received), (Some(2), Some(4)));
        assert_eq!(of(OTHERS, true).count, 12);
    }

    #[test]
    fn a_refusal_says_where_and_why() {
        let mut record = Record::new(Instant::now());
        record.count("2001:db8::1", Some(443), Some(Refusal::OtherPort));
        let sentence = record.last_refusal().expect("was refused");
        assert!(sentence.starts_with("[2001:db8::1]:443 is in the allowed_hosts"), "{sentence}");
    }
}
