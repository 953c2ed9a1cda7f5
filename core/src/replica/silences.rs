//! When mail of a correspondent came last without the key that is known (`keys::silence`).
//!
//! Rows of this device, for contacts whose key is stale alone: what was heard of a key is part of
//! the contact's document, which all devices have, so a device that hears less asks more, and no
//! device's silence is another's.

use serde::{Deserialize, Serialize};

use super::directory::{decode_versioned, encode_versioned};
use super::{Replica, ReplicaError};
use crate::id::{Address, Timestamp};
use crate::store::{Store, Table};

const PREFIX: &[u8] = b"silent ";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    address: Address,
    silent_at: Timestamp,
}

impl<S: Store> Replica<S> {
    /// When mail of an address came last without the key that is known.
    pub(crate) async fn silent_at(
        &self,
        address: &Address,
    ) -> Result<Option<Timestamp>, ReplicaError> {
        let row = self.store.get(Table::Meta, &key(address)).await?;
        let row = row.map(|row| decode_versioned::<Row>(&row)).transpose()?;
        Ok(row.map(|row| row.silent_at))
    }

    /// Keeps it, if it is later than what is known.
    pub(crate) async fn note_silence(
        &self,
        address: &Address,
        silent_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        if self.silent_at(address).await? >= Some(silent_at) {
            return Ok(());
        }
        let mut change = self.begin(now).await;
        let row = Row {
            address: address.canonical(),
            silent_at,
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

    #[tokio::test]
    async fn golden_row_a_newer_one_is_refused_and_the_latest_is_kept() {
        let bob = Address::new("b@x.org").unwrap();
        let row = Row {
            address: bob.clone(),
            silent_at: Timestamp::from_millis(3),
        };
        let octets = encode_versioned(&row);
        assert_eq!(octets, b"\x01\x07b@x.org\x06");
        assert_eq!(decode_versioned::<Row>(&octets).unwrap(), row);
        let newer = [&[2], &octets[1..]].concat();
        let error = decode_versioned::<Row>(&newer).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");

        let replica = device(1).await;
        assert_eq!(replica.silent_at(&bob).await.unwrap(), None);
        for millis in [5, 9, 7] {
            let at = Timestamp::from_millis(millis);
            replica.note_silence(&bob, at, NOW).await.unwrap();
        }
        let written = Address::new("b@X.ORG").unwrap();
        let kept = replica.silent_at(&written).await.unwrap();
        assert_eq!(kept, Some(Timestamp::from_millis(9)));
    }
}
