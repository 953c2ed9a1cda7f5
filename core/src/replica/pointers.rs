//! Where correspondents say that their certificates are (`keys::openpgp_field`), as their mail said
//! it last.
//!
//! Rows of this device, and not part of the contact's document: there is a contact only once there
//! is a certificate, and whoever has one is not asked for it. Another device reads the same in the
//! mail that it takes in itself; what none of them has noted is found by the other sources.
//! Invariant: at most [`MAX_POINTERS`]; anybody can write mail in many names.

use serde::{Deserialize, Serialize};

use super::directory::{decode_versioned, encode_versioned};
use super::{Replica, ReplicaError};
use crate::id::{Address, Timestamp};
use crate::keys::openpgp_field::Pointer;
use crate::store::{KeyRange, Store, Table};

/// Most addresses of which it is kept; beyond, the one is forgotten that was heard of first.
pub(super) const MAX_POINTERS: usize = 1024;

const PREFIX: &[u8] = b"openpgp field ";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    address: Address,
    heard_at: Timestamp,
    pointer: Pointer,
}

impl<S: Store> Replica<S> {
    /// What the last mail of an address said.
    pub async fn pointer(&self, address: &Address) -> Result<Option<Pointer>, ReplicaError> {
        let row = self.store.get(Table::Meta, &key(address)).await?;
        let row = row.map(|row| decode_versioned::<Row>(&row)).transpose()?;
        Ok(row.map(|row| row.pointer))
    }

    /// Keeps it. The last mail counts, as with every hint that proves nothing.
    pub(crate) async fn note_pointer(
        &self,
        address: &Address,
        pointer: Pointer,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let known = self.pointer(address).await?;
        if known.as_ref() == Some(&pointer) {
            return Ok(());
        }
        let mut change = self.begin(now).await;
        if known.is_none() {
            let rows = self
                .store
                .scan(Table::Meta, KeyRange::prefix(PREFIX))
                .await?;
            let mut ages = rows
                .iter()
                .map(|(key, row)| Ok((decode_versioned::<Row>(row)?.heard_at, key)))
                .collect::<Result<Vec<_>, ReplicaError>>()?;
            ages.sort_unstable();
            let surplus = ages.len().saturating_add(1).saturating_sub(MAX_POINTERS);
            for (_, key) in ages.into_iter().take(surplus) {
                change.batch.delete(Table::Meta, key.clone());
            }
        }
        let row = Row {
            address: address.canonical(),
            heard_at: now,
            pointer,
        };
        let row = encode_versioned(&row);
        change.batch.put(Table::Meta, key(address), row);
        change.commit().await
    }
}

/// Keys of rows are not sealed: no address is one.
fn key(address: &Address) -> Vec<u8> {
    let about = blake3::hash(address.canonical().as_str().as_bytes());
    [PREFIX, about.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, device};
    use super::*;
    use crate::keys::openpgp_field;

    fn pointer(name: &str) -> Pointer {
        let address = Address::new("bob@x.org").unwrap();
        let field = format!("OpenPGP: url=https://x.org/{name}\r\n");
        openpgp_field::read(field.as_bytes(), &address).unwrap()
    }

    #[test]
    fn golden_row_and_a_newer_one_is_refused() {
        let row = Row {
            address: Address::new("b@x.org").unwrap(),
            heard_at: Timestamp::from_millis(3),
            pointer: pointer("k"),
        };
        let octets = encode_versioned(&row);
        assert_eq!(octets, b"\x01\x07b@x.org\x06\x0fhttps://x.org/k\x00");
        assert_eq!(decode_versioned::<Row>(&octets).unwrap(), row);
        let newer = [&[2], &octets[1..]].concat();
        let error = decode_versioned::<Row>(&newer).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
    }

    #[tokio::test]
    async fn the_last_one_is_kept_and_not_too_many() {
        let replica = device(1).await;
        let person = |n: usize| Address::new(&format!("b{n}@x.org")).unwrap();
        let at = |n: usize| Timestamp::from_millis(NOW.as_millis() + i64::try_from(n).unwrap());
        for n in 0..MAX_POINTERS + 3 {
            replica
                .note_pointer(&person(n), pointer("first"), at(n))
                .await
                .unwrap();
        }
        replica
            .note_pointer(&person(5), pointer("second"), at(0))
            .await
            .unwrap();
        let rows = replica
            .store
            .scan(Table::Meta, KeyRange::prefix(PREFIX))
            .await
            .unwrap();
        assert_eq!(rows.len(), MAX_POINTERS);
        for (n, kept) in [
            (0, None),
            (2, None),
            (3, Some("first")),
            (5, Some("second")),
        ] {
            assert_eq!(
                replica.pointer(&person(n)).await.unwrap(),
                kept.map(pointer),
                "{n}"
            );
        }
        let written = Address::new("b5@X.ORG").unwrap();
        assert_eq!(
            replica.pointer(&written).await.unwrap(),
            Some(pointer("second"))
        );
    }
}
