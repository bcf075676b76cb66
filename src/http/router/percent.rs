//! Percent-decoding (RFC 3986) of path parameters and query values.

use std::borrow::Cow;

/// A percent sign without two hexadecimal digits, or bytes that are not UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Decodes a path segment.
pub(super) fn decode(text: String) -> Result<String, Malformed> {
    if text.contains('%') { decode_bytes(text.as_bytes()) } else { Ok(text) }
}

/// The first value of a query parameter, `+` read as a space; all of it when the name is there without a value.
pub(super) fn query_value<'a>(query: &'a str, name: &str) -> Option<Result<Cow<'a, str>, Malformed>> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    if value.contains(['%', '+']) {
        Some(decode_bytes(value.replace('+', " ").as_bytes()).map(Cow::Owned))
    } else {
        Some(Ok(Cow::Borrowed(value)))
    }
}

fn decode_bytes(text: &[u8]) -> Result<String, Malformed> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        if byte == b'%' {
            let high = rest.next().and_then(hex_digit).ok_or(Malformed)?;
            let low = rest.next().and_then(hex_digit).ok_or(Malformed)?;
            bytes.push(high << 4 | low);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| Malformed)
}

fn hex_digit(byte: &u8) -> Option<u8> {
    char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_utf_8_and_refuses_the_rest() {
        for (text, decoded) in [
            ("plain", Ok("plain")),
            ("a%20%C3%a9+", Ok("a é+")),
            ("%00", Ok("\0")),
            ("%", Err(Malformed)),
            ("%4", Err(Malformed)),
            ("%4g", Err(Malformed)),
            ("%FF", Err(Malformed)),
        ] {
            assert_eq!(decode(text.to_owned()), decoded.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn finds_a_query_parameter() {
        let value = |query, name| query_value(query, name).map(|value| value.map(Cow::into_owned));
        assert_eq!(value("a=1&b=x%2By+z&b=2", "b"), Some(Ok("x+y z".to_owned())));
        assert_eq!(value("a=1&b", "b"), Some(Ok(String::new())));
        assert_eq!(value("ab=1", "b"), None);
        assert_eq!(value("b=%", "b"), Some(Err(Malformed)));
    }
}
