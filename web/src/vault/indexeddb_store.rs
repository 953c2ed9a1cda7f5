//! The core's `Store` over IndexedDB: one object store per table, binary keys, binary values.
//!
//! Binary keys sort as octets in IndexedDB (Indexed Database API 3.0, 2.4), so that a key range
//! is a range of the index. One `commit` is one `readwrite` transaction: the expectations are
//! read by requests of that transaction, and nothing else is awaited inside it, because a
//! transaction commits by itself once its task yields with no request pending.
//!
//! Invariant: no transaction object leaves this file, and values reach it sealed
//! ([`letterlock_core::store::SealedStore`]); keys are blinded ids and counters.
//!
//! Rejected: `Vec<u8>` as value or key, which becomes a JavaScript array of numbers: twenty times
//! the size, and ordered as an array.

use futures::future::try_join_all;
use indexed_db_futures::KeyRange as IdbRange;
use indexed_db_futures::database::Database;
use indexed_db_futures::error::{Error, OpenDbError};
use indexed_db_futures::prelude::*;
use indexed_db_futures::transaction::{Transaction, TransactionMode};
use indexed_db_futures::typed_array::{Uint8Array, Uint8ArraySlice};
use letterlock_core::store::{Batch, Key, KeyRange, Op, Store, StoreError, Table};

/// Version of the set of object stores; raised when a table is added.
pub const SCHEMA_VERSION: u32 = 4;

/// Most values that are asked for at once; each request has an object and a closure.
const READ_AT_ONCE: usize = 1000;

/// A replica's tables in one IndexedDB database.
#[derive(Debug)]
pub struct IndexedDbStore {
    database: Database,
    name: String,
}

impl IndexedDbStore {
    /// Opens the database called `name`, creating it and the tables that are missing.
    pub async fn open(name: &str) -> Result<Self, StoreError> {
        let database = Database::open(name)
            .with_version(SCHEMA_VERSION)
            .with_on_upgrade_needed(|_event, database: Database| {
                let present: Vec<String> = database.object_store_names().collect();
                for table in Table::ALL {
                    if !present.iter().any(|name| name == table.name()) {
                        database.create_object_store(table.name()).build()?;
                    }
                }
                Ok(())
            })
            .await
            .map_err(|error| open_failed(name, &error))?;
        Ok(Self {
            database,
            name: name.to_owned(),
        })
    }

    /// Deletes every row of every table, durably.
    pub async fn clear(&self) -> Result<(), StoreError> {
        self.clear_all().await.map_err(|error| self.failed(&error))
    }

    async fn clear_all(&self) -> Result<(), Error> {
        let transaction = self.begin(&Table::ALL, TransactionMode::Readwrite)?;
        for table in Table::ALL {
            transaction.object_store(table.name())?.clear()?.await?;
        }
        transaction.commit().await
    }

    fn failed(&self, error: &Error) -> StoreError {
        let detail = error.to_string();
        let place = format!("the browser's database {}", self.name);
        // The one DOMException name that means "no room" (Storage Standard, Indexed DB 3.0).
        if detail.contains("QuotaExceeded") {
            return StoreError::Full { place };
        }
        StoreError::Backend { place, detail }
    }

    fn begin(&self, tables: &[Table], mode: TransactionMode) -> Result<Transaction<'_>, Error> {
        let names: Vec<&str> = tables.iter().map(|table| table.name()).collect();
        self.database.transaction(names).with_mode(mode).build()
    }

    async fn read(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let transaction = self.begin(&[table], TransactionMode::Readonly)?;
        read_in(&transaction, table, key).await
    }

    /// All requests are made before one is awaited: a transaction for each would take far longer.
    async fn read_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let mut values = Vec::with_capacity(keys.len());
        for keys in keys.chunks(READ_AT_ONCE) {
            let transaction = self.begin(&[table], TransactionMode::Readonly)?;
            let rows = transaction.object_store(table.name())?;
            let mut requests = Vec::with_capacity(keys.len());
            for key in keys {
                requests.push(rows.get(Uint8ArraySlice::new(key)).primitive()?);
            }
            let read: Vec<Option<Uint8Array>> = try_join_all(requests).await?;
            values.extend(read.into_iter().map(|value| value.map(Into::into)));
        }
        Ok(values)
    }

    async fn read_range(
        &self,
        table: Table,
        range: IdbRange<Uint8Array>,
        limit: u32,
    ) -> Result<Vec<(Key, Vec<u8>)>, Error> {
        let transaction = self.begin(&[table], TransactionMode::Readonly)?;
        let rows = transaction.object_store(table.name())?;
        // Both requests are made before either is awaited: one snapshot, same order.
        let keys = rows
            .get_all_keys::<js_sys::ArrayBuffer>()
            .with_query::<Uint8Array, _>(range.clone());
        let keys = keys.with_limit(limit).primitive()?;
        let values = rows
            .get_all::<Uint8Array>()
            .with_query::<Uint8Array, _>(range)
            .with_limit(limit)
            .primitive()?;
        let (keys, values) = (keys.await?, values.await?);
        keys.zip(values)
            .map(|(key, value)| {
                Ok((
                    js_sys::Uint8Array::new(&key?.into()).to_vec(),
                    value?.into(),
                ))
            })
            .collect()
    }

    async fn write(&self, tables: &[Table], batch: Batch) -> Result<bool, Error> {
        let transaction = self.begin(tables, TransactionMode::Readwrite)?;
        for expected in &batch.expect {
            let value = read_in(&transaction, expected.table, &expected.key).await?;
            if value != expected.value {
                transaction.abort().await?;
                return Ok(false);
            }
        }
        for op in &batch.ops {
            match op {
                Op::Put(table, key, value) => {
                    let rows = transaction.object_store(table.name())?;
                    let put = rows.put(Uint8ArraySlice::new(value));
                    // Requests run in the order they are made; the commit reports their errors.
                    put.with_key(Uint8ArraySlice::new(key))
                        .without_key_type()
                        .primitive()?;
                }
                Op::Delete(table, key) => {
                    let rows = transaction.object_store(table.name())?;
                    rows.delete(Uint8ArraySlice::new(key)).primitive()?;
                }
            }
        }
        transaction.commit().await?;
        Ok(true)
    }
}

impl Store for IndexedDbStore {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(table, key)
            .await
            .map_err(|error| self.failed(&error))
    }

    async fn get_many(
        &self,
        table: Table,
        keys: Vec<Key>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let values = self.read_many(table, &keys).await;
        values.map_err(|error| self.failed(&error))
    }

    async fn scan(&self, table: Table, range: KeyRange) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        // A limit of zero means "no limit" to getAll, and an empty range is an error to it.
        let empty = range.end.as_ref().is_some_and(|end| *end <= range.start);
        if empty || range.limit == 0 {
            return Ok(Vec::new());
        }
        let limit = u32::try_from(range.limit).unwrap_or(u32::MAX);
        let start = Uint8Array::from(range.start);
        let range = match range.end {
            Some(end) => IdbRange::Bound(start, false, Uint8Array::from(end), true),
            None => IdbRange::LowerBound(start, false),
        };
        let rows = self.read_range(table, range, limit).await;
        rows.map_err(|error| self.failed(&error))
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut tables: Vec<Table> = batch.expect.iter().map(|expected| expected.table).collect();
        tables.extend(batch.ops.iter().map(|op| match op {
            Op::Put(table, ..) | Op::Delete(table, _) => *table,
        }));
        tables.sort_unstable();
        tables.dedup();
        if tables.is_empty() {
            return Ok(());
        }
        match self.write(&tables, batch).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::Conflict),
            Err(error) => Err(self.failed(&error)),
        }
    }
}

async fn read_in(
    transaction: &Transaction<'_>,
    table: Table,
    key: &[u8],
) -> Result<Option<Vec<u8>>, Error> {
    let rows = transaction.object_store(table.name())?;
    let value: Option<Uint8Array> = rows.get(Uint8ArraySlice::new(key)).primitive()?.await?;
    Ok(value.map(Into::into))
}

fn open_failed(name: &str, error: &OpenDbError) -> StoreError {
    StoreError::Backend {
        place: format!("the browser's database {name}"),
        detail: error.to_string(),
    }
}
