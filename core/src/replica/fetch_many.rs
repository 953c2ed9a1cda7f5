//! Reading many messages at once: one question to the store instead of one for each.
//!
//! Invariant: what is damaged or missing fails alone, unless the store itself fails. Whoever asks
//! bounds how much that is. Rejected: reading ahead by itself; only who asks knows what is next.

use std::sync::Arc;

use super::coding::Decoder;
use super::document::{CONTENT_OCTETS, Document, content_doc_id, message_doc_id};
use super::documents::table_of;
use super::fetch::open_row;
use super::{Message, Replica, ReplicaError};
use crate::id::{DocId, MessageHash};
use crate::mime::{Piece, Span};
use crate::seal::Collection;
use crate::store::{Store, Table};

/// A run of octets of a message.
enum Run {
    /// Of the skeleton.
    Skeleton(core::ops::Range<usize>),
    /// Of a content.
    Content(DocId, core::ops::Range<usize>),
}

impl<S: Store> Replica<S> {
    /// The structures of messages, in their order; `None` for one that is not known here (yet).
    pub async fn messages(
        &self,
        hashes: &[MessageHash],
    ) -> Result<Vec<Result<Option<Arc<Message>>, ReplicaError>>, ReplicaError> {
        let ids = hashes.iter().map(|hash| message_doc_id(&self.keys, *hash));
        let ids: Vec<DocId> = ids.collect();
        if let [id] = ids[..]
            && let Some(message) = self.recent.message(id)
        {
            return Ok(vec![Ok(Some(message))]);
        }
        let keys = ids.iter().map(|id| id.as_bytes().to_vec()).collect();
        let table = table_of(Collection::Messages);
        let rows = self.store.get_many(table, keys).await?;
        let mut decoder = self.decoders.take();
        let is_one = ids.len() == 1;
        let messages = ids.into_iter().zip(rows).map(|(id, row)| {
            let Some(row) = row else { return Ok(None) };
            match open_row(&mut decoder, &self.keys, (table, id), row)? {
                Document::Message(message) => {
                    let message = Arc::from(message);
                    if is_one {
                        self.recent.keep_message(id, &message);
                    }
                    Ok(Some(message))
                }
                Document::Removed(_) => Ok(None),
                _ => Err(ReplicaError::Row(table.name())),
            }
        });
        let messages = messages.collect();
        self.decoders.give(decoder);
        Ok(messages)
    }

    /// The octets of spans of messages, as [`Replica::read`] gives them one by one.
    pub async fn read_many(
        &self,
        wanted: &[(Arc<Message>, Span)],
    ) -> Result<Vec<Result<Vec<u8>, ReplicaError>>, ReplicaError> {
        if let [(message, span)] = wanted {
            return Ok(vec![self.read_one(message, *span).await]);
        }
        let mut plans = Vec::with_capacity(wanted.len());
        let mut keys = Vec::new();
        for (message, span) in wanted {
            let plan = self.runs(message, *span);
            for run in plan.iter().flatten() {
                if let Run::Content(id, _) = run {
                    keys.push(id.as_bytes().to_vec());
                }
            }
            plans.push(plan);
        }
        let rows = if keys.is_empty() {
            Vec::new()
        } else {
            self.store.get_many(Table::Contents, keys).await?
        };
        let mut rows = rows.into_iter();
        let mut decoder = self.decoders.take();
        let read = wanted.iter().zip(plans).map(|((message, span), plan)| {
            // A plan takes its rows even where it fails, for those behind it.
            let plan = plan?;
            let contents = plan.iter().filter(|run| matches!(run, Run::Content(..)));
            let rows: Vec<Option<Vec<u8>>> = rows.by_ref().take(contents.count()).collect();
            self.joined(&mut decoder, (message, *span), plan, rows)
        });
        let read = read.collect();
        self.decoders.give(decoder);
        Ok(read)
    }

    /// The octets of a span of one message, of which more may be asked for next.
    async fn read_one(&self, message: &Message, span: Span) -> Result<Vec<u8>, ReplicaError> {
        let most = span.len().min(message.structure.size);
        let mut octets = Vec::with_capacity(usize::try_from(most).unwrap_or(0));
        for run in self.runs(message, span)? {
            match run {
                Run::Skeleton(range) => {
                    octets.extend_from_slice(message.skeleton.get(range).ok_or_else(damaged)?);
                }
                Run::Content(id, range) => {
                    let content = self.content(id).await?;
                    octets.extend_from_slice(content.get(range).ok_or_else(damaged)?);
                }
            }
        }
        Ok(octets)
    }

    async fn content(&self, id: DocId) -> Result<Arc<Vec<u8>>, ReplicaError> {
        if let Some(content) = self.recent.content(id) {
            return Ok(content);
        }
        let Some(Document::Content(content)) = self.document(Collection::Contents, id).await?
        else {
            return Err(ReplicaError::NotHere(id));
        };
        let content = Arc::new(content);
        self.recent.keep_content(id, &content);
        Ok(content)
    }

    fn joined(
        &self,
        decoder: &mut Decoder,
        (message, span): (&Message, Span),
        plan: Vec<Run>,
        rows: Vec<Option<Vec<u8>>>,
    ) -> Result<Vec<u8>, ReplicaError> {
        let mut rows = rows.into_iter();
        let mut octets = Vec::new();
        for run in plan {
            match run {
                Run::Skeleton(range) => {
                    let run = message.skeleton.get(range).ok_or_else(damaged)?;
                    if octets.is_empty() {
                        let most = span.len().min(message.structure.size);
                        octets.reserve_exact(usize::try_from(most).unwrap_or(0));
                    }
                    octets.extend_from_slice(run);
                }
                Run::Content(id, range) => {
                    let row = rows.next().flatten().ok_or(ReplicaError::NotHere(id))?;
                    let opened = open_row(decoder, &self.keys, (Table::Contents, id), row)?;
                    let Document::Content(content) = opened else {
                        return Err(ReplicaError::NotHere(id));
                    };
                    if octets.is_empty() && range == (0..content.len()) {
                        octets = content;
                    } else {
                        octets.extend_from_slice(content.get(range).ok_or_else(damaged)?);
                    }
                }
            }
        }
        Ok(octets)
    }

    /// The contents that a span touches, in order.
    pub(super) fn contents_within(
        &self,
        message: &Message,
        span: Span,
    ) -> Result<Vec<DocId>, ReplicaError> {
        let runs = self.runs(message, span)?.into_iter();
        let contents = runs.filter_map(|run| match run {
            Run::Content(id, _) => Some(id),
            Run::Skeleton(_) => None,
        });
        Ok(contents.collect())
    }

    /// Where the octets of a span are.
    fn runs(&self, message: &Message, span: Span) -> Result<Vec<Run>, ReplicaError> {
        let mut runs = Vec::new();
        for piece in message.structure.pieces(span) {
            let (leaf, range) = match piece {
                Piece::Skeleton(range) => {
                    runs.push(Run::Skeleton(range));
                    continue;
                }
                Piece::Leaf { index, range } => (message.leaves.get(index), range),
            };
            let leaf = leaf.ok_or_else(damaged)?;
            let mut at = range.start;
            while at < range.end {
                let number = at.wrapping_div(CONTENT_OCTETS);
                let start = number.saturating_mul(CONTENT_OCTETS);
                let end = range.end.min(start.saturating_add(CONTENT_OCTETS));
                let hash = leaf.pieces.get(number).ok_or_else(damaged)?;
                let within = at.saturating_sub(start)..end.saturating_sub(start);
                runs.push(Run::Content(content_doc_id(&self.keys, *hash), within));
                at = end;
            }
        }
        Ok(runs)
    }
}

fn damaged() -> ReplicaError {
    ReplicaError::Row(Table::Documents.name())
}
