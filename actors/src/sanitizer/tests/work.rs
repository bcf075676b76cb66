//! Texts that are made to be slow, and to take room. What is counted is work, not time.

use std::sync::Arc;

use super::spell::{base64, gzip, hex, listed};
use super::*;

const MIB: usize = 1024 * 1024;
const KEY: &str = "sk-live-4fQ2zL9wTb71Xc0m";
/// A test build is slow: a sixteenth of the output that an execution may have is enough to see what grows.
const MANY: usize = 64 * 1024;

/// Bytes without any order.
fn anything(len: usize) -> Vec<u8> {
    let mut number = 1u64;
    let mut next = || {
        number = number.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (number >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Texts of about that length.
fn slow_texts() -> Vec<(&'static str, Vec<u8>)> {
    let long = |text: &str| text.repeat(MANY / text.len()).into_bytes();
    let head = &KEY[..KEY.len() - 1];
    let encoded = |mut text: Vec<u8>, encode: fn(&[u8]) -> String| {
        while text.len() < MANY / 4 {
            text = encode(&text).into_bytes();
        }
        text
    };
    vec![
        ("one letter", long("A")),
        ("separators", long(" ")),
        ("backslashes", long("\\")),
        ("percent signs", long("%")),
        ("escapes", long("\\u0041%41&#65;")),
        ("opening brackets", long("[")),
        ("beginnings of a marker", long("[REDACTED")),
        ("markers", long("[REDACTED]")),
        ("base64 of zeros", base64(&vec![0; MANY * 3 / 4]).into_bytes()),
        ("base64 of anything", base64(&anything(MANY * 3 / 4)).into_bytes()),
        ("base64 of text", base64(&long("some text ")).into_bytes()),
        ("base64 in base64 in base64", encoded(b"some text".repeat(500), base64)),
        ("hex in hex in hex", encoded(b"some text".repeat(500), hex)),
        ("beginnings of gzip", long("H4sI")),
        ("beginnings of zlib", long("-eJ")),
        ("codes", listed(&long("AB")[..MANY / 4]).into_bytes()),
        ("digits", long("12345678901234567890 ")),
        ("short codes", long("9,")),
        ("beginnings of the value", long(head)),
        ("beginnings of the value, spaced", long(&super::spell::separated(head, "-"))),
        ("the value", long(KEY)),
        ("the value in base64", long(&base64(KEY.as_bytes()))),
        ("gzip bombs", long(&(base64(&gzip(&vec![b'a'; 1024 * 1024])) + " "))),
        ("not UTF-8", vec![0xE2; MANY]),
        ("other alphabets", long("ёж")),
    ]
}

#[test]
fn the_work_is_bounded_by_the_length_of_the_text() {
    let others: Vec<(String, String)> = (0..20).map(|n| (format!("N{n}"), format!("{}{n:04}", &KEY[..20]))).collect();
    let mut secrets: Vec<(&str, &str)> = others.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    secrets.extend([("KEY", KEY), ("LONG", "A"), ("SHORT", "[RED")]);
    let redactor = redactor(&secrets);
    for (name, text) in slow_texts() {
        let (_, work) = redactor.work(&text);
        // What compressed data may expand to in a short text comes on top.
        let searched = (work.searched as usize).saturating_sub(2 * MIB) / text.len();
        let fingerprints = work.fingerprints as usize / text.len();
        let read = work.read as usize / text.len();
        assert!(read <= 400, "{name}: each byte was read {read} times to be decoded");
        assert!(searched <= 40, "{name}: each byte was searched {searched} times");
        assert!(fingerprints <= 10, "{name}: {fingerprints} fingerprints were taken for each byte");
    }
}

#[test]
fn many_small_pieces_cost_little_more_than_a_large_one_and_little_is_held() {
    let redactor = Arc::new(redactor(&[("KEY", KEY)]));
    for (name, text) in slow_texts() {
        let text = &text[..text.len().min(MANY / 4)];
        let mut stream = redactor.stream("stdout");
        let mut searched = 0;
        for piece in text.chunks(64) {
            let before = stream.held();
            stream.feed(piece);
            // Each search goes over what was held and the piece.
            searched += if stream.held() == before + piece.len() && before > 512 { 0 } else { before + piece.len() };
        }
        assert!(searched <= text.len() * 24, "{name}: {} times", searched / text.len());
        let held = stream.held();
        let (_, _) = stream.finish();
        assert!(held <= text.len(), "{name}: {held}");
    }
}

#[test]
fn ordinary_output_is_released_line_by_line() {
    let redactor = Arc::new(redactor(&[("KEY", KEY), ("OTHER", "correct-horse-battery-staple"), ("SHORT", "hunter2")]));
    let mut stream = redactor.stream("stdout");
    for number in 0..2_000 {
        stream.feed(
            format!("2026-11-28 05:26:29.{number:03} INFO request {number} took {} ms, status=200\n", number % 97)
                .as_bytes(),
        );
        assert!(stream.held() <= 32, "{} bytes are held", stream.held());
    }
    for number in 0..2_000 {
        stream.feed(format!("{number}\n").as_bytes());
        assert!(stream.held() <= 512, "{} bytes are held", stream.held());
    }
}

#[test]
fn a_flood_of_what_may_be_anything_is_not_held_for_ever() {
    let redactor = Arc::new(redactor(&[("KEY", KEY), ("SHORT", "hunter2")]));
    for flood in ["A", KEY, "hunter2", "QUJD\n"] {
        let mut stream = redactor.stream("stdout");
        let (mut shown, mut fed, piece) = (0, 0, flood.repeat(64 * 1024 / flood.len()));
        for _ in 0..12 {
            fed += piece.len();
            shown += stream.feed(piece.as_bytes()).len();
            assert!(stream.held() <= 512 * 1024 + piece.len(), "{} bytes of {flood} are held", stream.held());
        }
        let (rest, counts) = stream.finish();
        shown += rest.len();
        let found: u64 = counts.into_redactions().iter().map(|row| row.count).sum();
        let there = if flood == KEY || flood == "hunter2" { fed / flood.len() } else { 0 };
        assert_eq!(found as usize, there, "{flood}");
        assert!(if there > 0 { shown < 64 } else { shown == fed }, "{shown} of {fed}");
    }
}

#[test]
fn a_compressed_text_that_expands_without_end_is_left() {
    let redactor = redactor(&[("KEY", KEY)]);
    let mut bomb = vec![b' '; 8 * MIB];
    bomb.extend_from_slice(KEY.as_bytes());
    let text = format!("{} and {KEY}", base64(&gzip(&bomb)));
    let (scan, work) = redactor.work(text.as_bytes());
    assert_eq!(scan.found.len(), 1, "what stands beside it is found");
    assert!(work.searched < 3 * MIB as u64, "{}", work.searched);
}
