//! What a profile's entries decide.

use std::fmt;
use std::net::IpAddr;

use super::{Block, HostRule, InvalidHost, Kind, Target, canonical};

/// The addresses of this machine, and the port that Airlock listens on there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnAddresses {
    /// Of every interface.
    pub addresses: Vec<IpAddr>,
    /// Airlock's own; reached on no address of this machine, unless an entry gives address and port.
    pub server_port: Option<u16>,
}

/// Which hosts an execution may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPolicy {
    /// `None`: every public host; else these alone.
    rules: Option<Vec<HostRule>>,
}

/// Why a host is not reached. Says what a person would have to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No entry names it.
    NotListed,
    /// An entry names it, at other ports.
    OtherPort,
    /// It is, or leads to, an address of a private network that no entry names.
    Private,
    /// This machine.
    Loopback,
    /// Link-local, or cloud metadata.
    LinkLocal,
    /// No host's address.
    Special,
    /// Airlock's own machine, by an outer address.
    Own,
    /// Not TCP, and not a question to a name server.
    Datagram,
}

impl Refusal {
    /// As the record has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotListed => "not_listed",
            Self::OtherPort => "other_port",
            Self::Private => "private_address",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link_local_or_metadata",
            Self::Special => "special_address",
            Self::Own => "airlock_itself",
            Self::Datagram => "not_tcp",
        }
    }

    fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Public => None,
            Kind::Private => Some(Self::Private),
            Kind::Loopback => Some(Self::Loopback),
            Kind::LinkLocal => Some(Self::LinkLocal),
            Kind::Special => Some(Self::Special),
        }
    }
}

/// The end of a sentence that begins with the host.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotListed => "is not in the allowed_hosts of this profile; a person can add it there",
            Self::OtherPort => "is in the allowed_hosts of this profile, but not with this port; a person can add it there",
            Self::Private => {
                "is in a private network, which no entry in the allowed_hosts of this profile names; a person can add its \
                 name or address there"
            }
            Self::Loopback => {
                "is the machine that Airlock runs on, which scripts do not reach unless allowed_hosts has the address"
            }
            Self::LinkLocal => {
                "is a link-local or cloud metadata address, which scripts do not reach unless allowed_hosts has the address"
            }
            Self::Special => "is an address that no host has (multicast, documentation, reserved)",
            Self::Own => "is Airlock's own machine, which scripts do not reach unless allowed_hosts has that very address",
            Self::Datagram => "was to get a datagram; scripts have TCP, and datagrams for DNS questions alone",
        })
    }
}

impl HostPolicy {
    /// Of a profile's `allowed_hosts`; an entry that can't be read is an error, never left out.
    pub fn new(allowed_hosts: Option<&[String]>) -> Result<Self, InvalidHost> {
        let rules = allowed_hosts.map(|entries| entries.iter().map(|entry| entry.parse()).collect()).transpose()?;
        Ok(Self { rules })
    }

    /// Whether the name, normalised as by [`super::host_name`], may be looked up.
    pub fn allows_name(&self, host: &str) -> bool {
        self.rules.as_ref().is_none_or(|rules| rules.iter().any(|rule| rule.names(host)))
    }

    /// Whether an entry names the host.
    pub fn lists_name(&self, host: &str) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.iter().any(|rule| rule.names(host)))
    }

    /// Whether `address` may be connected to at `port`. `names` are those that led to it in this execution, by DNS or the
    /// hosts file, normalised.
    pub fn allows_address(
        &self,
        address: IpAddr,
        port: u16,
        names: &[String],
        own: &OwnAddresses,
    ) -> Result<(), Refusal> {
        let address = canonical(address);
        let block = Block::of(address);
        let loopback = block.kind == Kind::Loopback;
        let is_own = !loopback && own.addresses.iter().any(|&one| canonical(one) == address);
        let is_local = is_own || loopback;
        let airlock = is_local && own.server_port == Some(port);
        let opens = |rule: &HostRule| match &rule.target {
            Target::Net(net) if net.contains(&address) => {
                let exact = net.prefix_len() == net.max_prefix_len();
                let wide_enough = block.kind == Kind::Public || block.net.contains(net);
                // EG-1
                wide_enough && (exact || !is_own) && (!airlock || (exact && rule.port.is_some()))
            }
            Target::Net(_) => false,
            Target::Name(_) => !is_local && matches!(block.kind, Kind::Public | Kind::Private) && named(rule, names),
            Target::Below(_) => !is_local && block.kind == Kind::Public && named(rule, names),
        };
        let special = if is_own { Some(Refusal::Own) } else { Refusal::of(block.kind) };
        let Some(rules) = &self.rules else { return special.map_or(Ok(()), Err) };
        let opening = rules.iter().filter(|rule| opens(rule));
        match opening.map(|rule| rule.covers_port(port)).max() {
            Some(true) => Ok(()),
            Some(false) => Err(Refusal::OtherPort),
            None => Err(special.unwrap_or(Refusal::NotListed)),
        }
    }
}

fn named(rule: &HostRule, names: &[String]) -> bool {
    names.iter().any(|name| rule.names(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(entries: &[&str]) -> HostPolicy {
        let entries = entries.iter().map(ToString::to_string).collect::<Vec<_>>();
        HostPolicy::new(Some(&entries)).expect("entries")
    }

    fn ask(policy: &HostPolicy, address: &str, port: u16, names: &[&str]) -> Result<(), Refusal> {
        let addresses = ["192.168.7.7", "127.0.0.1"].map(|text| text.parse().expect("an address")).to_vec();
        let own = OwnAddresses { addresses, server_port: Some(9090) };
        let names = names.iter().map(ToString::to_string).collect::<Vec<_>>();
        policy.allows_address(address.parse().expect("an address"), port, &names, &own)
    }

    #[test]
    fn without_entries_every_public_host_and_nothing_else() {
        let all = HostPolicy::default();
        assert!(all.allows_name("anything.example"));
        assert_eq!(ask(&all, "8.8.8.8", 1, &[]), Ok(()));
        for (address, refusal) in [
            ("10.0.0.1", Refusal::Private),
            ("127.0.0.1", Refusal::Loopback),
            ("169.254.169.254", Refusal::LinkLocal),
            ("::ffff:127.0.0.1", Refusal::Loopback),
            ("192.168.7.7", Refusal::Own),
            ("224.0.0.1", Refusal::Special),
        ] {
            assert_eq!(ask(&all, address, 443, &["rebound.example"]), Err(refusal), "{address}");
        }
    }

    #[test]
    fn an_empty_list_is_nobody() {
        let none = policy(&[]);
        assert!(!none.allows_name("example.com"));
        assert_eq!(ask(&none, "8.8.8.8", 443, &[]), Err(Refusal::NotListed));
    }

    #[test]
    fn an_address_without_its_name_is_refused_and_a_port_is_its_own() {
        let one = policy(&["api.example.com:443"]);
        assert_eq!(ask(&one, "8.8.8.8", 443, &["api.example.com"]), Ok(()));
        assert_eq!(ask(&one, "8.8.8.8", 443, &[]), Err(Refusal::NotListed));
        assert_eq!(ask(&one, "8.8.8.8", 443, &["evil.example"]), Err(Refusal::NotListed));
        assert_eq!(ask(&one, "8.8.8.8", 22, &["api.example.com"]), Err(Refusal::OtherPort));
    }

    #[test]
    fn a_name_leads_into_private_networks_only_when_it_is_exact_and_never_to_this_machine() {
        let exact = policy(&["db.corp.example", "*.corp.example"]);
        assert_eq!(ask(&exact, "10.1.2.3", 5432, &["db.corp.example"]), Ok(()));
        assert_eq!(ask(&exact, "10.1.2.3", 5432, &["x.corp.example"]), Err(Refusal::Private));
        for (address, refusal) in [
            ("127.0.0.1", Refusal::Loopback),
            ("0.0.0.0", Refusal::Loopback),
            ("169.254.169.254", Refusal::LinkLocal),
            ("fd00:ec2::254", Refusal::LinkLocal),
            ("192.168.7.7", Refusal::Own),
        ] {
            assert_eq!(ask(&exact, address, 5432, &["db.corp.example"]), Err(refusal), "{address}");
        }
    }

    #[test]
    fn a_range_opens_only_what_all_of_it_is() {
        let everything = policy(&["0.0.0.0/0", "::/0"]);
        assert_eq!(ask(&everything, "8.8.8.8", 1, &[]), Ok(()));
        assert_eq!(ask(&everything, "2606::1", 1, &[]), Ok(()));
        assert_eq!(ask(&everything, "10.0.0.1", 1, &[]), Err(Refusal::Private));
        assert_eq!(ask(&everything, "::1", 1, &[]), Err(Refusal::Loopback));
        let private = policy(&["10.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "192.168.0.0/16"]);
        assert_eq!(ask(&private, "10.9.9.9", 1, &[]), Ok(()));
        assert_eq!(ask(&private, "::ffff:10.9.9.9", 1, &[]), Ok(()));
        assert_eq!(ask(&private, "169.254.1.1", 1, &[]), Ok(()));
        assert_eq!(ask(&private, "100.100.100.200", 1, &[]), Err(Refusal::LinkLocal));
        assert_eq!(ask(&private, "192.168.7.7", 1, &[]), Err(Refusal::Own));
        assert_eq!(ask(&policy(&["192.168.7.7"]), "192.168.7.7", 1, &[]), Ok(()));
    }

    #[test]
    fn airlock_itself_takes_an_entry_with_address_and_port() {
        assert_eq!(ask(&policy(&["127.0.0.0/8"]), "127.0.0.1", 5432, &[]), Ok(()));
        assert_eq!(ask(&policy(&["127.0.0.0/8"]), "127.0.0.1", 9090, &[]), Err(Refusal::Loopback));
        assert_eq!(ask(&policy(&["127.0.0.1"]), "127.0.0.1", 9090, &[]), Err(Refusal::Loopback));
        assert_eq!(ask(&policy(&["192.168.7.7"]), "192.168.7.7", 9090, &[]), Err(Refusal::Own));
        assert_eq!(ask(&policy(&["127.0.0.1:9090"]), "127.0.0.1", 9090, &[]), Ok(()));
    }
}
