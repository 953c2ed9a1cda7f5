//! Connections and migrations. Migrations only go forward; SQLite's `user_version` counts them, and
//! in PostgreSQL the table `letterlock_schema`.

use std::path::Path;
use std::time::Duration;

use letterlock_core::id::Address;
use letterlock_core::keys::wkd;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::postgres::Session;
use super::{DbError, TxError};

/// One file per step; a released one never changes.
const MIGRATIONS: [&str; 7] = [
    include_str!("migrations/0001_foundation.sql"),
    include_str!("migrations/0002_web_key_directory.sql"),
    include_str!("migrations/0003_accounts.sql"),
    include_str!("migrations/0004_key_transparency.sql"),
    include_str!("migrations/0005_devices.sql"),
    include_str!("migrations/0006_places.sql"),
    include_str!("migrations/0007_enrolment.sql"),
];
/// The same for PostgreSQL, which began later.
const POSTGRES_MIGRATIONS: [&str; 3] = [
    include_str!("migrations/postgres/0001.sql"),
    include_str!("migrations/postgres/0002.sql"),
    include_str!("migrations/postgres/0003.sql"),
];
/// Whoever migrates holds this advisory lock: several processes may start at once.
const MIGRATION_LOCK: i64 = 0x4c65_7474_6572_6c6b;
/// How long a statement waits for another process that looks into the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens a connection with the settings that all share.
pub(super) fn connect(path: &Path) -> Result<Connection, DbError> {
    let open = || {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // What is deleted is overwritten: mail that went out in the clear is not kept.
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    };
    open().map_err(|source| DbError::database(path, source))
}

/// Brings the database to the newest schema, all or nothing; refuses a newer one.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), DbError> {
    let failed = |source| DbError::database(path, source);
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let found = transaction
        .pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
        .map_err(failed)?;
    if found > known {
        return Err(DbError::NewerSchema {
            path: path.to_owned(),
            found,
            known,
        });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration).map_err(failed)?;
    }
    if found < 2 {
        fill_wkd_names(&transaction).map_err(failed)?;
    }
    transaction
        .pragma_update(None, "user_version", known)
        .map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// The same for PostgreSQL.
pub(super) fn migrate_postgres(session: &Session, place: &Path) -> Result<(), DbError> {
    let failed = |error: TxError| error.at(place);
    session
        .run(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"
        ))
        .map_err(failed)?;
    let found = postgres_version(session).map_err(failed)?;
    let known = i64::try_from(POSTGRES_MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        session.run("ROLLBACK").map_err(failed)?;
        return Err(DbError::NewerSchema {
            path: place.to_owned(),
            found,
            known,
        });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for migration in POSTGRES_MIGRATIONS.iter().skip(done) {
        session.run(migration).map_err(failed)?;
    }
    session
        .run(&format!(
            "UPDATE letterlock_schema SET version = {known}; COMMIT"
        ))
        .map_err(failed)
}

fn postgres_version(session: &Session) -> Result<i64, TxError> {
    session.run(
        "CREATE TABLE IF NOT EXISTS letterlock_schema (version BIGINT NOT NULL);
         INSERT INTO letterlock_schema SELECT 0 WHERE NOT EXISTS (SELECT FROM letterlock_schema)",
    )?;
    let transaction = super::Transaction::Postgres(session);
    let found =
        transaction.query_row("SELECT version FROM letterlock_schema", params![], |row| {
            row.get(0)
        })?;
    found.ok_or(TxError::Damaged("the schema's number is missing"))
}

/// Gives accounts from before schema 2 their names in the Web Key Directory.
fn fill_wkd_names(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut nameless =
        transaction.prepare("SELECT account, address FROM places WHERE wkd_name IS NULL")?;
    let rows = nameless.query_map([], |row| {
        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?))
    })?;
    let found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    for (account, address) in found {
        // An address that is none has no name; it is reported where it is used.
        let name = Address::new(&address).map(|address| wkd::name_of(address.local_part()));
        transaction.execute(
            "UPDATE places SET wkd_name = ? WHERE account = ?",
            params![name.ok(), account],
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the database is made of, as it says itself.
    fn shape(connection: &Connection) -> Vec<String> {
        let sql = "SELECT m.type || ' ' || m.name || ' ' || coalesce(c.name || c.type, '')
                   FROM sqlite_schema AS m LEFT JOIN pragma_table_info(m.name) AS c ORDER BY 1";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn each_schema_that_was_released_becomes_the_newest_and_keeps_its_rows() {
        let mut newest = Connection::open_in_memory().unwrap();
        migrate(&mut newest, Path::new("memory")).unwrap();
        for released in 1..=MIGRATIONS.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            for step in &MIGRATIONS[..released] {
                connection.execute_batch(step).unwrap();
            }
            let version = i64::try_from(released).unwrap();
            connection
                .pragma_update(None, "user_version", version)
                .unwrap();
            connection
                .execute(
                    "INSERT INTO accounts (account, address, record, root_key_wrap, created_at)
                     VALUES (?, 'joe.doe@example.org', x'01', x'02', 3)",
                    [[7_u8; 16]],
                )
                .unwrap();
            migrate(&mut connection, Path::new("memory")).unwrap();
            assert_eq!(shape(&connection), shape(&newest), "from schema {released}");
            let kept: (Vec<u8>, Vec<u8>, i64) = connection
                .query_row(
                    "SELECT record, root_key_wrap, created_at FROM accounts",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
                .unwrap();
            assert_eq!(kept, (vec![1], vec![2], 3));
        }
    }

    #[test]
    fn accounts_of_the_first_schema_get_what_later_ones_have() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(MIGRATIONS[0]).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        connection
            .execute(
                "INSERT INTO accounts (account, address, record, root_key_wrap, created_at)
                 VALUES (?, 'joe.doe@example.org', x'', x'', 0)",
                [[7_u8; 16]],
            )
            .unwrap();
        connection
            .execute_batch(
                "INSERT INTO documents (account, document, collection, revision, generation, size, value)
                 VALUES (x'07070707070707070707070707070707', zeroblob(16), zeroblob(16), 1, 1, 3, x'010203');
                 INSERT INTO sessions (token_hash, account, replica, device_name, created_at)
                 VALUES (zeroblob(32), x'07070707070707070707070707070707', zeroblob(16), 'x', 77)",
            )
            .unwrap();
        for _ in 0..2 {
            migrate(&mut connection, Path::new("memory")).unwrap();
            let name: String = connection
                .query_row("SELECT wkd_name FROM places", [], |row| row.get(0))
                .unwrap();
            assert_eq!(name, "iy9q119eutrkn8s1mk4r39qejnbu3n5q");
            let (octets, seen): (i64, i64) = connection
                .query_row(
                    "SELECT octets, last_seen FROM accounts, sessions",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .unwrap();
            assert_eq!((octets, seen), (3, 77));
        }
        let newer = i64::try_from(MIGRATIONS.len()).unwrap() + 1;
        connection
            .pragma_update(None, "user_version", newer)
            .unwrap();
        assert!(migrate(&mut connection, Path::new("memory")).is_err());
    }
}
