//! What the account's index says to a SEARCH before a message is read: which messages cannot have
//! a text.
//!
//! Invariant: the index rules a message out of nothing that reading it would find; the answer to a
//! SEARCH is the same with and without it, and where it fails, all is read. Rejected: asking it
//! which messages to look at; a key may be negated, and then the others are the answer.

use std::collections::BTreeMap;

use letterlock_core::account::Account;
use letterlock_core::casemap::casemap;
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
    /// Asks the index about the texts of a key as it was written.
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
            match account.candidates(place, asked(text)).await {
                Ok(Some(found)) => {
                    narrowing.candidates.insert((place, casemap(text)), found);
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

    /// Whether the message cannot have the text there; the text is mapped for comparison.
    pub(super) fn rules_out(&self, place: Place, text: &str, message: &MessageHash) -> bool {
        // A text is asked about for each message; there are few of them.
        let mut asked = self.candidates.iter();
        let found = asked.find(|((at, of), _)| *at == place && of == text);
        found.is_some_and(|(_, candidates)| !candidates.may_have(message))
    }
}

/// What the index is asked for a text. It keeps Japanese syllables whole that SEARCH compares by
/// their parts, so that `か` is found in `が`: the last one of a text may be such a part.
fn asked(text: &str) -> &str {
    // The marks that make one of the other are no syllables.
    let is_kana = |c: char| {
        matches!(c,
            '\u{3041}'..='\u{3096}' | '\u{309d}'..='\u{30ff}' | '\u{ff66}'..='\u{ff9d}')
    };
    text.strip_suffix(is_kana).unwrap_or(text)
}

/// The texts of a key and where they are looked for; nesting is bounded by the grammar's limits.
fn collect<'a>(key: &'a SearchKey, texts: &mut Vec<(Place, &'a str)>) {
    match key {
        SearchKey::And(keys) => keys.iter().for_each(|key| collect(key, texts)),
        SearchKey::Or(left, right) => {
            collect(left, texts);
            collect(right, texts);
        }
        SearchKey::Not(key) | SearchKey::Fuzzy(key) => collect(key, texts),
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
        | SearchKey::Smaller(_)
        | SearchKey::ModSeq(_)
        | SearchKey::Saved
        | SearchKey::EmailId(_)
        | SearchKey::ThreadId(_)
        | SearchKey::SavedBefore(_)
        | SearchKey::SavedOn(_)
        | SearchKey::SavedSince(_)
        | SearchKey::Older(_)
        | SearchKey::Younger(_) => {}
    }
}
