//! The contents that a device's first sync has left out, those of the newest messages first.
//!
//! A first sync that hears of everything in the order of the log would bring the oldest mail
//! first. So it hears of all but the contents, which are most of it, and then asks for these by
//! what the mailboxes show: who opens one has its newest messages first. Until a content has
//! come, reading it says that it is not here yet.
//!
//! Invariant: what is to be fetched is what [`Replica::awaited`] names, so a device that was
//! interrupted goes on wherever it was. What the provider does not have is asked for once: a
//! device that has it will bring it. Known limit: a content that nothing refers to when a device
//! is new is never fetched by it, and so never collected by it. Rejected: a log that can be heard
//! backwards; what was changed last is not what was written last.

use std::collections::VecDeque;

use crate::id::{DocId, MessageHash, Timestamp};
use crate::replica::{Replica, ReplicaError};
use crate::seal::{Header, OpenError};
use crate::store::Store;
use crate::sync::wire::{DocumentsRequest, DocumentsResponse, MAX_BATCH_DOCUMENTS};

/// How many contents are asked for at a time, as far as one answer has room for them.
const FILLED_AT_A_TIME: usize = 256;

/// What is still to be asked for.
#[derive(Debug)]
pub struct Filling {
    messages: VecDeque<MessageHash>,
    documents: VecDeque<DocId>,
    /// How many of the documents were asked for last.
    asked: usize,
}

impl Filling {
    /// All that is missing on this device; `None` if nothing is.
    pub async fn begin<S: Store>(replica: &Replica<S>) -> Result<Option<Self>, ReplicaError> {
        let awaited = replica.awaited().await?;
        if awaited.is_empty() {
            return Ok(None);
        }
        let mut filling = Self {
            messages: VecDeque::new(),
            documents: VecDeque::new(),
            asked: 0,
        };
        // Where little is missing, finding out what it belongs to costs more than it brings.
        if awaited.len() <= FILLED_AT_A_TIME {
            filling.documents = awaited.into();
        } else {
            filling.messages = replica.newest_messages().into();
        }
        Ok(Some(filling))
    }

    /// These documents, in this order: what is wanted now, or ahead.
    pub fn of(documents: Vec<DocId>) -> Self {
        Self {
            messages: VecDeque::new(),
            documents: documents.into(),
            asked: 0,
        }
    }

    /// The next request; `None` when all has been asked for.
    pub async fn next_request<S: Store>(
        &mut self,
        replica: &Replica<S>,
    ) -> Result<Option<DocumentsRequest>, ReplicaError> {
        while self.documents.len() < FILLED_AT_A_TIME {
            let Some(hash) = self.messages.pop_front() else {
                break;
            };
            let Some(message) = replica.message(hash).await? else {
                continue;
            };
            // The message as it was received comes with what is made of it.
            self.messages.extend(message.received_as);
            for id in replica.missing_leaves(&message).await? {
                if !self.documents.contains(&id) {
                    self.documents.push_back(id);
                }
            }
        }
        self.asked = self.documents.len().min(MAX_BATCH_DOCUMENTS);
        let ids: Vec<DocId> = self.documents.iter().take(self.asked).copied().collect();
        Ok((!ids.is_empty()).then_some(DocumentsRequest { ids }))
    }

    /// Takes in the answer. What stands behind the last that came had no room and is asked for
    /// again; what stands before it and did not come, the provider does not have.
    pub async fn handle_documents<S: Store>(
        &mut self,
        replica: &Replica<S>,
        response: DocumentsResponse,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let last = response.envelopes.last();
        let last = last
            .map(|envelope| Header::parse(envelope).map_err(OpenError::from))
            .transpose()?;
        let came = last.and_then(|last| {
            let mut asked = self.documents.iter().take(self.asked);
            asked.position(|id| *id == last.document)
        });
        let done = came.map_or(self.asked, |at| at.saturating_add(1));
        self.documents.drain(..done.min(self.documents.len()));
        self.asked = 0;
        replica.take_documents(response.envelopes, now).await
    }
}
