//! The form in which texts are compared: compatibility decomposition (Unicode NFKD), full case
//! folding, combining marks left out.
//!
//! Every character folds by itself, whatever stands beside it: what one text has inside of another
//! it has inside of it folded too. Only what one character writes and another writes as several
//! (Hangul in jamo, kana with a separate voicing mark) is put together afterwards, by
//! [`composed`], and who does so must say that it did.
//!
//! Invariant: `fold(c) == fold(lower(c))`, and folding twice changes nothing (tested for every
//! character), so folding is at least as coarse as a comparison in lower case. Rejected: ICU's
//! tables, a second copy of what `idna` has in every build of ours; a table of case foldings:
//! upper case and then lower case gives the same classes, but for the dotless i, which folds to i
//! here.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::{canonical_combining_class, compose};

/// Foldings that are remembered: a text uses few characters many times. A power of two.
const REMEMBERED: usize = 512;
/// Most characters of a folding that is remembered.
const REMEMBERED_CHARS: usize = 3;

/// Folds characters and remembers the last ones.
#[derive(Clone)]
pub(super) struct Folder {
    remembered: Vec<Option<Folding>>,
    scratch: Vec<char>,
}

#[derive(Clone, Copy)]
struct Folding {
    of: char,
    length: usize,
    chars: [char; REMEMBERED_CHARS],
}

impl core::fmt::Debug for Folder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Folder(…)")
    }
}

impl Folder {
    pub(super) fn new() -> Self {
        Self {
            remembered: vec![None; REMEMBERED],
            scratch: Vec::new(),
        }
    }

    /// What a character folds to: nothing for a combining mark, several for a ligature.
    pub(super) fn fold(&mut self, c: char, mut each: impl FnMut(char)) {
        if c.is_ascii() {
            return each(c.to_ascii_lowercase());
        }
        if is_composed_already(c) {
            return each(c);
        }
        let slot = (c as usize) % REMEMBERED;
        if let Some(Some(known)) = self.remembered.get(slot)
            && known.of == c
        {
            return known
                .chars
                .iter()
                .take(known.length)
                .copied()
                .for_each(each);
        }
        self.scratch.clear();
        fold_into(c, &mut self.scratch);
        if self.scratch.len() <= REMEMBERED_CHARS {
            let mut chars = ['\0'; REMEMBERED_CHARS];
            for (place, folded) in chars.iter_mut().zip(&self.scratch) {
                *place = *folded;
            }
            if let Some(place) = self.remembered.get_mut(slot) {
                *place = Some(Folding {
                    of: c,
                    length: self.scratch.len(),
                    chars,
                });
            }
        }
        self.scratch.iter().copied().for_each(each);
    }
}

/// The character that `second` makes of the one before it, for jamo and voicing marks.
pub(super) fn composed(first: char, second: char) -> Option<char> {
    composes(second).then(|| compose(first, second)).flatten()
}

/// Whether a folded character may become one with the character before it.
pub(super) const fn composes(c: char) -> bool {
    is_voicing_mark(c) || matches!(c, '\u{1161}'..='\u{1175}' | '\u{11a8}'..='\u{11c2}')
}

/// Kana's combining marks. Alone they are nothing.
pub(super) const fn is_voicing_mark(c: char) -> bool {
    matches!(c, '\u{3099}' | '\u{309a}')
}

/// Hangul syllables and kana stay as they are: their parts are no letters to look for. So do the
/// common Han characters, which have no other form.
const fn is_composed_already(c: char) -> bool {
    matches!(c,
        '\u{ac00}'..='\u{d7a3}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{3041}'..='\u{3096}'
        | '\u{30a1}'..='\u{30fa}' | '\u{30fc}')
}

fn fold_into(c: char, out: &mut Vec<char>) {
    let cased = core::iter::once(c)
        .nfkd()
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    for folded in cased.nfkd() {
        // Hangul falls apart in NFKD only where it was not a syllable of its own.
        if is_voicing_mark(folded) || !is_left_out(folded) {
            out.push(folded);
        }
    }
}

/// Combining marks, and characters that say how others are shown (UAX 29 WB4 passes over both).
fn is_left_out(c: char) -> bool {
    if c.is_ascii() {
        return false;
    }
    let shows_nothing = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}'
        | '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0100}'..='\u{e01ef}');
    // Marks of Thai and Lao that Unicode gives no combining class.
    let thai = matches!(c, '\u{e47}' | '\u{e4c}' | '\u{e4e}' | '\u{ecc}' | '\u{ece}');
    shows_nothing || thai || canonical_combining_class(c) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        let mut folder = Folder {
            remembered: Vec::new(),
            scratch: Vec::new(),
        };
        let mut out = String::new();
        for c in text.chars() {
            folder.fold(c, |folded| out.push(folded));
        }
        out
    }

    #[test]
    fn what_people_take_for_the_same_folds_to_the_same() {
        for (text, expected) in [
            ("Grüße", "grusse"),
            ("GRÜSSE", "grusse"),
            ("STRAẞE", "strasse"),
            ("ﬁnance", "finance"),
            ("Ｆｕｌｌ", "full"),
            ("ὈΔΥΣΣΕΎΣ", "οδυσσευσ"),
            ("Ὀδυσσεύς", "οδυσσευσ"),
            ("İstanbul", "istanbul"),
            ("Ёлка", "елка"),
            ("e\u{301}te\u{301}", "ete"),
            ("x²", "x2"),
            ("שָׁלוֹם", "שלום"),
            ("مُحَمَّد", "محمد"),
            ("co\u{ad}op", "coop"),
            ("が한", "が한"),
        ] {
            assert_eq!(folded(text), expected, "{text}");
        }
    }

    #[test]
    fn folding_is_at_least_as_coarse_as_lower_case_and_done_once() {
        // The planes between have private and unassigned characters, which are what they are.
        let all = ('\0'..='\u{2ffff}').chain('\u{e0000}'..='\u{e0fff}');
        for c in all {
            let once = folded(&c.to_string());
            assert_eq!(folded(&c.to_lowercase().to_string()), once, "{c:?}");
            assert_eq!(folded(&once), once, "{c:?}");
        }
        assert_eq!(folded("ς"), folded("σ"), "str::to_lowercase writes both");
    }

    #[test]
    fn parts_become_one_character() {
        assert_eq!(composed('か', '\u{3099}'), Some('が'));
        assert_eq!(composed('\u{1112}', '\u{1161}'), Some('하'));
        assert_eq!(composed('하', '\u{11ab}'), Some('한'));
        assert_eq!(composed('a', '\u{3099}'), None);
        assert_eq!(composed('e', '\u{301}'), None, "left out, not composed");
    }
}
