//! Appending a message piece by piece, however large it is.
//!
//! ```text
//! write ─► Splitter ─► pieces of leaves ─► (a mebioctet of them) sealed, committed as garbage
//! finish ─► the last pieces, the message, its placement, the checkpoint: one Batch
//! ```
//!
//! Invariant: until [`Appender::finish`] nothing of the message can be seen, and what was written
//! is garbage from the first moment: if the program ends or the appender is dropped, the
//! collector takes it away. While the appender lives the collector lets it alone. Rejected: a
//! temporary file; there is none in a browser, and it would hold the message in the clear.

use std::sync::PoisonError;

use super::append::{Appended, Arrival, Checkpoint};
use super::document::{CONTENT_OCTETS, Leaf, MessageDocument, content_doc_id};
use super::references::{Garbage, Referred};
use super::{Replica, ReplicaError};
use crate::id::{ContentHash, DocId, MailboxId, Timestamp};
use crate::mime::{LeafSink, Splitter};
use crate::model::{FlagSet, MAX_FLAGS_PER_MESSAGE};
use crate::openpgp::Protection;
use crate::seal::MessageHasher;
use crate::store::{Store, Table};

/// Longest message that can be appended piece by piece, in octets.
pub const MAX_APPEND_OCTETS: u64 = 2 * 1024 * 1024 * 1024;
/// How many octets are split at a time.
const FEED_OCTETS: usize = 64 * 1024;
/// So many octets of leaves are gathered before they are committed.
const STAGE_OCTETS: usize = CONTENT_OCTETS;

/// A message that is being appended.
#[must_use = "nothing is appended before `finish`"]
pub struct Appender<'a, S: Store> {
    replica: &'a Replica<S>,
    mailbox: MailboxId,
    flags: FlagSet,
    internal_date: Timestamp,
    began: Timestamp,
    size: u64,
    /// Both are large, and an appender is part of its user's future.
    hasher: Box<MessageHasher>,
    splitter: Box<Splitter>,
    cutter: Cutter,
    leaves: Vec<Leaf>,
    staged: Staged<'a, S>,
}

impl<S: Store> Replica<S> {
    /// Begins to append a message to a mailbox. `now` is kept for what is written before
    /// [`Appender::finish`].
    pub fn appender(
        &self,
        mailbox: MailboxId,
        flags: FlagSet,
        internal_date: Timestamp,
        now: Timestamp,
    ) -> Result<Appender<'_, S>, ReplicaError> {
        if flags.len() > MAX_FLAGS_PER_MESSAGE {
            return Err(ReplicaError::TooManyFlags);
        }
        if self.mailbox_by_id(mailbox).is_none() {
            return Err(ReplicaError::NoSuchMailbox);
        }
        Ok(Appender {
            replica: self,
            mailbox,
            flags,
            internal_date,
            began: now,
            size: 0,
            hasher: Box::new(self.keys.message_hasher()),
            splitter: Box::new(Splitter::new()),
            cutter: Cutter::default(),
            leaves: Vec::new(),
            staged: Staged {
                replica: self,
                contents: Vec::new(),
            },
        })
    }
}

impl<S: Store> Appender<'_, S> {
    /// Takes the next octets of the message. After an error the message cannot be finished: drop
    /// the appender and begin again.
    pub async fn write(&mut self, octets: &[u8]) -> Result<(), ReplicaError> {
        let length = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        self.size = self.size.saturating_add(length);
        if self.size > MAX_APPEND_OCTETS {
            return Err(ReplicaError::MessageTooLarge);
        }
        for octets in octets.chunks(FEED_OCTETS) {
            self.hasher.update(octets);
            self.splitter.feed(octets, &mut self.cutter);
            if self.cutter.octets >= STAGE_OCTETS {
                self.stage().await?;
            }
        }
        Ok(())
    }

    /// Ends the message and appends it, durably: one atomic step with the checkpoint.
    ///
    /// [`ReplicaError::Busy`] if another program on the same store has collected what was written
    /// so far, which took longer than [`super::GARBAGE_KEPT_MS`]; trying again helps.
    pub async fn finish(
        mut self,
        checkpoint: Option<Checkpoint>,
        now: Timestamp,
    ) -> Result<Appended, ReplicaError> {
        let parts = self.splitter.finish(&mut self.cutter);
        let mut change = self.replica.begin(now).await;
        let uid_validity = change.live_mailbox(self.mailbox)?.uid_validity;
        for id in &self.staged.contents {
            if !change.is_kept(*id).await? {
                return Err(ReplicaError::Busy);
            }
        }
        for (leaf, octets) in self.cutter.take() {
            let content = change.store_content(&octets).await?;
            push_piece(&mut self.leaves, leaf, content);
        }
        self.leaves
            .resize_with(parts.structure.leaves.len(), Leaf::default);
        let message = self.hasher.finish();
        let document = MessageDocument {
            hash: message,
            structure: parts.structure,
            skeleton: parts.skeleton,
            leaves: self.leaves,
            protection: Protection::NONE,
            received_as: None,
        };
        change.store_structure(document).await?;
        let arrival = Arrival {
            id: change.new_placement().await?,
            mailbox: self.mailbox,
            flags: self.flags,
            internal_date: self.internal_date,
        };
        let uid = change.arrive(arrival, message, self.size).await?;
        change.put_checkpoint(checkpoint);
        change.commit().await?;
        Ok(Appended { uid_validity, uid })
    }

    /// Seals and commits the pieces that are complete.
    async fn stage(&mut self) -> Result<(), ReplicaError> {
        let mut change = self.replica.begin(self.began).await;
        for (leaf, octets) in self.cutter.take() {
            let content = change.store_content(&octets).await?;
            push_piece(&mut self.leaves, leaf, content);
            let id = content_doc_id(&self.replica.keys, content);
            // Before the commit: the collector finds it from then on.
            self.staged.add(id);
            let garbage = Garbage::since(self.began);
            change
                .keep_or_discard(Referred::Content(id), garbage)
                .await?;
        }
        change.commit().await
    }
}

impl<S: Store> super::change::Change<'_, S> {
    /// Whether a content that was staged is still on this device: the collector takes a content
    /// and its row of garbage in one step.
    async fn is_kept(&self, id: DocId) -> Result<bool, ReplicaError> {
        if self.count(id).await? > 0 {
            return Ok(true);
        }
        let key = Referred::Content(id).garbage_key();
        Ok(self
            .replica
            .store
            .get(Table::Garbage, &key)
            .await?
            .is_some())
    }
}

fn push_piece(leaves: &mut Vec<Leaf>, leaf: usize, content: ContentHash) {
    if leaves.len() <= leaf {
        leaves.resize_with(leaf.saturating_add(1), Leaf::default);
    }
    if let Some(leaf) = leaves.get_mut(leaf) {
        leaf.pieces.push(content);
    }
}

/// Cuts leaves into pieces as they come.
#[derive(Default)]
struct Cutter {
    /// The piece that is being filled.
    current: Vec<u8>,
    /// Pieces that are complete, each with the number of its leaf.
    complete: Vec<(usize, Vec<u8>)>,
    /// How many octets they have.
    octets: usize,
}

impl Cutter {
    fn complete(&mut self, leaf: usize) {
        if !self.current.is_empty() {
            let piece = core::mem::take(&mut self.current);
            self.octets = self.octets.saturating_add(piece.len());
            self.complete.push((leaf, piece));
        }
    }

    fn take(&mut self) -> Vec<(usize, Vec<u8>)> {
        self.octets = 0;
        core::mem::take(&mut self.complete)
    }
}

impl LeafSink for Cutter {
    fn octets(&mut self, leaf: usize, mut octets: &[u8]) {
        while !octets.is_empty() {
            let room = CONTENT_OCTETS.saturating_sub(self.current.len());
            let (now, later) = octets.split_at_checked(room).unwrap_or((octets, &[]));
            self.current.extend_from_slice(now);
            octets = later;
            if self.current.len() >= CONTENT_OCTETS {
                self.complete(leaf);
            }
        }
    }

    fn end(&mut self, leaf: usize) {
        self.complete(leaf);
    }
}

/// The contents that the collector lets alone while a message is being appended.
struct Staged<'a, S: Store> {
    replica: &'a Replica<S>,
    contents: Vec<DocId>,
}

impl<S: Store> Staged<'_, S> {
    fn add(&mut self, id: DocId) {
        let staged = self.replica.staged.lock();
        let mut staged = staged.unwrap_or_else(PoisonError::into_inner);
        let appenders = staged.entry(id).or_default();
        *appenders = appenders.saturating_add(1);
        self.contents.push(id);
    }
}

impl<S: Store> Drop for Staged<'_, S> {
    fn drop(&mut self) {
        let staged = self.replica.staged.lock();
        let mut staged = staged.unwrap_or_else(PoisonError::into_inner);
        for id in &self.contents {
            if let Some(appenders) = staged.get_mut(id) {
                *appenders = appenders.saturating_sub(1);
                if *appenders == 0 {
                    staged.remove(id);
                }
            }
        }
    }
}
