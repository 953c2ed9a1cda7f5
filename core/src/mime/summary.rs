//! What a list of messages shows of one, computed once when it arrives.
//!
//! Invariant: bounded: a preview of [`PREVIEW_CHARS`] characters from at most
//! [`PREVIEW_SOURCE_OCTETS`] octets of text, and at most [`MAX_SUMMARY_IDS`] references.
//! Rejected: computing it when a mailbox is listed; that would read a body for each line.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::id::Timestamp;

use super::address::{Mailbox, parse_message_ids};
use super::body_structure::Structure;
use super::date::parse_date;
use super::defect::Defect;
use super::encoded_word::decode_header;
use super::envelope::EnvelopeData;
use super::header;
use super::text::{body_to_show, preview_text};
use super::text_starts::TextStarts;

/// Longest preview, in characters (RFC 8970 3).
pub(super) const PREVIEW_CHARS: usize = 200;
/// How much of an encoded text is looked at for the preview, in octets.
pub(super) const PREVIEW_SOURCE_OCTETS: usize = 32 * 1024;
/// Most references kept of a message.
pub(super) const MAX_SUMMARY_IDS: usize = 200;
/// Most people listed of one field.
pub(super) const MAX_SUMMARY_MAILBOXES: usize = 50;

/// What a list of messages shows.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Decoded subject.
    pub subject: String,
    /// Who wrote it.
    pub from: Vec<Mailbox>,
    /// To whom; the first few.
    pub to: Vec<Mailbox>,
    /// When it says that it was written.
    pub date: Option<Timestamp>,
    /// The beginning of its text (RFC 8970).
    pub preview: String,
    /// Whether it has parts that are no text and do not belong into the text.
    pub has_attachment: bool,
    /// `Message-ID`, without brackets.
    pub message_id: Option<String>,
    /// `In-Reply-To`, without brackets.
    pub in_reply_to: Vec<String>,
    /// `References`, without brackets, oldest first.
    pub references: Vec<String>,
}

impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Summary").finish_non_exhaustive()
    }
}

/// Computes the summary of a message; adds the defects that show only here.
pub(super) fn summarize(structure: &mut Structure, skeleton: &[u8], texts: &TextStarts) -> Summary {
    // The header of the message is the beginning of the skeleton.
    let references = header::find(structure.root.header.of(skeleton), "References")
        .map(|field| parse_message_ids(field.value, MAX_SUMMARY_IDS))
        .unwrap_or_default();
    let body = body_to_show(structure);
    let has_attachment = body.attachments.iter().any(|attachment| !attachment.inline);
    let shown = body.text.iter().find_map(|shown| {
        let part = structure.part(&shown.path)?;
        Some((part, texts.of(shown.leaf)))
    });
    let (preview, defects) = shown
        .map(|(part, start)| preview_text(part, start))
        .unwrap_or_default();
    let summary = Summary {
        preview,
        has_attachment,
        references,
        ..of_envelope(&structure.envelope)
    };
    structure.defects.extend(defects);
    if summary.date.is_none() {
        structure.defects.push(Defect::BadDate);
    }
    structure.defects.sort_unstable();
    structure.defects.dedup();
    summary
}

fn of_envelope(envelope: &EnvelopeData) -> Summary {
    let people = |list: &[super::EnvelopeAddress]| {
        list.iter()
            .filter_map(super::EnvelopeAddress::to_mailbox)
            .take(MAX_SUMMARY_MAILBOXES)
            .collect()
    };
    let ids = |value: &Option<Vec<u8>>| {
        value
            .as_deref()
            .map(|value| parse_message_ids(value, MAX_SUMMARY_IDS))
            .unwrap_or_default()
    };
    Summary {
        subject: envelope
            .subject
            .as_deref()
            .map(decode_header)
            .unwrap_or_default(),
        from: people(&envelope.from),
        to: people(&envelope.to),
        date: envelope.date.as_deref().and_then(parse_date),
        message_id: ids(&envelope.message_id).into_iter().next(),
        in_reply_to: ids(&envelope.in_reply_to),
        ..Summary::default()
    }
}
