//! Log-ins of devices, by the hash of their token.

use letterlock_core::id::{AccountId, ReplicaId, Timestamp};
use rusqlite::{OptionalExtension, Transaction, params};

use super::TxError;

/// Most sessions of one account; a new one beyond it ends the oldest.
pub(crate) const MAX_SESSIONS: i64 = 200;

/// SHA-256 of a token.
pub(crate) type TokenHash = [u8; 32];

/// Begins a session.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    account: AccountId,
    token: &TokenHash,
    (replica, device_name): (ReplicaId, &str),
    now: Timestamp,
) -> Result<(), TxError> {
    transaction.execute(
        "INSERT INTO sessions (token_hash, account, replica, device_name, created_at)
         VALUES (?, ?, ?, ?, ?)",
        params![
            token,
            account.as_bytes(),
            replica.as_bytes(),
            device_name,
            now.as_millis()
        ],
    )?;
    transaction.execute(
        "DELETE FROM sessions WHERE token_hash IN (
             SELECT token_hash FROM sessions WHERE account = ?
             ORDER BY created_at DESC LIMIT -1 OFFSET ?)",
        params![account.as_bytes(), MAX_SESSIONS],
    )?;
    Ok(())
}

/// Whose token this is.
pub(crate) fn find(
    transaction: &Transaction<'_>,
    token: &TokenHash,
) -> Result<Option<AccountId>, TxError> {
    let account = transaction
        .prepare_cached("SELECT account FROM sessions WHERE token_hash = ?")?
        .query_row([token], |row| row.get(0))
        .optional()?;
    Ok(account.map(AccountId::new))
}

/// Ends a session.
pub(crate) fn delete(transaction: &Transaction<'_>, token: &TokenHash) -> Result<(), TxError> {
    transaction.execute("DELETE FROM sessions WHERE token_hash = ?", [token])?;
    Ok(())
}
