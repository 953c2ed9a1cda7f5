//! The account's devices, as this one knows them: its own key, its place in the signed list, and
//! what the provider says of both.
//!
//! ```text
//! join_devices(shown, device, ways) -> the next list, to be put; None if the device is in it
//! leave_devices(shown, id)          -> the next list, to be put; None if that device is not in it
//! remove_device(shown, id)          -> the next list, in a new key epoch: put, then device_removed
//! admit_device(shown, newcomer)     -> the next list, with a device that this one enrols
//! enrolled(shown, what it was given) -> this device, which another one has enrolled, is in the list
//! check_devices(shown, told)        -> an alarm, a list that the provider is to have
//! ```
//!
//! `shown` is what the provider has as the list, `told` whom it says to be logged in. What is false
//! is told by one message in INBOX that all devices have, and is not used. A list of a later key epoch
//! brings its root key. Invariant: a device adds itself only when its user has just proved the
//! password, and another one only when its user has compared words with it; one that was removed
//! does not come back by itself.

mod admission;

use super::Account;
use crate::auth::devices::{self, AlarmLetter, Refused, Removal};
use crate::auth::wire::{Device, DeviceState};
use crate::auth::{
    DeviceAlarm, DeviceKey, DeviceList, DeviceListError, EnrolmentError, ListedDevice, Recipient,
    SignedDeviceList, Ways,
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
    /// This device was not enrolled.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
}

impl From<Refused> for DevicesError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::List(error) => error.into(),
            Refused::Alarm(alarm) => Self::Alarm(Box::new(alarm)),
        }
    }
}

/// What a check of the provider's words has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DevicesCheck {
    /// What is false.
    pub alarm: Option<DeviceAlarm>,
    /// A list that the provider is to have: one that it has lost, or one that says more of this
    /// device.
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

    /// The first list of an account, with this device in it: for sign-up. `ways` are what its
    /// user has chosen just now.
    pub async fn first_devices(
        &self,
        device: &Device,
        ways: &Ways,
        now: Timestamp,
    ) -> Result<SignedDeviceList, DevicesError> {
        let device = self.listed(device, now).await?;
        self.sign_first(device, ways)
    }

    /// The next list, with this device in it, and with the ways in that its user has just proved.
    pub async fn join_devices(
        &self,
        shown: Option<&[u8]>,
        device: &Device,
        ways: &Ways,
        now: Timestamp,
    ) -> Result<Option<SignedDeviceList>, DevicesError> {
        let device = self.listed(device, now).await?;
        let Some(current) = self.current_list(shown, now).await? else {
            return self.sign_first(device, ways).map(Some);
        };
        self.enter(&current, ways, now).await?;
        let list = current.list();
        let joined = list.with(device)?.map(|joined| joined.naming(ways));
        if let Some(next) = joined.or_else(|| list.with_ways(ways)) {
            return self.sign(&next).map(Some);
        }
        self.keep_device_list(&current, now).await?;
        Ok(None)
    }

    /// The next list, without this device: for one that leaves by itself.
    pub async fn leave_devices(
        &self,
        shown: Option<&[u8]>,
        id: ReplicaId,
        now: Timestamp,
    ) -> Result<Option<SignedDeviceList>, DevicesError> {
        let current = self.current_list(shown, now).await?;
        let Some(current) = current else {
            return Ok(None);
        };
        self.enter(&current, &Ways::default(), now).await?;
        let next = current.list().without(id);
        next.map(|next| self.sign(&next)).transpose()
    }

    /// The next list, in which that device is not and that begins a new key epoch; `None` if it is
    /// not in this one. Fails if a new root key would not reach the password, or the recovery phrase
    /// of an account that has one.
    pub async fn remove_device(
        &self,
        shown: Option<&[u8]>,
        id: ReplicaId,
        has_phrase: bool,
        now: Timestamp,
    ) -> Result<Option<Removal>, DevicesError> {
        let Some(current) = self.current_list(shown, now).await? else {
            return Ok(None);
        };
        self.enter(&current, &Ways::default(), now).await?;
        let list = current.list();
        let by = (
            self.own_entry(list, now)
                .await?
                .map_or(self.id(), |own| own.id),
            now,
        );
        let keys = self.keys();
        Ok(self.with_rng(|rng| list.removing(id, by, has_phrase, keys, rng))?)
    }

    /// The provider has taken a removal: its key epoch begins on this device.
    pub async fn device_removed(
        &self,
        removal: Removal,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let Removal { list, root } = removal;
        self.begin_epochs(vec![root], now).await?;
        self.keep_device_list(&list, now).await
    }

    /// Begins the key epochs that a list has and this device has not: by what is sealed to this
    /// device, or by what its user has just proved.
    async fn enter(
        &self,
        list: &SignedDeviceList,
        ways: &Ways,
        now: Timestamp,
    ) -> Result<(), DevicesError> {
        if list.list().epoch() <= self.keys().epoch() {
            return Ok(());
        }
        let secret = self.device_key(now).await?.sealing_secret();
        let own = self.own_entry(list.list(), now).await?.map(|own| own.id);
        let device = own.map(|id| (id, &secret));
        let roots = list.later_roots(self.keys(), device, ways)?;
        let count = roots.len();
        self.begin_epochs(roots, now).await?;
        let epochs = list.list().epochs().iter().rev().take(count);
        for epoch in epochs.filter(|epoch| Some(epoch.by) != own) {
            let letter = epoch.letter(list.list(), self.address(), now);
            self.tell(letter, now).await?;
        }
        Ok(())
    }

    /// Whether the account has key epochs that this device cannot begin without its user: what the
    /// provider shows is judged, and kept if it can be used.
    pub async fn lacks_keys(
        &self,
        shown: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<bool, ReplicaError> {
        match self.check_devices(shown, &[], now).await {
            Err(DevicesError::List(DeviceListError::NoKeys)) => Ok(true),
            Err(DevicesError::Replica(error)) => Err(error),
            Err(DevicesError::List(_) | DevicesError::Alarm(_) | DevicesError::Enrolment(_))
            | Ok(_) => Ok(false),
        }
    }

    /// The next list, which names ways in that the account's user has just chosen; `None` if there
    /// is none, or this one does.
    pub async fn name_ways(
        &self,
        shown: Option<&[u8]>,
        ways: &Ways,
        now: Timestamp,
    ) -> Result<Option<SignedDeviceList>, DevicesError> {
        let Some(current) = self.current_list(shown, now).await? else {
            return Ok(None);
        };
        self.enter(&current, &Ways::default(), now).await?;
        let next = current.list().with_ways(ways);
        next.map(|next| self.sign(&next)).transpose()
    }

    /// This device in a list.
    async fn own_entry<'a>(
        &self,
        list: &'a DeviceList,
        now: Timestamp,
    ) -> Result<Option<&'a ListedDevice>, ReplicaError> {
        let key = self.device_key(now).await?.public_key();
        Ok(list.devices().iter().find(|device| device.key == key))
    }

    fn sign_first(
        &self,
        device: ListedDevice,
        ways: &Ways,
    ) -> Result<SignedDeviceList, DevicesError> {
        self.sign(&DeviceList::first(device).naming(ways))
    }

    fn sign(&self, list: &DeviceList) -> Result<SignedDeviceList, DevicesError> {
        Ok(self.with_rng(|rng| list.sign(self.keys(), rng))?)
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
                self.enter(&list, &Ways::default(), now).await?;
                self.keep_device_list(&list, now).await?;
                let alarm = self.strangers(list.list(), told, now).await?;
                if let Some(alarm) = &alarm {
                    self.tell_of(alarm, now).await?;
                }
                let offer = self.named(list.list(), now).await?;
                Ok(DevicesCheck { alarm, offer })
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

    /// The next list, if this one was written by a program that did not say yet what is sealed to
    /// this device.
    async fn named(
        &self,
        list: &DeviceList,
        now: Timestamp,
    ) -> Result<Option<SignedDeviceList>, DevicesError> {
        let key = self.device_key(now).await?;
        let listed = self.own_entry(list, now).await?;
        let Some(mut own) = listed.filter(|own| own.recipient.is_none()).cloned() else {
            return Ok(None);
        };
        own.recipient = Some(Recipient::new(key.sealing_secret().public_key()));
        let next = list.with(own)?;
        next.map(|next| self.sign(&next)).transpose()
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
        self.tell(alarm.letter(self.address(), now), now).await
    }

    async fn tell(&self, letter: AlarmLetter, now: Timestamp) -> Result<(), ReplicaError> {
        let update = DirectoryUpdate {
            alarm: Some((letter.digest, letter.message)),
            ..DirectoryUpdate::default()
        };
        self.update_directory(update, now).await.map(drop)
    }

    async fn listed(&self, device: &Device, now: Timestamp) -> Result<ListedDevice, ReplicaError> {
        let key = self.device_key(now).await?;
        Ok(ListedDevice {
            id: device.id,
            key: key.public_key(),
            added_at: now,
            name: device.name.clone(),
            recipient: Some(Recipient::new(key.sealing_secret().public_key())),
        })
    }
}

/// What is kept was checked before.
fn seen(state: &DevicesState) -> Option<SignedDeviceList> {
    SignedDeviceList::parse(state.list.as_deref()?).ok()
}

#[cfg(test)]
mod epochs_tests;
#[cfg(test)]
mod tests;
