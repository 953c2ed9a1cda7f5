//! Reading a message piece by piece: never more of it in memory than one content.
//!
//! For exports and for IMAP literals of large attachments. Pieces of a leaf are as long as its
//! contents, so each content is opened once.

use super::document::{CONTENT_OCTETS, Document, content_doc_id};
use super::{Message, Replica, ReplicaError};
use crate::mime::{Piece, Span};
use crate::seal::Collection;
use crate::store::{Store, Table};

/// The octets of a span of a message, in order.
#[must_use = "nothing is read until the next piece is asked for"]
pub struct Pieces<'a, S> {
    replica: &'a Replica<S>,
    message: &'a Message,
    /// What is left of the run of octets that is being read.
    current: Option<Piece>,
    rest: std::vec::IntoIter<Piece>,
}

impl<S: Store> Replica<S> {
    /// Reads the octets of a message within `span`, piece by piece.
    pub fn pieces<'a>(&'a self, message: &'a Message, span: Span) -> Pieces<'a, S> {
        Pieces {
            replica: self,
            message,
            current: None,
            rest: message.structure.pieces(span).into_iter(),
        }
    }

    /// Whether all octets of a message within `span` are on this device: whoever promises their
    /// number before he reads them asks first.
    pub async fn is_here(&self, message: &Message, span: Span) -> Result<bool, ReplicaError> {
        for piece in message.structure.pieces(span) {
            let Piece::Leaf { index, range } = piece else {
                continue;
            };
            let leaf = message.leaves.get(index).ok_or_else(damaged)?;
            let first = range.start.wrapping_div(CONTENT_OCTETS);
            let end = range.end.div_ceil(CONTENT_OCTETS);
            let contents = leaf.pieces.get(first..end).ok_or_else(damaged)?;
            for hash in contents {
                let id = content_doc_id(&self.keys, *hash);
                let row = self.store.get(Table::Contents, id.as_bytes()).await?;
                if row.is_none() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

impl<S: Store> Pieces<'_, S> {
    /// The next octets, at most [`CONTENT_OCTETS`] of them and at least one; `None` at the end.
    ///
    /// [`ReplicaError::NotHere`] names a content that has not been synced to this device.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ReplicaError> {
        let Some(piece) = self.current.take().or_else(|| self.rest.next()) else {
            return Ok(None);
        };
        match piece {
            Piece::Skeleton(range) => {
                let end = range.end.min(range.start.saturating_add(CONTENT_OCTETS));
                if end < range.end {
                    self.current = Some(Piece::Skeleton(end..range.end));
                }
                let octets = self.message.skeleton.get(range.start..end);
                octets
                    .map(|octets| Some(octets.to_vec()))
                    .ok_or_else(damaged)
            }
            Piece::Leaf { index, range } => {
                let number = range.start.wrapping_div(CONTENT_OCTETS);
                let content_start = number.saturating_mul(CONTENT_OCTETS);
                let end = range.end.min(content_start.saturating_add(CONTENT_OCTETS));
                if end < range.end {
                    let range = end..range.end;
                    self.current = Some(Piece::Leaf { index, range });
                }
                let within =
                    range.start.saturating_sub(content_start)..end.saturating_sub(content_start);
                self.content(index, number, within).await.map(Some)
            }
        }
    }

    async fn content(
        &self,
        leaf: usize,
        number: usize,
        range: core::ops::Range<usize>,
    ) -> Result<Vec<u8>, ReplicaError> {
        let leaf = self.message.leaves.get(leaf).ok_or_else(damaged)?;
        let hash = leaf.pieces.get(number).ok_or_else(damaged)?;
        let id = content_doc_id(&self.replica.keys, *hash);
        let document = self.replica.document(Collection::Contents, id).await?;
        let Some(Document::Content(mut octets)) = document else {
            return Err(ReplicaError::NotHere(id));
        };
        if octets.len() < range.end {
            return Err(damaged());
        }
        octets.truncate(range.end);
        octets.drain(..range.start);
        Ok(octets)
    }
}

fn damaged() -> ReplicaError {
    ReplicaError::Row(Table::Documents.name())
}
