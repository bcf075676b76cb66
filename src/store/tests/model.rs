//! Random sequences of writes, compared with a map that does the same without indexes, transactions or a disk.

use std::collections::BTreeMap;

use airlock_actors::domain::{ExecutionRecord, Status};
use airlock_actors::ports::{ExecutionQuery, Store, Write};
use proptest::prelude::*;

use super::{Data, RedbStore, commit, execution, execution_id, finish, insert, profile_id};

const PROFILES: u64 = 3;
const NUMBERS: u32 = 12;

/// One write, of few executions and profiles, so that they meet. Many are against a rule.
#[derive(Debug, Clone, Copy)]
struct Step {
    kind: Kind,
    number: u32,
    profile: u64,
    status: Status,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Insert,
    Update,
    Finish,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just(Kind::Insert), Just(Kind::Update), Just(Kind::Finish)];
    let status = proptest::sample::select(Status::ALL.to_vec());
    (kind, 0..NUMBERS, 0..PROFILES, status).prop_map(|(kind, number, profile, status)| Step {
        kind,
        number,
        profile,
        status,
    })
}

impl Step {
    fn write(self) -> Write {
        let owner = profile_id(self.profile);
        match self.kind {
            Kind::Insert => insert(self.number, &owner, self.status),
            Kind::Update => Write::UpdateExecution(execution(self.number, &owner, self.status)),
            Kind::Finish => finish(self.number, &owner, self.status),
        }
    }
}

/// What the store should hold.
#[derive(Default, Clone)]
struct Model(BTreeMap<u32, ExecutionRecord>);

impl Model {
    /// The model after a batch, or `None` if one of its steps is against a rule.
    fn after(&self, batch: &[Step]) -> Option<Self> {
        let mut next = self.clone();
        for step in batch {
            let record = execution(step.number, &profile_id(step.profile), step.status);
            let has_output = matches!(step.kind, Kind::Finish);
            if step.status.is_final() != has_output {
                return None;
            }
            let allowed = match next.0.get(&step.number) {
                Some(old) if *old == record => true,
                Some(old) => !old.status.is_final() && !matches!(step.kind, Kind::Insert),
                None => matches!(step.kind, Kind::Insert),
            };
            if !allowed {
                return None;
            }
            next.0.insert(step.number, record);
        }
        Some(next)
    }

    fn list(&self, query: &ExecutionQuery) -> Vec<ExecutionRecord> {
        let fits = |record: &&ExecutionRecord| {
            query.profile_id.as_ref().is_none_or(|profile| *profile == record.profile_id)
                && query.status.is_none_or(|status| status == record.status)
                && query.before.as_ref().is_none_or(|before| record.id < *before)
        };
        self.0.values().rev().filter(fits).take(query.limit).cloned().collect()
    }
}

/// Compares every listing that differs by profile, status, and a few cursors and limits.
fn compare(store: &RedbStore, model: &Model) {
    for profile in [None].into_iter().chain((0..PROFILES).map(Some)) {
        for status in [None].into_iter().chain(Status::ALL.map(Some)) {
            for before in [None, Some(0), Some(NUMBERS / 2)] {
                for limit in [1, usize::MAX] {
                    let query = ExecutionQuery {
                        profile_id: profile.map(profile_id),
                        status,
                        before: before.map(execution_id),
                        limit,
                    };
                    assert_eq!(store.list_executions(&query).unwrap(), model.list(&query), "{query:?}");
                }
            }
        }
    }
    let unfinished: Vec<_> = model.0.values().filter(|record| !record.status.is_final()).cloned().collect();
    assert_eq!(store.unfinished_executions().unwrap(), unfinished);
    for number in 0..NUMBERS {
        let (id, record) = (execution_id(number), model.0.get(&number));
        assert_eq!(store.execution(&id).unwrap().as_ref(), record);
        assert_eq!(store.execution_script(&id).unwrap().is_some(), record.is_some());
        let is_final = record.is_some_and(|record| record.status.is_final());
        assert_eq!(store.execution_output(&id).unwrap().is_some(), is_final);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// ST-2, ST-3, ST-4, ST-6
    #[test]
    fn every_listing_agrees_with_the_model(
        batches in prop::collection::vec(prop::collection::vec(step(), 1..4), 1..40),
    ) {
        let data = Data::new();
        let store = data.open();
        let mut model = Model::default();
        for batch in &batches {
            let writes = batch.iter().map(|step| step.write()).collect();
            let next = model.after(batch);
            assert_eq!(commit(&store, writes).is_ok(), next.is_some(), "{batch:?}");
            model = next.unwrap_or(model);
        }
        compare(&store, &model);
        store.close();
        compare(&data.open(), &model);
    }
}
