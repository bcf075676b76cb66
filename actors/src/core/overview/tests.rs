use std::sync::Arc;

use super::*;
use crate::domain::{ExecutionId, ProfileId};
use crate::ports::Write;
use crate::testing::{MemoryStore, SeededEntropy};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("in range")
}

fn record(entropy: &SeededEntropy, created_at: Timestamp, status: Status, ms: u64) -> ExecutionRecord {
    let (id, profile_id) = (ExecutionId::generate(created_at, entropy), ProfileId::generate(entropy));
    ExecutionRecord {
        status,
        execution_time_ms: status.is_final().then_some(ms),
        ..ExecutionRecord::accepted(id, profile_id, created_at)
    }
}

async fn store(records: Vec<ExecutionRecord>) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
    let script: Arc<str> = "1".into();
    let writes = records.into_iter().map(|record| Write::InsertExecution { record, script: script.clone() });
    store.commit(writes.collect()).await.expect("it takes them");
    store
}

#[tokio::test]
async fn what_was_accepted_in_the_time_is_counted_by_outcome_and_part() {
    let entropy = SeededEntropy::new(1);
    let now = at(0);
    let minute_start = now.as_second() - now.as_second().rem_euclid(60);
    let first = Timestamp::from_second(minute_start - 59 * 60).expect("in range");
    let just_before = first - SignedDuration::from_millis(1);
    let mut suspicious = record(&entropy, at(-120), Status::Error, 40);
    suspicious.suspicious = true;
    let store = store(vec![
        record(&entropy, just_before, Status::Completed, 9_999),
        record(&entropy, first, Status::Completed, 10),
        suspicious.clone(),
        record(&entropy, at(-1), Status::Timeout, 20),
        record(&entropy, at(-1), Status::Cancelled, 30),
        record(&entropy, now, Status::Running, 0),
    ])
    .await;
    let made = overview(&*store, Span::Hour, now).expect("it reads");
    assert_eq!(made.outcomes, Outcomes { completed: 1, error: 1, timeout: 1, cancelled: 1 });
    assert_eq!(made.durations, Durations { p50_ms: Some(20), p95_ms: Some(40) });
    assert_eq!((made.suspicious, made.suspicious_newest), (1, vec![suspicious]));
    assert_eq!((made.buckets.len(), made.counted_since), (60, None));
    let (oldest, newest) = (made.buckets.first().expect("one"), made.buckets.last().expect("one"));
    assert_eq!((oldest.start, oldest.outcomes.completed), (first, 1));
    assert_eq!(newest.start.as_second(), minute_start);
    assert_eq!(newest.outcomes.timeout + newest.outcomes.cancelled, 2);
}

#[tokio::test]
async fn ov_1_past_the_most_that_is_counted_it_says_since_when_it_has() {
    let entropy = SeededEntropy::new(2);
    let now = at(0);
    let many = |number: usize| {
        let second = |index: usize| i64::try_from(index / 100).unwrap_or(0) - 1_000;
        (0..number).map(|index| record(&entropy, at(second(index)), Status::Completed, 1)).collect::<Vec<_>>()
    };
    let exactly = overview(&*store(many(MOST_COUNTED)).await, Span::Hour, now).expect("it reads");
    assert_eq!((exactly.outcomes.completed, exactly.counted_since), (50_000, None));
    let more = overview(&*store(many(MOST_COUNTED + 100)).await, Span::Hour, now).expect("it reads");
    assert_eq!((more.outcomes.completed, more.counted_since), (50_000, Some(at(-999))));
}

#[test]
fn percentiles_are_nearest_ranks() {
    let of = |times: &[u64]| {
        let durations = Durations::of(&mut times.to_vec());
        (durations.p50_ms, durations.p95_ms)
    };
    assert_eq!(of(&[]), (None, None));
    assert_eq!(of(&[7]), (Some(7), Some(7)));
    assert_eq!(of(&[4, 1, 3, 2]), (Some(2), Some(4)));
    assert_eq!(of(&(1..=100).collect::<Vec<_>>()), (Some(50), Some(95)));
    assert_eq!(of(&(1..=101).collect::<Vec<_>>()), (Some(51), Some(96)));
}

#[test]
fn the_parts_of_every_span_are_whole_seconds() {
    for span in [Span::Hour, Span::Day, Span::Week] {
        let (length, parts) = span.parts();
        assert_eq!(span.part() * u32::try_from(parts).expect("few"), length);
        assert_eq!(span.part().subsec_nanos(), 0);
    }
}
