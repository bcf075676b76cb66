//! How a record becomes the bytes of a value: one byte with the version, then postcard.
//!
//! postcard does not describe itself, so a record that gains a field gets a new version here, and `migrations` rewrites
//! what is on disk. Errors name the table and never the bytes: they may be a secret's, or an id that grants access.

use redb::TableHandle;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fault::Fault;
use super::tables::Values;

/// What every value written by this Airlock starts with.
const VERSION: u8 = 1;

/// The bytes of a record, to be stored in `table`.
pub(super) fn encode<T: Serialize>(table: Values, record: &T) -> Result<Vec<u8>, Fault> {
    postcard::to_extend(record, vec![VERSION])
        .map_err(|error| Fault::Encoding { table: table.name().to_owned(), reason: error.to_string() })
}

/// The record that `table` holds as these bytes, all of them.
pub(super) fn decode<T: DeserializeOwned>(table: Values, bytes: &[u8]) -> Result<T, Fault> {
    let damaged = |reason: String| Fault::Damaged { table: table.name().to_owned(), reason };
    let (&version, body) = bytes.split_first().ok_or_else(|| damaged("a value is empty".to_owned()))?;
    if version != VERSION {
        return Err(Fault::UnknownVersion { table: table.name().to_owned(), version });
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
        assert_eq!(bytes.first(), Some(&VERSION));
        assert_eq!(decode::<(String, u64)>(META, &bytes).expect("decodes"), ("text".to_owned(), 7));
    }

    #[test]
    fn every_cut_and_every_addition_is_an_error_that_names_the_table() {
        let bytes = encode(CREDENTIALS, &("text", 300u64)).expect("encodes");
        let longer = [bytes.as_slice(), &[0]].concat();
        for damaged in (0..bytes.len()).map(|end| &bytes[..end]).chain([longer.as_slice()]) {
            let error = decode::<(String, u64)>(CREDENTIALS, damaged).expect_err("damaged");
            assert!(error.to_string().contains("credentials.v1"), "{error}");
        }
    }

    #[test]
    fn an_unknown_version_says_so() {
        let error = decode::<u64>(PROFILES, &[9, 1]).expect_err("version 9");
        assert_eq!(
            error.to_string(),
            "a value in profiles.v1 has version 9, which this Airlock does not know: use the Airlock that wrote it or \
             restore a backup"
        );
    }
}
