mod clean;
mod nested;
mod properties;
pub(super) mod spell;
mod work;

use std::str::FromStr;

use proptest::prelude::*;

use super::*;
use crate::ports::OutputTail;
use crate::runtime::{Mailbox, supervise};

fn redactor(secrets: &[(&str, &str)]) -> Redactor {
    let owned: Vec<(CredentialName, Secret)> = secrets
        .iter()
        .map(|(name, value)| (CredentialName::from_str(name).unwrap(), Secret::new((*value).to_owned())))
        .collect();
    Redactor::compile(owned.iter().map(|(name, value)| (name, value)))
}

/// So many cases, or `PROPTEST_CASES`.
fn cases(cases: u32) -> ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = wanted.unwrap_or(cases);
    ProptestConfig { cases, max_global_rejects: cases.saturating_mul(10).max(1024), ..ProptestConfig::default() }
}

fn scrub(secrets: &[(&str, &str)], text: &str) -> String {
    redactor(secrets).scrub(text, "stdout", &mut Counts::default())
}

fn scrub_result(secrets: &[(&str, &str)], json: &str) -> Result<String, RefusedResult> {
    redactor(secrets).scrub_result(json, &mut Counts::default())
}

#[test]
fn a_value_is_replaced_wherever_it_stands() {
    assert_eq!(scrub(&[("A", "hunter2")], "hunter2 and xhunter2x"), "[REDACTED] and x[REDACTED]x");
    assert_eq!(scrub(&[("A", "hunter2")], "clean"), "clean");
    assert_eq!(scrub(&[], "anything"), "anything");
    assert_eq!(scrub(&[("A", "")], "anything"), "anything");
}

#[test]
fn a_value_that_holds_another_is_replaced_as_a_whole() {
    let secrets = [("SHORT", "pass"), ("LONG", "password1")];
    assert_eq!(scrub(&secrets, "password1 pass"), "[REDACTED] [REDACTED]");
}

#[test]
fn of_values_that_overlap_nothing_is_left() {
    assert_eq!(scrub(&[("A", "abcd"), ("B", "cdef")], "xabcdefx"), "x[REDACTED]x");
    assert_eq!(scrub(&[("A", "aba")], "ababa"), "[REDACTED]");
}

#[test]
fn hits_are_counted_by_field_and_credential() {
    let redactor = redactor(&[("A", "alpha"), ("B", "beta")]);
    let mut counts = Counts::default();
    redactor.scrub("alpha beta alpha", "stdout", &mut counts);
    redactor.scrub("beta", "error", &mut counts);
    let rows: Vec<_> =
        counts.into_redactions().into_iter().map(|r| (r.field, r.credential.to_string(), r.count)).collect();
    let row = |field: &str, name: &str, count| (field.to_owned(), name.to_owned(), count);
    assert_eq!(rows, [row("error", "B", 1), row("stdout", "A", 2), row("stdout", "B", 1)]);
}

#[test]
fn a_result_is_scrubbed_in_strings_and_keys_and_stays_json() {
    let json = r#"{"key hunter2":["hunter2",1,true,null,"a\"b"],"n":5432}"#;
    let scrubbed = scrub_result(&[("A", "hunter2"), ("B", "5432"), ("C", "true"), ("D", "a\"b")], json).unwrap();
    assert_eq!(scrubbed, r#"{"key [REDACTED]":["[REDACTED]",1,true,null,"[REDACTED]"],"n":5432}"#);
}

#[test]
fn a_value_spelled_with_json_escapes_is_found() {
    let json = r#"["\u0068unter2"]"#;
    assert_eq!(scrub_result(&[("A", "hunter2")], json).unwrap(), r#"["[REDACTED]"]"#);
}

#[test]
fn a_number_that_spells_a_long_value_is_replaced_and_a_short_one_stays() {
    assert_eq!(scrub_result(&[("PIN", "1234567")], "1234567").unwrap(), "1234567");
    assert_eq!(scrub_result(&[("PIN", "12345678")], "[12345678,1]").unwrap(), r#"["[REDACTED]",1]"#);
}

#[test]
fn keys_that_become_the_same_are_both_kept() {
    let json = r#"{"aaa1":1,"bbb1":2}"#;
    let scrubbed = scrub_result(&[("A", "aaa1"), ("B", "bbb1")], json).unwrap();
    assert_eq!(scrubbed, r#"{"[REDACTED]":1,"[REDACTED] (2)":2}"#);
}

#[test]
fn a_clean_result_is_unchanged_byte_for_byte() {
    for json in [r#"{"b":1.50,"a":[1e400,"\u00e9",123456789012345678901234567890]}"#, " [1 ]", r#"{"a":1,"a":2}"#] {
        assert_eq!(scrub_result(&[("A", "hunter2")], json).as_deref(), Ok(json));
    }
}

#[test]
fn what_is_no_json_is_refused_with_and_without_values_in_it() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(scrub_result(&[], &nested(127)).is_ok());
    assert!(scrub_result(&[], &nested(127).replace("[]", r#"["\\"]"#)).is_ok());
    assert_eq!(scrub_result(&[], &nested(128).replace("[]", r#"["\\"]"#)), Err(RefusedResult::NotJson));
    let deep = nested(128);
    for json in ["", "{", "[1,]", "NaN", "1 2", r#"{"hunter2""#, deep.as_str()] {
        assert_eq!(scrub_result(&[("A", "hunter2")], json), Err(RefusedResult::NotJson), "{json:?}");
    }
}

fn captured(head: &[u8], tail: Option<(u64, &[u8])>) -> Captured {
    let tail = tail.map(|(dropped_bytes, bytes)| OutputTail { dropped_bytes, bytes: bytes.to_vec() });
    Captured { head: head.to_vec(), tail }
}

fn output(secrets: &[(&str, &str)], captured: Captured, keep: usize) -> String {
    redactor(secrets).scrub_output(captured, keep, "stdout", &mut Counts::default())
}

#[test]
fn output_up_to_the_limit_is_whole_and_past_it_loses_its_middle() {
    assert_eq!(output(&[], captured(b"0123456789", None), 10), "0123456789");
    assert_eq!(output(&[], captured(b"0123456789A", None), 10), "01234\n[... 1 bytes dropped ...]\n6789A");
    assert_eq!(output(&[], captured(b"012345", Some((0, b"6789"))), 10), "0123456789");
    assert_eq!(output(&[], captured(b"012345", Some((7, b"abcdef"))), 10), "01234\n[... 9 bytes dropped ...]\nbcdef");
}

#[test]
fn a_value_that_straddles_a_cut_is_neither_shown_nor_half_shown() {
    let secret = [("A", "SECRETVALUE")];
    // Cut by the server in the middle of the value: it is replaced and stays on the left.
    let text = output(&secret, captured(b"0123456SECRETVALUE89abcdefghijkl", None), 20);
    assert_eq!(text, "0123456[REDACTED]\n[... 4 bytes dropped ...]\ncdefghijkl");
    // Cut by the worker: the head ends, and the tail begins, with a part of it. Of the tail nothing is shown that a longer
    // form of the value could reach into.
    let tail = format!("RETVALUE {}", "and so on. ".repeat(100));
    let text = output(&secret, captured(b"all that was written: SECRETVAL", Some((100, tail.as_bytes()))), 10_000);
    assert!(!text.contains("SECRET") && !text.contains("VALUE") && !text.contains("RET"), "{text}");
    assert!(text.starts_with("all that was written: \n[... ") && text.ends_with("and so on. "), "{text}");
}

#[test]
fn a_character_is_not_cut_in_two_and_bad_bytes_are_shown_as_such() {
    let text = output(&[], captured("ééééé".as_bytes(), None), 6);
    assert_eq!(text, "é\n[... 6 bytes dropped ...]\né");
    assert_eq!(output(&[], captured(b"a\xff\xfeb", None), 10), "a\u{fffd}\u{fffd}b");
}

#[test]
fn a_long_error_is_cut_after_it_was_scrubbed() {
    let redactor = redactor(&[("A", "SECRETVALUE")]);
    let text = redactor.scrub_head("0123SECRETVALUE456", 8, "error", &mut Counts::default());
    assert_eq!(text, "0123[REDACTED]\n[... 3 bytes dropped ...]\n");
}

async fn prepared(mailbox: &Mailbox<Sanitizer>, values: &[(&str, &str, bool)]) -> Arc<Redactor> {
    let setting = |&(name, value, secret): &(&str, &str, bool)| Setting {
        name: CredentialName::from_str(name).unwrap(),
        value: Secret::new(value.to_owned()),
        secret,
        version: 1,
    };
    mailbox.call(Prepare(Arc::new(values.iter().map(setting).collect()))).await.unwrap().unwrap()
}

async fn started() -> Mailbox<Sanitizer> {
    let mailbox = supervise("sanitizer", &actix_rt::Arbiter::current(), || Ok(Sanitizer::default()));
    mailbox.up().await.unwrap();
    mailbox
}

#[actix::test]
async fn a_set_is_compiled_once_and_again_when_a_value_changes_whatever_its_version_says() {
    let sanitizer = started().await;
    let first = prepared(&sanitizer, &[("A", "value-1", true)]).await;
    let again = prepared(&sanitizer, &[("A", "value-1", true)]).await;
    let changed = prepared(&sanitizer, &[("A", "value-2", true)]).await;
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(changed.scrub("value-2", "stdout", &mut Counts::default()), "[REDACTED]");
}

#[actix::test]
async fn plain_configuration_is_left_alone() {
    let redactor = prepared(&started().await, &[("HOST", "db.example", false)]).await;
    assert_eq!(redactor.scrub("db.example", "stdout", &mut Counts::default()), "db.example");
}

#[test]
fn the_cache_is_bounded_in_sets_and_in_bytes_and_keeps_what_is_in_use() {
    let redactor = Arc::new(redactor(&[]));
    let mut sanitizer = Sanitizer::default();
    for number in 0..=CACHED_SETS {
        sanitizer.uses += 1;
        sanitizer.keep(
            [number as u8 ^ (number >> 8) as u8; 32].map(|b| b.wrapping_add(number as u8)),
            redactor.clone(),
            1,
        );
    }
    assert!(sanitizer.compiled.len() <= CACHED_SETS);
    sanitizer.uses += 1;
    sanitizer.keep([255; 32], redactor, CACHED_BYTES + 1);
    assert_eq!(sanitizer.compiled.keys().collect::<Vec<_>>(), [&[255; 32]]);
}

#[test]
fn a_result_with_the_same_key_twice_hides_nothing_behind_the_second() {
    let secret = [("A", "first-value-0001")];
    let json = r#"{"1":"first-value-0001","1":"x"}"#;
    assert_eq!(scrub_result(&secret, json).unwrap(), r#"{"1":"[REDACTED...0001]","1":"x"}"#);
    let json = r#"{"1":"first\u002dvalue-0001","1":"x"}"#;
    assert_eq!(scrub_result(&secret, json).unwrap(), r#"{"1":"[REDACTED...0001]","1":"x"}"#);
}

#[test]
fn names_that_a_json_library_keeps_to_itself_mean_nothing() {
    let secret = [("PIN", "48151")];
    let json = r#"{"$serde_json::private::Number":"48151"}"#;
    assert_eq!(scrub_result(&secret, json).unwrap(), r#"{"$serde_json::private::Number":"[REDACTED]"}"#);
    let json = r#"{"$serde_json::private::RawValue":"1","a":"\n"}"#;
    assert_eq!(scrub_result(&secret, json).as_deref(), Ok(json));
}

#[test]
fn many_keys_that_become_the_same_cost_no_more_than_others() {
    let secrets = [("A", "aaaa"), ("B", "bbbb")];
    let keys: Vec<String> =
        (0..20_000).map(|n| format!("\"{}\":1", ["aaaa", "bbbb"].map(|v| v.repeat(n % 7 + 1)).concat())).collect();
    let scrubbed = scrub_result(&secrets, &format!("{{{}}}", keys.join(","))).unwrap();
    assert!(scrubbed.contains("[REDACTED] (20000)"));
}

proptest! {
    #[test]
    fn no_value_is_left_whatever_the_values_and_the_text(
        values in proptest::collection::vec("[abc]{2,5}", 1..5),
        parts in proptest::collection::vec("[abcx\\n]{0,6}", 0..8),
    ) {
        let secrets: Vec<(String, &str)> = values.iter().enumerate().map(|(i, v)| (format!("N{i}"), v.as_str())).collect();
        let secrets: Vec<(&str, &str)> = secrets.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        let text: String = parts.concat();
        let scrubbed = scrub(&secrets, &text);
        for value in &values {
            prop_assert!(!scrubbed.contains(value.as_str()), "{value:?} is left in {scrubbed:?}");
        }
        prop_assert_eq!(scrub(&secrets, &scrubbed), scrubbed);
    }

    #[test]
    fn no_value_or_part_at_a_cut_is_left_in_a_cut_output(
        before in "[x]{0,40}", after in "[y]{0,40}", keep in 2usize..60, dropped in 1usize..8, at in 0usize..80,
    ) {
        let secret = "0123456789";
        let whole = format!("{before}{secret}{after}");
        let cut = at.min(whole.len().saturating_sub(dropped));
        let (head, rest) = whole.as_bytes().split_at(cut);
        let (lost, tail) = rest.split_at(dropped.min(rest.len()));
        let shown = output(&[("A", secret)], captured(head, Some((lost.len() as u64, tail))), keep);
        let shown: String = shown.lines().filter(|line| !line.starts_with("[... ")).collect();
        prop_assert!(!shown.bytes().any(|byte| byte.is_ascii_digit()), "part of the value is left in {shown:?}");
    }

    #[test]
    fn a_scrubbed_result_is_json_and_holds_no_value(
        keys in proptest::collection::vec("[abc\"\\\\]{1,4}", 0..5),
        strings in proptest::collection::vec("[abc\"\\\\é]{0,8}", 0..5),
    ) {
        let secrets = [("A", "ab"), ("B", "c\""), ("C", "b\\")];
        let tree = serde_json::json!({
            "list": strings,
            "map": keys.iter().map(|key| (key.clone(), serde_json::json!(1))).collect::<serde_json::Map<_, _>>(),
        });
        let scrubbed = scrub_result(&secrets, &tree.to_string()).unwrap();
        let back: serde_json::Value = serde_json::from_str(&scrubbed).unwrap();
        prop_assert_eq!(back["map"].as_object().unwrap().len(), tree["map"].as_object().unwrap().len());
        for text in back["list"].as_array().unwrap().iter().filter_map(|item| item.as_str()) {
            for (_, value) in secrets {
                prop_assert!(!text.contains(value), "{value:?} is left in {text:?}");
            }
        }
    }
}
