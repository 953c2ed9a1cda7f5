//! What the search index and the threads ask of the view: which messages are placed, and where.
//!
//! Rows are visited in place: a hundred thousand copies of flags would cost more than the search.

use super::Replica;
use super::roster::RosterEntry;
use crate::id::{MailboxId, MessageHash};
use crate::store::Store;

impl<S: Store> Replica<S> {
    /// The store, for what is derived from the mail and kept beside it.
    pub(crate) fn store(&self) -> &S {
        &self.store
    }

    /// Is another number whenever a message has got its first place or lost its last.
    pub(crate) fn messages_changed(&self) -> u64 {
        self.view().messages_changed
    }

    /// Messages that are placed, from a hash on, at most `limit`, ascending.
    pub(crate) fn messages_from(&self, from: MessageHash, limit: usize) -> Vec<MessageHash> {
        let view = self.view();
        view.messages_from(from).take(limit).collect()
    }

    /// Visits every message that is placed, once for each place.
    pub(crate) fn each_message(&self, visit: &mut dyn FnMut(&MessageHash)) {
        let view = self.view();
        for state in view.mailboxes.values() {
            state
                .roster
                .iter()
                .for_each(|entry| visit(&entry.message()));
        }
    }

    /// How many places there are.
    pub(crate) fn places(&self) -> usize {
        let view = self.view();
        let all = view.mailboxes.values();
        all.map(|state| state.roster.len()).sum()
    }

    /// Visits every place; with `mailboxes`, those in these.
    pub(crate) fn each_place(
        &self,
        mailboxes: Option<&[MailboxId]>,
        visit: &mut dyn FnMut(MailboxId, RosterEntry<'_>),
    ) {
        let view = self.view();
        for (id, state) in &view.mailboxes {
            if mailboxes.is_none_or(|wanted| wanted.contains(id)) {
                state.roster.iter().for_each(|entry| visit(*id, entry));
            }
        }
    }

    /// Visits the places of one message.
    pub(crate) fn each_place_of(
        &self,
        message: &MessageHash,
        visit: &mut dyn FnMut(MailboxId, RosterEntry<'_>),
    ) {
        let view = self.view();
        for (mailbox, entry) in view.places_of(*message) {
            visit(mailbox, entry);
        }
    }
}
