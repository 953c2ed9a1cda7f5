//! The messages of a mailbox, newest first.

use askama::Template;

use crate::model::{Clock, Mail};
use crate::protocol::MessageRow;

use super::{date, protection, sidebar};

#[derive(Template)]
#[template(path = "list.html")]
pub(super) struct List<'a> {
    title: String,
    count: String,
    loading: bool,
    rows: Vec<Row<'a>>,
    more: bool,
}

struct Row<'a> {
    message: &'a MessageRow,
    correspondent: &'a str,
    subject: &'a str,
    date: String,
    current: bool,
    seal: &'static str,
    words: String,
}

impl<'a> List<'a> {
    pub(super) fn of(mail: &'a Mail, clock: Clock) -> Self {
        let open = mail.reader.uid();
        let row = |message: &'a MessageRow| Row {
            message,
            correspondent: or(&message.correspondent, "(nobody)"),
            subject: or(&message.subject, "(no subject)"),
            date: date::short(message.date_ms, clock),
            current: open == Some(message.uid),
            seal: protection::seal(&message.protection),
            words: protection::words(&message.protection),
        };
        let mailbox = mail.current_mailbox();
        let count = mailbox.map(|mailbox| match (mailbox.total, mailbox.unread) {
            (0, _) => String::new(),
            (1, 0) => "1 letter".to_owned(),
            (1, _) => "1 letter, unread".to_owned(),
            (total, 0) => format!("{total} letters"),
            (total, unread) => format!("{total} letters, {unread} unread"),
        });
        Self {
            title: mailbox.map(sidebar::title).unwrap_or_default(),
            count: count.unwrap_or_default(),
            loading: mail.rows.is_none(),
            rows: mail.rows.iter().flatten().map(row).collect(),
            more: mail.more,
        }
    }
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.trim().is_empty() {
        otherwise
    } else {
        text
    }
}
