//! A message that comes piece by piece and is in no mailbox yet.
//!
//! ```text
//! extend ─► Splitter ─► pieces of leaves ─► (a mebioctet of them) sealed, committed as garbage
//! append_partial, replace ─► the last pieces, the messages, their placements: one Batch
//! ```
//!
//! Invariant: until it is appended nothing of the message can be seen, and what was written is
//! garbage from the first moment: if the program ends or the value is dropped, the collector
//! takes it away. While the value lives the collector lets it alone. It borrows nothing, so that
//! a session can hold it between two reads from its connection. Rejected: a temporary file; there
//! is none in a browser, and it would hold the message in the clear.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::append::{Appended, Arrival, Checkpoint};
use super::change::Change;
use super::document::{CONTENT_OCTETS, Leaf, MessageDocument, content_doc_id};
use super::references::{Garbage, Referred};
use super::{Replica, ReplicaError};
use crate::id::{ContentHash, DocId, MailboxId, Timestamp, Uid};
use crate::mime::{LeafSink, Splitter, WithoutLeaves};
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

/// Contents of messages that are being appended, and by how many.
pub(super) type StagedContents = Arc<Mutex<BTreeMap<DocId, usize>>>;

/// A message that is coming in.
#[must_use = "nothing is appended before it is given to a mailbox"]
pub struct PartialMessage {
    flags: FlagSet,
    internal_date: Timestamp,
    began: Timestamp,
    size: u64,
    /// Both are large, and a partial message is part of its user's future.
    hasher: Box<MessageHasher>,
    splitter: Box<Splitter>,
    /// What the splitter said at the end of the message.
    parts: Option<WithoutLeaves>,
    cutter: Cutter,
    leaves: Vec<Leaf>,
    staged: Staged,
}

impl core::fmt::Debug for PartialMessage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PartialMessage({} octets)", self.size)
    }
}

impl PartialMessage {
    /// How many octets have come.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// No more octets come; what is known of the message takes less room from here on.
    pub fn end(&mut self) {
        if self.parts.is_none() {
            let splitter = core::mem::take(&mut *self.splitter);
            self.parts = Some(splitter.finish(&mut self.cutter));
        }
    }

    /// How many octets of leaves are in memory: [`Replica::stage`] writes them.
    pub fn held(&self) -> usize {
        self.cutter.octets.saturating_add(self.cutter.current.len())
    }

    /// How many octets of a message that has ended stay in memory until it is appended.
    pub fn skeleton(&self) -> usize {
        self.parts.as_ref().map_or(0, |parts| parts.skeleton.len())
    }
}

impl<S: Store> Replica<S> {
    /// Begins a message. `now` is kept for what is written before it is appended.
    pub fn partial(
        &self,
        flags: FlagSet,
        internal_date: Timestamp,
        now: Timestamp,
    ) -> Result<PartialMessage, ReplicaError> {
        if flags.len() > MAX_FLAGS_PER_MESSAGE {
            return Err(ReplicaError::TooManyFlags);
        }
        Ok(PartialMessage {
            flags,
            internal_date,
            began: now,
            size: 0,
            hasher: Box::new(self.keys.message_hasher()),
            splitter: Box::new(Splitter::new()),
            parts: None,
            cutter: Cutter::default(),
            leaves: Vec::new(),
            staged: Staged {
                registry: Arc::clone(&self.staged),
                contents: Vec::new(),
            },
        })
    }

    /// Takes the next octets of a message that has not ended. After an error the message cannot
    /// be appended: drop it and begin again.
    pub async fn extend(
        &self,
        partial: &mut PartialMessage,
        octets: &[u8],
    ) -> Result<(), ReplicaError> {
        let length = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        partial.size = partial.size.saturating_add(length);
        if partial.size > MAX_APPEND_OCTETS {
            return Err(ReplicaError::MessageTooLarge);
        }
        for octets in octets.chunks(FEED_OCTETS) {
            partial.hasher.update(octets);
            partial.splitter.feed(octets, &mut partial.cutter);
            if partial.cutter.octets >= STAGE_OCTETS {
                self.stage(partial).await?;
            }
        }
        Ok(())
    }

    /// Seals and commits the pieces that are complete.
    pub async fn stage(&self, partial: &mut PartialMessage) -> Result<(), ReplicaError> {
        let mut change = self.begin(partial.began).await;
        for (leaf, octets) in partial.cutter.take() {
            let content = change.store_content(&octets).await?;
            push_piece(&mut partial.leaves, leaf, content);
            let id = content_doc_id(&self.keys, content);
            // Before the commit: the collector finds it from then on.
            partial.staged.add(id);
            let garbage = Garbage::since(partial.began);
            change
                .keep_or_discard(Referred::Content(id), garbage)
                .await?;
        }
        change.commit().await
    }

    /// Appends messages in order, durably: one atomic step with the checkpoint.
    ///
    /// [`ReplicaError::Busy`] if another program on the same store has collected what was written
    /// so far, which took longer than [`super::GARBAGE_KEPT_MS`]; trying again helps.
    pub async fn append_partial(
        &self,
        mailbox: MailboxId,
        messages: Vec<PartialMessage>,
        checkpoint: Option<Checkpoint>,
        now: Timestamp,
    ) -> Result<Vec<Appended>, ReplicaError> {
        let mut change = self.begin(now).await;
        change.keep_pages();
        let uid_validity = change.live_mailbox(mailbox)?.uid_validity;
        let mut appended = Vec::with_capacity(messages.len());
        // What is staged is let alone until the commit.
        let mut staged = Vec::with_capacity(messages.len());
        for message in messages {
            let uid = change.take_partial(mailbox, message, &mut staged).await?;
            appended.push(Appended { uid_validity, uid });
        }
        change.put_checkpoint(checkpoint);
        change.commit().await?;
        Ok(appended)
    }

    /// Appends a message and removes another for good, in one atomic and durable step
    /// (RFC 8508); `None`, and nothing is changed, if that other one is not there any more.
    pub async fn replace(
        &self,
        mailbox: MailboxId,
        message: PartialMessage,
        replaced: (MailboxId, Uid),
        now: Timestamp,
    ) -> Result<Option<Appended>, ReplicaError> {
        let mut change = self.begin(now).await;
        change.keep_pages();
        let uid_validity = change.live_mailbox(mailbox)?.uid_validity;
        let mut staged = Vec::new();
        let uid = change.take_partial(mailbox, message, &mut staged).await?;
        // The same octets again are a new message all the same (RFC 8508 3).
        change.let_return(replaced.0, replaced.1);
        let mut is_replaced = false;
        for (mailbox, uid) in change.behind(replaced.0, replaced.1) {
            is_replaced |= change.delete_placement(mailbox, uid).await?;
        }
        if !is_replaced {
            return Ok(None);
        }
        change.commit().await?;
        Ok(Some(Appended { uid_validity, uid }))
    }
}

impl<S: Store> Change<'_, S> {
    /// Stores what is left of a message, and places it.
    async fn take_partial(
        &mut self,
        mailbox: MailboxId,
        mut message: PartialMessage,
        staged: &mut Vec<Staged>,
    ) -> Result<Uid, ReplicaError> {
        for id in &message.staged.contents {
            if !self.is_kept(*id).await? {
                return Err(ReplicaError::Busy);
            }
        }
        message.end();
        for (leaf, octets) in message.cutter.take() {
            let content = self.store_content(&octets).await?;
            push_piece(&mut message.leaves, leaf, content);
        }
        let hash = message.hasher.finish();
        // It ended above.
        let parts = message.parts.ok_or(ReplicaError::MessageTooLarge)?;
        message
            .leaves
            .resize_with(parts.structure.leaves.len(), Leaf::default);
        let document = MessageDocument {
            hash,
            structure: parts.structure,
            skeleton: parts.skeleton,
            leaves: message.leaves,
            protection: Protection::NONE,
            received_as: None,
        };
        self.store_structure(document).await?;
        staged.push(message.staged);
        let arrival = Arrival {
            id: self.new_placement().await?,
            mailbox,
            flags: message.flags,
            internal_date: message.internal_date,
        };
        self.arrive(arrival, hash, message.size).await
    }

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
struct Staged {
    registry: StagedContents,
    contents: Vec<DocId>,
}

impl Staged {
    fn add(&mut self, id: DocId) {
        let mut staged = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let messages = staged.entry(id).or_default();
        *messages = messages.saturating_add(1);
        self.contents.push(id);
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let mut staged = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        for id in &self.contents {
            if let Some(messages) = staged.get_mut(id) {
                *messages = messages.saturating_sub(1);
                if *messages == 0 {
                    staged.remove(id);
                }
            }
        }
    }
}
