//! Messages that the MX sealed: they wait here until the account takes them in.

use serde::{Deserialize, Serialize};

use super::append::Arrival;
use super::document::Document;
use super::documents::PENDING_REMOVAL;
use super::pages::incoming_placement;
use super::{Replica, ReplicaError, decode_row, encode_row};
use crate::id::{Address, Generation, IncomingId, MailboxName, MessageHash, Timestamp};
use crate::keys::Contact;
use crate::model::FlagSet;
use crate::openpgp::{Issuer, Protection};
use crate::store::{KeyRange, Store, Table};

/// A message as the MX sealed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncomingMessage {
    /// Its id at the provider.
    pub id: IncomingId,
    /// Its place in the provider's log; mail is taken in by this order.
    pub generation: Generation,
    /// When the MX accepted it.
    pub received_at: Timestamp,
    /// Why it could not be opened when last tried; it stays at the provider until it can.
    pub problem: Option<String>,
    /// An OpenPGP message, binary.
    #[serde(with = "serde_bytes")]
    pub message: Vec<u8>,
}

/// What an incoming message became.
#[derive(Debug)]
pub(crate) struct Arrived<'a> {
    /// The message as mail programs get it.
    pub(crate) rendered: &'a [u8],
    /// The message as it was received, if that is another one.
    pub(crate) received: Option<&'a [u8]>,
    /// How it was protected.
    pub(crate) protection: Protection,
    /// What was learnt about the sender.
    pub(crate) contact: Option<Contact>,
    /// The author and the issuers of signatures whose certificate is not known.
    pub(crate) unjudged: Option<(Address, Vec<Issuer>)>,
}

impl<S: Store> Replica<S> {
    /// The incoming messages that wait, oldest first, at most `limit`.
    pub async fn incoming(&self, limit: usize) -> Result<Vec<IncomingMessage>, ReplicaError> {
        let rows = self
            .store
            .scan(Table::Incoming, KeyRange::all().limit(limit))
            .await?;
        rows.into_iter()
            .map(|(_, row)| decode_row(Table::Incoming, &row))
            .collect()
    }

    /// The first incoming message that waits behind this generation; with `None`, the first.
    pub async fn next_incoming(
        &self,
        after: Option<Generation>,
    ) -> Result<Option<IncomingMessage>, ReplicaError> {
        let mut range = KeyRange::all().limit(1);
        if let Some(after) = after {
            range.start = incoming_key(Generation(after.0.saturating_add(1)));
        }
        let rows = self.store.scan(Table::Incoming, range).await?;
        let row = rows.into_iter().next();
        row.map(|(_, row)| decode_row(Table::Incoming, &row))
            .transpose()
    }

    /// Stores what an incoming message became, places it in INBOX, forgets the sealed form here
    /// and lets its removal at the provider wait to be pushed: one atomic step.
    ///
    /// The placement's id follows from the incoming id; if another device was first, its
    /// placement stands and only the removal is left to do.
    pub(crate) async fn take_in(
        &self,
        incoming: &IncomingMessage,
        taken: Arrived<'_>,
        now: Timestamp,
    ) -> Result<Option<MessageHash>, ReplicaError> {
        let mut change = self.begin(now).await;
        change
            .batch
            .delete(Table::Incoming, incoming_key(incoming.generation));
        let removal = [&[PENDING_REMOVAL], &incoming.id.as_bytes()[..]].concat();
        change.batch.put(Table::Pending, removal, Vec::new());
        let id = incoming_placement(&self.keys, incoming.id, incoming.generation);
        if change.is_known(id).await? {
            change.commit().await?;
            return Ok(None);
        }
        if let Some(contact) = taken.contact {
            change.put_contact(&contact);
            change.write(&Document::Contact(Box::new(contact))).await?;
        }
        let received_as = match taken.received {
            Some(raw) => Some(change.store_message(raw, Protection::NONE, None).await?),
            None => None,
        };
        let message = change
            .store_message(taken.rendered, taken.protection, received_as)
            .await?;
        if let Some((author, issuers)) = &taken.unjudged {
            change.note_unjudged(author, issuers, message).await?;
        }
        let inbox = change
            .id_of(&MailboxName::inbox())
            .ok_or(ReplicaError::NoSuchMailbox)?;
        let internal_date = incoming.received_at;
        let arrival = Arrival {
            id,
            mailbox: inbox,
            flags: FlagSet::new(),
            internal_date,
        };
        change
            .arrive(arrival, message, taken.rendered.len() as u64)
            .await?;
        change.commit().await?;
        Ok(Some(message))
    }

    /// Remembers why an incoming message could not be opened.
    pub(crate) async fn note_problem(
        &self,
        mut incoming: IncomingMessage,
        problem: String,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        incoming.problem = Some(problem);
        let key = incoming_key(incoming.generation);
        change
            .batch
            .put(Table::Incoming, key, encode_row(&incoming));
        change.commit().await
    }
}

pub(super) fn incoming_key(generation: Generation) -> Vec<u8> {
    generation.0.to_be_bytes().to_vec()
}
