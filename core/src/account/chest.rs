//! The account's own keys without a replica: read from the provider and written there.
//!
//! For commands about keys, which work while a bridge has the account's store open, and on a
//! machine that has only the recovery phrase. A key's document never changes and its id is that of
//! its octets, so writing one needs no knowledge of what is there, and writing it twice changes
//! nothing.
//!
//! ```text
//! next_pull -> (the provider) -> take, until None;   add -> push_request -> (the provider)
//! ```

use rand::{CryptoRng, RngCore};
use serde_bytes::ByteBuf;

use super::KeyError;
use crate::id::{Generation, ReplicaId, Revision, Timestamp};
use crate::keys::OwnKeys;
use crate::openpgp::SecretCertificate;
use crate::replica::document::{Document, DocumentError, KeyDocument};
use crate::replica::state_once;
use crate::seal::{self, AccountKeys, Collection, OpenError, Place, SealError};
use crate::sync::wire::{Entry, PullRequest, PullResponse, PushRequest};

/// Why keys cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ChestError {
    /// A document does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A document does not read.
    #[error("a key {0}")]
    Document(#[from] DocumentError),
    /// A key is too long to be stored.
    #[error("a key {0}")]
    Seal(#[from] SealError),
    /// See there.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The keys of an account, as far as they have been read.
pub struct KeyChest {
    keys: AccountKeys,
    replica: ReplicaId,
    since: Option<Generation>,
    own: OwnKeys,
}

impl KeyChest {
    /// An empty one; documents that are added are written as by this device.
    pub fn new(keys: AccountKeys, replica: ReplicaId) -> Self {
        Self {
            keys,
            replica,
            since: Some(Generation::default()),
            own: OwnKeys::default(),
        }
    }

    /// The next pull; `None` when all has been read.
    pub fn next_pull(&self) -> Option<PullRequest> {
        self.since.map(|since| PullRequest {
            since,
            collections: vec![self.keys.collection_id(Collection::Keys)],
            rewritten: Vec::new(),
            wait_ms: 0,
        })
    }

    /// Takes its answer in.
    pub fn take(&mut self, response: PullResponse) -> Result<(), ChestError> {
        // An answer that brings nothing forward would be asked for for ever.
        let forward = self.since.is_some_and(|since| response.until > since);
        self.since = (response.more && forward).then_some(response.until);
        let mut parts = self.own.to_vec();
        for entry in response.entries {
            let Entry::Document { envelope } = entry else {
                continue;
            };
            let (header, payload) = seal::open(&self.keys, &envelope)?;
            if self.keys.collection(header.collection) != Some(Collection::Keys) {
                continue;
            }
            let document = Document::decode(Collection::Keys, header.document, &payload)?;
            // As for a replica: what stands under another's id was moved there.
            if document.doc_id(&self.keys) != header.document {
                return Err(DocumentError::Damaged.into());
            }
            if let Document::Key(key) = document {
                let secret = SecretCertificate::parse(&key.secret, None);
                parts.push(secret.map_err(|_| KeyError::Damaged)?);
            }
        }
        self.own = OwnKeys::gather(parts);
        Ok(())
    }

    /// The keys; [`KeyError::NotHere`] if there is none.
    pub fn own_keys(&self) -> Result<&OwnKeys, KeyError> {
        if self.own.is_empty() {
            return Err(KeyError::NotHere);
        }
        Ok(&self.own)
    }

    /// Adds keys, and gives what is to be pushed so that every device has them.
    pub fn add(
        &mut self,
        made: Vec<SecretCertificate>,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<PushRequest, ChestError> {
        let mut push = PushRequest::default();
        for key in &made {
            let document = Document::Key(KeyDocument {
                secret: key.to_bytes().to_vec(),
            });
            let place = Place {
                collection: Collection::Keys,
                document: document.doc_id(&self.keys),
                revision: Revision::ONE,
                previous: [0; 32],
                replica: self.replica,
            };
            let envelope = seal::seal(&self.keys, place, &document.encode()?, rng)?;
            push.documents.push(ByteBuf::from(envelope));
        }
        // The devices hold the provider to what was stored.
        let statement = state_once(&self.keys, &push.documents, now, rng)?;
        push.documents.push(ByteBuf::from(statement));
        self.own = OwnKeys::gather(self.own.iter().cloned().chain(made));
        Ok(push)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;
    use crate::id::{AccountId, Address};
    use crate::openpgp::secret_certificate::RevocationReason;
    use crate::openpgp::test_support::{NOW, rng};
    use crate::seal::RootKey;
    use crate::store::MemoryStore;

    fn keys() -> AccountKeys {
        AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::from_octets([1; 32]))
    }

    fn answer(documents: Vec<ByteBuf>) -> PullResponse {
        let entries = documents.into_iter();
        PullResponse {
            entries: entries
                .map(|envelope| Entry::Document { envelope })
                .collect(),
            until: Generation(5),
            more: false,
        }
    }

    #[tokio::test]
    async fn a_command_and_a_device_read_what_the_other_wrote() {
        let address = Address::new("alice@letterlock.example").unwrap();
        let store = MemoryStore::new();
        let account = Account::open(store, address.clone(), keys(), [3; 32], NOW);
        let account = account.await.unwrap();
        account.create_keys(NOW).await.unwrap();
        let pushed = account.pending_push().await.unwrap().unwrap();

        let mut chest = KeyChest::new(keys(), ReplicaId::new([7; 16]));
        assert!(matches!(chest.own_keys(), Err(KeyError::NotHere)));
        assert!(chest.next_pull().is_some());
        chest.take(answer(pushed.request.documents)).unwrap();
        assert_eq!(chest.next_pull(), None);
        let both = chest.own_keys().unwrap();
        assert_eq!(both.len(), 2);

        let later = Timestamp::from_secs(NOW.as_secs() + 60);
        let old = both[0].fingerprint();
        let why = (RevocationReason::Superseded, "");
        let made = both
            .replace(old, why, &address, later, &mut rng(1))
            .unwrap();
        let push = chest.add(made, later, &mut rng(2)).unwrap();
        account
            .pulled_entries(answer(push.documents), later)
            .await
            .unwrap();
        let heard = account.own_keys().await.unwrap();
        let all = |keys: &OwnKeys| {
            keys.iter()
                .map(SecretCertificate::to_bytes)
                .collect::<Vec<_>>()
        };
        assert_eq!(all(&heard), all(chest.own_keys().unwrap()));
        assert_eq!(heard.len(), 3);
    }

    #[test]
    fn what_was_moved_or_is_anothers_is_refused() {
        let mut chest = KeyChest::new(keys(), ReplicaId::new([7; 16]));
        let key = crate::openpgp::test_support::secret("alice");
        let push = chest.add(vec![key], NOW, &mut rng(1)).unwrap();
        let root = RootKey::from_octets([2; 32]);
        let other = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
        let mut other = KeyChest::new(other, ReplicaId::new([7; 16]));
        assert!(other.take(answer(push.documents)).is_err());
    }
}
