//! The forms again, written a second time and simply, so that the tests do not believe the code they test.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let number = group.iter().chain([&0; 3]).take(3).fold(0usize, |number, byte| number << 8 | *byte as usize);
        for place in 0..=group.len() {
            out.push(ALPHABET[number >> (18 - 6 * place) & 63] as char);
        }
        out.push_str(&"=".repeat(3 - group.len()));
    }
    out
}

pub(super) fn base32(bytes: &[u8]) -> String {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let mut out = String::new();
    for digit in bits.as_bytes().chunks(5) {
        let digit = format!("{:0<5}", std::str::from_utf8(digit).unwrap());
        out.push(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from_str_radix(&digit, 2).unwrap()] as char);
    }
    out
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn listed(bytes: &[u8]) -> String {
    bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn each(text: &str, spell: impl Fn(char) -> String) -> String {
    text.chars().map(spell).collect()
}

pub(super) fn separated(text: &str, separator: &str) -> String {
    text.chars().map(String::from).collect::<Vec<_>>().join(separator)
}

pub(super) fn wrapped(text: &str, columns: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(columns).map(|line| line.iter().collect::<String>()).collect::<Vec<_>>().join("\n")
}

pub(super) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

pub(in crate::sanitizer) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(in crate::sanitizer) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

type Spell = fn(&str) -> String;

/// Everything that must be found, of any value that is not short.
pub(super) const TRANSFORMS: &[(&str, Spell)] = &[
    ("as it is", |s| s.to_owned()),
    ("upper case", |s| s.to_uppercase()),
    ("lower case", |s| s.to_lowercase()),
    ("reversed", |s| s.chars().rev().collect()),
    ("JSON", |s| serde_json::to_string(s).unwrap()),
    ("JSON in JSON", |s| serde_json::to_string(&serde_json::to_string(s).unwrap()).unwrap()),
    ("JSON, each character", |s| s.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()),
    ("Python, each byte", |s| s.bytes().map(|byte| format!("\\x{byte:02x}")).collect()),
    ("percent, each byte", |s| s.bytes().map(|byte| format!("%{byte:02X}")).collect()),
    ("HTML, each character", |s| each(s, |c| format!("&#{};", u32::from(c)))),
    ("HTML, each character in hex", |s| each(s, |c| format!("&#x{:x};", u32::from(c)))),
    ("hex", |s| hex(s.as_bytes())),
    ("HEX", |s| hex(s.as_bytes()).to_uppercase()),
    ("hex with colons", |s| s.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")),
    ("0x", |s| s.bytes().map(|byte| format!("0x{byte:x}")).collect::<Vec<_>>().join(", ")),
    ("hex reversed", |s| hex(s.as_bytes()).chars().rev().collect()),
    ("octal", |s| s.bytes().map(|byte| format!("\\{byte:03o}")).collect()),
    ("binary", |s| s.bytes().map(|byte| format!("{byte:08b}")).collect::<Vec<_>>().join(" ")),
    ("codes", |s| listed(s.as_bytes())),
    ("codes on lines", |s| listed(s.as_bytes()).replace(", ", "\n")),
    ("base64", |s| base64(s.as_bytes())),
    ("base64url", |s| base64(s.as_bytes()).replace('+', "-").replace('/', "_").replace('=', "")),
    ("base64, one byte before", |s| base64(format!("x{s}yz").as_bytes())),
    ("base64, two bytes before", |s| base64(format!("xy{s}").as_bytes())),
    ("base64 of user:password", |s| base64(format!("user:{s}").as_bytes())),
    ("base64 wrapped at 7", |s| wrapped(&base64(s.as_bytes()), 7)),
    ("base64 wrapped at 1", |s| wrapped(&base64(s.as_bytes()), 1)),
    ("base64 of UTF-16", |s| base64(&utf16(s))),
    ("base64 reversed", |s| base64(s.as_bytes()).chars().rev().collect()),
    ("base32", |s| base32(s.as_bytes())),
    ("base32, three bytes before", |s| base32(format!("abc{s}").as_bytes())),
    ("hex of UTF-16", |s| hex(&utf16(s))),
    ("spaces between", |s| separated(s, " ")),
    ("commas and quotes between", |s| separated(s, "', '")),
    ("a line each", |s| separated(s, "\n")),
    ("base64 twice", |s| base64(base64(s.as_bytes()).as_bytes())),
    ("base64 three times", |s| base64(base64(base64(s.as_bytes()).as_bytes()).as_bytes())),
    ("base64 of hex", |s| base64(hex(s.as_bytes()).as_bytes())),
    ("hex of base64", |s| hex(base64(s.as_bytes()).as_bytes())),
    ("hex of hex", |s| hex(hex(s.as_bytes()).as_bytes())),
    ("base64 of JSON", |s| base64(serde_json::json!({"user": "root", "key": s}).to_string().as_bytes())),
    ("base64 of reversed", |s| base64(s.chars().rev().collect::<String>().as_bytes())),
    ("base64 in percent", |s| {
        each(&base64(s.as_bytes()), |c| if c.is_ascii_alphanumeric() { c.into() } else { format!("%{:02X}", c as u8) })
    }),
    ("codes of base64", |s| listed(base64(s.as_bytes()).as_bytes())),
    ("gzip in base64", |s| base64(&gzip(s.as_bytes()))),
    ("gzip in hex", |s| hex(&gzip(format!("some text around {s} it").as_bytes()))),
    ("zlib in base64", |s| base64(&zlib(s.as_bytes()))),
    ("base64 in gzip in base64", |s| base64(&gzip(base64(s.as_bytes()).as_bytes()))),
    ("gzip as codes", |s| listed(&gzip(s.as_bytes()))),
];
