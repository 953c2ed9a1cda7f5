//! What refers to what: counted as messages come and go, so that what nothing refers to is found
//! without looking through everything.
//!
//! A message refers to its contents and, if it was rendered otherwise than it was received, to
//! the message as received; a placement refers to its message. [`Table::References`] has for each
//! document how many messages refer to it, each counted once; the placements are counted by the
//! view. What loses its last reference gets a row in [`Table::Garbage`] in the same batch.
//!
//! Invariant: every message or content on this device that nothing refers to has a row in
//! [`Table::Garbage`], whatever came first: the reference or what it refers to. Rejected: marking
//! from the placements and sweeping; it reads every message of an account to find a few.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::document::{Document, MessageDocument, content_doc_id, message_doc_id};
use super::{Replica, ReplicaError, decode_row, encode_row};
use crate::id::{DocId, MessageHash, Timestamp};
use crate::store::{Store, Table};

/// First octet of the garbage rows of messages: a message is looked at before its contents are.
const MESSAGE: u8 = 1;
/// First octet of the garbage rows of contents.
const CONTENT: u8 = 2;

/// What a message refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Referred {
    /// Another message, as it was received.
    Message(MessageHash),
    /// A content.
    Content(DocId),
}

impl Referred {
    /// The key of its row in [`Table::Garbage`].
    pub(super) fn garbage_key(self) -> Vec<u8> {
        match self {
            Self::Message(hash) => [&[MESSAGE], &hash.as_bytes()[..]].concat(),
            Self::Content(id) => [&[CONTENT], &id.as_bytes()[..]].concat(),
        }
    }

    /// What a row in [`Table::Garbage`] is about.
    pub(super) fn from_garbage_key(key: &[u8]) -> Result<Self, ReplicaError> {
        let damaged = || ReplicaError::Row(Table::Garbage.name());
        let (&kind, id) = key.split_first().ok_or_else(damaged)?;
        match kind {
            MESSAGE => id.try_into().map(Self::Message).map_err(|_| damaged()),
            CONTENT => id.try_into().map(Self::Content).map_err(|_| damaged()),
            _ => Err(damaged()),
        }
    }
}

/// A row of [`Table::Garbage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Garbage {
    /// Since when nothing refers to it.
    pub(super) since: Timestamp,
    /// It came from another device, and what refers to it may still be on its way.
    pub(super) arrived: bool,
}

impl Garbage {
    /// What has lost its last reference on this device.
    pub(super) const fn since(since: Timestamp) -> Self {
        Self {
            since,
            arrived: false,
        }
    }
}

impl<S: Store> Replica<S> {
    /// What a message refers to, each once.
    pub(super) fn referred(&self, message: &MessageDocument) -> BTreeSet<Referred> {
        let contents = message.contents().into_iter();
        let contents =
            contents.map(|content| Referred::Content(content_doc_id(&self.keys, content)));
        contents
            .chain(message.received_as.map(Referred::Message))
            .collect()
    }

    pub(super) fn doc_id_of(&self, referred: Referred) -> DocId {
        match referred {
            Referred::Message(hash) => message_doc_id(&self.keys, hash),
            Referred::Content(id) => id,
        }
    }
}

impl<S: Store> Change<'_, S> {
    /// Counts the references of a message that comes (`new`), goes (`old`), or comes in place of
    /// another version of itself. What has none any more has had none since `since`.
    pub(super) async fn recount(
        &mut self,
        old: Option<&MessageDocument>,
        new: Option<&MessageDocument>,
        since: Timestamp,
    ) -> Result<(), ReplicaError> {
        match (old, new) {
            (_, Some(message)) => self.note_link(message),
            (Some(message), None) => self.drop_link(message.hash),
            (None, None) => {}
        }
        let referred = |message: Option<&MessageDocument>| {
            message.map_or_else(BTreeSet::new, |message| self.replica.referred(message))
        };
        let (old, new) = (referred(old), referred(new));
        for gone in old.difference(&new) {
            let id = self.replica.doc_id_of(*gone);
            let count = self.count(id).await?.saturating_sub(1);
            self.counts.insert(id, count);
            self.keep_or_discard(*gone, Garbage::since(since)).await?;
        }
        for come in new.difference(&old) {
            let id = self.replica.doc_id_of(*come);
            let is_counted = self.counts.contains_key(&id);
            let count = self.count(id).await?;
            self.counts.insert(id, count.saturating_add(1));
            if count == 0 {
                match come {
                    Referred::Content(_) if !is_counted => self.note_first(*come).await?,
                    _ => self.note_referred(*come).await?,
                }
                self.batch.delete(Table::Garbage, come.garbage_key());
            }
        }
        Ok(())
    }

    /// How many messages refer to a document, with this change's edits.
    pub(super) async fn count(&self, id: DocId) -> Result<u32, ReplicaError> {
        if let Some(count) = self.counts.get(&id) {
            return Ok(*count);
        }
        let row = self.row(Table::References, id.as_bytes()).await?;
        row.map_or(Ok(0), |row| decode_row(Table::References, &row))
    }

    /// Whether anything refers to it, with this change's edits.
    pub(super) async fn is_referred(&self, referred: Referred) -> Result<bool, ReplicaError> {
        let is_placed = match referred {
            Referred::Message(hash) => self.is_placed(hash),
            Referred::Content(_) => false,
        };
        Ok(is_placed || self.count(self.replica.doc_id_of(referred)).await? > 0)
    }

    /// Whether it must stay: something refers to it, or a message that is being appended will.
    pub(super) async fn is_needed(&self, referred: Referred) -> Result<bool, ReplicaError> {
        let is_staged = match referred {
            Referred::Message(_) => false,
            Referred::Content(id) => self.replica.is_staged(id),
        };
        Ok(is_staged || self.is_referred(referred).await?)
    }

    /// Lets the collector look at it later, unless something refers to it or it is not here.
    pub(super) async fn keep_or_discard(
        &mut self,
        referred: Referred,
        garbage: Garbage,
    ) -> Result<(), ReplicaError> {
        if self.is_referred(referred).await? {
            return Ok(());
        }
        let id = self.replica.doc_id_of(referred);
        if self.is_awaited(id).await? {
            self.awaited.end(id);
        } else {
            self.discard(referred, garbage);
        }
        Ok(())
    }

    /// Lets the collector look at it later.
    pub(super) fn discard(&mut self, referred: Referred, garbage: Garbage) {
        let row = encode_row(&garbage);
        self.batch.put(Table::Garbage, referred.garbage_key(), row);
    }

    /// Nothing is left for the collector.
    pub(super) fn drop_garbage(&mut self, referred: Referred) {
        self.batch.delete(Table::Garbage, referred.garbage_key());
    }

    /// What a message or content is, as something that is referred to.
    pub(super) fn as_referred(&self, document: &Document) -> Option<Referred> {
        match document {
            Document::Message(message) => Some(Referred::Message(message.hash)),
            Document::Content(_) => Some(Referred::Content(document.doc_id(&self.replica.keys))),
            Document::Key(_)
            | Document::Mailbox(_)
            | Document::Page(_)
            | Document::Annotations(_)
            | Document::Contact(_)
            | Document::Directory(_)
            | Document::Statement(_)
            | Document::Removed(_) => None,
        }
    }

    /// Notes that a message is in a place more than before, or in one fewer.
    pub(super) fn note_place(&mut self, message: MessageHash, change: i64) {
        let moved = self.moved.entry(message).or_default();
        *moved = moved.saturating_add(change);
    }

    /// Whether a message is in any mailbox, with this change's edits.
    pub(super) fn is_placed(&self, message: MessageHash) -> bool {
        let moved = self.moved.get(&message).copied().unwrap_or(0);
        self.places_before(message).saturating_add(moved) > 0
    }

    /// Last step before the commit: writes the counts, and which messages came into a first
    /// mailbox or left the last.
    pub(super) async fn note_garbage(&mut self) -> Result<(), ReplicaError> {
        let mut come = Vec::new();
        for (message, moved) in self.moved.clone() {
            let before = self.places_before(message);
            let is_placed = before.saturating_add(moved) > 0;
            let referred = Referred::Message(message);
            if is_placed && before == 0 {
                come.push(message);
                self.batch.delete(Table::Garbage, referred.garbage_key());
            } else if !is_placed && before > 0 {
                let garbage = Garbage::since(self.now);
                self.keep_or_discard(referred, garbage).await?;
            }
        }
        self.note_referred_messages(&come).await?;
        for (id, count) in core::mem::take(&mut self.counts) {
            if count == 0 {
                self.batch.delete(Table::References, *id.as_bytes());
            } else {
                self.batch
                    .put(Table::References, *id.as_bytes(), encode_row(&count));
            }
        }
        self.finish_awaited().await
    }

    /// In how many places a message was before this change.
    pub(super) fn places_before(&self, message: MessageHash) -> i64 {
        let places = self.replica.view().places_of(message).count();
        i64::try_from(places).unwrap_or(i64::MAX)
    }
}
