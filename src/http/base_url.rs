//! The URL that this server is known by: what `poll_url` and the pages begin with.
//!
//! The configured public URL, else what a proxy says in `Forwarded` (RFC 7239) or `X-Forwarded-Proto` and `-Host`, else
//! the plain `Host`. Whatever a client sends there comes back to that client only, and only if it is a host name and
//! port and nothing else.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::header::{FORWARDED, HOST, HeaderMap, HeaderName};

use super::problem::{MALFORMED, Problem};
use super::router::Exchange;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// An `http` or `https` URL without query and without a slash at its end, such as `https://airlock.example/base`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

/// A text that can't be a public URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the public URL has to be like https://airlock.example.com, without query or fragment")]
pub struct InvalidPublicUrl;

impl FromStr for PublicUrl {
    type Err = InvalidPublicUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPublicUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidPublicUrl)?;
        let scheme = Scheme::parse(scheme).ok_or(InvalidPublicUrl)?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = path.trim_end_matches('/');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        if !is_host(host) || !path.bytes().all(plain) {
            return Err(InvalidPublicUrl);
        }
        Ok(Self(format!("{scheme}://{host}{path}")))
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PublicUrl {
    /// Host and port, as a browser's `Origin` has them.
    fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or(rest)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn parse(text: &str) -> Option<Self> {
        match text {
            _ if text.eq_ignore_ascii_case("http") => Some(Self::Http),
            _ if text.eq_ignore_ascii_case("https") => Some(Self::Https),
            _ => None,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// What the base URL of a request is; 400 when the request does not say, or says what can't be a host.
pub(super) fn base_url(exchange: &Exchange, public: Option<&PublicUrl>) -> Result<String, Problem> {
    if let Some(public) = public {
        return Ok(public.to_string());
    }
    let claims = Claims::of(&exchange.headers);
    let host = match (claims.host, exchange.uri.authority()) {
        (Some(host), _) => host,
        (None, Some(authority)) => authority.as_str(),
        (None, None) => plain_host(&exchange.headers)
            .ok_or_else(|| Problem::new(&MALFORMED, "The request needs exactly one Host header."))?,
    };
    if !is_host(host) {
        return Err(Problem::new(&MALFORMED, "The Host header, or what a proxy says of it, is not a host and port."));
    }
    Ok(format!("{}://{host}", claims.scheme.unwrap_or(Scheme::Http)))
}

/// Whether the browser talks HTTPS, as far as the configuration or a proxy says so.
pub(super) fn is_https(exchange: &Exchange, public: Option<&PublicUrl>) -> bool {
    match Claims::of(&exchange.headers).scheme {
        Some(scheme) => scheme == Scheme::Https,
        None => public.is_some_and(|public| public.0.starts_with("https:")),
    }
}

/// Whether an `Origin` names this server by any of the names it goes by. The scheme is left out: behind a proxy that
/// ends TLS and says nothing of it, the two differ.
pub(super) fn is_own_origin(origin: &str, exchange: &Exchange, public: Option<&PublicUrl>) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    if Scheme::parse(scheme).is_none() || !is_host(authority) {
        return false;
    }
    let names = [
        public.map(PublicUrl::authority),
        Claims::of(&exchange.headers).host,
        exchange.uri.authority().map(http::uri::Authority::as_str),
        plain_host(&exchange.headers),
    ];
    names.into_iter().flatten().any(|name| name.eq_ignore_ascii_case(authority))
}

/// Whether the page that a browser's request comes from was loaded under a name that only this server can have: an IP
/// address, `localhost`, or the public URL's host. Under any other name it may be an attacker's page whose name was
/// pointed at this server after it was loaded (DNS rebinding), which the browser takes for the same origin.
///
/// The page's name is in `Origin`, which no script can set. Where there is none it is in `Host`.
pub(super) fn is_fixed_name(origin: Option<&str>, exchange: &Exchange, public: Option<&PublicUrl>) -> bool {
    let asked = exchange.uri.authority().map(http::uri::Authority::as_str).or_else(|| plain_host(&exchange.headers));
    let authority = match origin {
        Some(origin) => origin.split_once("://").map(|(_, authority)| authority),
        None => asked,
    };
    let Some(authority) = authority.filter(|authority| is_host(authority)) else { return false };
    let name = host_name(authority).to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok()
        || name == "localhost"
        || name.ends_with(".localhost")
        || public.is_some_and(|public| host_name(public.authority()).eq_ignore_ascii_case(&name))
}

/// A host without its port.
fn host_name(authority: &str) -> &str {
    let end = if authority.starts_with('[') { authority.find(']').map(|at| at + 1) } else { authority.find(':') };
    authority.get(..end.unwrap_or(authority.len())).unwrap_or(authority)
}

/// The one `Host` header.
fn plain_host(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    if hosts.next().is_some() { None } else { Some(host) }
}

/// What a proxy says it was asked.
struct Claims<'a> {
    scheme: Option<Scheme>,
    host: Option<&'a str>,
}

impl<'a> Claims<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let first = |name: &HeaderName| {
            let value = headers.get(name)?.to_str().ok()?;
            value.split(',').next().map(str::trim)
        };
        let parameter = |wanted: &str| {
            let mut pairs = first(&FORWARDED)?.split(';').filter_map(|pair| pair.split_once('='));
            let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))?;
            Some(value.trim().trim_matches('"'))
        };
        let scheme = parameter("proto").or_else(|| first(&X_FORWARDED_PROTO)).and_then(Scheme::parse);
        Self { scheme, host: parameter("host").or_else(|| first(&X_FORWARDED_HOST)) }
    }
}

/// True for `name`, `name:port`, `1.2.3.4:port` and `[v6]:port`, and nothing that could break out of a URL.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", port),
            _ => return false,
        },
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let name_is_fine = (1..=253).contains(&name.len()) && name.bytes().all(named);
    let port_is_fine = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok_and(|port| port > 0)
        });
    name_is_fine && port_is_fine
}

#[cfg(test)]
mod tests {
    use super::super::testing::exchange;
    use super::*;

    fn base(headers: &[(&str, &str)]) -> Option<String> {
        base_url(&exchange("GET", "/", headers), None).ok()
    }

    #[test]
    fn the_configured_url_wins_then_the_proxys_then_the_host() {
        let public: PublicUrl = "https://airlock.example/base/".parse().expect("a URL");
        let forwarded = ("forwarded", "for=10.0.0.1;host=\"a.example:8443\";Proto=HTTPS, for=10.0.0.2;host=b.example");
        let x_proto = ("x-forwarded-proto", "https, http");
        let x_host = ("x-forwarded-host", "c.example");
        let host = ("host", "d.example:9090");
        let all = exchange("GET", "/", &[forwarded, x_proto, x_host, host]);
        assert_eq!(base_url(&all, Some(&public)).ok().as_deref(), Some("https://airlock.example/base"));
        assert_eq!(base(&[forwarded, x_proto, x_host, host]).as_deref(), Some("https://a.example:8443"));
        assert_eq!(base(&[x_proto, x_host, host]).as_deref(), Some("https://c.example"));
        assert_eq!(base(&[x_proto, host]).as_deref(), Some("https://d.example:9090"));
        assert_eq!(base(&[host]).as_deref(), Some("http://d.example:9090"));
        assert_eq!(base(&[("host", "[::1]:9090")]).as_deref(), Some("http://[::1]:9090"));
    }

    #[test]
    fn a_hostile_or_missing_host_is_refused() {
        for host in [
            "a b",
            "a/b",
            "evil.example/#",
            "a\"b",
            "user@host",
            "a:b",
            "a:0",
            "a:99999",
            "[::1",
            "[x]",
            "<script>",
            "a?x",
            "",
        ] {
            assert_eq!(base(&[("host", host)]), None, "{host:?}");
        }
        assert_eq!(base(&[]), None);
        assert_eq!(base(&[("host", "a"), ("host", "b")]), None);
        assert_eq!(base(&[("host", "a"), ("x-forwarded-host", "evil/\"")]), None);
    }

    #[test]
    fn public_urls_are_checked_and_normalised() {
        for (text, url) in [
            ("https://a.example", Some("https://a.example")),
            ("HTTP://a:1/", Some("http://a:1")),
            ("ftp://a", None),
            ("https://", None),
            ("https://a/?q", None),
            ("a.example", None),
            ("https://u@a", None),
            ("https://a/\"", None),
        ] {
            assert_eq!(text.parse::<PublicUrl>().ok().map(|url| url.to_string()).as_deref(), url, "{text:?}");
        }
    }

    #[test]
    fn a_name_is_fixed_when_nobody_can_point_it_elsewhere() {
        let public: PublicUrl = "https://airlock.example:8443/base".parse().expect("a URL");
        for (host, fixed) in [
            ("127.0.0.1:9090", true),
            ("192.0.2.7", true),
            ("[::1]:9090", true),
            ("[2001:db8::1]", true),
            ("localhost:9090", true),
            ("LOCALHOST", true),
            ("airlock.localhost:9090", true),
            ("Airlock.example", true),
            ("airlock.example:9090", true),
            ("evil.example:9090", false),
            ("localhost.evil.example", false),
            ("evillocalhost", false),
            ("127.0.0.1.evil.example", false),
            ("x.airlock.example", false),
            ("airlock", false),
            ("", false),
        ] {
            let asked = exchange("POST", "/", &[("host", host)]);
            assert_eq!(is_fixed_name(None, &asked, Some(&public)), fixed, "{host}");
            let proxied = exchange("POST", "/", &[("host", "backend:9090")]);
            let origin = format!("http://{host}");
            assert_eq!(is_fixed_name(Some(&origin), &proxied, Some(&public)), fixed, "{origin}");
        }
        assert!(!is_fixed_name(None, &exchange("POST", "/", &[("host", "airlock.example")]), None));
        assert!(!is_fixed_name(Some("null"), &exchange("POST", "/", &[("host", "localhost")]), None));
    }

    #[test]
    fn an_origin_is_own_when_it_is_any_of_the_names() {
        let public: PublicUrl = "https://airlock.example/base".parse().expect("a URL");
        let asked = exchange("POST", "/", &[("host", "localhost:9090")]);
        for (origin, own) in [
            ("http://localhost:9090", true),
            ("https://localhost:9090", true),
            ("https://airlock.example", true),
            ("http://localhost", false),
            ("http://evil.example", false),
            ("null", false),
            ("localhost:9090", false),
            ("file://localhost:9090", false),
        ] {
            assert_eq!(is_own_origin(origin, &asked, Some(&public)), own, "{origin}");
        }
    }
}
