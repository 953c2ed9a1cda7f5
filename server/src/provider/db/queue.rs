//! Submissions that were accepted, and mail that waits for the relay.

use letterlock_core::id::{AccountId, Address, OutboxId, Timestamp};
use rusqlite::params;

use super::{BlobId, Blobs, Effects, Row, Stored, Transaction, TxError, Value, columns, unsigned};

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
    transaction.execute(
        "DELETE FROM submissions WHERE account = ? AND accepted_at < ?",
        params![
            account.as_bytes(),
            now.as_millis().saturating_sub(REMEMBER_MS)
        ],
    )?;
    let inserted = transaction.execute(
        "INSERT INTO submissions (account, outbox, accepted_at) VALUES (?, ?, ?)
         ON CONFLICT DO NOTHING",
        params![account.as_bytes(), outbox.as_bytes(), now.as_millis()],
    )?;
    Ok(inserted == 1)
}

/// Whether a submission was accepted before.
pub(crate) fn is_remembered(
    transaction: &Transaction<'_>,
    account: AccountId,
    outbox: OutboxId,
) -> Result<bool, TxError> {
    transaction.exists(
        "SELECT 1 FROM submissions WHERE account = ? AND outbox = ?",
        params![account.as_bytes(), outbox.as_bytes()],
    )
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
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        params![
            new.outbox.as_bytes(),
            new.reverse_path.as_str(),
            forward_paths,
            new.accepted_at.as_millis(),
            size,
            value,
            file
        ],
    )?;
    Ok(())
}

/// The first mail in the queue after `position`, with its own position.
pub(crate) fn next(
    transaction: &Transaction<'_>,
    blobs: &Blobs,
    position: i64,
) -> Result<Option<Waiting>, TxError> {
    transaction.query_row(
        "SELECT position, outbox, reverse_path, forward_paths, accepted_at, size, value, file
         FROM queue WHERE position > ? ORDER BY position LIMIT 1",
        params![position],
        |row| read(row, blobs),
    )
}

/// The first position after `position`, whether or not the mail there can be read.
pub(crate) fn following(
    transaction: &Transaction<'_>,
    position: i64,
) -> Result<Option<i64>, TxError> {
    let found = transaction.query_row(
        "SELECT min(position) FROM queue WHERE position > ?",
        params![position],
        |row| row.get(0),
    )?;
    Ok(found.flatten())
}

/// Takes mail out of the queue: the relay has it.
pub(crate) fn remove(
    transaction: &Transaction<'_>,
    effects: &mut Effects,
    position: i64,
) -> Result<(), TxError> {
    let file = transaction.query_row(
        "DELETE FROM queue WHERE position = ? RETURNING file",
        params![position],
        |row| row.get::<Option<BlobId>>(0),
    )?;
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
        reverse_path: Address::new(&row.get::<String>("reverse_path")?).map_err(|_| damaged())?,
        forward_paths: serde_json::from_str(&row.get::<String>("forward_paths")?)
            .map_err(|_| damaged())?,
        accepted_at: Timestamp::from_millis(row.get("accepted_at")?),
        message: blobs.load(stored)?,
    };
    Ok((row.get("position")?, queued))
}
