//! One step over two files: a layer of what the journal has, or a batch that is too long for it.
//!
//! SQLite commits each file by itself, so a step with contents goes like this:
//!
//! 1. In the first file a transaction begins; expectations are compared and every row is written.
//!    Whatever can be refused is refused here.
//! 2. In the second file the contents are written, with what they replace in the table `undo` and
//!    with the batch's number: committed, durable unless they are short.
//! 3. In the first file the same number is written, with the keys of contents to delete in the
//!    table `doomed`, and short contents once more in the table `redo`: committed, durable. This
//!    is the moment at which the batch is done.
//! 4. In the second file the doomed contents are deleted: committed, durable.
//!
//! So a batch with short contents waits for the disk once ([`redo`]).
//!
//! Invariant: after a crash at any point the next opening makes both files agree. If the second
//! file's number is one ahead, step 3 never was: what is in `undo` is put back. If it is behind,
//! the machine lost its power before the last short contents were on the disk: they are in `redo`,
//! all since the last that waited. If something is doomed, step 4 may not have been: it is done
//! again. A step without contents is steps 1 and 3 and waits for the disk once. What waits for the
//! disk in a file takes all before it along, since its log is one; so the first file is never behind
//! a step with contents that was done.
//!
//! Rejected: keeping short contents in the first file alone; SQLCipher would take its time each
//! time they are read. Rejected: `ATTACH`; in WAL mode SQLite does not commit attached files as
//! one, and it would encrypt neither or ask for the key in SQL.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use letterlock_core::store::{Batch, Durability, Expectation, Op, StoreError, Table};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::connection::{File, SCHEMA, create_table, delete, put, select, store_error};
use super::layers::Layer;
use super::{OpenStoreError, redo};

/// In the first file: contents that are deleted as soon as the batch is done.
const DOOMED: &str = "CREATE TABLE IF NOT EXISTS doomed (key BLOB NOT NULL PRIMARY KEY)
    STRICT, WITHOUT ROWID;";
/// In the second file: what the last batch replaced; NULL where there was nothing.
const UNDO: &str = "CREATE TABLE IF NOT EXISTS undo (key BLOB NOT NULL, value BLOB) STRICT;";
/// In the first file: the last generation of the journal that the files have.
const FOLDED: &str = "CREATE TABLE IF NOT EXISTS folded (generation INTEGER NOT NULL) STRICT;
    INSERT INTO folded SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM folded);";
/// Takes out of the second file what was not there before the last batch.
const TAKE_OUT: &str = "
    DELETE FROM contents WHERE key IN (SELECT key FROM undo WHERE value IS NULL)";
/// Puts back into the second file what the last batch replaced.
const PUT_BACK: &str = "
    INSERT INTO contents (key, value) SELECT key, value FROM undo WHERE value IS NOT NULL
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// The connections that write.
pub(super) struct Writer {
    pub(super) rows: Side,
    pub(super) contents: Side,
    /// Whether the files agree; they do not after a batch that failed behind its step 2.
    pub(super) is_even: bool,
    /// What is in `doomed` has been deleted.
    has_doomed: bool,
    /// Most octets that `redo` may have.
    redo_octets: usize,
}

/// One of the two files.
pub(super) struct Side {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    /// What its commits outlive.
    durability: Durability,
}

/// What becomes of the contents that a step names; the last change of each counts.
pub(super) type ContentChanges<'a> = BTreeMap<&'a [u8], Option<&'a [u8]>>;

/// A row of a table, by its key, and its value; `None` deletes it.
pub(super) type RowChange<'a> = (Table, &'a [u8], Option<&'a [u8]>);

/// What one step writes.
#[derive(Default)]
struct Step<'a> {
    expect: &'a [Expectation],
    rows: Vec<RowChange<'a>>,
    contents: ContentChanges<'a>,
    /// The generation of the journal that the files have with it.
    folded: Option<u64>,
}

impl<'a> Step<'a> {
    fn of_batch(batch: &'a Batch) -> Self {
        let mut step = Self {
            expect: &batch.expect,
            ..Self::default()
        };
        for op in &batch.ops {
            match op {
                Op::Put(table, key, value) => step.add(*table, key, Some(value)),
                Op::Delete(table, key) => step.add(*table, key, None),
            }
        }
        step
    }

    fn of_layer(layer: &'a Layer, generation: u64) -> Self {
        let mut step = Self {
            folded: Some(generation),
            ..Self::default()
        };
        for (table, key, value) in layer.rows() {
            step.add(table, key, value);
        }
        step
    }

    fn add(&mut self, table: Table, key: &'a [u8], value: Option<&'a [u8]>) {
        if table == Table::Contents {
            self.contents.insert(key, value);
        } else {
            self.rows.push((table, key, value));
        }
    }
}

impl Writer {
    /// Opens both files for writing, makes what is missing, and makes them agree.
    pub(super) fn open(rows: &File, contents: &File) -> Result<Self, OpenStoreError> {
        rows.create_private()?;
        let rows = Side::open(rows)?;
        // Made only after the key has proven right.
        contents.create_private()?;
        let contents = Side::open(contents)?;
        contents.execute(Table::Contents.name(), &create_table(Table::Contents))?;
        rows.execute(SCHEMA, DOOMED)?;
        rows.execute(SCHEMA, redo::TABLE)?;
        rows.execute(SCHEMA, FOLDED)?;
        let redo_octets = redo::octets(&rows)?;
        contents.execute(SCHEMA, UNDO)?;
        let mut writer = Self {
            rows,
            contents,
            is_even: false,
            has_doomed: false,
            redo_octets,
        };
        writer.agree()?;
        // What waited to be pushed and was pushed, above all.
        writer.rows.give_back()?;
        Ok(writer)
    }

    /// The last generation of the journal that the files have.
    pub(super) fn folded(&self) -> Result<u64, StoreError> {
        let sql = "SELECT generation FROM folded";
        let generation = self
            .rows
            .connection
            .query_row(sql, [], |row| row.get::<_, i64>(0));
        let generation = generation.map_err(|error| store_error(&self.rows.path, SCHEMA, &error));
        Ok(generation?.cast_unsigned())
    }

    /// Applies all of a batch, durably, or nothing.
    pub(super) fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.write(&Step::of_batch(batch))
    }

    /// Writes a layer, durably, or nothing of it.
    pub(super) fn fold(&mut self, layer: &Layer, generation: u64) -> Result<(), StoreError> {
        self.write(&Step::of_layer(layer, generation))
    }

    fn write(&mut self, step: &Step<'_>) -> Result<(), StoreError> {
        if !self.is_even {
            self.agree()?;
        }
        let done = self.apply(step);
        if done.is_err() {
            // A table that the step made is gone again, and what was prepared on it is wrong.
            self.rows.connection.flush_prepared_statement_cache();
        }
        done
    }

    fn apply(&mut self, step: &Step<'_>) -> Result<(), StoreError> {
        let changes = &step.contents;
        let path = &self.rows.path;
        let transaction = begin(&mut self.rows.connection, path)?;
        compare(&transaction, path, &self.contents, step.expect)?;
        write_rows(&transaction, path, step)?;
        if self.has_doomed {
            run(&transaction, path, "DELETE FROM doomed")?;
        }
        let mut redo_octets = self.redo_octets;
        if redo_octets > 0 {
            redo::forget(&transaction, path, changes)?;
        }
        if changes.values().any(Option::is_some) {
            let number = number_of(&transaction, path)?.wrapping_add(1);
            redo_octets = redo::octets_with(redo_octets, changes);
            self.contents.make_outlive(if redo_octets > 0 {
                Durability::Process
            } else {
                Durability::Machine
            })?;
            write_contents(&mut self.contents, changes, number)?;
            self.is_even = false;
            set_number(&transaction, path, number)?;
            if redo_octets > 0 {
                redo::note(&transaction, path, changes)?;
            } else if self.redo_octets > 0 {
                run(&transaction, path, "DELETE FROM redo")?;
            }
        }
        let has_doomed = doom(&transaction, path, changes)?;
        transaction
            .commit()
            .map_err(|error| store_error(path, SCHEMA, &error))?;
        self.is_even = true;
        self.redo_octets = redo_octets;
        self.has_doomed = has_doomed;
        if has_doomed {
            // The batch is done: if this fails, the next one does it first.
            self.is_even = self.delete_doomed().is_ok();
        }
        Ok(())
    }

    /// Makes the files agree after a crash, or after a batch that failed in between.
    fn agree(&mut self) -> Result<(), StoreError> {
        let done = number_of(&self.rows.connection, &self.rows.path)?;
        self.contents.make_outlive(Durability::Machine)?;
        let path = &self.contents.path;
        let transaction = begin(&mut self.contents.connection, path)?;
        let written = number_of(&transaction, path)?;
        if written == done.wrapping_add(1) {
            run(&transaction, path, TAKE_OUT)?;
            run(&transaction, path, PUT_BACK)?;
        } else if written != done {
            redo::write_again(&transaction, path, &self.rows)?;
        }
        if written != done {
            run(&transaction, path, "DELETE FROM undo")?;
            set_number(&transaction, path, done)?;
        }
        transaction
            .commit()
            .map_err(|error| store_error(path, SCHEMA, &error))?;
        self.delete_doomed()?;
        self.is_even = true;
        Ok(())
    }

    /// Step 4.
    fn delete_doomed(&mut self) -> Result<(), StoreError> {
        let doomed = self.doomed()?;
        self.has_doomed = !doomed.is_empty();
        if doomed.is_empty() {
            return Ok(());
        }
        self.contents.make_outlive(Durability::Machine)?;
        let path = &self.contents.path;
        let transaction = begin(&mut self.contents.connection, path)?;
        for key in &doomed {
            delete(&transaction, Table::Contents, key)
                .map_err(|error| store_error(path, Table::Contents.name(), &error))?;
        }
        transaction
            .commit()
            .map_err(|error| store_error(path, SCHEMA, &error))?;
        self.contents.give_back()
    }

    fn doomed(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let read = || {
            let mut statement = self
                .rows
                .connection
                .prepare_cached("SELECT key FROM doomed")?;
            let keys = statement.query_map([], |row| row.get(0))?;
            keys.collect::<rusqlite::Result<Vec<Vec<u8>>>>()
        };
        read().map_err(|error| store_error(&self.rows.path, SCHEMA, &error))
    }
}

impl Side {
    fn open(file: &File) -> Result<Self, OpenStoreError> {
        Ok(Self {
            path: file.path.clone(),
            connection: file.connect()?,
            durability: Durability::Machine,
        })
    }

    /// From the next transaction on, commits are as durable as this.
    fn make_outlive(&mut self, durability: Durability) -> Result<(), StoreError> {
        if self.durability != durability {
            let level = match durability {
                Durability::Machine => "PRAGMA synchronous = FULL",
                Durability::Process => "PRAGMA synchronous = NORMAL",
            };
            self.execute(SCHEMA, level)?;
            self.durability = durability;
        }
        Ok(())
    }

    fn execute(&self, table: &'static str, sql: &str) -> Result<(), StoreError> {
        let done = self.connection.execute_batch(sql);
        done.map_err(|error| store_error(&self.path, table, &error))
    }

    /// Gives empty pages back to the disk; the statement does one page with each step.
    fn give_back(&self) -> Result<(), StoreError> {
        let work = || {
            let mut statement = self
                .connection
                .prepare_cached("PRAGMA incremental_vacuum")?;
            let mut pages = statement.query([])?;
            while pages.next()?.is_some() {}
            Ok(())
        };
        work().map_err(|error| store_error(&self.path, SCHEMA, &error))
    }
}

fn begin<'a>(connection: &'a mut Connection, path: &Path) -> Result<Transaction<'a>, StoreError> {
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| store_error(path, SCHEMA, &error))
}

/// Step 1, first half: are the rows what the batch expects?
fn compare(
    transaction: &Transaction<'_>,
    path: &Path,
    contents: &Side,
    expect: &[Expectation],
) -> Result<(), StoreError> {
    for Expectation { table, key, value } in expect {
        let (connection, path) = match table {
            Table::Contents => (&contents.connection, &*contents.path),
            _ => (&**transaction, path),
        };
        let current = select(connection, *table, key);
        if current.map_err(|error| store_error(path, table.name(), &error))? != *value {
            return Err(StoreError::Conflict);
        }
    }
    Ok(())
}

/// Step 1, second half: writes the rows of the first file.
fn write_rows(
    transaction: &Transaction<'_>,
    path: &Path,
    step: &Step<'_>,
) -> Result<(), StoreError> {
    for (table, key, value) in &step.rows {
        let done = match value {
            Some(value) => put(transaction, *table, key, value),
            None => delete(transaction, *table, key),
        };
        done.map_err(|error| store_error(path, table.name(), &error))?;
    }
    if let Some(generation) = step.folded {
        let sql = "UPDATE folded SET generation = ?1";
        let noted = transaction.execute(sql, [generation.cast_signed()]);
        noted.map_err(|error| store_error(path, SCHEMA, &error))?;
    }
    Ok(())
}

/// Step 2: writes contents and what they replace.
pub(super) fn write_contents(
    contents: &mut Side,
    changes: &ContentChanges<'_>,
    number: i32,
) -> Result<(), StoreError> {
    let path = &contents.path;
    let transaction = begin(&mut contents.connection, path)?;
    run(&transaction, path, "DELETE FROM undo")?;
    let write = |key: &[u8], value: &[u8]| {
        let sql = "INSERT INTO undo
                   VALUES (?1, (SELECT value FROM contents WHERE key = ?1))";
        transaction.prepare_cached(sql)?.execute([key])?;
        put(&transaction, Table::Contents, key, value)
    };
    for (key, value) in changes {
        if let Some(value) = value {
            write(key, value).map_err(|error| store_error(path, Table::Contents.name(), &error))?;
        }
    }
    set_number(&transaction, path, number)?;
    transaction
        .commit()
        .map_err(|error| store_error(path, SCHEMA, &error))
}

/// Notes the contents to delete; true if there are any.
fn doom(
    transaction: &Transaction<'_>,
    path: &Path,
    changes: &ContentChanges<'_>,
) -> Result<bool, StoreError> {
    let note = |key: &[u8]| {
        let sql = "INSERT OR IGNORE INTO doomed VALUES (?1)";
        transaction.prepare_cached(sql)?.execute([key])
    };
    let mut any = false;
    for (key, value) in changes {
        if value.is_none() {
            note(key).map_err(|error| store_error(path, SCHEMA, &error))?;
            any = true;
        }
    }
    Ok(any)
}

/// The number of the last batch with contents, as a file has it: SQLite keeps such a number for
/// its users, and it is part of a transaction.
pub(super) fn number_of(connection: &Connection, path: &Path) -> Result<i32, StoreError> {
    connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|error| store_error(path, SCHEMA, &error))
}

fn set_number(connection: &Connection, path: &Path, number: i32) -> Result<(), StoreError> {
    connection
        .execute_batch(&format!("PRAGMA user_version = {number}"))
        .map_err(|error| store_error(path, SCHEMA, &error))
}

fn run(connection: &Connection, path: &Path, sql: &str) -> Result<(), StoreError> {
    let done = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]));
    done.map(drop)
        .map_err(|error| store_error(path, SCHEMA, &error))
}
