//! Which names led to which addresses: what DNS said to one execution, and the machine's hosts file.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use airlock_actors::domain::egress::{HostPolicy, canonical, host_name};

/// Most addresses remembered for one execution; more questions are refused then.
const MAX_ADDRESSES: usize = 16 * 1024;
/// Most names remembered for one address.
const MAX_NAMES: usize = 16;

/// What DNS said to one execution.
#[derive(Debug, Default)]
pub(super) struct Answers(HashMap<IpAddr, Vec<String>>);

impl Answers {
    /// `name` led to `address`. False when there is no room to remember it.
    pub(super) fn remember(&mut self, name: &str, address: IpAddr) -> bool {
        let address = canonical(address);
        if self.0.len() >= MAX_ADDRESSES && !self.0.contains_key(&address) {
            return false;
        }
        let names = self.0.entry(address).or_default();
        if !names.iter().any(|known| known == name) {
            // The oldest goes: what was asked for last is about to be connected to.
            if names.len() >= MAX_NAMES {
                names.remove(0);
            }
            names.push(name.to_owned());
        }
        true
    }

    /// What the record calls an address: the name that led to it, or itself. `hosts`: its names in the hosts file, which
    /// matter only where an entry has one of them.
    pub(super) fn name_of(&self, address: IpAddr, hosts: &[String], policy: &HostPolicy) -> String {
        let answers = self.of(address);
        let allowed = answers.iter().rev().find(|name| policy.allows_name(name));
        let listed = || hosts.iter().find(|name| policy.lists_name(name));
        let name = allowed.or_else(listed).or(answers.last());
        name.cloned().unwrap_or_else(|| address.to_canonical().to_string())
    }

    /// The names that led to `address`, the last one last.
    pub(super) fn of(&self, address: IpAddr) -> &[String] {
        self.0.get(&canonical(address)).map_or(&[], Vec::as_slice)
    }
}

/// `/etc/hosts`, read again when it has changed: a script's C library reads it by itself and asks no name server.
#[derive(Debug)]
pub(super) struct HostsFile {
    path: PathBuf,
    changed: Option<SystemTime>,
    names: HashMap<IpAddr, Vec<String>>,
}

impl HostsFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, changed: None, names: HashMap::new() }
    }

    /// The names that the file has for `address`.
    pub(super) fn of(&mut self, address: IpAddr) -> &[String] {
        let changed = fs::metadata(&self.path).and_then(|file| file.modified()).ok();
        if changed != self.changed || changed.is_none() {
            self.changed = changed;
            self.names = fs::read_to_string(&self.path).map(|text| parsed(&text)).unwrap_or_default();
        }
        self.names.get(&canonical(address)).map_or(&[], Vec::as_slice)
    }
}

fn parsed(text: &str) -> HashMap<IpAddr, Vec<String>> {
    let mut names = HashMap::<IpAddr, Vec<String>>::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        names.entry(canonical(address)).or_default().extend(words.filter_map(|word| host_name(word).ok()));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn what_led_to_an_address_is_remembered_within_bounds() {
        let mut answers = Answers::default();
        for number in 0..MAX_NAMES + 1 {
            assert!(answers.remember(&format!("{number}.example"), address("192.0.2.1")));
        }
        assert!(answers.remember("16.example", address("::ffff:192.0.2.1")));
        let names = answers.of(address("192.0.2.1"));
        assert_eq!((names.len(), names.last().map(String::as_str)), (MAX_NAMES, Some("16.example")));
        assert_eq!(names.first().map(String::as_str), Some("1.example"));
        for number in 1..MAX_ADDRESSES {
            let number = u32::try_from(number).expect("fits");
            assert!(answers.remember("x", IpAddr::V4(number.into())));
        }
        assert!(!answers.remember("x", address("198.51.100.1")));
        assert!(answers.remember("x", address("192.0.2.1")), "a known address takes no room");
    }

    #[test]
    fn the_hosts_file_is_read_again_when_it_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hosts");
        let mut hosts = HostsFile::new(path.clone());
        assert!(hosts.of(address("10.0.0.5")).is_empty());
        fs::write(&path, "# a comment\n10.0.0.5 DB.corp db # the database\nnonsense\n::ffff:10.0.0.5 other\n")
            .expect("writes");
        assert_eq!(hosts.of(address("10.0.0.5")), ["db.corp", "db", "other"]);
        fs::remove_file(&path).expect("removes");
        assert!(hosts.of(address("10.0.0.5")).is_empty());
    }
}
