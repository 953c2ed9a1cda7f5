//! New messages: APPEND, COPY, MOVE (RFC 9051 6.3.12, 6.4.7, 6.4.8).

use super::change::Change;
use super::document::{
    CONTENT_OCTETS, Document, Leaf, Lww, MessageDocument, content_doc_id, message_doc_id,
};
use super::documents::{Base, Standing};
use super::page::{FlagStates, PlacementEntry};
use super::{Replica, ReplicaError};
use crate::id::{ContentHash, MailboxId, MessageHash, PlacementId, Timestamp, Uid, UidValidity};
use crate::mime;
use crate::model::{FlagSet, MAX_FLAGS_PER_MESSAGE};
use crate::openpgp::Protection;
use crate::seal::Collection;
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
        // Every message that is appended gets a place.
        appended.first().copied().ok_or(ReplicaError::NoSuchMailbox)
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
        change.keep_pages();
        let uid_validity = change.live_mailbox(mailbox)?.uid_validity;
        let mut appended = Vec::with_capacity(messages.len());
        for new in messages {
            let message = change
                .store_message(new.raw, Protection::NONE, None)
                .await?;
            let arrival = Arrival {
                id: change.new_placement().await?,
                mailbox,
                flags: new.flags.clone(),
                internal_date: new.internal_date,
            };
            let uid = change
                .arrive(arrival, message, new.raw.len() as u64)
                .await?;
            appended.push(Appended { uid_validity, uid });
        }
        change.put_checkpoint(checkpoint);
        change.commit().await?;
        Ok(appended)
    }

    /// The position that was last written under this name.
    pub async fn checkpoint(&self, name: &[u8]) -> Result<Option<Vec<u8>>, ReplicaError> {
        let row = self.store.get(Table::Meta, &checkpoint_key(name)).await?;
        Ok(row)
    }

    /// Copies messages; UIDs that are not there are passed over. [`ReplicaError::NotHere`], and
    /// nothing is copied, if one of them has not come to this device as a whole.
    pub async fn copy(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
        now: Timestamp,
    ) -> Result<Copied, ReplicaError> {
        let mut change = self.begin(now).await;
        change.keep_pages();
        let uid_validity = change.live_mailbox(to)?.uid_validity;
        let mut pairs = Vec::new();
        for uid in sorted(uids) {
            let Some(placed) = change.shown(from, uid) else {
                continue;
            };
            change.must_be_whole(placed.shown.message).await?;
            let arrival = Arrival {
                id: change.new_placement().await?,
                mailbox: to,
                flags: placed.shown.flags.to_set(),
                internal_date: placed.shown.internal_date,
            };
            let (message, size) = (placed.shown.message, placed.shown.size);
            pairs.push((uid, change.arrive(arrival, message, size).await?));
        }
        change.commit().await?;
        Ok(Copied {
            uid_validity,
            pairs,
        })
    }

    /// Moves messages; UIDs that are not there are passed over. From a virtual mailbox a message
    /// goes from everywhere where it is found: one placement moves, others are removed. If it is
    /// found where it is now, it has a new UID here, as if it had been copied and expunged.
    pub async fn move_messages(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
        now: Timestamp,
    ) -> Result<Copied, ReplicaError> {
        let mut change = self.begin(now).await;
        change.keep_pages();
        let uid_validity = change.live_mailbox(to)?.uid_validity;
        change.read_pages_of(from, uids).await?;
        let mut pairs = Vec::new();
        for uid in sorted(uids) {
            if let Some(new) = change.move_shown(from, uid, to).await? {
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
    /// Moves a message as a mailbox shows it.
    async fn move_shown(
        &mut self,
        from: MailboxId,
        uid: Uid,
        to: MailboxId,
    ) -> Result<Option<Uid>, ReplicaError> {
        let mut moved = None;
        self.let_return(from, uid);
        for (mailbox, uid) in self.behind(from, uid) {
            if moved.is_none() {
                moved = self.move_placement(mailbox, uid, to).await?;
            } else {
                self.delete_placement(mailbox, uid).await?;
            }
        }
        Ok(moved)
    }

    /// Stores a message's structure and those of its contents that the account does not have yet.
    /// A message that was accepted once may have grown since: only its documents are limited.
    pub(super) async fn store_message(
        &mut self,
        raw: &[u8],
        protection: Protection,
        received_as: Option<MessageHash>,
    ) -> Result<MessageHash, ReplicaError> {
        let hash = self.replica.keys.message_hash(raw);
        let split = mime::split(raw);
        let mut leaves = Vec::with_capacity(split.leaves.len());
        for leaf in &split.leaves {
            let mut pieces = Vec::new();
            for piece in leaf.chunks(CONTENT_OCTETS) {
                pieces.push(self.store_content(piece).await?);
            }
            leaves.push(Leaf { pieces });
        }
        let message = MessageDocument {
            hash,
            structure: split.structure,
            skeleton: split.skeleton,
            leaves,
            protection,
            received_as,
        };
        self.store_structure(message).await?;
        Ok(hash)
    }

    /// Stores a piece of a leaf, unless the account has it.
    pub(super) async fn store_content(
        &mut self,
        piece: &[u8],
    ) -> Result<ContentHash, ReplicaError> {
        let keys = &self.replica.keys;
        let content = keys.content_hash(piece);
        let id = content_doc_id(keys, content);
        let base = match self.standing(Collection::Contents, id).await? {
            Standing::Here(_) => return Ok(content),
            Standing::Absent => Base(None),
            Standing::Removed(base) => base,
        };
        self.write_over(id, &Document::Content(piece.to_vec()), base)?;
        Ok(content)
    }

    /// Stores a message whose contents are stored, unless the account has it.
    pub(super) async fn store_structure(
        &mut self,
        message: MessageDocument,
    ) -> Result<(), ReplicaError> {
        let id = message_doc_id(&self.replica.keys, message.hash);
        let base = match self.standing(Collection::Messages, id).await? {
            Standing::Here(_) => return Ok(()),
            Standing::Absent => Base(None),
            Standing::Removed(base) => base,
        };
        self.recount(None, Some(&message), self.now).await?;
        self.write_over(id, &Document::Message(Box::new(message)), base)?;
        Ok(())
    }

    /// Places a stored message.
    pub(super) async fn arrive(
        &mut self,
        arrival: Arrival,
        message: MessageHash,
        size: u64,
    ) -> Result<Uid, ReplicaError> {
        self.live_mailbox(arrival.mailbox)?;
        let stamp = self.stamp();
        let entry = PlacementEntry {
            message,
            mailbox: Lww::new(arrival.mailbox, stamp),
            save_date: Lww::new(self.now, stamp),
            internal_date: arrival.internal_date,
            size,
            flags: FlagStates::new(arrival.flags, stamp),
        };
        self.make_placement(arrival.id, entry).await
    }

    /// Writes the position that an import has reached.
    pub(super) fn put_checkpoint(&mut self, checkpoint: Option<Checkpoint>) {
        if let Some(Checkpoint { name, position }) = checkpoint {
            self.batch.put(Table::Meta, checkpoint_key(&name), position);
        }
    }
}

/// Rows of the Meta table that hold checkpoints.
pub(super) fn checkpoint_key(name: &[u8]) -> Vec<u8> {
    [b"checkpoint ", name].concat()
}

fn sorted(uids: &[Uid]) -> Vec<Uid> {
    let mut uids = uids.to_vec();
    uids.sort_unstable();
    uids.dedup();
    uids
}
