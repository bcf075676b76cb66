//! How a record becomes the bytes of a value: one byte with the version of its table, then postcard.
//!
//! postcard does not describe itself, so a record that gains a field gets a table with a new version in its name, and
//! `migrations` rewrites what is on disk. Errors name the table and never the bytes: they may be a secret's, or an id that grants access.

use redb::TableHandle;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fault::Fault;
use super::tables::Values;

/// What every value of a table starts with: the number at the end of its name.
fn version(table: Values) -> u8 {
    table.name().rsplit_once(".v").and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
}

/// The bytes of a record, to be stored in `table`.
pub(super) fn encode<T: Serialize>(table: Values, record: &T) -> Result<Vec<u8>, Fault> {
    postcard::to_extend(record, vec![version(table)])
        .map_err(|error| Fault::Encoding { table: table.name().to_owned(), reason: error.to_string() })
}

/// The record that `table` holds as these bytes, all of them.
pub(super) fn decode<T: DeserializeOwned>(table: Values, bytes: &[u8]) -> Result<T, Fault> {
    let damaged = |reason: String| Fault::Damaged { table: table.name().to_owned(), reason };
    let (&found, body) = bytes.split_first().ok_or_else(|| damaged("a value is empty".to_owned()))?;
    if found != version(table) {
        return Err(Fault::UnknownVersion { table: table.name().to_owned(), version: found });
    }
    let (record, rest) = postcard::take_from_bytes(body).map_err(|error| damaged(error.to_string()))?;
    if rest.is_empty() { Ok(record) } else { Err(damaged("a value is longer than its record".to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tables::{CREDENTIALS, META, PROFILES};

    #[test]
    fn a_record_comes_back() {
        let bytes = encode(META, &("text", 7u64)).expect("encodes");
        assert_eq!(bytes.first(), Some(&1));
        assert_eq!(decode::<(String, u64)>(META, &bytes).expect("decodes"), ("text".to_owned(), 7));
    }

    #[test]
    fn a_value_starts_with_the_version_of_its_table() {
        assert_eq!(encode(PROFILES, &7u64).expect("encodes"), [2, 7]);
        assert_eq!(encode(META, &7u64).expect("encodes"), [1, 7]);
    }

    #[test]
    fn every_cut_and_every_addition_is_an_error_that_names_the_table() {
        let bytes = encode(CREDENTIALS, &("text", 300u64)).expect("encodes");
        let longer = [bytes.as_slice(), &[0]].concat();
        for damaged in (0..bytes.len()).map(|end| &bytes[..end]).chain([longer.as_slice()]) {
            let error = decode::<(String, u64)>(CREDENTIALS, damaged).expect_err("damaged");
            assert!(error.to_string().contains("credentials.v2"), "{error}");
        }
    }

    #[test]
    fn an_unknown_version_says_so() {
        let error = decode::<u64>(PROFILES, &[9, 1]).expect_err("version 9");
        assert_eq!(
            error.to_string(),
            "a value in profiles.v2 has version 9, which this Airlock does not know: use the Airlock that wrote it or \
             restore a backup"
        );
    }
}
