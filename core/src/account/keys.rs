//! The account's own keys: made at sign-up, kept up by whichever device runs, published.
//!
//! Invariant: nothing is published whose secret key the provider does not have, sealed; a device
//! that has not heard of all keys yet makes none (its shell calls [`Account::maintain_keys`] when
//! the first sync has ended). What was published is remembered as long as the program runs, so
//! that a provider that was set back to a backup gets it again.

use super::{Account, KeyError};
use crate::id::{DocId, Timestamp};
use crate::keys::OwnKeys;
use crate::keys::own::{OwnKeyError, Use};
use crate::openpgp::secret_certificate::RevocationReason;
use crate::openpgp::{Certificate, Fingerprint, SecretCertificate};
use crate::replica::ReplicaError;
use crate::store::Store;

use zeroize::Zeroizing;

use std::sync::{Arc, PoisonError, RwLock};

/// Certificates on their way to the provider's directory.
#[derive(Debug, Clone)]
pub struct Publication {
    /// What the directory shall have; the keys that vouch for others before these.
    pub certificates: Vec<Certificate>,
    digest: [u8; 32],
}

/// The keys that were read, and the documents that they were read from.
#[derive(Default)]
pub(super) struct Kept {
    read: RwLock<(Vec<DocId>, Arc<OwnKeys>)>,
    published: RwLock<Option<[u8; 32]>>,
}

impl<S: Store> Account<S> {
    /// Makes the keys of a new account and lets them wait to be pushed; their certificates, the
    /// one for the world first. For sign-up: what waits then is to be handed over with the sign-up
    /// itself, so that no certificate is ever published whose key could be lost.
    pub async fn create_keys(&self, now: Timestamp) -> Result<Vec<Certificate>, KeyError> {
        let keys = self.with_rng(|rng| OwnKeys::generate(&self.address, now, rng))?;
        self.store_all(&keys, now).await?;
        Ok(keys.published(&self.address, now))
    }

    /// The account's keys, those for the world first, the newest first; [`KeyError::NotHere`]
    /// before the first sync has brought them.
    pub async fn own_keys(&self) -> Result<Arc<OwnKeys>, KeyError> {
        let documents = self.secret_key_ids().await?;
        {
            let kept = self.own.read.read().unwrap_or_else(PoisonError::into_inner);
            if !documents.is_empty() && kept.0 == documents {
                return Ok(kept.1.clone());
            }
        }
        let mut parsed = Vec::new();
        for document in self.secret_keys(&documents).await? {
            let secret = SecretCertificate::parse(&document.secret, None);
            parsed.push(secret.map_err(|_| KeyError::Damaged)?);
        }
        if parsed.is_empty() {
            return Err(KeyError::NotHere);
        }
        let keys = Arc::new(OwnKeys::gather(parsed));
        *self
            .own
            .read
            .write()
            .unwrap_or_else(PoisonError::into_inner) = (documents, keys.clone());
        Ok(keys)
    }

    /// Renews keys that will end, and makes the one that an older account lacks. Whether anything
    /// was done; it waits to be pushed then.
    pub async fn maintain_keys(&self, now: Timestamp) -> Result<bool, KeyError> {
        let keys = match self.own_keys().await {
            Err(KeyError::NotHere) => return Ok(false),
            other => other?,
        };
        let made = self.with_rng(|rng| keys.upkeep(&self.address, now, rng))?;
        self.store_all(&made, now).await?;
        Ok(!made.is_empty())
    }

    /// Revokes a key of the account; one that is in use has a successor first. What was made waits
    /// to be pushed, and the directory is told after that.
    pub async fn replace_key(
        &self,
        old: Fingerprint,
        why: (RevocationReason, &str),
        now: Timestamp,
    ) -> Result<(), KeyError> {
        let keys = self.own_keys().await?;
        let made = self.with_rng(|rng| keys.replace(old, why, &self.address, now, rng))?;
        Ok(self.store_all(&made, now).await?)
    }

    /// Takes the secret keys of an export into the account (gpg's, Thunderbird's, Proton's), which
    /// `passphrase` opens if they are locked; their fingerprints. What was made waits to be pushed.
    pub async fn import_keys(
        &self,
        export: &[u8],
        passphrase: &str,
        wanted: Use,
        now: Timestamp,
    ) -> Result<Vec<Fingerprint>, KeyError> {
        let brought = SecretCertificate::parse_export(export, &[passphrase]);
        let brought = brought.map_err(OwnKeyError::from)?;
        let keys = self.own_keys().await?;
        let made =
            self.with_rng(|rng| keys.import_all(&brought, wanted, &self.address, now, rng))?;
        self.store_all(&made, now).await?;
        Ok(brought.iter().map(SecretCertificate::fingerprint).collect())
    }

    /// The secret key with this fingerprint in ASCII armor, locked by `passphrase`.
    pub async fn export_key(
        &self,
        key: Fingerprint,
        passphrase: &str,
    ) -> Result<Zeroizing<String>, KeyError> {
        let keys = self.own_keys().await?;
        let found = keys.iter().find(|own| own.fingerprint() == key);
        let found = found.ok_or(OwnKeyError::NoSuchKey(key))?;
        let armored = self.with_rng(|rng| found.to_armor(Some(passphrase), rng));
        Ok(armored.map_err(OwnKeyError::from)?)
    }

    /// What the provider's directory is to be told; nothing while a key waits to be pushed, and
    /// when it was told.
    pub async fn to_publish(&self, now: Timestamp) -> Result<Option<Publication>, KeyError> {
        let keys = match self.own_keys().await {
            Err(KeyError::NotHere) => return Ok(None),
            other => other?,
        };
        if self.has_pending_key().await? {
            return Ok(None);
        }
        let certificates = keys.published(&self.address, now);
        let mut hasher = blake3::Hasher::new();
        for certificate in &certificates {
            hasher.update(certificate.as_bytes());
        }
        let digest = *hasher.finalize().as_bytes();
        let published = self.own.published.read();
        let published = *published.unwrap_or_else(PoisonError::into_inner);
        Ok((published != Some(digest)).then_some(Publication {
            certificates,
            digest,
        }))
    }

    /// The directory was told, or refuses for good what it was told.
    pub fn note_published(&self, publication: &Publication) {
        let published = self.own.published.write();
        *published.unwrap_or_else(PoisonError::into_inner) = Some(publication.digest);
    }

    async fn store_all(
        &self,
        keys: &[SecretCertificate],
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        for key in keys {
            self.store_key(&key.to_bytes(), now).await?;
        }
        Ok(())
    }
}
