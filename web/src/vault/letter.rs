//! Builds the message that the user wrote (RFC 5322): headers, and the text as quoted-printable.
//!
//! Every line is ASCII and at most 76 octets, so that what is signed survives every transport
//! (RFC 3156 3). Bcc recipients are in the envelope and nowhere else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use letterlock_core::id::{Address, OutboxId, Timestamp};
use letterlock_core::mime::address::parse_mailboxes;
use letterlock_core::mime::{Mailbox, format_date};

use crate::protocol::{Delivery, Draft, Recipient};

/// Most recipients of one message.
pub const MAX_RECIPIENTS: usize = 500;
/// Longest encoded word (RFC 2047 2), without `=?UTF-8?B?` and `?=`: 60 octets of base64.
const WORD_OCTETS: usize = 45;
/// Longest line of quoted-printable, without the soft break (RFC 2045 6.7 rule 5).
const LINE_OCTETS: usize = 75;

/// Why a draft is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// Nobody is named.
    #[error("Please say whom it is for.")]
    NoRecipient,
    /// Something in the fields is no address.
    #[error("“{0}” is no mail address.")]
    NoAddress(String),
    /// Too many people are named.
    #[error("A letter goes to at most {MAX_RECIPIENTS} people.")]
    TooMany,
}

/// What it answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thread {
    /// The answered message's id, without brackets.
    pub in_reply_to: Option<String>,
    /// The ids before it, oldest first.
    pub references: Vec<String>,
}

/// A message ready to be protected and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Who gets it: To, Cc and Bcc, each once.
    pub forward_paths: Vec<Address>,
    /// The message, CRLF line ends.
    pub message: Vec<u8>,
}

/// Builds the message. `unique` is random and names the message.
pub fn build(
    draft: &Draft,
    from: &Address,
    thread: &Thread,
    now: Timestamp,
    unique: [u8; 16],
) -> Result<Letter, DraftError> {
    let to = named(&draft.to)?;
    let cc = named(&draft.cc)?;
    let bcc = named(&draft.bcc)?;
    let mut forward_paths: Vec<Address> = Vec::new();
    for mailbox in to.iter().chain(&cc).chain(&bcc) {
        let address = address(mailbox)?;
        if !forward_paths
            .iter()
            .any(|known| known.canonical() == address.canonical())
        {
            forward_paths.push(address);
        }
    }
    if forward_paths.is_empty() {
        return Err(DraftError::NoRecipient);
    }
    if forward_paths.len() > MAX_RECIPIENTS {
        return Err(DraftError::TooMany);
    }
    let unique = OutboxId::new(unique);
    let mut out = String::new();
    let mut field = |name: &str, value: &str| {
        for piece in [name, ": ", value, "\r\n"] {
            out.push_str(piece);
        }
    };
    field("From", from.as_str());
    if !to.is_empty() {
        field("To", &written(&to));
    }
    if !cc.is_empty() {
        field("Cc", &written(&cc));
    }
    field("Subject", &unstructured(draft.subject.trim()));
    field("Date", &format_date(now));
    // The domain alone: the local part is nobody's business in a header that travels in clear.
    field("Message-ID", &format!("<{unique}@{}>", from.domain()));
    if let Some(id) = &thread.in_reply_to {
        field("In-Reply-To", &format!("<{}>", clean(id)));
        let ids = thread.references.iter().chain([id]);
        let ids: Vec<String> = ids.map(|id| format!("<{}>", clean(id))).collect();
        field("References", &ids.join("\r\n "));
    }
    field("MIME-Version", "1.0");
    field("Content-Type", "text/plain; charset=utf-8");
    field("Content-Transfer-Encoding", "quoted-printable");
    out.push_str("\r\n");
    out.push_str(&quoted_printable(&draft.body));
    Ok(Letter {
        forward_paths,
        message: out.into_bytes(),
    })
}

/// The people in a field's text, with what is no address marked; how each would be reached is
/// said by `delivery`.
pub fn recipients(text: &str, delivery: impl Fn(&Address) -> Delivery) -> Vec<Recipient> {
    let mut seen: Vec<Address> = Vec::new();
    let mut recipients = Vec::new();
    for mailbox in parse_mailboxes(text.as_bytes(), MAX_RECIPIENTS) {
        match address(&mailbox) {
            Ok(address) if seen.contains(&address.canonical()) => {}
            Ok(address) => {
                seen.push(address.canonical());
                let delivery = delivery(&address);
                recipients.push(Recipient {
                    address: address.as_str().to_owned(),
                    delivery,
                });
            }
            Err(_) => {
                let address = mailbox.address;
                recipients.push(Recipient {
                    address,
                    delivery: Delivery::Invalid,
                });
            }
        }
    }
    recipients
}

fn named(text: &str) -> Result<Vec<Mailbox>, DraftError> {
    let text = text.trim().trim_end_matches([',', ';']);
    let mailboxes = parse_mailboxes(text.as_bytes(), MAX_RECIPIENTS + 1);
    if mailboxes.is_empty() && !text.is_empty() {
        return Err(DraftError::NoAddress(text.to_owned()));
    }
    Ok(mailboxes)
}

fn address(mailbox: &Mailbox) -> Result<Address, DraftError> {
    let wrong = || DraftError::NoAddress(mailbox.address.clone());
    Address::new(&mailbox.address).map_err(|_| wrong())
}

fn written(mailboxes: &[Mailbox]) -> String {
    let one = |mailbox: &Mailbox| {
        let name = clean(&mailbox.name);
        let address = clean(&mailbox.address);
        if name.is_empty() {
            return address;
        }
        let atoms = |c: char| c.is_ascii_alphanumeric() || " !#$%&'*+-/=?^_`{|}~".contains(c);
        let name = if !name.is_ascii() {
            encoded_words(&name)
        } else if name.chars().all(atoms) {
            name
        } else {
            format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
        };
        format!("{name} <{address}>")
    };
    let all: Vec<String> = mailboxes.iter().map(one).collect();
    all.join(",\r\n ")
}

/// Line breaks and other control characters out, so that a value cannot become a field.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn unstructured(text: &str) -> String {
    let text = clean(text);
    // RFC 5322 2.1.1: 78 characters a line, of which "Subject: " takes nine.
    if text.is_ascii() && text.len() <= 69 && !text.contains("=?") {
        return text;
    }
    encoded_words(&text)
}

/// RFC 2047 2: base64 words, each of whole characters (section 5).
fn encoded_words(text: &str) -> String {
    let mut words: Vec<String> = vec![String::new()];
    for character in text.chars() {
        let full = words
            .last()
            .is_some_and(|w| w.len() + character.len_utf8() > WORD_OCTETS);
        if full {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(character);
        }
    }
    let words: Vec<String> = words
        .iter()
        .map(|word| format!("=?UTF-8?B?{}?=", STANDARD.encode(word)))
        .collect();
    words.join("\r\n ")
}

/// RFC 2045 6.7. `From ` and a lone dot at the start of a line are encoded too: both are changed
/// by some programs on the way, which would break a signature (RFC 3156 5).
fn quoted_printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    for line in text.trim_end_matches('\n').split('\n') {
        let octets = line.as_bytes();
        let mut width = 0;
        for (at, &octet) in octets.iter().enumerate() {
            let last = at + 1 == octets.len();
            let first = at == 0 && (line.starts_with("From ") || line.starts_with('.'));
            let plain = matches!(octet, b'!'..=b'<' | b'>'..=b'~') && !first
                || matches!(octet, b' ' | b'\t') && !last;
            let needed = if plain { 1 } else { 3 };
            if width + needed > LINE_OCTETS {
                out.push_str("=\r\n");
                width = 0;
            }
            if plain {
                out.push(char::from(octet));
            } else {
                push_hex(&mut out, octet);
            }
            width += needed;
        }
        out.push_str("\r\n");
    }
    out
}

fn push_hex(out: &mut String, octet: u8) {
    out.push('=');
    for digit in [octet >> 4, octet & 15] {
        out.extend(char::from_digit(u32::from(digit), 16).map(|digit| digit.to_ascii_uppercase()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use letterlock_core::mime::split;

    fn draft() -> Draft {
        Draft {
            to: "Bob <bob@letterlock.example>, \"Nováková, Š.\" <s@example.org>".to_owned(),
            cc: "carol@example.org,".to_owned(),
            bcc: "secret@example.org, BOB@letterlock.example".to_owned(),
            subject: "Příští schůzka\r\nBcc: evil@example.org".to_owned(),
            body: "Ahoj,\n.\nFrom here on: café  \nend".to_owned(),
            answers: None,
        }
    }

    fn built(draft: &Draft) -> Letter {
        let from = Address::new("alice@letterlock.example").unwrap();
        let thread = Thread {
            in_reply_to: Some("a@x".to_owned()),
            references: vec!["0@x".to_owned()],
        };
        build(
            draft,
            &from,
            &thread,
            Timestamp::from_secs(880_127_706),
            [7; 16],
        )
        .unwrap()
    }

    #[test]
    fn a_letter_reads_back() {
        let letter = built(&draft());
        let text = String::from_utf8(letter.message.clone()).unwrap();
        assert!(
            text.is_ascii() && text.lines().all(|line| line.len() <= 78),
            "{text}"
        );
        let message = split(&letter.message);
        let summary = &message.structure.summary;
        assert_eq!(summary.subject, "Příští schůzkaBcc: evil@example.org");
        assert_eq!(summary.to[1].name, "Nováková, Š.");
        assert_eq!(summary.in_reply_to, ["a@x"]);
        assert_eq!(summary.references, ["0@x", "a@x"]);
        assert!(
            message.structure.defects.is_empty(),
            "{:?}",
            message.structure.defects
        );
        let wire = message.leaves[0];
        let (body, defects) =
            letterlock_core::mime::text::decode_text(&message.structure.root, wire);
        assert_eq!(body, "Ahoj,\n.\nFrom here on: café  \nend\n");
        assert!(defects.is_empty());
        assert!(!text.contains("\r\n.\r\n") && !text.contains("\r\nFrom here"));
    }

    #[test]
    fn blind_copies_stay_blind_and_nobody_gets_it_twice() {
        let letter = built(&draft());
        let text = String::from_utf8(letter.message).unwrap();
        assert!(!text.contains("secret@"), "{text}");
        let paths: Vec<&str> = letter.forward_paths.iter().map(Address::as_str).collect();
        assert_eq!(
            paths,
            [
                "bob@letterlock.example",
                "s@example.org",
                "carol@example.org",
                "secret@example.org"
            ]
        );
    }

    #[test]
    fn what_is_no_address_is_named() {
        let from = Address::new("alice@letterlock.example").unwrap();
        let none = Draft::default();
        let now = Timestamp::from_secs(0);
        let result = build(&none, &from, &Thread::default(), now, [0; 16]);
        assert_eq!(result, Err(DraftError::NoRecipient));
        let wrong = Draft {
            to: "bob".to_owned(),
            ..Draft::default()
        };
        let result = build(&wrong, &from, &Thread::default(), now, [0; 16]);
        assert!(
            matches!(result, Err(DraftError::NoAddress(_))),
            "{result:?}"
        );
        let listed = recipients("bob, x@y.example", |_| Delivery::Clear);
        let kinds: Vec<Delivery> = listed.iter().map(|one| one.delivery).collect();
        assert_eq!(kinds, [Delivery::Invalid, Delivery::Clear]);
    }
}
