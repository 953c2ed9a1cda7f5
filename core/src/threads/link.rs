//! What threading needs to know of one message, as a row of the store.

use serde::{Deserialize, Serialize};

use super::base_subject::base_subject;
use crate::id::Timestamp;
use crate::mime::Summary;
use crate::seal::AccountKeys;

/// Most references of a message that link it: the first, which names the thread, and the last.
const MAX_REFERENCES: usize = 50;

/// A message as a thread sees it. Ids and subject are keyed hashes: short, and they tell nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its `Message-ID`.
    pub id: Option<u64>,
    /// The messages that it names: `References`, or `In-Reply-To` if there are none.
    pub references: Vec<u64>,
    /// Its base subject, if that is not empty.
    pub subject: Option<u64>,
    /// Whether its subject alone says that it answers something: it has "Re:" but names nothing.
    pub is_bare_reply: bool,
    /// When it was written, in seconds since the epoch; 0 if it does not say.
    pub date: i64,
}

impl Link {
    /// What threading needs of a message.
    pub fn new(keys: &AccountKeys, summary: &Summary) -> Self {
        let base = base_subject(&summary.subject);
        let named = if summary.references.is_empty() {
            summary.in_reply_to.as_slice()
        } else {
            summary.references.as_slice()
        };
        let references = named
            .iter()
            .take(1)
            .chain(named.iter().skip(1).rev().take(MAX_REFERENCES))
            .map(|id| keys.link_hash(id))
            .collect();
        Self {
            id: summary.message_id.as_deref().map(|id| keys.link_hash(id)),
            references,
            subject: (!base.text.is_empty()).then(|| keys.link_hash(&base.text)),
            is_bare_reply: base.is_reply_or_forward && named.is_empty(),
            date: summary.date.map_or(0, Timestamp::as_secs),
        }
    }

    /// The ids that tie it to others: its own and those it names.
    pub(super) fn ids(&self) -> impl Iterator<Item = u64> + '_ {
        self.id.into_iter().chain(self.references.iter().copied())
    }
}
