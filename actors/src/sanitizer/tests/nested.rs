//! Encodings of encodings: what a value is spelled as, spelled again, as deep as is promised.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use super::spell::{TRANSFORMS, base64, hex, wrapped};
use super::*;

type Transform = &'static (&'static str, fn(&str) -> String);

fn named(names: &[&str]) -> Vec<Transform> {
    let found: Vec<_> = TRANSFORMS.iter().filter(|(name, _)| names.contains(name)).collect();
    assert_eq!(found.len(), names.len(), "a transform is called otherwise");
    found
}

/// What is undone in one step, whatever it was made of.
const STEPS: &[&str] = &[
    "JSON, each character",
    "Python, each byte",
    "percent, each byte",
    "HTML, each character",
    "HTML, each character in hex",
    "hex",
    "HEX",
    "hex with colons",
    "0x",
    "octal",
    "binary",
    "codes",
    "codes on lines",
    "base64",
    "base64url",
    "base64, one byte before",
    "base64, two bytes before",
    "base64 wrapped at 7",
    "base64 wrapped at 1",
    "base64 of UTF-16",
    "base64 reversed",
    "base64 of JSON",
    "base64 in percent",
    "hex reversed",
    "hex of UTF-16",
    "base32",
    "base32, three bytes before",
    "gzip in base64",
    "gzip in hex",
    "zlib in base64",
    "gzip as codes",
];

/// Of those, what takes two.
const TWO_STEPS: &[&str] = &["base64 of JSON", "base64 in percent"];

fn single_steps() -> Vec<Transform> {
    named(STEPS).into_iter().filter(|(name, _)| !TWO_STEPS.contains(name)).collect()
}

/// What is found without a step.
const DIRECT: &[&str] = &[
    "as it is",
    "upper case",
    "lower case",
    "reversed",
    "JSON",
    "hex",
    "hex with colons",
    "0x",
    "hex reversed",
    "binary",
    "codes",
    "base64",
    "base64url",
    "base64, one byte before",
    "base64 wrapped at 7",
    "base64 of UTF-16",
    "base64 reversed",
    "base32",
    "spaces between",
    "a line each",
];

const VALUES: [&str; 3] =
    ["sk-live-4fQ2zL9w+Tb71/Xc0m'9", "Tr0ub4dor&3", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.8fQ2zL9wTb71Xc0mPq"];

/// What a stream makes of `text`, in pieces of `size` bytes.
fn in_pieces(redactor: &Arc<Redactor>, text: &str, size: usize) -> String {
    let mut stream = redactor.stream("stdout");
    let shown: String = text.as_bytes().chunks(size).map(|piece| stream.feed(piece)).collect();
    shown + &stream.finish().0
}

/// Whether three quarters of it, from wherever, are left.
fn is_left(spelled: &str, shown: &str) -> bool {
    let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '\\' | '"' | '\'')).collect();
    let (spelled, shown): (Vec<char>, String) = (bare(spelled), bare(shown).into_iter().collect());
    let window = (spelled.len() * 3 / 4).max(1);
    spelled.windows(window).any(|piece| shown.contains(&piece.iter().collect::<String>()))
}

/// How often one has to decode, the last form aside, which is searched for as it is.
fn steps_of(name: &str) -> u32 {
    match name {
        "base64 three times" | "base64 in gzip in base64" => 3,
        "base64 twice" | "gzip in base64" | "gzip in hex" | "zlib in base64" | "codes of base64" | "gzip as codes" => 2,
        name if name.contains(" of base64") || name.contains(" of hex") => 2,
        _ => 1,
    }
}

/// Why one in the other gets through, as `docs/redaction.md` says it.
fn why_it_gets_through(outer: &str, inner: &str) -> Option<&'static str> {
    let is_a_list =
        |name: &str| matches!(name, "codes" | "codes on lines" | "codes of base64" | "gzip as codes" | "0x");
    let is_spelled_out = |name: &str| name.contains("each") || matches!(name, "octal" | "binary");
    let is_compressed = inner.contains("gzip") || inner.contains("zlib");
    match outer {
        _ if steps_of(outer) + steps_of(inner) > 4 => Some("too deep"),
        "upper case" | "lower case" if steps_of(inner) > 1 => Some("upper and lower case mean something in it"),
        "reversed" | "base64 of reversed" if is_a_list(inner) || is_spelled_out(inner) || is_compressed => {
            Some("backwards as a whole")
        }
        "spaces between" | "a line each" | "commas and quotes between" if is_a_list(inner) || is_spelled_out(inner) => {
            Some("digits taken apart")
        }
        "commas and quotes between" if inner == outer => Some("too much between"),
        _ => None,
    }
}

#[test]
fn everything_in_everything_is_found_but_for_what_is_said_not_to_be() {
    let (mut failed, mut told) = (Vec::new(), 0);
    for value in &VALUES[..2] {
        let redactor = redactor(&[("KEY", value)]);
        for (outer, spell) in TRANSFORMS {
            for (inner, spell_inner) in TRANSFORMS {
                let spelled = spell(&spell_inner(value));
                let shown = redactor.scrub(&format!("it is: {spelled} end"), "stdout", &mut Counts::default());
                match (is_left(&spelled, &shown), why_it_gets_through(outer, inner)) {
                    (true, None) => failed.push(format!("{outer} of {inner} of {value}")),
                    (true, Some(_)) => told += 1,
                    (false, _) => {}
                }
            }
        }
    }
    assert!(failed.is_empty(), "{} get through:\n{}", failed.len(), failed.join("\n"));
    assert_eq!((told, 2 * TRANSFORMS.len() * TRANSFORMS.len()), (127, 4_802), "as the documentation says it");
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn three_steps_over_any_form_are_found_in_any_pieces(
        value in select(&VALUES[..]),
        form in select(named(DIRECT)),
        steps in proptest::collection::vec(select(single_steps()), 1..=3),
        before in prop_oneof![Just(""), Just("INFO the key is "), Just("{\"level\":\"info\",\"text\":\""), Just("päss – ✓\n")],
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut spelled = form.1(value);
        // UTF-16 and a letter to a line are fourfold and more: deep inside, texts become too long to be whole.
        for step in &steps {
            prop_assume!(spelled.len() < 4_000);
            spelled = step.1(&spelled);
        }
        let text = format!("{before}{spelled} end\n");
        let redactor = Arc::new(redactor(&[("KEY", value)]));
        let mut counts = Counts::default();
        let whole = redactor.scrub(&text, "stdout", &mut counts);
        let names: Vec<&str> = steps.iter().map(|step| step.0).collect();
        prop_assert!(!is_left(&spelled, &whole), "{names:?} of {} gets through: {whole}", form.0);
        prop_assert!(counts.is_suspicious());
        prop_assert_eq!(&redactor.scrub(&whole, "stdout", &mut Counts::default()), &whole, "{:?}", names);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).chain([0, text.len()]).collect();
        at.sort_unstable();
        let mut stream = redactor.stream("stdout");
        let mut shown: String = at.windows(2).map(|cut| stream.feed(&text.as_bytes()[cut[0]..cut[1]])).collect();
        shown.push_str(&stream.finish().0);
        prop_assert_eq!(shown, whole, "{:?} of {}", names, form.0);
    }
}

#[test]
fn what_looks_like_a_marker_and_is_none_of_the_set_hides_nothing() {
    assert_eq!(scrub(&[("PIN", "5432")], "[REDACTED...5432]"), "[REDACTED...[REDACTED]]");
    let both = [("PIN", "5432"), ("KEY", "Zq8vT2mK4xW95432")];
    assert_eq!(scrub(&both, "[REDACTED...5432]"), "[REDACTED...5432]", "a marker of its own is not looked into");
}

#[test]
fn parts_of_structured_values_are_secrets_by_themselves() {
    for (value, part) in [
        (r#"{"user":"app","password":"hunter"}"#, "hunter"),
        (r#"{"type":"x","keys":[{"k":"Tr0ub4dor3x"}]}"#, "Tr0ub4dor3x"),
        ("DB_USER=app\nDB_PASSWORD=\"hunter2\"\nDB_HOST=a", "hunter2"),
        ("Server=db;User=app;Pwd=hunter2;", "hunter2"),
        ("https://app:hun%21ter2@db/x", "hun!ter2"),
        ("Bearer abc.Tr0ub4dor", "abc.Tr0ub4dor"),
        ("[default]\nuser = app\naws_secret_access_key = hunter2", "hunter2"),
        ("user: app\npassphrase: 'hunter2'\n", "hunter2"),
        ("A=1\nSTRIPE=9aF3kLm2Qx7Zt5Rw8\n", "9aF3kLm2Qx7Zt5Rw8"),
        ("https://hooks.host/services/T0B1/B2/9aF3kLm2Qx7Zt5Rw8", "/services/T0B1/B2/9aF3kLm2Qx7Zt5Rw8"),
        ("https://host/run?code=9aF3kLm2Qx7Zt5Rw8%3D&v=2", "code=9aF3kLm2Qx7Zt5Rw8="),
        ("https://host/run?v=2&api_token=hunter2", "hunter2"),
        ("-----BEGIN X-----\\nMIIBVAIBADANBgkqh9\\nkiG9w0BAQEFAASC7\\n-----END X-----\\n", "kiG9w0BAQEFAASC7"),
    ] {
        let shown = scrub(&[("KEY", value)], &format!("it is {part} and {}", base64(format!("x:{part}").as_bytes())));
        let hidden = part.len() - part.trim_start_matches(|c: char| part.contains('/') && c != '9').len();
        let hidden = if part.starts_with("code=") { "code=" } else { &part[..hidden] };
        assert!(shown.starts_with(&format!("it is {hidden}[REDACTED")), "{value}: {shown}");
    }
}

#[test]
fn names_in_an_address_or_a_file_are_no_secrets() {
    let value = "https://api.host/v1/some-long-name-of-an-endpoint/list?page=2&sort=created-at-descending";
    let text = "GET /v1/some-long-name-of-an-endpoint/list?page=2&sort=created-at-descending";
    assert_eq!(scrub(&[("URL", value)], text), text);
    let file = "HOST=a-rather-long-name-of-a-host.example\nLEVEL=information-and-above\nDB_PASSWORD=hunter2";
    let text = "it is information-and-above";
    assert_eq!(scrub(&[("FILE", file)], text), text);
}

#[test]
fn colours_of_a_terminal_hide_nothing_and_are_no_disguise() {
    let value = "sk-live-4fQ2zL9wTb71Xc0mPq8s";
    let grep = format!("key: {}\x1b[01;31m\x1b[K{}\x1b[m\x1b[K{} end", &value[..8], &value[8..14], &value[14..]);
    let each: String = value.chars().map(|c| format!("\x1b[38;5;12m{c}\x1b[0m")).collect();
    let in_base64 = super::spell::each(&base64(value.as_bytes()), |c| format!("{c}\x1b[1m"));
    let redactor = Arc::new(redactor(&[("KEY", value)]));
    for (text, alarm) in [(grep.as_str(), false), (&each, false), (&in_base64, true)] {
        let mut counts = Counts::default();
        let whole = redactor.scrub(text, "stdout", &mut counts);
        assert!(whole.contains("[REDACTED...Pq8s]") && !whole.contains("live"), "{whole}");
        assert!(!grep.eq(text) || whole == "key: [REDACTED...Pq8s] end", "{whole}");
        assert_eq!(counts.is_suspicious(), alarm, "{text}");
        for size in 1..60 {
            assert_eq!(in_pieces(&redactor, text, size), whole, "in pieces of {size}");
        }
    }
}

#[test]
fn a_marker_is_not_cut_in_two_where_something_encoded_may_begin() {
    // `REDACTED` may be the beginning of base32.
    for (value, text) in [("A", "x [REDACTED] y [REDACTED]"), ("5432", "[REDACTED...5432] 1 [REDACTED...5432]")] {
        let redactor = Arc::new(redactor(&[("PIN", value), ("KEY", "Zq8vT2mK4xW95432")]));
        for size in 1..text.len() {
            assert_eq!(in_pieces(&redactor, text, size), text, "in pieces of {size}");
        }
    }
}

#[test]
fn what_mail_and_http_write_is_found() {
    for (value, text) in [
        ("abcd=efgh1234=ijk", "k: abcd=3Defgh12=\n34=3Dijk"),
        ("p@ss/w0rd+X9'k", "=?iso-8859-1?q?p=40ss/w0rd+X9=27k?="),
        ("pässwörd42x", "=?utf-8?q?p=C3=A4ssw=C3=B6rd42x?="),
        // `base64.b64encode("me:pässwörd42x".encode("latin-1"))`.
        ("pässwörd42x", "Basic bWU6cORzc3f2cmQ0Mng="),
        ("pässwörd42x", "70e4737377f672643432 78"),
        ("pässwörd42x", "?k=p%e4ssw%f6rd42x"),
    ] {
        let shown = scrub(&[("KEY", value)], text);
        assert!(shown.contains("[REDACTED"), "{text}: {shown}");
    }
}

#[test]
fn what_begins_as_compressed_data_does_is_searched_as_text_too() {
    // `HK` are the first two bytes of zlib data.
    for spell in ["codes", "hex", "base64", "binary", "0x"].map(|name| named(&[name])[0].1) {
        let spelled = spell("HK3X9QZ7WL");
        assert!(scrub(&[("KEY", "hK3x9Qz7wL")], &spelled).contains("[REDACTED]"), "{spelled}");
    }
}

#[test]
fn compressed_data_right_after_other_such_data_is_found() {
    let value = "sk-live-4fQ2zL9w+Tb71/Xc0m9Pq8";
    let (clean, secret) = (super::spell::zlib(b"nothing to see here"), super::spell::zlib(value.as_bytes()));
    for spell in ["codes", "base64", "hex"] {
        let spell: fn(&[u8]) -> String = match spell {
            "codes" => super::spell::listed,
            "hex" => hex,
            _ => base64,
        };
        let shown = scrub(&[("KEY", value)], &format!("[{}] [{}]", spell(&clean), spell(&secret)));
        assert!(shown.ends_with("[[REDACTED...9Pq8]]") || shown.contains("[[REDACTED...9Pq8]="), "{shown}");
        assert!(shown.starts_with(&format!("[{}", spell(&clean))), "{shown}");
    }
}

#[test]
fn text_right_after_compressed_data_stays() {
    let spelled = base64(&super::spell::zlib(b"xx A0aAaaAaAAaaaa000a12"));
    let shown = scrub(&[("KEY", "A0aAaaAaAAaaaa000a12")], &format!("{spelled} and more follows"));
    assert!(shown.starts_with("[REDACTED...0a12]") && shown.ends_with(" and more follows"), "{shown}");
}

#[test]
fn three_steps_that_once_got_through_are_found() {
    for (inner, outer, form) in [("base64, two bytes before", "base64 reversed", "upper case")] {
        for value in VALUES {
            let spell = |name: &str| named(&[name])[0].1;
            let spelled = spell("binary")(&spell(outer)(&spell(inner)(&spell(form)(value))));
            let shown = scrub(&[("KEY", value)], &format!("it is: {spelled} end"));
            assert!(!is_left(&spelled, &shown), "binary of {outer} of {inner} of {form} of {value}: {shown}");
        }
    }
}

#[test]
fn an_escape_that_is_spelled_in_escapes_is_waited_for() {
    let value = "0a0aaaZ0AA0A0Bc";
    let spelled: String = value.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let (text, redactor) = (format!("%3{spelled}!"), Arc::new(redactor(&[("KEY", value)])));
    let whole = redactor.scrub(&text, "stdout", &mut Counts::default());
    assert_eq!(in_pieces(&redactor, &text, 1), whole);
}

#[test]
fn what_goes_on_after_a_long_gap_is_found_in_itself() {
    let value = "sk-live-4fQ2zL9w+Tb71/Xc0m9Pq8";
    let twice = base64(base64(value.as_bytes()).as_bytes());
    // Letters that look as base64 of text does, and so much after them that nothing reaches across it.
    for letters in ["QUFB", "QUFBQUFB", "QUFBQUFBQUFBQUFB"] {
        for gap in [16, 17, 40] {
            let before = format!("{letters}{}", " ".repeat(gap));
            let shown = scrub(&[("KEY", value)], &format!("{before}{twice}!"));
            assert!(shown.starts_with(&before) && !is_left(&twice, &shown), "{gap} after {letters}: {shown}");
        }
    }
}

#[test]
fn a_word_beside_something_encoded_stays() {
    let value = "sk-live-4fQ2zL9w+Tb71/Xc0m9Pq8";
    let twice = base64(base64(value.as_bytes()).as_bytes());
    let backwards: String = twice.chars().rev().collect();
    for (before, after) in [("now ", " then"), ("now\n", "\nthen"), ("a=", " 0000"), ("a b c ", ", 1")] {
        for spelled in [&twice, &backwards] {
            let shown = scrub(&[("KEY", value)], &format!("{before}{spelled}{after}"));
            let rest =
                shown.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).map(|rest| rest.trim_matches('='));
            assert_eq!(rest, Some("[REDACTED...9Pq8]"), "{before}{spelled}{after}: {shown}");
        }
    }
}

#[test]
fn a_word_far_before_something_encoded_does_not_hide_it() {
    let value = "sk-live-4fQ2zL9w+Tb71/Xc0m9Pq8";
    for spell in STEPS.iter().map(|name| named(&[name])[0]) {
        for (gap, before) in [15, 16, 17, 18, 40].into_iter().flat_map(|gap| [(gap, "a name"), (gap, "AB4")]) {
            let spelled = spell.1(&base64(value.as_bytes()));
            let text = format!("{before}{}{spelled}{}{before}", " ".repeat(gap), " ".repeat(gap));
            let shown = scrub(&[("KEY", value)], &text);
            assert!(!is_left(&spelled, &shown), "{}, {gap} spaces after {before:?}: {shown}", spell.0);
            assert!(shown.starts_with(&format!("{before}{}", " ".repeat(gap))), "{}: {shown}", spell.0);
        }
    }
}

#[test]
fn the_last_characters_of_something_encoded_may_be_on_a_line_of_their_own() {
    let value = "sk-live-4fQ2zL9w+Tb71/Xc0m9Pq";
    for before in ["", "x", "xy"] {
        let spelled = wrapped(&base64(format!("{before}{}", hex(value.as_bytes())).as_bytes()), 76);
        assert_eq!(spelled.lines().last().map(str::len), Some(4), "{spelled}");
        let backwards: String = spelled.chars().rev().collect();
        for after in ["", "\n", " end"] {
            for spelled in [&spelled, &backwards] {
                let shown = scrub(&[("KEY", value)], &format!("{spelled}{after}"));
                assert!(shown.contains("[REDACTED...") && !is_left(spelled, &shown), "{spelled}: {shown}");
            }
        }
    }
}
