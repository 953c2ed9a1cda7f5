//! Attachments as mail carries them, lines of base64 (RFC 2045 6.8), kept as the octets that they
//! stand for.
//!
//! Deflating base64 finds nothing but its alphabet, and inflating it again is the slowest way to
//! read mail; made of its octets it is as short and comes back several times faster. What it
//! stands for may be text, and is deflated where that gains.
//!
//! ```abnf
//! lines  = first length ends rest *OCTET coded   ; as many octets as `rest` says
//! first  = number                                ; characters of the first line
//! length = number                                ; characters of every other
//! ends   = %x00 / %x01                           ; LF, or CR LF
//! rest   = number                                ; octets behind the last group of four: a line
//!                                                ; end, padding, or what is no base64
//! number = *%x80-FF %x00-7F                      ; seven bits an octet, the lowest first (LEB128)
//! ```
//!
//! `coded` is plain or deflated, and never lines again. A piece of a leaf may begin within a line
//! and within a group of four: groups are counted from its beginning, so every four characters
//! are three octets whatever they mean. Invariant: what is coded so comes back to the octet;
//! coding reads it back and compares. Rejected: describing lines of any length; mail programs
//! break them evenly, and what does not is deflated as before.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::varint;

/// Less than this, in octets, is not looked at.
const LEAST_OCTETS: usize = 256;
/// Longest line, in characters. RFC 2045 6.8 allows 76.
const MAX_LINE: usize = 1024;
/// Most octets behind the last group: three characters, padding, and some line ends.
const MAX_REST: usize = 64;
const LF: u8 = 0;
const CRLF: u8 = 1;

/// How base64 is broken into lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lines {
    first: usize,
    length: usize,
    ends: u8,
}

/// What base64 stands for.
pub(super) struct Coded {
    /// Everything before the octets.
    pub(super) head: Vec<u8>,
    pub(super) octets: Vec<u8>,
}

/// Takes lines of base64 apart; `None` if these are none.
pub(super) fn take_apart(value: &[u8]) -> Option<Coded> {
    if value.len() < LEAST_OCTETS {
        return None;
    }
    let lines = Lines::of(value)?;
    let mut characters = Vec::with_capacity(value.len());
    let mut rest = value;
    let mut room = lines.first;
    loop {
        let length = room.min(count_characters(rest));
        let (line, after) = rest.split_at_checked(length)?;
        characters.extend_from_slice(line);
        rest = after;
        let Some(after) = rest.strip_prefix(lines.end()).filter(|_| length == room) else {
            break;
        };
        // What stands behind the last line end may be no base64: then it is the rest's.
        if count_characters(after) == 0 {
            break;
        }
        rest = after;
        room = lines.length;
    }
    characters.truncate(characters.len() & !3);
    let octets = STANDARD_NO_PAD.decode(&characters).ok()?;
    let mut whole = Vec::with_capacity(value.len());
    lines.write(&mut whole, &octets, value.len())?;
    let rest = value.strip_prefix(&whole[..])?;
    if octets.is_empty() || rest.len() > MAX_REST {
        return None;
    }
    let mut head = Vec::new();
    varint::put_length(lines.first, &mut head);
    varint::put_length(lines.length, &mut head);
    head.push(lines.ends);
    varint::put_length(rest.len(), &mut head);
    head.extend_from_slice(rest);
    Some(Coded { head, octets })
}

/// What stands before the octets: the lines, what is behind them, and where the octets begin.
pub(super) struct Head<'a> {
    lines: Lines,
    rest: &'a [u8],
    pub(super) coded: &'a [u8],
}

impl<'a> Head<'a> {
    pub(super) fn read(mut octets: &'a [u8]) -> Option<Self> {
        let first = varint::take_length(&mut octets)?;
        let length = varint::take_length(&mut octets)?;
        let [ends] = *varint::take_octets(&mut octets, 1)? else {
            return None;
        };
        let rest = varint::take_length(&mut octets)?;
        let (rest, coded) = octets.split_at_checked(rest)?;
        let lines = Lines {
            first,
            length,
            ends,
        };
        let is_right = (1..=MAX_LINE).contains(&length)
            && first <= MAX_LINE
            && ends <= CRLF
            && rest.len() <= MAX_REST;
        is_right.then_some(Self { lines, rest, coded })
    }

    /// The lines of base64, at most `limit` octets.
    pub(super) fn put_together(&self, octets: &[u8], limit: usize) -> Option<Vec<u8>> {
        let room = octets.len().saturating_mul(3).saturating_div(2);
        let mut value = Vec::with_capacity(room.min(limit).saturating_add(MAX_REST));
        self.lines.write(&mut value, octets, limit)?;
        value.extend_from_slice(self.rest);
        (value.len() <= limit).then_some(value)
    }
}

impl Lines {
    fn of(value: &[u8]) -> Option<Self> {
        let first = count_characters(value);
        let after = value.get(first..)?;
        let ends = if after.starts_with(b"\r\n") {
            CRLF
        } else if after.starts_with(b"\n") {
            LF
        } else {
            return None;
        };
        let lines = Self {
            first,
            length: 1,
            ends,
        };
        let second = after.strip_prefix(lines.end())?;
        let length = count_characters(second);
        let is_even = (1..=MAX_LINE).contains(&length) && first <= MAX_LINE;
        is_even.then_some(Self { length, ..lines })
    }

    const fn end(self) -> &'static [u8] {
        match self.ends {
            LF => b"\n",
            _ => b"\r\n",
        }
    }

    /// Appends the lines for octets, without the end of the last; `None` if they are longer than
    /// `limit`, or are no groups of three.
    fn write(self, out: &mut Vec<u8>, octets: &[u8], limit: usize) -> Option<()> {
        let characters = octets.len().checked_div(3)?.checked_mul(4)?;
        let more = characters.saturating_sub(self.first);
        let ends = more.div_ceil(self.length).checked_mul(self.end().len())?;
        if !octets.len().is_multiple_of(3) || characters.checked_add(ends)? > limit {
            return None;
        }
        // Lines of a whole number of groups, as all programs write them, are made where they are
        // to stand; others, and those of a piece that begins within a group, in between.
        let is_whole = self.first.is_multiple_of(4) && self.length.is_multiple_of(4);
        if is_whole {
            self.write_groups(out, octets)
        } else {
            self.break_up(out, STANDARD_NO_PAD.encode(octets).as_bytes())
        }
    }

    fn write_groups(self, out: &mut Vec<u8>, octets: &[u8]) -> Option<()> {
        let mut room = self.first;
        let mut rest = octets;
        loop {
            let most = room.checked_div(4)?.checked_mul(3)?;
            let (line, after) = rest.split_at_checked(most.min(rest.len()))?;
            let start = out.len();
            let length = line.len().checked_div(3)?.checked_mul(4)?;
            out.resize(start.checked_add(length)?, 0);
            STANDARD_NO_PAD
                .encode_slice(line, out.get_mut(start..)?)
                .ok()?;
            if after.is_empty() {
                return Some(());
            }
            out.extend_from_slice(self.end());
            (room, rest) = (self.length, after);
        }
    }

    fn break_up(self, out: &mut Vec<u8>, characters: &[u8]) -> Option<()> {
        let (first, rest) = characters.split_at_checked(self.first.min(characters.len()))?;
        out.extend_from_slice(first);
        for line in rest.chunks(self.length) {
            out.extend_from_slice(self.end());
            out.extend_from_slice(line);
        }
        Some(())
    }
}

/// With how many characters of base64 octets begin.
fn count_characters(octets: &[u8]) -> usize {
    let is_character =
        |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'+' || *octet == b'/';
    let other = octets.iter().position(|octet| !is_character(octet));
    other.unwrap_or(octets.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn back(coded: &Coded, limit: usize) -> Option<Vec<u8>> {
        let all = [&coded.head[..], &coded.octets].concat();
        let head = Head::read(&all).unwrap();
        head.put_together(head.coded, limit)
    }

    /// As mail programs write it.
    fn mail(octets: &[u8], length: usize, end: &str) -> Vec<u8> {
        let characters = base64::engine::general_purpose::STANDARD.encode(octets);
        let mut mail = String::new();
        for line in characters.as_bytes().chunks(length) {
            mail.push_str(std::str::from_utf8(line).unwrap());
            mail.push_str(end);
        }
        mail.into_bytes()
    }

    #[test]
    fn an_attachment_is_kept_as_its_octets() {
        let octets: Vec<u8> = (0..5000_u32)
            .map(|n| (n * n / 7).to_le_bytes()[0])
            .collect();
        for (length, end) in [(76, "\r\n"), (64, "\n"), (73, "\r\n"), (1000, "\r\n")] {
            let mail = mail(&octets, length, end);
            let coded = take_apart(&mail).unwrap();
            assert_eq!(coded.octets, octets[..4998]);
            assert!(coded.head.len() <= 12, "{}", coded.head.len());
            assert_eq!(back(&coded, mail.len()).unwrap(), mail);
            assert_eq!(back(&coded, mail.len() - 1), None);
            // The end of one piece and the beginning of the next, wherever it is cut.
            for cut in 2000..2100 {
                let (left, right) = mail.split_at(cut);
                assert_eq!(back(&take_apart(left).unwrap(), cut).unwrap(), left);
                if let Some(coded) = take_apart(right) {
                    assert_eq!(back(&coded, right.len()).unwrap(), right);
                } else {
                    // Just before or within a line end.
                    assert!(right.starts_with(b"\n") || right.starts_with(b"\r"));
                }
            }
        }
    }

    #[test]
    fn other_octets_are_no_base64() {
        let mail = mail(&[7; 3000], 76, "\r\n");
        for other in [
            b"A letter, with words. ".repeat(100),
            b"x".repeat(1000),
            [&mail[..500], b"!", &mail[501..]].concat(),
            [&mail[..500], &mail[510..]].concat(),
            mail[..200].to_vec(),
        ] {
            assert!(take_apart(&other).is_none());
        }
    }

    #[test]
    fn the_format_stands() {
        let coded = take_apart(&mail(&[0xa5; 200], 76, "\r\n")).unwrap();
        assert_eq!(coded.head, b"\x4c\x4c\x01\x06paU=\r\n".map(|octet| octet));
        assert_eq!(coded.octets, [0xa5; 198]);
    }

    #[test]
    fn foreign_heads_are_refused() {
        for head in [
            &b""[..],
            b"\x4c",
            b"\x4c\x4c",
            b"\x4c\x4c\x01",
            b"\x4c\x00\x01\x00",
            b"\x4c\x4c\x02\x00",
            b"\x4c\xff\xff\x01\x00",
            b"\xff\xff\xff\xff\x01\x4c\x01\x00",
            b"\x4c\x4c\x01\x41abc",
            b"\x4c\x4c\x01\x06abc",
        ] {
            assert!(Head::read(head).is_none(), "{head:?}");
        }
        let head = Head::read(b"\x00\x01\x01\x00").unwrap();
        assert_eq!(head.put_together(b"ab", 100), None);
        // Every character on a line: one limit holds for all.
        assert_eq!(head.put_together(&[0; 300], 1000), None);
        assert_eq!(head.put_together(&[0; 300], 1200).unwrap().len(), 1200);
    }

    proptest! {
        #[test]
        fn whatever_is_taken_apart_comes_back(
            octets in proptest::collection::vec(any::<u8>(), 0..2000),
            length in 1..100_usize,
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..2),
            from in 0..100_usize,
        ) {
            let mut mail = mail(&octets, length, "\r\n");
            for (at, octet) in changes {
                if !mail.is_empty() {
                    let at = at.index(mail.len());
                    mail[at] = octet;
                }
            }
            let mail = &mail[from.min(mail.len())..];
            if let Some(coded) = take_apart(mail) {
                prop_assert_eq!(&back(&coded, mail.len()).unwrap()[..], mail);
            }
        }
    }
}
