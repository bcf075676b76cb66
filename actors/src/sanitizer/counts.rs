//! What was scrubbed: for the administrator, and to raise the alarm.

use std::collections::{BTreeMap, HashMap};

use super::form::Form;
use super::scan::Found;
use crate::domain::{CredentialName, Redaction};

/// How often each credential was found, by field and form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<(&'static str, CredentialName, Form), u64>);

impl Counts {
    pub(super) fn add(&mut self, field: &'static str, credential: &CredentialName, form: Form, times: u64) {
        *self.0.entry((field, credential.clone(), form)).or_default() += times;
    }

    /// Adds another's.
    pub fn merge(&mut self, other: Self) {
        for (row, count) in other.0 {
            *self.0.entry(row).or_default() += count;
        }
    }

    /// Whether something was found in a form that careless code does not explain: encoded, backwards, split or nested.
    pub fn is_suspicious(&self) -> bool {
        self.0.keys().any(|(_, _, form)| form.is_suspicious())
    }

    /// As they are stored with an execution.
    pub fn into_redactions(self) -> Vec<Redaction> {
        let rows = self.0.into_iter();
        rows.map(|((field, credential, form), count)| Redaction {
            field: field.to_owned(),
            credential,
            form: form.as_str().to_owned(),
            count,
        })
        .collect()
    }
}

/// What overlaps is one thing that was found, in the most innocent form that explains it. `found` is in order; `of` tells a
/// part's credential and how far one part of a long value may be from the next.
pub(super) fn tally(found: &[Found], of: impl Fn(u32) -> Option<(u32, usize)>, mut each: impl FnMut(u32, Form, u64)) {
    struct Open {
        end: usize,
        form: Form,
        count: u64,
    }
    let mut open: HashMap<u32, Open> = HashMap::new();
    for found in found {
        let Some((credential, reach)) = of(found.part) else { continue };
        match open.get_mut(&credential) {
            Some(group) if found.range.start < group.end + reach => {
                group.end = group.end.max(found.range.end);
                group.form = group.form.min(found.form);
            }
            group => {
                let next = Open { end: found.range.end, form: found.form, count: found.count };
                if let Some(over) = group {
                    let over = std::mem::replace(over, next);
                    each(credential, over.form, over.count);
                } else {
                    open.insert(credential, next);
                }
            }
        }
    }
    for (credential, group) in open {
        each(credential, group.form, group.count);
    }
}
