//! The account's devices, as this one knows them: its own key, its place in the signed list, and
//! what the provider says of both.
//!
//! ```text
//! join_devices(shown, device) -> the next list, to be put; None if the device is in it
//! leave_devices(shown, id)    -> the next list, to be put; None if that device is not in it
//! check_devices(shown, told)  -> an alarm, a list that the provider has lost
//! ```
//!
//! `shown` is what the provider has as the list, `told` whom it says to be logged in. What is false
//! is told by one message in INBOX that all devices have, and is not used. Invariant: a device adds
//! itself only when its user has just proved the password; one that was removed does not come back
//! by itself.

use super::Account;
use crate::auth::devices::{self, Refused};
use crate::auth::wire::{Device, DeviceState};
use crate::auth::{
    DeviceAlarm, DeviceKey, DeviceList, DeviceListError, ListedDevice, SignedDeviceList,
};
use crate::id::{ReplicaId, Timestamp};
use crate::replica::directory::DirectoryUpdate;
use crate::replica::{DevicesState, ReplicaError};
use crate::store::Store;

/// How long a device may be logged in before it has to be in the list, in milliseconds: 10 minutes.
/// Whoever logs in does so before they can put themselves there.
pub const STRANGER_MS: i64 = 10 * 60 * 1000;

/// Why the list of devices was not judged or changed.
#[derive(Debug, thiserror::Error)]
pub enum DevicesError {
    /// The replica failed.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The list does not read, or is full.
    #[error(transparent)]
    List(#[from] DeviceListError),
    /// What the provider shows is false.
    #[error("{0}")]
    Alarm(Box<DeviceAlarm>),
}

/// What a check of the provider's words has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DevicesCheck {
    /// What is false.
    pub alarm: Option<DeviceAlarm>,
    /// A list that the provider has lost: it is to be put again.
    pub offer: Option<SignedDeviceList>,
}

impl<S: Store> Account<S> {
    /// This device's own key, made when it is first asked for.
    pub async fn device_key(&self, now: Timestamp) -> Result<DeviceKey, ReplicaError> {
        let fresh = self.with_rng(DeviceKey::generate);
        self.device_key_or(fresh, now).await
    }

    /// The list of devices that this one has verified last.
    pub async fn device_list(&self) -> Result<Option<DeviceList>, ReplicaError> {
        let state = self.devices_state().await?;
        Ok(seen(&state).map(|list| list.list().clone()))
    }

    /// The first list of an account, with this device in it: for sign-up.
    pub async fn first_devices(
        &self,
        device: &Device,
        now: Timestamp,
    ) -> Result<SignedDeviceList, ReplicaError> {
        let device = self.listed(device, now).await?;
        Ok(DeviceList::first(device).sign(self.keys()))
    }

    /// The next list, with this device in it.
    pub async fn join_devices(
        &self,
        shown: Option<&[u8]>,
        device: &Device,
        now: Timestamp,
    ) -> Result<Option<SignedDeviceList>, DevicesError> {
        let device = self.listed(device, now).await?;
        let Some(current) = self.current_list(shown, now).await? else {
            return Ok(Some(DeviceList::first(device).sign(self.keys())));
        };
        if let Some(next) = current.list().with(device)? {
            return Ok(Some(next.sign(self.keys())));
        }
        self.keep_device_list(&current, now).await?;
        Ok(None)
    }

    /// The next list, without this device.
    pub async fn leave_devices(
        &self,
        shown: Option<&[u8]>,
        id: ReplicaId,
        now: Timestamp,
    ) -> Result<Option<SignedDeviceList>, DevicesError> {
        let current = self.current_list(shown, now).await?;
        let next = current.and_then(|current| current.list().without(id));
        Ok(next.map(|next| next.sign(self.keys())))
    }

    /// Keeps a list that the provider has taken, or that it has shown and that is in order.
    pub async fn keep_device_list(
        &self,
        list: &SignedDeviceList,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let own = self.device_key(now).await?.public_key();
        let before = self.devices_state().await?;
        let mut state = before.clone();
        let mut devices = list.list().devices().iter();
        state.joined |= devices.any(|device| device.key == own);
        state.list = Some(list.octets().to_vec());
        if state != before {
            self.keep_devices_state(&state, now).await?;
        }
        Ok(())
    }

    /// Judges what the provider shows as the list, and whom it says to be logged in.
    pub async fn check_devices(
        &self,
        shown: Option<&[u8]>,
        told: &[DeviceState],
        now: Timestamp,
    ) -> Result<DevicesCheck, DevicesError> {
        let before = self.devices_state().await?;
        let seen = seen(&before);
        match devices::judge(self.keys(), seen.as_ref(), shown) {
            Ok(None) => Ok(DevicesCheck::default()),
            Ok(Some(list)) => {
                self.keep_device_list(&list, now).await?;
                let alarm = self.strangers(list.list(), told, now).await?;
                if let Some(alarm) = &alarm {
                    self.tell_of(alarm, now).await?;
                }
                Ok(DevicesCheck { alarm, offer: None })
            }
            Err(Refused::List(error)) => Err(error.into()),
            Err(Refused::Alarm(alarm)) => {
                self.tell_of(&alarm, now).await?;
                let offer = matches!(alarm, DeviceAlarm::SetBack { .. });
                Ok(DevicesCheck {
                    alarm: Some(alarm),
                    offer: seen.filter(|_| offer),
                })
            }
        }
    }

    /// What the provider shows, or what is known better. A list that is not the account's is an
    /// alarm, and nothing is built on it.
    async fn current_list(
        &self,
        shown: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Option<SignedDeviceList>, DevicesError> {
        let state = self.devices_state().await?;
        let seen = seen(&state);
        match devices::judge(self.keys(), seen.as_ref(), shown) {
            Ok(list) => Ok(list),
            Err(Refused::List(error)) => Err(error.into()),
            Err(Refused::Alarm(alarm)) => {
                self.tell_of(&alarm, now).await?;
                match alarm {
                    // The next one has a higher number than both, and so ends the alarm.
                    DeviceAlarm::SetBack { .. } | DeviceAlarm::Withheld(_) => Ok(seen),
                    alarm => Err(DevicesError::Alarm(Box::new(alarm))),
                }
            }
        }
    }

    /// The first device that has been logged in for a while and is not in the list.
    async fn strangers(
        &self,
        list: &DeviceList,
        told: &[DeviceState],
        now: Timestamp,
    ) -> Result<Option<DeviceAlarm>, ReplicaError> {
        let before = self.devices_state().await?;
        let mut state = before.clone();
        let is_stranger =
            |id: &ReplicaId| list.find(*id).is_none() && told.iter().any(|device| device.id == *id);
        state.strangers.retain(|id, _| is_stranger(id));
        let mut alarm = None;
        // The provider can name any number; a list's limit is enough to tell of one.
        for device in told.iter().take(devices::MAX_DEVICES) {
            if !is_stranger(&device.id) {
                continue;
            }
            let since = *state.strangers.entry(device.id).or_insert(now);
            let waited = now.as_millis().saturating_sub(since.as_millis());
            if waited >= STRANGER_MS && alarm.is_none() {
                alarm = Some(DeviceAlarm::Stranger {
                    id: device.id,
                    name: device.name.clone(),
                });
            }
        }
        if state != before {
            self.keep_devices_state(&state, now).await?;
        }
        Ok(alarm)
    }

    async fn tell_of(&self, alarm: &DeviceAlarm, now: Timestamp) -> Result<(), ReplicaError> {
        let letter = alarm.letter(self.address(), now);
        let update = DirectoryUpdate {
            alarm: Some((letter.digest, letter.message)),
            ..DirectoryUpdate::default()
        };
        self.update_directory(update, now).await.map(drop)
    }

    async fn listed(&self, device: &Device, now: Timestamp) -> Result<ListedDevice, ReplicaError> {
        Ok(ListedDevice {
            id: device.id,
            key: self.device_key(now).await?.public_key(),
            added_at: now,
            name: device.name.clone(),
        })
    }
}

/// What is kept was checked before.
fn seen(state: &DevicesState) -> Option<SignedDeviceList> {
    SignedDeviceList::parse(state.list.as_deref()?).ok()
}

#[cfg(test)]
mod tests;
