//! Address lists (RFC 5322 3.4, with the obsolete forms of 4.4) and lists of message ids (3.6.4).
//!
//! Invariant: never fails and never loses a name: what is no address is a mailbox without host.
//! The result is what IMAP shows (RFC 9051 7.5.2): groups are marked by addresses without host,
//! names are not decoded. Rejected: dropping what is not valid; the person shall see whom a mail
//! claims to be from.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::encoded_word::decode_header;
use super::header::unfold;
use super::parameters::to_text;

/// What stands for the domain of an address that has none. `None` would make it the mark of a
/// group (RFC 9051 7.5.2); mail programs know this word from other servers.
pub const MISSING_DOMAIN: &[u8] = b"MISSING_DOMAIN";

/// An address as ENVELOPE shows it (RFC 9051 7.5.2, `address`).
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeAddress {
    /// Display name, quotes taken off, encoded words as they stand.
    pub name: Option<Vec<u8>>,
    /// Source route (RFC 5322 4.4 `obs-route`).
    pub adl: Option<Vec<u8>>,
    /// Local part; or, without host, the name of the group that begins; or `None`, where it ends.
    pub mailbox: Option<Vec<u8>>,
    /// Domain.
    pub host: Option<Vec<u8>>,
}

impl fmt::Debug for EnvelopeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeAddress").finish_non_exhaustive()
    }
}

/// An address for people to read.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// Decoded display name; empty if there is none.
    pub name: String,
    /// `local@domain`, or what stands in its place; not validated.
    pub address: String,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

impl EnvelopeAddress {
    /// For people; `None` for the marks of groups.
    pub fn to_mailbox(&self) -> Option<Mailbox> {
        let (local, host) = (self.mailbox.as_deref()?, self.host.as_deref()?);
        let local = to_text(local);
        Some(Mailbox {
            name: self.name.as_deref().map(decode_header).unwrap_or_default(),
            address: if host == MISSING_DOMAIN || host.is_empty() {
                local
            } else {
                format!("{}@{}", quoted_local_part(&local), to_text(host))
            },
        })
    }
}

/// The local part in quotes, if it needs them (RFC 5322 3.4.1).
fn quoted_local_part(local: &str) -> String {
    let special = |c: char| c.is_ascii_control() || " ()<>[]:;@\\,\"".contains(c);
    if !local.is_empty() && !local.contains(special) {
        return local.to_owned();
    }
    format!("\"{}\"", local.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Result of [`parse_addresses`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// In order.
    pub addresses: Vec<EnvelopeAddress>,
    /// Whether there were more than the limit.
    pub cut: bool,
}

/// Parses the raw value of an address field, at most `limit` addresses and group marks.
pub fn parse_addresses(value: &[u8], limit: usize) -> Addresses {
    let unfolded = unfold(value);
    let mut parser = Parser {
        octets: &unfolded,
        at: 0,
        in_group: false,
        out: Vec::new(),
    };
    while parser.out.len() < limit {
        if !parser.next() {
            // The mark that ends an open group may be one over the limit.
            parser.end_group();
            return Addresses {
                addresses: parser.out,
                cut: false,
            };
        }
    }
    parser.end_group();
    Addresses {
        addresses: parser.out,
        cut: true,
    }
}

/// The addresses of a field for people to read, at most `limit`; groups are taken apart.
pub fn parse_mailboxes(value: &[u8], limit: usize) -> Vec<Mailbox> {
    let parsed = parse_addresses(value, limit);
    parsed
        .addresses
        .iter()
        .filter_map(EnvelopeAddress::to_mailbox)
        .collect()
}

/// The message ids in a field, `<` and `>` taken off, at most `limit` (RFC 5322 3.6.4).
pub fn parse_message_ids(value: &[u8], limit: usize) -> Vec<String> {
    let text = to_text(&unfold(value));
    let mut ids = Vec::new();
    for piece in text.split('<').skip(1).take(limit) {
        let id = piece.split_once('>').map_or(piece, |(id, _)| id);
        let mut id = id.to_owned();
        id.retain(|c| !c.is_whitespace());
        if !id.is_empty() {
            ids.push(id);
        }
    }
    // Old programs write the id without brackets.
    let text = text.trim();
    if ids.is_empty() && !text.is_empty() && !text.contains(char::is_whitespace) {
        ids.push(text.to_owned());
    }
    ids
}

/// A word of a display name or local part.
struct Word {
    text: Vec<u8>,
    /// Whether white space or a comment stood before it.
    spaced: bool,
}

#[derive(Default)]
struct Collected {
    words: Vec<Word>,
    comment: Option<Vec<u8>>,
}

struct Parser<'a> {
    octets: &'a [u8],
    at: usize,
    in_group: bool,
    out: Vec<EnvelopeAddress>,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    fn bump(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    /// Reads up to the next separator; whether there was anything left.
    fn next(&mut self) -> bool {
        let mut collected = Collected::default();
        self.collect(&mut collected, b",;:<@");
        let Some(separator) = self.peek() else {
            let more = !collected.words.is_empty();
            self.push_bare(collected);
            return more;
        };
        self.bump();
        match separator {
            b'<' => self.angle(collected),
            b'@' => self.plain(collected),
            b':' => {
                self.end_group();
                self.in_group = true;
                let name = Some(phrase(&collected.words));
                self.out.push(EnvelopeAddress {
                    mailbox: name,
                    ..EnvelopeAddress::default()
                });
            }
            b';' => {
                self.push_bare(collected);
                self.end_group();
            }
            _ => self.push_bare(collected),
        }
        true
    }

    fn end_group(&mut self) {
        if core::mem::take(&mut self.in_group) {
            self.out.push(EnvelopeAddress::default());
        }
    }

    /// Collects words and comments up to one of `stops`.
    fn collect(&mut self, into: &mut Collected, stops: &[u8]) {
        let mut spaced = false;
        while let Some(octet) = self.peek() {
            if stops.contains(&octet) {
                return;
            }
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.bump();
                    spaced = true;
                }
                b'(' => {
                    into.comment = Some(self.comment());
                    spaced = true;
                }
                b'"' => {
                    let text = self.quoted();
                    into.words.push(Word { text, spaced });
                    spaced = false;
                }
                _ => {
                    let text = self.atom(stops).to_vec();
                    into.words.push(Word { text, spaced });
                    spaced = false;
                }
            }
        }
    }

    /// Octets up to white space, a quote, a comment or a stop; at least one.
    fn atom(&mut self, stops: &[u8]) -> &'a [u8] {
        let start = self.at;
        self.bump();
        while let Some(octet) = self.peek() {
            if b" \t\r\n(\"".contains(&octet) || stops.contains(&octet) {
                break;
            }
            self.bump();
        }
        self.octets.get(start..self.at).unwrap_or_default()
    }

    /// The content of a quoted string (RFC 5322 3.2.4).
    fn quoted(&mut self) -> Vec<u8> {
        self.bump();
        let mut out = Vec::new();
        while let Some(octet) = self.peek() {
            self.bump();
            match octet {
                b'"' => break,
                b'\\' => {
                    out.extend(self.peek());
                    self.bump();
                }
                _ => out.push(octet),
            }
        }
        out
    }

    /// The content of a comment; comments nest (RFC 5322 3.2.2).
    fn comment(&mut self) -> Vec<u8> {
        self.bump();
        let mut depth = 1_usize;
        let mut out = Vec::new();
        while let Some(octet) = self.peek() {
            self.bump();
            match octet {
                b'(' => depth = depth.saturating_add(1),
                b')' => depth = depth.saturating_sub(1),
                b'\\' => {
                    out.extend(self.peek());
                    self.bump();
                    continue;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
            out.push(octet);
        }
        out
    }

    /// `words <route:local@domain>`; the `<` is read.
    fn angle(&mut self, mut collected: Collected) {
        let mut address = EnvelopeAddress::default();
        if !collected.words.is_empty() {
            address.name = Some(phrase(&collected.words));
        }
        let mut inner = Collected::default();
        if self.peek() == Some(b'@') {
            self.collect(&mut inner, b":>");
            if self.peek() == Some(b':') {
                self.bump();
                address.adl = Some(joined(&inner.words));
                inner = Collected::default();
            }
        }
        self.collect(&mut inner, b"@>");
        let mut domain = Collected::default();
        if self.peek() == Some(b'@') {
            self.bump();
            self.collect(&mut domain, b">");
        }
        self.bump();
        address.host = Some(match joined(&domain.words) {
            host if host.is_empty() && !inner.words.is_empty() => MISSING_DOMAIN.to_vec(),
            host => host,
        });
        address.mailbox = Some(joined(&inner.words));
        // What follows up to the next separator is no part of an address.
        self.collect(&mut collected, b",;");
        if self.peek() == Some(b',') {
            self.bump();
        }
        address.name = address.name.or(collected.comment);
        self.out.push(address);
    }

    /// `local@domain`, perhaps with a comment as the name; the `@` is read.
    fn plain(&mut self, mut collected: Collected) {
        let words = core::mem::take(&mut collected.words);
        let split = local_part_start(&words);
        let (name, local) = words.split_at_checked(split).unwrap_or((&[], &[]));
        self.collect(&mut collected, b",;<");
        if self.peek() == Some(b'<') {
            // `a@b <c@d>`: the first is the name.
            let mut name = phrase(&words);
            name.push(b'@');
            name.extend_from_slice(&phrase(&collected.words));
            self.bump();
            let words = vec![Word {
                text: name,
                spaced: false,
            }];
            return self.angle(Collected {
                words,
                comment: collected.comment,
            });
        }
        if self.peek() == Some(b',') {
            self.bump();
        }
        let name = if name.is_empty() {
            collected.comment
        } else {
            Some(phrase(name))
        };
        let host = collected
            .words
            .get(..domain_end(&collected.words))
            .unwrap_or_default();
        let host = joined(host);
        let host = if host.is_empty() {
            MISSING_DOMAIN.to_vec()
        } else {
            host
        };
        let mailbox = Some(joined(local));
        self.out.push(EnvelopeAddress {
            name,
            adl: None,
            mailbox,
            host: Some(host),
        });
    }

    /// Words without a domain.
    fn push_bare(&mut self, collected: Collected) {
        if !collected.words.is_empty() {
            self.out.push(EnvelopeAddress {
                name: collected.comment,
                adl: None,
                mailbox: Some(phrase(&collected.words)),
                host: Some(MISSING_DOMAIN.to_vec()),
            });
        }
    }
}

/// Where the local part begins in `John Doe john . doe @`: words that touch a dot belong to it.
fn local_part_start(words: &[Word]) -> usize {
    let mut start = words.len().saturating_sub(1);
    while let Some((before, word)) = start
        .checked_sub(1)
        .and_then(|previous| Some((words.get(previous)?, words.get(start)?)))
    {
        if word.spaced && !word.text.starts_with(b".") && !before.text.ends_with(b".") {
            break;
        }
        start = start.saturating_sub(1);
    }
    start
}

/// Where the domain ends in `x . test junk`.
fn domain_end(words: &[Word]) -> usize {
    let pairs = words.iter().zip(words.iter().skip(1));
    let within = pairs.take_while(|(before, word)| {
        !word.spaced || word.text.starts_with(b".") || before.text.ends_with(b".")
    });
    within.count().saturating_add(1).min(words.len())
}

/// Words with one space where white space stood.
fn phrase(words: &[Word]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in words {
        if word.spaced && !out.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(&word.text);
    }
    out
}

/// Words without white space.
fn joined(words: &[Word]) -> Vec<u8> {
    words
        .iter()
        .flat_map(|word| word.text.iter().copied())
        .collect()
}

#[cfg(test)]
mod tests;
