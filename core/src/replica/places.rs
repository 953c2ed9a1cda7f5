//! Where each message is placed: a sorted set of 16 octets a place.
//!
//! A place is kept under the first eight octets of its message's hash, which are as good as random
//! (the hash is keyed); the mailbox's roster has the whole hash, and who asks compares it. So
//! messages ascend by hash, and none is allocated. Rejected: a map from hash to places, at 100
//! octets a message.

use std::collections::BTreeSet;

use super::view::Usage;
use crate::id::{MailboxId, MessageHash, Uid};

/// The places of all messages.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// First octets of the message's hash, mailbox, UID.
    set: BTreeSet<(u64, u32, u32)>,
    /// The mailboxes by their numbers in the set.
    slots: Vec<MailboxId>,
    usage: Usage,
}

impl Places {
    /// Gives a mailbox the number that it has from now on.
    pub(super) fn slot(&mut self, mailbox: MailboxId) -> u32 {
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(mailbox);
        slot
    }

    /// Takes the places of all messages, each with the message's size, in any order: faster than
    /// one by one.
    pub(super) fn fill(&mut self, mut all: Vec<(MessageHash, u64, u32, Uid)>) {
        all.sort_unstable();
        let mut last = None;
        for (message, size, ..) in &all {
            if last.replace(*message) != Some(*message) {
                self.count_in(*size);
            }
        }
        let places = all.into_iter();
        self.set = places
            .map(|(message, _, slot, uid)| (short(&message), slot, uid.get()))
            .collect();
    }

    pub(super) fn insert(&mut self, message: MessageHash, slot: u32, uid: Uid) {
        self.set.insert((short(&message), slot, uid.get()));
    }

    pub(super) fn remove(&mut self, message: MessageHash, slot: u32, uid: Uid) {
        self.set.remove(&(short(&message), slot, uid.get()));
    }

    /// A message has got its first place.
    pub(super) fn count_in(&mut self, octets: u64) {
        self.usage.messages = self.usage.messages.saturating_add(1);
        self.usage.octets = self.usage.octets.saturating_add(octets);
    }

    /// A message has lost its last place.
    pub(super) fn count_out(&mut self, octets: u64) {
        self.usage.messages = self.usage.messages.saturating_sub(1);
        self.usage.octets = self.usage.octets.saturating_sub(octets);
    }

    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// The places of a message, and of those whose hashes begin as its own.
    pub(super) fn of(&self, message: MessageHash) -> impl Iterator<Item = (MailboxId, Uid)> {
        let short = short(&message);
        let range = (short, 0, 0)..=(short, u32::MAX, u32::MAX);
        self.set.range(range).filter_map(|place| self.place(place))
    }

    /// Places from a message on, ascending by message; those whose hashes begin alike together.
    pub(super) fn groups_from(
        &self,
        from: MessageHash,
    ) -> impl Iterator<Item = impl Iterator<Item = (MailboxId, Uid)>> {
        let mut next = Some((short(&from), 0, 0));
        core::iter::from_fn(move || {
            let (short, ..) = *self.set.range(next?..).next()?;
            next = short.checked_add(1).map(|short| (short, 0, 0));
            let group = (short, 0, 0)..=(short, u32::MAX, u32::MAX);
            let places = self.set.range(group);
            Some(places.filter_map(|place| self.place(place)))
        })
    }

    fn place(&self, (_, slot, uid): &(u64, u32, u32)) -> Option<(MailboxId, Uid)> {
        let mailbox = self.slots.get(usize::try_from(*slot).ok()?)?;
        Some((*mailbox, Uid::new(*uid)?))
    }
}

/// The first octets of a message's hash.
pub(super) fn short(message: &MessageHash) -> u64 {
    let first = message.as_bytes().first_chunk::<8>();
    u64::from_be_bytes(*first.unwrap_or(&[0; 8]))
}
