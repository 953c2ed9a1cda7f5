//! The sealed documents of a change: written, settled as the provider has them, or forgotten.
//!
//! Every envelope is in the table of its collection, and what the provider does not have yet has
//! a row that says what it follows there. Invariant: a document that waits has its envelope on
//! this device, and a removal is here only as long as it waits; a device remembers nothing of
//! what is gone. (If it comes again, the provider tells which revision it must follow.)

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::document::Document;
use super::{ReplicaError, decode_row, encode_row};
use crate::id::{DocId, Revision};
use crate::seal::{self, Collection, EnvelopeHash, Header, Place};
use crate::store::{Op, Store, Table};

/// What the provider has of a document that waits to be pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Base(pub(super) Option<(Revision, EnvelopeHash)>);

impl Base {
    /// The revision to write next, and the hash of the one before.
    fn next(self) -> Result<(Revision, EnvelopeHash), ReplicaError> {
        match self.0 {
            None => Ok((Revision::ONE, [0; 32])),
            Some((revision, hash)) => Ok((revision.next().ok_or(ReplicaError::Exhausted)?, hash)),
        }
    }
}

/// What this change has made of a document.
#[derive(Debug, Clone, Copy)]
pub(super) enum Written {
    /// Sealed here; it follows what the provider has.
    Waits(Base),
    /// As the provider has it.
    Settled,
    /// Its removal is sealed here.
    Removed(Base),
    /// Not on this device any more.
    Forgotten,
}

/// How a document stands on this device, with a change's edits.
#[derive(Debug)]
pub(super) enum Standing {
    /// It is not here.
    Absent,
    /// Its removal waits to be pushed.
    Removed(Base),
    /// Its newest envelope.
    Here(Vec<u8>),
}

impl<S: Store> Change<'_, S> {
    /// Seals a document changed on this device and lets it wait to be pushed.
    pub(super) async fn write(&mut self, document: &Document) -> Result<DocId, ReplicaError> {
        let id = document.doc_id(&self.replica.keys);
        let base = match self.standing(document.collection(), id).await? {
            Standing::Absent => Base(None),
            Standing::Removed(base) => base,
            Standing::Here(envelope) => {
                if let Some(base) = self.pending(class(document), id).await? {
                    base
                } else {
                    let header = Header::parse(&envelope).map_err(seal::OpenError::from)?;
                    Base(Some((header.revision, seal::hash(&envelope))))
                }
            }
        };
        self.write_over(id, document, base)?;
        Ok(id)
    }

    /// Seals a document to follow what the provider has; returns the envelope.
    pub(super) fn write_over(
        &mut self,
        id: DocId,
        document: &Document,
        base: Base,
    ) -> Result<Vec<u8>, ReplicaError> {
        let (revision, previous) = base.next()?;
        let collection = document.collection();
        let replica = self.replica.id;
        let place = Place {
            collection,
            document: id,
            revision,
            previous,
            replica,
        };
        // What the provider would refuse must not wait: it would hold up all that comes after.
        let payload = document.encode();
        let payload = payload.map_err(|_| ReplicaError::MessageTooLarge)?;
        let envelope = seal::seal(&self.replica.keys, place, &payload, &mut *self.rng)?;
        let class = class(document);
        self.stop_waiting(collection, id, Some(class));
        self.batch
            .put(Table::Pending, pending_key(class, id), encode_row(&base));
        let row = self.replica.packed(&envelope);
        let written = match document {
            Document::Removed(_) => Written::Removed(base),
            _ => Written::Waits(base),
        };
        let is_here = matches!(written, Written::Waits(_));
        self.note_kept(collection, id, is_here.then_some(row.len()));
        self.batch.put(table_of(collection), *id.as_bytes(), row);
        self.note_written(collection, id, written);
        Ok(envelope)
    }

    /// Stores an envelope as the provider has it; nothing of it waits any more.
    pub(super) fn settle(&mut self, document: &Document, id: DocId, envelope: &[u8]) {
        let collection = document.collection();
        if removable_classes(collection).is_some() {
            self.stop_waiting(collection, id, None);
        } else {
            let key = pending_key(class(document), id);
            self.batch.delete(Table::Pending, key);
        }
        let row = self.replica.packed(envelope);
        self.note_kept(collection, id, Some(row.len()));
        self.batch.put(table_of(collection), *id.as_bytes(), row);
        self.note_written(collection, id, Written::Settled);
    }

    fn note_written(&mut self, collection: Collection, id: DocId, written: Written) {
        let is_here = matches!(written, Written::Waits(_) | Written::Settled);
        if is_here && removable_classes(collection).is_some() {
            self.awaited.end(id);
        }
        self.written.insert(id, written);
    }

    /// Deletes a message's or content's envelope from this device; nothing of it waits any more.
    pub(super) fn forget(&mut self, collection: Collection, id: DocId) {
        self.stop_waiting(collection, id, None);
        self.note_kept(collection, id, None);
        self.batch.delete(table_of(collection), *id.as_bytes());
        self.written.insert(id, Written::Forgotten);
    }

    /// A message or content waits under one class when it is written and under another when it
    /// is removed: deletes those rows, but not that of the class to keep.
    fn stop_waiting(&mut self, collection: Collection, id: DocId, keep: Option<u8>) {
        for class in removable_classes(collection).into_iter().flatten() {
            if keep != Some(class) {
                self.batch.delete(Table::Pending, pending_key(class, id));
            }
        }
    }

    /// How a document stands on this device, with this change's edits.
    pub(super) async fn standing(
        &self,
        collection: Collection,
        id: DocId,
    ) -> Result<Standing, ReplicaError> {
        let table = table_of(collection);
        match self.written.get(&id) {
            Some(Written::Removed(base)) => return Ok(Standing::Removed(*base)),
            Some(Written::Forgotten) => return Ok(Standing::Absent),
            Some(Written::Waits(_) | Written::Settled) => {
                let envelope = self.in_batch(table, id)?;
                return Ok(envelope.map_or(Standing::Absent, Standing::Here));
            }
            None => {}
        }
        let Some(envelope) = self.stored(table, id).await? else {
            return Ok(Standing::Absent);
        };
        if let Some([_, removed]) = removable_classes(collection)
            && let Some(base) = self.pending(removed, id).await?
        {
            return Ok(Standing::Removed(base));
        }
        Ok(Standing::Here(envelope))
    }

    /// The newest envelope of a document, with this change's edits.
    pub(super) async fn envelope(
        &self,
        collection: Collection,
        id: DocId,
    ) -> Result<Option<Vec<u8>>, ReplicaError> {
        let table = table_of(collection);
        match self.written.get(&id) {
            Some(Written::Forgotten) => Ok(None),
            Some(Written::Waits(_) | Written::Settled | Written::Removed(_)) => {
                self.in_batch(table, id)
            }
            None => self.stored(table, id).await,
        }
    }

    /// The newest envelope of a document as the store has it.
    async fn stored(&self, table: Table, id: DocId) -> Result<Option<Vec<u8>>, ReplicaError> {
        let row = self.row(table, id.as_bytes()).await?;
        row.map(|row| self.replica.unpacked(table, id, &row))
            .transpose()
    }

    /// What the provider has of a document, if one waits to be pushed in this class.
    pub(super) async fn pending(&self, class: u8, id: DocId) -> Result<Option<Base>, ReplicaError> {
        match self.written.get(&id) {
            Some(Written::Waits(base) | Written::Removed(base)) => return Ok(Some(*base)),
            Some(Written::Settled | Written::Forgotten) => return Ok(None),
            None => {}
        }
        let key = pending_key(class, id);
        let row = self.replica.store.get(Table::Pending, &key).await?;
        row.map(|row| decode_row(Table::Pending, &row)).transpose()
    }

    /// What this change writes there. Asked for only where a document is written twice.
    fn in_batch(&self, table: Table, id: DocId) -> Result<Option<Vec<u8>>, ReplicaError> {
        let row = self.batch.ops.iter().rev().find_map(|op| match op {
            Op::Put(in_table, key, row) if *in_table == table && key[..] == id.as_bytes()[..] => {
                Some(row)
            }
            Op::Put(..) | Op::Delete(..) => None,
        });
        row.map(|row| self.replica.unpacked(table, id, row))
            .transpose()
    }
}

/// The table that the envelopes of a collection are in.
pub(super) const fn table_of(collection: Collection) -> Table {
    match collection {
        Collection::Contents => Table::Contents,
        Collection::Keys | Collection::Mail | Collection::Messages | Collection::Contacts => {
            Table::Documents
        }
    }
}

/// Pending rows sort in the order in which they must be pushed: what others refer to first, what
/// nothing refers to any more last.
pub(super) const fn class(document: &Document) -> u8 {
    match document {
        Document::Key(_) => PENDING_KEY,
        Document::Content(_) => 1,
        Document::Message(_) => 2,
        Document::Contact(_) | Document::Directory(_) | Document::Statement(_) => 3,
        Document::Mailbox(_) => 4,
        Document::Page(_) => PENDING_PAGE,
        Document::Annotations(_) => PENDING_ANNOTATIONS,
        Document::Removed(removed) => match removed.collection {
            Collection::Contents => PENDING_CONTENT_REMOVED,
            _ => PENDING_MESSAGE_REMOVED,
        },
    }
}

/// What the keys of contents begin with that wait to be pushed.
pub(super) const fn pending_contents() -> [u8; 1] {
    [1]
}

/// Keys come first: what is encrypted to them is worth nothing without them.
pub(super) const PENDING_KEY: u8 = 0;
/// Pages come after the messages and mailboxes that they name.
pub(super) const PENDING_PAGE: u8 = 5;
/// Annotations come after the mailboxes that they are of.
const PENDING_ANNOTATIONS: u8 = 6;
const PENDING_MESSAGE_REMOVED: u8 = 7;
const PENDING_CONTENT_REMOVED: u8 = 8;

/// The class of a message or content that is written, and that of its removal.
pub(super) const fn removable_classes(collection: Collection) -> Option<[u8; 2]> {
    match collection {
        Collection::Contents => Some([1, PENDING_CONTENT_REMOVED]),
        Collection::Messages => Some([2, PENDING_MESSAGE_REMOVED]),
        Collection::Keys | Collection::Mail | Collection::Contacts => None,
    }
}

/// The table with the envelope of what waits in this class.
pub(super) const fn table_of_class(class: u8) -> Table {
    match class {
        1 | PENDING_CONTENT_REMOVED => Table::Contents,
        _ => Table::Documents,
    }
}

pub(super) fn pending_key(class: u8, id: DocId) -> Vec<u8> {
    [&[class], &id.as_bytes()[..]].concat()
}

/// Removals of incoming messages come after every document.
pub(super) const PENDING_REMOVAL: u8 = 9;
