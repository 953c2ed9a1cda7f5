//! Keeps the search index in step with the mail: reads what waits, takes its texts out, hands
//! them to [`crate::search`].
//!
//! ```text
//! first place of a message ─► row in Unindexed ─► index_step ─► segment, row gone: one Batch
//! ```
//!
//! A message whose document has not come to this device stays out of the index; one of which a
//! part has not come is indexed by what is here and marked, so that the index never says that a
//! text is not in it. Both are looked at again when nothing else is to do, and queued when they
//! are whole. Invariant: a message that does not open holds up no other. Rejected: indexing while
//! a message is taken in; a `250` or `OK` would wait for it.

use std::sync::{Mutex, PoisonError};

use super::Account;
use crate::id::{MessageHash, Timestamp};
use crate::mime::header::fields;
use crate::mime::text::decode_text;
use crate::mime::{
    SearchablePiece, Span, decode_header, file_names, html_to_text, searchable_pieces,
};
use crate::openpgp::{Encryption, SignatureStatus};
use crate::replica::{Message, Replica, ReplicaError};
use crate::search::{
    Builder, Field, Index, MAX_INDEXED_TEXT_OCTETS, SearchError, Traits, forget_waiting,
    remember_waiting, waiting,
};
use crate::store::{Batch, KeyRange, Store, StoreError, Table};

/// A step ends when it has taken in so much text.
const STEP_TEXT_OCTETS: usize = 4 * 1024 * 1024;
/// Messages that one step queues when an index is made anew.
const QUEUED_AT_A_TIME: usize = 1000;
/// Merge steps that follow on one step of indexing at most.
const TENDED_AT_A_TIME: usize = 4;
/// Messages not all here that one idle step looks at.
const WAITING_AT_A_TIME: usize = 8;

/// Why the index was not brought up to date or not asked. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The index.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The mail.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
}

impl From<StoreError> for IndexError {
    fn from(error: StoreError) -> Self {
        SearchError::from(error).into()
    }
}

/// What one step has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexStep {
    /// Messages taken in.
    pub indexed: usize,
    /// Whether there is more to do at once.
    pub more: bool,
}

/// The index, and where the round of the messages not all here has come to.
#[derive(Debug, Default)]
pub(super) struct Indexing {
    pub(super) index: Index,
    round: Mutex<Option<MessageHash>>,
}

impl<S: Store> Account<S> {
    /// Does one bounded step of indexing: takes in at most `limit` of the messages that wait, or,
    /// if none do, keeps the index in order. To be called again while [`IndexStep::more`], when
    /// nothing more urgent is to do; a search brings the index up to date by itself.
    ///
    /// A damaged index is made anew.
    pub async fn index_step(&self, limit: usize) -> Result<IndexStep, IndexError> {
        match self.step(limit).await {
            Err(IndexError::Search(SearchError::Damaged)) => {
                self.rebuild_index().await?;
                Ok(IndexStep {
                    indexed: 0,
                    more: true,
                })
            }
            step => step,
        }
    }

    /// How many messages wait to be taken into the index, or, while it is made anew, may.
    pub async fn waiting_for_index(&self) -> Result<usize, IndexError> {
        if self
            .indexing
            .index
            .queue_from(self.store())
            .await?
            .is_some()
        {
            let mut all = 0_usize;
            self.each_message(&mut |_| all = all.saturating_add(1));
            return Ok(all);
        }
        let mut range = KeyRange::all().limit(QUEUED_AT_A_TIME);
        let mut waiting = 0_usize;
        loop {
            let rows = self.store().scan(Table::Unindexed, range.clone()).await?;
            waiting = waiting.saturating_add(rows.len());
            match rows.last() {
                // The smallest key after the last.
                Some((last, _)) => range.start = [&last[..], &[0]].concat(),
                None => return Ok(waiting),
            }
        }
    }

    /// Lets the index go; it is made anew by [`Account::index_step`] and by the next search.
    pub async fn rebuild_index(&self) -> Result<(), IndexError> {
        Ok(self.indexing.index.reset(self.store()).await?)
    }

    async fn step(&self, limit: usize) -> Result<IndexStep, IndexError> {
        if let Some(indexed) = self.take_in_queued(limit).await? {
            for _ in 0..TENDED_AT_A_TIME {
                if !self.tend().await? {
                    break;
                }
            }
            return Ok(IndexStep {
                indexed,
                more: true,
            });
        }
        let more = self.tend().await? || self.queue_whole().await?;
        Ok(IndexStep { indexed: 0, more })
    }

    async fn tend(&self) -> Result<bool, IndexError> {
        Ok(self.indexing.index.tend(self.store(), &self.mail()).await?)
    }

    /// Takes in messages that wait; `None` if none do.
    pub(super) async fn take_in_queued(&self, limit: usize) -> Result<Option<usize>, IndexError> {
        let index = &self.indexing.index;
        if let Some(from) = index.queue_from(self.store()).await? {
            self.queue_placed(from).await?;
            return Ok(Some(0));
        }
        let range = KeyRange::all().limit(limit.max(1));
        let rows = self.store().scan(Table::Unindexed, range).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut builder = Builder::new();
        let mut batch = Batch::new();
        for (key, _) in rows {
            let hash = MessageHash::try_from(&key[..]);
            batch.delete(Table::Unindexed, key);
            if let Ok(hash) = hash {
                self.take_in_one(hash, &mut builder, &mut batch).await?;
            }
            if builder.octets() > STEP_TEXT_OCTETS {
                break;
            }
        }
        let indexed = builder.len();
        index.add(self.store(), builder, batch).await?;
        Ok(Some(indexed))
    }

    async fn take_in_one(
        &self,
        hash: MessageHash,
        builder: &mut Builder,
        batch: &mut Batch,
    ) -> Result<(), IndexError> {
        let mut came: Option<Timestamp> = None;
        self.each_place_of(&hash, &mut |_, place| {
            came = came.into_iter().chain([place.internal_date()]).min();
        });
        let Some(came) = came else {
            forget_waiting(batch, &hash);
            return Ok(());
        };
        if self.indexing.index.has(self.store(), &hash).await? {
            return Ok(());
        }
        match self.message(hash).await {
            Ok(Some(message)) => {
                builder.begin(hash, came, message.structure.size);
                let whole = index_message(self, &message, builder).await?;
                builder.finish_message(traits(&message, whole));
                match whole {
                    Wholeness::Missing => remember_waiting(batch, &hash),
                    Wholeness::Whole | Wholeness::Unreadable => forget_waiting(batch, &hash),
                }
            }
            Ok(None) => remember_waiting(batch, &hash),
            Err(ReplicaError::Store(error)) => return Err(ReplicaError::Store(error).into()),
            // It does not open, and will not next time: searches pass over it.
            Err(_) => {}
        }
        Ok(())
    }

    /// Queues messages that are placed, from a hash on: for an index that is made anew.
    async fn queue_placed(&self, from: MessageHash) -> Result<(), IndexError> {
        let hashes = self.messages_from(from, QUEUED_AT_A_TIME);
        let mut batch = Batch::new();
        for hash in &hashes {
            batch.put(Table::Unindexed, *hash.as_bytes(), Vec::new());
        }
        let next = hashes
            .last()
            .filter(|_| hashes.len() == QUEUED_AT_A_TIME)
            .and_then(next_hash);
        let index = &self.indexing.index;
        Ok(index.queued(self.store(), batch, next).await?)
    }

    /// Queues messages that were not all here and are; a few at a time, in turn.
    async fn queue_whole(&self) -> Result<bool, IndexError> {
        let from = *self.round();
        let hashes = waiting(self.store(), from.as_ref(), WAITING_AT_A_TIME).await?;
        *self.round() = hashes
            .last()
            .filter(|_| hashes.len() == WAITING_AT_A_TIME)
            .and_then(next_hash);
        let mut batch = Batch::new();
        for hash in hashes {
            if self.placements_of(hash).is_empty() {
                forget_waiting(&mut batch, &hash);
            } else if let Some(message) = self.message(hash).await?
                && self.missing_leaves(&message).await?.is_empty()
            {
                forget_waiting(&mut batch, &hash);
                batch.put(Table::Unindexed, *hash.as_bytes(), Vec::new());
            }
        }
        if batch.is_empty() {
            return Ok(false);
        }
        self.store().commit(batch).await?;
        Ok(true)
    }

    fn round(&self) -> std::sync::MutexGuard<'_, Option<MessageHash>> {
        self.indexing
            .round
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hash that follows on this one; `None` after the last.
fn next_hash(hash: &MessageHash) -> Option<MessageHash> {
    let mut octets = *hash.as_bytes();
    for octet in octets.iter_mut().rev() {
        *octet = octet.wrapping_add(1);
        if *octet != 0 {
            return Some(MessageHash::new(octets));
        }
    }
    None
}

/// How much of a message could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wholeness {
    Whole,
    /// A part does not open.
    Unreadable,
    /// A part has not come to this device.
    Missing,
}

fn traits(message: &Message, whole: Wholeness) -> Traits {
    let when = |holds: bool, traits: Traits| if holds { traits } else { Traits::NONE };
    let protection = &message.protection;
    when(message.structure.summary.has_attachment, Traits::ATTACHMENT)
        .and(when(
            protection.encryption != Encryption::None,
            Traits::ENCRYPTED,
        ))
        .and(when(
            matches!(protection.signature, SignatureStatus::Valid { .. }),
            Traits::SIGNED,
        ))
        .and(when(whole != Wholeness::Whole, Traits::INCOMPLETE))
}

/// Hands the texts of a message over. The octets that IMAP SEARCH compares with are all among
/// them: header fields decoded, every text part, the headers of messages within.
async fn index_message<S: Store>(
    replica: &Replica<S>,
    message: &Message,
    builder: &mut Builder,
) -> Result<Wholeness, ReplicaError> {
    let root = &message.structure.root;
    let mut whole = Wholeness::Whole;
    let header = piece(replica, message, root.header, &mut whole).await?;
    for field in fields(&header) {
        let known = [
            ("From", Field::From),
            ("To", Field::To),
            ("Cc", Field::Cc),
            ("Bcc", Field::Bcc),
            ("Subject", Field::Subject),
        ];
        if let Some((_, place)) = known.iter().find(|(name, _)| field.is(name)) {
            builder.text(*place, &decode_header(field.value));
        }
    }
    for name in file_names(&message.structure) {
        builder.text(Field::FileName, &name);
    }
    let mut shown_as_html = Vec::new();
    let mut rest = Vec::new();
    for found in searchable_pieces(&message.structure) {
        let octets = piece(replica, message, found.span(), &mut whole).await?;
        match found {
            SearchablePiece::HeaderWithin(_) => {
                for field in fields(&octets).filter(|field| field.is("Subject")) {
                    builder.text(Field::Body, &decode_header(field.value));
                }
                rest.push(found.decoded(&octets));
            }
            SearchablePiece::Text(part) => {
                let text = decode_text(part, &octets).0;
                if part.is_attachment() {
                    rest.push(text);
                } else if part.subtype == "html" {
                    shown_as_html.push(text);
                } else {
                    builder.text(Field::Body, &text);
                }
            }
        }
    }
    for html in &shown_as_html {
        let html = html
            .get(..html.floor_char_boundary(MAX_INDEXED_TEXT_OCTETS))
            .unwrap_or_default();
        builder.alternative(&html_to_text(html));
    }
    for text in shown_as_html.iter().chain(&rest) {
        builder.rest(text);
    }
    Ok(whole)
}

/// Octets of a message; none, and noted, where they are not here.
async fn piece<S: Store>(
    replica: &Replica<S>,
    message: &Message,
    span: Span,
    whole: &mut Wholeness,
) -> Result<Vec<u8>, ReplicaError> {
    match replica.read(message, span).await {
        Ok(octets) => Ok(octets),
        Err(ReplicaError::NotHere(_)) => {
            *whole = Wholeness::Missing;
            Ok(Vec::new())
        }
        Err(ReplicaError::Store(error)) => Err(ReplicaError::Store(error)),
        Err(_) => {
            *whole = (*whole).max(Wholeness::Unreadable);
            Ok(Vec::new())
        }
    }
}
