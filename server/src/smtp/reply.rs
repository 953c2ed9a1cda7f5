//! Replies: codes (RFC 5321 4.2), enhanced status codes (RFC 3463, RFC 2034), and what a handler's
//! refusal looks like to the peer.
//!
//! Invariant: a reply is always whole lines; text that comes from elsewhere cannot add one.

use std::borrow::Cow;

use letterlock_core::id::Address;

/// Most addresses that a refusal names.
const MAX_NAMED_ADDRESSES: usize = 5;
/// Longest reply line without its CRLF, in octets (RFC 5321 4.5.3.1.5: 512 in all).
const MAX_REPLY_OCTETS: usize = 500;

/// One reply of one or more lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    /// RFC 3463; absent in the greeting, in answers to `EHLO` (RFC 2034 4) and in 3xx.
    enhanced: Option<&'static str>,
    lines: Vec<Cow<'static, str>>,
}

impl Reply {
    /// A reply without an enhanced code.
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            enhanced: None,
            lines: vec![text.into()],
        }
    }

    /// A reply with an enhanced code.
    pub fn new(code: u16, enhanced: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            enhanced: Some(enhanced),
            lines: vec![text.into()],
        }
    }

    /// The same reply with one more line.
    #[must_use]
    pub fn and(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.lines.push(text.into());
        self
    }

    /// Whether the command failed (4xx, 5xx).
    pub const fn is_failure(&self) -> bool {
        self.code >= 400
    }

    /// Writes the reply as it goes over the wire.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let last = self.lines.len().saturating_sub(1);
        for (number, line) in self.lines.iter().enumerate() {
            let mark = if number == last { ' ' } else { '-' };
            let mut text = format!("{}{mark}", self.code);
            if let Some(enhanced) = self.enhanced {
                text.push_str(enhanced);
                text.push(' ');
            }
            text.extend(line.chars().map(|c| if c.is_control() { '?' } else { c }));
            while text.len() > MAX_REPLY_OCTETS {
                text.pop();
            }
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Why a recipient or a message is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such address here.
    #[error("no such recipient")]
    UnknownRecipient,
    /// The address is of another domain, and this listener does not relay.
    #[error("not a recipient of this server")]
    NotLocal,
    /// The recipient has used up the room given.
    #[error("the mailbox is full")]
    MailboxFull,
    /// The message is larger than all the room that the recipient was given.
    #[error("the message is larger than the mailbox may become")]
    LargerThanQuota,
    /// There is no room on the disk.
    #[error("no room to store the message")]
    StorageFull,
    /// The message cannot be encrypted to its recipient now; it may be later.
    #[error("the message cannot be encrypted to its recipient")]
    CannotEncrypt,
    /// The account sends encrypted mail only, and these recipients have no usable certificate.
    #[error("recipients without a certificate")]
    NoCertificate {
        /// Who.
        recipients: Vec<Address>,
    },
    /// The message is not one that this account may send.
    #[error("the message is not acceptable")]
    Unacceptable {
        /// What is wrong with it; no content.
        reason: &'static str,
    },
    /// Something failed here; trying again is right.
    #[error("temporary failure")]
    Unavailable,
}

/// The reply to a refusal.
pub fn reply_for(refusal: &Refusal) -> Reply {
    match refusal {
        Refusal::UnknownRecipient => Reply::new(550, "5.1.1", "No such recipient here"),
        Refusal::NotLocal => Reply::new(550, "5.7.1", "Not a recipient of this server"),
        Refusal::MailboxFull => Reply::new(452, "4.2.2", "The mailbox is full"),
        Refusal::LargerThanQuota => Reply::new(
            552,
            "5.2.2",
            "The message is larger than the mailbox may become",
        ),
        Refusal::StorageFull => Reply::new(452, "4.3.1", "No room to store the message now"),
        Refusal::CannotEncrypt => Reply::new(
            451,
            "4.7.5",
            "The message cannot be encrypted to its recipient now",
        ),
        Refusal::NoCertificate { recipients } => no_certificate(recipients),
        Refusal::Unacceptable { reason } => Reply::new(554, "5.6.0", *reason),
        Refusal::Unavailable => Reply::new(451, "4.3.0", "Temporary failure, please try again"),
    }
}

fn no_certificate(recipients: &[Address]) -> Reply {
    let mut named = recipients
        .iter()
        .take(MAX_NAMED_ADDRESSES)
        .map(|address| format!("<{address}>"))
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(more @ 1..) = recipients.len().checked_sub(MAX_NAMED_ADDRESSES) {
        named = format!("{named} and {more} more");
    }
    // X.7.10 "Encryption needed" (RFC 5248).
    Reply::new(
        550,
        "5.7.10",
        format!("No certificate is known for {named}"),
    )
    .and("This account sends encrypted mail only; nothing was sent")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn replies_are_whole_lines() {
        let reply = Reply::new(250, "2.1.0", "one").and("two\r\n250 three");
        assert_eq!(
            written(&reply),
            "250-2.1.0 one\r\n250 2.1.0 two??250 three\r\n"
        );
        let long = Reply::plain(500, "x".repeat(2000));
        assert_eq!(written(&long).len(), MAX_REPLY_OCTETS + 2);
    }

    #[test]
    fn a_missing_certificate_is_named() {
        let recipients = vec![Address::new("carol@elsewhere.example").unwrap(); 7];
        let text = written(&reply_for(&Refusal::NoCertificate { recipients }));
        assert!(
            text.starts_with("550-5.7.10 No certificate is known for <carol@elsewhere.example>,")
        );
        assert!(text.contains("and 2 more\r\n550 5.7.10 This account"));
    }
}
