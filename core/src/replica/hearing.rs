//! Taking in what the provider's log tells.
//!
//! Invariant: an answer is taken in only where it was asked from; one to an older question brings
//! nothing that the next does not. What is older than what was heard is not taken in at all.

use serde_bytes::ByteBuf;

use super::change::Change;
use super::document::Document;
use super::incoming::IncomingMessage;
use super::manifest::{Anew, Asked};
use super::remote::Told;
use super::rules::{Hearing, Taking};
use super::{Replica, ReplicaError};
use crate::id::{CollectionId, DocId, Generation, Timestamp};
use crate::seal::{self, Header};
use crate::store::Store;
use crate::sync::wire::{Entry, PullRequest, PullResponse};

impl<S: Store> Replica<S> {
    /// The next pull: what changed since the last one in these collections (empty: in all).
    pub async fn pull_request(
        &self,
        collections: Vec<CollectionId>,
        wait_ms: u32,
    ) -> Result<PullRequest, ReplicaError> {
        let state = self.manifest_state().await?.unwrap_or_default();
        let since = self.pulled();
        let asked = Asked {
            since,
            lacks_contents: !collections.is_empty(),
            epoch: state.epoch,
            counter: state.own.stored,
            behind: state.behind,
            key_epoch: self.keys.epoch(),
            returns: state.returning.is_some(),
        };
        *self.asked() = Some(asked);
        Ok(PullRequest {
            since,
            collections,
            rewritten: Vec::new(),
            wait_ms,
        })
    }

    fn opened(&self, entry: Entry) -> Result<Heard, ReplicaError> {
        let Entry::Document { envelope } = entry else {
            return Ok(Heard::Other(entry));
        };
        let header = Header::parse(&envelope).map_err(seal::OpenError::from)?;
        let document = self.open_document(header.document, &envelope)?;
        Ok(Heard::Document(Box::new(header), document, envelope))
    }

    /// What comes next is no answer to what was asked last.
    pub(crate) fn forget_question(&self) {
        *self.asked() = None;
    }

    /// Takes in the answer to a pull from where this device is: one atomic step.
    pub async fn pulled_entries(
        &self,
        response: PullResponse,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        self.hear(self.pulled(), response, now).await.map(drop)
    }

    /// Takes in the answer to a pull of everything after `since`: one atomic step. What follows
    /// beside it.
    pub(crate) async fn hear(
        &self,
        since: Generation,
        response: PullResponse,
        now: Timestamp,
    ) -> Result<Option<Anew>, ReplicaError> {
        let mut change = self.begin(now).await;
        if change.delta.counters.pulled != since {
            return Ok(None);
        }
        let before = self.manifest_state().await?;
        if before.is_none() && since != Generation::default() {
            return Ok(Some(Anew::Upgraded));
        }
        let asked = self.asked().take_if(|asked| asked.since == since);
        let mut state = before.clone().unwrap_or_default();
        state.lacks_contents |= asked.is_some_and(|asked| asked.lacks_contents);
        // Who hears the log again knows nothing that must be in it.
        let asked = asked.filter(|asked| !asked.returns);
        let mut heard = Vec::with_capacity(response.entries.len());
        for entry in response.entries {
            heard.push(self.opened(entry)?);
        }
        let documents = heard.iter().filter_map(|heard| match heard {
            Heard::Document(header, document, _) => Some((header.document, document)),
            Heard::Other(_) => None,
        });
        let (ids, documents): (Vec<DocId>, Vec<&Document>) = documents.unzip();
        let mut hearing = self.hearing(state, &ids).await?;
        change.foresee(documents.into_iter()).await?;
        for heard in heard {
            match heard {
                Heard::Document(header, document, envelope) => {
                    let heard = (*header, document, &envelope[..]);
                    change.hear_document(heard, &mut hearing).await?;
                }
                Heard::Other(entry) => change.hear_other(entry).await?,
            }
        }
        change.delta.counters.pulled = since.max(response.until);
        change.place_arrivals().await?;
        change.settle_names();
        hearing.finish(response.more, response.until, asked);
        let follows = hearing.write(before.as_ref(), &mut change.batch);
        change.commit().await?;
        Ok(follows)
    }
}

/// An entry of the log.
enum Heard {
    /// A document, opened, and its envelope.
    Document(Box<Header>, Document, ByteBuf),
    Other(Entry),
}

impl<S: Store> Change<'_, S> {
    async fn hear_document(
        &mut self,
        (header, document, envelope): (Header, Document, &[u8]),
        hearing: &mut Hearing<'_>,
    ) -> Result<(), ReplicaError> {
        let (collection, hash) = (document.collection(), seal::hash(envelope));
        if let Document::Statement(signed) = document {
            hearing.statement(&header, *signed, hash);
            return Ok(());
        }
        let is_taken = match hearing.document(&header, collection, &hash) {
            Taking::No => false,
            Taking::Yes => true,
            Taking::IfKnown => !self.is_late(&header, collection, envelope).await?,
        };
        if is_taken {
            let told = Told::InTheLog;
            self.take_opened(&header, document, envelope, told).await?;
        }
        Ok(())
    }

    async fn hear_other(&mut self, entry: Entry) -> Result<(), ReplicaError> {
        match entry {
            Entry::Document { .. } => Ok(()),
            Entry::Incoming {
                id,
                generation,
                received_at,
                message,
            } => {
                let incoming = IncomingMessage {
                    id,
                    generation,
                    received_at,
                    problem: None,
                    message: message.into_vec(),
                };
                self.queue_incoming(&incoming).await
            }
            Entry::IncomingRemoved { id } => self.forget_incoming(id).await,
        }
    }
}
