//! How fast text is scrubbed, and what the compiled values take: one thread, no server. What is counted is the time on a core.

use std::hint::black_box;

use airlock_actors::domain::{CredentialName, Secret};
use airlock_actors::sanitizer::{Counts, Redactor};
use anyhow::{Context, Result, ensure};
use nix::sys::time::TimeSpec;
use nix::time::ClockId;

use crate::report::{Bar, Row, median};

/// Bytes of each text: more than the caches next to a core hold.
const TEXT: usize = 8 * 1024 * 1024;
macro_rules! names {
    ($credentials:literal) => {
        [
            concat!($credentials, ", clean log"),
            concat!($credentials, ", clean JSON"),
            concat!($credentials, ", clean source in JSON strings"),
            concat!($credentials, ", clean log as a stream of 64 KiB pieces"),
            concat!($credentials, ", a hit in every line"),
            concat!($credentials, ": memory"),
            concat!($credentials, ": time to compile"),
        ]
    };
}

/// Credentials of a row of measurements, and the names of its rows.
const ROWS: [(usize, [&str; 7]); 3] =
    [(1, names!("1 credential")), (100, names!("100 credentials")), (1_000, names!("1,000 credentials"))];

/// Measures everything `rounds` times; the middle is reported.
pub(crate) fn rows(rounds: u32) -> Result<Vec<Row>> {
    let (log, json, source) = (log(), json(), source()?);
    let mut rows = Vec::new();
    for (credentials, [clean_log, clean_json, clean_source, stream, hits, memory, compile]) in ROWS {
        let secrets = secrets(credentials)?;
        let start = CoreTime::now();
        let redactor = std::sync::Arc::new(Redactor::compile(secrets.iter().map(|(name, value)| (name, value))));
        let compiled = start.elapsed();
        let leaky = leaky(&secrets);
        for text in [&log, &json, &source] {
            ensure!(redactor.scrub(text, "stdout", &mut Counts::default()) == *text, "a clean text was changed");
        }
        let scrub = |text: &str| drop(black_box(redactor.scrub(black_box(text), "stdout", &mut Counts::default())));
        let in_pieces = |text: &str| {
            let mut stream = redactor.stream("stdout");
            text.as_bytes().chunks(64 * 1024).for_each(|piece| drop(black_box(stream.feed(piece))));
            drop(black_box(stream.finish()));
        };
        // The bar is for a hundred credentials, of clean text.
        let bar = (credentials == 100).then_some(Bar::AtLeast(300.0));
        let row = |what, reached, unit, bar| Row { what, reached, unit, bar };
        rows.push(row(clean_log, speed(rounds, &log, scrub), "MB/s", bar));
        rows.push(row(clean_json, speed(rounds, &json, scrub), "MB/s", bar));
        rows.push(row(clean_source, speed(rounds, &source, scrub), "MB/s", bar));
        rows.push(row(stream, speed(rounds, &log, in_pieces), "MB/s", None));
        rows.push(row(hits, speed(rounds, &leaky, scrub), "MB/s", None));
        rows.push(row(memory, redactor.memory() as f64 / 1e6, "MB", None));
        rows.push(row(compile, compiled * 1e3, "ms", None));
    }
    Ok(rows)
}

fn speed(rounds: u32, text: &str, scrub: impl Fn(&str)) -> f64 {
    scrub(text);
    let took = |_| {
        let start = CoreTime::now();
        scrub(text);
        start.elapsed()
    };
    let times: Vec<f64> = (0..rounds).map(took).collect();
    text.len() as f64 / 1e6 / median(times)
}

/// Time that this thread had a core, so that whatever else the machine does is not counted.
struct CoreTime(TimeSpec);

impl CoreTime {
    fn now() -> Self {
        // It can't fail: the clock is there since Linux 2.6.12.
        Self(ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap_or(TimeSpec::new(0, 0)))
    }

    /// Seconds.
    fn elapsed(&self) -> f64 {
        std::time::Duration::from(Self::now().0 - self.0).as_secs_f64()
    }
}

/// Numbers that look random and are the same in every run: splitmix64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut number = self.0;
        number = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ number >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        number ^ number >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn text(&mut self, alphabet: &str, len: usize) -> String {
        let characters: Vec<char> = alphabet.chars().collect();
        (0..len).filter_map(|_| characters.get(self.below(characters.len() as u64) as usize)).collect()
    }
}

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What people keep: keys, tokens, passwords, URLs with a password in them.
fn secrets(count: usize) -> Result<Vec<(CredentialName, Secret)>> {
    let mut numbers = Numbers(7);
    let mut secrets = Vec::with_capacity(count);
    for number in 0..count {
        let value = match number % 5 {
            0 => format!("sk-{}", numbers.text(LETTERS, 40)),
            1 => numbers.text("0123456789abcdef", 64),
            2 => numbers.text(&format!("{LETTERS}!#$%&*+-./:=?@_~"), 16),
            3 => format!("postgres://app:{}@db{number}.internal:5432/main", numbers.text(LETTERS, 20)),
            _ => format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", numbers.text(LETTERS, 90), numbers.text(LETTERS, 43)),
        };
        let name = format!("CREDENTIAL_{number}").parse().context("a name")?;
        secrets.push((name, Secret::new(value)));
    }
    Ok(secrets)
}

fn log() -> String {
    let mut numbers = Numbers(1);
    let mut text = String::with_capacity(TEXT + 256);
    let levels = ["INFO", "DEBUG", "WARN", "ERROR"];
    let doings = ["connection opened", "request handled", "cache miss, reading from disk", "retrying after timeout"];
    while text.len() < TEXT {
        let (at, number) = (numbers.below(86_400), numbers.next());
        let pick = |all: &[&'static str; 4]| all.get((number >> 8) as usize % 4).copied().unwrap_or_default();
        text.push_str(&format!(
            "2026-11-28T{:02}:{:02}:{:02}.{:03}Z {} [worker-{}] com.example.service.Handler - {} path=/api/v1/items/{} user={} \
             took={}ms bytes={} trace={:016x}\n",
            at / 3600, at / 60 % 60, at % 60, number % 1000, pick(&levels), number % 16, pick(&doings), number % 100_000,
            numbers.text("abcdefghijklmnopqrstuvwxyz", 8), number % 977, number % 65_536, numbers.next(),
        ));
    }
    text
}

fn json() -> String {
    let mut numbers = Numbers(2);
    let mut text = String::with_capacity(TEXT + 512);
    text.push('[');
    while text.len() < TEXT {
        let number = numbers.next();
        text.push_str(&format!(
            "{{\"id\":{},\"name\":\"{} {}\",\"email\":\"{}@example.org\",\"active\":{},\"balance\":{}.{:02},\"tags\":[\"new\",\"eu\"],\
             \"address\":{{\"street\":\"{} Main Street\",\"zip\":\"{:05}\"}},\"uuid\":\"{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}\"}},\n",
            number % 1_000_000, numbers.text("abcdefghijklmnopqrstuvwxyz", 6), numbers.text("abcdefghijklmnopqrstuvwxyz", 9),
            numbers.text("abcdefghijklmnopqrstuvwxyz", 8), number.is_multiple_of(2), number % 10_000, number % 100, number % 300,
            number % 100_000, number & 0xffff_ffff, number >> 16 & 0xffff, number >> 20 & 0xfff, number >> 30 & 0xfff,
            numbers.next() & 0xffff_ffff_ffff,
        ));
    }
    text.push_str("null]");
    text
}

/// Source code as an agent gets it: a JSON string for each function, with its quotes, tabs and line ends escaped.
fn source() -> Result<String> {
    let own = include_str!("sanitizer.rs");
    let mut text = String::with_capacity(TEXT + own.len() * 2);
    for number in 0.. {
        if text.len() >= TEXT {
            break;
        }
        for function in own.split("\nfn ") {
            text.push_str(&serde_json::to_string(&format!("// {number}\n{function}"))?);
            text.push_str(",\n");
        }
    }
    Ok(text)
}

/// A log that has a value in each line, as it is and in base64 by turns.
fn leaky(secrets: &[(CredentialName, Secret)]) -> String {
    let mut text = String::with_capacity(TEXT + 512);
    for (number, (_, secret)) in secrets.iter().cycle().enumerate() {
        if text.len() >= TEXT {
            break;
        }
        let value = secret.expose();
        let shown = if number % 2 == 0 { value.to_owned() } else { hex::encode(value) };
        text.push_str(&format!(
            "2026-11-28T05:26:29.000Z INFO [worker-{}] authenticated with {shown}, took 12 ms\n",
            number % 16
        ));
    }
    text
}
