//! What a person should know of a value before relying on its redaction.

use std::collections::BTreeMap;
use std::fmt;

use aho_corasick::AhoCorasick;
use zeroize::Zeroizing;

use super::parts::{self, Freedom};
use super::squeeze::squeezed_and_folded;
use crate::domain::CredentialName;

/// Longer values are not asked whether another holds them.
const LONGEST_INSIDE: usize = 256;
/// Names that one warning lists.
const NAMED: usize = 3;

/// Why a value is redacted less well than others, or more than it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weakness {
    /// Too few letters and digits to be told from chance in any other form.
    Short,
    /// A short number, such as a port or a year.
    Numeric,
    /// A row of one character, or of a few.
    Repetitive,
    /// A word that ordinary text has.
    Common,
    /// One word: a single separator inside it may be ordinary text.
    Word,
    /// It is a part of these values, or the same.
    Inside(Vec<CredentialName>),
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exactly = "it is redacted only where it stands exactly as it is, in almost no other form, and wherever harmless \
                       text has it as well; take a longer one, or mark it as not secret";
        match self {
            Self::Short => write!(f, "The value has fewer than {} letters and digits: {exactly}.", parts::ENOUGH),
            Self::Numeric => write!(f, "The value is a short number: {exactly}."),
            Self::Repetitive => {
                let enough = parts::ENOUGH_DIFFERENT;
                write!(f, "The value has fewer than {enough} different letters and digits: {exactly}.")
            }
            Self::Common => write!(f, "The value is a common word: {exactly}."),
            Self::Word => f.write_str(
                "The value looks like one word: it is redacted in every form, but not where a single space or line end \
                 splits it, since ordinary text may look so.",
            ),
            Self::Inside(others) => {
                let names: Vec<&str> = others.iter().take(NAMED).map(CredentialName::as_str).collect();
                let more = if others.len() > NAMED { " and others" } else { "" };
                let names = names.join(", ");
                write!(
                    f,
                    "The value is contained in that of {names}{more}: where that one is shown, both count as redacted."
                )
            }
        }
    }
}

/// What is weak about a value by itself.
pub fn of_value(value: &str) -> Option<Weakness> {
    match parts::freedom(value) {
        Freedom::Any => None,
        Freedom::Word => Some(Weakness::Word),
        Freedom::Exactly => {
            let letters = squeezed_and_folded(value.as_bytes());
            Some(if parts::is_common(value) {
                Weakness::Common
            } else if (1..parts::ENOUGH_DIGITS).contains(&letters.len()) && letters.iter().all(u8::is_ascii_digit) {
                Weakness::Numeric
            } else if letters.len() < parts::ENOUGH {
                Weakness::Short
            } else {
                Weakness::Repetitive
            })
        }
    }
}

/// What is weak about each of many values. `open` gives them one by one, and is asked for each twice: they are not all held
/// in the clear at once.
pub fn of_all(
    names: &[CredentialName],
    open: impl Fn(&CredentialName) -> Option<crate::domain::Secret>,
) -> BTreeMap<CredentialName, Vec<Weakness>> {
    let mut weak: BTreeMap<CredentialName, Vec<Weakness>> = BTreeMap::new();
    let mut short: Vec<(Zeroizing<String>, &CredentialName)> = Vec::new();
    for name in names {
        let Some(value) = open(name) else { continue };
        weak.entry(name.clone()).or_default().extend(of_value(value.expose()));
        if !value.expose().is_empty() && value.expose().len() <= LONGEST_INSIDE {
            short.push((Zeroizing::new(value.expose().to_owned()), name));
        }
    }
    // Some megabytes at most. Should it not build, the warning is missing, and nothing else.
    let Ok(automaton) = AhoCorasick::new(short.iter().map(|(value, _)| value.as_str())) else { return weak };
    let mut inside: BTreeMap<&CredentialName, Vec<CredentialName>> = BTreeMap::new();
    for name in names {
        let Some(value) = open(name) else { continue };
        for hit in automaton.find_overlapping_iter(value.expose()) {
            let Some((_, held)) = short.get(hit.pattern().as_usize()) else { continue };
            let holders = inside.entry(held).or_default();
            if *held != name && !holders.contains(name) && holders.len() <= NAMED {
                holders.push(name.clone());
            }
        }
    }
    for (name, holders) in inside.into_iter().filter(|(_, holders)| !holders.is_empty()) {
        weak.entry(name.clone()).or_default().push(Weakness::Inside(holders));
    }
    weak.retain(|_, weaknesses| !weaknesses.is_empty());
    weak
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;

    /// Shared with the web UI, which warns by the same rules while a value is typed.
    #[derive(serde::Deserialize)]
    struct Vectors {
        warnings: BTreeMap<String, String>,
        common: Vec<String>,
        values: Vec<Vector>,
    }

    #[derive(serde::Deserialize)]
    struct Vector {
        value: String,
        weakness: Option<String>,
    }

    #[test]
    fn values_are_weak_as_the_shared_table_has_it() {
        let table = include_str!("../../../tests/vectors/weak_values.json");
        let vectors: Vectors = serde_json::from_str(table).unwrap();
        let kinds = [
            ("short", Weakness::Short),
            ("numeric", Weakness::Numeric),
            ("repetitive", Weakness::Repetitive),
            ("common", Weakness::Common),
            ("word", Weakness::Word),
        ];
        let words = kinds.iter().map(|(name, weakness)| ((*name).to_owned(), weakness.to_string())).collect();
        assert_eq!(vectors.warnings, words);
        assert_eq!(vectors.common, parts::COMMON);
        for Vector { value, weakness } in vectors.values {
            let found = of_value(&value);
            let name = kinds.iter().find(|(_, kind)| found.as_ref() == Some(kind)).map(|(name, _)| (*name).to_owned());
            assert_eq!(name, weakness, "{value:?}");
        }
    }

    #[test]
    fn a_value_inside_others_names_them() {
        let values =
            [("A", "Zq8vT2mK4x"), ("B", "mysql://app:Zq8vT2mK4x@db"), ("C", "Zq8vT2mK4x"), ("D", "unrelated-7tG")];
        let names: Vec<CredentialName> = values.iter().map(|(name, _)| name.parse().unwrap()).collect();
        let open = |name: &CredentialName| {
            values.iter().find(|(other, _)| *other == name.as_str()).map(|(_, value)| Secret::new((*value).to_owned()))
        };
        let weak = of_all(&names, open);
        let inside = |of: &[&str]| vec![Weakness::Inside(of.iter().map(|name| name.parse().unwrap()).collect())];
        assert_eq!(
            weak.into_iter().map(|(name, weak)| (name.to_string(), weak)).collect::<Vec<_>>(),
            [("A".to_owned(), inside(&["B", "C"])), ("C".to_owned(), inside(&["A", "B"])),]
        );
    }
}
