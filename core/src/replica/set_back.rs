//! When the provider has lost what it had: its storage was set back to an earlier state.
//!
//! A device notices it by a log that ends before what the device has heard of, or by a document
//! that the provider no longer has. Invariant: afterwards the provider has all that any device
//! has. Every document waits to be pushed as if it were new and is merged with what the provider
//! still has, and the log is heard from its beginning. Rejected: believing the provider, which
//! would take mail away that had been accepted.

use super::change::Change;
use super::document::Document;
use super::documents::{Base, class, pending_key};
use super::{Replica, ReplicaError, encode_row};
use crate::id::{DocId, Generation, Revision, Timestamp};
use crate::seal::{self, Header};
use crate::store::{KeyRange, Store, Table};

impl<S: Store> Replica<S> {
    /// Lets every document wait to be pushed again and begins the log anew: one atomic step.
    pub async fn provider_was_set_back(&self, now: Timestamp) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        for table in [Table::Documents, Table::Contents] {
            let mut start = Vec::new();
            loop {
                let mut range = KeyRange::all().limit(1);
                range.start = start;
                // One at a time: a document may be large.
                let Some((mut key, row)) = self.store.scan(table, range).await?.pop() else {
                    break;
                };
                let id = DocId::try_from(&key[..]).map_err(|_| ReplicaError::Row(table.name()))?;
                change.offer_again(id, &self.unpacked(table, id, &row)?)?;
                // The smallest key after this one.
                key.push(0);
                start = key;
            }
        }
        change.delta.counters.pulled = Generation::default();
        change.commit().await
    }
}

impl<S: Store> Change<'_, S> {
    fn offer_again(&mut self, id: DocId, envelope: &[u8]) -> Result<(), ReplicaError> {
        let document = self.replica.open_document(id, envelope)?;
        let header = Header::parse(envelope).map_err(seal::OpenError::from)?;
        if let Document::Removed(removed) = document {
            // If the provider still has it, it comes with the log and is collected again.
            self.forget(removed.collection, id);
        } else if header.revision == Revision::ONE {
            // As it is: if the provider still has it, nothing happens.
            let key = pending_key(class(&document), id);
            let base = encode_row(&Base(None));
            self.batch.put(Table::Pending, key, base);
        } else {
            self.write_over(id, &document, Base(None))?;
        }
        Ok(())
    }
}
