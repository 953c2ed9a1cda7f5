//! Certificates of accounts: public, for incoming mail and for the key directory. An account has
//! one entry: all of them, one after the other (`letterlock_core::keys::published`).

use letterlock_core::id::{AccountId, Timestamp};
use rusqlite::params;

use super::{Transaction, TxError, directory, places};

/// Sets the account's certificates, and tells of them in the directory's log.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    account: AccountId,
    certificates: &[u8],
    now: Timestamp,
) -> Result<(), TxError> {
    transaction.execute(
        "INSERT INTO keys (account, certificate, updated_at) VALUES (?, ?, ?)
         ON CONFLICT (account) DO UPDATE
         SET certificate = excluded.certificate, updated_at = excluded.updated_at",
        params![account.as_bytes(), certificates, now.as_millis()],
    )?;
    match places::address(transaction, account)? {
        Some(address) => directory::publish(transaction, &address, Some(certificates), now),
        None => Ok(()),
    }
}

/// The account's certificates.
pub(crate) fn certificates(
    transaction: &Transaction<'_>,
    account: AccountId,
) -> Result<Option<Vec<u8>>, TxError> {
    let certificates = transaction.query_row(
        "SELECT certificate FROM keys WHERE account = ?",
        params![account.as_bytes()],
        |row| row.get(0),
    )?;
    Ok(certificates)
}
