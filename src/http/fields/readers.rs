//! Readers of single values: each makes a value of a slice of JSON, or says what is wrong with it.

use std::ops::RangeInclusive;

use airlock_actors::domain::{CredentialName, Secret};
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{Read, fault, within};

/// A string.
pub(in crate::http) fn text(raw: &RawValue) -> Read<String> {
    if !raw.get().starts_with('"') {
        return fault("must be a string");
    }
    serde_json::from_str(raw.get()).or_else(|_| fault("must be a string of valid Unicode"))
}

/// A string of at most so many bytes.
pub(in crate::http) fn text_up_to(max_bytes: usize) -> impl Fn(&RawValue) -> Read<String> {
    move |raw| {
        let text = text(raw)?;
        if text.len() > max_bytes { fault(format!("must not be longer than {max_bytes} bytes")) } else { Ok(text) }
    }
}

/// A string that goes into a [`Secret`] at once.
pub(in crate::http) fn secret(raw: &RawValue) -> Read<Secret> {
    text(raw).map(Secret::new)
}

/// A credential's value: 1 byte to `max_bytes`, without NUL, which no environment or C library takes.
pub(in crate::http) fn secret_value(max_bytes: usize) -> impl Fn(&RawValue) -> Read<Secret> {
    move |raw| {
        let value = Zeroizing::new(text(raw)?);
        if value.is_empty() || value.len() > max_bytes {
            fault(format!("must have 1 to {max_bytes} bytes"))
        } else if value.contains('\0') {
            fault("must not contain a NUL character")
        } else {
            Ok(Secret::new(value.as_str().to_owned()))
        }
    }
}

/// A credential's name.
pub(in crate::http) fn credential_name(raw: &RawValue) -> Read<CredentialName> {
    let name = text(raw)?.parse();
    name.or_else(|_| fault("must be 1 to 128 letters, digits or underscores and not start with a digit"))
}

/// A whole number within a range.
pub(in crate::http) fn integer(range: RangeInclusive<u64>) -> impl Fn(&RawValue) -> Read<u64> {
    move |raw| match raw.get().parse::<u64>() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => fault(format!("must be a whole number from {} to {}", range.start(), range.end())),
    }
}

/// True or false.
pub(in crate::http) fn boolean(raw: &RawValue) -> Read<bool> {
    match raw.get() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => fault("must be true or false"),
    }
}

/// Null, or what another reader reads.
pub(in crate::http) fn nullable<'a, T>(
    reader: impl FnOnce(&'a RawValue) -> Read<T>,
) -> impl FnOnce(&'a RawValue) -> Read<Option<T>> {
    move |raw| if raw.get() == "null" { Ok(None) } else { reader(raw).map(Some) }
}

/// A list of at most `max` items.
pub(in crate::http) fn list<'a, T>(
    max: usize,
    reader: impl Fn(&'a RawValue) -> Read<T>,
) -> impl FnOnce(&'a RawValue) -> Read<Vec<T>> {
    move |raw| {
        if !raw.get().starts_with('[') {
            return fault("must be a list");
        }
        let Ok(items) = serde_json::Deserializer::from_str(raw.get()).deserialize_seq(Items { max }) else {
            return fault(format!("must not have more than {max} items"));
        };
        let (mut values, mut faults) = (Vec::with_capacity(items.len()), Vec::new());
        for (index, item) in items.into_iter().enumerate() {
            match reader(item) {
                Ok(value) => values.push(value),
                Err(found) => faults.extend(found.into_iter().map(|fault| within(&format!("[{index}]"), fault))),
            }
        }
        if faults.is_empty() { Ok(values) } else { Err(faults) }
    }
}

/// Collects a list's items as slices, and gives up at the first that is one too many.
struct Items {
    max: usize,
}

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() == self.max {
                return Err(serde::de::Error::custom("too many items"));
            }
            items.push(item);
        }
        Ok(items)
    }
}
