//! The relay: where mail for other domains goes.
//!
//! Mail waits in the database's queue until the relay has it for good; a relay that cannot take
//! it now is asked again. What is queued here is already signed and encrypted by its sender as
//! far as its recipients' certificates allow.

use std::fs;
use std::path::{Path, PathBuf};

use letterlock_core::id::Address;
use serde::Serialize;

use crate::provider::Provider;
use crate::provider::db::queue::{self, Queued};
use crate::provider::db::{
    DbError, Decision, Home, Scope, ShardId, blocking, create_private, sync_folder, write_durably,
};

/// Takes mail for other domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relay {
    /// Keeps it in a folder: `<id>.eml` is the message, `<id>.json` beside it has the SMTP
    /// envelope. The message's file appears last and whole.
    Folder(PathBuf),
}

/// The SMTP envelope beside a message.
#[derive(Serialize)]
struct Sidecar<'a> {
    version: u32,
    reverse_path: &'a str,
    forward_paths: Vec<&'a str>,
}

impl Relay {
    /// Makes what the relay needs.
    pub(crate) fn prepare(&self) -> Result<(), DbError> {
        let Self::Folder(folder) = self;
        create_private(folder).map_err(|source| DbError::io(folder, source))
    }

    /// Hands a mail over; durable when this returns. The same mail again replaces itself.
    fn hand_over(&self, mail: &Queued<Vec<u8>>) -> Result<(), DbError> {
        let Self::Folder(folder) = self;
        let sidecar = Sidecar {
            version: 1,
            reverse_path: mail.reverse_path.as_str(),
            forward_paths: mail.forward_paths.iter().map(Address::as_str).collect(),
        };
        let sidecar = serde_json::to_vec_pretty(&sidecar)
            .map_err(|error| DbError::io(folder, error.into()))?;
        write_atomically(&folder.join(format!("{}.json", mail.outbox)), &sidecar)?;
        write_atomically(&folder.join(format!("{}.eml", mail.outbox)), &mail.message)?;
        sync_folder(folder)
    }
}

impl Provider {
    /// Hands over what waits, oldest first; what the relay does not take stays in the queue.
    pub(crate) async fn relay_pending(&self) {
        let _one_at_a_time = self.relaying.lock().await;
        for shard in self.db.shards() {
            self.relay_queue(shard).await;
        }
    }

    async fn relay_queue(&self, shard: ShardId) {
        let mut position = 0;
        loop {
            match self.relay_next(shard, position).await {
                Ok(Some(next)) => position = next,
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "a queued mail cannot be read; it stays queued");
                    // One damaged mail does not hold up those behind it.
                    let Some(next) = self.following(shard, position).await else {
                        return;
                    };
                    position = next;
                }
            }
        }
    }

    async fn following(&self, shard: ShardId, position: i64) -> Option<i64> {
        let found = self
            .db
            .read_at(Home::Shard(shard), move |transaction, _| {
                queue::following(transaction, position)
            })
            .await;
        found.unwrap_or_else(|error| {
            tracing::error!(%error, "the queue of outgoing mail cannot be read");
            None
        })
    }

    /// Tries the first mail after a position; returns its position.
    async fn relay_next(&self, shard: ShardId, after: i64) -> Result<Option<i64>, DbError> {
        let next = self
            .db
            .read_at(Home::Shard(shard), move |transaction, blobs| {
                queue::next(transaction, blobs, after)
            })
            .await?;
        let Some((position, mail)) = next else {
            return Ok(None);
        };
        let relay = self.config.relay.clone();
        if let Err(error) = blocking(move || relay.hand_over(&mail)).await? {
            tracing::error!(%error, position, "the relay does not take a mail; it stays queued");
            return Ok(Some(position));
        }
        self.db
            .write(Scope::rows(shard), move |transaction, effects| {
                queue::remove(transaction, effects, position)?;
                Ok(Decision::Commit(()))
            })
            .await?;
        Ok(Some(position))
    }
}

fn write_atomically(path: &Path, octets: &[u8]) -> Result<(), DbError> {
    let temporary = path.with_extension("tmp");
    let failed = |source| DbError::io(path, source);
    // Left by a process that was killed while it wrote.
    if temporary.exists() {
        fs::remove_file(&temporary).map_err(failed)?;
    }
    let written = write_durably(&temporary, octets).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        if let Err(error) = fs::remove_file(&temporary) {
            tracing::debug!(%error, "no unfinished file to remove");
        }
        failed(source)
    })
}
