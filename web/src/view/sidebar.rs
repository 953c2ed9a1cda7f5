//! The mailboxes, and below them the account.

use askama::Template;

use crate::model::Mail;
use crate::protocol::{MailboxRow, SyncState};

#[derive(Template)]
#[template(path = "sidebar.html")]
pub(super) struct Sidebar<'a> {
    address: &'a str,
    mailboxes: Vec<Item<'a>>,
    sync: String,
    working: bool,
}

struct Item<'a> {
    id: &'a str,
    title: String,
    name: &'a str,
    icon: &'static str,
    current: bool,
    unread: u32,
    depth: usize,
}

impl<'a> Sidebar<'a> {
    pub(super) fn of(mail: &'a Mail) -> Self {
        let mut rows: Vec<&MailboxRow> = mail.mailboxes.iter().collect();
        rows.sort_by_key(|row| rank(&row.role));
        let item = |row: &'a MailboxRow| Item {
            id: &row.id,
            title: title(row),
            name: &row.name,
            icon: icon(&row.role),
            current: mail.mailbox.as_ref() == Some(&row.id),
            unread: row.unread,
            depth: row.name.matches('/').count().min(4),
        };
        Self {
            address: &mail.address,
            mailboxes: rows.into_iter().map(item).collect(),
            sync: sync_words(&mail.sync),
            working: matches!(mail.sync, SyncState::Working { .. }),
        }
    }
}

/// A mailbox's name for people.
pub(super) fn title(row: &MailboxRow) -> String {
    if row.role == "inbox" {
        return "Inbox".to_owned();
    }
    row.name.rsplit('/').next().unwrap_or(&row.name).to_owned()
}

fn rank(role: &str) -> usize {
    let order = ["inbox", "drafts", "sent", "archive", "", "junk", "trash"];
    order
        .iter()
        .position(|known| *known == role)
        .unwrap_or(order.len())
}

fn icon(role: &str) -> &'static str {
    match role {
        "inbox" => "inbox",
        "drafts" => "drafts",
        "sent" => "sent",
        "archive" => "archive",
        "junk" => "junk",
        "trash" => "trash",
        _ => "folder",
    }
}

fn sync_words(state: &SyncState) -> String {
    match state {
        SyncState::Unknown => "Connecting …".to_owned(),
        SyncState::Working { taken_in: 0 } => "Asking for mail …".to_owned(),
        SyncState::Working { taken_in: 1 } => "1 letter opened …".to_owned(),
        SyncState::Working { taken_in } => format!("{taken_in} letters opened …"),
        SyncState::Current => "Up to date".to_owned(),
        SyncState::Offline => "Offline".to_owned(),
        SyncState::Failed(_) => "Not in step".to_owned(),
    }
}
