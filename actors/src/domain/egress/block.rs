//! The parts of the address space, after IANA's special-purpose registries (RFC 6890 and its updates) and the addresses at
//! which clouds serve their instances' credentials.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Anybody's, on the internet.
    Public,
    /// A network of somebody's own, also a carrier's shared one.
    Private,
    /// This machine.
    Loopback,
    /// This link; and where clouds serve instance metadata and credentials.
    LinkLocal,
    /// Multicast, documentation, reserved: no host has it.
    Special,
}

/// A contiguous part of the address space with one meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// What it is for.
    pub kind: Kind,
    /// Its range; for [`Kind::Public`], all addresses of the family.
    pub net: IpNet,
}

/// Every block that is not public. Where two hold an address, the narrower one counts.
const BLOCKS: &[(&str, Kind)] = &[
    ("0.0.0.0/8", Kind::Loopback), // the unspecified address connects to this machine
    ("10.0.0.0/8", Kind::Private),
    ("100.64.0.0/10", Kind::Private),
    ("100.100.100.200/32", Kind::LinkLocal), // metadata: Alibaba Cloud
    ("127.0.0.0/8", Kind::Loopback),
    ("168.63.129.16/32", Kind::LinkLocal), // the host agent: Azure
    ("169.254.0.0/16", Kind::LinkLocal),
    ("172.16.0.0/12", Kind::Private),
    ("192.0.0.0/24", Kind::Special),
    ("192.0.0.192/32", Kind::LinkLocal), // metadata: Oracle Cloud
    ("192.0.2.0/24", Kind::Special),
    ("192.88.99.0/24", Kind::Special),
    ("192.168.0.0/16", Kind::Private),
    ("198.18.0.0/15", Kind::Special),
    ("198.51.100.0/24", Kind::Special),
    ("203.0.113.0/24", Kind::Special),
    ("224.0.0.0/4", Kind::Special),
    ("240.0.0.0/4", Kind::Special),
    // All of IPv6 is reserved but for what follows.
    ("::/3", Kind::Special),
    ("::/128", Kind::Loopback),
    ("::1/128", Kind::Loopback),
    ("4000::/2", Kind::Special),
    ("8000::/1", Kind::Special),
    ("2001:db8::/32", Kind::Special),
    ("3fff::/20", Kind::Special),
    ("fc00::/7", Kind::Private),
    ("fd00:ec2::254/128", Kind::LinkLocal), // metadata: Amazon
    ("fd20:ce::254/128", Kind::LinkLocal),  // metadata: Google
    ("fe80::/10", Kind::LinkLocal),
    ("fec0::/10", Kind::Private),
];

impl Block {
    /// Where `address` is, once it is [`canonical`].
    pub fn of(address: IpAddr) -> Self {
        let address = canonical(address);
        static PARSED: LazyLock<Vec<Block>> = LazyLock::new(|| {
            // A test reads every one of them.
            BLOCKS.iter().filter_map(|&(net, kind)| Some(Block { kind, net: net.parse().ok()? })).collect()
        });
        let holding = PARSED.iter().filter(|block| block.net.contains(&address));
        let narrowest = holding.max_by_key(|block| block.net.prefix_len()).copied();
        narrowest.unwrap_or(Self { kind: Kind::Public, net: everything_like(address) })
    }
}

fn everything_like(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(_) => Ipv4Net::default().into(),
        IpAddr::V6(_) => Ipv6Net::default().into(),
    }
}

/// The IPv4 address that an IPv6 address carries, or the address itself (EG-2): IPv4-mapped and -compatible (RFC 4291),
/// NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380), ISATAP (RFC 5214).
pub fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => v4(g, h),
        [0, 0, 0, 0, 0, 0] if g != 0 => v4(g, h),
        [0x64, 0xff9b, 1, ..] => v4(g, h),
        [0x2002, high, low, ..] => v4(high, low),
        [0x2001, 0, ..] => v4(!g, !h),
        [_, _, _, _, 0 | 0x200, 0x5efe] => v4(g, h),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(address: &str) -> Kind {
        Block::of(address.parse().expect("an address")).kind
    }

    #[test]
    fn every_block_is_written_right_and_holds_its_ends_and_not_their_neighbours() {
        for &(text, expected) in BLOCKS {
            let net: IpNet = text.parse().expect("a block");
            assert_eq!(net, net.trunc(), "{text} has bits of a host");
            assert_eq!(Block::of(net.broadcast()).kind, expected, "{text}");
        }
        for (inside, outside) in [
            ("10.255.255.255", "11.0.0.0"),
            ("172.31.255.255", "172.32.0.0"),
            ("172.16.0.0", "172.15.255.255"),
            ("192.168.0.0", "192.167.255.255"),
            ("100.127.255.255", "100.128.0.0"),
            ("169.254.169.254", "169.253.255.255"),
            ("127.255.255.255", "128.0.0.1"),
            ("239.255.255.255", "223.255.255.255"),
            ("fdff::1", "2600::1"),
        ] {
            assert_ne!(kind(inside), Kind::Public, "{inside}");
            assert_eq!(kind(outside), Kind::Public, "{outside}");
        }
    }

    #[test]
    fn other_spellings_count_as_what_they_embed() {
        for (spelled, expected) in [
            ("::ffff:127.0.0.1", Kind::Loopback),
            ("::ffff:0:127.0.0.1", Kind::Loopback),
            ("::127.0.0.1", Kind::Loopback),
            ("::1", Kind::Loopback),
            ("::", Kind::Loopback),
            ("0.0.0.0", Kind::Loopback),
            ("64:ff9b::169.254.169.254", Kind::LinkLocal),
            ("64:ff9b:1::10.0.0.1", Kind::Private),
            ("2002:7f00:1::", Kind::Loopback),
            ("2002:a9fe:a9fe::1", Kind::LinkLocal),
            ("2001:0:4136:e378:8000:63bf:80ff:fffe", Kind::Loopback),
            ("2001:0:4136:e378:8000:63bf:f5ff:fffe", Kind::Private),
            ("fe80::5efe:10.0.0.1", Kind::Private),
            ("2600::200:5efe:127.0.0.1", Kind::Loopback),
            ("::ffff:8.8.8.8", Kind::Public),
            ("64:ff9b::8.8.8.8", Kind::Public),
            ("2606:4700:4700::1111", Kind::Public),
            ("fd00:ec2::254", Kind::LinkLocal),
            ("168.63.129.16", Kind::LinkLocal),
            ("ff02::1", Kind::Special),
            ("4000::1", Kind::Special),
        ] {
            assert_eq!(kind(spelled), expected, "{spelled}");
        }
    }
}
