//! Messages that the MX sealed, until a device has taken them in.

use letterlock_core::id::{AccountId, Generation, IncomingId, Timestamp};
use rusqlite::{OptionalExtension, Transaction, named_params, params};

use super::{BlobId, Effects, TxError, Value, accounts, columns, log, signed};

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
    transaction
        .prepare_cached(
            "INSERT INTO incoming (account, incoming, generation, received_at, size, value, file)
             VALUES (:account, :incoming, :generation, :received_at, :size, :value, :file)",
        )?
        .execute(named_params! {
            ":account": account.as_bytes(),
            ":incoming": new.id.as_bytes(),
            ":generation": signed(generation.0)?,
            ":received_at": new.received_at.as_millis(),
            ":size": size,
            ":value": value,
            ":file": file,
        })?;
    transaction
        .prepare_cached(
            "UPDATE accounts SET incoming_count = incoming_count + 1 WHERE account = ?",
        )?
        .execute([account.as_bytes()])?;
    Ok(generation)
}

/// Removes a message that a device has taken in; its mark stays. `None` if there is no such
/// message, or it is removed already.
pub(crate) fn remove(
    transaction: &Transaction<'_>,
    effects: &mut Effects,
    account: AccountId,
    id: IncomingId,
) -> Result<Option<Generation>, TxError> {
    let found = transaction
        .prepare_cached(
            "SELECT file, size FROM incoming WHERE account = ? AND incoming = ? AND removed = 0",
        )?
        .query_row(params![account.as_bytes(), id.as_bytes()], |row| {
            Ok((row.get::<_, Option<BlobId>>(0)?, row.get::<_, i64>(1)?))
        })
        .optional()?;
    let Some((file, size)) = found else {
        return Ok(None);
    };
    accounts::add_octets(transaction, account, size.saturating_neg())?;
    let generation = log::next_generation(transaction, effects, account)?;
    transaction
        .prepare_cached(
            "UPDATE incoming SET removed = 1, generation = ?, size = 0, value = NULL, file = NULL
             WHERE account = ? AND incoming = ?",
        )?
        .execute(params![
            signed(generation.0)?,
            account.as_bytes(),
            id.as_bytes()
        ])?;
    effects.forget(file);
    Ok(Some(generation))
}
