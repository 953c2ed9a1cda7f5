//! Rows of an account on their way from one database to another of the same schema, with all columns
//! that there are.

use std::collections::BTreeSet;

use letterlock_core::id::AccountId;
use rusqlite::types::Value;
use rusqlite::{ToSql, params};

use super::{Transaction, TxError, unsigned};

/// Rows in one batch; a value in a row has at most `blobs::MAX_INLINE_OCTETS`.
const AT_ONCE: i64 = 200;
/// Tables of an account that are short, and copied as they are at the end.
const OTHERS: [&str; 3] = ["sessions", "device_keys", "submissions"];

/// Rows of one table.
pub(super) struct Rows {
    table: &'static str,
    /// The columns that tell a row from others.
    key: String,
    columns: Vec<String>,
    cells: Vec<Vec<Value>>,
}

impl Rows {
    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Stores the rows, in the place of those that have their keys.
    pub(super) fn put(&self, to: &Transaction<'_>) -> Result<(), TxError> {
        let names = self.columns.join(", ");
        let values = vec!["?"; self.columns.len()].join(", ");
        let set = self
            .columns
            .iter()
            .map(|name| format!("{name} = excluded.{name}"));
        let set = set.collect::<Vec<_>>().join(", ");
        let (table, key) = (self.table, &self.key);
        let sql = format!(
            "INSERT INTO {table} ({names}) VALUES ({values}) ON CONFLICT ({key}) DO UPDATE SET {set}"
        );
        for row in &self.cells {
            let row: Vec<&dyn ToSql> = row.iter().map(|value| value as &dyn ToSql).collect();
            to.execute(&sql, &row)?;
        }
        Ok(())
    }

    /// Stores the rows as all that the account has in their table.
    pub(super) fn replace(&self, to: &Transaction<'_>, account: AccountId) -> Result<(), TxError> {
        let sql = format!("DELETE FROM {} WHERE account = ?", self.table);
        to.execute(&sql, params![account.as_bytes()])?;
        self.put(to)
    }
}

/// The account's own row, with another epoch.
pub(super) fn account(
    from: &Transaction<'_>,
    account: AccountId,
    epoch: i64,
) -> Result<Rows, TxError> {
    let mut rows = all(from, "accounts", "account", account)?;
    let at = position(&rows.columns, "epoch")?;
    let cells = rows.cells.iter_mut().filter_map(|row| row.get_mut(at));
    cells.for_each(|cell| *cell = Value::Integer(epoch));
    Ok(rows)
}

/// What the account has beside documents and mail.
pub(super) fn others(from: &Transaction<'_>, account: AccountId) -> Result<Vec<Rows>, TxError> {
    let keys = ["token_hash", "account, replica", "account, outbox"];
    let tables = OTHERS.into_iter().zip(keys);
    tables
        .map(|(table, key)| all(from, table, key, account))
        .collect()
}

fn all(
    from: &Transaction<'_>,
    table: &'static str,
    key: &str,
    account: AccountId,
) -> Result<Rows, TxError> {
    let columns = columns(from, table)?;
    let names = columns.join(", ");
    let sql = format!("SELECT {names} FROM {table} WHERE account = ?");
    let rows = read(from, &sql, params![account.as_bytes()], columns.len())?;
    Ok(Rows {
        table,
        key: key.to_owned(),
        columns,
        cells: rows,
    })
}

/// A table whose rows carry the generation of their last change, and how far it is copied.
pub(super) struct Log {
    table: &'static str,
    id: &'static str,
    account: AccountId,
    columns: Vec<String>,
    since: i64,
}

impl Log {
    pub(super) fn new(
        from: &Transaction<'_>,
        table: &'static str,
        id: &'static str,
        account: AccountId,
    ) -> Result<Self, TxError> {
        Ok(Self {
            table,
            id,
            account,
            columns: columns(from, table)?,
            since: 0,
        })
    }

    /// The next rows; none if all are copied that are there now.
    pub(super) fn next(&mut self, from: &Transaction<'_>) -> Result<Rows, TxError> {
        let names = self.columns.join(", ");
        let sql = format!(
            "SELECT {names} FROM {} WHERE account = ? AND generation > ?
             ORDER BY generation LIMIT ?",
            self.table
        );
        let of = params![self.account.as_bytes(), self.since, AT_ONCE];
        let rows = read(from, &sql, of, self.columns.len())?;
        let at = position(&self.columns, "generation")?;
        if let Some(Value::Integer(last)) = rows.last().and_then(|row| row.get(at)) {
            self.since = *last;
        }
        Ok(Rows {
            table: self.table,
            key: format!("account, {}", self.id),
            columns: self.columns.clone(),
            cells: rows,
        })
    }

    /// Removes from a copy with all rows what is not there any more; how many it has then.
    pub(super) fn complete(
        &self,
        from: &Transaction<'_>,
        to: &Transaction<'_>,
    ) -> Result<u64, TxError> {
        let wanted = self.totals(from)?;
        if self.totals(to)? != wanted {
            let there: BTreeSet<_> = self.ids(from)?.into_iter().collect();
            let (table, id) = (self.table, self.id);
            let sql = format!("DELETE FROM {table} WHERE account = ? AND {id} = ?");
            for gone in self.ids(to)?.iter().filter(|id| !there.contains(*id)) {
                to.execute(&sql, params![self.account.as_bytes(), gone])?;
            }
        }
        if self.totals(to)? != wanted {
            return Err(TxError::Damaged(
                "an account's copy is not like the account",
            ));
        }
        unsigned(wanted.0)
    }

    /// How many rows, of what size, with which sum of generations.
    fn totals(&self, at: &Transaction<'_>) -> Result<(i64, i64, i64), TxError> {
        let sql = format!(
            "SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT),
                 CAST(coalesce(sum(generation), 0) AS BIGINT)
             FROM {} WHERE account = ?",
            self.table
        );
        let totals = at.query_row(&sql, params![self.account.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        Ok(totals.unwrap_or_default())
    }

    fn ids(&self, at: &Transaction<'_>) -> Result<Vec<[u8; 16]>, TxError> {
        let sql = format!("SELECT {} FROM {} WHERE account = ?", self.id, self.table);
        at.query(&sql, params![self.account.as_bytes()], |row| row.get(0))
    }
}

fn read(
    from: &Transaction<'_>,
    sql: &str,
    params: &[&dyn ToSql],
    columns: usize,
) -> Result<Vec<Vec<Value>>, TxError> {
    from.query(sql, params, |row| {
        (0..columns).map(|at| row.get::<Value>(at)).collect()
    })
}

fn columns(at: &Transaction<'_>, table: &str) -> Result<Vec<String>, TxError> {
    at.query(
        "SELECT CAST(column_name AS TEXT) FROM information_schema.columns
         WHERE table_schema = current_schema() AND CAST(table_name AS TEXT) = ?
         ORDER BY ordinal_position",
        params![table],
        |row| row.get(0),
    )
}

fn position(columns: &[String], name: &str) -> Result<usize, TxError> {
    let at = columns.iter().position(|column| column == name);
    at.ok_or(TxError::Damaged("a table lacks a column"))
}
