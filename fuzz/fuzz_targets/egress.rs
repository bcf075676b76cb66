//! What a script can hand over about hosts: entries of `allowed_hosts`, socket addresses, questions to name servers; and what name
//! servers answer. Whatever bytes come, they are refused or read; an entry is written as what it was read as; an answer shows the
//! script no address that is not told.

#![no_main]

#[path = "egress_parts/mod.rs"]
mod worker;

use airlock_actors::domain::egress::{Block, HostPolicy, HostRule, OwnAddresses, canonical};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    worker::guard::egress::read(data);
    if let Ok(text) = std::str::from_utf8(data) {
        entry(text);
    }
    if let Some(bytes) = data.first_chunk::<16>() {
        address((*bytes).into());
    }
});

fn entry(text: &str) {
    let Ok(rule) = text.parse::<HostRule>() else { return };
    assert_eq!(rule.to_string().parse::<HostRule>(), Ok(rule));
}

fn address(address: std::net::IpAddr) {
    let plain = canonical(address);
    assert_eq!(canonical(plain), plain);
    assert_eq!(Block::of(address), Block::of(plain));
    let everyone = HostPolicy::default();
    let own = OwnAddresses::default();
    let allowed = everyone.allows_address(address, 443, &[], &own).is_ok();
    assert_eq!(allowed, Block::of(address).kind == airlock_actors::domain::egress::Kind::Public);
}
