//! New messages: APPEND, COPY, MOVE (RFC 9051 6.3.12, 6.4.7, 6.4.8).

use std::collections::BTreeMap;

use super::change::Change;
use super::document::{
    Document, Lww, MessageDocument, PlacementDocument, content_doc_id, message_doc_id,
};
use super::{Replica, ReplicaError};
use crate::id::{MailboxId, MessageHash, PlacementId, Timestamp, Uid, UidValidity};
use crate::mime;
use crate::model::{FlagSet, MAX_FLAGS_PER_MESSAGE};
use crate::openpgp::Protection;
use crate::store::{Store, Table};
use crate::sync::wire::MAX_MESSAGE_OCTETS;

/// Where an appended message is (RFC 4315 3, APPENDUID).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// UIDVALIDITY of the mailbox.
    pub uid_validity: UidValidity,
    /// The message's UID.
    pub uid: Uid,
}

/// Where copied or moved messages are (RFC 4315 3, COPYUID).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// UIDVALIDITY of the mailbox that they are in.
    pub uid_validity: UidValidity,
    /// Old and new UIDs, by ascending old UID.
    pub pairs: Vec<(Uid, Uid)>,
}

/// A message to append, and how.
#[derive(Debug, Clone)]
pub struct NewMessage<'a> {
    /// Its octets.
    pub raw: &'a [u8],
    /// Its flags and keywords.
    pub flags: FlagSet,
    /// Its INTERNALDATE (RFC 9051 2.3.3).
    pub internal_date: Timestamp,
}

/// A named position that is kept with the data and written in the same atomic step, so that an
/// import that was interrupted goes on where its messages end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose position it is.
    pub name: Vec<u8>,
    /// The position, in its owner's own form.
    pub position: Vec<u8>,
}

/// A message to place, and how.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) id: PlacementId,
    pub(super) mailbox: MailboxId,
    pub(super) flags: FlagSet,
    pub(super) internal_date: Timestamp,
}

impl<S: Store> Replica<S> {
    /// Stores a message at the end of a mailbox, durably. Broken messages are stored as they are.
    pub async fn append(
        &self,
        mailbox: MailboxId,
        raw: &[u8],
        flags: FlagSet,
        internal_date: Timestamp,
        now: Timestamp,
    ) -> Result<Appended, ReplicaError> {
        let message = NewMessage {
            raw,
            flags,
            internal_date,
        };
        let appended = self.append_all(mailbox, &[message], None, now).await?;
        Ok(*appended.first().expect("every message gets a place"))
    }

    /// Stores messages at the end of a mailbox, in order, and the position that was reached, all
    /// in one atomic and durable step. Contents that several of them have are stored once.
    pub async fn append_all(
        &self,
        mailbox: MailboxId,
        messages: &[NewMessage<'_>],
        checkpoint: Option<Checkpoint>,
        now: Timestamp,
    ) -> Result<Vec<Appended>, ReplicaError> {
        for message in messages {
            if message.flags.len() > MAX_FLAGS_PER_MESSAGE {
                return Err(ReplicaError::TooManyFlags);
            }
            if message.raw.len() > MAX_MESSAGE_OCTETS {
                return Err(ReplicaError::MessageTooLarge);
            }
        }
        let mut change = self.begin(now).await;
        let uid_validity = change.live_mailbox(mailbox)?.uid_validity;
        let mut appended = Vec::with_capacity(messages.len());
        for new in messages {
            let message = change
                .store_message(new.raw, Protection::NONE, None)
                .await?;
            let arrival = Arrival {
                id: PlacementId::new(change.random()),
                mailbox,
                flags: new.flags.clone(),
                internal_date: new.internal_date,
            };
            let uid = change.arrive(arrival, message, new.raw.len()).await?;
            appended.push(Appended { uid_validity, uid });
        }
        if let Some(Checkpoint { name, position }) = checkpoint {
            let key = checkpoint_key(&name);
            change.batch.put(Table::Meta, key, position);
        }
        change.commit().await?;
        Ok(appended)
    }

    /// The position that was last written under this name.
    pub async fn checkpoint(&self, name: &[u8]) -> Result<Option<Vec<u8>>, ReplicaError> {
        let row = self.store.get(Table::Meta, &checkpoint_key(name)).await?;
        Ok(row)
    }

    /// Copies messages; UIDs that are not there are passed over.
    pub async fn copy(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
        now: Timestamp,
    ) -> Result<Copied, ReplicaError> {
        let mut change = self.begin(now).await;
        let uid_validity = change.live_mailbox(to)?.uid_validity;
        let mut pairs = Vec::new();
        for uid in sorted(uids) {
            let Some(row) = change.placement(from, uid) else {
                continue;
            };
            let stamp = change.stamp();
            let document = PlacementDocument {
                id: PlacementId::new(change.random()),
                mailbox: Lww::new(to, stamp),
                save_date: Lww::new(now, stamp),
                ..row.document.clone()
            };
            change.write(&Document::Placement(document.clone())).await?;
            pairs.push((uid, change.place(document)?));
        }
        change.commit().await?;
        Ok(Copied {
            uid_validity,
            pairs,
        })
    }

    /// Moves messages; UIDs that are not there are passed over.
    pub async fn move_messages(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
        now: Timestamp,
    ) -> Result<Copied, ReplicaError> {
        let mut change = self.begin(now).await;
        let uid_validity = change.live_mailbox(to)?.uid_validity;
        let mut pairs = Vec::new();
        for uid in sorted(uids) {
            if let Some(new) = change.move_placement(from, uid, to).await? {
                pairs.push((uid, new));
            }
        }
        change.commit().await?;
        Ok(Copied {
            uid_validity,
            pairs,
        })
    }
}

impl<S: Store> Change<'_, S> {
    /// Stores a message's structure and those of its leaves that the account does not have yet.
    /// A message that was accepted once may have grown since: only its documents are limited.
    pub(super) async fn store_message(
        &mut self,
        raw: &[u8],
        protection: Protection,
        received_as: Option<MessageHash>,
    ) -> Result<MessageHash, ReplicaError> {
        let keys = &self.replica.keys;
        let hash = keys.message_hash(raw);
        let mime::Split {
            structure,
            skeleton,
            leaves,
        } = mime::split(raw);
        let hashes = leaves
            .iter()
            .map(|leaf| keys.content_hash(leaf))
            .collect::<Vec<_>>();
        for (leaf, content) in leaves.iter().zip(&hashes) {
            if self
                .envelope(content_doc_id(keys, *content))
                .await?
                .is_none()
            {
                self.write(&Document::Content(leaf.to_vec())).await?;
            }
        }
        if self.envelope(message_doc_id(keys, hash)).await?.is_none() {
            let leaves = hashes;
            let message = MessageDocument {
                hash,
                structure,
                skeleton,
                leaves,
                protection,
                received_as,
            };
            self.write(&Document::Message(Box::new(message))).await?;
        }
        Ok(hash)
    }

    /// Places a stored message.
    pub(super) async fn arrive(
        &mut self,
        arrival: Arrival,
        message: MessageHash,
        size: usize,
    ) -> Result<Uid, ReplicaError> {
        self.live_mailbox(arrival.mailbox)?;
        let stamp = self.stamp();
        let set = arrival
            .flags
            .into_iter()
            .map(|flag| (flag, Lww::new(true, stamp)));
        let document = PlacementDocument {
            id: arrival.id,
            message,
            mailbox: Lww::new(arrival.mailbox, stamp),
            flags: set.collect::<BTreeMap<_, _>>(),
            internal_date: arrival.internal_date,
            save_date: Lww::new(self.now, stamp),
            size: u64::try_from(size).unwrap_or(u64::MAX),
            deleted: false,
        };
        self.write(&Document::Placement(document.clone())).await?;
        self.place(document)
    }

    /// Moves one message: one small document.
    pub(super) async fn move_placement(
        &mut self,
        from: MailboxId,
        uid: Uid,
        to: MailboxId,
    ) -> Result<Option<Uid>, ReplicaError> {
        let Some(row) = self.placement(from, uid) else {
            return Ok(None);
        };
        let stamp = self.stamp();
        let mut document = row.document.clone();
        document.mailbox = Lww::new(to, stamp);
        document.save_date = Lww::new(self.now, stamp);
        self.write(&Document::Placement(document.clone())).await?;
        self.unplace(from, uid)?;
        self.place(document).map(Some)
    }
}

/// Rows of the Meta table that hold checkpoints.
fn checkpoint_key(name: &[u8]) -> Vec<u8> {
    [b"checkpoint ", name].concat()
}

fn sorted(uids: &[Uid]) -> Vec<Uid> {
    let mut uids = uids.to_vec();
    uids.sort_unstable();
    uids.dedup();
    uids
}
