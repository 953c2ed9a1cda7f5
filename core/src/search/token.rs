//! Takes texts apart into the words that are indexed and looked for (UAX 29).
//!
//! A word is a run of letters and digits of the folded text ([`super::fold`]): a word of UAX 29,
//! taken apart at the punctuation inside it. So `bob@mail.example.org` is four words one after
//! the other and is found whole, as a phrase, and by each part. Scripts that are written without
//! spaces give overlapping pairs of characters, and the last character of a run alone; a single
//! character is then looked for as the beginning of a pair. Emoji are words of one character.
//!
//! Invariant: whether a word ends somewhere depends on the two characters there alone, so the
//! words of a part of a text are words of the text, but for those at its ends. Rejected:
//! `unicode-segmentation` here; its words would be taken apart again, and what is left of its
//! rules is the run (a test holds the two against each other). Rejected too: dictionaries for
//! Chinese, Japanese, Thai; megabytes for the browser, and a pair finds what they would cut wrong.

use super::fold::{self, Folder};

/// Longest word, in characters; longer ones become overlapping pieces of this length.
pub(super) const MAX_WORD_CHARS: usize = 64;
/// How many characters two pieces of a long word share, so any part of a word up to this length
/// is in one piece.
pub(super) const PIECE_OVERLAP: usize = MAX_WORD_CHARS / 2;
/// Characters of a run without spaces that are held back at most.
const MAX_RUN: usize = 256;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word, or a piece of a long one.
    Word,
    /// Two characters that stand beside each other in a script without spaces.
    Pair,
    /// The last character of a run in a script without spaces.
    Last {
        /// Whether it is the only one.
        alone: bool,
    },
}

/// A word of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// Folded.
    pub(super) text: &'a str,
    pub(super) kind: Kind,
    /// Counts words, from 0.
    pub(super) position: u32,
    /// Where it begins, in characters of the folded text.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
}

/// Takes texts apart, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Tokenizer {
    folder: Folder,
    /// The word so far, and how many characters it has.
    word: String,
    word_chars: usize,
    /// The run without spaces so far.
    run: Vec<char>,
    run_began: bool,
    pair: String,
    position: u32,
    /// Folded characters so far.
    at: usize,
    composed: bool,
}

/// What a folded character is for the words around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Break,
    Letter,
    Unspaced,
    Symbol,
}

impl Tokenizer {
    pub(super) fn new() -> Self {
        Self {
            folder: Folder::new(),
            word: String::new(),
            word_chars: 0,
            run: Vec::new(),
            run_began: false,
            pair: String::new(),
            position: 0,
            at: 0,
            composed: false,
        }
    }

    /// Forgets what it counted.
    pub(super) fn restart(&mut self) {
        self.restart_at(0);
        self.composed = false;
    }

    /// Counts words from here on.
    pub(super) fn restart_at(&mut self, position: u32) {
        self.position = position;
        self.at = 0;
    }

    /// The position of the next word.
    pub(super) const fn position(&self) -> u32 {
        self.position
    }

    /// Folded characters so far.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Whether characters were put together; then a part of the text may have other words.
    pub(super) const fn composed(&self) -> bool {
        self.composed
    }

    /// Takes a text apart; its end ends a word.
    pub(super) fn tokenize(&mut self, text: &str, mut emit: impl FnMut(Token<'_>)) {
        for c in text.chars() {
            if c.is_ascii_alphanumeric() {
                // The common case, past the tables.
                self.end_run(&mut emit);
                self.push_letter(c.to_ascii_lowercase(), &mut emit);
                self.at += 1;
            } else if c.is_ascii() {
                self.end_word(&mut emit);
                self.end_run(&mut emit);
                self.at += 1;
            } else {
                self.foreign(c, &mut emit);
            }
        }
        self.end_word(&mut emit);
        self.end_run(&mut emit);
    }

    fn foreign(&mut self, c: char, emit: &mut impl FnMut(Token<'_>)) {
        let mut folded = [None; MAX_FOLDED];
        let mut places = folded.iter_mut();
        self.folder.fold(c, |c| {
            if let Some(place) = places.next() {
                *place = Some(c);
            }
        });
        for c in folded.into_iter().flatten() {
            self.take(c, emit);
        }
    }

    fn take(&mut self, c: char, emit: &mut impl FnMut(Token<'_>)) {
        if fold::composes(c) {
            let made = self.run.last().and_then(|last| fold::composed(*last, c));
            if let (Some(made), Some(last)) = (made, self.run.last_mut()) {
                *last = made;
                self.composed = true;
                return;
            }
            // Whatever it stands beside in another text, there it may be put together.
            self.composed = true;
            if fold::is_voicing_mark(c) {
                return;
            }
        }
        let class = class(c);
        if class != Class::Letter {
            self.end_word(emit);
        }
        if class != Class::Unspaced {
            self.end_run(emit);
        }
        match class {
            Class::Break => {}
            Class::Letter => self.push_letter(c, emit),
            Class::Unspaced => self.push_unspaced(c, emit),
            Class::Symbol => {
                let mut octets = [0; 4];
                emit(Token {
                    text: c.encode_utf8(&mut octets),
                    kind: Kind::Word,
                    position: self.position,
                    start: self.at,
                    end: self.at + 1,
                });
                self.position = self.position.saturating_add(1);
            }
        }
        self.at += 1;
    }

    fn push_letter(&mut self, c: char, emit: &mut impl FnMut(Token<'_>)) {
        self.word.push(c);
        self.word_chars += 1;
        if self.word_chars == MAX_WORD_CHARS + PIECE_OVERLAP {
            let end = self.at + 1 - PIECE_OVERLAP;
            let cut = octets_of_chars(&self.word, MAX_WORD_CHARS);
            self.emit_piece(0, cut, end, emit);
            let shared = octets_of_chars(&self.word, PIECE_OVERLAP);
            self.word.drain(..shared);
            self.word_chars = MAX_WORD_CHARS;
        }
    }

    fn end_word(&mut self, emit: &mut impl FnMut(Token<'_>)) {
        if self.word_chars == 0 {
            return;
        }
        let end = self.word.len();
        if self.word_chars > MAX_WORD_CHARS {
            let over = self.word_chars - MAX_WORD_CHARS;
            let cut = octets_of_chars(&self.word, MAX_WORD_CHARS);
            self.emit_piece(0, cut, self.at - over, emit);
            let start = octets_of_chars(&self.word, over);
            self.emit_piece(start, end, self.at, emit);
        } else {
            self.emit_piece(0, end, self.at, emit);
        }
        self.word.clear();
        self.word_chars = 0;
    }

    fn emit_piece(&mut self, from: usize, to: usize, end: usize, emit: &mut impl FnMut(Token<'_>)) {
        let text = self.word.get(from..to).unwrap_or_default();
        let chars = if text.len() == self.word.len() {
            self.word_chars
        } else {
            text.chars().count()
        };
        emit(Token {
            text,
            kind: Kind::Word,
            position: self.position,
            start: end.saturating_sub(chars),
            end,
        });
        self.position = self.position.saturating_add(1);
    }

    fn push_unspaced(&mut self, c: char, emit: &mut impl FnMut(Token<'_>)) {
        self.run.push(c);
        if self.run.len() >= MAX_RUN {
            // The last two may still change: a mark may follow.
            self.emit_pairs(self.at + 1, emit);
        }
    }

    /// Emits all pairs and keeps the last character.
    fn emit_pairs(&mut self, end: usize, emit: &mut impl FnMut(Token<'_>)) {
        let length = self.run.len();
        let begin = end.saturating_sub(length);
        for (nth, pair) in self.run.windows(2).enumerate() {
            self.pair.clear();
            self.pair.extend(pair);
            emit(Token {
                text: &self.pair,
                kind: Kind::Pair,
                position: self.position,
                start: begin + nth,
                end: begin + nth + 2,
            });
            self.position = self.position.saturating_add(1);
            self.run_began = true;
        }
        self.run.drain(..length.saturating_sub(1));
    }

    fn end_run(&mut self, emit: &mut impl FnMut(Token<'_>)) {
        if self.run.is_empty() {
            return;
        }
        self.emit_pairs(self.at, emit);
        if let Some(last) = self.run.pop() {
            let mut octets = [0; 4];
            emit(Token {
                text: last.encode_utf8(&mut octets),
                kind: Kind::Last {
                    alone: !self.run_began,
                },
                position: self.position,
                start: self.at.saturating_sub(1),
                end: self.at,
            });
            self.position = self.position.saturating_add(1);
        }
        self.run_began = false;
    }
}

/// Most characters that one folds to (U+FDFA, a whole sentence).
const MAX_FOLDED: usize = 24;

fn octets_of_chars(text: &str, chars: usize) -> usize {
    text.char_indices()
        .nth(chars)
        .map_or(text.len(), |(at, _)| at)
}

fn class(c: char) -> Class {
    if !c.is_alphanumeric() {
        return if is_symbol(c) {
            Class::Symbol
        } else {
            Class::Break
        };
    }
    if is_unspaced(c) {
        Class::Unspaced
    } else {
        Class::Letter
    }
}

/// Pictures that people write and look for.
const fn is_symbol(c: char) -> bool {
    matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{2b50}' | '\u{2b55}')
}

/// Scripts that are written without spaces between words; and Hangul, whose spaces stand between
/// longer units than the words that people look for.
const fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}'      // Thai, Lao
        | '\u{1000}'..='\u{109f}'    // Myanmar
        | '\u{1100}'..='\u{11ff}'    // Hangul jamo
        | '\u{1780}'..='\u{17ff}'    // Khmer
        | '\u{1950}'..='\u{19ff}'    // Tai Le, New Tai Lue
        | '\u{1a20}'..='\u{1aaf}'    // Tai Tham
        | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3031}'..='\u{303c}'
        | '\u{3041}'..='\u{31bf}'    // Kana, Bopomofo, compatibility jamo
        | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{a000}'..='\u{a4cf}'    // Yi
        | '\u{a960}'..='\u{a97f}'
        | '\u{a980}'..='\u{a9ff}'    // Javanese, Myanmar Extended
        | '\u{aa60}'..='\u{aadf}'    // Myanmar Extended, Tai Viet
        | '\u{ac00}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{11700}'..='\u{1174f}' // Ahom
        | '\u{16ff0}'..='\u{18dff}' // Tangut, Khitan
        | '\u{1aff0}'..='\u{1b2ff}' // Kana, Nushu
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests;
