//! Tests of the store as a whole. `ST-…` are the invariants of the module's page.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod crash;
mod damage;
mod full_disk;
mod group;
mod life;
mod model;
mod opening;
mod pages;
mod records;
mod schema_1;

use std::path::PathBuf;
use std::sync::Arc;

use airlock_actors::domain::{
    CredentialRecord, ExecutionId, ExecutionOutput, ExecutionRecord, Limits, Maker, OnRestart, ProfileId,
    ProfileRecord, SealedSecret, Status,
};
use airlock_actors::ports::{Store, StoreError, Write};
use airlock_actors::testing::SeededEntropy;
use jiff::Timestamp;
use tempfile::TempDir;

use super::{RedbStore, StoreOptions};

/// A data folder that goes with the test.
struct Data(TempDir);

impl Data {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("airlock.redb")
    }

    fn open(&self) -> RedbStore {
        RedbStore::open(&self.path(), StoreOptions::default()).unwrap()
    }
}

/// Commits on a runtime of the test's own.
fn commit(store: &dyn Store, batch: Vec<Write>) -> Result<(), StoreError> {
    runtime().block_on(store.commit(batch))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn profile_id(seed: u64) -> ProfileId {
    ProfileId::generate(&SeededEntropy::new(seed))
}

/// Ids sort by `number`.
fn execution_id(number: u32) -> ExecutionId {
    ExecutionId::generate(at(i64::from(number)), &SeededEntropy::new(u64::from(number)))
}

fn execution(number: u32, profile: &ProfileId, status: Status) -> ExecutionRecord {
    let at_second = |second: i64| at(i64::from(number) + second);
    ExecutionRecord {
        status,
        completed_at: status.is_final().then(|| at_second(1)),
        llm_timeout_s: 600,
        on_restart: OnRestart::Replay,
        attempts: 1,
        ..ExecutionRecord::accepted(execution_id(number), profile.clone(), at_second(0))
    }
}

fn output(text: &str) -> Arc<ExecutionOutput> {
    Arc::new(ExecutionOutput { stdout: text.to_owned(), ..ExecutionOutput::default() })
}

fn insert(number: u32, profile: &ProfileId, status: Status) -> Write {
    Write::InsertExecution { record: execution(number, profile, status), script: format!("print({number})").into() }
}

fn finish(number: u32, profile: &ProfileId, status: Status) -> Write {
    Write::FinishExecution { record: execution(number, profile, status), output: output(&format!("{number}\n")) }
}

fn sealed(ciphertext: &[u8]) -> SealedSecret {
    SealedSecret { key_id: 7, nonce: [3; 12], ciphertext: ciphertext.to_vec() }
}

fn credential(name: &str, ciphertext: &[u8]) -> CredentialRecord {
    CredentialRecord {
        name: name.parse().unwrap(),
        description: "the reporting database".to_owned(),
        described_by: Maker::Agent,
        value: Some(sealed(ciphertext)),
        secret: true,
        version: 3,
        created_at: at(0),
        updated_at: at(1),
    }
}

fn profile(seed: u64) -> ProfileRecord {
    ProfileRecord {
        id: profile_id(seed),
        description: "reports".to_owned(),
        described_by: Maker::Agent,
        credentials: ["DB_HOST", "DB_PASSWORD"].into_iter().map(|name| name.parse().unwrap()).collect(),
        key: Some(sealed(b"key")),
        key_version: 1,
        revoked: false,
        expires_at: Some(at(90)),
        allowed_hosts: Some(vec!["db.example.com".to_owned()]),
        limits: Limits { memory_bytes: Some(1 << 30), ..Limits::default() },
        suspend_on_leak: true,
        suspended: true,
        created_at: at(0),
        updated_at: at(1),
        last_used_at: None,
    }
}
