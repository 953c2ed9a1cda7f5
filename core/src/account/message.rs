//! One message of an account: its headers, parts and octets, and how it was protected.

use std::sync::Arc;

use super::Account;
use crate::id::{MailboxId, MessageHash, Uid};
use crate::mime::header::fields;
use crate::mime::text::{Attachment, body_to_show, decode_attachment, decode_text};
use crate::mime::{Part, SectionKind, Span, Structure, Summary, decode_header, html_to_text};
use crate::openpgp::Protection;
use crate::replica::{Message as Document, ReplicaError};
use crate::store::Store;
use crate::threads::ThreadId;

/// A header field.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderField {
    /// Its name, as it stands.
    pub name: String,
    /// Its value, unfolded and decoded (RFC 2047, RFC 6532).
    pub value: String,
}

/// Header fields are content: `Debug` shows the name alone.
impl core::fmt::Debug for HeaderField {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "HeaderField({}: …)", self.name)
    }
}

/// A message as it is served: opened, if it was encrypted. It never changes; where it is and
/// which flags it has there are [placements](Message::placements).
///
/// Its structure is at hand; octets are read when they are asked for, and only those.
///
/// # Examples
/// ```
/// # use letterlock_core::account::Account;
/// # use letterlock_core::id::{AccountId, Address, Timestamp};
/// # use letterlock_core::model::FlagSet;
/// # use letterlock_core::seal::{AccountKeys, RootKey};
/// # use letterlock_core::store::MemoryStore;
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = AccountKeys::derive(AccountId::new([7; 16]), 1, &RootKey::from_octets([7; 32]));
/// # let address = Address::new("alice@letterlock.example")?;
/// # let now = Timestamp::from_secs(1_800_000_000);
/// # let account = Account::open(MemoryStore::new(), address, keys, [7; 32], now).await?;
/// let raw = b"Message-ID: <1@example.org>\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\n\
///             Content-Type: text/html\r\n\r\n<p>At <b>nine</b>?</p>\r\n";
/// let inbox = account.inbox();
/// let placed = inbox.append(raw, FlagSet::new(), now, now).await?;
/// let message = inbox.message(placed.uid).await?.ok_or("it is there")?;
///
/// assert_eq!(message.summary().subject, "Café");
/// assert_eq!(message.header("subject").await?.as_deref(), Some("Café"));
/// assert_eq!(message.text().await?.trim(), "At nine?");
///
/// // Found again by what other messages call it.
/// let found = account.messages_with_id("1@example.org").await?;
/// assert_eq!(found[0].id(), message.id());
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
/// ```
pub struct Message<'a, S> {
    account: &'a Account<S>,
    document: Arc<Document>,
}

impl<S> Clone for Message<'_, S> {
    fn clone(&self) -> Self {
        Self {
            account: self.account,
            document: Arc::clone(&self.document),
        }
    }
}

impl<'a, S: Store> Message<'a, S> {
    pub(super) const fn new(account: &'a Account<S>, document: Arc<Document>) -> Self {
        Self { account, document }
    }

    /// What names it: a keyed hash of its octets. Equal octets are one message.
    pub fn id(&self) -> MessageHash {
        self.document.hash
    }

    /// What a list shows of it: subject, people, date, preview.
    pub fn summary(&self) -> &Summary {
        &self.document.structure.summary
    }

    /// Its parts, where they stand, its envelope, and what is wrong with it.
    pub fn structure(&self) -> &Structure {
        &self.document.structure
    }

    /// Whether it was encrypted and who signed it, as judged when it came.
    pub fn protection(&self) -> &Protection {
        &self.document.protection
    }

    /// The document under it, for the parts of the API that take one.
    pub fn document(&self) -> &Arc<Document> {
        &self.document
    }

    /// Where it is; empty if it was expunged everywhere and has not been collected yet.
    pub fn placements(&self) -> Vec<(MailboxId, Uid)> {
        self.account.placements_of(self.id())
    }

    /// The thread that it is in.
    pub async fn thread(&self) -> Result<Option<ThreadId>, ReplicaError> {
        self.account.thread_of(self.id()).await
    }

    /// The message as it was received, if what is served is another one: still encrypted, or
    /// with the fields that were removed.
    pub async fn received(&self) -> Result<Option<Message<'a, S>>, ReplicaError> {
        match self.document.received_as {
            Some(hash) => self.account.message_by_id(hash).await,
            None => Ok(None),
        }
    }

    /// Its header fields, in order.
    pub async fn headers(&self) -> Result<Vec<HeaderField>, ReplicaError> {
        let header = self.read(self.structure().root.header).await?;
        let named = fields(&header).filter(|field| !field.name.is_empty());
        Ok(named
            .map(|field| HeaderField {
                name: String::from_utf8_lossy(field.name).into_owned(),
                value: decode_header(field.value),
            })
            .collect())
    }

    /// The first header field of this name.
    pub async fn header(&self, name: &str) -> Result<Option<String>, ReplicaError> {
        let mut fields = self.headers().await?.into_iter();
        let found = fields.find(|field| field.name.eq_ignore_ascii_case(name));
        Ok(found.map(|field| field.value))
    }

    /// Its text as plain text; HTML is turned into text where there is nothing else.
    pub async fn text(&self) -> Result<String, ReplicaError> {
        let mut texts = Vec::new();
        for shown in body_to_show(self.structure()).text {
            let Some(part) = self.structure().part(&shown.path) else {
                continue;
            };
            let (text, _) = decode_text(part, &self.read(part.body).await?);
            texts.push(if shown.html {
                html_to_text(&text)
            } else {
                text
            });
        }
        Ok(texts.join("\n"))
    }

    /// Its text as HTML, as the sender wrote it: it must be made safe before it is shown. `None`
    /// if there is no HTML.
    pub async fn html(&self) -> Result<Option<String>, ReplicaError> {
        let mut found = None;
        for shown in body_to_show(self.structure()).html {
            if let Some(part) = self.structure().part(&shown.path)
                && shown.html
            {
                let (text, _) = decode_text(part, &self.read(part.body).await?);
                found.get_or_insert_with(String::new).push_str(&text);
            }
        }
        Ok(found)
    }

    /// What is attached to it, images within the text among it.
    pub fn attachments(&self) -> Vec<Attachment> {
        body_to_show(self.structure()).attachments
    }

    /// The octets of an attachment, transfer encoding decoded; of an attached message, its own.
    pub async fn attachment(&self, attachment: &Attachment) -> Result<Vec<u8>, ReplicaError> {
        let octets = self.read(attachment.span).await?;
        let part = self.part(&attachment.path);
        Ok(part.map_or_else(Vec::new, |part| decode_attachment(part, &octets)))
    }

    /// A part, by its numbers (RFC 9051 6.4.5.1).
    pub fn part(&self, path: &[u32]) -> Option<&Part> {
        self.structure().part(path)
    }

    /// Which octets a section has, as IMAP names it; `None` if there is no such section.
    pub fn section(&self, path: &[u32], kind: SectionKind) -> Option<Span> {
        self.structure().section(path, kind)
    }

    /// Octets of the message; only the leaves that they touch are read.
    pub async fn read(&self, span: Span) -> Result<Vec<u8>, ReplicaError> {
        self.account.replica.read(&self.document, span).await
    }

    /// The whole message, octet for octet.
    pub async fn raw(&self) -> Result<Vec<u8>, ReplicaError> {
        self.account.replica.raw(&self.document).await
    }
}

impl<S: Store> Account<S> {
    /// A message; `None` if it is not known here (yet).
    pub async fn message_by_id(
        &self,
        id: MessageHash,
    ) -> Result<Option<Message<'_, S>>, ReplicaError> {
        let document = self.replica.message(id).await?;
        Ok(document.map(|document| Message::new(self, document)))
    }

    /// The messages with this `Message-ID`, without brackets, that are in a mailbox. It may be
    /// several: a letter to two lists comes twice, and nothing keeps others from repeating an id.
    pub async fn messages_with_id(&self, id: &str) -> Result<Vec<Message<'_, S>>, ReplicaError> {
        let found = self.with_message_id(id).await?;
        self.placed(found).await
    }

    /// The messages of a thread that are in a mailbox, oldest first.
    pub async fn messages_of_thread(
        &self,
        thread: ThreadId,
    ) -> Result<Vec<Message<'_, S>>, ReplicaError> {
        let found = self.thread(thread).await?;
        self.placed(found).await
    }

    async fn placed(&self, found: Vec<MessageHash>) -> Result<Vec<Message<'_, S>>, ReplicaError> {
        let mut messages = Vec::new();
        for id in found {
            if !self.placements_of(id).is_empty() {
                messages.extend(self.message_by_id(id).await?);
            }
        }
        Ok(messages)
    }
}
