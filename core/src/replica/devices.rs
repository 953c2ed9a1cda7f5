//! What this device knows of the account's devices: its own key, and the list of all that it
//! verified last.
//!
//! Rows of this device alone: the provider never has them, so it can set neither back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::directory::{decode_versioned, encode_versioned};
use super::{REPLICA, Replica, ReplicaError};
use crate::auth::DeviceKey;
use crate::id::{ReplicaId, Timestamp};
use crate::store::{Batch, Store, StoreError, Table};

const KEY: &[u8] = b"device key";
const STATE: &[u8] = b"devices";

/// What this device has verified of the account's list of devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicesState {
    /// The last list that was in order, as it was signed.
    #[serde(with = "serde_bytes")]
    pub list: Option<Vec<u8>>,
    /// Whether this device has been in one.
    pub joined: bool,
    /// Devices that the provider tells of and that are not in the list: since when.
    pub strangers: BTreeMap<ReplicaId, Timestamp>,
}

/// Makes an empty store that of a device which has its id and key already, because another one has
/// enrolled it. Fails with a conflict if the store is some device's.
pub async fn begin_enrolled<S: Store>(
    store: &S,
    id: ReplicaId,
    key: &DeviceKey,
) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.expect(Table::Meta, REPLICA, None);
    batch.put(Table::Meta, REPLICA, *id.as_bytes());
    batch.put(Table::Meta, KEY, key.octets().to_vec());
    store.commit(batch).await
}

impl<S: Store> Replica<S> {
    /// This device's key; `fresh` from now on, if it has none yet.
    pub(crate) async fn device_key_or(
        &self,
        fresh: DeviceKey,
        now: Timestamp,
    ) -> Result<DeviceKey, ReplicaError> {
        // Two who ask at once get one key: whoever writes has the writer's lock.
        let mut change = self.begin(now).await;
        if let Some(key) = self.stored_device_key().await? {
            return Ok(key);
        }
        change.put_device_key(&fresh);
        change.commit().await?;
        Ok(fresh)
    }

    /// This device's key, if it has one.
    pub(super) async fn stored_device_key(&self) -> Result<Option<DeviceKey>, ReplicaError> {
        let Some(row) = self.store.get(Table::Meta, KEY).await? else {
            return Ok(None);
        };
        let seed = <[u8; 32]>::try_from(row.as_slice());
        let seed = seed.map_err(|_| ReplicaError::Row(Table::Meta.name()))?;
        Ok(Some(DeviceKey::from_octets(seed)))
    }

    /// What this device has verified of the list of devices.
    pub async fn devices_state(&self) -> Result<DevicesState, ReplicaError> {
        match self.store.get(Table::Meta, STATE).await? {
            Some(row) => decode_versioned(&row),
            None => Ok(DevicesState::default()),
        }
    }

    /// Keeps it.
    pub(crate) async fn keep_devices_state(
        &self,
        state: &DevicesState,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        change
            .batch
            .put(Table::Meta, STATE, encode_versioned(state));
        change.commit().await
    }
}

impl<S: Store> Change<'_, S> {
    pub(super) fn put_device_key(&mut self, key: &DeviceKey) {
        self.batch.put(Table::Meta, KEY, key.octets().to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_state_and_a_newer_one_is_refused() {
        let state = DevicesState {
            list: Some(vec![7, 8]),
            joined: true,
            strangers: BTreeMap::from([(ReplicaId::new([5; 16]), Timestamp::from_millis(3))]),
        };
        let row = encode_versioned(&state);
        let expected = [&[1, 1, 2, 7, 8, 1, 1][..], &[5; 16], &[6]].concat();
        assert_eq!(row, expected);
        assert_eq!(decode_versioned::<DevicesState>(&row).unwrap(), state);
        let newer = [&[2], &row[1..]].concat();
        let error = decode_versioned::<DevicesState>(&newer).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
    }
}
