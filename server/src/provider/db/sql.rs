//! What SQLite and PostgreSQL have in common: the tables' functions are written once, over this.
//!
//! Statements are SQL that both read, with `?` (or `?1`, where one is used twice) for parameters.
//! Values are `rusqlite`'s own four kinds: integers of 64 bits, text, octets, NULL; PostgreSQL's
//! columns are mapped onto them. Everything blocks: transactions run in blocking tasks, and there
//! a function reads as it would over SQLite alone.
//! Rejected: a trait with a method for each query (each written and tested twice); a query builder.

use std::error::Error;
use std::fmt;
use std::ops::ControlFlow;

use bytes::BytesMut;
use rusqlite::ToSql;
use rusqlite::types::{FromSql, ToSqlOutput, ValueRef};
use tokio_postgres::types::{self as postgres, IsNull, Type};

use super::TxError;
use super::postgres::Session;

/// Rows that come from PostgreSQL at a time where the reader may stop early.
const ROWS_AT_A_TIME: i32 = 64;

/// A transaction of either database.
pub(crate) enum Transaction<'a> {
    Sqlite(rusqlite::Transaction<'a>),
    Postgres(&'a Session),
}

/// A row of a result; columns by position, from 0, or by name.
pub(crate) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

/// A column: its position or its name.
pub(crate) trait Column:
    rusqlite::RowIndex + tokio_postgres::row::RowIndex + fmt::Display
{
}

impl<T: rusqlite::RowIndex + tokio_postgres::row::RowIndex + fmt::Display> Column for T {}

type Params<'a> = &'a [&'a dyn ToSql];

impl Transaction<'_> {
    /// Changes rows; how many.
    pub(crate) fn execute(&self, sql: &str, params: Params<'_>) -> Result<usize, TxError> {
        match self {
            Self::Sqlite(sqlite) => Ok(sqlite.prepare_cached(sql)?.execute(params)?),
            Self::Postgres(session) => session.execute(sql, &outputs(params)?),
        }
    }

    /// The first row.
    pub(crate) fn query_row<T>(
        &self,
        sql: &str,
        params: Params<'_>,
        read: impl FnOnce(&Row<'_>) -> Result<T, TxError>,
    ) -> Result<Option<T>, TxError> {
        match self {
            Self::Sqlite(sqlite) => {
                let mut statement = sqlite.prepare_cached(sql)?;
                let mut rows = statement.query(params)?;
                rows.next()?.map(|row| read(&Row::Sqlite(row))).transpose()
            }
            Self::Postgres(session) => {
                let rows = session.query(sql, &outputs(params)?)?;
                rows.first()
                    .map(|row| read(&Row::Postgres(row)))
                    .transpose()
            }
        }
    }

    /// All rows; for results that are known to be short.
    pub(crate) fn query<T>(
        &self,
        sql: &str,
        params: Params<'_>,
        mut read: impl FnMut(&Row<'_>) -> Result<T, TxError>,
    ) -> Result<Vec<T>, TxError> {
        match self {
            Self::Sqlite(sqlite) => {
                let mut statement = sqlite.prepare_cached(sql)?;
                let mut rows = statement.query(params)?;
                let mut all = Vec::new();
                while let Some(row) = rows.next()? {
                    all.push(read(&Row::Sqlite(row))?);
                }
                Ok(all)
            }
            Self::Postgres(session) => {
                let rows = session.query(sql, &outputs(params)?)?;
                rows.iter().map(|row| read(&Row::Postgres(row))).collect()
            }
        }
    }

    /// Row by row, until `read` breaks.
    pub(crate) fn each(
        &self,
        sql: &str,
        params: Params<'_>,
        mut read: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>, TxError>,
    ) -> Result<(), TxError> {
        match self {
            Self::Sqlite(sqlite) => {
                let mut statement = sqlite.prepare_cached(sql)?;
                let mut rows = statement.query(params)?;
                while let Some(row) = rows.next()? {
                    if read(&Row::Sqlite(row))?.is_break() {
                        break;
                    }
                }
                Ok(())
            }
            Self::Postgres(session) => {
                let outputs = outputs(params)?;
                session.each(sql, &outputs, ROWS_AT_A_TIME, |row| {
                    read(&Row::Postgres(row))
                })
            }
        }
    }

    /// Whether there is a row.
    pub(crate) fn exists(&self, sql: &str, params: Params<'_>) -> Result<bool, TxError> {
        Ok(self.query_row(sql, params, |_| Ok(()))?.is_some())
    }
}

impl Row<'_> {
    /// A column's value.
    pub(crate) fn get<T: FromSql>(&self, column: impl Column) -> Result<T, TxError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(row) => {
                let value: Received<'_> = row.try_get(column)?;
                T::column_result(value.0)
                    .map_err(|_| TxError::Damaged("a column holds a value of another kind"))
            }
        }
    }
}

/// The statement as PostgreSQL reads it: `?` is `$1` and so on, `?2` is `$2`.
pub(super) fn numbered(sql: &str) -> String {
    let mut pieces = sql.split('?');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for (at, piece) in pieces.enumerate() {
        out.push('$');
        if !piece.starts_with(|first: char| first.is_ascii_digit()) {
            out.push_str(&at.saturating_add(1).to_string());
        }
        out.push_str(piece);
    }
    out
}

/// A parameter on its way to PostgreSQL.
#[derive(Debug)]
pub(super) struct Sent<'a>(ToSqlOutput<'a>);

fn outputs(params: Params<'_>) -> Result<Vec<Sent<'_>>, TxError> {
    params
        .iter()
        .map(|param| Ok(Sent(param.to_sql()?)))
        .collect()
}

impl postgres::ToSql for Sent<'_> {
    fn to_sql(
        &self,
        column: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let value = match &self.0 {
            ToSqlOutput::Borrowed(value) => *value,
            ToSqlOutput::Owned(value) => ValueRef::from(value),
            _ => return Err(OTHER_KIND.into()),
        };
        match value {
            ValueRef::Null => Ok(IsNull::Yes),
            ValueRef::Integer(number) if *column == Type::INT8 => {
                postgres::ToSql::to_sql(&number, column, out)
            }
            ValueRef::Integer(number) if *column == Type::INT4 => {
                postgres::ToSql::to_sql(&i32::try_from(number)?, column, out)
            }
            ValueRef::Text(text) if *column == Type::TEXT => {
                postgres::ToSql::to_sql(&str::from_utf8(text)?, column, out)
            }
            ValueRef::Blob(octets) if *column == Type::BYTEA => {
                postgres::ToSql::to_sql(&octets, column, out)
            }
            _ => Err(OTHER_KIND.into()),
        }
    }

    fn accepts(column: &Type) -> bool {
        is_known(column)
    }

    postgres::to_sql_checked!();
}

const OTHER_KIND: &str = "a value is of another kind than its column";

/// A column of PostgreSQL's as SQLite would give it.
struct Received<'a>(ValueRef<'a>);

impl<'a> postgres::FromSql<'a> for Received<'a> {
    fn from_sql(column: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(match *column {
            Type::INT8 => ValueRef::Integer(i64::from_sql(column, raw)?),
            Type::INT4 => ValueRef::Integer(i64::from(i32::from_sql(column, raw)?)),
            Type::BOOL => ValueRef::Integer(i64::from(bool::from_sql(column, raw)?)),
            Type::TEXT => ValueRef::Text(raw),
            Type::BYTEA => ValueRef::Blob(raw),
            _ => return Err(OTHER_KIND.into()),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(ValueRef::Null))
    }

    fn accepts(column: &Type) -> bool {
        is_known(column)
    }
}

fn is_known(column: &Type) -> bool {
    [Type::INT8, Type::INT4, Type::BOOL, Type::TEXT, Type::BYTEA].contains(column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_get_numbers() {
        for (sql, numbered_sql) in [
            ("SELECT 1", "SELECT 1"),
            ("a = ? AND b > ?", "a = $1 AND b > $2"),
            ("VALUES (?1, ?2, ?1)", "VALUES ($1, $2, $1)"),
            ("?", "$1"),
        ] {
            assert_eq!(numbered(sql), numbered_sql);
        }
    }
}
