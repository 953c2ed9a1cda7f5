//! Reading a replica from its store when it is opened, or when another writer was first.

use std::collections::BTreeMap;

use rand::RngCore;
use rand_chacha::ChaCha20Rng;

use super::annotations::{ANNOTATIONS_PREFIX, AnnotationsRow};
use super::pages::read_numbers;
use super::view::{Counters, MailboxRow, Placed, Shown, View};
use super::{COUNTERS, REPLICA, ReplicaError, decode_row, encode_row};
use crate::id::{MailboxId, PageId, PlacementId, ReplicaId, Timestamp};
use crate::seal::AccountKeys;
use crate::store::{Batch, KeyRange, Store, Table};

/// How many pages are opened at a time.
const PAGES_AT_ONCE: usize = 256;

impl View {
    /// Reads the whole view from the store: every page is opened once.
    pub(super) async fn load<S: Store>(
        store: &S,
        keys: &AccountKeys,
        now: Timestamp,
    ) -> Result<Self, ReplicaError> {
        let counters = match store.get(Table::Meta, COUNTERS).await? {
            Some(row) => decode_row(Table::Meta, &row)?,
            None => first_counters(store, now).await?,
        };
        let rows = store.scan(Table::Mailboxes, KeyRange::all()).await?;
        let rows = rows
            .iter()
            .map(|(_, row)| decode_row::<MailboxRow>(Table::Mailboxes, row));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let mut view = Self::new(counters, rows.into_iter());
        let mut mailboxes: BTreeMap<MailboxId, Vec<Placed>> = BTreeMap::new();
        let mut start = Vec::new();
        loop {
            let mut range = KeyRange::all().limit(PAGES_AT_ONCE);
            range.start = start;
            let rows = store.scan(Table::Placements, range).await?;
            let Some((last, _)) = rows.last() else {
                break;
            };
            // The smallest key after the last.
            start = [&last[..], &[0]].concat();
            for (key, row) in rows {
                let id = PageId::try_from(&key[..]);
                let id = id.map_err(|_| ReplicaError::Row(Table::Placements.name()))?;
                load_page(store, keys, (id, &row), &mut mailboxes).await?;
            }
        }
        view.fill(mailboxes);
        for (_, row) in store
            .scan(Table::Meta, KeyRange::prefix(ANNOTATIONS_PREFIX))
            .await?
        {
            let row: AnnotationsRow = decode_row(Table::Meta, &row)?;
            view.put_annotations(row.owner, Some(row));
        }
        view.load_flag_edits(store).await?;
        view.load_virtuals(store).await?;
        Ok(view)
    }
}

/// Reads a page; `row` are the numbers of its placements.
async fn load_page<S: Store>(
    store: &S,
    keys: &AccountKeys,
    (id, row): (PageId, &[u8]),
    mailboxes: &mut BTreeMap<MailboxId, Vec<Placed>>,
) -> Result<(), ReplicaError> {
    let Some((_, page)) = super::pages::read_page(store, keys, id).await? else {
        return Err(ReplicaError::Row(Table::Placements.name()));
    };
    let numbers = read_numbers(row)?;
    if numbers.len() != page.live().count() {
        return Err(ReplicaError::Row(Table::Placements.name()));
    }
    for ((entry_id, entry), numbers) in page.live().zip(numbers) {
        let shown = Shown::of(PlacementId::of(id, entry_id), entry);
        let mailbox = mailboxes.entry(entry.mailbox.value).or_default();
        mailbox.push(Placed { shown, numbers });
    }
    Ok(())
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
