//! Takes messages in, word by word, and becomes a segment.
//!
//! Invariant: memory is bounded by the text of the messages given, each at most
//! [`MAX_INDEXED_TEXT_OCTETS`]; what is left out is marked [`Traits::CUT`]. Rejected: sorted
//! insertion (a tree): words are looked up far more often than they are new.

use std::collections::HashMap;

use super::document::{
    Document, Field, LONG_WORD_CHARS, MAX_INDEXED_TEXT_OCTETS, MAX_LONG_WORDS, Traits, term_key,
};
use super::postings::{self, List};
use super::token::{Token, Tokenizer};
use crate::id::{MessageHash, Timestamp};
use crate::varint;

/// Of an alternative's words one in so many must be new for it to be indexed as a text of its
/// own; with fewer, only the new words are.
const NEW_WORDS: usize = 10;

/// Messages that become a segment.
///
/// # Examples
/// ```
/// use letterlock_core::id::{MessageHash, Timestamp};
/// use letterlock_core::search::{Builder, Field, Traits};
/// let mut builder = Builder::new();
/// builder.begin(MessageHash::new([1; 32]), Timestamp::from_secs(0), 1000);
/// builder.text(Field::Subject, "Seeds for the garden");
/// builder.finish_message(Traits::NONE);
/// assert_eq!(builder.len(), 1);
/// ```
#[derive(Debug)]
pub struct Builder {
    tokenizer: Tokenizer,
    words: Words,
    documents: Vec<Document>,
    /// Where the words of each field have come to in this message.
    positions: [u32; 9],
    /// How much more text of this message is indexed.
    room: usize,
    octets: usize,
}

#[derive(Debug, Default)]
struct Words {
    lists: HashMap<Vec<u8>, Posting>,
    key: Vec<u8>,
    number: u32,
    long: usize,
    cut: bool,
}

/// A list while it grows. Positions are written at once, the document when it is left.
#[derive(Debug, Default)]
struct Posting {
    documents: postings::Builder,
    positions: Vec<u8>,
    /// The document it is in, plus one; 0 for none.
    current: u32,
    times: u32,
    last_position: u32,
}

impl Posting {
    fn add(&mut self, number: u32, position: Option<u32>) {
        let current = number.saturating_add(1);
        if self.current != current {
            self.leave();
            self.current = current;
            self.times = 0;
            self.last_position = 0;
        }
        let Some(position) = position else {
            self.times = 1;
            return;
        };
        self.times = self.times.saturating_add(1);
        let delta = position.saturating_sub(self.last_position);
        varint::put(delta, &mut self.positions);
        self.last_position = position;
    }

    fn leave(&mut self) {
        if let Some(number) = self.current.checked_sub(1) {
            self.documents.push(number, self.times, &[]);
        }
    }

    fn finish(mut self) -> List {
        self.leave();
        List {
            positions: self.positions,
            ..self.documents.finish()
        }
    }
}

impl Words {
    fn add(&mut self, field: Field, token: &Token<'_>) {
        if token.end.saturating_sub(token.start) >= LONG_WORD_CHARS {
            if self.long >= MAX_LONG_WORDS {
                self.cut = true;
                return;
            }
            self.long += 1;
        }
        term_key(token.text, field, &mut self.key);
        let position = field.has_positions().then_some(token.position);
        if let Some(posting) = self.lists.get_mut(&self.key) {
            posting.add(self.number, position);
        } else {
            let mut posting = Posting::default();
            posting.add(self.number, position);
            self.lists.insert(self.key.clone(), posting);
        }
    }

    /// Whether this message's field has the word already.
    fn has(&mut self, field: Field, word: &str) -> bool {
        term_key(word, field, &mut self.key);
        let posting = self.lists.get(&self.key);
        posting.is_some_and(|posting| posting.current == self.number.saturating_add(1))
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// No messages.
    pub fn new() -> Self {
        Self {
            tokenizer: Tokenizer::new(),
            words: Words::default(),
            documents: Vec::new(),
            positions: [0; 9],
            room: 0,
            octets: 0,
        }
    }

    /// How many messages it has.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// How much text it has taken in, in octets.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// Begins a message, which came here at `date` and has `size` octets.
    pub fn begin(&mut self, hash: MessageHash, date: Timestamp, size: u64) {
        self.words.number = u32::try_from(self.documents.len()).unwrap_or(u32::MAX);
        self.words.long = 0;
        self.words.cut = false;
        self.tokenizer.restart();
        self.positions = [0; 9];
        self.room = MAX_INDEXED_TEXT_OCTETS;
        self.documents.push(Document {
            hash,
            date,
            size: u32::try_from(size).unwrap_or(u32::MAX),
            traits: Traits::NONE,
        });
    }

    /// Indexes a text of a field. Texts of one field stand apart: no phrase goes from one to the
    /// next.
    pub fn text(&mut self, field: Field, text: &str) {
        let text = self.take_room(text);
        self.go_on(field);
        let words = &mut self.words;
        self.tokenizer
            .tokenize(text, |token| words.add(field, &token));
        self.note_position(field);
    }

    /// Indexes a text that says the same as the texts of the body, as the HTML of a letter does:
    /// all of it if it has much that they have not, else the words that they have not.
    pub fn alternative(&mut self, text: &str) {
        let text = self.take_room(text);
        self.go_on(Field::Body);
        let start = self.tokenizer.position();
        let words = &mut self.words;
        let (mut new, mut all) = (0_usize, 0_usize);
        self.tokenizer.tokenize(text, |token| {
            all += 1;
            new += usize::from(!words.has(Field::Body, token.text));
        });
        self.tokenizer.restart_at(start);
        let whole = new.saturating_mul(NEW_WORDS) > all;
        self.tokenizer.tokenize(text, |token| {
            if whole || !words.has(Field::Body, token.text) {
                words.add(Field::Body, &token);
            }
        });
        self.note_position(Field::Body);
    }

    /// Indexes what only IMAP's BODY sees; call it after the texts of the body.
    pub fn rest(&mut self, text: &str) {
        let text = self.take_room(text);
        let words = &mut self.words;
        self.tokenizer.tokenize(text, |token| {
            if !words.has(Field::Body, token.text) {
                words.add(Field::Rest, &token);
            }
        });
    }

    /// Ends a message.
    pub fn finish_message(&mut self, traits: Traits) {
        let cut = if self.words.cut {
            Traits::CUT
        } else {
            Traits::NONE
        };
        let composed = if self.tokenizer.composed() {
            Traits::COMPOSED
        } else {
            Traits::NONE
        };
        if let Some(document) = self.documents.last_mut() {
            document.traits = traits.and(cut).and(composed);
        }
    }

    /// The documents, and the lists of all words, by ascending key.
    pub(super) fn finish(self) -> (Vec<Document>, Vec<(Vec<u8>, List)>) {
        let mut lists: Vec<(Vec<u8>, Posting)> = self.words.lists.into_iter().collect();
        lists.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let lists = lists
            .into_iter()
            .map(|(key, posting)| (key, posting.finish()))
            .collect();
        (self.documents, lists)
    }

    /// As much of the text as there is room for.
    fn take_room<'a>(&mut self, text: &'a str) -> &'a str {
        let taken = text
            .get(..text.floor_char_boundary(self.room))
            .unwrap_or_default();
        self.words.cut |= taken.len() < text.len();
        self.room = self.room.saturating_sub(taken.len());
        self.octets = self.octets.saturating_add(taken.len());
        taken
    }

    fn go_on(&mut self, field: Field) {
        let position = self.positions.get(usize::from(field.tag()));
        self.tokenizer.restart_at(position.copied().unwrap_or(0));
    }

    fn note_position(&mut self, field: Field) {
        // One position stays empty, so that the next text is not beside this one.
        let next = self.tokenizer.position().saturating_add(1);
        if let Some(position) = self.positions.get_mut(usize::from(field.tag())) {
            *position = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::document::word_and_field;
    use crate::search::postings::Occurrences;

    fn one(fill: impl FnOnce(&mut Builder)) -> (Document, Vec<(String, Field, Vec<u32>)>) {
        let mut builder = Builder::new();
        builder.begin(MessageHash::new([1; 32]), Timestamp::from_secs(5), 7);
        fill(&mut builder);
        builder.finish_message(Traits::NONE);
        let (documents, lists) = builder.finish();
        let words = lists.into_iter().map(|(key, list)| {
            let (word, field) = word_and_field(&key).unwrap();
            let positions =
                Occurrences::read(&list).map_or(Vec::new(), |read| read.positions(0).to_vec());
            (String::from_utf8(word.to_vec()).unwrap(), field, positions)
        });
        (documents[0], words.collect())
    }

    fn has(words: &[(String, Field, Vec<u32>)], word: &str, field: Field) -> bool {
        words.iter().any(|(w, f, _)| w == word && *f == field)
    }

    #[test]
    fn texts_of_a_field_stand_apart() {
        let (document, words) = one(|builder| {
            builder.text(Field::To, "a b");
            builder.text(Field::To, "b c");
        });
        assert_eq!(document.size, 7);
        let expected = [("a", vec![0]), ("b", vec![1, 3]), ("c", vec![4])]
            .map(|(word, at)| (word.to_owned(), Field::To, at));
        assert_eq!(words, expected);
    }

    #[test]
    fn an_alternative_adds_what_is_new() {
        let text = "one two three four five six seven eight nine ten eleven";
        let (_, words) = one(|builder| {
            builder.text(Field::Body, text);
            builder.alternative(&format!("{text} twelve"));
        });
        assert_eq!(words.len(), 12);
        assert!(words.iter().all(|(_, _, positions)| positions.len() == 1));
        let (_, words) = one(|builder| {
            builder.text(Field::Body, "view this in a browser");
            builder.alternative("the whole newsletter in html");
        });
        let twice = words.iter().find(|(word, ..)| word == "in").unwrap();
        assert_eq!(twice.2.len(), 2, "a text of its own");
    }

    #[test]
    fn the_rest_has_what_the_body_has_not() {
        let (_, words) = one(|builder| {
            builder.text(Field::Body, "seeds");
            builder.rest("<p class=\"x\">seeds</p>");
        });
        assert!(has(&words, "class", Field::Rest) && has(&words, "seeds", Field::Body));
        assert!(!has(&words, "seeds", Field::Rest));
    }

    #[test]
    fn what_is_too_much_is_left_out_and_said() {
        let (document, words) = one(|builder| {
            for n in 0..=MAX_LONG_WORDS {
                builder.text(Field::Body, &format!("{n:030} short{n}"));
            }
        });
        assert!(document.traits.any(Traits::CUT));
        assert_eq!(words.len(), 2 * MAX_LONG_WORDS + 1);
        let (document, _) = one(|builder| {
            builder.text(Field::Body, &"é ".repeat(MAX_INDEXED_TEXT_OCTETS / 2));
        });
        assert!(document.traits.any(Traits::CUT));
        let (document, _) = one(|builder| builder.text(Field::Body, "ka\u{3099} か\u{3099}"));
        assert!(document.traits.any(Traits::COMPOSED) && !document.traits.any(Traits::CUT));
    }
}
