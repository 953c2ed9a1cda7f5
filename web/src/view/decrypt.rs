//! The page that opens one message without an account.

use askama::Template;

use crate::model::Decryption;
use crate::protocol::{Body, Decrypted};

use super::protection;
use super::reader::{Attachment, attachments};

/// The fields.
#[derive(Template)]
#[template(path = "decrypt.html")]
pub(super) struct Form;

/// What came of it.
#[derive(Template)]
#[template(path = "decrypt_outcome.html")]
pub(super) struct Outcome<'a> {
    busy: bool,
    error: Option<&'a str>,
    opened: Option<Opened<'a>>,
}

struct Opened<'a> {
    subject: &'a str,
    body: &'a Body,
    seal: &'static str,
    words: String,
    meaning: String,
    attachments: Vec<Attachment<'a>>,
}

impl<'a> Outcome<'a> {
    pub(super) fn of(page: &'a Decryption) -> Self {
        let (opened, error) = match &page.outcome {
            None => (None, None),
            Some(Ok(decrypted)) => (Some(opened(decrypted)), None),
            Some(Err(text)) => (None, Some(text.as_str())),
        };
        Self {
            busy: page.busy,
            error,
            opened,
        }
    }
}

fn opened(decrypted: &Decrypted) -> Opened<'_> {
    Opened {
        subject: &decrypted.subject,
        body: &decrypted.body,
        seal: protection::seal(&decrypted.protection),
        words: protection::words(&decrypted.protection),
        meaning: protection::meaning(&decrypted.protection),
        attachments: attachments(&decrypted.attachments),
    }
}
