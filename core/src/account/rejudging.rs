//! Judging again when a signer's certificate comes later: with another mail, or an answer to a
//! lookup, or from another device.
//!
//! What was signed by a key that nobody knew waits in a queue. Once its author's contact has the
//! key, it is judged anew and placed anew, in one step with the expunge of what was shown: the
//! status is part of the message, and a message under a UID never changes.
//! Invariant: only what is shown as signed by an unknown key is touched, and nobody is asked for it.
//! Rejected: reading every message of an account when a contact changes.

use super::incoming::strip_below;
use super::{Account, KeyError};
use crate::id::{DocId, Timestamp};
use crate::openpgp::{Certificate, SecretCertificate};
use crate::replica::{ReplicaError, Unjudged};
use crate::store::Store;

impl<S: Store> Account<S> {
    /// Judges what is signed by keys that have become known; how many messages have another status.
    pub async fn judge_again(&self, now: Timestamp) -> Result<usize, KeyError> {
        self.judge_again_lazily(now, &mut Vec::new()).await
    }

    /// The same; adds to `missing` the contents that would have to be fetched for it.
    pub async fn judge_again_lazily(
        &self,
        now: Timestamp,
        missing: &mut Vec<DocId>,
    ) -> Result<usize, KeyError> {
        let mut judged: usize = 0;
        let waiting = self.unjudged().await?;
        if waiting.is_empty() {
            return Ok(0);
        }
        let keys = match self.own_keys().await {
            Err(KeyError::NotHere) => return Ok(0),
            keys => keys?,
        };
        for message in waiting {
            if !self.knows_signer(&message).await? {
                continue;
            }
            match Box::pin(self.judge_one(&message, &keys, now)).await {
                Ok(changed) => {
                    judged = judged.saturating_add(usize::from(changed));
                    self.settle_unjudged(&message, now).await?;
                }
                // Its content has not come to this device yet: another time.
                Err(KeyError::Replica(ReplicaError::NotHere(_))) => {
                    missing.extend(self.missing_as_received(message.message).await?);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(judged)
    }

    async fn knows_signer(&self, message: &Unjudged) -> Result<bool, ReplicaError> {
        let Some(contact) = self.contact(&message.author).await? else {
            return Ok(false);
        };
        let has_one = |certificate: Certificate| {
            let mut issuers = message.issuers.iter();
            message.issuers.is_empty() || issuers.any(|issuer| certificate.has_key(issuer))
        };
        let known = [contact.parse_certificate(), contact.parse_companion()];
        Ok(known.into_iter().flatten().any(has_one))
    }

    async fn judge_one(
        &self,
        waiting: &Unjudged,
        keys: &[SecretCertificate],
        now: Timestamp,
    ) -> Result<bool, KeyError> {
        let mut places = Vec::new();
        self.each_place_of(&waiting.message, &mut |mailbox, entry| {
            places.push((mailbox, entry.uid()));
        });
        let shown = match self.message(waiting.message).await? {
            Some(message) if !places.is_empty() => message,
            _ => return Ok(false),
        };
        let received_as = shown
            .received_as
            .filter(|_| shown.protection.signature.is_by_unknown_key());
        let Some(received_as) = received_as else {
            return Ok(false);
        };
        let Some(opened) = self.read_anew(received_as, keys, now).await? else {
            return Ok(false);
        };
        if opened.protection.signature.is_by_unknown_key() {
            return Ok(false);
        }
        let rendered = strip_below(&opened);
        for place in places {
            let form = (&*rendered, opened.protection.clone());
            self.replace_message(place, shown.hash, form, received_as, now)
                .await?;
        }
        Ok(true)
    }
}
