//! The sheet on which a message is written.
//!
//! The sheet itself is drawn once; what changes while it is written (how it would leave, what
//! went wrong) is a region of its own, so that no keystroke is lost.

use askama::Template;

use crate::model::{Compose, Mail};
use crate::protocol::{Delivery, Draft, Recipient};

#[derive(Template)]
#[template(path = "compose.html")]
pub(super) struct Sheet<'a> {
    draft: Option<&'a Draft>,
    address: &'a str,
}

impl<'a> Sheet<'a> {
    pub(super) fn of(mail: &'a Mail) -> Self {
        let draft = mail.compose.as_ref().map(|compose| &compose.initial);
        Self {
            draft,
            address: &mail.address,
        }
    }
}

/// Below the fields.
#[derive(Template)]
#[template(path = "compose_status.html")]
pub(super) struct Status<'a> {
    pub(super) compose: &'a Compose,
}

impl Status<'_> {
    fn summary(&self) -> &'static str {
        let has = |delivery| {
            self.compose
                .recipients
                .iter()
                .any(|one| one.delivery == delivery)
        };
        if has(Delivery::Clear) {
            "Signed, but not encrypted: a key is missing, so this can be read on its way."
        } else if has(Delivery::Unknown) {
            "Whether this can be encrypted is found out when it is sent."
        } else if has(Delivery::Encrypted) {
            "Signed and encrypted: only the people above can read it."
        } else {
            ""
        }
    }
}

fn class(recipient: &Recipient) -> &'static str {
    match recipient.delivery {
        Delivery::Encrypted => "encrypted",
        Delivery::Clear => "clear",
        Delivery::Unknown => "unknown",
        Delivery::Invalid => "invalid",
    }
}

fn words(recipient: &Recipient) -> &'static str {
    match recipient.delivery {
        Delivery::Encrypted => "will be encrypted",
        Delivery::Clear => "no key known",
        Delivery::Unknown => "key not looked up yet",
        Delivery::Invalid => "is no mail address",
    }
}
