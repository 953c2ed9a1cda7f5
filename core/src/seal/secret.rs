//! The account's root key and what is derived from it.
//!
//! One random 32-octet root key per account and epoch; every other key is HKDF-SHA256 of it with
//! a label of its own. `derive_*` is deterministic, `generate_*` is random. Nothing here is
//! printed, serialised or logged, and all of it is erased on drop.
//!
//! ```text
//! first epoch          ids, hashes, the device's own store   for the account's whole life
//! each epoch           what seals documents, what signs      the newest in use, the others to read
//! ```
//!
//! A new epoch begins when a device is removed ([`crate::auth::devices`]); a device that hears of it
//! while it runs adds its keys here ([`AccountKeys::begin`]). Rejected: new ids with a new epoch;
//! every document would be another one, and equal contents would be stored twice.

use core::fmt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use hkdf::Hkdf;
use rand::{CryptoRng, RngCore};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::id::IncomingId;
use crate::id::{
    AccountId, CollectionId, ContentHash, DocId, EntryId, MailboxId, MessageHash, PageId,
    PlacementId,
};

const LABEL: &str = "letterlock/seal/1/";

/// The account root key: whoever has it reads everything. 32 random octets.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RootKey([u8; 32]);

impl RootKey {
    /// A new one.
    pub fn generate(rng: &mut (impl CryptoRng + RngCore)) -> Self {
        let mut octets = [0; 32];
        rng.fill_bytes(&mut octets);
        Self(octets)
    }

    /// From octets that were unwrapped.
    pub const fn from_octets(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// The octets, to be wrapped.
    pub const fn octets(&self) -> &[u8; 32] {
        &self.0
    }

    /// The seed of the key by which the account signs what it says of itself in this key's epoch
    /// ([`crate::auth::devices`]).
    pub(crate) fn signing_seed(&self) -> Zeroizing<[u8; 32]> {
        self.derive("signing")
    }

    fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, &self.0)
            .expand_multi_info(&[LABEL.as_bytes(), label.as_bytes()], &mut *key)
            .expect("32 octets are a valid length for HKDF-SHA256");
        key
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(…)")
    }
}

/// What a document is part of. Its blinded id is all that the provider sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collection {
    /// The account's own secret keys.
    Keys,
    /// Mailboxes and placements: small, mutable, wanted first.
    Mail,
    /// Structure of messages: immutable.
    Messages,
    /// Content of leaves: immutable, the bulk.
    Contents,
    /// Certificates of correspondents.
    Contacts,
}

impl Collection {
    /// All collections.
    pub const ALL: [Self; 5] = [
        Self::Keys,
        Self::Mail,
        Self::Messages,
        Self::Contents,
        Self::Contacts,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Mail => "mail",
            Self::Messages => "messages",
            Self::Contents => "contents",
            Self::Contacts => "contacts",
        }
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Keys => 0,
            Self::Mail => 1,
            Self::Messages => 2,
            Self::Contents => 3,
            Self::Contacts => 4,
        }
    }
}

/// The keys of one account, ready for use.
pub struct AccountKeys {
    account: AccountId,
    first: u32,
    blinding: Zeroizing<[u8; 32]>,
    hashing: Zeroizing<[u8; 32]>,
    store: Zeroizing<[u8; 32]>,
    collections: [CollectionId; 5],
    /// Never empty.
    epochs: RwLock<Vec<EpochKeys>>,
}

/// What an epoch has of its own.
struct EpochKeys {
    root: RootKey,
    collections: [Zeroizing<[u8; 32]>; 5],
}

impl EpochKeys {
    fn derive(root: RootKey) -> Self {
        let key =
            |collection: Collection| root.derive(&format!("collection/{}", collection.name()));
        Self {
            collections: Collection::ALL.map(key),
            root,
        }
    }
}

impl AccountKeys {
    /// Derives all keys of the account from the root key of its first epoch.
    pub fn derive(account: AccountId, epoch: u32, root: &RootKey) -> Self {
        let blinding = root.derive("blinding");
        let collections = Collection::ALL.map(|collection| {
            let name = collection.name();
            let id = blake3::keyed_hash(&blinding, format!("collection {name}").as_bytes());
            CollectionId::new(first_16(&id))
        });
        Self {
            account,
            first: epoch,
            blinding,
            hashing: root.derive("hashing"),
            store: root.derive("store"),
            collections,
            epochs: RwLock::new(vec![EpochKeys::derive(root.clone())]),
        }
    }

    /// Begins the next epoch with its root key: what is sealed and signed from here on is so under
    /// this. One that has begun already does not begin again.
    pub fn begin(&self, root: RootKey) {
        let mut epochs = self.epochs.write().unwrap_or_else(PoisonError::into_inner);
        if epochs.iter().all(|known| known.root.0 != root.0) {
            epochs.push(EpochKeys::derive(root));
        }
    }

    /// Whose keys these are.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// The first epoch.
    pub const fn first_epoch(&self) -> u32 {
        self.first
    }

    /// The newest epoch that is known here.
    pub fn epoch(&self) -> u32 {
        let later = self.epochs().len().saturating_sub(1);
        let later = u32::try_from(later).unwrap_or(u32::MAX);
        self.first.saturating_add(later)
    }

    /// The root keys of all epochs, the first one's first.
    pub fn roots(&self) -> Vec<RootKey> {
        self.epochs().iter().map(|one| one.root.clone()).collect()
    }

    /// The key under which a device keeps its own store: SQLCipher's raw key, or
    /// [`crate::store::SealedStore`]'s.
    pub fn store_key(&self) -> &[u8; 32] {
        &self.store
    }

    fn epochs(&self) -> RwLockReadGuard<'_, Vec<EpochKeys>> {
        self.epochs.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The blinded id of a collection.
    ///
    /// # Panics
    /// Never: there is an id for every collection.
    pub fn collection_id(&self, collection: Collection) -> CollectionId {
        *self
            .collections
            .get(collection.index())
            .expect("there is an id for every collection")
    }

    /// The collection with this blinded id; `None` for a foreign one.
    pub fn collection(&self, id: CollectionId) -> Option<Collection> {
        Collection::ALL
            .into_iter()
            .find(|collection| self.collection_id(*collection) == id)
    }

    /// The key that seals one document in an epoch; `None` if that is not known here.
    pub(super) fn document_key(
        &self,
        epoch: u32,
        collection: Collection,
        id: DocId,
    ) -> Option<Zeroizing<[u8; 32]>> {
        let at = usize::try_from(epoch.checked_sub(self.first)?).ok()?;
        let epochs = self.epochs();
        let key = epochs.get(at)?.collections.get(collection.index())?;
        Some(Zeroizing::new(
            *blake3::keyed_hash(key, id.as_bytes()).as_bytes(),
        ))
    }

    /// The blinded id of the document about `logical` in `collection`.
    pub fn doc_id(&self, collection: Collection, logical: &[u8]) -> DocId {
        let mut hasher = blake3::Hasher::new_keyed(&self.blinding);
        hasher
            .update(b"document ")
            .update(collection.name().as_bytes())
            .update(&[0]);
        DocId::new(first_16(&hasher.update(logical).finalize()))
    }

    /// Keyed hash of a whole message.
    pub fn message_hash(&self, raw: &[u8]) -> MessageHash {
        MessageHash::new(self.keyed(b"message\0", raw))
    }

    /// Keyed hash of a whole message whose octets come piece by piece.
    pub fn message_hasher(&self) -> MessageHasher {
        MessageHasher(self.hasher(b"message\0"))
    }

    /// Keyed hash of a content: a leaf, or a piece of one.
    pub fn content_hash(&self, leaf: &[u8]) -> ContentHash {
        ContentHash::new(self.keyed(b"content\0", leaf))
    }

    /// Keyed hash of what a document is at one revision, for the sums of [`crate::manifest`].
    pub(crate) fn revision_hash(
        &self,
        collection: Collection,
        id: DocId,
        revision: u64,
        envelope: &[u8],
    ) -> [u8; 32] {
        let mut hasher = self.hasher(b"revision\0");
        hasher
            .update(self.collection_id(collection).as_bytes())
            .update(id.as_bytes())
            .update(&revision.to_be_bytes())
            .update(envelope);
        *hasher.finalize().as_bytes()
    }

    /// Keyed hash of a `Message-ID` or a subject, for threads: short, because a collision does no
    /// more than show two threads as one.
    pub fn link_hash(&self, text: &str) -> u64 {
        u64::from_le_bytes(self.keyed_8(b"link\0", text.as_bytes()))
    }

    /// The id that a mailbox of this name gets when it is first created, the same on every
    /// device, so that two devices that create it apart have created one mailbox.
    pub fn mailbox_id(&self, name: &str) -> MailboxId {
        MailboxId::new(self.keyed_16(b"mailbox\0", name.as_bytes()))
    }

    /// The id of the placement that an incoming message becomes, the same on every device, so
    /// that two devices that take it in apart have placed it once. `page` is the number of the
    /// page for what was received about then; the entry follows from the incoming id alone.
    pub fn incoming_placement(&self, page: u64, id: IncomingId) -> PlacementId {
        let page = self.keyed_8(b"incoming page\0", &page.to_be_bytes());
        let entry = self.keyed_8(b"incoming\0", id.as_bytes());
        PlacementId::of(PageId::new(page), EntryId::new(entry))
    }

    fn hasher(&self, domain: &[u8]) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_keyed(&self.hashing);
        hasher.update(domain);
        hasher
    }

    fn keyed(&self, domain: &[u8], octets: &[u8]) -> [u8; 32] {
        let mut hasher = self.hasher(domain);
        *hasher.update(octets).finalize().as_bytes()
    }

    fn keyed_8(&self, domain: &[u8], octets: &[u8]) -> [u8; 8] {
        let hash = self.keyed(domain, octets);
        *hash.first_chunk::<8>().expect("32 > 8")
    }

    fn keyed_16(&self, domain: &[u8], octets: &[u8]) -> [u8; 16] {
        let mut short = [0; 16];
        short.copy_from_slice(
            self.keyed(domain, octets)
                .first_chunk::<16>()
                .expect("32 > 16"),
        );
        short
    }
}

/// Hashes a message piece by piece; see [`AccountKeys::message_hash`].
#[derive(Clone)]
pub struct MessageHasher(blake3::Hasher);

impl MessageHasher {
    /// Takes the next octets.
    pub fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    /// The hash of all octets so far.
    pub fn finish(&self) -> MessageHash {
        MessageHash::new(*self.0.finalize().as_bytes())
    }
}

impl fmt::Debug for MessageHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageHasher(…)")
    }
}

impl fmt::Debug for AccountKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKeys({}, epoch {})", self.account, self.epoch())
    }
}

fn first_16(hash: &blake3::Hash) -> [u8; 16] {
    *hash
        .as_bytes()
        .first_chunk::<16>()
        .expect("a hash has 32 octets")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_apart_and_stable() {
        let root = RootKey::from_octets([9; 32]);
        let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
        let again = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
        assert_eq!(keys.store_key(), again.store_key());
        let mut ids = Collection::ALL.map(|c| keys.collection_id(c)).to_vec();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), Collection::ALL.len());
        let id = DocId::new([1; 16]);
        assert_ne!(
            keys.document_key(1, Collection::Mail, id),
            keys.document_key(1, Collection::Messages, id)
        );
        assert_ne!(
            keys.doc_id(Collection::Mail, b"x"),
            keys.doc_id(Collection::Messages, b"x")
        );
        assert_eq!(format!("{root:?}"), "RootKey(…)");
    }

    #[test]
    fn a_new_epoch_seals_anew_and_keeps_ids() {
        let first = RootKey::from_octets([9; 32]);
        let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &first);
        let before = AccountKeys::derive(AccountId::new([1; 16]), 1, &first);
        keys.begin(RootKey::from_octets([8; 32]));
        assert_eq!((keys.first_epoch(), keys.epoch()), (1, 2));
        let (mail, id) = (Collection::Mail, DocId::new([1; 16]));
        let old = keys.document_key(1, mail, id);
        assert_eq!(old, before.document_key(1, mail, id));
        assert!(
            keys.document_key(2, mail, id)
                .is_some_and(|new| Some(new) != old)
        );
        assert_eq!(keys.document_key(3, mail, id), None);
        assert_eq!(keys.document_key(0, mail, id), None);
        assert_eq!(keys.store_key(), before.store_key());
        assert_eq!(keys.collection_id(mail), before.collection_id(mail));
        assert_eq!(keys.doc_id(mail, b"x"), before.doc_id(mail, b"x"));
        assert_eq!(keys.content_hash(b"x"), before.content_hash(b"x"));
        let roots = keys.roots();
        assert_eq!(roots.len(), 2);
        assert_ne!(roots[0].signing_seed(), roots[1].signing_seed());
    }

    #[test]
    fn a_message_in_pieces_has_the_hash_of_the_whole() {
        let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::from_octets([9; 32]));
        let mut hasher = keys.message_hasher();
        for piece in [&b"a mes"[..], b"", b"sage"] {
            hasher.update(piece);
        }
        assert_eq!(hasher.finish(), keys.message_hash(b"a message"));
        assert_ne!(hasher.finish(), keys.message_hash(b"a massage"));
    }

    #[test]
    fn another_root_key_gives_other_ids() {
        let keys = |octet| {
            AccountKeys::derive(
                AccountId::new([1; 16]),
                1,
                &RootKey::from_octets([octet; 32]),
            )
        };
        assert_ne!(keys(1).content_hash(b"x"), keys(2).content_hash(b"x"));
        assert_ne!(keys(1).mailbox_id("a"), keys(2).mailbox_id("a"));
    }
}
