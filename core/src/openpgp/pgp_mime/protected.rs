//! Header protection, read (RFC 9788, and `protected-headers="v1"` of the draft before it).
//!
//! The fields of the cryptographic payload, which is what is inside all layers, speak for the
//! message. With `hp` they are all there is (RFC 9788 4): a field that stands outside alone was
//! added on the way, and one that says whom to answer or what this answers is not shown (4.4.4
//! makes that a must for recipients; an added `Cc` would have the answer encrypted to a stranger).
//! The draft protects some fields and says nothing of the others, so there the others stay.
//!
//! Rejected: the third form, a whole `message/rfc822` as payload (RFC 8551, RFC 9788 4.10): with
//! PGP/MIME nobody writes it, and a forwarded letter looks the same, whose author would be shown
//! as the sender. Rejected: dropping every field that stands outside alone; lists, filters and the
//! fields of transport are what people sort mail by, and nobody answers to them.

use super::{is_status, is_structural, is_transport};
use crate::mime::Part;
use crate::mime::header::{self, Field};

/// Fields that belong to the writer and are not taken from outside if the payload has its own
/// header. Date and Message-ID stay, if the payload lacks them: they only place the letter.
const WRITERS: [&str; 20] = [
    "Subject",
    "To",
    "Cc",
    "Bcc",
    "Reply-To",
    "Sender",
    "In-Reply-To",
    "References",
    "Followup-To",
    "Mail-Followup-To",
    "Mail-Reply-To",
    "Comments",
    "Keywords",
    "Disposition-Notification-To",
    "Return-Receipt-To",
    "Resent-From",
    "Resent-Sender",
    "Resent-To",
    "Resent-Cc",
    "Resent-Date",
];

/// Deepest nesting of signatures inside each other.
const MAX_LAYERS: usize = 3;

/// A payload's header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Protected {
    /// Its fields.
    pub(super) header: Vec<u8>,
    /// Whether they are all of the message's fields (`hp`), or those that the sender chose.
    pub(super) complete: bool,
    /// Whether the sender meant them for an encrypted message (`hp="cipher"`, or the draft).
    pub(super) cipher: bool,
}

impl Protected {
    /// The payload's header, if it protects the message's: that of `part`, or of what is signed in
    /// it.
    pub(super) fn of(raw: &[u8], part: &Part) -> Option<Self> {
        let payload = payload(part);
        let hp = payload.parameter("hp");
        let hp = hp.as_deref().map(str::trim);
        let is = |value: &str| hp.is_some_and(|hp| hp.eq_ignore_ascii_case(value));
        let complete = is("cipher") || is("clear");
        let draft = payload
            .parameter("protected-headers")
            .is_some_and(|version| version.trim().eq_ignore_ascii_case("v1"));
        (complete || draft).then(|| Self {
            header: payload.header.of(raw).to_vec(),
            complete,
            cipher: is("cipher") || (!complete && draft),
        })
    }

    /// The fields that take the place of outer ones: name and raw field, with a line end.
    pub(super) fn fields(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        header::fields(&self.header)
            .filter(|field| !is_status(field) && !is_structural(field) && !is_transport(field))
            .map(|field| {
                let mut raw = field.raw.to_vec();
                if !raw.ends_with(b"\n") {
                    raw.extend_from_slice(b"\r\n");
                }
                (field.name.to_vec(), raw)
            })
            .collect()
    }

    /// Whether an outer field is not shown, beside those that have another value inside.
    pub(super) fn drops(&self, field: &Field<'_>) -> bool {
        self.complete && WRITERS.iter().any(|name| field.is(name))
    }
}

/// What is inside all layers of signatures.
pub(super) fn payload(part: &Part) -> &Part {
    let mut inner = part;
    for _ in 0..MAX_LAYERS {
        match inner.children() {
            [signed, _] if inner.is("multipart", "signed") => inner = signed,
            _ => break,
        }
    }
    inner
}
