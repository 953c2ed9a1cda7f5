//! URLs of messages in the user's own mailboxes, as CATENATE takes them (RFC 4469 3, RFC 5092 11).
//!
//! Invariant: what is read names a message on this server and nothing else: a URL with a scheme,
//! a server or an authority names somebody else's, and is refused.

use letterlock_core::id::MailboxName;

use super::command::SectionRequest;
use super::decoder::fetch::section_of_url;

/// Longest URL, in octets.
pub const MAX_URL: usize = 8 * 1024;

/// A message, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageUrl {
    /// Its mailbox; none is the selected one.
    pub mailbox: Option<MailboxName>,
    /// What UIDVALIDITY has to be.
    pub uid_validity: Option<u32>,
    /// Its UID.
    pub uid: u32,
    /// Which part; none is the whole message.
    pub section: Option<SectionRequest>,
    /// First octet, and how many.
    pub partial: Option<(u32, Option<u32>)>,
}

impl MessageUrl {
    /// `"/" enc-mailbox [";UIDVALIDITY=" n] "/;UID=" n ["/;SECTION=" s] ["/;PARTIAL=" n ["." n]]`
    pub fn parse(url: &[u8]) -> Option<Self> {
        if url.len() > MAX_URL {
            return None;
        }
        let url = std::str::from_utf8(url).ok()?;
        // In the selected mailbox the message alone may be named.
        let bare = url.strip_prefix('/').unwrap_or(url);
        let (path, message) = if let Some(message) = strip_prefix(bare, ";UID=") {
            (None, message)
        } else {
            let (path, message) = split_at(url.strip_prefix('/')?, "/;UID=")?;
            (Some(path), message)
        };
        let (mailbox, uid_validity) = match path {
            None => (None, None),
            Some(path) if path.starts_with('/') => return None,
            Some(path) => {
                let (name, validity) = match split_at(path, ";UIDVALIDITY=") {
                    Some((name, validity)) => (name, Some(validity.parse().ok()?)),
                    None => (path, None),
                };
                (Some(MailboxName::new(&decode(name)?).ok()?), validity)
            }
        };
        let (message, partial) = match split_at(message, "/;PARTIAL=") {
            Some((message, partial)) => (message, Some(parse_partial(partial)?)),
            None => (message, None),
        };
        let (uid, section) = match split_at(message, "/;SECTION=") {
            Some((uid, section)) => (uid, Some(section_of_url(&decode(section)?)?)),
            None => (message.strip_suffix('/').unwrap_or(message), None),
        };
        Some(Self {
            mailbox,
            uid_validity,
            uid: uid.parse().ok()?,
            section,
            partial,
        })
    }
}

fn parse_partial(text: &str) -> Option<(u32, Option<u32>)> {
    match text.split_once('.') {
        Some((first, count)) => Some((first.parse().ok()?, Some(count.parse().ok()?))),
        None => Some((text.parse().ok()?, None)),
    }
}

/// Splits at the last occurrence of a mark in ASCII, in any case.
fn split_at<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let starts = text.char_indices().rev().map(|(at, _)| at);
    let mut found = starts.filter_map(|at| {
        let (before, rest) = text.split_at_checked(at)?;
        Some((before, strip_prefix(rest, mark)?))
    });
    found.next()
}

fn strip_prefix<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(mark.len())?;
    start.eq_ignore_ascii_case(mark).then_some(rest)
}

/// Undoes `%` and two digits (RFC 3986 2.1).
fn decode(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            if !digits.bytes().all(|octet| octet.is_ascii_hexdigit()) {
                return None;
            }
            octets.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        } else {
            octets.push(*first);
            rest = after;
        }
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::command::SectionText;
    use proptest::prelude::*;

    #[test]
    fn urls_of_the_rfc() {
        // RFC 4469, appendix A.
        let url = "/Drafts;UIDVALIDITY=385759045/;UID=20/;Section=1.MIME";
        let read = MessageUrl::parse(url.as_bytes()).unwrap();
        assert_eq!(read.mailbox.unwrap().as_str(), "Drafts");
        assert_eq!((read.uid_validity, read.uid), (Some(385_759_045), 20));
        let section = read.section.unwrap();
        assert_eq!((section.part, section.text), (vec![1], SectionText::Mime));
        // RFC 8508 4.2.
        let read = MessageUrl::parse(b"/Drafts/;UID=3002").unwrap();
        assert_eq!((read.uid, read.section, read.partial), (3002, None, None));
        // RFC 5092 7: percent-encoded UTF-8, and a part of a part.
        let url = "/Entw%C3%BCrfe/%2Fa%3Bb/;uid=7/;section=HEADER.FIELDS%20(To)/;partial=0.1024";
        assert_eq!(MessageUrl::parse(url.as_bytes()), None, "an empty level");
        let url = "/Entw%C3%BCrfe/a%3Bb/;uid=7/;section=HEADER.FIELDS%20(To)/;partial=0.1024";
        let read = MessageUrl::parse(url.as_bytes()).unwrap();
        assert_eq!(read.mailbox.unwrap().as_str(), "Entwürfe/a;b");
        assert_eq!(read.partial, Some((0, Some(1024))));
        assert_eq!(MessageUrl::parse(b";UID=3").unwrap().mailbox, None);
        assert_eq!(MessageUrl::parse(b"/;UID=3/;PARTIAL=9").unwrap().uid, 3);
    }

    #[test]
    fn urls_of_others_are_refused() {
        for url in [
            "",
            "imap://host/INBOX/;UID=1",
            "//host/INBOX/;UID=1",
            "INBOX/;UID=1",
            "/INBOX",
            "/INBOX/;UID=x",
            "/INBOX/;UID=-1",
            "/INBOX/;UID=1/;SECTION=NONSENSE",
            "/INBOX/;UID=1/;SECTION=1]<0.1>",
            "/INBOX;UIDVALIDITY=/;UID=1",
            "/%/;UID=1",
            "/%C3/;UID=1",
        ] {
            assert_eq!(MessageUrl::parse(url.as_bytes()), None, "{url}");
        }
        assert_eq!(MessageUrl::parse(&vec![b'/'; MAX_URL + 1]), None);
    }

    proptest! {
        #[test]
        fn no_octets_panic(url in any::<Vec<u8>>()) {
            MessageUrl::parse(&url);
        }
    }
}
