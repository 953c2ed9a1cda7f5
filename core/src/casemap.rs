//! How texts are compared where people look for them or sort by them: the collation
//! i;unicode-casemap (RFC 5051), which IMAP's SEARCH, SORT and THREAD use (RFC 5255 4.3).
//!
//! Each character becomes its simple titlecase mapping, that its decomposition with compatibility
//! mappings; the results are compared octet by octet. So `É`, `é` and `e` with an accent behind it
//! are the same, and `ß` is not `ss`.
//!
//! Invariant: each character is mapped by itself, so what a text has inside of it, it has inside
//! of it mapped too. Rejected: the folding of the search index
//! ([`crate::search`]); it drops accents, which this collation keeps.

use unicode_normalization::UnicodeNormalization as _;

/// A text in the form in which it is compared.
///
/// # Examples
/// ```
/// use letterlock_core::casemap::casemap;
/// assert_eq!(casemap("Café"), casemap("CAFE\u{301}"));
/// assert_ne!(casemap("Straße"), casemap("STRASSE"));
/// ```
pub fn casemap(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c.to_ascii_uppercase());
        } else if is_hangul_syllable(c) {
            // Its decomposition is computed and so no property of it in the sense of RFC 5051 2.
            out.push(c);
        } else {
            out.extend(core::iter::once(titlecase(c)).nfkd());
        }
    }
    out
}

const fn is_hangul_syllable(c: char) -> bool {
    matches!(c, '\u{ac00}'..='\u{d7a3}')
}

/// The simple titlecase mapping. The standard library has the full uppercase mapping; they differ
/// where one character has a form between the cases, or becomes several.
fn titlecase(c: char) -> char {
    match c {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        // Georgian has upper case, but a title is not written in it.
        '\u{10d0}'..='\u{10fa}' | '\u{10fd}'..='\u{10ff}' => c,
        // Greek with iota below.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
            shifted(c, 8)
        }
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shifted(c, 9),
        _ => {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(single), None) => single,
                _ => c,
            }
        }
    }
}

fn shifted(c: char, by: u32) -> char {
    char::from_u32(u32::from(c).saturating_add(by)).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_or_not() {
        for (left, right, same) in [
            ("hello", "HELLO", true),
            ("Grüße", "GRU\u{308}ßE", true),
            ("Straße", "STRASSE", false),
            ("ﬁnance", "FInance", false),
            ("ﬁ", "\u{fb01}", true),
            ("ς", "Σ", true),
            ("ǆ", "ǅ", true),
            ("ᾳ", "ᾼ", true),
            ("Ёлка", "ёЛКА", true),
            ("が", "か\u{3099}", true),
            ("한", "\u{1112}\u{1161}\u{11ab}", false),
            ("ა", "Ა", false),
            ("½", "1⁄2", true),
        ] {
            assert_eq!(casemap(left) == casemap(right), same, "{left} {right}");
        }
    }

    #[test]
    fn mapping_comes_to_an_end() {
        for c in ('\0'..='\u{2ffff}').chain('\u{e0000}'..='\u{e0fff}') {
            let once = casemap(&c.to_string());
            let twice = casemap(&once);
            // A compatibility mapping may have a small letter in it, which RFC 5051 leaves small.
            assert_eq!(casemap(&twice), twice, "{c:?}");
        }
    }
}
