//! What a device writes to its own user.

use core::fmt::Display;

use super::format_date;
use crate::id::{Address, Timestamp};

/// A warning, as a message in INBOX.
pub(crate) struct Notice<'a> {
    /// The subject, without what all warnings begin with.
    pub(crate) subject: &'a str,
    /// The same for the same warning; the Message-ID's first half.
    pub(crate) id: &'a dyn Display,
    /// What was found, as part of a sentence.
    pub(crate) found: &'a dyn Display,
    /// What happens meanwhile.
    pub(crate) meanwhile: &'a str,
    /// What the user can do.
    pub(crate) advice: &'a str,
}

impl Notice<'_> {
    /// The message, with CRLF line ends.
    pub(crate) fn message(&self, to: &Address, now: Timestamp) -> Vec<u8> {
        let Self {
            subject,
            id,
            found,
            meanwhile,
            advice,
        } = self;
        let domain = to.domain();
        let date = format_date(now);
        let text = format!(
            "From: Letterlock on your device <mailer-daemon@{domain}>\r\n\
             To: <{to}>\r\n\
             Subject: Warning: {subject}\r\n\
             Date: {date}\r\n\
             Message-ID: <{id}@{domain}>\r\n\
             Auto-Submitted: auto-generated\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\
             \r\n\
             This message was made by your own device; nobody has sent it.\r\n\
             \r\n\
             What was found: {found}.\r\n\
             \r\n\
             {meanwhile}\r\n\
             \r\n\
             {advice}\r\n"
        );
        text.into_bytes()
    }
}
