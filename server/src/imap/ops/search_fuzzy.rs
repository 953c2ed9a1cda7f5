//! Searches that need not be exact (RFC 6203), answered by the account's index.
//!
//! A text is found loosely where all of its words are, or words that begin with them, in any
//! order, whatever their accents; keys that are no texts, and header fields that the index does
//! not have, are matched exactly. A message fits wholly (100) if it has the text as it was
//! written, and by half (50) if it has its words; over several texts the mean counts.
//!
//! Invariant: the index is asked once for each text, however many messages are judged.

use std::collections::{BTreeMap, BTreeSet};

use letterlock_core::account::Account;
use letterlock_core::casemap::casemap;
use letterlock_core::id::MessageHash;
use letterlock_core::search::Query;
use letterlock_core::store::Store;

use crate::imap::command::SearchKey;

/// How well a message fits that has the text as it was written.
pub(super) const WHOLLY: u8 = 100;
/// How well a message fits that has the words of the text.
pub(super) const BY_WORDS: u8 = 50;
/// Most words of a text that are looked for.
const MAX_WORDS: usize = 50;

/// For texts that are looked for loosely, the messages that have their words.
#[derive(Debug, Default)]
pub(super) struct Loose(BTreeMap<(String, String), BTreeSet<MessageHash>>);

impl Loose {
    /// Asks the index about the texts of a key as it was written.
    pub(super) async fn of<S: Store>(account: &Account<S>, key: &SearchKey) -> Self {
        let mut loose = Self::default();
        for leaf in leaves(key) {
            let (Some((field, text)), Some(query)) = (text_of(leaf), query(leaf)) else {
                continue;
            };
            match account.search_all(&Query::parse(&query)).await {
                Ok(found) => {
                    let key = (field.to_owned(), casemap(text));
                    loose.0.insert(key, found.into_iter().collect());
                }
                Err(error) => {
                    tracing::warn!(%error, "the search index does not answer; texts are exact");
                }
            }
        }
        loose
    }

    /// Whether a message has the words of a text, which is mapped for comparison; `None` if the
    /// index cannot say.
    pub(super) fn has(&self, leaf: &SearchKey, message: &MessageHash) -> Option<bool> {
        let (field, text) = text_of(leaf)?;
        // Texts are few, messages many: nothing is copied but two short texts.
        let found = self.0.get(&(field.to_owned(), text.to_owned()))?;
        Some(found.contains(message))
    }
}

/// Which filter of a query a key is, and its text.
fn text_of(leaf: &SearchKey) -> Option<(&'static str, &str)> {
    match leaf {
        SearchKey::Body(text) => Some(("body:", text)),
        SearchKey::Text(text) => Some(("", text)),
        SearchKey::Header { name, text } => {
            let known = ["from:", "to:", "cc:", "bcc:", "subject:"];
            let mut known = known.into_iter();
            let field = known.find(|field| {
                let field = field.trim_end_matches(':');
                field.eq_ignore_ascii_case(name)
            });
            Some((field?, text))
        }
        _ => None,
    }
}

/// The words of a text as a query; `None` if it has none.
fn query(leaf: &SearchKey) -> Option<String> {
    let (field, text) = text_of(leaf)?;
    let words = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(MAX_WORDS);
    // In lower case no word is an operator.
    let terms: Vec<String> = words
        .map(|word| format!("{field}{}*", word.to_lowercase()))
        .collect();
    (!terms.is_empty()).then(|| terms.join(" "))
}

/// The same key with FUZZY around texts alone.
pub(super) fn pushed_down(key: SearchKey) -> SearchKey {
    match key {
        SearchKey::Fuzzy(key) => loosened(*key),
        SearchKey::And(keys) => SearchKey::And(keys.into_iter().map(pushed_down).collect()),
        SearchKey::Or(left, right) => {
            SearchKey::Or(Box::new(pushed_down(*left)), Box::new(pushed_down(*right)))
        }
        SearchKey::Not(key) => SearchKey::Not(Box::new(pushed_down(*key))),
        key => key,
    }
}

fn loosened(key: SearchKey) -> SearchKey {
    match key {
        SearchKey::And(keys) => SearchKey::And(keys.into_iter().map(loosened).collect()),
        SearchKey::Or(left, right) => {
            SearchKey::Or(Box::new(loosened(*left)), Box::new(loosened(*right)))
        }
        SearchKey::Not(key) => SearchKey::Not(Box::new(loosened(*key))),
        SearchKey::Fuzzy(key) => loosened(*key),
        key if text_of(&key).is_some() => SearchKey::Fuzzy(Box::new(key)),
        key => key,
    }
}

/// The texts of a key that are looked for loosely, where FUZZY stands around texts alone.
pub(super) fn leaves(key: &SearchKey) -> Vec<&SearchKey> {
    match key {
        SearchKey::Fuzzy(leaf) => vec![leaf],
        SearchKey::And(keys) => keys.iter().flat_map(leaves).collect(),
        SearchKey::Or(left, right) => [leaves(left), leaves(right)].concat(),
        SearchKey::Not(key) => leaves(key),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_its_words() {
        let subject = |text: &str| SearchKey::Header {
            name: "SUBJECT".to_owned(),
            text: text.to_owned(),
        };
        let expected = Some("subject:imap* subject:break*".to_owned());
        assert_eq!(query(&subject("IMAP-break!")), expected);
        assert_eq!(query(&subject("?!")), None);
        let text = SearchKey::Text("OR not(".to_owned());
        assert_eq!(query(&text), Some("or* not*".to_owned()));
        let other = SearchKey::Header {
            name: "X-Other".to_owned(),
            text: "a".to_owned(),
        };
        assert_eq!(query(&other), None);
    }

    #[test]
    fn only_texts_are_loose() {
        let text = || SearchKey::Text("a".to_owned());
        let key = SearchKey::Fuzzy(Box::new(SearchKey::And(vec![
            text(),
            SearchKey::Not(Box::new(SearchKey::Recent)),
        ])));
        let expected = SearchKey::And(vec![
            SearchKey::Fuzzy(Box::new(text())),
            SearchKey::Not(Box::new(SearchKey::Recent)),
        ]);
        let pushed = pushed_down(key);
        assert_eq!(pushed, expected);
        assert_eq!(leaves(&pushed), [&text()]);
    }
}
