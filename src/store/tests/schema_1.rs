//! A store as the Airlock of schema 1 wrote it, byte for byte, is opened by this one.

use airlock_actors::domain::{ErrorType, ExecutionOutput, ProfileRecord, Redaction, Status, Usage};
use airlock_actors::ports::{ExecutionQuery, Store, Write};
use redb::{Database, TableDefinition, TableHandle};

use super::{Data, at, commit, credential, execution, execution_id, finish, output, profile, profile_id};
use crate::store::tables::{BY_PROFILE, BY_PROFILE_STATUS, BY_STATUS, EXECUTIONS, META, META_SCHEMA, SCRIPTS, Values};
use crate::store::tables::{index_key, profile_prefix, profile_status_prefix, status_prefix};

/// `execution(1, …, Error)` with an error, a usage, an environment and a redaction.
const FAILED: &str = "0129657865635f303668686771326b78317464747a616d7a636d6671626434767a766e66386379343066301c61726b5f6966726d3965393375683570726f363477633068797538780414323032372d30312d31355430383a30303a30315a0114323032372d30312d31355430383a30303a30315a0114323032372d30312d31355430383a30303a30325a3cd8040001dc0b010b0a56616c75654572726f72010c8080801001406162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616201067374646f75740141076c69746572616c02";
/// `execution(2, …, Running)` with a deadline.
const RUNNING: &str = "0129657865635f30366868677132717432653439366a326d723563716e38737174773435783764343661301c61726b5f6966726d3965393375683570726f363477633068797538780114323032372d30312d31355430383a30303a30325a0114323032372d30312d31355430383a30303a30335a003cd8040114323032372d30312d31355430383a30313a30335a0000000000";
const OUTPUT: &str = "0101035b315d036f757403657272010d56616c75654572726f723a207801066c696e652031";
/// `credential("DB_HOST", b"sealed")`, of which schema 1 did not say whose words it is described in.
const CREDENTIAL: &str = "010744425f484f535416746865207265706f7274696e672064617461626173650107030303030303030303030303067365616c6564010314323032372d30312d31355430383a30303a30305a14323032372d30312d31355430383a30303a30315a";
/// `profile(1)`, which schema 1 could not suspend.
const PROFILE: &str = "011c61726b5f6966726d3965393375683570726f36347763306879753878077265706f727473020744425f484f53540b44425f50415353574f52440107030303030303030303030303036b657901000114323032372d30312d31355430383a30313a33305a01010e64622e6578616d706c652e636f6d01808080800400000000000114323032372d30312d31355430383a30303a30305a14323032372d30312d31355430383a30303a30315a00";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

/// Takes a store of today back to what schema 1 left.
fn write_schema_1(data: &Data) {
    data.open().close();
    let database = Database::open(data.path()).unwrap();
    let transaction = database.begin_write().unwrap();
    for table in transaction.list_tables().unwrap().collect::<Vec<_>>() {
        if table.name().ends_with(".v2") || table.name().starts_with("llm_") || table.name().starts_with("idempotency")
        {
            transaction.delete_table(table).unwrap();
        }
    }
    let put = |name: &'static str, key: &[u8], value: &str| {
        let table: Values = TableDefinition::new(name);
        transaction.open_table(table).unwrap().insert(key, bytes(value).as_slice()).unwrap();
    };
    let (one, two, owner) = (execution_id(1), execution_id(2), profile_id(1));
    put("credentials.v1", b"DB_HOST", CREDENTIAL);
    put("executions.v1", one.as_str().as_bytes(), FAILED);
    put("executions.v1", two.as_str().as_bytes(), RUNNING);
    put("outputs.v1", one.as_str().as_bytes(), OUTPUT);
    put("profiles.v1", owner.as_str().as_bytes(), PROFILE);
    let script = b"\x01\x08print(1)".as_slice();
    transaction.open_table(SCRIPTS).unwrap().insert(one.as_str().as_bytes(), script).unwrap();
    for (id, status) in [(&one, Status::Error), (&two, Status::Running)] {
        let index = |table, prefix| {
            transaction.open_table(table).unwrap().insert(index_key(prefix, id).as_slice(), ()).unwrap();
        };
        index(BY_PROFILE, profile_prefix(&owner));
        index(BY_STATUS, status_prefix(status));
        index(BY_PROFILE_STATUS, profile_status_prefix(&owner, status));
    }
    transaction.open_table(META).unwrap().insert(META_SCHEMA, 1u32.to_be_bytes().as_slice()).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn what_schema_1_wrote_is_all_there_and_goes_on() {
    let data = Data::new();
    write_schema_1(&data);
    let owner = profile_id(1);

    let mut failed = execution(1, &owner, Status::Error);
    failed.started_at = Some(at(1));
    failed.execution_time_ms = Some(1500);
    failed.error_type = Some(ErrorType::Python("ValueError".to_owned()));
    failed.usage = Some(Usage { cpu_ms: 12, max_rss_bytes: 1 << 25 });
    failed.environment = Some("ab".repeat(32));
    let (field, leaked, form) = ("stdout".to_owned(), "A".parse().unwrap(), "literal".to_owned());
    failed.redactions = vec![Redaction { field, credential: leaked, form, count: 2 }];
    failed.on_restart = airlock_actors::domain::OnRestart::Fail;
    let mut running = execution(2, &owner, Status::Running);
    (running.started_at, running.deadline) = (Some(at(3)), Some(at(63)));
    running.on_restart = airlock_actors::domain::OnRestart::Fail;

    let store = data.open();
    assert_eq!(store.execution(&failed.id).unwrap().as_ref(), Some(&failed));
    assert_eq!(store.execution_script(&failed.id).unwrap().as_deref(), Some("print(1)"));
    let left = ExecutionOutput {
        result: Some("[1]".to_owned()),
        stdout: "out".to_owned(),
        stderr: "err".to_owned(),
        error: Some("ValueError: x".to_owned()),
        traceback: Some("line 1".to_owned()),
        egress: Vec::new(),
    };
    assert_eq!(store.execution_output(&failed.id).unwrap(), Some(left));
    assert_eq!(store.credentials().unwrap(), [credential("DB_HOST", b"sealed")]);
    assert_eq!(store.profiles().unwrap(), [ProfileRecord { suspended: false, ..profile(1) }]);
    assert_eq!(store.unfinished_executions().unwrap(), [running]);

    commit(&store, vec![finish(2, &owner, Status::Completed)]).unwrap();
    let query = ExecutionQuery { profile_id: Some(owner), limit: 9, ..ExecutionQuery::default() };
    let statuses = |store: &dyn Store| {
        store.list_executions(&query).unwrap().into_iter().map(|record| record.status).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&store), [Status::Completed, Status::Error]);
    store.close();
    assert_eq!(statuses(&data.open()), [Status::Completed, Status::Error]);
}

#[test]
fn nothing_of_the_old_tables_is_left() {
    let data = Data::new();
    write_schema_1(&data);
    data.open().close();
    let database = Database::open(data.path()).unwrap();
    let transaction = database.begin_write().unwrap();
    let names: Vec<String> = transaction.list_tables().unwrap().map(|table| table.name().to_owned()).collect();
    for gone in ["credentials.v1", "executions.v1", "outputs.v1", "profiles.v1"] {
        assert!(!names.iter().any(|name| name == gone), "{names:?}");
    }
    assert!(names.iter().any(|name| name == EXECUTIONS.name()));
}

#[test]
fn a_damaged_value_leaves_the_old_store_as_it_is() {
    let data = Data::new();
    write_schema_1(&data);
    let change = |value: &str| {
        let database = Database::open(data.path()).unwrap();
        let transaction = database.begin_write().unwrap();
        let table: Values = TableDefinition::new("outputs.v1");
        let id = execution_id(1);
        transaction.open_table(table).unwrap().insert(id.as_str().as_bytes(), bytes(value).as_slice()).unwrap();
        transaction.commit().unwrap();
    };
    change("0101");
    let error = crate::store::RedbStore::open(&data.path(), super::StoreOptions::default()).err().expect("is refused");
    assert!(error.to_string().contains("outputs.v1"), "{error}");
    change(OUTPUT);
    let store = data.open();
    let write = Write::FinishExecution { record: execution(2, &profile_id(1), Status::Timeout), output: output("") };
    commit(&store, vec![write]).unwrap();
}
