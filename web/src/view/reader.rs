//! The message in the reader: what is around it, and what it says.
//!
//! Two regions, so that a mark set on the message does not load the frame anew.

use askama::Template;

use crate::model::{Clock, Mail, Reader};
use crate::protocol::{AttachmentView, Body, MessageView};

use super::{date, protection};

/// Above the text.
#[derive(Template)]
#[template(path = "reader_head.html")]
pub(super) struct Head<'a> {
    reader: &'a Reader,
    date: String,
    subject: &'a str,
    seal: &'static str,
    words: String,
    meaning: String,
    attachments: Vec<Attachment<'a>>,
    blocked: u32,
}

pub(super) struct Attachment<'a> {
    pub(super) index: usize,
    pub(super) file: &'a AttachmentView,
    pub(super) size: String,
}

impl<'a> Head<'a> {
    pub(super) fn of(mail: &'a Mail, clock: Clock) -> Self {
        let empty = Self {
            reader: &mail.reader,
            date: String::new(),
            subject: "",
            seal: "open",
            words: String::new(),
            meaning: String::new(),
            attachments: Vec::new(),
            blocked: 0,
        };
        match &mail.reader {
            Reader::Open(message) => empty.of_message(message, clock),
            Reader::Empty | Reader::Opening(_) | Reader::Failed(..) | Reader::Away(..) => empty,
        }
    }

    fn of_message(self, message: &'a MessageView, clock: Clock) -> Self {
        let blocked = match &message.body {
            Body::Html { blocked, .. } => *blocked,
            Body::Text(_) => 0,
        };
        let subject = message.subject.trim();
        Self {
            date: date::long(message.date_ms, clock),
            subject: if subject.is_empty() {
                "(no subject)"
            } else {
                subject
            },
            seal: protection::seal(&message.protection),
            words: protection::words(&message.protection),
            meaning: protection::meaning(&message.protection),
            attachments: attachments(&message.attachments),
            blocked,
            ..self
        }
    }
}

pub(super) fn attachments(files: &[AttachmentView]) -> Vec<Attachment<'_>> {
    let attachment = |(index, file)| attachment(index, file);
    files.iter().enumerate().map(attachment).collect()
}

fn attachment(index: usize, file: &AttachmentView) -> Attachment<'_> {
    Attachment {
        index,
        file,
        size: size(file.size),
    }
}

/// A size for people; 1 kB is 1000 octets.
pub(super) fn size(octets: u64) -> String {
    match octets {
        0..1000 => format!("{octets} B"),
        1000..1_000_000 => format!("{} kB", octets.div_ceil(1000)),
        _ => format!("{}.{} MB", octets / 1_000_000, octets % 1_000_000 / 100_000),
    }
}

/// The text.
#[derive(Template)]
#[template(path = "reader_body.html")]
pub(super) struct Content<'a> {
    pub(super) body: Option<&'a Body>,
}

impl<'a> Content<'a> {
    pub(super) fn of(mail: &'a Mail) -> Self {
        let body = match &mail.reader {
            Reader::Open(message) => Some(&message.body),
            Reader::Empty | Reader::Opening(_) | Reader::Failed(..) | Reader::Away(..) => None,
        };
        Self { body }
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_for_people() {
        for (octets, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1 kB"),
            (1001, "2 kB"),
            (2_450_000, "2.4 MB"),
        ] {
            assert_eq!(size(octets), shown);
        }
    }
}
