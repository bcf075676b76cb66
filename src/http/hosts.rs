//! The syntax of `allowed_hosts`: what it allows is the guard's business.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::value::RawValue;

use super::fields::{Read, list, text_up_to};
use super::problem::Fault;

/// Most entries of one list.
const MAX_HOSTS: usize = 256;
/// Longest entry: a host name of 253, `*.` and a port.
const MAX_HOST_BYTES: usize = 262;

/// Reads a list of allowed hosts.
pub(super) fn allowed_hosts(raw: &RawValue) -> Read<Vec<String>> {
    list(MAX_HOSTS, |item| {
        let host = text_up_to(MAX_HOST_BYTES)(item)?;
        if is_allowed_host(&host) {
            Ok(host)
        } else {
            let forms = "must be like `api.example.com`, `*.example.com`, `db.example.com:5432`, `192.0.2.7` or \
                         `192.0.2.0/24`";
            Err(vec![Fault::new("", forms)])
        }
    })(raw)
}

/// True for a host name, one with `*.` in front, an IP address, any of them with a port, and a CIDR block.
fn is_allowed_host(text: &str) -> bool {
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    if let Some((address, prefix)) = text.split_once('/') {
        return is_block(address, prefix);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once("]:") else { return false };
        return address.parse::<Ipv6Addr>().is_ok() && is_port(port);
    }
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    if !port.is_none_or(is_port) {
        return false;
    }
    name.parse::<Ipv4Addr>().is_ok() || is_host_name(name.strip_prefix("*.").unwrap_or(name))
}

fn is_block(address: &str, prefix: &str) -> bool {
    let widest = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    is_plain_number(prefix) && prefix.parse::<u8>().is_ok_and(|bits| bits <= widest)
}

fn is_port(text: &str) -> bool {
    is_plain_number(text) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Digits, without a sign or a zero in front.
fn is_plain_number(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && !text.is_empty() && (text == "0" || !text.starts_with('0'))
}

/// A name as RFC 1123 has it. One whose last label is a number would be taken for an IPv4 address.
fn is_host_name(name: &str) -> bool {
    let label_is_fine = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let last_is_a_number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= 253 && name.split('.').all(label_is_fine) && !last_is_a_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_form_is_taken() {
        for host in [
            "localhost",
            "api.example.com",
            "API.example.com",
            "*.example.com",
            "db.example.com:5432",
            "*.example.com:443",
            "192.0.2.7",
            "192.0.2.7:80",
            "192.0.2.0/24",
            "0.0.0.0/0",
            "2001:db8::1",
            "[2001:db8::1]:443",
            "2001:db8::/32",
            "xn--bcher-kva.example",
            "a_b.example",
        ] {
            assert!(is_allowed_host(host), "{host} was refused");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = format!("{}.example", "a".repeat(64));
        for host in [
            "",
            "*",
            "*.",
            "*.*.example",
            "a.*.example",
            "https://example.com",
            "example.com/path",
            "example.com:",
            "example.com:0",
            "example.com:65536",
            "example.com:+80",
            "example.com:080",
            "a b",
            "-a.example",
            "a-.example",
            "a..b",
            ".a",
            "a.",
            "192.0.2.0/33",
            "192.0.2.0/",
            "192.0.2/24",
            "256.1.1.1",
            "1.2.3",
            "[::1]",
            "[::1]:",
            "bücher.example",
            "user@a",
            long.as_str(),
        ] {
            assert!(!is_allowed_host(host), "{host} was accepted");
        }
    }
}
