//! Finds the documents that have the words of a text, segment by segment.
//!
//! The text is taken apart by the tokenizer that took the messages apart, so a mail address is a
//! phrase of its parts, and a word of a script without spaces a phrase of its pairs.

use std::sync::Arc;

use futures::future::try_join_all;

use super::bitmap::Bitmap;
use super::document::Field;
use super::index::SearchError;
use super::postings::{List, Occurrences, phrase};
use super::segment::{Reader, Segment, Want};
use super::snapshot::Snapshot;
use super::token::{Kind, Tokenizer};
use crate::store::Store;

/// A word to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    /// How far behind the first word it stands.
    pub(super) offset: u32,
    /// Folded.
    pub(super) word: String,
    /// Whether the word may go on.
    pub(super) prefix: bool,
}

/// The words of a text; with `prefix`, the last one may go on.
pub(super) fn elements(text: &str, prefix: bool) -> Vec<Element> {
    let mut elements: Vec<Element> = Vec::new();
    let mut last_is_word = false;
    Tokenizer::new().tokenize(text, |token| {
        last_is_word = token.kind == Kind::Word;
        let goes_on = match token.kind {
            Kind::Word | Kind::Pair => false,
            Kind::Last { alone: true } => true,
            // The pair before it has it.
            Kind::Last { alone: false } => return,
        };
        elements.push(Element {
            offset: token.position,
            word: token.text.to_owned(),
            prefix: goes_on,
        });
    });
    if let Some(last) = elements.last_mut()
        && last_is_word
    {
        last.prefix = prefix;
    }
    elements
}

/// Whether a text has anything to look for.
pub(super) fn has_words(text: &str) -> bool {
    let mut any = false;
    Tokenizer::new().tokenize(text, |_| any = true);
    any
}

impl Element {
    /// Whether a word of a message is this one.
    #[cfg(test)]
    pub(super) fn accepts(&self, word: &str) -> bool {
        if self.prefix {
            word.starts_with(&self.word)
        } else {
            word == self.word
        }
    }

    /// The keys that it may have: from the first to before the second.
    fn keys(&self) -> (Vec<u8>, Vec<u8>) {
        let word = self.word.as_bytes();
        if self.prefix {
            // No octet of UTF-8 is 0xff.
            return (word.to_vec(), [word, &[0xff]].concat());
        }
        ([word, &[0]].concat(), [word, &[1]].concat())
    }
}

/// The documents in which the words stand beside each other in one of the fields.
pub(super) async fn documents_with<S: Store>(
    store: &S,
    snapshot: &Snapshot,
    elements: &[Element],
    fields: &[Field],
) -> Result<Bitmap, SearchError> {
    let mut found = Bitmap::empty(snapshot.total);
    let segments = snapshot.numbered().map(|(start, segment)| {
        let segment = Arc::clone(segment);
        async move {
            let numbers = in_segment(store, &segment, elements, fields).await?;
            Ok::<_, SearchError>((start, numbers))
        }
    });
    for (start, numbers) in try_join_all(segments).await? {
        for number in numbers {
            found.insert(start.saturating_add(number));
        }
    }
    Ok(found)
}

async fn in_segment<S: Store>(
    store: &S,
    segment: &Segment,
    elements: &[Element],
    fields: &[Field],
) -> Result<Vec<u32>, SearchError> {
    if let [only] = elements {
        return with_word(store, segment, only, fields).await;
    }
    let mut found = Vec::new();
    let mut words: Vec<Vec<(Field, Occurrences)>> = Vec::with_capacity(elements.len());
    // The rarest is not known before it is read; the longest is a good guess.
    let mut order: Vec<&Element> = elements.iter().collect();
    order.sort_by_key(|element| core::cmp::Reverse((!element.prefix, element.word.len())));
    let mut read: Vec<(u32, Vec<(Field, Occurrences)>)> = Vec::with_capacity(elements.len());
    for element in order {
        let occurrences = occurrences(store, segment, element, fields).await?;
        if occurrences.is_empty() {
            return Ok(found);
        }
        read.push((element.offset, occurrences));
    }
    read.sort_by_key(|(offset, _)| *offset);
    let offsets: Vec<u32> = read.iter().map(|(offset, _)| *offset).collect();
    words.extend(read.into_iter().map(|(_, word)| word));
    for field in fields {
        let in_field: Option<Vec<(u32, Occurrences)>> = words
            .iter_mut()
            .zip(&offsets)
            .map(|(word, offset)| {
                let at = word.iter().position(|(other, _)| other == field)?;
                Some((*offset, word.swap_remove(at).1))
            })
            .collect();
        found.extend(in_field.map(|words| phrase(&words)).unwrap_or_default());
    }
    Ok(found)
}

/// The documents that have one word.
async fn with_word<S: Store>(
    store: &S,
    segment: &Segment,
    element: &Element,
    fields: &[Field],
) -> Result<Vec<u32>, SearchError> {
    let mut found = Vec::new();
    each_list(
        store,
        segment,
        element,
        fields,
        Want::Documents,
        |_, list| {
            let mut entries = list.entries();
            found.extend(entries.by_ref().map(|(number, _)| number));
            whole(entries.is_whole())
        },
    )
    .await?;
    Ok(found)
}

/// Where one word stands, by field.
async fn occurrences<S: Store>(
    store: &S,
    segment: &Segment,
    element: &Element,
    fields: &[Field],
) -> Result<Vec<(Field, Occurrences)>, SearchError> {
    let mut by_field: Vec<(Field, Vec<Occurrences>)> = Vec::new();
    each_list(
        store,
        segment,
        element,
        fields,
        Want::Positions,
        |field, list| {
            let read = Occurrences::read(&list).ok_or(SearchError::Damaged)?;
            match by_field.iter_mut().find(|(other, _)| *other == field) {
                Some((_, all)) => all.push(read),
                None => by_field.push((field, vec![read])),
            }
            Ok(())
        },
    )
    .await?;
    let merged = |(field, all)| (field, Occurrences::merged(all));
    Ok(by_field.into_iter().map(merged).collect())
}

async fn each_list<S: Store>(
    store: &S,
    segment: &Segment,
    element: &Element,
    fields: &[Field],
    want: Want,
    each: impl FnMut(Field, List) -> Result<(), SearchError>,
) -> Result<(), SearchError> {
    let (from, to) = element.keys();
    let mut reader = Reader::new(store, segment);
    if element.prefix {
        reader = reader.reading_ahead();
    }
    let wanted = |_: &[u8], field: Field| fields.contains(&field);
    reader.each((&from, Some(&to)), want, wanted, each).await
}

/// The documents that have one word of these keys.
pub(super) async fn documents_with_any<S: Store>(
    store: &S,
    snapshot: &Snapshot,
    (from, to): (&[u8], Option<&[u8]>),
    wanted: &(dyn Fn(&[u8], Field) -> bool + Sync),
) -> Result<Bitmap, SearchError> {
    let mut found = Bitmap::empty(snapshot.total);
    for (start, segment) in snapshot.numbered() {
        let mut reader = Reader::new(store, segment).reading_ahead();
        reader
            .each((from, to), Want::Documents, wanted, |_, list| {
                let mut entries = list.entries();
                for (number, _) in entries.by_ref() {
                    found.insert(start.saturating_add(number));
                }
                whole(entries.is_whole())
            })
            .await?;
    }
    Ok(found)
}

fn whole(is_whole: bool) -> Result<(), SearchError> {
    is_whole.then_some(()).ok_or(SearchError::Damaged)
}

/// The keys of one word in any field, and those of every word that begins with it.
pub(super) fn key_range(word: &str, prefix: bool) -> (Vec<u8>, Vec<u8>) {
    Element {
        offset: 0,
        word: word.to_owned(),
        prefix,
    }
    .keys()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::document::term_key;

    fn shown(text: &str, prefix: bool) -> Vec<String> {
        let show = |element: Element| {
            let star = if element.prefix { "*" } else { "" };
            format!("{}{star}@{}", element.word, element.offset)
        };
        elements(text, prefix).into_iter().map(show).collect()
    }

    #[test]
    fn texts_become_words_to_look_for() {
        assert_eq!(shown("Seeds", false), ["seeds@0"]);
        assert_eq!(shown("Seed", true), ["seed*@0"]);
        assert_eq!(shown("bob@x.org", true), ["bob@0", "x@1", "org*@2"]);
        assert_eq!(shown("日本語", true), ["日本@0", "本語@1"]);
        assert_eq!(shown("語", false), ["語*@0"]);
        assert_eq!(shown("日本 ok", false), ["日本@0", "ok@2"]);
        assert!(shown("?!", true).is_empty() && !has_words("?!"));
    }

    #[test]
    fn keys_of_a_word_are_all_its_fields_and_no_other_word() {
        let element = &elements("sea", false)[0];
        let (from, to) = element.keys();
        let mut key = Vec::new();
        for (word, field, inside) in [
            ("sea", Field::From, true),
            ("sea", Field::Rest, true),
            ("seal", Field::From, false),
            ("se", Field::Rest, false),
        ] {
            term_key(word, field, &mut key);
            assert_eq!(from <= key && key < to, inside, "{word}");
        }
    }
}
