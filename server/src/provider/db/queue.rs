//! Submissions that were accepted, and mail that waits for the relay.

use letterlock_core::id::{AccountId, Address, OutboxId, Timestamp};
use rusqlite::{OptionalExtension, Row, Transaction, named_params, params};

use super::{BlobId, Blobs, Effects, Stored, TxError, Value, columns, unsigned};

/// How long a submission's id is remembered, in milliseconds: 90 days. A device that repeats a
/// submission later than that sends it twice.
pub(crate) const REMEMBER_MS: i64 = 90 * 24 * 60 * 60 * 1000;

/// Mail for other providers.
pub(crate) struct Queued<M> {
    pub(crate) outbox: OutboxId,
    pub(crate) reverse_path: Address,
    pub(crate) forward_paths: Vec<Address>,
    pub(crate) accepted_at: Timestamp,
    pub(crate) message: M,
}

/// Mail in the queue, with its position.
pub(crate) type Waiting = (i64, Queued<Vec<u8>>);

/// Remembers a submission; false if it was accepted before.
pub(crate) fn remember(
    transaction: &Transaction<'_>,
    account: AccountId,
    outbox: OutboxId,
    now: Timestamp,
) -> Result<bool, TxError> {
    transaction
        .prepare_cached("DELETE FROM submissions WHERE accepted_at < ?")?
        .execute([now.as_millis().saturating_sub(REMEMBER_MS)])?;
    let inserted = transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO submissions (account, outbox, accepted_at) VALUES (?, ?, ?)",
        )?
        .execute(params![
            account.as_bytes(),
            outbox.as_bytes(),
            now.as_millis()
        ])?;
    Ok(inserted == 1)
}

/// Whether a submission was accepted before.
pub(crate) fn is_remembered(
    transaction: &Transaction<'_>,
    account: AccountId,
    outbox: OutboxId,
) -> Result<bool, TxError> {
    Ok(transaction
        .prepare_cached("SELECT 1 FROM submissions WHERE account = ? AND outbox = ?")?
        .exists(params![account.as_bytes(), outbox.as_bytes()])?)
}

/// Puts mail at the end of the queue.
pub(crate) fn push(
    transaction: &Transaction<'_>,
    effects: &mut Effects,
    new: Queued<Value>,
) -> Result<(), TxError> {
    let forward_paths = serde_json::to_string(&new.forward_paths)
        .map_err(|_| TxError::Damaged("forward paths do not encode"))?;
    let (size, value, file) = columns(new.message, effects)?;
    transaction.execute(
        "INSERT INTO queue
             (outbox, reverse_path, forward_paths, accepted_at, size, value, file)
         VALUES (:outbox, :reverse_path, :forward_paths, :accepted_at, :size, :value, :file)",
        named_params! {
            ":outbox": new.outbox.as_bytes(),
            ":reverse_path": new.reverse_path.as_str(),
            ":forward_paths": forward_paths,
            ":accepted_at": new.accepted_at.as_millis(),
            ":size": size,
            ":value": value,
            ":file": file,
        },
    )?;
    Ok(())
}

/// The first mail in the queue after `position`, with its own position.
pub(crate) fn next(
    transaction: &Transaction<'_>,
    blobs: &Blobs,
    position: i64,
) -> Result<Option<Waiting>, TxError> {
    transaction
        .prepare_cached(
            "SELECT position, outbox, reverse_path, forward_paths, accepted_at, size, value, file
             FROM queue WHERE position > ? ORDER BY position LIMIT 1",
        )?
        .query_row([position], |row| Ok(read(row, blobs)))
        .optional()?
        .transpose()
}

/// The first position after `position`, whether or not the mail there can be read.
pub(crate) fn following(
    transaction: &Transaction<'_>,
    position: i64,
) -> Result<Option<i64>, TxError> {
    Ok(transaction
        .prepare_cached("SELECT min(position) FROM queue WHERE position > ?")?
        .query_row([position], |row| row.get(0))?)
}

/// Takes mail out of the queue: the relay has it.
pub(crate) fn remove(
    transaction: &Transaction<'_>,
    effects: &mut Effects,
    position: i64,
) -> Result<(), TxError> {
    let file = transaction
        .prepare_cached("DELETE FROM queue WHERE position = ? RETURNING file")?
        .query_row([position], |row| row.get::<_, Option<BlobId>>(0))
        .optional()?;
    effects.forget(file.flatten());
    Ok(())
}

fn read(row: &Row<'_>, blobs: &Blobs) -> Result<Waiting, TxError> {
    let damaged = || TxError::Damaged("a queued mail has a damaged envelope");
    let stored = Stored {
        size: unsigned(row.get("size")?)?,
        value: row.get("value")?,
        file: row.get("file")?,
    };
    let queued = Queued {
        outbox: OutboxId::new(row.get("outbox")?),
        reverse_path: Address::new(&row.get::<_, String>("reverse_path")?)
            .map_err(|_| damaged())?,
        forward_paths: serde_json::from_str(&row.get::<_, String>("forward_paths")?)
            .map_err(|_| damaged())?,
        accepted_at: Timestamp::from_millis(row.get("accepted_at")?),
        message: blobs.load(stored)?,
    };
    Ok((row.get("position")?, queued))
}
