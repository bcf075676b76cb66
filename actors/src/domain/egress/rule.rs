//! One entry of `allowed_hosts`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

use super::canonical;

/// Longest entry, in bytes: a name of 253, `*.` and a port.
pub const MAX_HOST_BYTES: usize = 262;
/// Longest host name, in bytes (RFC 1035).
const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// What an entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Exactly this host: lower case, no final dot, internationalised labels as `xn--`.
    Name(String),
    /// Every host below this one, at any depth; not this one itself.
    Below(String),
    /// An address, or a range of them.
    Net(IpNet),
}

/// An entry: whom, and at which port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRule {
    /// Whom.
    pub target: Target,
    /// Only this port; any, if `None`.
    pub port: Option<u16>,
}

/// A text that is no entry, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHost {
    /// None of the forms.
    #[error(
        "must be like `api.example.com`, `*.example.com`, `db.example.com:5432`, `192.0.2.7`, `192.0.2.0/24` or \
         `[2001:db8::1]:443`"
    )]
    Form,
    /// A URL was pasted.
    #[error("must be a host without a scheme, user name or path: `api.example.com`, not `https://api.example.com/v1`")]
    Url,
    /// A port that is none.
    #[error("has a port that is not a number from 1 to 65535")]
    Port,
    /// A name that programs take for an IPv4 address.
    #[error("ends in a number, which programs read as an IPv4 address: write the address as four numbers, `192.0.2.7`")]
    Numeric,
    /// Bits of a host in a range.
    #[error("is a range with bits of a single address in it: write `{0}`")]
    HostBits(IpNet),
    /// The wildcard is elsewhere than in front.
    #[error("may have one `*.`, in front of at least two labels: `*.example.com`")]
    Wildcard,
}

impl HostRule {
    /// True if the entry covers `port`.
    pub fn covers_port(&self, port: u16) -> bool {
        self.port.is_none_or(|only| only == port)
    }

    /// True if the entry names `host`, which is normalised as by [`host_name`].
    pub fn names(&self, host: &str) -> bool {
        match &self.target {
            Target::Name(name) => name == host,
            Target::Below(parent) => host.strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.')),
            Target::Net(_) => false,
        }
    }
}

impl FromStr for HostRule {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        if text.contains("://") || text.contains(['@', '?', '#', '\\']) {
            return Err(InvalidHost::Url);
        }
        if text.len() > MAX_HOST_BYTES || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(InvalidHost::Form);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { target: Target::Net(canonical(address).into()), port: None });
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (inside, after) = rest.split_once(']').ok_or(InvalidHost::Form)?;
            let target = match inside.contains('/') {
                true => range(inside)?,
                false => canonical(inside.parse::<Ipv6Addr>().map_err(|_| InvalidHost::Form)?.into()).into(),
            };
            let port = after.strip_prefix(':').map(port).transpose()?;
            if port.is_none() && !after.is_empty() {
                return Err(InvalidHost::Form);
            }
            return Ok(Self { target: Target::Net(target), port });
        }
        if let Some((_, prefix)) = text.split_once('/') {
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            return match prefix.split_once(':') {
                _ if !prefix.starts_with(|c: char| c.is_ascii_digit()) => Err(InvalidHost::Url),
                Some((bits, number)) if digits(bits) => {
                    let whole = text.strip_suffix(number).and_then(|text| text.strip_suffix(':'));
                    Ok(Self { target: Target::Net(range(whole.unwrap_or(text))?), port: Some(port(number)?) })
                }
                _ => Ok(Self { target: Target::Net(range(text)?), port: None }),
            };
        }
        let (host, port) = match text.split_once(':') {
            Some((host, number)) => (host, Some(port(number)?)),
            None => (text, None),
        };
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Self { target: Target::Net(address.into()), port });
        }
        let target = match host.strip_prefix("*.") {
            Some(parent) => {
                let parent = host_name(parent)?;
                // `*.com` would be half the internet.
                if !parent.contains('.') {
                    return Err(InvalidHost::Wildcard);
                }
                Target::Below(parent)
            }
            None if host.contains('*') => return Err(InvalidHost::Wildcard),
            None => Target::Name(host_name(host)?),
        };
        Ok(Self { target, port })
    }
}

/// As it is stored and shown: [`FromStr`] reads it back as the same (EG-3).
impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.target, self.port) {
            (Target::Name(name), _) => f.write_str(name)?,
            (Target::Below(parent), _) => write!(f, "*.{parent}")?,
            (Target::Net(net), port) => {
                let single = net.prefix_len() == net.max_prefix_len();
                match (single, port.is_some() && net.addr().is_ipv6()) {
                    (true, false) => write!(f, "{}", net.addr())?,
                    (true, true) => write!(f, "[{}]", net.addr())?,
                    (false, false) => write!(f, "{net}")?,
                    (false, true) => write!(f, "[{net}]")?,
                }
            }
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn port(text: &str) -> Result<u16, InvalidHost> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|&port: &u16| plain && port > 0).ok_or(InvalidHost::Port)
}

fn range(text: &str) -> Result<IpNet, InvalidHost> {
    let net: IpNet = text.parse().map_err(|_| InvalidHost::Form)?;
    match net.trunc() {
        truncated if truncated == net => Ok(net),
        truncated => Err(InvalidHost::HostBits(truncated)),
    }
}

/// A host name as rules hold it: lower case, without the final dot, internationalised labels as `xn--` (UTS 46).
pub fn host_name(text: &str) -> Result<String, InvalidHost> {
    let ascii = match text.is_ascii() {
        true => text.to_ascii_lowercase(),
        false => {
            let converted = idna::domain_to_ascii_strict(text);
            converted.map_err(|_| InvalidHost::Form)?
        }
    };
    let name = ascii.strip_suffix('.').unwrap_or(&ascii);
    let label_is_fine = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let length = (1..=MAX_LABEL_BYTES).contains(&label.len());
        length && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > MAX_NAME_BYTES || !name.split('.').all(label_is_fine) {
        return Err(InvalidHost::Form);
    }
    // As the URL standard has it: `1.2.3`, `0x7f.1` and `2130706433` are addresses to inet_aton(3).
    let last = name.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if hexadecimal || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidHost::Numeric);
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(text: &str) -> Result<String, InvalidHost> {
        text.parse::<HostRule>().map(|rule| rule.to_string())
    }

    #[test]
    fn entries_are_normalised() {
        for (text, stored) in [
            ("API.Example.COM.", "api.example.com"),
            ("*.Example.com:443", "*.example.com:443"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("db", "db"),
            ("_sip.example.com", "_sip.example.com"),
            ("192.0.2.7:5432", "192.0.2.7:5432"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.0/8:5432", "10.0.0.0/8:5432"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("2001:DB8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "[2001:db8::1]:443"),
            ("fd00::/8", "fd00::/8"),
            ("[fd00::/8]:5432", "[fd00::/8]:5432"),
        ] {
            assert_eq!(normal(text).as_deref(), Ok(stored), "{text}");
        }
    }

    #[test]
    fn what_is_no_entry_says_what_to_write() {
        use InvalidHost as I;
        let net = |text: &str| text.parse::<IpNet>().expect("a range");
        for (text, expected) in [
            ("", I::Form),
            (".", I::Form),
            ("a..b", I::Form),
            ("-a.example", I::Form),
            ("a b", I::Form),
            ("a\0.example", I::Form),
            ("https://api.example.com/v1", I::Url),
            ("api.example.com/v1", I::Url),
            ("user@example.com", I::Url),
            ("example.com\\@evil", I::Url),
            ("example.com:0", I::Port),
            ("example.com:65536", I::Port),
            ("example.com:080", I::Port),
            ("example.com:", I::Port),
            ("example.com:+80", I::Port),
            ("2130706433", I::Numeric),
            ("0x7f.1", I::Numeric),
            ("0x7f000001", I::Numeric),
            ("127.1", I::Numeric),
            ("0177.0.0.1", I::Numeric),
            ("1.2.3.4.5", I::Numeric),
            ("10.0.0.5/8", I::HostBits(net("10.0.0.0/8"))),
            ("10.0.0.0/33", I::Form),
            ("10.0.0.0/", I::Url),
            ("*", I::Wildcard),
            ("*.com", I::Wildcard),
            ("a.*.example", I::Wildcard),
            ("*a.example", I::Wildcard),
            ("[::1", I::Form),
            ("[::1]x", I::Form),
            ("[10.0.0.1]:1", I::Form),
            ("xn--a\u{df}.example", I::Form),
        ] {
            assert_eq!(normal(text), Err(expected), "{text:?}");
        }
        let label = "a".repeat(63);
        let longest = [label.as_str(); 4].join(".").split_at(253).0.trim_end_matches('.').to_owned();
        assert!(normal(&longest).is_ok() && longest.len() == 253);
        assert_eq!(normal(&format!("{longest}a")), Err(I::Form));
        assert_eq!(normal(&format!("{label}a.example")), Err(I::Form));
    }

    #[test]
    fn a_wildcard_is_for_what_is_below_and_nothing_beside() {
        let rule: HostRule = "*.example.com".parse().expect("an entry");
        for (host, named) in [
            ("a.example.com", true),
            ("a.b.example.com", true),
            ("example.com", false),
            ("aexample.com", false),
            ("evil-example.com", false),
            ("example.com.evil.org", false),
        ] {
            assert_eq!(rule.names(host), named, "{host}");
        }
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_back_as_the_same(text in "(\\*\\.)?[a-zA-Z0-9.:/\\[\\]-]{1,40}") {
            if let Ok(rule) = text.parse::<HostRule>() {
                prop_assert_eq!(rule.to_string().parse::<HostRule>(), Ok(rule));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = text.parse::<HostRule>();
        }
    }
}
