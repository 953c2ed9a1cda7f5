//! Which messages of the account are one conversation.
//!
//! Each message document leaves a row of what ties it to others, in the same batch that stores
//! it. The threads themselves are made of these rows in memory when they are first asked for, and
//! follow every change from then on. Rejected: storing thread ids; a message that joins two
//! threads would rewrite them all.

use std::sync::PoisonError;

use super::change::Change;
use super::document::MessageDocument;
use super::{Replica, ReplicaError, decode_row, encode_row};
use crate::id::MessageHash;
use crate::store::{KeyRange, Store, Table};
use crate::threads::{Forest, Link, ThreadId};

/// Rows read at once while the threads are made.
const ROWS_AT_ONCE: usize = 4096;

impl<S: Store> Replica<S> {
    /// The thread that a message is in; `None` if the message is not known here.
    pub async fn thread_of(&self, message: MessageHash) -> Result<Option<ThreadId>, ReplicaError> {
        self.with_forest(|forest| forest.thread_of(&message)).await
    }

    /// The messages of a thread, oldest first, those that are in no mailbox among them; empty if
    /// there is no such thread (any more).
    pub async fn thread(&self, thread: ThreadId) -> Result<Vec<MessageHash>, ReplicaError> {
        self.with_forest(|forest| forest.messages(thread)).await
    }

    /// The messages with this `Message-ID`, given without brackets (RFC 5322 3.6.4). Nothing
    /// keeps two messages from having the same.
    pub async fn with_message_id(&self, id: &str) -> Result<Vec<MessageHash>, ReplicaError> {
        let hash = self.keys.link_hash(id);
        let candidates = self.with_forest(|forest| forest.with_id(hash)).await?;
        let mut found = Vec::new();
        for candidate in candidates {
            // The hash is short: the message itself decides.
            if let Some(message) = self.message(candidate).await?
                && message.structure.summary.message_id.as_deref() == Some(id)
            {
                found.push(candidate);
            }
        }
        Ok(found)
    }

    async fn with_forest<T>(&self, ask: impl FnOnce(&Forest) -> T) -> Result<T, ReplicaError> {
        if self.forest().is_none() {
            // Nothing is written while the rows are read, so none is missed.
            let _writer = self.writer.lock().await;
            if self.forest().is_none() {
                let forest = self.load_forest().await?;
                *self.forest() = Some(forest);
            }
        }
        Ok(ask(self.forest().get_or_insert_with(Forest::new)))
    }

    async fn load_forest(&self) -> Result<Forest, ReplicaError> {
        let mut forest = Forest::new();
        let mut start = Vec::new();
        loop {
            let mut range = KeyRange::all().limit(ROWS_AT_ONCE);
            range.start = start;
            let rows = self.store.scan(Table::Threads, range).await?;
            let Some((last, _)) = rows.last() else {
                return Ok(forest);
            };
            start = [last, &[0][..]].concat();
            for (key, row) in rows {
                let message =
                    MessageHash::try_from(&key[..]).map_err(|_| ReplicaError::Row("threads"))?;
                forest.insert(message, decode_row(Table::Threads, &row)?);
            }
        }
    }

    /// What a commit changed. Only with the writer's lock held.
    pub(super) fn apply_links(&self, links: Vec<(MessageHash, Option<Link>)>) {
        let mut forest = self.forest();
        let Some(forest) = forest.as_mut() else {
            return;
        };
        for (message, link) in links {
            match link {
                Some(link) => forest.insert(message, link),
                None => forest.remove(&message),
            }
        }
    }

    fn forest(&self) -> std::sync::MutexGuard<'_, Option<Forest>> {
        self.forest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Store> Change<'_, S> {
    /// Writes what ties a message to others.
    pub(super) fn note_link(&mut self, message: &MessageDocument) {
        let link = Link::new(&self.replica.keys, &message.structure.summary);
        self.batch
            .put(Table::Threads, *message.hash.as_bytes(), encode_row(&link));
        self.links.push((message.hash, Some(link)));
    }

    /// Forgets it.
    pub(super) fn drop_link(&mut self, message: MessageHash) {
        self.batch.delete(Table::Threads, *message.as_bytes());
        self.links.push((message, None));
    }
}
