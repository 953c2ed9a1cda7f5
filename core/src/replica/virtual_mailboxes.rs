//! Mailboxes that show messages of other mailboxes (RFC 6154 2): `\All`, `\Flagged`.
//!
//! ```text
//! Change ─► what it placed, changed, took away ─► settle: enters | changed | leaves ─► the same Batch
//! STORE, COPY, MOVE, EXPUNGE of a UID here ─► behind: the placements that are meant
//! ```
//!
//! A virtual mailbox belongs to this device: its UIDs, like all, are given out here and are never
//! synced, and neither is whether it is on. It shows a *message* once, however many of its placements it
//! finds. One of these bears it: its flags and dates are shown, until it is not found any more
//! and another takes over under the same UID. What is done to a message here is done to all of
//! its placements that are found. A row for each message has its UID and who bears it, written
//! when that changes; a change of flags writes the row of the mailbox alone.
//!
//! Invariant: after every commit a virtual mailbox shows each message that has a placement which it
//! finds, and nothing else; a UID always stands for the same message. Its rows are written in
//! the batch that makes the change, so all writers of the store keep them, the importer too. If
//! they are not what the placements say (they should not be), the mailbox is off until it is made
//! anew, with another UIDVALIDITY. Rejected: a search by each session, which has no UIDs that
//! stay; a line for each placement, which shows a copied letter twice and lets a flag that is taken
//! off here still be shown here; numbers beside those of the placements, which everybody who has
//! no virtual mailboxes would pay for.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::document::{Lww, MailboxDocument, Stamp};
use super::places::short;
use super::roster::{Flags, Roster, RosterEntry};
use super::view::{MailboxRow, MailboxStatus, Numbers, Placed, View};
use super::{Replica, ReplicaError, decode_row, encode_row};
use crate::id::{MailboxId, MailboxName, MessageHash, ModSeq, PlacementId, Timestamp, Uid};
use crate::model::{Flag, VirtualMailbox};
use crate::seal::AccountKeys;
use crate::store::{KeyRange, Store, Table};

mod settle;

pub(crate) use settle::VirtualDelta;

/// Rows of the Meta table: with one octet behind it of a virtual mailbox itself, with a UID behind
/// that of a message in it.
const PREFIX: &[u8] = b"virtual ";

/// A virtual mailbox in memory.
#[derive(Debug)]
pub(crate) struct VirtualState {
    /// Of its document only the id, the name and the subscription mean something.
    pub(crate) row: MailboxRow,
    pub(crate) roster: Arc<Roster>,
    /// First octets of a message's hash, and its UID here.
    uids: BTreeSet<(u64, u32)>,
}

/// The value of a row of a message.
#[derive(Serialize, Deserialize)]
struct ShownRow {
    message: MessageHash,
    /// Which placement bears it.
    bearer: PlacementId,
    /// Mod-sequence with which the message came.
    placed: ModSeq,
    /// Mod-sequence from which on that placement bears it.
    since: ModSeq,
}

impl VirtualState {
    fn new(row: MailboxRow) -> Self {
        Self {
            roster: Arc::new(Roster::new(row.uid_next, row.highest_mod_seq)),
            uids: BTreeSet::new(),
            row,
        }
    }

    /// Where a message is shown.
    fn entry_of(&self, message: MessageHash) -> Option<RosterEntry<'_>> {
        let first = short(&message);
        let found = self.uids.range((first, 0)..=(first, u32::MAX));
        let mut entries = found.filter_map(|(_, uid)| self.roster.find(Uid::new(*uid)?));
        entries.find(|entry| entry.message() == message)
    }

    fn put(&mut self, placed: &Placed) {
        let first = short(&placed.shown.message);
        self.uids.insert((first, placed.numbers.uid.get()));
        Arc::make_mut(&mut self.roster).put(placed);
    }

    fn remove(&mut self, uid: Uid) {
        let message = self.roster.find(uid).map(|entry| entry.message());
        if let Some(message) = message {
            self.uids.remove(&(short(&message), uid.get()));
            Arc::make_mut(&mut self.roster).remove(uid);
        }
    }

    /// Takes over what a commit has changed.
    fn apply(&mut self, delta: VirtualDelta) {
        for (uid, placed) in delta.messages {
            match placed {
                Some(placed) => self.put(&placed),
                None => self.remove(uid),
            }
        }
        self.row = delta.row;
        let (next, highest) = (self.row.uid_next, self.row.highest_mod_seq);
        if !self.roster.is_finished(next, highest) {
            Arc::make_mut(&mut self.roster).finish(next, highest);
        }
    }

    fn status(&self, which: VirtualMailbox) -> MailboxStatus {
        MailboxStatus {
            virtual_mailbox: Some(which),
            ..MailboxStatus::of(&self.row, None, self.roster.counts())
        }
    }
}

/// Whether a placement in a mailbox with this role is found.
fn finds(which: VirtualMailbox, is_shown: bool, flags: &Flags) -> bool {
    is_shown
        && match which {
            VirtualMailbox::All => true,
            VirtualMailbox::Flagged => flags.has(&Flag::Flagged),
        }
}

impl View {
    /// The virtual mailbox with this id.
    pub(super) fn virtual_by_id(&self, id: MailboxId) -> Option<(VirtualMailbox, &VirtualState)> {
        let mut all = self.virtuals.iter();
        let found = all.find(|(_, state)| state.row.document.id == id);
        found.map(|(which, state)| (*which, state))
    }

    /// The virtual mailbox of this name.
    pub(super) fn virtual_by_name(&self, name: &MailboxName) -> Option<&VirtualState> {
        self.virtuals.values().find(|state| state.row.name == *name)
    }

    /// The row and the messages of a mailbox that is there, virtual or not.
    pub(super) fn shown(&self, id: MailboxId) -> Option<(&MailboxRow, &Arc<Roster>)> {
        let state = self.mailboxes.get(&id);
        let real = state.filter(|state| !state.row.document.deleted);
        real.map(|state| (&state.row, &state.roster)).or_else(|| {
            let (_, state) = self.virtual_by_id(id)?;
            Some((&state.row, &state.roster))
        })
    }

    /// Takes over what a commit has changed in a virtual mailbox; `None` turns it off.
    pub(super) fn apply_virtual(&mut self, which: VirtualMailbox, delta: Option<VirtualDelta>) {
        let Some(delta) = delta else {
            self.virtuals.remove(&which);
            return;
        };
        if delta.begins {
            let state = VirtualState::new(delta.row.clone());
            self.virtuals.insert(which, state);
        }
        if let Some(state) = self.virtuals.get_mut(&which) {
            state.apply(delta);
        }
    }

    /// Reads the virtual mailboxes from the store, after everything else. One whose rows are not
    /// what the placements say is left out.
    pub(super) async fn load_virtuals<S: Store>(&mut self, store: &S) -> Result<(), ReplicaError> {
        for which in VirtualMailbox::ALL {
            let rows = store
                .scan(Table::Meta, KeyRange::prefix(&key(which, None)))
                .await?;
            let mut rows = rows.iter();
            // Its own row has the shortest key.
            let Some((_, row)) = rows.next() else {
                continue;
            };
            let mut state = VirtualState::new(decode_row(Table::Meta, row)?);
            let mut is_sound = true;
            for (key, row) in rows {
                match self.borne(which, key, row)? {
                    Some(placed) => state.put(&placed),
                    None => is_sound = false,
                }
            }
            let (next, highest) = (state.row.uid_next, state.row.highest_mod_seq);
            Arc::make_mut(&mut state.roster).finish(next, highest);
            if is_sound {
                self.virtuals.insert(which, state);
            }
        }
        Ok(())
    }

    /// A message of a virtual mailbox as its row says, if its bearer is there.
    fn borne(
        &self,
        which: VirtualMailbox,
        key: &[u8],
        row: &[u8],
    ) -> Result<Option<Placed>, ReplicaError> {
        let damaged = || ReplicaError::Row(Table::Meta.name());
        let (_, uid) = key.split_last_chunk::<4>().ok_or_else(damaged)?;
        let uid = Uid::new(u32::from_be_bytes(*uid)).ok_or_else(damaged)?;
        let row: ShownRow = decode_row(Table::Meta, row)?;
        let mut places = self.places_of(row.message);
        let bearer = places.find(|(_, entry)| entry.id() == row.bearer);
        let found = bearer.and_then(|(mailbox, entry)| {
            let mut shown = Placed::from(entry);
            shown.numbers = Numbers {
                uid,
                mod_seq: shown.numbers.mod_seq.max(row.since),
                placed: row.placed,
            };
            let is_shown = self.shows(mailbox);
            finds(which, is_shown, &shown.shown.flags).then_some(shown)
        });
        Ok(found)
    }

    /// Whether virtual mailboxes show messages of a mailbox.
    fn shows(&self, mailbox: MailboxId) -> bool {
        let state = self.mailboxes.get(&mailbox);
        state.is_some_and(|state| VirtualMailbox::shows_mailbox(state.role))
    }

    /// Whether a virtual mailbox shows what it should: for [`Replica::check`].
    pub(super) fn is_virtual_sound(&self, which: VirtualMailbox) -> bool {
        let Some(state) = self.virtuals.get(&which) else {
            return true;
        };
        let mut wanted = BTreeSet::new();
        for (mailbox, real) in &self.mailboxes {
            let is_shown = self.shows(*mailbox);
            let found = real.roster.iter();
            let found = found.filter(|entry| finds(which, is_shown, &entry.compact_flags()));
            wanted.extend(found.map(|entry| entry.message()));
        }
        let mut rows = state.roster.iter();
        let is_right = rows.all(|row| {
            let mut places = self.places_of(row.message());
            let bearer = places.find(|(_, entry)| entry.id() == row.id());
            wanted.remove(&row.message())
                && row.uid() < state.row.uid_next
                && row.mod_seq() <= state.row.highest_mod_seq
                && bearer.is_some_and(|(mailbox, entry)| {
                    let shown = Placed::from(entry).shown;
                    Placed::from(row).shown == shown
                        && finds(which, self.shows(mailbox), &shown.flags)
                })
        });
        is_right && wanted.is_empty()
    }
}

impl<S: Store> Replica<S> {
    /// The mailboxes and the virtual ones, by name: what a mail program is shown.
    pub fn shown_mailboxes(&self) -> Vec<MailboxStatus> {
        let mut all = self.mailboxes();
        let view = self.view();
        let virtuals = view.virtuals.iter();
        let before = all.len();
        all.extend(virtuals.map(|(which, state)| state.status(*which)));
        if all.len() > before {
            all.sort_by(|a, b| a.name.cmp(&b.name));
        }
        all
    }

    /// The virtual mailbox of this name.
    pub(super) fn virtual_named(&self, name: &MailboxName) -> Option<MailboxStatus> {
        let view = self.view();
        let mut all = view.virtuals.iter();
        let found = all.find(|(_, state)| state.row.name == *name);
        found.map(|(which, state)| state.status(*which))
    }

    /// The virtual mailbox with this id.
    pub(super) fn virtual_with_id(&self, id: MailboxId) -> Option<MailboxStatus> {
        let view = self.view();
        let found = view.virtual_by_id(id);
        found.map(|(which, state)| state.status(which))
    }

    /// Turns virtual mailboxes on and off, on this device: these are there afterwards and no
    /// others. One that is on stays as it is; one that is turned on gets a new UIDVALIDITY.
    pub async fn set_virtual_mailboxes(
        &self,
        wanted: &[VirtualMailbox],
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        for which in VirtualMailbox::ALL {
            let is_on = self.view().virtuals.contains_key(&which);
            let is_wanted = wanted.contains(&which);
            if is_on && is_wanted {
                continue;
            }
            change.forget_virtual(which).await?;
            if is_wanted {
                change.begin_virtual(which)?;
            } else if is_on {
                change.delta.virtuals.insert(which, None);
            }
        }
        change.commit().await
    }
}

impl<S: Store> Change<'_, S> {
    /// Removes all rows of a virtual mailbox.
    async fn forget_virtual(&mut self, which: VirtualMailbox) -> Result<(), ReplicaError> {
        let id = id_of(&self.replica.keys, which);
        let store = &self.replica.store;
        let rows = KeyRange::prefix(&key(which, None));
        for (key, _) in store.scan(Table::Meta, rows).await? {
            self.batch.delete(Table::Meta, key);
        }
        let rows = KeyRange::prefix(id.as_bytes());
        for (key, _) in store.scan(Table::Vanished, rows).await? {
            self.batch.delete(Table::Vanished, key);
        }
        Ok(())
    }

    /// Makes a virtual mailbox; what it shows is settled with the commit.
    fn begin_virtual(&mut self, which: VirtualMailbox) -> Result<(), ReplicaError> {
        let name = self.virtual_name(which).ok_or(ReplicaError::Exhausted)?;
        let row = self.new_mailbox(MailboxDocument {
            id: id_of(&self.replica.keys, which),
            name: Lww::new(name, Stamp::OLDEST),
            role: None,
            subscribed: Lww::new(true, Stamp::OLDEST),
            deleted: false,
        })?;
        let delta = VirtualDelta::of(row, true);
        self.delta.virtuals.insert(which, Some(delta));
        Ok(())
    }

    /// The first of its names that no mailbox has.
    fn virtual_name(&self, which: VirtualMailbox) -> Option<MailboxName> {
        let first = which.default_name();
        let numbered = (2_u64..).map(|n| format!("{first} ({n})"));
        [first.to_owned()]
            .into_iter()
            .chain(numbered)
            .map_while(|name| MailboxName::new(&name).ok())
            .find(|name| self.id_of(name).is_none())
    }

    /// A message as a mailbox shows it, with the numbers that it has there.
    pub(super) fn shown(&self, mailbox: MailboxId, uid: Uid) -> Option<Placed> {
        let view = self.replica.view();
        if let Some((_, state)) = view.virtual_by_id(mailbox) {
            return state.roster.find(uid).map(Placed::from);
        }
        drop(view);
        self.placement(mailbox, uid)
    }

    /// The placements that are meant by a UID of a mailbox: in a virtual one those that it finds,
    /// the bearer first, otherwise itself.
    pub(super) fn behind(&self, mailbox: MailboxId, uid: Uid) -> Vec<(MailboxId, Uid)> {
        let view = self.replica.view();
        let Some((which, state)) = view.virtual_by_id(mailbox) else {
            return vec![(mailbox, uid)];
        };
        let Some(entry) = state.roster.find(uid) else {
            return Vec::new();
        };
        let places = view.places_of(entry.message());
        let found =
            places.filter(|(id, place)| finds(which, view.shows(*id), &place.compact_flags()));
        let mut found: Vec<_> = found
            .map(|(id, place)| (place.id() != entry.id(), id, place.uid()))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, id, uid)| (id, uid)).collect()
    }

    /// Lets a message that is moved or replaced in a virtual mailbox come to it as a new one.
    pub(super) fn let_return(&mut self, mailbox: MailboxId, uid: Uid) {
        let replica = self.replica;
        let view = replica.view();
        if let Some((which, state)) = view.virtual_by_id(mailbox)
            && let Some(entry) = state.roster.find(uid)
        {
            self.returning.insert((which, entry.message()));
        }
    }

    /// Whether a mailbox is a virtual one.
    pub(super) fn is_virtual(&self, mailbox: MailboxId) -> bool {
        self.replica.view().virtual_by_id(mailbox).is_some()
    }

    /// Refuses what cannot be done with a virtual mailbox.
    pub(super) fn must_not_be_virtual(&self, name: &MailboxName) -> Result<(), ReplicaError> {
        match self.replica.view().virtual_by_name(name) {
            Some(_) => Err(ReplicaError::Virtual),
            None => Ok(()),
        }
    }

    /// Subscribes to a virtual mailbox or ends it; `false` if there is none of this name.
    pub(super) fn subscribe_virtual(
        &mut self,
        name: &MailboxName,
        subscribed: bool,
    ) -> Result<bool, ReplicaError> {
        let replica = self.replica;
        let view = replica.view();
        let mut all = view.virtuals.iter();
        let Some((which, state)) = all.find(|(_, state)| state.row.name == *name) else {
            return Ok(false);
        };
        if state.row.document.subscribed.value != subscribed {
            let mut row = state.row.clone();
            row.document.subscribed.value = subscribed;
            row.changed = self.mod_seq()?;
            let delta = VirtualDelta::of(row, false);
            self.delta.virtuals.insert(*which, Some(delta));
        }
        Ok(true)
    }
}

/// A text that is no name of a mailbox, so that no mailbox has the id.
fn id_of(keys: &AccountKeys, which: VirtualMailbox) -> MailboxId {
    keys.mailbox_id(&format!("\0{}", which.attribute()))
}

fn key(which: VirtualMailbox, uid: Option<Uid>) -> Vec<u8> {
    let which = match which {
        VirtualMailbox::All => b'a',
        VirtualMailbox::Flagged => b'f',
    };
    let mut key = [PREFIX, &[which]].concat();
    if let Some(uid) = uid {
        key.extend(uid.get().to_be_bytes());
    }
    key
}

fn shown_row(placed: &Placed) -> Vec<u8> {
    encode_row(&ShownRow {
        message: placed.shown.message,
        bearer: placed.shown.id,
        placed: placed.numbers.placed,
        since: placed.numbers.mod_seq,
    })
}
