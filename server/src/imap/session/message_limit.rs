//! How many messages one command changes at most (RFC 9738).
//!
//! What a COPY, MOVE, STORE or UID EXPUNGE changes is one batch of the store and in memory as a
//! whole, so there is a limit; far above what a person selects. COPY is refused above it, for it
//! is all or nothing; the others take the messages with the highest UIDs and say how far down
//! they came. EXPUNGE and CLOSE have no limit (RFC 9738 3.1). Invariant: FETCH, SEARCH, SORT and
//! THREAD deal with everything, though RFC 9738 lets a server stop: they hold little at a time,
//! and a program that has never heard of the limit would take the messages that were left out
//! for expunged ones. Rejected: SAVELIMIT, which says that COPY and APPEND alone are limited
//! (RFC 9738 3); a lower number, which such programs would meet.

use super::{Session, Tag};
use crate::imap::response::{Code, Condition, Reply, Response};
use crate::imap::view::{Release, Slot};
use letterlock_core::id::Uid;

/// Most messages that one command changes; `capability` announces it.
pub const MESSAGE_LIMIT: usize = 1_000_000;

impl Session {
    /// The same, with another limit.
    #[must_use]
    pub fn limited_to(self, messages: usize) -> Self {
        Self {
            message_limit: messages,
            ..self
        }
    }

    /// The messages that a command may change, of those that it names.
    pub(super) fn within_limit(&mut self, mut slots: Vec<Slot>) -> Vec<Slot> {
        let over = slots.len().saturating_sub(self.message_limit);
        if over > 0 {
            slots.drain(..over);
            self.cut_at(slots.first().map(|slot| slot.uid));
        }
        slots
    }

    /// Notes that a command took no message below this one.
    pub(super) fn cut_at(&mut self, lowest: Option<Uid>) {
        self.cut = lowest;
    }

    /// Refuses a COPY of too many messages; `false` if there are not.
    pub(super) fn refuses(&mut self, tag: &Tag, slots: &[Slot]) -> bool {
        let over = slots.len().saturating_sub(self.message_limit);
        if over > 0 {
            let lowest = slots.get(over).map(|slot| slot.uid);
            let reply = Reply::no("Too many messages at once, copy them in parts");
            let reply = reply.with(self.limit_code(lowest));
            self.finish(tag.clone(), reply, Release::All);
        }
        over > 0
    }

    /// A tagged response that says how far down the command came. Where it says something else
    /// already, that stands before it (RFC 9738 3.1).
    pub(super) fn with_limit(&mut self, reply: Reply) -> Reply {
        let Some(lowest) = self.cut.take() else {
            return reply;
        };
        let code = self.limit_code(Some(lowest));
        match (reply.condition, &reply.code) {
            (Condition::Ok, None) => reply.with(code),
            (Condition::Ok, Some(_)) => {
                let told = Reply::no("Only the last of the messages were taken").with(code);
                self.send(Response::Untagged(told));
                reply
            }
            (Condition::No | Condition::Bad | Condition::Bye, _) => reply,
        }
    }

    fn limit_code(&self, lowest: Option<Uid>) -> Code {
        let limit = u32::try_from(self.message_limit).unwrap_or(u32::MAX);
        Code::MessageLimit(limit, lowest)
    }
}
