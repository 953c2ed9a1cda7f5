//! What the account's index says to a SEARCH before a message is read: which messages cannot have
//! a text.
//!
//! Invariant: the index rules a message out of nothing that reading it would find; the answer to a
//! SEARCH is the same with and without it, and where it fails, all is read. Rejected: asking it
//! which messages to look at; a key may be negated, and then the others are the answer.

use std::collections::BTreeMap;

use letterlock_core::account::Account;
use letterlock_core::id::MessageHash;
use letterlock_core::search::{CandidatePlace as Place, Candidates};
use letterlock_core::store::Store;

use crate::imap::command::SearchKey;

/// Fewer messages than this are read without asking.
const WORTH_ASKING: usize = 16;

/// For texts in places, the messages that may have them.
#[derive(Debug, Default)]
pub(super) struct Narrowing {
    candidates: BTreeMap<(Place, String), Candidates>,
}

impl Narrowing {
    /// Asks the index about the texts of a key, in lower case already.
    pub(super) async fn of<S: Store>(
        account: &Account<S>,
        key: &SearchKey,
        messages: usize,
    ) -> Self {
        let mut narrowing = Self::default();
        if messages < WORTH_ASKING {
            return narrowing;
        }
        let mut texts = Vec::new();
        collect(key, &mut texts);
        texts.sort_unstable();
        texts.dedup();
        for (place, text) in texts {
            match account.candidates(place, text).await {
                Ok(Some(found)) => {
                    narrowing.candidates.insert((place, text.to_owned()), found);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "the search index does not answer; all mail is read");
                    return narrowing;
                }
            }
        }
        narrowing
    }

    /// Whether the message cannot have the text there.
    pub(super) fn rules_out(&self, place: Place, text: &str, message: &MessageHash) -> bool {
        // A text is asked about for each message; there are few of them.
        let mut asked = self.candidates.iter();
        let found = asked.find(|((at, of), _)| *at == place && of == text);
        found.is_some_and(|(_, candidates)| !candidates.may_have(message))
    }
}

/// The texts of a key and where they are looked for; nesting is bounded by the grammar's limits.
fn collect<'a>(key: &'a SearchKey, texts: &mut Vec<(Place, &'a str)>) {
    match key {
        SearchKey::And(keys) => keys.iter().for_each(|key| collect(key, texts)),
        SearchKey::Or(left, right) => {
            collect(left, texts);
            collect(right, texts);
        }
        SearchKey::Not(key) => collect(key, texts),
        SearchKey::Header { name, text } => {
            texts.extend(Place::of_header(name).map(|place| (place, text.as_str())));
        }
        SearchKey::Body(text) | SearchKey::Text(text) => texts.push((Place::Body, text)),
        SearchKey::All
        | SearchKey::Sequence(_)
        | SearchKey::Uid(_)
        | SearchKey::Flag(_)
        | SearchKey::Recent
        | SearchKey::Before(_)
        | SearchKey::On(_)
        | SearchKey::Since(_)
        | SearchKey::SentBefore(_)
        | SearchKey::SentOn(_)
        | SearchKey::SentSince(_)
        | SearchKey::Larger(_)
        | SearchKey::Smaller(_) => {}
    }
}
