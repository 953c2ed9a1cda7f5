//! Comparing keys between people: by fingerprint, by QR code, by words read aloud.
//!
//! What is compared belongs to one address and one certificate, so both sides see the same of each,
//! whichever of the two they are: a person reads their own words, and the other one has them on the
//! screen as well.
//!
//! Six words of BIP-39's English list are 66 bits, and each guess costs 2^12 hashes: somebody who
//! wants other words to be the same has to make about 2^78 hashes for one address, which is part
//! of what is hashed, so that no work serves for two people. Rejected: words made of both
//! certificates together; who stands between the two chooses both, and then 66 bits are a
//! collision of 33. Rejected: fewer words; thirteen decimal digits (44 bits) can be bought.

use bip39::Language;
use qrcodegen::{QrCode, QrCodeEcc};

use crate::id::Address;
use crate::openpgp::Fingerprint;

/// Words that stand for one certificate of one address.
pub const COMPARED_WORDS: usize = 6;
/// How often what was hashed is hashed again: what a person waits once, whoever searches waits for
/// each guess.
const ROUNDS: u32 = 4096;
/// How many bits a word stands for.
const WORD_BITS: usize = 11;
/// Longest text that is read as a scanned code, in octets.
const MAX_SCANNED_OCTETS: usize = 2048;
/// What the content of a code begins with, as `OpenKeychain` and others write and read it.
const SCHEME: &str = "OPENPGP4FPR:";
/// Light modules around a code (ISO/IEC 18004 6.3.8).
const QUIET: i32 = 4;

/// What is compared of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Whose.
    pub address: Address,
    /// The certificate's.
    pub fingerprint: Fingerprint,
}

impl Identity {
    /// The words to read aloud.
    pub fn words(&self) -> [&'static str; COMPARED_WORDS] {
        let address = self.address.canonical();
        let mut said = Vec::new();
        for field in [address.as_str().as_bytes(), self.fingerprint.as_bytes()] {
            said.extend_from_slice(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            said.extend_from_slice(field);
        }
        let mut digest = blake3::derive_key("letterlock words to compare keys by, 1", &said);
        for _ in 0..ROUNDS {
            digest = *blake3::keyed_hash(&digest, &said).as_bytes();
        }
        words(&digest)
    }

    /// Whether somebody typed these words: in any case, with any space, comma or dash between them.
    pub fn has_words(&self, typed: &str) -> bool {
        are_typed(&self.words(), typed)
    }

    /// What a code for others to scan holds: nothing but the fingerprint, in upper case, which
    /// makes the smallest code. The address is no part of it: who scans knows whom they look at.
    pub fn code(&self) -> String {
        format!("{SCHEME}{}", self.fingerprint)
    }

    /// The fingerprint in groups of four digits, as people read it.
    pub fn grouped(&self) -> String {
        grouped(&self.fingerprint)
    }
}

/// The first bits of a hash as words of BIP-39's English list.
pub(crate) fn words<const COUNT: usize>(digest: &[u8; 32]) -> [&'static str; COUNT] {
    let list = Language::English.word_list();
    core::array::from_fn(|number| {
        let index = (0..WORD_BITS).fold(0_usize, |index, bit| {
            let at = number.saturating_mul(WORD_BITS).saturating_add(bit);
            let octet = digest.get(at / 8).copied().unwrap_or_default();
            (index << 1) | usize::from((octet >> (7 - at % 8)) & 1)
        });
        list.get(index).copied().unwrap_or_default()
    })
}

/// Whether somebody typed these words: in any case, with any space, comma or dash between them.
pub(crate) fn are_typed(words: &[&str], typed: &str) -> bool {
    let typed = typed.to_lowercase();
    let is_between = |character: char| !character.is_alphabetic();
    let mut typed = typed.split(is_between).filter(|word| !word.is_empty());
    words.iter().all(|word| typed.next() == Some(word)) && typed.next().is_none()
}

/// A fingerprint in groups of four digits, as people read it; [`read_fingerprint`] reads it too.
pub fn grouped(fingerprint: &Fingerprint) -> String {
    let digits: Vec<char> = fingerprint.to_string().chars().collect();
    let groups: Vec<String> = digits
        .chunks(4)
        .map(|group| group.iter().collect())
        .collect();
    groups.join(" ")
}

/// The fingerprint in what was scanned or typed: `openpgp4fpr:` in either case, with or without
/// what other programs add behind `#` or `?`, or the digits alone.
pub fn read_fingerprint(text: &str) -> Option<Fingerprint> {
    let text = text.trim();
    if text.len() > MAX_SCANNED_OCTETS {
        return None;
    }
    let digits = match text.split_at_checked(SCHEME.len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => {
            rest.split(['#', '?']).next().unwrap_or_default()
        }
        _ => text,
    };
    let digits: String = digits.split_whitespace().collect();
    digits.parse().ok()
}

/// A QR code (ISO/IEC 18004), ready to be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Modules on a side, the quiet zone included.
    pub side: u32,
    /// The dark modules, as the path of an SVG whose unit is a module.
    pub path: String,
    /// The same for a terminal with light letters on a dark ground: two rows in a line.
    pub lines: Vec<String>,
}

/// Draws a text; `None` if it is too long for any code.
pub fn draw(text: &str) -> Option<Code> {
    use core::fmt::Write as _;
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let side = code.size().saturating_add(QUIET.saturating_mul(2));
    let is_dark =
        |x: i32, y: i32| code.get_module(x.saturating_sub(QUIET), y.saturating_sub(QUIET));
    let mut path = String::new();
    for y in 0..side {
        for x in (0..side).filter(|x| is_dark(*x, y)) {
            let _ = write!(path, "M{x} {y}h1v1h-1z");
        }
    }
    let rows = (0..side).step_by(2);
    let lines = rows.map(|y| {
        let pair = |x| match (
            is_dark(x, y),
            y.saturating_add(1) < side && is_dark(x, y.saturating_add(1)),
        ) {
            (false, false) => '█',
            (false, true) => '▀',
            (true, false) => '▄',
            (true, true) => ' ',
        };
        (0..side).map(pair).collect()
    });
    Some(Code {
        side: u32::try_from(side).ok()?,
        path,
        lines: lines.collect(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::openpgp::test_support::{address, secret};

    fn identity(local: &str) -> Identity {
        Identity {
            address: address(local),
            fingerprint: secret(local).fingerprint(),
        }
    }

    #[test]
    fn the_words_are_those_of_one_address_and_one_key() {
        let bob = identity("bob");
        let written = Identity {
            address: Address::new("BOB@LETTERLOCK.EXAMPLE").unwrap(),
            ..bob.clone()
        };
        assert_eq!(bob.words(), bob.words());
        if written.address.canonical() == bob.address.canonical() {
            assert_eq!(written.words(), bob.words());
        }
        let other_key = Identity {
            fingerprint: secret("eve").fingerprint(),
            ..bob.clone()
        };
        let other_name = Identity {
            address: address("eve"),
            ..bob.clone()
        };
        assert_ne!(other_key.words(), bob.words());
        assert_ne!(other_name.words(), bob.words());
        assert_ne!(other_key.words(), other_name.words());
    }

    /// What two devices with different versions of this program would not agree on any more.
    #[test]
    fn the_words_stay_what_they_are() {
        let known = Identity {
            address: address("bob"),
            fingerprint: Fingerprint::V4([0x5a; 20]),
        };
        assert_eq!(known.words(), GOLDEN);
    }

    const GOLDEN: [&str; COMPARED_WORDS] = ["what", "spare", "random", "join", "catalog", "fever"];

    #[test]
    fn words_are_read_however_they_are_typed() {
        let bob = identity("bob");
        let words = bob.words();
        assert!(bob.has_words(&words.join(" ")));
        assert!(bob.has_words(&format!("  {}\n", words.join(", ").to_uppercase())));
        assert!(!bob.has_words(&words[1..].join(" ")));
        assert!(!bob.has_words(&format!("{} {}", words.join(" "), words[0])));
        assert!(!bob.has_words(&identity("eve").words().join(" ")));
        assert!(!bob.has_words(""));
    }

    #[test]
    fn codes_are_read_as_others_write_them() {
        let bob = identity("bob");
        assert_eq!(bob.code(), format!("OPENPGP4FPR:{}", bob.fingerprint));
        for text in [
            bob.code(),
            bob.code().to_lowercase(),
            format!("{}#a=bob%40letterlock.example&n=Bob", bob.code()),
            format!(" {}\n", bob.grouped()),
            bob.fingerprint.to_string(),
        ] {
            assert_eq!(read_fingerprint(&text), Some(bob.fingerprint), "{text}");
        }
        let long = "A".repeat(MAX_SCANNED_OCTETS + 1);
        for text in [
            "",
            "OPENPGP4FPR:",
            "OPENPGP4FPR:12",
            "https://x.example",
            &long,
        ] {
            assert_eq!(read_fingerprint(text), None, "{text}");
        }
    }

    #[test]
    fn a_code_is_square_and_has_its_three_corners() {
        let code = draw(&identity("bob").code()).unwrap();
        let side = usize::try_from(code.side).unwrap();
        assert_eq!(code.lines.len(), side.div_ceil(2));
        assert!(code.lines.iter().all(|line| line.chars().count() == side));
        let far = side - 4 - 7;
        for (x, y) in [(4, 4), (far, 4), (4, far)] {
            // The frame of a finder is dark at its corners, light inside, dark in the middle.
            for (dx, dy, dark) in [(0, 0, true), (1, 1, false), (3, 3, true), (6, 6, true)] {
                let module = format!("M{} {}h1v1h-1z", x + dx, y + dy);
                assert_eq!(code.path.contains(&module), dark, "{module}");
            }
        }
        assert!(!code.path.contains("M3 "), "the quiet zone is light");
        assert_eq!(draw(&"x".repeat(10_000)), None);
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in ".{0,80}") {
            if let Some(found) = read_fingerprint(&text) {
                let again = Identity { address: address("bob"), fingerprint: found };
                prop_assert_eq!(read_fingerprint(&again.code()), Some(found));
            }
        }
    }
}
