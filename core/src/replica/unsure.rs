//! Contents of which a device does not know whether the provider has them.
//!
//! An answer to a push may be lost. A device that hears of everything finds what it had pushed in the
//! log, beside its own statement. One that leaves the contents out finds the statement alone: if it
//! pushed them again, it would state them twice. Invariant: it pushes nothing before it has asked for
//! those that wait by their ids; a late push that is still on its way is refused, because the
//! statement that was heard is newer.

use super::documents::pending_contents;
use super::{Replica, ReplicaError};
use crate::id::{DocId, Timestamp};
use crate::store::{Batch, KeyRange, Store, Table};

const UNSURE: &[u8] = b"contents unsure";

/// Nothing is pushed until it is known which contents are there.
pub(super) fn put_unsure(batch: &mut Batch) {
    batch.put(Table::Meta, UNSURE, Vec::new());
}

impl<S: Store> Replica<S> {
    /// Contents that wait to be pushed and may have been: they are to be fetched by their ids before
    /// anything is pushed, and then [`Replica::contents_are_known`] be called. `None`: it is known of
    /// all.
    pub async fn unsure_contents(&self) -> Result<Option<Vec<DocId>>, ReplicaError> {
        if !self.is_unsure().await? {
            return Ok(None);
        }
        let rows = KeyRange::prefix(&pending_contents());
        let rows = self.store.scan(Table::Pending, rows).await?;
        let ids = rows.into_iter().map(|(key, _)| {
            let id = key.get(pending_contents().len()..).map(DocId::try_from);
            id.and_then(Result::ok)
                .ok_or(ReplicaError::Row(Table::Pending.name()))
        });
        ids.collect::<Result<_, _>>().map(Some)
    }

    /// What the provider has of [`Replica::unsure_contents`] was taken in.
    pub async fn contents_are_known(&self, now: Timestamp) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        change.batch.delete(Table::Meta, UNSURE);
        change.commit().await
    }

    pub(super) async fn is_unsure(&self) -> Result<bool, ReplicaError> {
        Ok(self.store.get(Table::Meta, UNSURE).await?.is_some())
    }
}
