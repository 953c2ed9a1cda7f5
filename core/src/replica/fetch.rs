//! Reading messages: structure once, then only the octets that are asked for.

use std::sync::Arc;

use super::coding::Decoder;
use super::document::{Document, MessageDocument, content_doc_id, message_doc_id};
use super::documents::table_of;
use super::{Replica, ReplicaError, packed};
use crate::id::{DocId, MessageHash};
use crate::mime::Span;
use crate::seal::{self, AccountKeys, Collection, Header};
use crate::store::{Store, Table};

/// A message without the content of its leaves.
pub type Message = MessageDocument;

impl<S: Store> Replica<S> {
    /// A message's structure; `None` if it is not known here (yet).
    pub async fn message(&self, hash: MessageHash) -> Result<Option<Arc<Message>>, ReplicaError> {
        let id = message_doc_id(&self.keys, hash);
        match self.document(Collection::Messages, id).await? {
            Some(Document::Message(message)) => Ok(Some(Arc::from(message))),
            Some(Document::Removed(_)) | None => Ok(None),
            Some(_) => Err(ReplicaError::Row("documents")),
        }
    }

    /// The octets of a message within `span`; reads only the contents that it touches.
    ///
    /// [`ReplicaError::NotHere`] names a content that has not been synced to this device.
    pub async fn read(&self, message: &Message, span: Span) -> Result<Vec<u8>, ReplicaError> {
        let mut octets = Vec::new();
        let mut pieces = self.pieces(message, span);
        while let Some(piece) = pieces.next().await? {
            if octets.is_empty() {
                octets = piece;
            } else {
                octets.extend_from_slice(&piece);
            }
        }
        Ok(octets)
    }

    /// The whole message, octet for octet as it was stored.
    pub async fn raw(&self, message: &Message) -> Result<Vec<u8>, ReplicaError> {
        self.read(
            message,
            Span {
                start: 0,
                end: message.structure.size,
            },
        )
        .await
    }

    /// The documents of a message's contents that are not on this device.
    pub async fn missing_leaves(&self, message: &Message) -> Result<Vec<DocId>, ReplicaError> {
        let mut missing = Vec::new();
        for hash in message.contents() {
            let id = content_doc_id(&self.keys, hash);
            if self
                .store
                .get(Table::Contents, id.as_bytes())
                .await?
                .is_none()
            {
                missing.push(id);
            }
        }
        Ok(missing)
    }

    /// Opens a document; its id is proven to be that of what it says it is about.
    pub(super) async fn document(
        &self,
        collection: Collection,
        id: DocId,
    ) -> Result<Option<Document>, ReplicaError> {
        let table = table_of(collection);
        let Some(row) = self.store.get(table, id.as_bytes()).await? else {
            return Ok(None);
        };
        let mut decoder = self.decoders.take();
        let opened = open_row(&mut decoder, &self.keys, (table, id), row);
        self.decoders.give(decoder);
        opened.map(Some)
    }

    /// The newest envelope of a document.
    pub(super) async fn envelope(
        &self,
        table: Table,
        id: DocId,
    ) -> Result<Option<Vec<u8>>, ReplicaError> {
        let row = self.store.get(table, id.as_bytes()).await?;
        row.map(|row| self.unpacked(table, id, &row)).transpose()
    }

    pub(super) fn open_document(
        &self,
        id: DocId,
        envelope: &[u8],
    ) -> Result<Document, ReplicaError> {
        let mut decoder = self.decoders.take();
        let opened = open_with(&mut decoder, &self.keys, id, envelope);
        self.decoders.give(decoder);
        opened
    }
}

/// Opens a document; its id is proven to be that of what it says it is about.
pub(super) fn open_document(
    keys: &AccountKeys,
    id: DocId,
    envelope: &[u8],
) -> Result<Document, ReplicaError> {
    open_with(&mut Decoder::default(), keys, id, envelope)
}

/// The same, for whoever opens many.
pub(super) fn open_with(
    decoder: &mut Decoder,
    keys: &AccountKeys,
    id: DocId,
    envelope: &[u8],
) -> Result<Document, ReplicaError> {
    let (header, payload) = seal::open(keys, envelope)?;
    judged(decoder, keys, id, &header, &payload)
}

/// Opens a document as a store has it, in its own memory. What is in a content was hashed when it
/// came ([`open_with`]) or was made here; that the row is what was sealed for its id is proved again.
pub(super) fn open_row(
    decoder: &mut Decoder,
    keys: &AccountKeys,
    place: (Table, DocId),
    mut row: Vec<u8>,
) -> Result<Document, ReplicaError> {
    let (header, payload) = packed::open(keys, place, &mut row)?;
    let document = decoded(decoder, keys, place.1, &header, payload)?;
    if matches!(document, Document::Content(_)) || document.doc_id(keys) == place.1 {
        return Ok(document);
    }
    Err(seal::OpenError::Forged(place.1).into())
}

/// The document in a payload, if it is what is wanted.
fn judged(
    decoder: &mut Decoder,
    keys: &AccountKeys,
    id: DocId,
    header: &Header,
    payload: &[u8],
) -> Result<Document, ReplicaError> {
    let document = decoded(decoder, keys, id, header, payload)?;
    if document.doc_id(keys) != id {
        return Err(seal::OpenError::Forged(id).into());
    }
    Ok(document)
}

/// The document in a payload, if its header says that it is the wanted one.
fn decoded(
    decoder: &mut Decoder,
    keys: &AccountKeys,
    id: DocId,
    header: &Header,
    payload: &[u8],
) -> Result<Document, ReplicaError> {
    let forged = || seal::OpenError::Forged(id);
    let collection = keys.collection(header.collection);
    let collection = collection.ok_or_else(forged)?;
    let document = Document::decode_with(decoder, collection, header.document, payload)
        .map_err(|cause| ReplicaError::Document { id, cause })?;
    if header.document != id || document.collection() != collection {
        return Err(forged().into());
    }
    Ok(document)
}
