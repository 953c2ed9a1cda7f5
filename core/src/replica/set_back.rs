//! When the provider has lost what it had: its storage was set back to an earlier state.
//!
//! A device notices it by a log that ends before what the device has heard of, or by a document
//! that the provider no longer has. Invariant: afterwards the provider has all that any device
//! has. Every document waits to be pushed as if it were new and is merged with what the provider
//! still has, and the log is heard from its beginning. Rejected: believing the provider, which
//! would take mail away that had been accepted.

use super::change::{Base, pending_key};
use super::{Replica, ReplicaError};
use crate::id::{DocId, Generation, Revision, Timestamp};
use crate::seal::{self, Header};
use crate::store::{KeyRange, Store, Table};

impl<S: Store> Replica<S> {
    /// Lets every document wait to be pushed again and begins the log anew: one atomic step.
    pub async fn provider_was_set_back(&self, now: Timestamp) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        let mut start = Vec::new();
        loop {
            let mut range = KeyRange::all().limit(1);
            range.start = start;
            // One at a time: a document may be as large as a message.
            let Some((mut key, envelope)) = self.store.scan(Table::Documents, range).await?.pop()
            else {
                break;
            };
            let id = DocId::try_from(&key[..]).map_err(|_| ReplicaError::Row("documents"))?;
            let document = self.open_document(id, &envelope)?;
            let header = Header::parse(&envelope).map_err(seal::OpenError::from)?;
            if header.revision == Revision::ONE {
                // As it is: if the provider still has it, nothing happens.
                let key = pending_key(&document, id);
                let base = super::encode_row(&Base(None));
                change.batch.put(Table::Pending, key, base);
            } else {
                change.write_over(id, &document, Base(None))?;
            }
            // The smallest key after this one.
            key.push(0);
            start = key;
        }
        change.delta.counters.pulled = Generation::default();
        change.commit().await
    }
}
