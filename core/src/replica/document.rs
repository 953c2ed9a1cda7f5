//! What is inside the sealed documents, and how two versions of one merge.
//!
//! A payload is an octet for the kind, an octet for the version of that kind, an octet that says
//! how the rest is coded (messages and contents are deflated where that is shorter), and the
//! value (postcard; a content is its octets as they are). A later version is refused with a clear
//! error. Placements share documents: see [`super::page`]. Merging is commutative, associative and idempotent: fields that change carry a
//! [`Stamp`] and the later one wins, flags do so one by one, deletion wins over everything, and
//! what never changes needs no merge. So any number of devices, in any order, end equal.
//!
//! Messages and contents never change, but they may be removed: then the last revision is a
//! removal, and a device that still refers to what was removed writes it again after it.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::id::{ContentHash, DocId, MailboxId, MailboxName, MessageHash, PageId, ReplicaId};
use crate::keys::Contact;
use crate::manifest::{SignedStatement, StatementError};
use crate::mime::Structure;
use crate::model::{AnnotationOwner, Role};
use crate::openpgp::Protection;
use crate::seal::{AccountKeys, Collection};
use crate::sync::wire::MAX_DOCUMENT_OCTETS;

use super::annotations::AnnotationsDocument;
use super::coding::{self, Decoder};
use super::directory::{DirectoryDocument, directory_doc_id};
use super::page::{self, PageDocument};

#[cfg(test)]
mod tests;

/// Most octets of a leaf in one content; a longer leaf is several contents. Sealed, such a
/// content fits into a request with others, and so much of a leaf is in memory at a time.
pub const CONTENT_OCTETS: usize = 1024 * 1024;

/// The version of every kind that this program writes, and the highest that it reads.
pub const DOCUMENT_VERSION: u8 = 1;

/// The kinds that this program knows.
const KINDS: &[u8] = b"kbgamcdslx";

/// When a field was written: hybrid logical time, then the replica as the tie-breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Milliseconds since the epoch, but never less than a stamp seen before.
    pub millis: i64,
    /// The replica that wrote it.
    pub replica: ReplicaId,
}

impl Stamp {
    /// Loses against every other.
    pub const OLDEST: Self = Self {
        millis: 0,
        replica: ReplicaId::new([0; 16]),
    };
}

/// A field whose last writer wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lww<T> {
    /// The value.
    pub value: T,
    /// When it was written.
    pub stamp: Stamp,
}

impl<T> Lww<T> {
    /// A field written now.
    pub const fn new(value: T, stamp: Stamp) -> Self {
        Self { value, stamp }
    }

    pub(super) fn merge(&mut self, other: Self) {
        if other.stamp > self.stamp {
            *self = other;
        }
    }
}

/// A mailbox, mergeable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxDocument {
    /// Its id.
    pub id: MailboxId,
    /// Its name.
    pub name: Lww<MailboxName>,
    /// What it is for.
    pub role: Option<Role>,
    /// Whether the user subscribed to it.
    pub subscribed: Lww<bool>,
    /// Deleted for good.
    pub deleted: bool,
}

impl MailboxDocument {
    fn merge(&mut self, other: Self) {
        self.name.merge(other.name);
        self.subscribed.merge(other.subscribed);
        self.role = self.role.or(other.role);
        self.deleted |= other.deleted;
    }
}

/// A message, immutable: everything but the octets of its leaves.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageDocument {
    /// Keyed hash of the message as it is served.
    pub hash: MessageHash,
    /// Its parts, where they stand, and what IMAP and the webmail show of it.
    pub structure: Structure,
    /// The octets between the leaves.
    #[serde(with = "serde_bytes")]
    pub skeleton: Vec<u8>,
    /// The leaves, in order.
    pub leaves: Vec<Leaf>,
    /// Whether it was encrypted and who signed it, as judged when it came.
    pub protection: Protection,
    /// The message as received, if what is served is another one.
    pub received_as: Option<MessageHash>,
}

/// Where the octets of a leaf are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// Its contents, in order: all but the last have [`CONTENT_OCTETS`], none is empty.
    pub pieces: Vec<ContentHash>,
}

impl MessageDocument {
    /// The contents that the message refers to, each once.
    pub fn contents(&self) -> BTreeSet<ContentHash> {
        let pieces = self.leaves.iter().flat_map(|leaf| &leaf.pieces);
        pieces.copied().collect()
    }
}

impl core::fmt::Debug for MessageDocument {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "MessageDocument({:?}, {} leaves)",
            self.hash,
            self.leaves.len()
        )
    }
}

/// An OpenPGP secret key of the account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct KeyDocument {
    /// Transferable secret key (RFC 9580 10.2), binary.
    #[serde(with = "serde_bytes")]
    pub secret: Vec<u8>,
}

/// What a sealed document may be.
#[derive(Clone, PartialEq)]
pub enum Document {
    /// A secret key.
    Key(KeyDocument),
    /// A mailbox.
    Mailbox(MailboxDocument),
    /// Messages in mailboxes.
    Page(PageDocument),
    /// What is noted of the account or of a mailbox.
    Annotations(AnnotationsDocument),
    /// A message.
    Message(Box<MessageDocument>),
    /// A leaf's octets.
    Content(Vec<u8>),
    /// A correspondent's certificate.
    Contact(Box<Contact>),
    /// What was seen of the provider's key directory.
    Directory(Box<DirectoryDocument>),
    /// What a device states of all documents but these.
    Statement(Box<SignedStatement>),
    /// A message or a content that nothing referred to any more.
    Removed(Removed),
}

/// What was removed: the revision that says so has no value of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Of which collection: messages or contents.
    pub collection: Collection,
    /// Which document.
    pub id: DocId,
}

/// Documents are content: `Debug` shows the kind alone.
impl core::fmt::Debug for Document {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key(…)",
            Self::Mailbox(_) => "Mailbox(…)",
            Self::Page(_) => "Page(…)",
            Self::Annotations(_) => "Annotations(…)",
            Self::Message(_) => "Message(…)",
            Self::Content(_) => "Content(…)",
            Self::Contact(_) => "Contact(…)",
            Self::Directory(_) => "Directory(…)",
            Self::Statement(_) => "Statement(…)",
            Self::Removed(_) => "Removed(…)",
        })
    }
}

/// Why a payload is no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// A kind or version that this program does not know.
    #[error("was written by a newer version of Letterlock: update this device")]
    Newer,
    /// Does not decode, or does not belong where it stands.
    #[error("is damaged")]
    Damaged,
    /// Longer than what is read again.
    #[error("is too long")]
    TooLong,
}

impl Document {
    /// The collection that it is part of.
    pub const fn collection(&self) -> Collection {
        match self {
            Self::Key(_) => Collection::Keys,
            Self::Mailbox(_) | Self::Page(_) | Self::Annotations(_) => Collection::Mail,
            Self::Message(_) => Collection::Messages,
            Self::Content(_) => Collection::Contents,
            Self::Contact(_) | Self::Directory(_) | Self::Statement(_) => Collection::Contacts,
            Self::Removed(removed) => removed.collection,
        }
    }

    /// Its blinded id.
    pub fn doc_id(&self, keys: &AccountKeys) -> DocId {
        match self {
            Self::Key(key) => key_doc_id(keys, &key.secret),
            Self::Mailbox(mailbox) => mailbox_doc_id(keys, mailbox.id),
            Self::Page(page) => page_doc_id(keys, page.id),
            Self::Annotations(noted) => annotations_doc_id(keys, noted.owner),
            Self::Message(message) => message_doc_id(keys, message.hash),
            Self::Content(octets) => content_doc_id(keys, keys.content_hash(octets)),
            Self::Contact(contact) => contact_doc_id(keys, contact),
            Self::Directory(_) => directory_doc_id(keys),
            Self::Statement(signed) => statement_doc_id(keys, signed.statement().device),
            Self::Removed(removed) => removed.id,
        }
    }

    /// The payload to seal; [`DocumentError::TooLong`] if it could not be read again.
    pub fn encode(&self) -> Result<Vec<u8>, DocumentError> {
        match self {
            Self::Key(value) => encode(b'k', &to_postcard(value)),
            Self::Mailbox(value) => encode(b'b', &to_postcard(value)),
            Self::Page(value) => encode(b'g', &page::encode(value)),
            Self::Annotations(value) => encode(b'a', &to_postcard(value)),
            Self::Contact(value) => encode(b'c', &to_postcard(value)),
            Self::Directory(value) => encode(b'd', &to_postcard(value)),
            Self::Statement(signed) => encode(b's', signed.octets()),
            Self::Message(value) => encode(b'm', &to_postcard(value)),
            Self::Content(octets) => encode(b'l', octets),
            Self::Removed(_) => encode(b'x', &[]),
        }
    }

    /// Reads the payload of the document `id` in `collection`.
    pub fn decode(
        collection: Collection,
        id: DocId,
        payload: &[u8],
    ) -> Result<Self, DocumentError> {
        Self::decode_with(&mut Decoder::default(), collection, id, payload)
    }

    /// The same, for whoever reads many.
    pub(super) fn decode_with(
        decoder: &mut Decoder,
        collection: Collection,
        id: DocId,
        payload: &[u8],
    ) -> Result<Self, DocumentError> {
        let (&[kind, version], rest) = payload
            .split_first_chunk::<2>()
            .ok_or(DocumentError::Damaged)?;
        if version != DOCUMENT_VERSION || !KINDS.contains(&kind) {
            return Err(DocumentError::Newer);
        }
        let value = decoder.decode(rest, limit(kind))?;
        let rest = &*value;
        match kind {
            b'k' => decode(rest).map(Self::Key),
            b'b' => decode(rest).map(Self::Mailbox),
            b'g' => page::decode(rest).map(Self::Page),
            b'a' => decode(rest).map(Self::Annotations),
            b'm' => decode(rest).map(|message| Self::Message(Box::new(message))),
            b'c' => decode(rest).map(|contact| Self::Contact(Box::new(contact))),
            b'd' => decode(rest).map(|seen| Self::Directory(Box::new(seen))),
            b's' => match SignedStatement::parse(rest) {
                Ok(signed) => Ok(Self::Statement(Box::new(signed))),
                Err(StatementError::Newer(_)) => Err(DocumentError::Newer),
                Err(StatementError::Malformed) => Err(DocumentError::Damaged),
            },
            b'l' => Ok(Self::Content(value.into_owned())),
            b'x' if rest.is_empty() && is_removable(collection) => {
                Ok(Self::Removed(Removed { collection, id }))
            }
            b'x' => Err(DocumentError::Damaged),
            _ => Err(DocumentError::Newer),
        }
    }

    /// The latest stamp in it.
    pub fn latest_stamp(&self) -> Stamp {
        match self {
            Self::Mailbox(mailbox) => mailbox.name.stamp.max(mailbox.subscribed.stamp),
            Self::Page(page) => page.latest_stamp(),
            Self::Annotations(noted) => noted.latest_stamp(),
            Self::Key(_)
            | Self::Message(_)
            | Self::Content(_)
            | Self::Contact(_)
            | Self::Directory(_)
            | Self::Statement(_)
            | Self::Removed(_) => Stamp::OLDEST,
        }
    }

    /// Takes in another version of the same document.
    pub fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Mailbox(ours), Self::Mailbox(theirs)) => ours.merge(theirs),
            (Self::Page(ours), Self::Page(theirs)) => ours.merge(theirs),
            (Self::Annotations(ours), Self::Annotations(theirs)) => ours.merge(theirs),
            (Self::Contact(ours), Self::Contact(theirs)) => ours.merge(&theirs),
            (Self::Directory(ours), Self::Directory(theirs)) => ours.merge(*theirs),
            // The others never change, and ids of two kinds never meet.
            _ => {}
        }
    }
}

/// Whether documents of this collection are removed when nothing refers to them.
pub(super) const fn is_removable(collection: Collection) -> bool {
    match collection {
        Collection::Messages | Collection::Contents => true,
        Collection::Keys | Collection::Mail | Collection::Contacts => false,
    }
}

fn key_doc_id(keys: &AccountKeys, secret: &[u8]) -> DocId {
    keys.doc_id(Collection::Keys, keys.content_hash(secret).as_bytes())
}

fn mailbox_doc_id(keys: &AccountKeys, id: MailboxId) -> DocId {
    keys.doc_id(Collection::Mail, &[b"mailbox", &id.as_bytes()[..]].concat())
}

/// Where a page's document is.
pub(super) fn page_doc_id(keys: &AccountKeys, id: PageId) -> DocId {
    keys.doc_id(Collection::Mail, &[b"page", &id.as_bytes()[..]].concat())
}

/// Where the annotations of the account or of a mailbox are.
pub(super) fn annotations_doc_id(keys: &AccountKeys, owner: AnnotationOwner) -> DocId {
    let about = match owner {
        AnnotationOwner::Account => b"annotations".to_vec(),
        AnnotationOwner::Mailbox(id) => [b"annotations", &id.as_bytes()[..]].concat(),
    };
    keys.doc_id(Collection::Mail, &about)
}

/// Where a message's document is.
pub fn message_doc_id(keys: &AccountKeys, hash: MessageHash) -> DocId {
    keys.doc_id(Collection::Messages, hash.as_bytes())
}

/// Where a leaf's document is.
pub fn content_doc_id(keys: &AccountKeys, hash: ContentHash) -> DocId {
    keys.doc_id(Collection::Contents, hash.as_bytes())
}

/// Where the statement of a device is.
pub(super) fn statement_doc_id(keys: &AccountKeys, device: ReplicaId) -> DocId {
    // No address is like this, as contacts are.
    keys.doc_id(
        Collection::Contacts,
        &[b"statement ", &device.as_bytes()[..]].concat(),
    )
}

fn contact_doc_id(keys: &AccountKeys, contact: &Contact) -> DocId {
    keys.doc_id(
        Collection::Contacts,
        contact.address.canonical().as_str().as_bytes(),
    )
}

/// Longest value of a kind.
const fn limit(kind: u8) -> usize {
    match kind {
        b'l' => CONTENT_OCTETS,
        _ => MAX_DOCUMENT_OCTETS,
    }
}

fn encode(kind: u8, value: &[u8]) -> Result<Vec<u8>, DocumentError> {
    if value.len() > limit(kind) {
        return Err(DocumentError::TooLong);
    }
    let mut payload = vec![kind, DOCUMENT_VERSION];
    match kind {
        b'm' => coding::lz4(&mut payload, value),
        b'l' => coding::shortest(&mut payload, value),
        _ => coding::plain(&mut payload, value),
    }
    Ok(payload)
}

fn to_postcard<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, Vec::new())
        .expect("writing to memory does not fail, and every length is known")
}

fn decode<T: DeserializeOwned>(octets: &[u8]) -> Result<T, DocumentError> {
    postcard::from_bytes(octets).map_err(|_| DocumentError::Damaged)
}
