//! A store that seals every value before it reaches another store.
//!
//! For a place that does not encrypt by itself (IndexedDB). Keys stay as they are: blinded ids
//! and counters. A value is bound to its table and key, so that values cannot be swapped.
//! Expectations compare values, and a sealed value is never the same twice; so the value of a
//! row that is expected is kept deterministic: its nonce is a keyed hash of table, key and value
//! (a synthetic IV, as RFC 8452 has it; 24 octets are long enough for that).
//!
//! The values of [`Table::Documents`] and [`Table::Contents`] are kept as they are: they are
//! sealed documents already, and whoever opens one proves its id. Sealing the bulk of an account
//! twice would cost the time again and gain nothing.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::{Batch, Key, KeyRange, Op, Store, StoreError, Table};

const NONCE_LEN: usize = 24;

/// Seals values with XChaCha20-Poly1305 under one key of the account.
pub struct SealedStore<S> {
    inner: S,
    cipher: XChaCha20Poly1305,
    nonce_key: Zeroizing<[u8; 32]>,
}

impl<S> SealedStore<S> {
    /// Wraps `inner`; `key` is derived from the account's root key for this purpose alone.
    pub fn new(inner: S, key: &[u8; 32]) -> Self {
        let cipher = XChaCha20Poly1305::new(key.into());
        let nonce_key = blake3::derive_key("letterlock/seal/1/store nonce", key);
        Self {
            inner,
            cipher,
            nonce_key: Zeroizing::new(nonce_key),
        }
    }

    fn seal(&self, table: Table, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreError> {
        debug_assert!(!holds_sealed_documents(table), "sealed once is enough");
        let bound = associated_data(table, key);
        let mut hasher = blake3::Hasher::new_keyed(&self.nonce_key);
        hasher.update(&bound).update(value);
        let mut nonce = [0; NONCE_LEN];
        hasher.finalize_xof().fill(&mut nonce);
        let payload = Payload {
            msg: value,
            aad: &bound,
        };
        let sealed = self
            .cipher
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| damaged(table, "value too long to seal"))?;
        Ok([&nonce[..], &sealed].concat())
    }

    fn open(&self, table: Table, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let (nonce, ciphertext) = sealed
            .split_at_checked(NONCE_LEN)
            .ok_or_else(|| damaged(table, "value too short"))?;
        let bound = associated_data(table, key);
        self.cipher
            .decrypt(
                XNonce::from_slice(nonce),
                Payload {
                    msg: ciphertext,
                    aad: &bound,
                },
            )
            .map_err(|_| damaged(table, "a value does not open with this account's key"))
    }
}

impl<S: Store> Store for SealedStore<S> {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = self.inner.get(table, key).await?;
        if holds_sealed_documents(table) {
            return Ok(sealed);
        }
        sealed
            .map(|sealed| self.open(table, key, &sealed))
            .transpose()
    }

    async fn get_many(
        &self,
        table: Table,
        keys: Vec<Key>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let sealed = self.inner.get_many(table, keys.clone()).await?;
        if holds_sealed_documents(table) {
            return Ok(sealed);
        }
        let rows = keys.iter().zip(sealed);
        rows.map(|(key, sealed)| {
            sealed
                .map(|sealed| self.open(table, key, &sealed))
                .transpose()
        })
        .collect()
    }

    async fn scan(&self, table: Table, range: KeyRange) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        let rows = self.inner.scan(table, range).await?;
        if holds_sealed_documents(table) {
            return Ok(rows);
        }
        rows.into_iter()
            .map(|(key, sealed)| self.open(table, &key, &sealed).map(|value| (key, value)))
            .collect()
    }

    async fn commit(&self, mut batch: Batch) -> Result<(), StoreError> {
        for expected in &mut batch.expect {
            if let Some(value) = &mut expected.value
                && !holds_sealed_documents(expected.table)
            {
                *value = self.seal(expected.table, &expected.key, value)?;
            }
        }
        for op in &mut batch.ops {
            if let Op::Put(table, key, value) = op
                && !holds_sealed_documents(*table)
            {
                *value = self.seal(*table, key, value)?;
            }
        }
        self.inner.commit(batch).await
    }
}

const fn holds_sealed_documents(table: Table) -> bool {
    matches!(table, Table::Documents | Table::Contents)
}

fn associated_data(table: Table, key: &[u8]) -> Vec<u8> {
    // The name has no zero octet, so the pair reads in one way only.
    [table.name().as_bytes(), &[0], key].concat()
}

fn damaged(table: Table, detail: &str) -> StoreError {
    StoreError::Damaged {
        place: "the sealed store".to_owned(),
        table: table.name(),
        detail: detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryStore;
    use super::*;

    #[tokio::test]
    async fn conforms() {
        super::super::conformance::run(SealedStore::new(MemoryStore::new(), &[7; 32])).await;
    }

    #[tokio::test]
    async fn sealed_documents_are_kept_as_they_are() {
        let store = SealedStore::new(MemoryStore::new(), &[7; 32]);
        let mut batch = Batch::new();
        for table in Table::ALL {
            batch.put(table, b"k", b"an envelope");
        }
        store.commit(batch).await.unwrap();
        for table in Table::ALL {
            let kept = store.inner.get(table, b"k").await.unwrap().unwrap();
            let as_it_is = matches!(table, Table::Documents | Table::Contents);
            assert_eq!(kept == b"an envelope", as_it_is, "{}", table.name());
        }
    }

    #[tokio::test]
    async fn values_are_unreadable_and_bound_to_their_place() {
        let store = SealedStore::new(MemoryStore::new(), &[7; 32]);
        let mut batch = Batch::new();
        batch.put(Table::Meta, b"a", b"a secret value");
        store.commit(batch).await.unwrap();
        let sealed = store.inner.get(Table::Meta, b"a").await.unwrap().unwrap();
        assert!(!sealed.windows(6).any(|w| w == b"secret"));
        let mut moved = Batch::new();
        moved.put(Table::Meta, b"b", sealed.clone());
        moved.put(Table::Mailboxes, b"a", sealed);
        store.inner.commit(moved).await.unwrap();
        assert!(matches!(
            store.get(Table::Meta, b"b").await,
            Err(StoreError::Damaged { .. })
        ));
        assert!(matches!(
            store.get(Table::Mailboxes, b"a").await,
            Err(StoreError::Damaged { .. })
        ));
    }
}
