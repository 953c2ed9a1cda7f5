//! Connections and migrations. Migrations only go forward; `user_version` counts them.

use std::path::Path;
use std::time::Duration;

use letterlock_core::id::Address;
use letterlock_core::keys::wkd;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::DbError;

/// One file per step; a released one never changes.
const MIGRATIONS: [&str; 5] = [
    include_str!("migrations/0001_foundation.sql"),
    include_str!("migrations/0002_web_key_directory.sql"),
    include_str!("migrations/0003_accounts.sql"),
    include_str!("migrations/0004_key_transparency.sql"),
    include_str!("migrations/0005_devices.sql"),
];
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

/// Gives accounts from before schema 2 their names in the Web Key Directory.
fn fill_wkd_names(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut nameless =
        transaction.prepare("SELECT account, address FROM accounts WHERE wkd_name IS NULL")?;
    let rows = nameless.query_map([], |row| {
        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?))
    })?;
    let found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    for (account, address) in found {
        // An address that is none has no name; it is reported where it is used.
        let name = Address::new(&address).map(|address| wkd::name_of(address.local_part()));
        transaction.execute(
            "UPDATE accounts SET wkd_name = ? WHERE account = ?",
            params![name.ok(), account],
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
                .query_row("SELECT wkd_name FROM accounts", [], |row| row.get(0))
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
