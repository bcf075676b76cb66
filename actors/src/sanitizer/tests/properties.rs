//! Any value, in any form, in any surroundings, in any pieces.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use super::spell::{self, TRANSFORMS};
use super::*;

/// Values of all kinds: keys of services, passwords with what passwords have, words of other alphabets.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9]{20,40}",
        "sk-[A-Za-z0-9_-]{24,48}",
        "[a-z]{3}[0-9]{3}[A-Z]{2}[!-~]{4,10}[a-zA-Z]{4}",
        "[A-Z0-9]{10,16}[a-z]{4}",
        "[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[a-f0-9]{12}",
        "[a-z0-9]{6}[\"'\\\\<>&%+/= ]{1,4}[A-Za-z0-9]{8,12}",
        "[а-яё]{6,10}[0-9]{4}[a-z]{4}",
    ]
    .prop_filter("not like a word", |value| parts::freedom(value) == parts::Freedom::Any && value.trim() == value)
}

/// What may stand around it: ends with something that is no letter or digit, or is such that it does not matter.
fn surroundings() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z]{1,8} [a-z]{1,8}: ",
        "[0-9]{4}-[0-9]{2}-[0-9]{2} [A-Z]{4} \\[[a-z.]{3,12}\\] ",
        Just("{\"level\":\"info\",\"message\":\"".to_owned()),
        Just("päss – ✓\n\t".to_owned()),
        Just("all of % and \\ & more; ".to_owned()),
    ]
}

/// What may be anything: the beginning or the end of something encoded, a number of a list, half an escape.
fn noise() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => surroundings(),
        1 => "[A-Za-z0-9+/=_-]{1,9}[ \n.]?",
        1 => "[0-9]{1,4}[ ,]{0,2}",
        1 => "[\\\\%&][nrtux0-7]{1,3}[;0-9a-f]{0,2}",
        1 => "(H4sI|eJ|78|0x|=|\\[RED|\\[REDACTED\\]){1,2}",
    ]
}

/// Nothing of the value is left that eight characters of it would make, in any of the spellings.
fn assert_nothing_left(value: &str, name: &str, spelled: &str, shown: &str) {
    // Of what was encoded, any three quarters of it would do for a guess at the rest.
    let characters: Vec<char> = spelled.chars().collect();
    let window = (characters.len() * 3 / 4).max(1);
    for piece in characters.windows(window) {
        let piece: String = piece.iter().collect();
        assert!(!shown.contains(&piece), "{name} of {value:?}: {piece:?} is left in {shown:?}");
    }
    assert!(!shown.contains(value), "{value:?} is left in {shown:?}");
}

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn no_form_of_any_value_is_left(
        value in value(), transform in select(TRANSFORMS), before in surroundings(), after in surroundings(),
    ) {
        let (name, spell) = transform;
        let spelled = spell(&value);
        let text = format!("{before}{spelled} {after}");
        let redactor = redactor(&[("KEY", &value)]);
        let mut counts = Counts::default();
        let shown = redactor.scrub(&text, "stdout", &mut counts);
        assert_nothing_left(&value, name, &spelled, &shown);
        prop_assert!(shown.starts_with(&before) || before.is_empty() || !shown.contains(&spelled), "{shown:?}");
        prop_assert!(shown.ends_with(&format!(" {after}")), "{name}: what follows {value:?} is gone in {shown:?}");
        prop_assert!(!counts.into_redactions().is_empty());
        // SA-7.
        prop_assert_eq!(redactor.scrub(&shown, "stdout", &mut Counts::default()), shown);
    }

    #[test]
    fn in_pieces_it_is_what_it_is_as_a_whole(
        values in proptest::collection::vec(value(), 1..3),
        parts in proptest::collection::vec((noise(), select(TRANSFORMS), any::<prop::sample::Index>()), 0..4),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        one_by_one in any::<bool>(),
    ) {
        let mut text = String::new();
        for (before, (_, spell), which) in &parts {
            text.push_str(before);
            text.push_str(&spell(which.get::<String>(&values)));
        }
        text.push_str("!\n");
        let named: Vec<(String, &String)> = values.iter().enumerate().map(|(n, value)| (format!("N{n}"), value)).collect();
        let named: Vec<(&str, &str)> = named.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let redactor = Arc::new(redactor(&named));
        let mut counts = Counts::default();
        let whole = redactor.scrub(&text, "stdout", &mut counts);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        if one_by_one {
            at = (0..text.len()).collect();
        }
        at.extend([0, text.len()]);
        at.sort_unstable();
        let mut stream = redactor.stream("stdout");
        let mut shown = String::new();
        for piece in at.windows(2) {
            shown.push_str(&stream.feed(&text.as_bytes()[piece[0]..piece[1]]));
        }
        let (rest, found) = stream.finish();
        shown.push_str(&rest);
        prop_assert_eq!(&shown, &whole, "{:?}", text);
        prop_assert_eq!(found, counts, "{:?}", text);
        let (mut live, mut shown) = (LiveScrub::default(), String::new());
        for end in &at {
            loop {
                let (more, unfinished) = redactor.scrub_live(&text.as_bytes()[..*end], &mut live, usize::MAX, 64);
                shown.push_str(&more);
                prop_assert!(whole.starts_with(&shown), "{:?} is not how {:?} begins: {:?}", shown, whole, text);
                if !unfinished {
                    break;
                }
            }
        }
    }

    #[test]
    fn text_without_any_value_is_unchanged(
        values in proptest::collection::vec(value(), 1..4), text in any::<String>(), bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let named: Vec<(String, &String)> = values.iter().enumerate().map(|(n, value)| (format!("N{n}"), value)).collect();
        let named: Vec<(&str, &str)> = named.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let redactor = redactor(&named);
        prop_assert_eq!(redactor.scrub(&text, "stdout", &mut Counts::default()), text);
        prop_assert!(redactor.is_clean(&bytes));
        prop_assert!(redactor.is_clean(spell::base64(&bytes).as_bytes()));
        prop_assert!(redactor.is_clean(spell::listed(&bytes).as_bytes()));
    }

    #[test]
    fn values_that_hold_begin_or_overlap_one_another_leave_nothing(
        values in proptest::collection::vec("[ab1]{2,5}|[ab1]{8,13}|[ab1]{3}-[ab1]{6,9}", 1..5),
        parts in proptest::collection::vec("[ab1x -]{0,9}", 0..8),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..9),
    ) {
        let named: Vec<(String, &String)> = values.iter().enumerate().map(|(n, value)| (format!("N{n}"), value)).collect();
        let named: Vec<(&str, &str)> = named.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let redactor = Arc::new(redactor(&named));
        let text: String = parts.into_iter().zip(values.iter().cycle()).map(|(part, value)| part + value).collect();
        let whole = redactor.scrub(&text, "stdout", &mut Counts::default());
        for value in &values {
            prop_assert!(!whole.contains(value.as_str()), "{value:?} is left in {whole:?}");
        }
        prop_assert_eq!(&redactor.scrub(&whole, "stdout", &mut Counts::default()), &whole);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).chain([0, text.len()]).collect();
        at.sort_unstable();
        let mut stream = redactor.stream("stdout");
        let mut shown: String = at.windows(2).map(|cut| stream.feed(&text.as_bytes()[cut[0]..cut[1]])).collect();
        shown.push_str(&stream.finish().0);
        prop_assert_eq!(shown, whole, "{:?} in {:?}", values, text);
    }
}

#[test]
fn every_transform_of_a_value_of_eight_characters_is_found() {
    for value in ["hK3x9Qz7", "p4ss-W0rd", "Tr0ub4dor&3"] {
        for (name, spell) in TRANSFORMS {
            let spelled = spell(value);
            let shown = scrub(&[("KEY", value)], &format!("<{spelled}>"));
            assert!(shown.contains("[REDACTED]") && !shown.contains(&spelled), "{name} of {value}: {shown}");
        }
    }
}
