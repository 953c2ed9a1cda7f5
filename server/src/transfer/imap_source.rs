//! An IMAP server as a source (RFC 3501): every mailbox that can be selected, in order of UIDs.
//!
//! Mailboxes are opened with EXAMINE and read with BODY.PEEK, so the server's state stays as it
//! is. A message longer than [`MAX_IN_MEMORY_OCTETS`] comes in parts and goes through a file of
//! ours. Invariant: the password is sent over TLS or to this machine only, unless the person says
//! otherwise. Rejected: a client of our own; async-imap is kept up by a mail program that many
//! use, and what it does not bound (the size of an answer) is bounded by what is asked for.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use async_imap::Session;
use async_imap::error::Error as WireError;
use async_imap::types::{Flag as WireFlag, Name, NameAttribute};
use futures::{Stream, TryStreamExt as _};
use letterlock_core::id::Timestamp;
use letterlock_core::model::{Flag, Role};

use super::checkpoint::Step;
use super::imap_connect::{Access, Connection, greeted};
use super::maildir::decode_name;
use super::mbox::{FoundFlags, LineEnds, Quotes, Restore, keyword};
use super::message::{Large, MAX_HEAD_OCTETS, MAX_IN_MEMORY_OCTETS, Octets, Place, SourceMessage};
use super::notes::{Note, SkipReason, Skipped};
use super::source::{Item, Sender, Unit, UnitPlace};

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_mins(2);
/// Messages whose flags and sizes are asked for at a time.
const CHUNK_MESSAGES: usize = 200;
/// Octets of messages that are asked for at a time, unless one alone is longer.
const CHUNK_OCTETS: u64 = 4 * 1024 * 1024;
/// Octets of a long message that are asked for at a time.
const PART_OCTETS: u64 = 1024 * 1024;
/// Longest message that is fetched: longer ones are in no account.
const MAX_FETCHED_OCTETS: u64 = 4 * 1024 * 1024 * 1024;

/// Why a server cannot be read from.
#[derive(Debug, thiserror::Error)]
pub enum ImapError {
    /// It cannot be reached.
    #[error("{host}: {cause}")]
    Connect {
        /// The server.
        host: String,
        /// What the system says.
        cause: io::Error,
    },
    /// Its certificate does not prove who it is. The password was not sent.
    #[error("{host}: the server's certificate is not to be trusted: {reason}")]
    Untrusted {
        /// The server.
        host: String,
        /// Why.
        reason: &'static str,
    },
    /// A file of certificates cannot be used.
    #[error("{path} holds no usable certificate")]
    Certificates {
        /// The file.
        path: PathBuf,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// The name is no name of a server.
    #[error("{0} is no name that a certificate can have")]
    ServerName(String),
    /// The password would go over the network for all to read.
    #[error(
        "{0} offers no STARTTLS, so the password would be readable on its way: use imaps://, or \
         --allow-plaintext if you know that nobody listens"
    )]
    Plaintext(String),
    /// The server refused.
    #[error("the server says: {0}")]
    Refused(String),
    /// The connection ended.
    #[error("the connection to the server ended")]
    Lost,
    /// An answer is no IMAP.
    #[error("the server's answer cannot be understood")]
    Malformed,
    /// No answer.
    #[error("the server is silent")]
    Silent,
    /// A file of ours failed.
    #[error("a temporary file: {0}")]
    Temporary(io::Error),
    /// A mailbox without UIDVALIDITY.
    #[error("the server gives mailbox {0} no UIDVALIDITY, so an import could not be gone on with")]
    NoUidValidity(String),
}

/// The library's errors quote what could not be parsed, which is mail: it is left out.
impl From<WireError> for ImapError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::No(text) | WireError::Bad(text) => Self::Refused(text),
            WireError::ConnectionLost => Self::Lost,
            WireError::Io(error) if error.kind() != io::ErrorKind::Other => Self::Lost,
            _ => Self::Malformed,
        }
    }
}

type Wire = Session<Box<dyn Connection>>;

/// A server that is logged in to.
#[derive(Debug)]
pub struct ImapSource {
    session: Wire,
    /// The account, for identities of mailboxes.
    account: String,
    only: Option<String>,
}

#[derive(Debug, Default)]
struct Described {
    flags: FoundFlags,
    date: Option<Timestamp>,
    size: u64,
}

impl ImapSource {
    /// Connects and logs in.
    pub async fn connect(access: &Access, password: &str) -> Result<Self, ImapError> {
        let url = &access.url;
        let client = patiently(greeted(access)).await?;
        let login = client.login(&url.user, password);
        let session = patiently(async { login.await.map_err(|(error, _)| error.into()) }).await?;
        Ok(Self {
            session,
            account: format!("{}@{}:{}", url.user, url.host, url.port),
            only: url.mailbox.clone(),
        })
    }

    /// The mailboxes that can be selected; those that only show other mailboxes' messages are
    /// left out (RFC 6154 `\All`, `\Flagged`).
    pub async fn units(&mut self) -> Result<Vec<Unit>, ImapError> {
        let names: Vec<Name> = {
            let listed = self.session.list(Some(""), Some("*"));
            let listed = patiently(async { Ok(listed.await?) }).await?;
            collect(Box::pin(listed)).await?
        };
        let mut units = Vec::new();
        for name in names {
            let shown = decode_name(name.name());
            let attributes = name.attributes();
            let asked_for = self.only.as_ref().map(|only| *only == shown);
            if attributes.iter().any(cannot_be_selected)
                || asked_for == Some(false)
                || asked_for.is_none() && attributes.iter().any(is_virtual)
            {
                continue;
            }
            let levels = match name.delimiter().filter(|delimiter| !delimiter.is_empty()) {
                Some(delimiter) => shown.split(delimiter).map(str::to_owned).collect(),
                None => vec![shown.clone()],
            };
            let status = self.session.status(name.name(), "(MESSAGES)");
            let status = patiently(async { Ok(status.await?) }).await?;
            units.push(Unit {
                identity: format!("{}/{shown}", self.account).into_bytes(),
                shown,
                levels,
                alone: false,
                role: attributes.iter().find_map(role),
                octets: None,
                messages: Some(u64::from(status.exists)),
                place: UnitPlace::Imap(name.name().to_owned()),
            });
        }
        Ok(units)
    }

    /// Selects a mailbox for reading; its UIDVALIDITY.
    pub async fn examine(&mut self, name: &str) -> Result<u32, ImapError> {
        let selected = self.session.examine(name);
        let selected = patiently(async { Ok(selected.await?) }).await?;
        selected
            .uid_validity
            .ok_or_else(|| ImapError::NoUidValidity(decode_name(name)))
    }

    /// Reads the selected mailbox after a UID.
    pub async fn read(&mut self, after: u32, sender: &Sender) -> Result<(), ImapError> {
        let search = format!("UID {}:*", after.saturating_add(1));
        let found = self.session.uid_search(search);
        let found = patiently(async { Ok(found.await?) }).await?;
        // `n:*` has the last message even if it is before n (RFC 3501 6.4.8).
        let mut uids: Vec<u32> = found.into_iter().filter(|uid| *uid > after).collect();
        uids.sort_unstable();
        for chunk in uids.chunks(CHUNK_MESSAGES) {
            let described = self.describe(chunk).await?;
            let mut group = BTreeMap::new();
            let mut octets = 0_u64;
            for (uid, message) in described {
                if !group.is_empty() && octets.saturating_add(message.size) > CHUNK_OCTETS {
                    let group = std::mem::take(&mut group);
                    octets = 0;
                    if !self.fetch(group, sender).await? {
                        return Ok(());
                    }
                }
                octets = octets.saturating_add(message.size);
                group.insert(uid, message);
            }
            if !self.fetch(group, sender).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn describe(&mut self, uids: &[u32]) -> Result<BTreeMap<u32, Described>, ImapError> {
        let items = "(UID FLAGS INTERNALDATE RFC822.SIZE)";
        let answer = self.session.uid_fetch(set_of(uids.iter()), items);
        let mut answer = patiently(async { Ok(answer.await?) }).await?;
        let mut described = BTreeMap::new();
        while let Some(fetch) = next(&mut answer).await? {
            let (Some(uid), Some(size)) = (fetch.uid, fetch.size) else {
                // The server tells of a change of its own accord (RFC 3501 7).
                continue;
            };
            let mut flags = FoundFlags::default();
            fetch.flags().for_each(|flag| add_flag(&mut flags, &flag));
            let date = fetch.internal_date().map(|date| date.timestamp());
            let message = Described {
                flags,
                date: date.map(Timestamp::from_secs),
                size: u64::from(size),
            };
            described.insert(uid, message);
        }
        Ok(described)
    }

    /// Fetches messages and gives them on; false when nobody takes them.
    async fn fetch(
        &mut self,
        messages: BTreeMap<u32, Described>,
        sender: &Sender,
    ) -> Result<bool, ImapError> {
        let limit = u64::try_from(MAX_IN_MEMORY_OCTETS).unwrap_or(u64::MAX);
        let small = messages
            .iter()
            .filter(|(_, message)| message.size <= limit)
            .map(|(uid, _)| uid);
        let mut bodies = self.bodies(&set_of(small)).await?;
        for (uid, message) in messages {
            let octets = match bodies.remove(&uid) {
                Some(body) => Ok(Octets::Memory(body)),
                None if message.size > MAX_FETCHED_OCTETS => Err(SkipReason::TooLarge),
                None if message.size > limit => self.large(uid).await?.ok_or(SkipReason::NotGiven),
                None if message.size == 0 => Ok(Octets::Memory(Vec::new())),
                // Perhaps another of the group was what the server could not give.
                None => {
                    let mut alone = self.bodies(&uid.to_string()).await?;
                    let body = alone.remove(&uid).map(Octets::Memory);
                    body.ok_or(SkipReason::NotGiven)
                }
            };
            if sender.send(item(uid, message, octets)).await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn bodies(&mut self, set: &str) -> Result<BTreeMap<u32, Vec<u8>>, ImapError> {
        let mut bodies = BTreeMap::new();
        if set.is_empty() {
            return Ok(bodies);
        }
        let answer = self.session.uid_fetch(set, "(UID BODY.PEEK[])");
        let mut answer = patiently(async { Ok(answer.await?) }).await?;
        while let Some(fetch) = next(&mut answer).await? {
            if let (Some(uid), Some(body)) = (fetch.uid, fetch.body()) {
                bodies.insert(uid, body.to_vec());
            }
        }
        Ok(bodies)
    }

    /// Fetches a long message in parts into a file.
    async fn large(&mut self, uid: u32) -> Result<Option<Octets>, ImapError> {
        let mut file = tempfile::tempfile().map_err(ImapError::Temporary)?;
        let mut head = Vec::new();
        let mut length = 0_u64;
        loop {
            let items = format!("(UID BODY.PEEK[]<{length}.{PART_OCTETS}>)");
            let answer = self.session.uid_fetch(uid.to_string(), items);
            let mut answer = patiently(async { Ok(answer.await?) }).await?;
            let mut part = None;
            while let Some(fetch) = next(&mut answer).await? {
                if fetch.uid == Some(uid) {
                    part = fetch.body().map(<[u8]>::to_vec).or(part);
                }
            }
            let Some(part) = part else { return Ok(None) };
            file.write_all(&part).map_err(ImapError::Temporary)?;
            if head.is_empty() {
                head = part.get(..MAX_HEAD_OCTETS).unwrap_or(&part).to_vec();
            }
            let octets = u64::try_from(part.len()).unwrap_or(u64::MAX);
            length = length.saturating_add(octets);
            if octets < PART_OCTETS || length > MAX_FETCHED_OCTETS {
                break;
            }
        }
        Ok(Some(Octets::Large(Large {
            place: Place::Temporary(file),
            start: 0,
            end: length,
            restore: Restore::new(Quotes::None, LineEnds::Kept),
            length,
            head,
        })))
    }
}

fn item(uid: u32, message: Described, octets: Result<Octets, SkipReason>) -> Item {
    let mut notes = Vec::new();
    if message.flags.refused > 0 {
        notes.push(Note::RefusedKeywords);
    }
    if message.date.is_none() {
        notes.push(Note::NoDate);
    }
    let content = octets.map(|octets| SourceMessage {
        octets,
        flags: message.flags.flags,
        internal_date: message.date.unwrap_or(Timestamp::from_millis(0)),
    });
    Item {
        step: Some(Step::Uid(uid)),
        read: message.size,
        content: content.map_err(|reason| Skipped {
            place: format!("UID {uid}"),
            reason,
        }),
        notes,
    }
}

async fn patiently<T>(work: impl Future<Output = Result<T, ImapError>>) -> Result<T, ImapError> {
    let outcome = tokio::time::timeout(PATIENCE, work).await;
    outcome.unwrap_or(Err(ImapError::Silent))
}

async fn next<T>(
    answer: &mut (impl Stream<Item = Result<T, WireError>> + Unpin),
) -> Result<Option<T>, ImapError> {
    patiently(async { Ok(answer.try_next().await?) }).await
}

async fn collect<T>(
    mut answer: impl Stream<Item = Result<T, WireError>> + Unpin,
) -> Result<Vec<T>, ImapError> {
    let mut all = Vec::new();
    while let Some(one) = next(&mut answer).await? {
        all.push(one);
    }
    Ok(all)
}

fn set_of<'a>(uids: impl Iterator<Item = &'a u32>) -> String {
    uids.map(u32::to_string).collect::<Vec<_>>().join(",")
}

fn add_flag(found: &mut FoundFlags, flag: &WireFlag<'_>) {
    match flag {
        WireFlag::Seen => found.add(Some(Flag::Seen)),
        WireFlag::Answered => found.add(Some(Flag::Answered)),
        WireFlag::Flagged => found.add(Some(Flag::Flagged)),
        WireFlag::Deleted => found.add(Some(Flag::Deleted)),
        WireFlag::Draft => found.add(Some(Flag::Draft)),
        // Of a session, or of a mailbox.
        WireFlag::Recent | WireFlag::MayCreate => {}
        WireFlag::Custom(text) => found.add(keyword(text)),
    }
}

fn cannot_be_selected(attribute: &NameAttribute<'_>) -> bool {
    match attribute {
        NameAttribute::NoSelect => true,
        // RFC 9051 7.3.1.
        NameAttribute::Extension(name) => name.eq_ignore_ascii_case("\\NonExistent"),
        _ => false,
    }
}

const fn is_virtual(attribute: &NameAttribute<'_>) -> bool {
    matches!(attribute, NameAttribute::All | NameAttribute::Flagged)
}

const fn role(attribute: &NameAttribute<'_>) -> Option<Role> {
    match attribute {
        NameAttribute::Archive => Some(Role::Archive),
        NameAttribute::Drafts => Some(Role::Drafts),
        NameAttribute::Junk => Some(Role::Junk),
        NameAttribute::Sent => Some(Role::Sent),
        NameAttribute::Trash => Some(Role::Trash),
        _ => None,
    }
}
