//! What something on this device refers to while it is not here: it is on its way, or another
//! device has removed it and will be answered by a device that still has it.
//!
//! Invariant: [`Table::Awaited`] names every message or content that a placement or a message on
//! this device refers to and that is not on it, and nothing else. Whoever makes a new reference
//! has all of what it refers to, and gives it to the others again if one of them removes it; so
//! nothing that is referred to is lost. A copy of a message that is still awaited would be a
//! reference that nobody answers for, and is refused. Rejected: reading every message before it
//! is copied; copies are frequent, and something awaited is rare.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::change::Change;
use super::document::{Document, message_doc_id};
use super::documents::{Standing, Written};
use super::references::Referred;
use super::{Replica, ReplicaError};
use crate::id::{DocId, MessageHash};
use crate::seal::Collection;
use crate::store::{KeyRange, Store, Table};

/// What a change has made of [`Table::Awaited`].
#[derive(Debug, Default)]
pub(super) struct Awaited {
    /// Whether the table had any row before; `None` if nobody has asked.
    any: Option<bool>,
    /// Whether it has got one.
    gets_one: bool,
    edits: BTreeMap<DocId, bool>,
}

/// After which write the table is known to have no row: nearly always the last. Whoever writes has
/// to know, and asking the store takes as long as the rest of a change of flags.
#[derive(Debug, Default)]
pub(super) struct NothingAwaited(Mutex<Option<u64>>);

impl NothingAwaited {
    pub(super) fn at(&self, writes: u64) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) == Some(writes)
    }

    pub(super) fn note(&self, writes: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(writes);
    }
}

impl Awaited {
    /// For a change that comes after a write.
    pub(super) fn after(nothing: &NothingAwaited, writes: u64) -> Self {
        Self {
            any: nothing.at(writes).then_some(false),
            ..Self::default()
        }
    }

    /// Whether the table is known to have no row after this change.
    pub(super) fn leaves_nothing(&self) -> bool {
        self.any == Some(false) && !self.gets_one
    }

    /// It was let go and is still referred to.
    pub(super) fn begin(&mut self, id: DocId) {
        self.edits.insert(id, true);
    }

    /// It has come, or nothing refers to it any more.
    pub(super) fn end(&mut self, id: DocId) {
        self.edits.insert(id, false);
    }
}

impl<S: Store> Change<'_, S> {
    /// Something refers to it that did not before.
    pub(super) async fn note_referred(&mut self, referred: Referred) -> Result<(), ReplicaError> {
        if !self.is_here(referred).await? {
            let id = self.replica.doc_id_of(referred);
            self.awaited.edits.insert(id, true);
        }
        Ok(())
    }

    /// The same for a content that no message has referred to before: if it is here, it is garbage.
    pub(super) async fn note_first(&mut self, content: Referred) -> Result<(), ReplicaError> {
        let id = self.replica.doc_id_of(content);
        let garbage = self.row(Table::Garbage, &content.garbage_key()).await?;
        if garbage.is_none() && !self.written.contains_key(&id) {
            self.awaited.begin(id);
            return Ok(());
        }
        self.note_referred(content).await
    }

    /// The same for many messages, with two questions to the store: a mailbox may come at once.
    pub(super) async fn note_referred_messages(
        &mut self,
        messages: &[MessageHash],
    ) -> Result<(), ReplicaError> {
        let mut others = Vec::new();
        for hash in messages {
            let id = message_doc_id(&self.replica.keys, *hash);
            if self.written.contains_key(&id) {
                self.note_referred(Referred::Message(*hash)).await?;
            } else {
                others.push((*hash, id));
            }
        }
        if others.is_empty() {
            return Ok(());
        }
        let store = &self.replica.store;
        let keys = others.iter();
        let keys = keys.map(|(hash, _)| Referred::Message(*hash).garbage_key());
        let garbage = store.get_many(Table::Garbage, keys.collect()).await?;
        let keys = others.iter().map(|(_, id)| id.as_bytes().to_vec());
        let rows = store.get_many(Table::Documents, keys.collect()).await?;
        for (((hash, id), garbage), row) in others.into_iter().zip(garbage).zip(rows) {
            if garbage.is_none() && row.is_none() {
                self.awaited.begin(id);
            } else {
                self.note_referred(Referred::Message(hash)).await?;
            }
        }
        Ok(())
    }

    /// Whether a document is referred to and not here, with this change's edits.
    pub(super) async fn is_awaited(&mut self, id: DocId) -> Result<bool, ReplicaError> {
        if let Some(edited) = self.awaited.edits.get(&id) {
            return Ok(*edited);
        }
        if !self.awaits_any().await? {
            return Ok(false);
        }
        let row = self.row(Table::Awaited, id.as_bytes()).await?;
        Ok(row.is_some())
    }

    /// [`ReplicaError::NotHere`] unless a message that is referred to is here with all its
    /// contents, and with the message as it was received.
    pub(super) async fn must_be_whole(&mut self, message: MessageHash) -> Result<(), ReplicaError> {
        if self.awaited.edits.is_empty() && !self.awaits_any().await? {
            return Ok(());
        }
        let mut messages = vec![message];
        while let Some(hash) = messages.pop() {
            let id = message_doc_id(&self.replica.keys, hash);
            let envelope = self.envelope(Collection::Messages, id).await?;
            let envelope = envelope.ok_or(ReplicaError::NotHere(id))?;
            let Document::Message(message) = self.replica.open_document(id, &envelope)? else {
                return Err(ReplicaError::NotHere(id));
            };
            for referred in self.replica.referred(&message) {
                let id = self.replica.doc_id_of(referred);
                if self.is_awaited(id).await? {
                    return Err(ReplicaError::NotHere(id));
                }
                if let Referred::Message(received) = referred {
                    messages.push(received);
                }
            }
        }
        Ok(())
    }

    /// Writes what has changed.
    pub(super) async fn finish_awaited(&mut self) -> Result<(), ReplicaError> {
        for (id, awaited) in core::mem::take(&mut self.awaited.edits) {
            if awaited {
                self.awaited.gets_one = true;
                self.batch.put(Table::Awaited, *id.as_bytes(), Vec::new());
            } else if self.awaits_any().await? {
                self.batch.delete(Table::Awaited, *id.as_bytes());
            }
        }
        Ok(())
    }

    async fn awaits_any(&mut self) -> Result<bool, ReplicaError> {
        if let Some(any) = self.awaited.any {
            return Ok(any);
        }
        let any = self.replica.awaits_any().await?;
        self.awaited.any = Some(any);
        Ok(any)
    }

    async fn is_here(&self, referred: Referred) -> Result<bool, ReplicaError> {
        let id = self.replica.doc_id_of(referred);
        match self.written.get(&id) {
            Some(Written::Waits(_) | Written::Settled) => return Ok(true),
            Some(Written::Removed(_) | Written::Forgotten) => return Ok(false),
            None => {}
        }
        // What came before its first reference is garbage until then: a small row to look at.
        let garbage = self.row(Table::Garbage, &referred.garbage_key()).await?;
        if garbage.is_some() {
            return Ok(true);
        }
        let collection = match referred {
            Referred::Message(_) => Collection::Messages,
            Referred::Content(_) => Collection::Contents,
        };
        let standing = self.standing(collection, id).await?;
        Ok(matches!(standing, Standing::Here(_)))
    }
}

impl<S: Store> Replica<S> {
    /// What is referred to and not on this device yet.
    pub async fn awaited(&self) -> Result<Vec<DocId>, ReplicaError> {
        let rows = self.store.scan(Table::Awaited, KeyRange::all()).await?;
        let id = |(key, _): (Vec<u8>, Vec<u8>)| DocId::try_from(&key[..]);
        let ids = rows.into_iter().map(id);
        let ids = ids.collect::<Result<_, _>>();
        ids.map_err(|_| ReplicaError::Row(Table::Awaited.name()))
    }

    /// Whether anything that is referred to is not on this device yet.
    pub async fn awaits_any(&self) -> Result<bool, ReplicaError> {
        let first = KeyRange::all().limit(1);
        let rows = self.store.scan(Table::Awaited, first).await?;
        Ok(!rows.is_empty())
    }
}
