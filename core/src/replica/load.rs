//! Reading a replica from its store when it is opened, or when another writer was first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::RngCore;
use rand_chacha::ChaCha20Rng;

use super::view::{Counters, MailboxRow, MailboxState, PlacementRow, View, Whereabouts};
use super::{COUNTERS, REPLICA, ReplicaError, decode_row, encode_row};
use crate::id::{ReplicaId, Timestamp};
use crate::store::{Batch, KeyRange, Store, Table};

impl View {
    /// Reads the whole view from the store.
    pub(super) async fn load<S: Store>(store: &S, now: Timestamp) -> Result<Self, ReplicaError> {
        let counters = match store.get(Table::Meta, COUNTERS).await? {
            Some(row) => decode_row(Table::Meta, &row)?,
            None => first_counters(store, now).await?,
        };
        let mut mailboxes = BTreeMap::new();
        for (_, row) in store.scan(Table::Mailboxes, KeyRange::all()).await? {
            let row: MailboxRow = decode_row(Table::Mailboxes, &row)?;
            let state = MailboxState {
                row,
                placements: BTreeMap::new(),
            };
            mailboxes.insert(state.row.document.id, state);
        }
        let mut by_message: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let mut index = BTreeMap::new();
        for (_, row) in store.scan(Table::Placements, KeyRange::all()).await? {
            let row: PlacementRow = decode_row(Table::Placements, &row)?;
            let mailbox = row.document.mailbox.value;
            if let Some(state) = mailboxes.get_mut(&mailbox) {
                by_message
                    .entry(row.document.message)
                    .or_default()
                    .insert((mailbox, row.uid));
                index.insert(row.document.id, Whereabouts::Live(mailbox, row.uid));
                state.placements.insert(row.uid, Arc::new(row));
            }
        }
        for (key, row) in store.scan(Table::PlacementIndex, KeyRange::all()).await? {
            let id = key[..]
                .try_into()
                .map_err(|_| ReplicaError::Row("placement_index"))?;
            index.insert(id, decode_row(Table::PlacementIndex, &row)?);
        }
        Ok(Self {
            counters,
            mailboxes,
            index,
            by_message,
            messages_changed: 0,
        })
    }
}

async fn first_counters<S: Store>(store: &S, now: Timestamp) -> Result<Counters, ReplicaError> {
    let counters = Counters::new(now);
    let mut batch = Batch::new();
    batch.expect(Table::Meta, COUNTERS, None);
    batch.put(Table::Meta, COUNTERS, encode_row(&counters));
    store.commit(batch).await?;
    Ok(counters)
}

/// The id that this store's replica has had since it was first opened.
pub(super) async fn replica_id<S: Store>(
    store: &S,
    rng: &mut ChaCha20Rng,
) -> Result<ReplicaId, ReplicaError> {
    if let Some(row) = store.get(Table::Meta, REPLICA).await? {
        return row[..].try_into().map_err(|_| ReplicaError::Row("meta"));
    }
    let mut octets = [0; 16];
    rng.fill_bytes(&mut octets);
    let mut batch = Batch::new();
    batch.expect(Table::Meta, REPLICA, None);
    batch.put(Table::Meta, REPLICA, octets);
    store.commit(batch).await?;
    Ok(ReplicaId::new(octets))
}
