//! The account's list of its devices, signed by a key that is derived from the root key.
//!
//! ```text
//! list   = version 1 | account 16 | account key 32 | number u64 | count u16 | entry ...
//! entry  = device 16 | public key 32 | added i64 (milliseconds) | length u8 | name
//! signed = list | Ed25519 signature 64 over label | list                           (RFC 8032)
//! ```
//!
//! The provider keeps the list and gives it out, and can write none: it does not have the account's
//! key, which the list names and every device derives by itself. The list's *number* grows by one
//! with each change, so a device that has seen one knows an older one ([`judge`]). Whoever logs in
//! with the password puts their device into the list; a device that is not in it is none of the
//! account's, whatever the provider says, and is told of ([`DeviceAlarm`]).
//!
//! Invariant: entries ascend by device, so a list has one form. Rejected: a sealed document, which
//! the provider could not read: it has to know the keys by which devices log in.

mod alarm;
mod shown;
#[cfg(test)]
mod tests;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::device::{DEVICE_KEY_OCTETS, is_public_key};
use super::wire::MAX_DEVICE_NAME_OCTETS;
use crate::id::{AccountId, ReplicaId, Timestamp};
use crate::seal::AccountKeys;

pub use alarm::{AlarmLetter, DeviceAlarm};
pub use shown::{ShownDevice, Standing, shown};

/// The version of lists that this program writes, and the only one that it reads.
pub const LIST_VERSION: u8 = 1;
/// Most devices of an account.
pub const MAX_DEVICES: usize = 200;
const LABEL: &[u8] = b"letterlock/auth/1/devices\0";
const SIGNATURE_OCTETS: usize = 64;

/// One device of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDevice {
    /// Its replica.
    pub id: ReplicaId,
    /// From [`super::DeviceKey::public_key`].
    pub key: [u8; DEVICE_KEY_OCTETS],
    /// When it came into the list, by its own clock.
    pub added_at: Timestamp,
    /// What it calls itself; at most [`MAX_DEVICE_NAME_OCTETS`].
    pub name: String,
}

/// The devices of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceList {
    number: u64,
    devices: Vec<ListedDevice>,
}

/// A list whose signature is good: by the account key that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedDeviceList {
    account: AccountId,
    key: [u8; 32],
    list: DeviceList,
    octets: Vec<u8>,
}

/// Why there is no such list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceListError {
    /// Of a version that this program does not know.
    #[error("the list of devices has version {0}, which this program does not know: update it")]
    Newer(u8),
    /// Not of the form.
    #[error("the list of devices does not read")]
    Malformed,
    /// The signature is not by the key that the list names.
    #[error("the list of devices has a bad signature")]
    BadSignature,
    /// There are [`MAX_DEVICES`] already, and none of this name.
    #[error("the account has {MAX_DEVICES} devices: remove some")]
    Full,
}

impl DeviceList {
    /// The first list of an account, with its first device.
    pub fn first(device: ListedDevice) -> Self {
        Self {
            number: 1,
            devices: vec![device.trimmed()],
        }
    }

    /// Counts the lists of the account, from 1.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The devices, ascending by id.
    pub fn devices(&self) -> &[ListedDevice] {
        &self.devices
    }

    /// The device with this id.
    pub fn find(&self, id: ReplicaId) -> Option<&ListedDevice> {
        self.devices.iter().find(|device| device.id == id)
    }

    /// The next list, in which this device is; `None` if it is in this one, with its key and name.
    /// A device that has another name only keeps the time at which it was added. In a full list the
    /// oldest of its name makes room: browsers that were cleared leave such behind.
    pub fn with(&self, device: ListedDevice) -> Result<Option<Self>, DeviceListError> {
        let mut device = device.trimmed();
        let before = self.find(device.id);
        if let Some(before) = before.filter(|before| before.key == device.key) {
            if before.name == device.name {
                return Ok(None);
            }
            device.added_at = before.added_at;
        }
        let mut next = self.others(device.id);
        if next.devices.len() >= MAX_DEVICES {
            let alike = self
                .devices
                .iter()
                .filter(|other| other.name == device.name);
            let oldest = alike.min_by_key(|other| (other.added_at, other.id));
            let oldest = oldest.ok_or(DeviceListError::Full)?.id;
            next.devices.retain(|other| other.id != oldest);
        }
        next.devices.push(device);
        next.devices.sort_by_key(|device| device.id);
        Ok(Some(next))
    }

    /// The next list, in which this device is not; `None` if it is not in this one.
    pub fn without(&self, id: ReplicaId) -> Option<Self> {
        self.find(id).map(|_| self.others(id))
    }

    /// Signs the list in the account's name.
    pub fn sign(&self, keys: &AccountKeys) -> SignedDeviceList {
        let signing = SigningKey::from_bytes(keys.signing_seed());
        let (account, key) = (keys.account(), signing.verifying_key().to_bytes());
        let mut octets = self.to_octets(account, &key);
        let signature = signing.sign(&[LABEL, &octets].concat());
        octets.extend_from_slice(&signature.to_bytes());
        SignedDeviceList {
            account,
            key,
            list: self.clone(),
            octets,
        }
    }

    fn others(&self, id: ReplicaId) -> Self {
        let others = self.devices.iter().filter(|device| device.id != id);
        Self {
            number: self.number.saturating_add(1),
            devices: others.cloned().collect(),
        }
    }

    fn to_octets(&self, account: AccountId, key: &[u8; 32]) -> Vec<u8> {
        let count = u16::try_from(self.devices.len()).unwrap_or(u16::MAX);
        let mut octets = [
            &[LIST_VERSION][..],
            account.as_bytes(),
            key,
            &self.number.to_be_bytes(),
            &count.to_be_bytes(),
        ]
        .concat();
        for device in &self.devices {
            octets.extend_from_slice(device.id.as_bytes());
            octets.extend_from_slice(&device.key);
            octets.extend_from_slice(&device.added_at.as_millis().to_be_bytes());
            octets.push(u8::try_from(device.name.len()).unwrap_or(u8::MAX));
            octets.extend_from_slice(device.name.as_bytes());
        }
        octets
    }
}

impl SignedDeviceList {
    /// Reads a list and checks that the account key that it names has signed it.
    pub fn parse(octets: &[u8]) -> Result<Self, DeviceListError> {
        match octets.first() {
            Some(&LIST_VERSION) => {}
            Some(&version) => return Err(DeviceListError::Newer(version)),
            None => return Err(DeviceListError::Malformed),
        }
        let cut = octets.len().checked_sub(SIGNATURE_OCTETS);
        let (content, signature) = cut
            .and_then(|cut| octets.split_at_checked(cut))
            .ok_or(DeviceListError::Malformed)?;
        let (account, key, list) = read(content).ok_or(DeviceListError::Malformed)?;
        let signer = VerifyingKey::from_bytes(&key).map_err(|_| DeviceListError::Malformed)?;
        let signature = Signature::from_slice(signature).map_err(|_| DeviceListError::Malformed)?;
        signer
            .verify_strict(&[LABEL, content].concat(), &signature)
            .map_err(|_| DeviceListError::BadSignature)?;
        Ok(Self {
            account,
            key,
            list,
            octets: octets.to_vec(),
        })
    }

    /// The list.
    pub const fn list(&self) -> &DeviceList {
        &self.list
    }

    /// Whose it says it is.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// As it was signed.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Whether these keys are the account's that has signed it.
    pub fn is_by(&self, keys: &AccountKeys) -> bool {
        let signing = SigningKey::from_bytes(keys.signing_seed());
        self.account == keys.account() && self.key == signing.verifying_key().to_bytes()
    }

    /// Whether this can take the other one's place: of the same account and key, and later.
    pub fn follows(&self, before: &Self) -> bool {
        self.account == before.account
            && self.key == before.key
            && self.list.number > before.list.number
    }
}

/// Judges what the provider shows as the account's list by the one that was seen last.
pub fn judge(
    keys: &AccountKeys,
    seen: Option<&SignedDeviceList>,
    shown: Option<&[u8]>,
) -> Result<Option<SignedDeviceList>, Refused> {
    let Some(shown) = shown else {
        return match seen {
            None => Ok(None),
            Some(seen) => Err(DeviceAlarm::Withheld(seen.list.number).into()),
        };
    };
    let shown = match SignedDeviceList::parse(shown) {
        Ok(list) if list.is_by(keys) => list,
        Err(error @ DeviceListError::Newer(_)) => return Err(error.into()),
        Ok(_) | Err(_) => {
            let seen = seen.map_or(0, |seen| seen.list.number);
            return Err(DeviceAlarm::NotSigned(seen).into());
        }
    };
    let number = shown.list.number;
    match seen {
        Some(seen) if seen.list.number > number => Err(DeviceAlarm::SetBack {
            seen: seen.list.number,
            shown: number,
        }
        .into()),
        Some(seen) if seen.list.number == number && seen.list != shown.list => {
            Err(DeviceAlarm::Rewritten(number).into())
        }
        _ => Ok(Some(shown)),
    }
}

/// Why what the provider shows is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// This program cannot read it.
    #[error(transparent)]
    List(#[from] DeviceListError),
    /// It is false.
    #[error("{0}")]
    Alarm(DeviceAlarm),
}

impl From<DeviceAlarm> for Refused {
    fn from(alarm: DeviceAlarm) -> Self {
        Self::Alarm(alarm)
    }
}

impl ListedDevice {
    /// The same, with a name that fits.
    fn trimmed(mut self) -> Self {
        while self.name.len() > MAX_DEVICE_NAME_OCTETS {
            self.name.pop();
        }
        self
    }
}

fn read(octets: &[u8]) -> Option<(AccountId, [u8; 32], DeviceList)> {
    let (_version, rest) = octets.split_first()?;
    let (account, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (count, mut rest) = rest.split_first_chunk()?;
    let (number, count) = (u64::from_be_bytes(*number), u16::from_be_bytes(*count));
    if number == 0 || usize::from(count) > MAX_DEVICES {
        return None;
    }
    let mut devices: Vec<ListedDevice> = Vec::new();
    for _ in 0..count {
        let (device, after) = read_device(rest)?;
        if devices.last().is_some_and(|last| last.id >= device.id) {
            return None;
        }
        devices.push(device);
        rest = after;
    }
    let list = DeviceList { number, devices };
    rest.is_empty()
        .then(|| (AccountId::new(*account), *key, list))
}

fn read_device(octets: &[u8]) -> Option<(ListedDevice, &[u8])> {
    let (id, rest) = octets.split_first_chunk()?;
    let (key, rest) = rest.split_first_chunk::<DEVICE_KEY_OCTETS>()?;
    let (added_at, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let fits = name.len() <= MAX_DEVICE_NAME_OCTETS && is_public_key(key);
    let device = ListedDevice {
        id: ReplicaId::new(*id),
        key: *key,
        added_at: Timestamp::from_millis(i64::from_be_bytes(*added_at)),
        name: core::str::from_utf8(name).ok()?.to_owned(),
    };
    fits.then_some((device, rest))
}
