//! Which messages may have a text in them, as IMAP SEARCH compares texts: the exact octets of a
//! decoded text, without regard to case (RFC 9051 6.4.4).
//!
//! Invariant: a message that has the text is a candidate. The words of the text are words of the
//! message, but for those at its ends, which may be parts of longer ones; folding is at least as
//! coarse as a comparison in lower case; and where the index does not know a message, or not all
//! of it, or has put characters together, the message is a candidate. What is exact is decided by
//! reading the candidates. Rejected: asking the index for phrases; the text's ends would have to
//! be looked for among all words before the middle is known to be there.

use std::sync::Arc;

use super::bitmap::Bitmap;
use super::document::{Field, Traits};
use super::index::{Index, SearchError};
use super::lookup::{documents_with_any, key_range};
use super::snapshot::Snapshot;
use super::token::{Kind, MAX_WORD_CHARS, PIECE_OVERLAP, Tokenizer};
use crate::id::MessageHash;
use crate::store::Store;

/// With so few candidates the dictionary is not read through to have fewer.
const FEW: usize = 50;

/// Where IMAP looks for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the fields `From`.
    From,
    /// In the fields `To`.
    To,
    /// In the fields `Cc`.
    Cc,
    /// In the fields `Bcc`.
    Bcc,
    /// In the fields `Subject`.
    Subject,
    /// In every text part, and in the headers of messages within.
    Body,
}

impl Place {
    /// The place of a header field that the index has.
    pub fn of_header(name: &str) -> Option<Self> {
        let known = [
            ("from", Self::From),
            ("to", Self::To),
            ("cc", Self::Cc),
            ("bcc", Self::Bcc),
            ("subject", Self::Subject),
        ];
        let found = known
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, place)| place)
    }

    const fn fields(self) -> &'static [Field] {
        match self {
            Self::From => &[Field::From],
            Self::To => &[Field::To],
            Self::Cc => &[Field::Cc],
            Self::Bcc => &[Field::Bcc],
            Self::Subject => &[Field::Subject],
            Self::Body => &[Field::Body, Field::Rest],
        }
    }
}

/// The messages that may have a text.
#[derive(Debug)]
pub struct Candidates {
    snapshot: Arc<Snapshot>,
    /// By document number.
    found: Bitmap,
}

impl Candidates {
    /// Whether the message may have the text. True for a message that the index does not know.
    pub fn may_have(&self, message: &MessageHash) -> bool {
        let Some(number) = self.snapshot.number(message) else {
            return true;
        };
        let unsure = self
            .snapshot
            .document(number)
            .is_none_or(|document| document.traits.any(Traits::UNSURE));
        unsure || self.found.contains(number)
    }

    /// How many messages of the index have it, as far as the index can say.
    pub fn count(&self) -> usize {
        self.found.count()
    }
}

/// A word of the text, and what is known of the message's word.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Need {
    /// This word.
    Whole(String),
    /// It begins so.
    Begins(String),
    /// It ends so.
    Ends(String),
    /// It has this in it.
    Has(String),
}

impl Need {
    /// Whether every word must be looked at.
    const fn reads_all(&self) -> bool {
        matches!(self, Self::Ends(_) | Self::Has(_))
    }
}

impl Index {
    /// The messages that may have `text`, which is not folded, in a place; `None` if the index
    /// cannot say.
    pub async fn candidates<S: Store>(
        &self,
        store: &S,
        place: Place,
        text: &str,
    ) -> Result<Option<Candidates>, SearchError> {
        let Some(needs) = needs(text) else {
            return Ok(None);
        };
        let (snapshot, found) = self
            .reading(store, |snapshot| {
                let needs = &needs;
                async move {
                    let found = all(store, &snapshot, needs, place.fields()).await?;
                    Ok((snapshot, found))
                }
            })
            .await?;
        Ok(Some(Candidates { snapshot, found }))
    }
}

async fn all<S: Store>(
    store: &S,
    snapshot: &Snapshot,
    needs: &[Need],
    fields: &'static [Field],
) -> Result<Bitmap, SearchError> {
    let mut found = Bitmap::full(snapshot.total);
    let (costly, cheap): (Vec<&Need>, Vec<&Need>) = needs.iter().partition(|need| need.reads_all());
    let narrowed = !cheap.is_empty();
    for need in cheap.into_iter().chain(costly) {
        if narrowed && need.reads_all() && found.count() <= FEW {
            break;
        }
        found.intersect(&with(store, snapshot, need, fields).await?);
    }
    Ok(found)
}

async fn with<S: Store>(
    store: &S,
    snapshot: &Snapshot,
    need: &Need,
    fields: &'static [Field],
) -> Result<Bitmap, SearchError> {
    let in_fields = move |_: &[u8], field: Field| fields.contains(&field);
    match need {
        Need::Whole(word) | Need::Begins(word) => {
            let (from, to) = key_range(word, matches!(need, Need::Begins(_)));
            documents_with_any(store, snapshot, (&from, Some(&to)), &in_fields).await
        }
        Need::Ends(part) => {
            let ends = move |word: &[u8], field: Field| {
                fields.contains(&field) && word.ends_with(part.as_bytes())
            };
            documents_with_any(store, snapshot, (&[], None), &ends).await
        }
        Need::Has(part) => {
            let finder = memchr::memmem::Finder::new(part.as_bytes());
            let has = move |word: &[u8], field: Field| {
                fields.contains(&field) && finder.find(word).is_some()
            };
            documents_with_any(store, snapshot, (&[], None), &has).await
        }
    }
}

/// What a message's words must be; `None` if nothing follows from the text.
fn needs(text: &str) -> Option<Vec<Need>> {
    let mut tokenizer = Tokenizer::new();
    let mut tokens = Vec::new();
    tokenizer.tokenize(text, |token| {
        tokens.push((token.text.to_owned(), token.kind, token.start, token.end));
    });
    if tokenizer.composed() {
        return None;
    }
    let end_of_text = tokenizer.at();
    let mut needs = Vec::new();
    let mut before = None;
    for (word, kind, start, end) in tokens {
        // A piece of a long word goes on where the next one begins.
        let piece = end.saturating_sub(start) >= MAX_WORD_CHARS;
        let overlaps = before.replace(end).is_some_and(|before| before > start);
        let need = match kind {
            Kind::Pair => Some(Need::Whole(word)),
            Kind::Last { alone } => alone.then_some(Need::Begins(word)),
            Kind::Word if overlaps => None,
            Kind::Word => Some(match (start == 0, end == end_of_text || piece) {
                (false, false) => Need::Whole(word),
                (false, true) => Need::Begins(first_chars(&word)),
                (true, false) => Need::Ends(last_chars(&word)),
                (true, true) => Need::Has(first_chars(&word)),
            }),
        };
        needs.extend(need);
    }
    (!needs.is_empty()).then_some(needs)
}

/// Of a longer part, what is sure to be in one piece of a long word.
fn first_chars(word: &str) -> String {
    word.chars().take(PIECE_OVERLAP).collect()
}

fn last_chars(word: &str) -> String {
    let chars = word.chars().count();
    word.chars()
        .skip(chars.saturating_sub(PIECE_OVERLAP))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[Need]) {
        assert_eq!(needs(text).unwrap_or_default(), expected, "{text}");
    }

    #[test]
    fn only_the_ends_of_a_text_are_open() {
        let (whole, begins, ends, has) = (
            |word: &str| Need::Whole(word.to_owned()),
            |word: &str| Need::Begins(word.to_owned()),
            |word: &str| Need::Ends(word.to_owned()),
            |word: &str| Need::Has(word.to_owned()),
        );
        check("den", &[has("den")]);
        check("den plan is", &[ends("den"), whole("plan"), begins("is")]);
        check(" den.", &[whole("den")]);
        check("bob@", &[ends("bob")]);
        check("日本語", &[whole("日本"), whole("本語")]);
        check("日", &[begins("日")]);
        check("a日", &[ends("a"), begins("日")]);
        check("?!", &[]);
        check("か\u{3099}", &[]);
        let long = "x".repeat(200);
        check(&long, &[has(&"x".repeat(PIECE_OVERLAP))]);
        check(&format!("-{long}-"), &[begins(&"x".repeat(PIECE_OVERLAP))]);
    }
}
