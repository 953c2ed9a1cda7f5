//! What IMAP ENVELOPE shows of a message (RFC 9051 7.5.2, RFC 5322 3.6).
//!
//! Invariant: octets as they stand in the header, unfolded, not decoded; `sender` and `reply_to`
//! are those of `from` where the message has none. Rejected: decoded text; ENVELOPE carries
//! encoded words as they are, and decoding is for people ([`super::decode_header`]).

use core::fmt;

use serde::{Deserialize, Serialize};

use super::address::{EnvelopeAddress, parse_addresses};
use super::defect::Defect;
use super::entity::Context;
use super::header::{Field, fields};

/// The envelope of a message. Absent fields are `None` or empty, which IMAP shows as NIL.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeData {
    /// `Date`, as it stands.
    pub date: Option<Vec<u8>>,
    /// `Subject`, not decoded.
    pub subject: Option<Vec<u8>>,
    /// `From`.
    pub from: Vec<EnvelopeAddress>,
    /// `Sender`, else `From`.
    pub sender: Vec<EnvelopeAddress>,
    /// `Reply-To`, else `From`.
    pub reply_to: Vec<EnvelopeAddress>,
    /// `To`; several fields are one list.
    pub to: Vec<EnvelopeAddress>,
    /// `Cc`
    pub cc: Vec<EnvelopeAddress>,
    /// `Bcc`
    pub bcc: Vec<EnvelopeAddress>,
    /// `In-Reply-To`, as it stands.
    pub in_reply_to: Option<Vec<u8>>,
    /// `Message-ID`, as it stands.
    pub message_id: Option<Vec<u8>>,
}

impl fmt::Debug for EnvelopeData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeData").finish_non_exhaustive()
    }
}

impl EnvelopeData {
    /// The envelope of a message or header.
    pub fn of(header: &[u8]) -> Self {
        let mut envelope = Self::default();
        let mut context = Context::default();
        for field in fields(header) {
            envelope.take(&field.name.to_ascii_lowercase(), &field, &mut context);
        }
        envelope.apply_defaults();
        envelope
    }

    /// Takes in one field; `name` is in lower case.
    pub(super) fn take(&mut self, name: &[u8], field: &Field<'_>, context: &mut Context) {
        let (list, repeatable) = match name {
            b"date" => return take_value(&mut self.date, field, context),
            b"subject" => return take_value(&mut self.subject, field, context),
            b"in-reply-to" => return take_value(&mut self.in_reply_to, field, context),
            b"message-id" => return take_value(&mut self.message_id, field, context),
            b"from" => (&mut self.from, false),
            b"sender" => (&mut self.sender, false),
            b"reply-to" => (&mut self.reply_to, false),
            b"to" => (&mut self.to, true),
            b"cc" => (&mut self.cc, true),
            b"bcc" => (&mut self.bcc, true),
            _ => return,
        };
        if !list.is_empty() {
            context.defects.add(Defect::RepeatedField);
            if !repeatable {
                return;
            }
        }
        let parsed = parse_addresses(field.value, context.addresses);
        context.addresses = context.addresses.saturating_sub(parsed.addresses.len());
        if parsed.cut {
            context.defects.add(Defect::TooManyValues);
        }
        list.extend(parsed.addresses);
    }

    /// A message without `Sender` or `Reply-To` has those of `From` (RFC 9051 7.5.2).
    pub(super) fn apply_defaults(&mut self) {
        if self.sender.is_empty() {
            self.sender.clone_from(&self.from);
        }
        if self.reply_to.is_empty() {
            self.reply_to.clone_from(&self.from);
        }
    }
}

fn take_value(target: &mut Option<Vec<u8>>, field: &Field<'_>, context: &mut Context) {
    if target.is_some() {
        context.defects.add(Defect::RepeatedField);
        return;
    }
    *target = Some(context.value(field));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sender_and_reply_to_default_to_from() {
        let envelope = EnvelopeData::of(
            b"From: A <a@x>\r\nTo: b@y\r\nTo: c@z\r\nSubject: =?utf-8?q?x?=\r\n folded\r\n\r\n",
        );
        assert_eq!(envelope.sender, envelope.from);
        assert_eq!(envelope.reply_to, envelope.from);
        assert_eq!(envelope.to.len(), 2);
        assert_eq!(envelope.subject.unwrap(), b"=?utf-8?q?x?= folded");
        assert_eq!(envelope.cc, []);
    }
}
