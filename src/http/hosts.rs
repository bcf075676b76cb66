//! `allowed_hosts` in a request: each entry is read, and stored as the domain writes it.

use airlock_actors::domain::egress::{HostRule, MAX_HOST_BYTES};
use serde_json::value::RawValue;

use super::fields::{Read, list, text_up_to};
use super::problem::Fault;

/// Most entries of one list.
const MAX_HOSTS: usize = 256;

/// Reads a list of allowed hosts; the same entry twice is one.
pub(super) fn allowed_hosts(raw: &RawValue) -> Read<Vec<String>> {
    let entries = list(MAX_HOSTS, |item| {
        // As it was typed or pasted.
        let text = text_up_to(4 * MAX_HOST_BYTES)(item)?;
        let rule = text.trim().parse::<HostRule>();
        rule.map(|rule| rule.to_string()).map_err(|error| vec![Fault::new("", error.to_string())])
    })(raw)?;
    let mut unique = Vec::with_capacity(entries.len());
    for entry in entries {
        if !unique.contains(&entry) {
            unique.push(entry);
        }
    }
    Ok(unique)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Read<Vec<String>> {
        allowed_hosts(&RawValue::from_string(json.to_owned()).expect("JSON"))
    }

    #[test]
    fn entries_are_normalised_and_unique() {
        let hosts = read(r#"[" API.Example.com. ", "api.example.com", "10.0.0.0/8"]"#).expect("a list");
        assert_eq!(hosts, ["api.example.com", "10.0.0.0/8"]);
        assert_eq!(read("[]").expect("an empty list"), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_entry_is_refused_with_what_to_write() {
        let faults = read(r#"["https://api.example.com"]"#).expect_err("a URL");
        assert!(format!("{faults:?}").contains("without a scheme"), "{faults:?}");
        let many = |count: usize| format!("[{}]", vec![r#""a.example""#; count].join(","));
        assert!(read(&many(MAX_HOSTS)).is_ok());
        assert!(read(&many(MAX_HOSTS + 1)).is_err());
        assert!(read(r#"[1]"#).is_err());
    }
}
