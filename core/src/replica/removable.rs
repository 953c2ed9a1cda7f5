//! Taking in messages, contents and their removals as the provider has them.
//!
//! A message or content never changes; its revisions say in turn that it is there and that it
//! was removed. A removal is heard by a device that may still refer to what was removed (it has
//! copied a message that another device expunged and collected). Invariant: such a device keeps
//! what it has and writes it again, to follow the removal; a removal is taken over only where
//! nothing refers to the document. A document that is there wins over a removal that waits here,
//! and is collected again if nothing comes to refer to it. So devices end equal, with everything
//! that any of them refers to, whatever the order in which they hear of it. Rejected: removals
//! that the provider carries out by itself; it does not know what refers to what.

use super::ReplicaError;
use super::change::Change;
use super::document::Document;
use super::documents::{Base, Standing, class};
use super::references::Garbage;
use super::remote::Told;
use crate::seal::{self, Header};
use crate::store::Store;

impl<S: Store> Change<'_, S> {
    /// Takes in an envelope of a message, a content or a removal.
    pub(super) async fn take_removable(
        &mut self,
        header: &Header,
        document: Document,
        envelope: &[u8],
        told: Told,
    ) -> Result<(), ReplicaError> {
        let (id, collection) = (header.document, document.collection());
        let is_removal = matches!(document, Document::Removed(_));
        match self.standing(collection, id).await? {
            Standing::Absent if is_removal => Ok(()),
            Standing::Removed(base) if is_replay(base, header, told) => Ok(()),
            Standing::Removed(_) if is_removal => {
                self.forget(collection, id);
                Ok(())
            }
            Standing::Absent | Standing::Removed(_) => {
                self.take_new(header, document, envelope).await
            }
            Standing::Here(stored) if stored == envelope => {
                self.settle(&document, id, envelope);
                Ok(())
            }
            Standing::Here(stored) => {
                let ours = self.replica.open_document(id, &stored)?;
                let is_replay = if let Some(base) = self.pending(class(&ours), id).await? {
                    is_replay(base, header, told)
                } else {
                    let ours = Header::parse(&stored).map_err(seal::OpenError::from)?;
                    header.revision <= ours.revision
                };
                if is_replay {
                    return Ok(());
                }
                if is_removal {
                    self.take_removal(header, &ours, envelope).await
                } else {
                    self.take_other(header, &ours, document, envelope).await
                }
            }
        }
    }

    /// What comes to this device, or comes again. Nothing refers to a message before its
    /// placement comes, nor to a content before its message does.
    async fn take_new(
        &mut self,
        header: &Header,
        document: Document,
        envelope: &[u8],
    ) -> Result<(), ReplicaError> {
        self.settle(&document, header.document, envelope);
        if let Document::Message(message) = &document {
            self.recount(None, Some(message), self.now).await?;
        }
        match self.as_referred(&document) {
            Some(referred) => {
                let garbage = Garbage {
                    since: self.now,
                    arrived: true,
                };
                self.keep_or_discard(referred, garbage).await
            }
            None => Ok(()),
        }
    }

    /// Another device has written the same. The structure of a message may differ, if a newer
    /// version of this program wrote it.
    async fn take_other(
        &mut self,
        header: &Header,
        ours: &Document,
        theirs: Document,
        envelope: &[u8],
    ) -> Result<(), ReplicaError> {
        self.settle(&theirs, header.document, envelope);
        if let (Document::Message(old), Document::Message(new)) = (ours, &theirs) {
            self.recount(Some(old), Some(new), self.now).await?;
        }
        Ok(())
    }

    async fn take_removal(
        &mut self,
        header: &Header,
        ours: &Document,
        envelope: &[u8],
    ) -> Result<(), ReplicaError> {
        let Some(referred) = self.as_referred(ours) else {
            return Ok(());
        };
        if self.is_needed(referred).await? {
            let base = Base(Some((header.revision, seal::hash(envelope))));
            self.write_over(header.document, ours, base)?;
            return Ok(());
        }
        self.forget(ours.collection(), header.document);
        self.drop_garbage(referred);
        if let Document::Message(message) = ours {
            self.recount(Some(message), None, self.now).await?;
        }
        Ok(())
    }
}

/// Whether what the provider says in its log is older than what this device follows.
fn is_replay(base: Base, header: &Header, told: Told) -> bool {
    told == Told::InTheLog && base.0.is_some_and(|(known, _)| known >= header.revision)
}
