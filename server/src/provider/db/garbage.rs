//! Large values that no row names: left by a process that was killed between file and row, or
//! between row and file.
//!
//! Where several processes share a database, another may have written one just now and not yet its
//! row; so only what is older than [`GRACE_MS`] goes, and each is asked for once more before.

use letterlock_core::id::Timestamp;
use rusqlite::params;

use super::shards::{ShardId, Shards};
use super::{
    Backend, BlobId, Db, DbError, Decision, Effects, Scope, Shared, Transaction, TxError, blocking,
    moving,
};

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
    let Backend::Postgres(shards) = &shared.backend else {
        return Ok(0);
    };
    let mut removed: usize = 0;
    for some in shared.blobs.older_than(before)?.chunks(AT_ONCE) {
        let unnamed = unnamed_anywhere(shards, some)?;
        removed = removed.saturating_add(unnamed.len());
        for id in &unnamed {
            shared.blobs.forget(id);
        }
    }
    Ok(removed)
}

/// What no database names. While an account is moved, a row may be in another than where it was looked
/// for: then nothing is said to be unnamed, until the next time.
fn unnamed_anywhere(shards: &Shards, ids: &[BlobId]) -> Result<Vec<BlobId>, DbError> {
    let scope = Scope::rows(ShardId::MAIN);
    let main = &shards.main().postgres;
    let found = main.write(&scope, &mut Effects::default(), |own, _| {
        if !moving::is_quiet(own)? {
            return Ok(Decision::Rollback(Vec::new()));
        }
        let mut left = ids.to_vec();
        for (id, shard) in shards.all() {
            left = match id {
                ShardId::MAIN => unnamed(own, &left)?,
                _ => shard.postgres.read(|there| unnamed(there, &left))?,
            };
        }
        Ok(Decision::Rollback(left))
    })?;
    Ok(found.into_value())
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
