//! What is wrong with a message, as data and in plain words.
//!
//! Invariant: a defect never keeps a message from being stored and shown, and carries no content.
//! Rejected: parse errors; a person wants to read the mail that a broken program sent.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::{MAX_DEPTH, MAX_PARTS};

/// Something in a message that the standards do not allow or that exceeds a limit.
///
/// `Display` says it in words for the person who reads the mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Defect {
    /// A `multipart/*` without a usable boundary parameter (RFC 2046 5.1.1).
    MissingBoundary,
    /// A `multipart/*` in whose body the boundary never occurs (RFC 2046 5.1.1).
    NoParts,
    /// A `multipart/*` whose closing delimiter is missing (RFC 2046 5.1.1).
    UnterminatedMultipart,
    /// A `multipart/*` with a content transfer encoding (RFC 2045 6.4); it was ignored.
    EncodedMultipart,
    /// A `message/rfc822` in base64 or quoted-printable (RFC 2046 5.2.1); it stays closed.
    EncodedMessage,
    /// A `Content-Type` that cannot be understood (RFC 2045 5.2).
    BadContentType,
    /// A header line that is neither a field nor a continuation (RFC 5322 2.2).
    HeaderLineWithoutColon,
    /// The message begins with the separator line of an mbox file.
    MboxFromLine,
    /// The header is not ended by an empty line (RFC 5322 2.1).
    MissingBlankLine,
    /// Octets above 127 in a header that are not UTF-8 (RFC 5322 2.2, RFC 6532 3.2).
    EightBitHeader,
    /// Lines end in a bare line feed (RFC 5322 2.3).
    BareLineFeed,
    /// A NUL octet (RFC 5322 4).
    NulOctet,
    /// No `From` field (RFC 5322 3.6).
    MissingFrom,
    /// No `Date` field, or one that is no date (RFC 5322 3.6.1).
    BadDate,
    /// A field that may occur once occurs again (RFC 5322 3.6); the first counts.
    RepeatedField,
    /// Parts nest deeper than [`MAX_DEPTH`]; what is deeper is one closed part.
    TooDeep,
    /// More than [`MAX_PARTS`] parts; the rest is one closed part.
    TooManyParts,
    /// More addresses or parameters than the limits; the rest is not listed.
    TooManyValues,
    /// A header value longer than its limit; it is listed cut.
    LongValue,
    /// Base64 with characters that do not belong there, or cut off (RFC 2045 6.8).
    BadBase64,
    /// Quoted-printable with `=` sequences that are none (RFC 2045 6.7).
    BadQuotedPrintable,
    /// A content transfer encoding that nobody knows (RFC 2045 6.4).
    UnknownEncoding,
    /// A charset that nobody knows (RFC 2045 5.1).
    UnknownCharset,
    /// Text that is not in the charset it claims.
    BadCharset,
    /// Headers and delimiters are longer than [`super::MAX_SKELETON_OCTETS`] together; the rest is one
    /// closed part.
    TooMuchHeader,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDeep => {
                return write!(
                    f,
                    "parts are nested more than {MAX_DEPTH} levels deep; the deepest are not opened"
                );
            }
            Self::TooManyParts => {
                return write!(
                    f,
                    "it has more than {MAX_PARTS} parts; the rest is not opened"
                );
            }
            _ => {}
        }
        f.write_str(self.words())
    }
}

impl Defect {
    /// The words of those defects that need no number.
    const fn words(self) -> &'static str {
        match self {
            Self::MissingBoundary => {
                "it says that it has several parts, but not how they are separated"
            }
            Self::NoParts => "it says that it has several parts, but none begins",
            Self::UnterminatedMultipart => "its parts are not ended; the end may be missing",
            Self::EncodedMultipart => "parts are encoded as a whole, which is not allowed",
            Self::EncodedMessage => "a message in it is encoded as a whole and was not opened",
            Self::BadContentType => "it does not say in a readable way what kind of content it has",
            Self::HeaderLineWithoutColon => "its header has a line that is no header field",
            Self::MboxFromLine => "it begins with a separator line of a mailbox file",
            Self::MissingBlankLine => "its header has no end",
            Self::EightBitHeader => "its header has characters in an unnamed encoding",
            Self::BareLineFeed => "its lines do not end as lines of mail do",
            Self::NulOctet => "it has zero octets in it",
            Self::MissingFrom => "it does not say who it is from",
            Self::BadDate => "it does not say in a readable way when it was written",
            Self::RepeatedField => "a header field that may occur once occurs again",
            Self::TooDeep => "parts are nested too deep",
            Self::TooManyParts => "it has too many parts",
            Self::TooManyValues => "it lists more addresses or parameters than are looked at",
            Self::LongValue => "a header field is longer than is looked at",
            Self::BadBase64 => "a part is encoded wrongly (base64)",
            Self::BadQuotedPrintable => "a part is encoded wrongly (quoted-printable)",
            Self::UnknownEncoding => "a part is encoded in an unknown way",
            Self::UnknownCharset => "a text is in an unknown character set",
            Self::BadCharset => "a text is not in the character set that it names",
            Self::TooMuchHeader => "its headers are too long; the rest is not opened",
        }
    }
}

/// A set of defects while it grows: each kind once. Adding is cheap: a hostile message has the same
/// defect on millions of lines.
#[derive(Debug, Default)]
pub(super) struct Defects {
    /// Bit `n` for the defect with discriminant `n`.
    seen: u64,
    list: Vec<Defect>,
}

impl Defects {
    pub(super) fn add(&mut self, defect: Defect) {
        let bit = 1_u64.checked_shl(defect as u32).unwrap_or(0);
        if self.seen & bit == 0 {
            self.seen |= bit;
            self.list.push(defect);
        }
    }

    /// In the order of the enum.
    pub(super) fn into_vec(mut self) -> Vec<Defect> {
        self.list.sort_unstable();
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sentences_parts_without_end() {
        assert!(Defect::TooDeep.to_string().contains("100 levels"));
        assert!(Defect::TooManyParts.to_string().contains("10000 parts"));
        assert!(!Defect::BadDate.to_string().ends_with('.'));
    }
}
