//! Who was told first of a message: `\Recent` (RFC 3501 2.3.2).
//!
//! One value for all sessions of a bridge. Invariant: among read-write sessions a message is
//! `\Recent` in at most one; EXAMINE takes it from nobody. The marks are not stored: after a
//! restart it cannot be known, and then a message "SHOULD be considered recent".

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use letterlock_core::id::{MailboxId, Uid};

use super::command::Access;

/// For each mailbox, the first UID that no read-write session has been told of.
#[derive(Debug, Default)]
pub struct Recents(Mutex<BTreeMap<MailboxId, Uid>>);

impl Recents {
    /// The first UID that is `\Recent` to a session which learns of everything below `next`.
    pub fn claim(&self, mailbox: MailboxId, next: Uid, access: Access) -> Uid {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = marks.get(&mailbox).copied().unwrap_or(Uid::ONE);
        if access == Access::ReadWrite && next > mark {
            marks.insert(mailbox, next);
        }
        mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_sees_a_message_as_recent() {
        let recents = Recents::default();
        let mailbox = MailboxId::new([7; 16]);
        let uid = |uid| Uid::new(uid).unwrap();
        assert_eq!(recents.claim(mailbox, uid(4), Access::ReadOnly), uid(1));
        assert_eq!(recents.claim(mailbox, uid(4), Access::ReadWrite), uid(1));
        assert_eq!(recents.claim(mailbox, uid(4), Access::ReadWrite), uid(4));
        assert_eq!(recents.claim(mailbox, uid(3), Access::ReadWrite), uid(4));
        assert_eq!(recents.claim(mailbox, uid(6), Access::ReadWrite), uid(4));
        assert_eq!(recents.claim(mailbox, uid(6), Access::ReadWrite), uid(6));
    }
}
