//! Pages of the lists that strangers can make long: `?limit=&cursor=` in, `next_cursor` out when there is more.
//!
//! A page is full at `limit` items or at [`PAGE_BYTES`], whichever comes first (PG-1): an item may be large, and anybody
//! may ask. A cursor says after which item to go on, also when that item is gone by then (PG-2).

use std::fmt;
use std::str::FromStr;

use airlock_actors::domain::{ProfileId, ProfileRecord};
use jiff::Timestamp;
use tokio::sync::SemaphorePermit;

use super::{App, Call};
use crate::http::json::{self, Object};
use crate::http::problem::{Fault, Problem};

/// Most items of a page, and how many there are unless the client asks for fewer.
const MAX_ITEMS: u64 = 1_000;
/// A page that has this many bytes gets no further item.
const PAGE_BYTES: usize = 1024 * 1024;

/// Which part of a list is asked for; `K` is what the list is sorted by.
pub(super) struct Page<K> {
    after: Option<K>,
    limit: usize,
}

impl<K: FromStr + Ord> Page<K> {
    /// Reads `?limit=` and `?cursor=`.
    pub(super) fn asked(call: &Call) -> Result<Self, Problem> {
        let limit = call.query_number("limit", 1..=MAX_ITEMS)?.unwrap_or(MAX_ITEMS);
        let after = match call.query("cursor")? {
            Some(text) => match text.parse() {
                Ok(key) => Some(key),
                Err(_) => return Err(Problem::invalid(vec![Fault::new("cursor", "is not a `next_cursor`")])),
            },
            None => None,
        };
        Ok(Self { after, limit: usize::try_from(limit).unwrap_or(usize::MAX) })
    }

    /// The items of a sorted list that come after the cursor.
    pub(super) fn rest<'a, T>(&self, sorted: &'a [T], key: impl Fn(&T) -> K) -> &'a [T] {
        let Some(after) = &self.after else { return sorted };
        let first = sorted.partition_point(|item| key(item) <= *after);
        sorted.get(first..).unwrap_or_default()
    }

    /// The answer: as many items of `rest` as fit, and the cursor that goes on after the last of them.
    pub(super) fn object<T>(
        &self,
        rest: &[T],
        name: &str,
        shape: impl Fn(&mut Object<'_>, &T),
        cursor: impl Fn(&T) -> String,
    ) -> Vec<u8> {
        json::object(1024, |object| {
            let shown = object.objects_until(name, PAGE_BYTES, rest.iter().take(self.limit), shape);
            if let (Some(last), true) = (rest.iter().take(shown).last(), shown < rest.len()) {
                object.text("next_cursor", &cursor(last));
            }
        })
    }
}

impl App {
    /// Waits until a list may be put together; held until it is.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed, so there always is one.
        self.turns.acquire().await.ok()
    }
}

/// What profiles are sorted by: when they were made, and their id where that is the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    created_at: Timestamp,
    id: ProfileId,
}

impl Moment {
    pub(super) fn of(record: &ProfileRecord) -> Self {
        Self { created_at: record.created_at, id: record.id.clone() }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.created_at.as_nanosecond(), self.id)
    }
}

/// A text that is no cursor.
#[derive(Debug)]
pub(super) struct NoCursor;

impl FromStr for Moment {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (nanoseconds, id) = text.split_once('.').ok_or(NoCursor)?;
        let nanoseconds = nanoseconds.parse().map_err(|_| NoCursor)?;
        let created_at = Timestamp::from_nanosecond(nanoseconds).map_err(|_| NoCursor)?;
        Ok(Self { created_at, id: id.parse().map_err(|_| NoCursor)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(after: Option<u32>, limit: usize, size: usize) -> serde_json::Value {
        let page = Page { after, limit };
        let list = [10, 20, 30, 40];
        let rest = page.rest(&list, |item| *item);
        let shape = |object: &mut Object<'_>, item: &u32| object.text("n", &format!("{item}{}", " ".repeat(size)));
        serde_json::from_slice(&page.object(rest, "l", shape, u32::to_string)).expect("JSON")
    }

    fn shown(page: &serde_json::Value) -> (usize, Option<&str>) {
        (page["l"].as_array().expect("a list").len(), page["next_cursor"].as_str())
    }

    #[test]
    fn pg_1_a_page_is_full_by_number_or_by_bytes() {
        assert_eq!(shown(&page(None, 4, 0)), (4, None));
        assert_eq!(shown(&page(None, 3, 0)), (3, Some("30")));
        assert_eq!(shown(&page(None, 4, PAGE_BYTES / 2)), (2, Some("20")));
        assert_eq!(shown(&page(None, 4, 2 * PAGE_BYTES)), (1, Some("10")));
    }

    #[test]
    fn pg_2_a_cursor_goes_on_after_an_item_that_may_be_gone() {
        assert_eq!(shown(&page(Some(20), 1, 0)), (1, Some("30")));
        assert_eq!(shown(&page(Some(25), 2, 0)), (2, None));
        assert_eq!(shown(&page(Some(40), 2, 0)), (0, None));
    }

    #[test]
    fn a_profiles_cursor_is_read_back_and_nothing_else_is() {
        let text = "1700000000123456789.ark_abcdefghijklmnopqrstuvwx";
        assert_eq!(text.parse::<Moment>().expect("a cursor").to_string(), text);
        for text in ["", ".", "1", "x.ark_abcdefghijklmnopqrstuvwx", "1.ark_", "9e99.ark_abcdefghijklmnopqrstuvwx"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
