//! Certificates of accounts: public, for incoming mail and for the key directory.

use letterlock_core::id::{AccountId, Timestamp};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{TxError, accounts, directory};

/// Sets the account's certificate, and tells of it in the directory's log.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    account: AccountId,
    certificate: &[u8],
    now: Timestamp,
) -> Result<(), TxError> {
    transaction.execute(
        "INSERT INTO keys (account, certificate, updated_at) VALUES (?, ?, ?)
         ON CONFLICT (account) DO UPDATE
         SET certificate = excluded.certificate, updated_at = excluded.updated_at",
        params![account.as_bytes(), certificate, now.as_millis()],
    )?;
    match accounts::address(transaction, account)? {
        Some(address) => directory::publish(transaction, &address, Some(certificate), now),
        None => Ok(()),
    }
}

/// The account's certificate.
pub(crate) fn certificate(
    transaction: &Transaction<'_>,
    account: AccountId,
) -> Result<Option<Vec<u8>>, TxError> {
    let certificate = transaction
        .prepare_cached("SELECT certificate FROM keys WHERE account = ?")?
        .query_row([account.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(certificate)
}
