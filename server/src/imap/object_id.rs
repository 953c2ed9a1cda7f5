//! Object identifiers (RFC 8474): what mailboxes, messages and threads are called, wherever they
//! are and whatever their names and numbers.
//!
//! Invariant: a thread's id follows from the message alone, so it never changes (RFC 8474 5.2):
//! it is made of the first message that the references name, which is the beginning of the
//! thread. Rejected: the core's threads; they join and part as messages come and go.

use letterlock_core::id::{MailboxId, MessageHash};
use letterlock_core::mime::Summary;
use letterlock_core::seal::AccountKeys;

/// MAILBOXID.
pub fn mailbox_id(id: MailboxId) -> String {
    format!("F{id}")
}

/// EMAILID.
pub fn email_id(message: &MessageHash) -> String {
    format!("M{message}")
}

/// THREADID.
pub fn thread_id(keys: &AccountKeys, message: &MessageHash, summary: &Summary) -> String {
    let mut named = summary.references.iter().chain(&summary.in_reply_to);
    match named.next().or(summary.message_id.as_ref()) {
        Some(root) => format!("T{:016x}", keys.link_hash(root)),
        // It names nothing and has no name: it is alone.
        None => format!("T{message}"),
    }
}

#[cfg(test)]
mod tests {
    use letterlock_core::id::AccountId;
    use letterlock_core::seal::RootKey;

    use super::*;

    #[test]
    fn a_thread_is_called_after_its_beginning() {
        let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::from_octets([2; 32]));
        let id = |message_id: Option<&str>, references: &[&str], in_reply_to: &[&str]| {
            let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
            let summary = Summary {
                message_id: message_id.map(str::to_owned),
                references: owned(references),
                in_reply_to: owned(in_reply_to),
                ..Summary::default()
            };
            thread_id(&keys, &MessageHash::new([7; 32]), &summary)
        };
        let first = id(Some("a@x"), &[], &[]);
        assert_eq!(first.len(), 17);
        assert_eq!(id(Some("b@x"), &["a@x"], &["a@x"]), first);
        assert_eq!(id(Some("c@x"), &["a@x", "b@x"], &[]), first);
        assert_eq!(id(Some("d@x"), &[], &["a@x"]), first);
        assert_ne!(id(Some("e@x"), &[], &[]), first);
        assert_ne!(id(None, &[], &[]), first);
    }
}
