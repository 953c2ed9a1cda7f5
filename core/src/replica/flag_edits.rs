//! Changes of flags that the view shows and their pages do not have yet.
//!
//! A STORE of ten thousand messages is one row: what was done to which UIDs, with its stamp and
//! mod-sequence. Opening, changing and sealing some hundred pages follows later, once for all
//! changes that came meanwhile: before anything else reads or writes a page ([`Change::page`]) and
//! before a push. Invariants: the view is what pages and rows say together, in the order of the rows;
//! between a row and its way into the pages no placement comes, goes or moves, since all of that
//! goes through pages. Rejected: a row for each message, which takes as long as their pages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::document::Stamp;
use super::roster::{Flags, Roster};
use super::view::View;
use super::{Replica, ReplicaError, decode_row, encode_row};
use crate::id::{MailboxId, ModSeq, Timestamp, Uid};
use crate::model::{Flag, FlagChange, FlagSet, MAX_FLAGS_PER_MESSAGE};
use crate::store::{Durability, KeyRange, Store, Table};

/// Of a row; it stands first.
const VERSION: u8 = 1;
/// Rows of the Meta table with what waits, by ascending number.
const FLAG_EDITS_PREFIX: &[u8] = b"flags ";
/// Most changes that wait for their pages.
const MOST_EDITS: usize = 4096;
/// Most messages that they change, each counted as often as it changes.
const MOST_EDITED: usize = 200_000;

/// A change of flags, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlagEdit {
    mailbox: MailboxId,
    how: FlagChange,
    flags: FlagSet,
    stamp: Stamp,
    mod_seq: ModSeq,
    ranges: Ranges,
}

/// The same as it is stored.
#[derive(Serialize, Deserialize)]
struct FlagEditRow {
    /// [`VERSION`].
    version: u8,
    mailbox: MailboxId,
    how: How,
    /// As IMAP writes them.
    flags: Vec<String>,
    stamp: Stamp,
    mod_seq: ModSeq,
    ranges: Ranges,
}

/// [`FlagChange`] as it is stored.
#[derive(Serialize, Deserialize)]
enum How {
    Replace,
    Add,
    Remove,
}

/// Ascending UIDs: first and last of each range between which the roster has no others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ranges {
    ranges: Vec<(Uid, Uid)>,
    messages: u32,
}

/// What waits for its pages, by ascending number.
pub(crate) type FlagEdits = BTreeMap<u64, Arc<FlagEdit>>;

/// What a commit does to them.
#[derive(Debug, Default)]
pub(crate) struct FlagEditsDelta {
    added: Option<(u64, Arc<FlagEdit>)>,
    pub(super) settled: bool,
}

impl FlagEdit {
    fn encode(&self) -> Vec<u8> {
        encode_row(&FlagEditRow {
            version: VERSION,
            mailbox: self.mailbox,
            how: match self.how {
                FlagChange::Replace => How::Replace,
                FlagChange::Add => How::Add,
                FlagChange::Remove => How::Remove,
            },
            flags: self
                .flags
                .iter()
                .map(|flag| flag.as_str().to_owned())
                .collect(),
            stamp: self.stamp,
            mod_seq: self.mod_seq,
            ranges: self.ranges.clone(),
        })
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, ReplicaError> {
        if row.first().is_some_and(|version| *version > VERSION) {
            return Err(ReplicaError::NewerRow(Table::Meta.name()));
        }
        let row: FlagEditRow = decode_row(Table::Meta, row)?;
        let flags = row.flags.iter().map(|flag| Flag::parse(flag));
        let flags = flags.collect::<Result<_, _>>();
        Ok(Self {
            mailbox: row.mailbox,
            how: match row.how {
                How::Replace => FlagChange::Replace,
                How::Add => FlagChange::Add,
                How::Remove => FlagChange::Remove,
            },
            flags: flags.map_err(|_| ReplicaError::Row(Table::Meta.name()))?,
            stamp: row.stamp,
            mod_seq: row.mod_seq,
            ranges: row.ranges,
        })
    }

    fn changer(&self) -> Changer {
        Changer::new(self.how, self.flags.clone())
    }
}

/// What a change makes of flags.
struct Changer {
    how: FlagChange,
    flags: FlagSet,
    known: Vec<(Flags, Flags)>,
}

impl Changer {
    /// Different sets of flags that are remembered.
    const KNOWN: usize = 8;

    const fn new(how: FlagChange, flags: FlagSet) -> Self {
        Self {
            how,
            flags,
            known: Vec::new(),
        }
    }

    fn apply(&mut self, before: &Flags) -> Flags {
        if let Some((_, after)) = self.known.iter().find(|(known, _)| known == before) {
            return after.clone();
        }
        let after = self.how.apply(&before.to_set(), &self.flags);
        let after = Flags::of(after.iter());
        if self.known.len() == Self::KNOWN {
            self.known.remove(0);
        }
        self.known.push((before.clone(), after.clone()));
        after
    }
}

impl Ranges {
    /// Takes in a UID; `follows`: it stands right behind the one before.
    fn push(&mut self, uid: Uid, follows: bool) {
        self.messages = self.messages.saturating_add(1);
        match self.ranges.last_mut() {
            Some((_, last)) if follows => *last = uid,
            _ => self.ranges.push((uid, uid)),
        }
    }
}

impl View {
    /// Reads what waits and shows it.
    pub(super) async fn load_flag_edits<S: Store>(
        &mut self,
        store: &S,
    ) -> Result<(), ReplicaError> {
        let rows = store.scan(Table::Meta, KeyRange::prefix(FLAG_EDITS_PREFIX));
        for (key, row) in rows.await? {
            let number = key.get(FLAG_EDITS_PREFIX.len()..);
            let number = number.and_then(|octets| octets.try_into().ok());
            let number = number.ok_or(ReplicaError::Row(Table::Meta.name()))?;
            let edit = FlagEdit::decode(&row)?;
            self.apply_flag_edits(FlagEditsDelta {
                added: Some((u64::from_be_bytes(number), Arc::new(edit))),
                settled: false,
            });
        }
        Ok(())
    }

    /// Takes over what a commit did.
    pub(super) fn apply_flag_edits(&mut self, delta: FlagEditsDelta) {
        if delta.settled {
            self.flag_edits.clear();
        }
        let Some((number, edit)) = delta.added else {
            return;
        };
        if let Some(state) = self.mailboxes.get_mut(&edit.mailbox) {
            let mut changer = edit.changer();
            let roster = Arc::make_mut(&mut state.roster);
            for (first, last) in &edit.ranges.ranges {
                let change = |flags: &Flags| changer.apply(flags);
                roster.change_flags(*first, *last, edit.mod_seq, change);
            }
            roster.finish(state.row.uid_next, state.row.highest_mod_seq);
        }
        self.flag_edits.insert(number, edit);
    }
}

impl<S: Store> Replica<S> {
    /// Whether changes of flags wait for their pages.
    pub(super) fn has_flag_edits(&self) -> bool {
        !self.view().flag_edits.is_empty()
    }

    /// Brings all pages up to date with the flags that are shown.
    pub(super) async fn settle_flags(&self) -> Result<(), ReplicaError> {
        if !self.has_flag_edits() {
            return Ok(());
        }
        // Nothing here is dated: each change has the stamp that it was given.
        let now = Timestamp::from_millis(self.view().counters.clock);
        let mut change = self.begin(now).await;
        change.keep_pages();
        change.settle_flag_edits().await?;
        change.batch.durability = Durability::Process;
        change.commit().await
    }
}

impl<S: Store> Change<'_, S> {
    /// Whether a change of flags can wait: virtual mailboxes follow each placement, and what waits
    /// is bounded.
    pub(super) fn may_wait(&self) -> bool {
        let view = self.replica.view();
        let edits = view.flag_edits.values();
        let edited = edits
            .map(|edit| edit.ranges.messages as usize)
            .sum::<usize>();
        view.virtuals.is_empty() && view.flag_edits.len() < MOST_EDITS && edited < MOST_EDITED
    }

    /// Notes a change of messages of a roster; returns those that are different afterwards.
    pub(super) fn note_flags(
        &mut self,
        mailbox: MailboxId,
        roster: &Roster,
        uids: Vec<Uid>,
        (how, flags): (FlagChange, &FlagSet),
    ) -> Result<Vec<Uid>, ReplicaError> {
        let mut changer = Changer::new(how, flags.clone());
        let (mut ranges, mut different) = (Ranges::default(), Vec::new());
        let mut seeker = roster.seek();
        let mut before = None;
        for uid in uids {
            let Some((position, entry)) = seeker.find(uid) else {
                continue;
            };
            let current = entry.compact_flags();
            let wanted = changer.apply(&current);
            if wanted == current {
                continue;
            }
            if wanted.len() > MAX_FLAGS_PER_MESSAGE {
                return Err(ReplicaError::TooManyFlags);
            }
            ranges.push(uid, before.is_some_and(|before| position == before + 1));
            before = Some(position);
            different.push(uid);
        }
        if different.is_empty() {
            return Ok(different);
        }
        let (stamp, mod_seq) = (self.stamp(), self.touch(mailbox)?);
        let edit = FlagEdit {
            mailbox,
            how,
            flags: flags.clone(),
            stamp,
            mod_seq,
            ranges,
        };
        let last = self.replica.view().flag_edits.keys().next_back().copied();
        let number = last.map_or(0, |last| last.saturating_add(1));
        self.batch
            .put(Table::Meta, flag_edit_key(number), edit.encode());
        self.delta.flag_edits.added = Some((number, Arc::new(edit)));
        Ok(different)
    }

    /// Brings the pages up to date with what waits: the first thing that a change does with pages.
    pub(super) async fn settle_flag_edits(&mut self) -> Result<(), ReplicaError> {
        if core::mem::replace(&mut self.delta.flag_edits.settled, true) {
            return Ok(());
        }
        let edits = self.replica.view().flag_edits.clone();
        let mut pages = BTreeSet::new();
        for edit in edits.values() {
            let roster = self.replica.roster(edit.mailbox).unwrap_or_default();
            for (first, last) in &edit.ranges.ranges {
                pages.extend(roster.between(*first, *last).map(|entry| entry.id().page()));
            }
        }
        self.read_pages(pages).await?;
        for (number, edit) in edits {
            self.settle_flag_edit(&edit)?;
            self.batch.delete(Table::Meta, flag_edit_key(number));
        }
        Ok(())
    }

    fn settle_flag_edit(&mut self, edit: &FlagEdit) -> Result<(), ReplicaError> {
        let mut changer = edit.changer();
        let roster = self.replica.roster(edit.mailbox).unwrap_or_default();
        let mut sets: Vec<(Flags, FlagSet)> = Vec::new();
        for (first, last) in &edit.ranges.ranges {
            for entry in roster.between(*first, *last) {
                let id = entry.id();
                let page = self.pages.get_mut(&id.page());
                let page = page.ok_or(ReplicaError::Row(Table::Placements.name()))?;
                let states = page.flags_of(id.entry())?;
                let wanted = changer.apply(&Flags::of(states.set()));
                let at = sets.iter().position(|(known, _)| *known == wanted);
                let at = at.unwrap_or_else(|| {
                    sets.push((wanted.clone(), wanted.to_set()));
                    sets.len().saturating_sub(1)
                });
                if let Some((_, set)) = sets.get(at) {
                    states.change(set, edit.stamp);
                }
                page.number(id.entry(), Some(entry.numbers()));
            }
        }
        Ok(())
    }
}

fn flag_edit_key(number: u64) -> Vec<u8> {
    [FLAG_EDITS_PREFIX, &number.to_be_bytes()].concat()
}
