//! What a change means to the virtual mailboxes.
//!
//! Every message is looked at of which the change has placed, changed or removed a placement, and
//! every message of a mailbox that has become one for junk or trash, or is none any more. Nothing
//! else can enter, leave or look different. Without virtual mailboxes nothing is looked at.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use super::{VirtualState, finds, key, shown_row};
use crate::id::{MailboxId, MessageHash, Uid};
use crate::model::{AnnotationOwner, VirtualMailbox};
use crate::replica::annotations::GivenRole;
use crate::replica::change::Change;
use crate::replica::changes::MAX_VANISHED;
use crate::replica::view::{MailboxRow, Numbers, Placed, View};
use crate::replica::{ReplicaError, encode_row};
use crate::store::{Store, Table};

/// What one commit changes in a virtual mailbox.
#[derive(Debug)]
pub(crate) struct VirtualDelta {
    pub(crate) row: MailboxRow,
    pub(super) messages: BTreeMap<Uid, Option<Placed>>,
    /// Whether it is turned on.
    pub(super) begins: bool,
}

impl VirtualDelta {
    pub(super) fn of(row: MailboxRow, begins: bool) -> Self {
        Self {
            row,
            messages: BTreeMap::new(),
            begins,
        }
    }
}

/// Messages to look at, and where this change has put placements of them.
type Touched = BTreeMap<MessageHash, Vec<(MailboxId, Uid)>>;

/// What becomes of a message in a virtual mailbox.
enum Fate {
    /// Nothing.
    Stays,
    /// It is not shown any more.
    Leaves(Placed),
    /// It is shown from here on.
    Enters(Placed),
    /// It gets another UID.
    Returns(Placed, Placed),
    /// It looks different, or another placement bears it.
    Changes(Placed, Placed),
}

impl<S: Store> Change<'_, S> {
    /// Brings the virtual mailboxes up to date with the rest of the change.
    pub(in crate::replica) async fn finish_virtuals(&mut self) -> Result<(), ReplicaError> {
        let replica = self.replica;
        if replica.view().virtuals.is_empty() && self.delta.virtuals.is_empty() {
            return Ok(());
        }
        self.settle_virtuals(&replica.view())?;
        for (which, mut delta) in core::mem::take(&mut self.delta.virtuals) {
            if let Some(delta) = &mut delta {
                if delta.row.vanished > MAX_VANISHED {
                    self.forget_vanished(&mut delta.row).await?;
                }
                let row = encode_row(&delta.row);
                self.batch.put(Table::Meta, key(which, None), row);
            }
            self.delta.virtuals.insert(which, delta);
        }
        Ok(())
    }

    fn settle_virtuals(&mut self, view: &View) -> Result<(), ReplicaError> {
        let hidden = self.hidden_mailboxes(view);
        let touched = self.touched_messages(view, &hidden);
        for which in VirtualMailbox::ALL {
            let turned = self.delta.virtuals.get(&which);
            let turned = turned.map(|delta| delta.as_ref().is_some_and(|delta| delta.begins));
            let state = view.virtuals.get(&which);
            match (turned, state) {
                (Some(true), _) => {
                    let mut all = touched.clone();
                    for message in view.messages_from(MessageHash::new([0; 32])) {
                        all.entry(message).or_default();
                    }
                    self.settle_messages(view, (which, None), &all, &hidden)?;
                }
                // Its own row may be edited already; one that is turned off has nothing else.
                (None | Some(false), Some(state)) if !self.ends(which) => {
                    self.settle_messages(view, (which, Some(state)), &touched, &hidden)?;
                    self.settle_virtual_name(view, which, state)?;
                }
                (None | Some(false), _) => {}
            }
        }
        Ok(())
    }

    fn ends(&self, which: VirtualMailbox) -> bool {
        matches!(self.delta.virtuals.get(&which), Some(None))
    }

    /// Mailboxes that are not shown, after this change.
    fn hidden_mailboxes(&self, view: &View) -> BTreeSet<MailboxId> {
        let hidden = view.mailboxes.iter();
        let hidden = hidden.filter(|(_, state)| !VirtualMailbox::shows_mailbox(state.role));
        let mut hidden: BTreeSet<MailboxId> = hidden.map(|(id, _)| *id).collect();
        for id in self.edited_mailboxes() {
            let owner = AnnotationOwner::Mailbox(id);
            let noted = match self.delta.annotations.get(&owner) {
                Some(noted) => noted.as_ref(),
                None => view.annotations.get(&owner),
            };
            let given = noted.and_then(|row| row.role);
            let edited = self.delta.mailboxes.get(&id);
            let row = edited.or_else(|| view.mailboxes.get(&id).map(|state| &state.row));
            let first = row.and_then(|row| row.document.role);
            let role = given.map_or(first, |GivenRole(role)| role);
            if VirtualMailbox::shows_mailbox(role) {
                hidden.remove(&id);
            } else {
                hidden.insert(id);
            }
        }
        hidden
    }

    /// Mailboxes of which this change has edited the row or an annotation.
    fn edited_mailboxes(&self) -> impl Iterator<Item = MailboxId> {
        let owners = self.delta.annotations.keys();
        let noted = owners.filter_map(|owner| match owner {
            AnnotationOwner::Mailbox(id) => Some(*id),
            AnnotationOwner::Account => None,
        });
        noted.chain(self.delta.mailboxes.keys().copied())
    }

    fn touched_messages(&self, view: &View, hidden: &BTreeSet<MailboxId>) -> Touched {
        let mut touched = Touched::new();
        for ((mailbox, uid), edited) in &self.delta.placements {
            if let Some(before) = view.find(*mailbox, *uid) {
                touched.entry(before.message()).or_default();
            }
            if let Some(placed) = edited {
                let places = touched.entry(placed.shown.message).or_default();
                places.push((*mailbox, *uid));
            }
        }
        for id in self.edited_mailboxes() {
            if let Some(state) = view.mailboxes.get(&id)
                && VirtualMailbox::shows_mailbox(state.role) == hidden.contains(&id)
            {
                for entry in state.roster.iter() {
                    touched.entry(entry.message()).or_default();
                }
            }
        }
        touched
    }

    /// Settles what becomes of messages in one virtual mailbox.
    fn settle_messages(
        &mut self,
        view: &View,
        (which, state): (VirtualMailbox, Option<&VirtualState>),
        touched: &Touched,
        hidden: &BTreeSet<MailboxId>,
    ) -> Result<(), ReplicaError> {
        let mut entering = Vec::new();
        for (message, edited) in touched {
            let found = self.places_after(view, *message, edited);
            let found = found
                .filter(|(mailbox, placed)| {
                    finds(which, !hidden.contains(mailbox), &placed.shown.flags)
                })
                .map(|(_, placed)| placed);
            let before = state.and_then(|state| state.entry_of(*message));
            let returns = self.returning.contains(&(which, *message));
            match fate(before.map(Placed::from), found, returns) {
                Fate::Stays => {}
                Fate::Leaves(before) => self.leave(which, view, &before)?,
                Fate::Enters(now) => entering.push(now),
                Fate::Returns(before, now) => {
                    self.leave(which, view, &before)?;
                    entering.push(now);
                }
                Fate::Changes(before, now) => self.redraw(which, view, &before, now)?,
            }
        }
        // UIDs ascend as messages came.
        entering.sort_unstable_by_key(|placed| {
            let shown = &placed.shown;
            (shown.save_date, shown.internal_date, shown.id)
        });
        for placed in entering {
            self.enter(which, view, placed)?;
        }
        Ok(())
    }

    /// Where a message is after this change.
    fn places_after(
        &self,
        view: &View,
        message: MessageHash,
        edited: &[(MailboxId, Uid)],
    ) -> impl Iterator<Item = (MailboxId, Placed)> {
        let edits = &self.delta.placements;
        let untouched = view.places_of(message).filter(|(mailbox, entry)| {
            let place = (*mailbox, entry.uid());
            edits.is_empty() || !edits.contains_key(&place)
        });
        let untouched = untouched.map(|(mailbox, entry)| (mailbox, Placed::from(entry)));
        let edited = edited.iter().filter_map(|place| {
            let placed = edits.get(place)?.clone()?;
            Some((place.0, placed))
        });
        untouched.chain(edited)
    }

    fn virtual_delta(&mut self, which: VirtualMailbox, view: &View) -> Option<&mut VirtualDelta> {
        let delta = match self.delta.virtuals.entry(which) {
            btree_map::Entry::Occupied(delta) => delta.into_mut(),
            btree_map::Entry::Vacant(none) => {
                let row = view.virtuals.get(&which)?.row.clone();
                none.insert(Some(VirtualDelta::of(row, false)))
            }
        };
        delta.as_mut()
    }

    fn enter(
        &mut self,
        which: VirtualMailbox,
        view: &View,
        mut placed: Placed,
    ) -> Result<(), ReplicaError> {
        let mod_seq = self.mod_seq()?;
        let Some(delta) = self.virtual_delta(which, view) else {
            return Ok(());
        };
        let uid = delta.row.uid_next;
        delta.row.uid_next = uid.next().ok_or(ReplicaError::Exhausted)?;
        delta.row.highest_mod_seq = mod_seq;
        placed.numbers = Numbers {
            uid,
            mod_seq,
            placed: mod_seq,
        };
        let row = shown_row(&placed);
        delta.messages.insert(uid, Some(placed));
        self.batch.put(Table::Meta, key(which, Some(uid)), row);
        Ok(())
    }

    fn redraw(
        &mut self,
        which: VirtualMailbox,
        view: &View,
        before: &Placed,
        mut placed: Placed,
    ) -> Result<(), ReplicaError> {
        let mod_seq = self.mod_seq()?;
        let Some(delta) = self.virtual_delta(which, view) else {
            return Ok(());
        };
        delta.row.highest_mod_seq = mod_seq;
        placed.numbers = Numbers {
            mod_seq,
            ..before.numbers
        };
        let uid = placed.numbers.uid;
        let row = (placed.shown.id != before.shown.id).then(|| shown_row(&placed));
        delta.messages.insert(uid, Some(placed));
        if let Some(row) = row {
            self.batch.put(Table::Meta, key(which, Some(uid)), row);
        }
        Ok(())
    }

    fn leave(
        &mut self,
        which: VirtualMailbox,
        view: &View,
        placed: &Placed,
    ) -> Result<(), ReplicaError> {
        let mod_seq = self.mod_seq()?;
        let uid = placed.numbers.uid;
        self.batch.delete(Table::Meta, key(which, Some(uid)));
        let Some(delta) = self.virtual_delta(which, view) else {
            return Ok(());
        };
        delta.row.highest_mod_seq = mod_seq;
        delta.row.vanished = delta.row.vanished.saturating_add(1);
        delta.messages.insert(uid, None);
        let mailbox = delta.row.document.id;
        self.put_vanished(mailbox, mod_seq, placed);
        Ok(())
    }

    /// Gives way to a mailbox that has got the name, and takes it again when it is free.
    fn settle_virtual_name(
        &mut self,
        view: &View,
        which: VirtualMailbox,
        state: &VirtualState,
    ) -> Result<(), ReplicaError> {
        let is_same = |(id, row): (&MailboxId, &MailboxRow)| {
            let before = view.mailboxes.get(id).map(|state| &state.row);
            before.is_some_and(|before| {
                before.name == row.name && before.document.deleted == row.document.deleted
            })
        };
        if self.delta.mailboxes.iter().all(is_same) {
            return Ok(());
        }
        let name = self.virtual_name(which).ok_or(ReplicaError::Exhausted)?;
        if name != state.row.name {
            let mod_seq = self.mod_seq()?;
            if let Some(delta) = self.virtual_delta(which, view) {
                delta.row.name = name;
                delta.row.changed = mod_seq;
            }
        }
        Ok(())
    }
}

/// What becomes of a message that was shown like this, or not, and has these placements now.
fn fate(before: Option<Placed>, found: impl Iterator<Item = Placed>, returns: bool) -> Fate {
    let bearer = before.as_ref().map(|before| before.shown.id);
    // Who bears it goes on; after it whoever has been there the longest.
    let order = |placed: &Placed| {
        let id = placed.shown.id;
        (Some(id) != bearer, placed.numbers.placed, id)
    };
    match (before, found.min_by_key(order)) {
        (None, None) => Fate::Stays,
        (None, Some(placed)) => Fate::Enters(placed),
        (Some(before), None) => Fate::Leaves(before),
        (Some(before), Some(placed)) if returns => Fate::Returns(before, placed),
        (Some(before), Some(placed)) => {
            let is_same =
                before.shown == placed.shown && placed.numbers.mod_seq <= before.numbers.mod_seq;
            if is_same {
                Fate::Stays
            } else {
                Fate::Changes(before, placed)
            }
        }
    }
}
