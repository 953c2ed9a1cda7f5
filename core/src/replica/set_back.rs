//! When what the provider shows is not what the devices have stored: its storage was set back to an
//! earlier state, or it lies.
//!
//! A device notices it by a log that ends before what the device has heard of, by a document that
//! the provider no longer has, or by the rules of [`super::manifest`]. Invariant: afterwards the
//! provider has all that any device has. Every document waits to be pushed as if it were new and is
//! merged with what the provider still has, and the log is heard from its beginning.
//!
//! All devices of the account do so together: the one that has noticed begins the next *epoch*,
//! which its next statement names, and there it takes over what log and statements differ by. It
//! seals the others' statements again in the same push, so that nobody who has not heard of it
//! can push before they have. Who hears of a later epoch begins anew without a further warning.
//! Rejected: believing the provider, which would take mail away that had been accepted.

use super::change::Change;
use super::document::Document;
use super::documents::{Base, class, pending_key};
use super::manifest::{Anew, ManifestState, Return, put_state, statement_key};
use super::remote::PendingPush;
use super::{Replica, ReplicaError, encode_row};
use crate::id::{DocId, Generation, Revision, Timestamp};
use crate::manifest::{Digests, ManifestAlarm};
use crate::seal::{self, Header};
use crate::store::{Key, KeyRange, Store, Table};

/// How often a device begins anew by itself at most in [`ANEW_MS`]: each time it hears everything.
const ANEW_TIMES: usize = 4;
/// One hour, in milliseconds.
const ANEW_MS: i64 = 60 * 60 * 1000;
/// Rows that are looked at together.
const ROWS_AT_ONCE: usize = 256;

impl<S: Store> Replica<S> {
    /// The provider has lost what it had: every document waits to be pushed again, and the log is
    /// heard anew.
    pub async fn provider_was_set_back(&self, now: Timestamp) -> Result<(), ReplicaError> {
        let found = Anew::Found(ManifestAlarm::Lost);
        self.begin_anew(found, now).await.map(drop)
    }

    /// The provider does not have what a push follows.
    pub(crate) async fn lost_before(
        &self,
        push: &PendingPush,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        if self.is_of_now(push).await? {
            self.provider_was_set_back(now).await?;
        }
        Ok(())
    }

    /// Lets every document wait to be pushed again and begins the log anew: one atomic step. False
    /// if this was done too often just before; the warning is noted all the same.
    pub(crate) async fn begin_anew(&self, why: Anew, now: Timestamp) -> Result<bool, ReplicaError> {
        let mut change = self.begin(now).await;
        let mut state = self.manifest_state().await?.unwrap_or_default();
        let may = state.note_beginning(why, now);
        if may {
            change.offer_all_again().await?;
            change.forget_what_was_told().await?;
            change.delta.counters.pulled = Generation::default();
        }
        put_state(&mut change.batch, &state);
        change.commit().await?;
        Ok(may)
    }

    /// The keys of a table, some at a time.
    async fn keys_from(&self, table: Table, start: &mut Key) -> Result<Vec<Key>, ReplicaError> {
        let mut range = KeyRange::all().limit(ROWS_AT_ONCE);
        range.start.clone_from(start);
        let rows = self.store.scan(table, range).await?;
        let keys: Vec<Key> = rows.into_iter().map(|(key, _)| key).collect();
        if let Some(last) = keys.last() {
            // The smallest key after the last.
            *start = [&last[..], &[0]].concat();
        }
        Ok(keys)
    }
}

impl ManifestState {
    /// Begins anew, unless that was done too often.
    fn note_beginning(&mut self, why: Anew, now: Timestamp) -> bool {
        let is_recent = |at: &Timestamp| {
            let age = now.as_millis().saturating_sub(at.as_millis());
            (0..ANEW_MS).contains(&age)
        };
        self.begun.retain(is_recent);
        let is_certain = matches!(
            why,
            Anew::Upgraded | Anew::Found(ManifestAlarm::SetBack { .. } | ManifestAlarm::Lost)
        );
        if self.begun.len() >= ANEW_TIMES && !is_certain {
            return false;
        }
        if !is_certain {
            self.begun.push(now);
        }
        match why {
            // What is not pushed yet of the last beginning is part of this one.
            Anew::Found(alarm) if self.returning == Some(Return::First) || self.repairs => {
                self.alarm.get_or_insert(alarm);
            }
            Anew::Found(alarm) => {
                self.epoch = self.epoch.saturating_add(1);
                self.alarm = Some(alarm);
            }
            Anew::Joined(epoch) => self.epoch = self.epoch.max(epoch),
            Anew::Upgraded => {}
        }
        self.turn = self.turn.wrapping_add(1);
        self.returning = Some(match why {
            Anew::Joined(_) => Return::Joining,
            Anew::Found(_) | Anew::Upgraded => Return::First,
        });
        (self.repairs, self.repaired, self.behind) = (false, None, None);
        (self.complete, self.at_end, self.lacks_contents) = (None, false, false);
        (self.heard, self.stated) = (Digests::default(), Digests::default());
        self.own.arrived = None;
        true
    }
}

impl<S: Store> Change<'_, S> {
    async fn offer_all_again(&mut self) -> Result<(), ReplicaError> {
        for table in [Table::Documents, Table::Contents] {
            let mut start = Vec::new();
            loop {
                let mut range = KeyRange::all().limit(1);
                range.start = start;
                // One at a time: a document may be large.
                let Some((mut key, row)) = self.replica.store.scan(table, range).await?.pop()
                else {
                    break;
                };
                let id = DocId::try_from(&key[..]).map_err(|_| ReplicaError::Row(table.name()))?;
                let envelope = self.replica.unpacked(table, id, &row)?;
                self.offer_again(id, &envelope)?;
                // The smallest key after this one.
                key.push(0);
                start = key;
            }
        }
        Ok(())
    }

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

    async fn forget_what_was_told(&mut self) -> Result<(), ReplicaError> {
        let mut start = Vec::new();
        loop {
            let keys = self.replica.keys_from(Table::Told, &mut start).await?;
            if keys.is_empty() {
                break;
            }
            for key in keys {
                self.batch.delete(Table::Told, key);
            }
        }
        for device in self.replica.statements().await?.into_keys() {
            self.batch.delete(Table::Meta, statement_key(device));
        }
        Ok(())
    }
}
