//! What this device, and the account's others, know of the provider's key directory.
//!
//! Two places. The *state* is this device's own row: what it verified last. The provider never
//! has it, so nobody can set it back or show another one. The *document* is sealed and synced: each
//! device writes there which head it verified, so that devices that were shown different ones find
//! out; which entries the account has published; and which alarms the user was told of. It merges
//! like all documents: of each device the longest log's head, of the rest the union.
//!
//! A user who takes a directory anew, after the provider has explained itself, begins an *epoch*: a
//! later one replaces all of an earlier one, on every device.
//! Invariant: state, document and the message that tells of an alarm change in one batch.
//! Rejected: the document alone; the provider keeps it, and could withhold its newest revision.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::append::Arrival;
use super::change::Change;
use super::document::Document;
use super::{Replica, ReplicaError, decode_row, encode_row};
use crate::id::{Address, DocId, MailboxName, ReplicaId, Timestamp};
use crate::keys::transparency::{Alarm, Follower, Hash, Value};
use crate::model::FlagSet;
use crate::openpgp::Protection;
use crate::seal::{AccountKeys, Collection};
use crate::store::{KeyRange, Store, Table};

/// The version of the rows that this program writes, and the only one that it reads.
pub const STATE_VERSION: u8 = 1;
/// Devices whose heads are kept.
pub const MAX_WITNESSES: usize = 32;
/// Own entries that are kept, the newest.
pub const MAX_PUBLISHED: usize = 64;
/// Alarms that are remembered as told.
pub const MAX_TOLD: usize = 64;
/// Heads of correspondents that wait to be compared.
pub const MAX_HEARD: usize = 16;

const STATE: &[u8] = b"directory";
const HEARD_PREFIX: &[u8] = b"directory heard ";

/// A head that a device has verified.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WitnessedHead {
    /// Changes in its log.
    pub size: u64,
    /// As it was signed.
    #[serde(with = "serde_bytes")]
    pub head: Vec<u8>,
}

/// What the account's devices tell each other of the directory, mergeable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryDocument {
    /// How often the directory was taken anew.
    pub epoch: u32,
    /// The longest log that each device was shown.
    pub heads: BTreeMap<ReplicaId, WitnessedHead>,
    /// Versions of the account's entry that its devices have made or found to be theirs, and the
    /// hash of their certificates.
    pub published: BTreeSet<(u64, Hash)>,
    /// Alarms that the user was told of.
    pub told: BTreeSet<Hash>,
}

impl DirectoryDocument {
    /// Takes in another version.
    pub fn merge(&mut self, other: Self) {
        if other.epoch > self.epoch {
            *self = other;
            return;
        }
        if other.epoch < self.epoch {
            return;
        }
        for (device, head) in other.heads {
            let ours = self.heads.entry(device).or_insert_with(|| head.clone());
            if head > *ours {
                *ours = head;
            }
        }
        self.published.extend(other.published);
        self.told.extend(other.told);
        self.limit();
    }

    /// Keeps what is greatest, so that the order of merging does not matter.
    fn limit(&mut self) {
        let mut order: Vec<_> = self
            .heads
            .iter()
            .map(|(id, head)| (head.size, *id))
            .collect();
        order.sort_unstable();
        let surplus = order.len().saturating_sub(MAX_WITNESSES);
        for (_, device) in order.iter().take(surplus) {
            self.heads.remove(device);
        }
        while self.published.len() > MAX_PUBLISHED {
            self.published.pop_first();
        }
        while self.told.len() > MAX_TOLD {
            self.told.pop_first();
        }
    }
}

/// What this device has verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryState {
    /// Of which epoch.
    pub epoch: u32,
    /// The directory; `None` before its first use.
    pub follower: Option<Follower>,
    /// The account's own entry.
    pub own: Option<Value>,
    /// Up to which size other devices' heads were compared.
    pub compared: BTreeMap<ReplicaId, u64>,
    /// When this device's head was last written into the document.
    pub witnessed_at: Option<Timestamp>,
    /// What the last check found to be false.
    pub alarm: Option<Alarm>,
}

/// A head that a correspondent was shown, as an encrypted mail told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardHead {
    /// Who.
    pub from: Address,
    /// As it was signed.
    #[serde(with = "serde_bytes")]
    pub head: Vec<u8>,
    /// Whether the mail's signature is by who is named: only then is a head of another key news.
    pub is_vouched_for: bool,
}

/// What is to be written, in one batch.
#[derive(Debug, Clone, Default)]
pub struct DirectoryUpdate {
    /// This device's state.
    pub state: Option<DirectoryState>,
    /// Heads of correspondents that are done with.
    pub settled: Vec<HeardHead>,
    /// This device's head.
    pub head: Option<WitnessedHead>,
    /// Entries of the account.
    pub published: Vec<Value>,
    /// An alarm, and the message that tells of it, unless it was told.
    pub alarm: Option<(Hash, Vec<u8>)>,
    /// The directory is taken anew: the document begins its next epoch.
    pub anew: bool,
}

/// Where the account's document about the directory is.
pub(super) fn directory_doc_id(keys: &AccountKeys) -> DocId {
    // No address is like this, as contacts are.
    keys.doc_id(Collection::Contacts, b"key directory")
}

impl<S: Store> Replica<S> {
    /// What this device has verified.
    pub async fn directory_state(&self) -> Result<DirectoryState, ReplicaError> {
        match self.store.get(Table::Meta, STATE).await? {
            Some(row) => decode_versioned(&row),
            None => Ok(DirectoryState::default()),
        }
    }

    /// What the account's devices tell each other.
    pub async fn directory_document(&self) -> Result<DirectoryDocument, ReplicaError> {
        let id = directory_doc_id(&self.keys);
        match self.document(Collection::Contacts, id).await? {
            Some(Document::Directory(document)) => Ok(*document),
            _ => Ok(DirectoryDocument::default()),
        }
    }

    /// Heads of correspondents that wait to be compared.
    pub async fn heard_heads(&self) -> Result<Vec<HeardHead>, ReplicaError> {
        let rows = KeyRange::prefix(HEARD_PREFIX).limit(MAX_HEARD);
        let rows = self.store.scan(Table::Meta, rows).await?;
        rows.iter().map(|(_, row)| decode_versioned(row)).collect()
    }

    /// Keeps a correspondent's head to be compared. If too many wait, it is dropped: the next mail
    /// brings another.
    pub(crate) async fn hear_of_head(
        &self,
        heard: &HeardHead,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let waiting = self.heard_heads().await?;
        if waiting.len() >= MAX_HEARD || waiting.contains(heard) {
            return Ok(());
        }
        let mut change = self.begin(now).await;
        change
            .batch
            .put(Table::Meta, heard_key(heard), encode_versioned(heard));
        change.commit().await
    }

    /// Writes what was found out. Whether the alarm, if there is one, was news.
    pub async fn update_directory(
        &self,
        update: DirectoryUpdate,
        now: Timestamp,
    ) -> Result<bool, ReplicaError> {
        let mut change = self.begin(now).await;
        if let Some(state) = &update.state {
            change
                .batch
                .put(Table::Meta, STATE, encode_versioned(state));
        }
        for heard in &update.settled {
            change.batch.delete(Table::Meta, heard_key(heard));
        }
        let before = self.directory_document().await?;
        let mut document = before.clone();
        if update.anew {
            document = DirectoryDocument {
                epoch: document.epoch.saturating_add(1),
                ..DirectoryDocument::default()
            };
        }
        if let Some(head) = update.head {
            document.heads.insert(self.id, head);
        }
        let published = update.published.iter();
        document
            .published
            .extend(published.map(|value| (value.version, value.set)));
        let mut news = false;
        if let Some((digest, message)) = &update.alarm
            && document.told.insert(*digest)
        {
            news = true;
            change.tell(message).await?;
        }
        document.limit();
        if document != before {
            change
                .write(&Document::Directory(Box::new(document)))
                .await?;
        }
        change.commit().await?;
        Ok(news)
    }
}

impl<S: Store> Change<'_, S> {
    /// Puts a message of this program's own into INBOX.
    async fn tell(&mut self, message: &[u8]) -> Result<(), ReplicaError> {
        let mailbox = self.id_of(&MailboxName::inbox());
        let mailbox = mailbox.ok_or(ReplicaError::NoSuchMailbox)?;
        let stored = self.store_message(message, Protection::NONE, None).await?;
        let arrival = Arrival {
            id: self.new_placement().await?,
            mailbox,
            flags: FlagSet::new(),
            internal_date: self.now,
        };
        let octets = u64::try_from(message.len()).unwrap_or(u64::MAX);
        self.arrive(arrival, stored, octets).await.map(drop)
    }
}

fn heard_key(heard: &HeardHead) -> Vec<u8> {
    let about = [heard.from.as_str().as_bytes(), &[0], &heard.head].concat();
    [HEARD_PREFIX, blake3::hash(&about).as_bytes()].concat()
}

pub(super) fn encode_versioned<T: Serialize>(value: &T) -> Vec<u8> {
    [vec![STATE_VERSION], encode_row(value)].concat()
}

pub(super) fn decode_versioned<T: serde::de::DeserializeOwned>(
    row: &[u8],
) -> Result<T, ReplicaError> {
    match row.split_first() {
        Some((&STATE_VERSION, row)) => decode_row(Table::Meta, row),
        Some(_) => Err(ReplicaError::NewerRow(Table::Meta.name())),
        None => Err(ReplicaError::Row(Table::Meta.name())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn documents() -> impl Strategy<Value = DirectoryDocument> {
        let heads = prop::collection::btree_map(0_u8..50, (0_u64..4, any::<u8>()), 0..50);
        let pairs = prop::collection::btree_set((0_u64..99, 0_u8..3), 0..80);
        let told = prop::collection::btree_set(any::<u8>(), 0..80);
        (0_u32..3, heads, pairs, told).prop_map(|(epoch, heads, pairs, told)| {
            let mut document = DirectoryDocument {
                epoch,
                heads: heads
                    .into_iter()
                    .map(|(device, (size, head))| {
                        let head = vec![head];
                        (ReplicaId::new([device; 16]), WitnessedHead { size, head })
                    })
                    .collect(),
                published: pairs
                    .into_iter()
                    .map(|(version, set)| (version, Hash([set; 32])))
                    .collect(),
                told: told.into_iter().map(|octet| Hash([octet; 32])).collect(),
            };
            document.limit();
            document
        })
    }

    fn merged(a: &DirectoryDocument, b: &DirectoryDocument) -> DirectoryDocument {
        let mut merged = a.clone();
        merged.merge(b.clone());
        merged
    }

    proptest! {
        #[test]
        fn documents_merge_as_a_semilattice(a in documents(), b in documents(), c in documents()) {
            prop_assert_eq!(merged(&a, &a), a.clone());
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        }
    }

    #[test]
    fn golden_document_and_a_newer_one_is_refused() {
        use super::super::document::DocumentError;
        let head = WitnessedHead {
            size: 3,
            head: vec![9, 9],
        };
        let document = DirectoryDocument {
            epoch: 1,
            heads: BTreeMap::from([(ReplicaId::new([7; 16]), head)]),
            published: BTreeSet::from([(2, Hash([5; 32]))]),
            told: BTreeSet::from([Hash([6; 32])]),
        };
        let payload = Document::Directory(Box::new(document.clone()))
            .encode()
            .unwrap();
        let expected = [
            &b"d\x01\x00\x01\x01"[..],
            &[7; 16],
            &[3, 2, 9, 9, 1, 2, 32],
            &[5; 32],
            &[1, 32],
            &[6; 32],
        ]
        .concat();
        assert_eq!(payload, expected);
        let id = DocId::new([0; 16]);
        let read = |payload: &[u8]| Document::decode(Collection::Contacts, id, payload);
        assert!(read(&payload) == Ok(Document::Directory(Box::new(document))));
        let mut newer = payload;
        newer[1] = 2;
        assert!(read(&newer) == Err(DocumentError::Newer));
    }

    #[test]
    fn golden_rows_and_a_newer_one_is_refused() {
        let heard = HeardHead {
            from: Address::new("b@x.example").unwrap(),
            head: vec![1, 2],
            is_vouched_for: true,
        };
        let row = encode_versioned(&heard);
        assert_eq!(row, b"\x01\x0bb@x.example\x02\x01\x02\x01");
        assert_eq!(decode_versioned::<HeardHead>(&row).unwrap(), heard);
        let state = encode_versioned(&DirectoryState::default());
        assert_eq!(state, [1, 0, 0, 0, 0, 0, 0]);
        let newer = [&[2], &row[1..]].concat();
        let error = decode_versioned::<HeardHead>(&newer).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
    }
}
