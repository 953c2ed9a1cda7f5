//! Which contents a device has that fetches them when they are wanted, and when each was used last.
//!
//! A browser has little room. It hears of everything but the contents, fetches those that are
//! wanted ([`crate::sync::filling::Filling::of`]), and lets go what was used least lately when they
//! are more than a budget. A row of [`Table::Meta`] for each content that is here, in the batch that
//! brings or takes it, so their sum is never wrong; only a device that is lazy has such rows.
//!
//! Invariant: what waits to be pushed is not let go, nor what nothing refers to (the collector sees to
//! that), and what was let go is awaited like what never came. Whoever lets a content go does not
//! answer for it any more when another device removes it, or the provider loses it. Rejected: one row for all, which each
//! opened letter would write anew; counting the contents themselves, which reads them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::directory::{decode_versioned, encode_versioned};
use super::document::message_doc_id;
use super::documents::removable_classes;
use super::references::Referred;
use super::{Message, Replica, ReplicaError};
use crate::id::{DocId, MessageHash, Timestamp};
use crate::mime::Span;
use crate::seal::Collection;
use crate::store::{Key, KeyRange, Store, Table};

const KEPT_PREFIX: &[u8] = b"kept ";
/// There once all contents have a row: a device may have had them before it was lazy.
const COUNTED: &[u8] = b"contents counted";
/// A use is noted when the last one is so long ago, in milliseconds: reading writes seldom.
const NOTED_MS: i64 = 60 * 60 * 1000;
/// Contents that are let go, or counted, in one batch; each may have a mebioctet.
const AT_ONCE: usize = 16;
/// Of the budget one in so many stays free when something has to go, so that this is seldom.
const FREED: u64 = 8;

/// What is kept of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    used: Timestamp,
    octets: u64,
}

/// What was let go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LetGo {
    /// How many contents.
    pub contents: usize,
    /// How many octets they took here.
    pub octets: u64,
    /// How many octets those take that stay.
    pub kept: u64,
}

impl<S: Store> Replica<S> {
    /// From here on contents are fetched when they are wanted, and may be let go again.
    pub fn fetch_lazily(&self) {
        self.is_lazy.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_lazy(&self) -> bool {
        self.is_lazy.load(Ordering::Relaxed)
    }

    /// The contents of these spans that are not on this device, in their order.
    pub async fn missing(
        &self,
        wanted: &[(Arc<Message>, Span)],
    ) -> Result<Vec<DocId>, ReplicaError> {
        if !self.awaits_any().await? {
            return Ok(Vec::new());
        }
        self.awaited_of(&self.contents_of(wanted)?).await
    }

    /// Of these documents, those that are referred to and not on this device.
    pub async fn awaited_of(&self, documents: &[DocId]) -> Result<Vec<DocId>, ReplicaError> {
        let keys = documents.iter().map(|id| id.as_bytes().to_vec()).collect();
        let rows = self.store.get_many(Table::Awaited, keys).await?;
        let awaited = documents.iter().zip(rows);
        Ok(awaited.filter_map(|(id, row)| row.map(|_| *id)).collect())
    }

    /// The documents of these messages that are not on this device.
    pub async fn missing_messages(
        &self,
        messages: &[MessageHash],
    ) -> Result<Vec<DocId>, ReplicaError> {
        let ids = messages.iter();
        let ids: Vec<DocId> = ids.map(|hash| message_doc_id(&self.keys, *hash)).collect();
        self.awaited_of(&ids).await
    }

    /// Notes that the contents of these spans were used.
    pub async fn note_used(
        &self,
        wanted: &[(Arc<Message>, Span)],
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let ids = self.contents_of(wanted)?;
        let keys: Vec<Key> = ids.iter().map(|id| kept_key(*id)).collect();
        let mut change = self.begin(now).await;
        let rows = self.store.get_many(Table::Meta, keys.clone()).await?;
        for (key, row) in keys.into_iter().zip(rows) {
            let Some(row) = row else { continue };
            let kept: Kept = decode_versioned(&row)?;
            if now.as_millis().saturating_sub(kept.used.as_millis()) >= NOTED_MS {
                let used = Kept { used: now, ..kept };
                change.batch.put(Table::Meta, key, encode_versioned(&used));
            }
        }
        change.commit().await
    }

    /// How many octets the contents take that are on this device.
    pub async fn kept_octets(&self) -> Result<u64, ReplicaError> {
        let kept = self.kept().await?;
        Ok(sum(&kept))
    }

    /// Lets contents go until they take less than `budget` octets, those that were used least lately
    /// first. They are fetched again when they are wanted.
    pub async fn let_go(&self, budget: u64, now: Timestamp) -> Result<LetGo, ReplicaError> {
        self.count_contents(now).await?;
        let mut kept = self.kept().await?;
        let mut outcome = LetGo {
            kept: sum(&kept),
            ..LetGo::default()
        };
        if outcome.kept <= budget {
            return Ok(outcome);
        }
        let goal = budget.saturating_sub(budget / FREED);
        kept.sort_unstable_by_key(|(id, kept)| (kept.used, *id));
        for some in kept.chunks(AT_ONCE) {
            if outcome.kept <= goal {
                break;
            }
            let mut change = self.begin(now).await;
            for (id, Kept { octets, .. }) in some {
                if outcome.kept > goal && change.let_go(*id).await? {
                    outcome.contents = outcome.contents.saturating_add(1);
                    outcome.octets = outcome.octets.saturating_add(*octets);
                    outcome.kept = outcome.kept.saturating_sub(*octets);
                }
            }
            change.commit().await?;
        }
        Ok(outcome)
    }

    fn contents_of(&self, wanted: &[(Arc<Message>, Span)]) -> Result<Vec<DocId>, ReplicaError> {
        let mut seen = BTreeSet::new();
        let mut ids = Vec::new();
        for (message, span) in wanted {
            let touched = self.contents_within(message, *span)?;
            ids.extend(touched.into_iter().filter(|id| seen.insert(*id)));
        }
        Ok(ids)
    }

    async fn kept(&self) -> Result<Vec<(DocId, Kept)>, ReplicaError> {
        let rows = KeyRange::prefix(KEPT_PREFIX);
        let rows = self.store.scan(Table::Meta, rows).await?;
        let rows = rows.into_iter().map(|(key, row)| {
            let id = key.get(KEPT_PREFIX.len()..).map(DocId::try_from);
            let id = id.and_then(Result::ok).ok_or_else(damaged)?;
            Ok((id, decode_versioned(&row)?))
        });
        rows.collect()
    }

    /// Makes the rows of contents that came before this device was lazy.
    async fn count_contents(&self, now: Timestamp) -> Result<(), ReplicaError> {
        if self.store.get(Table::Meta, COUNTED).await?.is_some() {
            return Ok(());
        }
        let mut start = Vec::new();
        loop {
            let mut change = self.begin(now).await;
            let mut range = KeyRange::all().limit(AT_ONCE);
            range.start = start;
            let rows = self.store.scan(Table::Contents, range).await?;
            let Some((last, _)) = rows.last() else {
                change.batch.put(Table::Meta, COUNTED, Vec::new());
                return change.commit().await;
            };
            // The smallest key after the last.
            start = [&last[..], &[0]].concat();
            for (key, row) in rows {
                let id = DocId::try_from(&key[..]).map_err(|_| damaged())?;
                if self.store.get(Table::Meta, &kept_key(id)).await?.is_none() {
                    change.note_kept(Collection::Contents, id, Some(row.len()));
                }
            }
            change.commit().await?;
        }
    }
}

impl<S: Store> Change<'_, S> {
    /// Notes that a content is here and takes so many octets, or that it is not here any more.
    pub(super) fn note_kept(&mut self, collection: Collection, id: DocId, octets: Option<usize>) {
        if collection != Collection::Contents || !self.replica.is_lazy() {
            return;
        }
        let key = kept_key(id);
        let Some(octets) = octets else {
            self.batch.delete(Table::Meta, key);
            return;
        };
        let kept = Kept {
            used: self.now,
            octets: u64::try_from(octets).unwrap_or(u64::MAX),
        };
        self.batch.put(Table::Meta, key, encode_versioned(&kept));
    }

    /// Lets a content go that the provider has and something refers to; false if it stays.
    async fn let_go(&mut self, id: DocId) -> Result<bool, ReplicaError> {
        for class in removable_classes(Collection::Contents)
            .into_iter()
            .flatten()
        {
            if self.pending(class, id).await?.is_some() {
                return Ok(false);
            }
        }
        // What is being appended has no reference yet, and is garbage until it has.
        if !self.is_referred(Referred::Content(id)).await? {
            return Ok(false);
        }
        self.forget(Collection::Contents, id);
        self.awaited.begin(id);
        Ok(true)
    }
}

fn sum(kept: &[(DocId, Kept)]) -> u64 {
    let octets = kept.iter().map(|(_, kept)| kept.octets);
    octets.fold(0, u64::saturating_add)
}

fn kept_key(id: DocId) -> Key {
    [KEPT_PREFIX, id.as_bytes()].concat()
}

fn damaged() -> ReplicaError {
    ReplicaError::Row(Table::Meta.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_row_and_a_newer_one_is_refused() {
        let kept = Kept {
            used: Timestamp::from_millis(1),
            octets: 300,
        };
        let row = encode_versioned(&kept);
        assert_eq!(row, [1, 2, 0xac, 2]);
        assert_eq!(decode_versioned::<Kept>(&row).unwrap(), kept);
        let newer = [&[2], &row[1..]].concat();
        let error = decode_versioned::<Kept>(&newer).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
    }
}
