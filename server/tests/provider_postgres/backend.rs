//! The same functions as of the embedded database, over a cluster that all tests of this program
//! share: each folder has a database of its own there.

use std::future::Future;
use std::path::Path;

use letterlock_server::provider::Records;
use sha2::{Digest as _, Sha256};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Row};

use super::cluster::{Cluster, SHARED};

/// Where a provider of this folder keeps its records.
pub(crate) fn records(data_dir: &Path) -> Records {
    Records::Postgres(Box::new(database(&SHARED, data_dir).into()))
}

/// The folder's database in a cluster, which is made if it is missing.
pub(crate) fn database(cluster: &'static Cluster, data_dir: &Path) -> Config {
    let name = name(data_dir);
    aside(move || async move {
        let made = cluster.connect("postgres").await;
        let made = made.batch_execute(&format!("CREATE DATABASE {name}")).await;
        if let Err(error) = made {
            assert_eq!(error.code(), Some(&SqlState::DUPLICATE_DATABASE), "{error}");
        }
        cluster.config(&name)
    })
}

/// Changes rows behind the provider's back.
pub(crate) fn execute(data_dir: &Path, sql: &str) {
    execute_in(&SHARED, data_dir, sql);
}

/// The same in another cluster.
pub(crate) fn execute_in(cluster: &'static Cluster, data_dir: &Path, sql: &str) {
    let (name, sql) = (name(data_dir), sql.to_owned());
    aside(move || async move {
        let client = cluster.connect(&name).await;
        client.batch_execute(&sql).await.unwrap();
    });
}

/// The number that a query gives.
pub(crate) fn number(data_dir: &Path, sql: &str) -> i64 {
    rows(&SHARED, data_dir, sql)[0].get(0)
}

/// The octets that a query gives.
pub(crate) fn octets(data_dir: &Path, sql: &str) -> Vec<u8> {
    rows(&SHARED, data_dir, sql)[0].get(0)
}

/// Octets as they stand in a query.
pub(crate) fn literal(octets: &[u8]) -> String {
    format!("'\\x{}'::bytea", hex::encode(octets))
}

/// The folder was copied: now the records that are not in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    copy_in(&SHARED, from, to);
}

/// The same in another cluster.
pub(crate) fn copy_in(cluster: &'static Cluster, from: &Path, to: &Path) {
    let (from, to) = (name(from), name(to));
    aside(move || async move {
        let client: Client = cluster.connect("postgres").await;
        let sql = format!("CREATE DATABASE {to} TEMPLATE {from}");
        // Connections of the provider that was stopped may be about to end.
        for _ in 0..100 {
            match client.batch_execute(&sql).await {
                Ok(()) => return,
                Err(error) => assert_eq!(error.code(), Some(&SqlState::OBJECT_IN_USE), "{error}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the database is in use");
    });
}

/// The texts that a query gives.
pub(crate) fn strings(data_dir: &Path, sql: &str) -> Vec<String> {
    let rows = rows(&SHARED, data_dir, sql);
    rows.iter().map(|row| row.get(0)).collect()
}

/// What a query gives in a cluster.
pub(crate) fn rows(cluster: &'static Cluster, data_dir: &Path, sql: &str) -> Vec<Row> {
    let (name, sql) = (name(data_dir), sql.to_owned());
    aside(move || async move { cluster.connect(&name).await.query(&sql, &[]).await.unwrap() })
}

/// The database of a folder.
pub(crate) fn name(data_dir: &Path) -> String {
    let digest = Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
    format!("p_{}", hex::encode(&digest[..8]))
}

/// Runs something on a thread and a runtime of its own: tests call from within theirs.
fn aside<T, F>(work: impl FnOnce() -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(work())
    });
    thread.join().unwrap()
}
