//! Messages that the MX sealed, until a device has taken them in.

use letterlock_core::id::{AccountId, Generation, IncomingId, Timestamp};
use rusqlite::params;

use super::{BlobId, Effects, Transaction, TxError, Value, accounts, columns, log, signed};

/// A message, encrypted to the account's certificate.
pub(crate) struct Incoming {
    pub(crate) id: IncomingId,
    pub(crate) received_at: Timestamp,
    pub(crate) message: Value,
}

/// Stores a message and counts it.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    effects: &mut Effects,
    account: AccountId,
    new: Incoming,
) -> Result<Generation, TxError> {
    let generation = log::next_generation(transaction, effects, account)?;
    let (size, value, file) = columns(new.message, effects)?;
    accounts::add_octets(transaction, account, size)?;
    transaction.execute(
        "INSERT INTO incoming (account, incoming, generation, received_at, size, value, file)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        params![
            account.as_bytes(),
            new.id.as_bytes(),
            signed(generation.0)?,
            new.received_at.as_millis(),
            size,
            value,
            file,
        ],
    )?;
    transaction.execute(
        "UPDATE accounts SET incoming_count = incoming_count + 1 WHERE account = ?",
        params![account.as_bytes()],
    )?;
    Ok(generation)
}

/// Stores a message unless it was stored before; it may be taken in and removed since.
pub(crate) fn insert_once(
    transaction: &Transaction<'_>,
    effects: &mut Effects,
    account: AccountId,
    new: Incoming,
) -> Result<(), TxError> {
    let is_known = transaction.exists(
        "SELECT 1 FROM incoming WHERE account = ? AND incoming = ?",
        params![account.as_bytes(), new.id.as_bytes()],
    )?;
    if !is_known {
        insert(transaction, effects, account, new)?;
    }
    Ok(())
}

/// Removes a message that a device has taken in; its mark stays. `None` if there is no such
/// message, or it is removed already.
pub(crate) fn remove(
    transaction: &Transaction<'_>,
    effects: &mut Effects,
    account: AccountId,
    id: IncomingId,
) -> Result<Option<Generation>, TxError> {
    let found = transaction.query_row(
        "SELECT file, size FROM incoming WHERE account = ? AND incoming = ? AND removed = 0",
        params![account.as_bytes(), id.as_bytes()],
        |row| Ok((row.get::<Option<BlobId>>(0)?, row.get::<i64>(1)?)),
    )?;
    let Some((file, size)) = found else {
        return Ok(None);
    };
    accounts::add_octets(transaction, account, size.saturating_neg())?;
    let generation = log::next_generation(transaction, effects, account)?;
    transaction.execute(
        "UPDATE incoming SET removed = 1, generation = ?, size = 0, value = NULL, file = NULL
             WHERE account = ? AND incoming = ?",
        params![signed(generation.0)?, account.as_bytes(), id.as_bytes()],
    )?;
    effects.forget(file);
    Ok(Some(generation))
}
