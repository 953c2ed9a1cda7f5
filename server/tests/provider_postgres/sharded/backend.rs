//! Two databases for each folder, in two clusters: `main`, and `north`, where new accounts come.

use std::collections::BTreeMap;
use std::path::Path;

use letterlock_server::provider::{Databases, Records};
use tokio_postgres::Row;

use crate::backend as one;
use crate::cluster::{Cluster, SECOND, SHARED};

pub(crate) use crate::backend::literal;

/// The clusters, the main one first.
pub(super) fn clusters() -> [&'static Cluster; 2] {
    [&SHARED, &SECOND]
}

/// Where a provider of this folder keeps its records.
pub(crate) fn records(data_dir: &Path) -> Records {
    Records::Postgres(Box::new(databases(data_dir)))
}

pub(super) fn databases(data_dir: &Path) -> Databases {
    let [main, north] = clusters().map(|cluster| one::database(cluster, data_dir));
    Databases {
        main,
        shards: BTreeMap::from([("north".to_owned(), north)]),
        new_accounts: vec!["north".to_owned()],
    }
}

/// Changes rows behind the provider's back, in both.
pub(crate) fn execute(data_dir: &Path, sql: &str) {
    for cluster in clusters() {
        one::execute_in(cluster, data_dir, sql);
    }
}

/// The number that a query gives, of both together.
pub(crate) fn number(data_dir: &Path, sql: &str) -> i64 {
    let numbers = clusters().map(|cluster| rows(cluster, data_dir, sql)[0].get::<_, i64>(0));
    numbers.iter().sum()
}

/// The octets that a query gives, where it finds some.
pub(crate) fn octets(data_dir: &Path, sql: &str) -> Vec<u8> {
    let found = clusters().map(|cluster| rows(cluster, data_dir, sql));
    found.iter().flatten().next().unwrap().get(0)
}

/// The folder was copied: now the records that are not in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    for cluster in clusters() {
        one::copy_in(cluster, from, to);
    }
}

/// The texts that a query gives, in the main one.
pub(crate) fn strings(data_dir: &Path, sql: &str) -> Vec<String> {
    one::strings(data_dir, sql)
}

/// What a query gives in one of them.
pub(super) fn rows(cluster: &'static Cluster, data_dir: &Path, sql: &str) -> Vec<Row> {
    one::rows(cluster, data_dir, sql)
}
