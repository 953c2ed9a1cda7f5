//! What a mail that is taken in tells of its author's key beside the key itself: that it lives, that
//! it was not there, or where it is.

use super::Account;
use crate::id::{Address, Timestamp};
use crate::keys::silence::{self, DAY_SECS};
use crate::keys::{Contact, openpgp_field};
use crate::openpgp::SignatureStatus;
use crate::replica::ReplicaError;
use crate::store::Store;

impl<S: Store> Account<S> {
    /// Notes where the author says that their certificate is. Of our own domain the provider's
    /// directory speaks.
    pub(super) async fn hear_of_pointer(
        &self,
        message_header: &[u8],
        author: &Address,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        match openpgp_field::read(message_header, author) {
            Some(pointer) if !self.is_at_home(author) => {
                self.note_pointer(author, pointer, now).await
            }
            _ => Ok(()),
        }
    }

    /// What is known of the author, `learnt` from this mail or before it, if the mail's signature
    /// changes it: it is by their key, which has been heard of so. Mail in which nothing was heard of
    /// it for too long is noted.
    pub(super) async fn hear_of_key(
        &self,
        learnt: Option<Contact>,
        author: Option<&Address>,
        signature: &SignatureStatus,
        sent_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Contact>, ReplicaError> {
        let Some(author) = author else {
            return Ok(learnt);
        };
        let known = match &learnt {
            Some(contact) => Some(contact.clone()),
            None => self.contact(author).await?,
        };
        let Some(mut known) = known else {
            return Ok(learnt);
        };
        if let SignatureStatus::Valid { fingerprint, .. } = signature {
            let certificate = known.parse_certificate();
            if certificate.is_some_and(|certificate| certificate.fingerprint() == *fingerprint) {
                let was_known = known.verified_from;
                known.verified_from = true;
                let has_news = is_news(known.last_seen, now);
                known.last_seen = known.last_seen.max(now);
                return Ok((!was_known || has_news).then_some(known).or(learnt));
            }
        }
        match sent_at {
            Some(at) if silence::is_stale(&known, at) => {
                self.note_silence(author, at, now).await?;
            }
            _ => {}
        }
        Ok(learnt)
    }

    /// Whether everybody is asked again before the contact's key is used.
    pub(super) async fn is_stale(&self, contact: &Contact) -> Result<bool, ReplicaError> {
        let silent_at = self.silent_at(&contact.address).await?;
        Ok(silent_at.is_some_and(|at| silence::is_stale(contact, at)))
    }
}

/// Whether it is worth writing down that a key was heard of at `now`, too.
pub(super) fn is_news(last_seen: Timestamp, now: Timestamp) -> bool {
    now.as_secs().saturating_sub(last_seen.as_secs()) >= DAY_SECS
}

/// Whether a contact says more than what is known: that it was seen again on the same day does not.
pub(super) fn says_more(known: Option<&Contact>, contact: &Contact) -> bool {
    known.is_none_or(|known| {
        let again = Contact {
            last_seen: known.last_seen,
            ..contact.clone()
        };
        again != *known || is_news(known.last_seen, contact.last_seen)
    })
}
