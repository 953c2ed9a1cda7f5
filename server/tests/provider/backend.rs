//! The database that these tests run over: here the embedded one. `provider_postgres` runs the same
//! tests with a module of the same functions.

use std::path::Path;

use letterlock_server::provider::Records;
use rusqlite::Connection;

/// Where a provider of this folder keeps its records.
pub(crate) fn records(_data_dir: &Path) -> Records {
    Records::Embedded
}

/// Changes rows behind the provider's back.
pub(crate) fn execute(data_dir: &Path, sql: &str) {
    database(data_dir).execute(sql, []).unwrap();
}

/// The number that a query gives.
pub(crate) fn number(data_dir: &Path, sql: &str) -> i64 {
    let row = |row: &rusqlite::Row<'_>| row.get(0);
    database(data_dir).query_row(sql, [], row).unwrap()
}

/// The octets that a query gives.
pub(crate) fn octets(data_dir: &Path, sql: &str) -> Vec<u8> {
    let row = |row: &rusqlite::Row<'_>| row.get(0);
    database(data_dir).query_row(sql, [], row).unwrap()
}

/// Octets as they stand in a query.
pub(crate) fn literal(octets: &[u8]) -> String {
    format!("x'{}'", hex::encode(octets))
}

/// The folder was copied: now the records that are not in it.
pub(crate) fn copy(_from: &Path, _to: &Path) {}

fn database(data_dir: &Path) -> Connection {
    Connection::open(data_dir.join("provider.sqlite")).unwrap()
}
