//! What SORT, THREAD and SEARCH compare of a message, in one piece of memory of a few hundred
//! octets.
//!
//! ```text
//! sent (8)  when it says that it was sent, or the least number
//! day (8)   the day in its Date field, or the least number
//! ends      where each text ends (4 octets each), then the texts
//! ```
//!
//! Invariant: it follows from the message alone, so it can be kept ([`crate::imap::recall`]).
//! Rejected: keeping the parsed header; a mailbox of some thousand would be megaoctets of strings.

use std::sync::Arc;

use letterlock_core::account::{Account, MessageDocument};
use letterlock_core::casemap::casemap;
use letterlock_core::id::{MessageHash, Timestamp};
use letterlock_core::mime::header::fields;
use letterlock_core::mime::{EnvelopeAddress, decode_header};
use letterlock_core::store::Store;
use letterlock_core::threads::base_subject;

use super::lanes::load;
use super::search_text::sent_day;
use super::{Context, OpError};
use crate::imap::date::Date;
use crate::imap::recall::Recall;

/// Under this name it is kept.
const NAME: &[u8] = b"digest";
/// Messages that are looked at together.
const STEP: usize = 512;
/// Of them, documents that one processor has in memory at a time.
const DOCUMENTS: usize = 32;

/// A text of a digest; compared texts are mapped for i;unicode-casemap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// The decoded subject as it stands.
    Subject,
    /// The base subject (RFC 5256 2.1), mapped.
    Base,
    /// The first address of each: `addr-mailbox`, mapped.
    From,
    To,
    Cc,
    /// The first address as people see it (RFC 5957 3), mapped.
    DisplayFrom,
    DisplayTo,
    /// Without brackets; empty for none.
    MessageId,
    /// What it answers (RFC 5256 3), a line each.
    References,
    /// The fields `Message-ID` as SEARCH compares them, each with a line end.
    MessageIdFields,
}

const TEXTS: usize = 10;
const NUMBERS: usize = 16;
const HEAD: usize = NUMBERS + 4 * TEXTS;

/// What is compared of a message.
#[derive(Clone)]
pub(super) struct Digest(Arc<[u8]>);

impl Digest {
    /// That of a message.
    pub(super) fn of(message: &MessageDocument) -> Self {
        let structure = &message.structure;
        let (envelope, summary) = (&structure.envelope, &structure.summary);
        let text = |of: fn(&EnvelopeAddress) -> String, list: &[EnvelopeAddress]| {
            casemap(&list.first().map(of).unwrap_or_default())
        };
        let header = structure.root.header.of(&message.skeleton);
        let mut ids = String::new();
        for field in fields(header).filter(|field| field.name.eq_ignore_ascii_case(b"message-id")) {
            ids.push_str(&casemap(&decode_header(field.value)));
            ids.push('\n');
        }
        let named = if summary.references.is_empty() {
            summary.in_reply_to.get(..1).unwrap_or_default()
        } else {
            &summary.references
        };
        let texts: [String; TEXTS] = [
            summary.subject.clone(),
            casemap(&base_subject(&summary.subject).text),
            text(local_part, &envelope.from),
            text(local_part, &envelope.to),
            text(local_part, &envelope.cc),
            text(display, &envelope.from),
            text(display, &envelope.to),
            summary.message_id.clone().unwrap_or_default(),
            named.join("\n"),
            ids,
        ];
        let sent = summary.date.map_or(i64::MIN, Timestamp::as_secs);
        let day = sent_day(header).map_or(i64::MIN, Date::days);
        let mut octets = [sent.to_be_bytes(), day.to_be_bytes()].concat();
        let mut end = 0_u32;
        for text in &texts {
            end = end.saturating_add(u32::try_from(text.len()).unwrap_or(u32::MAX));
            octets.extend_from_slice(&end.to_be_bytes());
        }
        octets.extend_from_slice(texts.concat().as_bytes());
        Self(octets.into())
    }

    /// Keeps it for the next who asks.
    pub(super) fn keep(&self, recall: &Recall, message: MessageHash) {
        if let Some(kind) = recall.kind(NAME) {
            recall.keep(kind, message, &self.0);
        }
    }

    /// When it says that it was sent.
    pub(super) fn sent(&self) -> Option<Timestamp> {
        let secs = i64::from_be_bytes(*self.0.first_chunk()?);
        (secs > i64::MIN).then(|| Timestamp::from_secs(secs))
    }

    /// The day in its `Date:` field, as its author's calendar had it.
    pub(super) fn day(&self) -> Option<Date> {
        let days = i64::from_be_bytes(*self.0.get(8..)?.first_chunk()?);
        (days > i64::MIN).then(|| Date::from_days(days))
    }

    /// A text.
    pub(super) fn text(&self, text: Text) -> &str {
        let end = |nth: usize| -> Option<usize> {
            let at = nth.checked_mul(4)?.checked_add(NUMBERS)?;
            let end = u32::from_be_bytes(*self.0.get(at..)?.first_chunk()?);
            HEAD.checked_add(usize::try_from(end).ok()?)
        };
        let nth = text as usize;
        let from = nth.checked_sub(1).map_or(Some(HEAD), end);
        let octets = from
            .zip(end(nth))
            .and_then(|(from, to)| self.0.get(from..to));
        std::str::from_utf8(octets.unwrap_or_default()).unwrap_or_default()
    }
}

/// The digests of messages, in their order; `None` for one that is not on this device.
pub(super) async fn all<S: Store>(
    context: &Context<'_, S>,
    messages: &[MessageHash],
) -> Result<Vec<Option<Digest>>, OpError> {
    let kind = context.recall.kind(NAME);
    let mut digests = Vec::with_capacity(messages.len());
    for step in messages.chunks(STEP) {
        let mut kept = match kind {
            Some(kind) => context.recall.find(kind, step.iter().copied()),
            None => vec![None; step.len()],
        };
        let missing = kept.iter().zip(step).filter(|(kept, _)| kept.is_none());
        let missing: Vec<MessageHash> = missing.map(|(_, hash)| *hash).collect();
        let made = load(context.account, missing, |account, hashes| async move {
            made(&account, &hashes).await
        });
        let mut made = made.await?.into_iter();
        for (kept, hash) in kept.iter_mut().zip(step) {
            if kept.is_some() {
                continue;
            }
            *kept = made.next().flatten().map(|digest| digest.0);
            if let Some((kind, digest)) = kind.zip(kept.as_ref()) {
                context.recall.keep(kind, *hash, digest);
            }
        }
        digests.extend(kept.into_iter().map(|kept| kept.map(Digest)));
    }
    Ok(digests)
}

async fn made<S: Store>(
    account: &Account<S>,
    messages: &[MessageHash],
) -> Result<Vec<Option<Digest>>, OpError> {
    let mut digests = Vec::with_capacity(messages.len());
    for messages in messages.chunks(DOCUMENTS) {
        for message in account.messages(messages).await? {
            digests.push(message?.map(|message| Digest::of(&message)));
        }
    }
    Ok(digests)
}

/// `addr-mailbox`
fn local_part(address: &EnvelopeAddress) -> String {
    text_of(address.mailbox.as_deref())
}

/// RFC 5957 3.
fn display(address: &EnvelopeAddress) -> String {
    let name = address.name.as_deref().map(decode_header);
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        return name;
    }
    let mailbox = text_of(address.mailbox.as_deref());
    match &address.host {
        Some(host) if address.mailbox.is_some() => format!("{mailbox}@{}", text_of(Some(host))),
        _ => mailbox,
    }
}

fn text_of(octets: Option<&[u8]>) -> String {
    String::from_utf8_lossy(octets.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_shown_by_name_or_address() {
        // RFC 5957 3.
        let address = |name: Option<&str>, mailbox: Option<&str>, host: Option<&str>| {
            let octets = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
            display(&EnvelopeAddress {
                name: octets(name),
                adl: None,
                mailbox: octets(mailbox),
                host: octets(host),
            })
        };
        for (shown, expected) in [
            (
                address(Some("=?utf-8?q?Zo=C3=AB?="), Some("z"), Some("x")),
                "Zoë",
            ),
            (address(Some(""), Some("z"), Some("x")), "z@x"),
            (address(None, Some("z"), Some("x")), "z@x"),
            (address(None, Some("Friends"), None), "Friends"),
            (address(None, None, None), ""),
        ] {
            assert_eq!(shown, expected);
        }
    }
}
