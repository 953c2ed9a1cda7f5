//! What two people compare to know each other's keys, and that they have.

use super::{Account, KeyError};
use crate::id::{Address, Timestamp};
use crate::keys::own::Overview;
use crate::keys::verification::Identity;
use crate::keys::{Decision, Level, Offer, Role, keyring};
use crate::openpgp::Fingerprint;
use crate::store::Store;

/// What is compared with one correspondent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Us: one for each certificate that others know us by, since they may know any of them.
    pub ours: Vec<Identity>,
    /// Them, as known here.
    pub theirs: Identity,
    /// How well it is known so far.
    pub level: Level,
}

/// Why a contact's key was not marked as compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The account's keys or its store.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Nobody's certificate is known for this address.
    #[error("no certificate is known for this address")]
    Unknown,
    /// It is another one than was compared.
    #[error("the certificate that is known for this address is another one")]
    Differs,
}

impl<S: Store> Account<S> {
    /// What others compare of us: what is not revoked. Not those of version 6 that stand behind
    /// another of ours: they are believed by its word, and nobody knows us by them.
    pub async fn own_identities(&self, now: Timestamp) -> Result<Vec<Identity>, KeyError> {
        let keys = self.own_keys().await?;
        let keys = keys.overview(self.address(), now);
        let is_behind = |key: &Overview| key.role == Role::Sealing;
        let alone = keys.iter().all(is_behind);
        let shown = keys.iter().filter(|key| alone || !is_behind(key));
        let shown = shown.filter(|key| key.state.can_be_revoked());
        let identity = |key: &Overview| Identity {
            address: self.address().clone(),
            fingerprint: key.fingerprint,
        };
        Ok(shown.map(identity).collect())
    }

    /// What is compared with a correspondent; `None` if no certificate of theirs is known.
    pub async fn comparison(
        &self,
        address: &Address,
        now: Timestamp,
    ) -> Result<Option<Comparison>, KeyError> {
        let Some(contact) = self.contact(address).await? else {
            return Ok(None);
        };
        let Some(certificate) = contact.parse_certificate() else {
            return Ok(None);
        };
        Ok(Some(Comparison {
            ours: self.own_identities(now).await?,
            theirs: Identity {
                address: contact.address,
                fingerprint: certificate.fingerprint(),
            },
            level: contact.level,
        }))
    }

    /// The user has compared this fingerprint with its owner: from now on only a key that is
    /// compared as well, or that the old one signs, takes its place while it lives. The fingerprint
    /// is asked for, because the contact may have changed since it was shown.
    pub async fn mark_compared(
        &self,
        address: &Address,
        compared: &Fingerprint,
        now: Timestamp,
    ) -> Result<(), CompareError> {
        let contact = self.contact(address).await.map_err(KeyError::from)?;
        let contact = contact.ok_or(CompareError::Unknown)?;
        let certificate = contact.parse_certificate().ok_or(CompareError::Unknown)?;
        if certificate.fingerprint() != *compared {
            return Err(CompareError::Differs);
        }
        let offer = Offer {
            address: contact.address.clone(),
            certificate,
            level: Level::Fingerprint,
            seen_at: contact.last_seen,
            prefers_encryption: contact.prefers_encryption,
        };
        match keyring::consider(Some(&contact), &offer, now) {
            Decision::Store(compared) if *compared != contact => {
                let stored = self.store_contact(*compared, now).await;
                Ok(stored.map_err(KeyError::from)?)
            }
            Decision::Store(_) | Decision::Keep(_) => Ok(()),
        }
    }
}
