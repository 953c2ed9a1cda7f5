//! Trying again when a key comes later: an old one that was imported, or another device's.
//!
//! What was encrypted to a key that was not here lies in its mailbox as it came. When the
//! account's keys are others than those that were tried, each such message is tried once more,
//! and what opens is placed anew, in one step with the expunge of the closed one.
//! Invariant: a message that was not closed for want of a key is not touched; the message as it
//! came is kept beside the opened one. Rejected: trying at each sync; reading every message of an
//! account to find none that opens.

use super::incoming::strip_below;
use super::{Account, Answers, KeyError, Placement};
use crate::id::{DocId, MailboxId, MessageHash, Timestamp};
use crate::mime::strip_status_fields;
use crate::openpgp::decrypt::Limits;
use crate::openpgp::pgp_mime::Opened;
use crate::openpgp::protection::Undecryptable;
use crate::openpgp::{Encryption, SecretCertificate, pgp_mime};
use crate::replica::ReplicaError;
use crate::store::Store;

/// Under which name it is written down which keys were tried.
const TRIED: &[u8] = b"letterlock keys tried on closed messages";

impl<S: Store> Account<S> {
    /// Opens what a key opens that has come since the last time; how many messages.
    pub async fn open_closed(&self, now: Timestamp) -> Result<usize, KeyError> {
        self.open_closed_lazily(now, &mut Vec::new()).await
    }

    /// The same; adds to `missing` the contents that would have to be fetched for it.
    pub async fn open_closed_lazily(
        &self,
        now: Timestamp,
        missing: &mut Vec<DocId>,
    ) -> Result<usize, KeyError> {
        let keys = match self.own_keys().await {
            Err(KeyError::NotHere) => return Ok(0),
            keys => keys?,
        };
        let mut known: Vec<Vec<u8>> = keys
            .iter()
            .map(|key| key.fingerprint().as_bytes().to_vec())
            .collect();
        known.sort_unstable();
        let known = known.concat();
        let tried = self.checkpoint(TRIED).await?;
        if tried.as_ref() == Some(&known) {
            return Ok(0);
        }
        let mut opened: usize = 0;
        let mut is_whole = true;
        // The first time there is nothing that could have come since.
        if tried.is_some() {
            for mailbox in self.mailboxes() {
                for placement in self.placements(mailbox.id) {
                    match Box::pin(self.try_again(mailbox.id, &placement, &keys, now)).await {
                        Ok(true) => opened = opened.saturating_add(1),
                        Ok(false) => {}
                        // Its content has not come to this device yet: another time.
                        Err(KeyError::Replica(ReplicaError::NotHere(_))) => {
                            is_whole = false;
                            missing.extend(self.missing_as_received(placement.message).await?);
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        if is_whole {
            self.set_checkpoint(TRIED, known, now).await?;
        }
        Ok(opened)
    }

    /// The contents of a message as it was received that are not on this device.
    pub(super) async fn missing_as_received(
        &self,
        message: MessageHash,
    ) -> Result<Vec<DocId>, ReplicaError> {
        let shown = self.message(message).await?;
        let Some(received_as) = shown.and_then(|shown| shown.received_as) else {
            return Ok(Vec::new());
        };
        match self.message(received_as).await? {
            Some(received) => self.missing_leaves(&received).await,
            None => Ok(Vec::new()),
        }
    }

    async fn try_again(
        &self,
        mailbox: MailboxId,
        placement: &Placement,
        keys: &[SecretCertificate],
        now: Timestamp,
    ) -> Result<bool, KeyError> {
        let no_key = Encryption::Undecryptable {
            reason: Undecryptable::NoKey,
        };
        let closed = match self.message(placement.message).await? {
            Some(message) if message.protection.encryption == no_key => message,
            _ => return Ok(false),
        };
        let Some(received_as) = closed.received_as else {
            return Ok(false);
        };
        let Some(opened) = self.read_anew(received_as, keys, now).await? else {
            return Ok(false);
        };
        if opened.protection.encryption == no_key {
            return Ok(false);
        }
        let rendered = strip_below(&opened);
        let form = (&*rendered, opened.protection.clone());
        let place = (mailbox, placement.uid);
        let replaced = self.replace_message(place, closed.hash, form, received_as, now);
        Ok(replaced.await?.is_some())
    }

    /// A message as it came, opened and judged by what is known now; `None` if it is gone.
    pub(super) async fn read_anew(
        &self,
        received_as: MessageHash,
        keys: &[SecretCertificate],
        now: Timestamp,
    ) -> Result<Option<Opened>, KeyError> {
        let Some(received) = self.message(received_as).await? else {
            return Ok(None);
        };
        let raw = self.raw(&received).await?;
        let stripped = strip_status_fields(&raw);
        let limits = Limits::default();
        let pending = pgp_mime::open_with(&stripped, keys, &limits, self.bulk()).await;
        let author = pending.from_address().cloned();
        let known = match &author {
            Some(author) => self.certificates_of(author, &Answers::new()).await?,
            None => None,
        };
        let certificates = known.unwrap_or_default();
        Ok(Some(pending.judge(&certificates, now)))
    }
}
