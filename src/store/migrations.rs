//! The schema's number, and the steps from one to the next.
//!
//! A step runs in the transaction that writes the number it leads to: it is applied as a whole or not at all, so that a
//! crash between two steps resumes at the right one. Steps work on the tables' bytes and keep copies of the old types,
//! since the current types move on: a file each in this folder.

mod schema_1;

use redb::{Database, ReadableDatabase, TableError, WriteTransaction};

use super::fault::Fault;
use super::tables::{META, META_SCHEMA, create_all};

/// Takes the tables from one schema to the next.
pub(super) type Step = fn(&WriteTransaction) -> Result<(), Fault>;

/// The schema of a store without any step behind it.
const FIRST_SCHEMA: u32 = 1;

/// The steps from schema 1 to 2, from 2 to 3, and so on.
pub(super) const STEPS: &[Step] = &[schema_1::to_schema_2];

/// What a file turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Schema {
    /// The current one, perhaps after some steps.
    Current,
    /// A later one than `known`; the file was not touched.
    Newer {
        /// In the file.
        found: u32,
        /// The highest that the steps lead to.
        known: u32,
    },
    /// There is none: not a store of Airlock's.
    Missing,
}

/// Makes the tables of an empty database and marks it with the current schema.
pub(super) fn initialise(database: &Database, steps: &[Step]) -> Result<(), Fault> {
    let transaction = begin(database)?;
    create_all(&transaction)?;
    write_schema(&transaction, current(steps))?;
    Ok(transaction.commit()?)
}

/// Brings a database to the current schema, one durable step at a time.
pub(super) fn migrate(database: &Database, steps: &[Step]) -> Result<Schema, Fault> {
    let known = current(steps);
    let Some(found) = read_schema(database)? else { return Ok(Schema::Missing) };
    if found > known {
        return Ok(Schema::Newer { found, known });
    }
    for (from, step) in (FIRST_SCHEMA..).zip(steps).skip_while(|&(from, _)| from < found) {
        let to = from + 1;
        tracing::info!(from, to, "migrating the store");
        let transaction = begin(database)?;
        step(&transaction)?;
        write_schema(&transaction, to)?;
        transaction.commit()?;
    }
    Ok(Schema::Current)
}

fn current(steps: &[Step]) -> u32 {
    (FIRST_SCHEMA..).zip(steps).last().map_or(FIRST_SCHEMA, |(from, _)| from + 1)
}

fn begin(database: &Database) -> Result<WriteTransaction, Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

fn read_schema(database: &Database) -> Result<Option<u32>, Fault> {
    let table = match database.begin_read()?.open_table(META) {
        Ok(table) => table,
        Err(TableError::Storage(error)) => return Err(error.into()),
        // No such table, or one of another shape: somebody else's file.
        Err(_) => return Ok(None),
    };
    let number = table.get(META_SCHEMA)?;
    Ok(number.and_then(|number| number.value().try_into().ok().map(u32::from_be_bytes)))
}

fn write_schema(transaction: &WriteTransaction, number: u32) -> Result<(), Fault> {
    let mut meta = transaction.open_table(META)?;
    meta.insert(META_SCHEMA, number.to_be_bytes().as_slice())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;
    use redb::{ReadableTable, TableDefinition};

    use super::*;

    const LOG: TableDefinition<u32, u32> = TableDefinition::new("log");

    /// Notes how many notes there were before it.
    fn note(transaction: &WriteTransaction, number: u32) -> Result<(), Fault> {
        let mut log = transaction.open_table(LOG)?;
        let runs = log.get(number)?.map_or(0, |runs| runs.value());
        log.insert(number, runs + 1)?;
        Ok(())
    }

    const FIRST: Step = |transaction| note(transaction, 1);
    const SECOND: Step = |transaction| note(transaction, 2);
    const FAILING: Step = |transaction| {
        note(transaction, 2)?;
        Err(Fault::Refused("half way".to_owned()))
    };

    fn database() -> Database {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).expect("in memory");
        initialise(&database, &[]).expect("initialises");
        database
    }

    fn runs(database: &Database) -> Vec<(u32, u32)> {
        let log = database.begin_read().expect("reads").open_table(LOG).expect("was made");
        log.iter().expect("iterates").map(|row| row.expect("a row")).map(|(k, v)| (k.value(), v.value())).collect()
    }

    #[test]
    fn each_step_runs_once_in_order_and_only_where_it_is_missing() {
        let database = database();
        assert_eq!(migrate(&database, &[FIRST]).expect("migrates"), Schema::Current);
        assert_eq!(runs(&database), [(1, 1)]);
        for _ in 0..2 {
            assert_eq!(migrate(&database, &[FIRST, SECOND]).expect("migrates"), Schema::Current);
            assert_eq!(runs(&database), [(1, 1), (2, 1)]);
        }
        assert_eq!(read_schema(&database).expect("reads"), Some(3));
    }

    #[test]
    fn a_step_that_fails_leaves_nothing_and_is_resumed() {
        let database = database();
        migrate(&database, &[FIRST, FAILING]).expect_err("the second step fails");
        assert_eq!(read_schema(&database).expect("reads"), Some(2));
        assert_eq!(runs(&database), [(1, 1)]);
        migrate(&database, &[FIRST, SECOND]).expect("migrates");
        assert_eq!(runs(&database), [(1, 1), (2, 1)]);
    }

    #[test]
    fn a_later_schema_and_a_missing_one_are_told_apart_and_left_alone() {
        let database = database();
        migrate(&database, &[FIRST]).expect("migrates");
        assert_eq!(migrate(&database, &[]).expect("reads"), Schema::Newer { found: 2, known: 1 });
        let foreign = Database::builder().create_with_backend(InMemoryBackend::new()).expect("in memory");
        assert_eq!(migrate(&foreign, &[FIRST]).expect("reads"), Schema::Missing);
    }
}
