//! Reading messages: structure once, then only the octets that are asked for.

use std::sync::Arc;

use super::document::{Document, MessageDocument, content_doc_id, message_doc_id};
use super::{Replica, ReplicaError};
use crate::id::{DocId, MessageHash};
use crate::mime::{Piece, Span};
use crate::seal;
use crate::store::{Store, Table};

/// A message without the content of its leaves.
pub type Message = MessageDocument;

impl<S: Store> Replica<S> {
    /// A message's structure; `None` if it is not known here (yet).
    pub async fn message(&self, hash: MessageHash) -> Result<Option<Arc<Message>>, ReplicaError> {
        let id = message_doc_id(&self.keys, hash);
        match self.document(id).await? {
            Some(Document::Message(message)) => Ok(Some(Arc::from(message))),
            Some(_) => Err(ReplicaError::Row("documents")),
            None => Ok(None),
        }
    }

    /// The octets of a message within `span`; reads only the leaves that it touches.
    ///
    /// [`ReplicaError::NotHere`] names a leaf that has not been synced to this device.
    pub async fn read(&self, message: &Message, span: Span) -> Result<Vec<u8>, ReplicaError> {
        let damaged = || ReplicaError::Row("documents");
        let mut octets = Vec::new();
        for piece in message.structure.pieces(span) {
            match piece {
                Piece::Skeleton(range) => {
                    octets.extend_from_slice(message.skeleton.get(range).ok_or_else(damaged)?);
                }
                Piece::Leaf { index, range } => {
                    let hash = message.leaves.get(index).ok_or_else(damaged)?;
                    let id = content_doc_id(&self.keys, *hash);
                    let Some(Document::Content(leaf)) = self.document(id).await? else {
                        return Err(ReplicaError::NotHere(id));
                    };
                    octets.extend_from_slice(leaf.get(range).ok_or_else(damaged)?);
                }
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

    /// The documents of a message's leaves that are not on this device.
    pub async fn missing_leaves(&self, message: &Message) -> Result<Vec<DocId>, ReplicaError> {
        let mut missing = Vec::new();
        for hash in &message.leaves {
            let id = content_doc_id(&self.keys, *hash);
            if self
                .store
                .get(Table::Documents, id.as_bytes())
                .await?
                .is_none()
            {
                missing.push(id);
            }
        }
        Ok(missing)
    }

    /// Opens a document; its id is proven to be that of what it says it is about.
    pub(super) async fn document(&self, id: DocId) -> Result<Option<Document>, ReplicaError> {
        let envelope = self.store.get(Table::Documents, id.as_bytes()).await?;
        envelope
            .map(|envelope| self.open_document(id, &envelope))
            .transpose()
    }

    pub(super) fn open_document(
        &self,
        id: DocId,
        envelope: &[u8],
    ) -> Result<Document, ReplicaError> {
        let (_, payload) = seal::open(&self.keys, envelope)?;
        let document =
            Document::decode(&payload).map_err(|cause| ReplicaError::Document { id, cause })?;
        if document.doc_id(&self.keys) != id {
            return Err(seal::OpenError::Forged(id).into());
        }
        Ok(document)
    }
}
