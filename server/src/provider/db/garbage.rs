//! Large values that no row names: left by a process that was killed between file and row, or
//! between row and file.
//!
//! Where several processes share a database, another may have written one just now and not yet its
//! row; so only what is older than [`GRACE_MS`] goes, and each is asked for once more before.

use letterlock_core::id::Timestamp;
use rusqlite::params;

use super::{Backend, BlobId, Db, DbError, Shared, Transaction, TxError, blocking};

/// How old a value must be, in milliseconds: a day. No transaction takes that long.
const GRACE_MS: i64 = 24 * 60 * 60 * 1000;
/// Values that are asked for in one transaction.
const AT_ONCE: usize = 500;

impl Db {
    /// Removes what no row names, where the start does not; how many there were.
    pub(crate) async fn collect_garbage(&self, now: Timestamp) -> Result<usize, DbError> {
        if matches!(self.shared.backend, Backend::Sqlite(_)) {
            return Ok(0);
        }
        let before = Timestamp::from_millis(now.as_millis().saturating_sub(GRACE_MS));
        let shared = std::sync::Arc::clone(&self.shared);
        blocking(move || collect(&shared, before)).await?
    }
}

fn collect(shared: &Shared, before: Timestamp) -> Result<usize, DbError> {
    let mut removed: usize = 0;
    for some in shared.blobs.older_than(before)?.chunks(AT_ONCE) {
        let unnamed = shared.read(&|transaction, _| unnamed(transaction, some))?;
        removed = removed.saturating_add(unnamed.len());
        for id in &unnamed {
            shared.blobs.forget(id);
        }
    }
    Ok(removed)
}

fn unnamed(transaction: &Transaction<'_>, ids: &[BlobId]) -> Result<Vec<BlobId>, TxError> {
    let mut unnamed = Vec::new();
    for id in ids {
        let is_named = transaction.exists(
            "SELECT 1 FROM documents WHERE file = ?1
             UNION ALL SELECT 1 FROM incoming WHERE file = ?1
             UNION ALL SELECT 1 FROM queue WHERE file = ?1",
            params![id],
        )?;
        if !is_named {
            unnamed.push(*id);
        }
    }
    Ok(unnamed)
}
