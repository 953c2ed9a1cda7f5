//! Invite codes, by the hash of each: how often one may be used, and until when.

use letterlock_core::id::Timestamp;
use rusqlite::params;

use super::{Transaction, TxError, unsigned};

/// SHA-256 of a code.
pub(crate) type CodeHash = [u8; 32];

/// An invite as its maker sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// Whom or what it is for, in its maker's words.
    pub name: String,
    /// Accounts that can still be made with it.
    pub uses_left: u32,
    /// Until then.
    pub expires_at: Timestamp,
}

/// Keeps a code.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    code: &CodeHash,
    invited: &Invited,
    now: Timestamp,
) -> Result<(), TxError> {
    transaction.execute(
        "INSERT INTO invites (code_hash, name, uses_left, expires_at, created_at)
         VALUES (?, ?, ?, ?, ?)",
        params![
            code,
            invited.name,
            invited.uses_left,
            invited.expires_at.as_millis(),
            now.as_millis()
        ],
    )?;
    Ok(())
}

/// Whether the code can be used now.
pub(crate) fn is_valid(
    transaction: &Transaction<'_>,
    code: &CodeHash,
    now: Timestamp,
) -> Result<bool, TxError> {
    transaction.exists(
        "SELECT 1 FROM invites WHERE code_hash = ? AND uses_left > 0 AND expires_at > ?",
        params![code, now.as_millis()],
    )
}

/// Uses the code once; false if it cannot be used.
pub(crate) fn spend(
    transaction: &Transaction<'_>,
    code: &CodeHash,
    now: Timestamp,
) -> Result<bool, TxError> {
    let spent = transaction.execute(
        "UPDATE invites SET uses_left = uses_left - 1
         WHERE code_hash = ? AND uses_left > 0 AND expires_at > ?",
        params![code, now.as_millis()],
    )?;
    Ok(spent == 1)
}

/// All that can still be used, the newest first.
pub(crate) fn list(transaction: &Transaction<'_>, now: Timestamp) -> Result<Vec<Invited>, TxError> {
    transaction.query(
        "SELECT name, uses_left, expires_at FROM invites
         WHERE uses_left > 0 AND expires_at > ? ORDER BY created_at DESC, name",
        params![now.as_millis()],
        |row| {
            Ok(Invited {
                name: row.get(0)?,
                uses_left: unsigned(row.get(1)?)?,
                expires_at: Timestamp::from_millis(row.get(2)?),
            })
        },
    )
}

/// Takes back all codes of this name; how many there were.
pub(crate) fn remove(transaction: &Transaction<'_>, name: &str) -> Result<usize, TxError> {
    transaction.execute("DELETE FROM invites WHERE name = ?", params![name])
}
