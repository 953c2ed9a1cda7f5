//! The mail that both servers get: 2 to 100 kB, as often small as large, with words to be found.

use crate::letters::{Language, Numbers};
use crate::mail::base64;

/// Messages of which the needle is in the text, by how it is written there.
pub const NEEDLE: &str = "xylophonquartz";
/// In quoted-printable, cut by a soft line break, with a letter that is not ASCII.
pub const NEEDLE_QUOTED: &str = "wobblefjörd";
/// In base64.
pub const NEEDLE_BASE64: &str = "zephyrglyphs";
/// In a subject.
pub const NEEDLE_SUBJECT: &str = "Quarterlyjackdaw";
/// An address.
pub const NEEDLE_FROM: &str = "mordant.kestrel@example.net";

/// Smallest message, and how many times larger the largest is.
const LEAST_OCTETS: f64 = 2000.0;
const SPREAD: f64 = 50.0;

/// What stands in a message that a search shall find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needle {
    /// [`NEEDLE`].
    Plain,
    /// [`NEEDLE_QUOTED`].
    Quoted,
    /// [`NEEDLE_BASE64`].
    Base64,
    /// [`NEEDLE_SUBJECT`].
    Subject,
    /// [`NEEDLE_FROM`].
    From,
}

impl Needle {
    /// Whether the message of this number has it.
    pub const fn is_in(self, number: u32) -> bool {
        let (every, at) = match self {
            Self::Plain => (269, 13),
            Self::Quoted => (419, 17),
            Self::Base64 => (431, 19),
            Self::Subject => (211, 7),
            Self::From => (401, 3),
        };
        number % every == at
            && match self {
                // These have a body of their own.
                Self::Plain => !Self::Quoted.is_in(number) && !Self::Base64.is_in(number),
                Self::Base64 => !Self::Quoted.is_in(number),
                Self::Quoted | Self::Subject | Self::From => true,
            }
    }

    /// How many of so many messages have it.
    pub fn count(self, messages: u32) -> usize {
        (0..messages).filter(|number| self.is_in(*number)).count()
    }
}

/// The message of a number.
pub fn message(number: u32) -> Vec<u8> {
    let mut numbers = Numbers::new(u64::from(number) + 77);
    let octets = size(&mut numbers);
    let body = if Needle::Quoted.is_in(number) {
        quoted(octets, &mut numbers)
    } else if Needle::Base64.is_in(number) {
        encoded(octets, &mut numbers)
    } else {
        let found = if Needle::Plain.is_in(number) {
            NEEDLE
        } else {
            ""
        };
        match numbers.below(10) {
            0..=4 => plain(octets, found, &mut numbers),
            5..=7 => alternative(octets, found, &mut numbers),
            _ => attachment(octets, found, &mut numbers),
        }
    };
    [header(number, &mut numbers), body].concat().into_bytes()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a random size need not be exact"
)]
fn size(numbers: &mut Numbers) -> usize {
    let uniform = numbers.below(1 << 20) as f64 / (1_u64 << 20) as f64;
    (LEAST_OCTETS * SPREAD.powf(uniform)) as usize
}

fn header(number: u32, numbers: &mut Numbers) -> String {
    let subject = if Needle::Subject.is_in(number) {
        format!("{NEEDLE_SUBJECT} {}", words(4, numbers))
    } else {
        words(6, numbers)
    };
    let from = if Needle::From.is_in(number) {
        NEEDLE_FROM.to_owned()
    } else {
        format!("user{:03}@example.org", numbers.below(300))
    };
    let (day, minute) = (1 + number % 28, number % 60);
    let parent = if number.is_multiple_of(5) {
        String::new()
    } else {
        let parent = number - number % 5;
        format!("In-Reply-To: <{parent}@bench.example>\r\nReferences: <{parent}@bench.example>\r\n")
    };
    format!(
        "Return-Path: <{from}>\r\n\
         Received: from mx{}.example.net (mx.example.net [192.0.2.{}]) by mail.example.org\r\n\
         \twith ESMTPS id {number:08x}; {day} Jan 2024 10:{minute:02}:00 +0000\r\n\
         From: \"{}\" <{from}>\r\nTo: \"Test User\" <test@example.org>\r\nSubject: {subject}\r\n\
         Date: {day} Jan 2024 10:{minute:02}:00 +0000\r\nMessage-ID: <{number}@bench.example>\r\n\
         {parent}MIME-Version: 1.0\r\n",
        number % 9,
        number % 250,
        words(2, numbers),
    )
}

fn words(count: u64, numbers: &mut Numbers) -> String {
    let words = (0..count).map(|_| Language::English.word(numbers.rank(4000)));
    words.collect::<Vec<_>>().join(" ")
}

fn lines(octets: usize, numbers: &mut Numbers) -> String {
    let mut text = String::with_capacity(octets + 100);
    while text.len() < octets {
        text.push_str(&words(11, numbers));
        text.push_str("\r\n");
    }
    text
}

fn plain(octets: usize, found: &str, numbers: &mut Numbers) -> String {
    let text = lines(octets.saturating_sub(900), numbers);
    format!("Content-Type: text/plain; charset=us-ascii\r\n\r\n{text}here {found} is\r\n")
}

fn alternative(octets: usize, found: &str, numbers: &mut Numbers) -> String {
    let text = lines(octets / 3, numbers);
    let html = lines(octets / 2, numbers).replace("\r\n", "</p>\r\n<p>");
    format!(
        "Content-Type: multipart/alternative; boundary=\"=_b\"\r\n\r\n\
         --=_b\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n{text}here {found} is\r\n\
         --=_b\r\nContent-Type: text/html; charset=us-ascii\r\n\r\n<html><body><p>{html}</p></body></html>\r\n\
         --=_b--\r\n"
    )
}

fn attachment(octets: usize, found: &str, numbers: &mut Numbers) -> String {
    let text = lines(octets.min(6000) / 3, numbers);
    let file: Vec<u8> = (0..octets.saturating_mul(2) / 3)
        .map(|_| u8::try_from(numbers.below(256)).unwrap_or(0))
        .collect();
    format!(
        "Content-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n\
         --=_b\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n{text}here {found} is\r\n\
         --=_b\r\nContent-Type: application/octet-stream; name=\"file.bin\"\r\n\
         Content-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"file.bin\"\r\n\r\n{}--=_b--\r\n",
        base64(&file)
    )
}

/// The needle is cut by a soft line break.
fn quoted(octets: usize, numbers: &mut Numbers) -> String {
    let text = lines(octets.saturating_sub(900), numbers);
    format!(
        "Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\n{text}some wobb=\r\nlefj=C3=B6rd after\r\n"
    )
}

fn encoded(octets: usize, numbers: &mut Numbers) -> String {
    let text = lines(octets.saturating_mul(7) / 10, numbers);
    format!(
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
        base64(format!("{text}and {NEEDLE_BASE64} too\r\n").as_bytes())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use letterlock_core::mime::{searchable_pieces, split};

    #[test]
    fn what_shall_be_found_is_there() {
        for (needle, text) in [
            (Needle::Plain, NEEDLE),
            (Needle::Quoted, NEEDLE_QUOTED),
            (Needle::Base64, NEEDLE_BASE64),
        ] {
            for number in 0..900 {
                let raw = message(number);
                let parts = split(&raw);
                let has = searchable_pieces(&parts.structure)
                    .iter()
                    .any(|piece| piece.decoded(piece.span().of(&raw)).contains(text));
                assert_eq!(has, needle.is_in(number), "{number} {text}");
            }
        }
    }
}
