//! The account's key epochs on this device: the root keys that came after the account's first, and
//! what is believed of what comes under older ones.
//!
//! Rows of this device alone, in its store, whose key is the first epoch's. Documents are sealed under
//! the newest epoch that is known when they are written; what was sealed before stays as it is
//! until it is written next. What waits to be pushed when an epoch begins is sealed again.

use zeroize::Zeroizing;

use super::change::Change;
use super::directory::{decode_versioned, encode_versioned};
use super::document::is_removable;
use super::documents::Base;
use super::remote::{PendingPush, Sent, SentDocument};
use super::{Replica, ReplicaError, decode_row};
use crate::id::Timestamp;
use crate::seal::{self, AccountKeys, Collection, Header, RootKey};
use crate::store::{Batch, Store, Table};

const EPOCHS: &[u8] = b"epochs";
/// The key epoch in which this device has heard the whole log: what comes under older keys after
/// that is by none of the account's devices. It stays when the device begins anew: whoever makes a
/// device do that could else bring in what they like.
const SETTLED: &[u8] = b"settled epoch";

impl<S: Store> Replica<S> {
    /// Begins key epochs, in order; what is known already stays. What waits to be pushed is sealed
    /// again when the provider asks for it.
    pub(crate) async fn begin_epochs(
        &self,
        roots: Vec<RootKey>,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        // Two who have heard of it at once begin it once: whoever writes has the writer's lock.
        let mut change = self.begin(now).await;
        let known = self.keys.roots();
        let is_known = |root: &RootKey| known.iter().any(|one| one.octets() == root.octets());
        let new: Vec<RootKey> = roots.into_iter().filter(|root| !is_known(root)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let later = known.iter().skip(1).chain(&new);
        let later: Vec<[u8; 32]> = later.map(|root| *root.octets()).collect();
        let row = Zeroizing::new(encode_versioned(&later));
        change.batch.put(Table::Meta, EPOCHS, row.to_vec());
        change.commit().await?;
        for root in new {
            self.keys.begin(root);
        }
        Ok(())
    }

    /// The key epoch in which this device has heard the whole log last; 0 for none.
    pub(super) async fn settled_epoch(&self) -> Result<u32, ReplicaError> {
        match self.store.get(Table::Meta, SETTLED).await? {
            Some(row) => decode_versioned(&row),
            None => Ok(0),
        }
    }

    /// The provider takes nothing more under the keys of an earlier epoch: what was pushed is sealed
    /// under the newest that are known here. False if it was already.
    pub(crate) async fn seal_again(
        &self,
        push: &PendingPush,
        now: Timestamp,
    ) -> Result<bool, ReplicaError> {
        let mut change = self.begin(now).await;
        let mut any = false;
        for Sent { key, document } in &push.sent {
            if let Some(sent) = document {
                any |= change.seal_again(key, sent).await?;
            }
        }
        change.commit().await?;
        Ok(any)
    }
}

/// Begins the epochs that this device has kept.
pub(super) async fn restore_epochs<S: Store>(
    store: &S,
    keys: &AccountKeys,
) -> Result<(), ReplicaError> {
    let Some(row) = store.get(Table::Meta, EPOCHS).await? else {
        return Ok(());
    };
    let row = Zeroizing::new(row);
    let later: Zeroizing<Vec<[u8; 32]>> = Zeroizing::new(decode_versioned(&row)?);
    let known = keys.roots().len().saturating_sub(1);
    for root in later.iter().skip(known) {
        keys.begin(RootKey::from_octets(*root));
    }
    Ok(())
}

/// The whole log was heard by a device that knew this epoch when it asked.
pub(super) fn put_settled(batch: &mut Batch, epoch: u32) {
    batch.put(Table::Meta, SETTLED, encode_versioned(&epoch));
}

impl<S: Store> Change<'_, S> {
    /// Whether what the provider has as a document is under keys that the account has given up, and
    /// not what this device has. Messages and contents are named by what is in them.
    pub(super) async fn is_late(
        &self,
        header: &Header,
        collection: Collection,
        envelope: &[u8],
    ) -> Result<bool, ReplicaError> {
        if is_removable(collection) || header.epoch >= self.replica.settled_epoch().await? {
            return Ok(false);
        }
        let here = self.envelope(collection, header.document).await?;
        Ok(here.as_deref() != Some(envelope))
    }

    /// Writes what is here over a document that is not believed.
    pub(super) async fn write_over_late(
        &mut self,
        header: &Header,
        collection: Collection,
        envelope: &[u8],
    ) -> Result<(), ReplicaError> {
        let Some(ours) = self.envelope(collection, header.document).await? else {
            return Ok(());
        };
        let ours = self.replica.open_document(header.document, &ours)?;
        let base = Base(Some((header.revision, seal::hash(envelope))));
        self.write_over(header.document, &ours, base).map(drop)
    }

    /// Seals a document that waits again, if it was sealed under older keys than the newest. Whether
    /// it was.
    async fn seal_again(&mut self, key: &[u8], sent: &SentDocument) -> Result<bool, ReplicaError> {
        let Some(base) = self.replica.store.get(Table::Pending, key).await? else {
            return Ok(false);
        };
        let Some(envelope) = self.envelope(sent.collection, sent.id).await? else {
            return Ok(false);
        };
        let header = Header::parse(&envelope).map_err(seal::OpenError::from)?;
        if header.epoch >= self.replica.keys.epoch() {
            return Ok(false);
        }
        let document = self.replica.open_document(sent.id, &envelope)?;
        let base = decode_row(Table::Pending, &base)?;
        self.write_over(sent.id, &document, base)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::id::AccountId;
    use crate::store::MemoryStore;

    #[test]
    fn the_rows_of_epochs_stand_and_newer_ones_are_refused() {
        let row = encode_versioned(&vec![[7_u8; 32], [8; 32]]);
        assert_eq!(row, [&[1, 2][..], &[7; 32], &[8; 32]].concat());
        assert_eq!(encode_versioned(&3_u32), [1, 3]);
        let restored = |row: Vec<u8>| {
            let store = MemoryStore::new();
            let mut batch = Batch::new();
            batch.put(Table::Meta, EPOCHS, row);
            let first = RootKey::from_octets([1; 32]);
            let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &first);
            block_on(async {
                store.commit(batch).await.unwrap();
                restore_epochs(&store, &keys).await?;
                restore_epochs(&store, &keys).await.map(|()| keys)
            })
        };
        let keys = restored(row.clone()).unwrap();
        let roots: Vec<[u8; 32]> = keys.roots().iter().map(|root| *root.octets()).collect();
        assert_eq!(roots, [[1; 32], [7; 32], [8; 32]]);
        let error = restored([&[2], &row[1..]].concat()).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
    }
}
