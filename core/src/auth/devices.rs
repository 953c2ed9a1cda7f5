//! The account's list of its devices, signed by a key that is derived from the root key, and the
//! key epochs that begin when one is removed.
//!
//! The provider keeps the list and gives it out, and can write none: it does not have the account's
//! key, which every device derives by itself. The list's *number* grows by one with each change, so
//! a device that has seen one knows an older one ([`judge`]). Whoever logs in with the password puts
//! their device into the list; a device that is not in it is none of the account's, whatever the
//! provider says, and is told of ([`DeviceAlarm`]).
//!
//! A device that is *removed* has the root key, so the list without it begins a new *epoch*: a new
//! root key, sealed to the devices that stay, to the password and to the recovery phrase, whose
//! public keys the list names; nobody has to type anything (`epochs`). The list is then signed by
//! the new epoch's key, and says by the old one's signature that it follows. `coding` has the form.
//!
//! Invariant: entries ascend by device, so a list has one form; a list's epochs begin with those of
//! every earlier one. Rejected: a sealed document, which the provider could not read: it has to
//! know the keys by which devices log in; a new root key in the wraps of password and phrase, which
//! only who has just typed them can make.

mod alarm;
mod coding;
mod epochs;
mod shown;
#[cfg(test)]
mod epochs_tests;
#[cfg(test)]
mod tests;

use ed25519_dalek::SigningKey;
use rand::{CryptoRng, RngCore};

use super::device::DEVICE_KEY_OCTETS;
use super::wire::MAX_DEVICE_NAME_OCTETS;
use crate::id::{AccountId, ReplicaId, Timestamp};
use crate::seal::{AccountKeys, RootKey};

pub use alarm::{AlarmLetter, DeviceAlarm};
pub use coding::{LIST_VERSION, epoch_of};
pub use epochs::{Handover, Removal, Ways, open_epochs};
pub use shown::{ShownDevice, Standing, shown};

/// Most devices of an account.
pub const MAX_DEVICES: usize = 200;

/// To whom the root keys of later epochs are sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    key: Vec<u8>,
    /// The root key of the list's epoch; none in the first, whose root key all have.
    sealed: Option<Vec<u8>>,
}

impl Recipient {
    /// Who has this public key ([`super::SealingSecret::public_key`]).
    pub const fn new(key: Vec<u8>) -> Self {
        Self { key, sealed: None }
    }
}

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
    /// What is sealed to it; `None` of a device that a program from before key epochs has listed.
    pub recipient: Option<Recipient>,
}

/// What brings an account to a device that has nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// The password.
    Password,
    /// The recovery phrase.
    Phrase,
}

/// A way into the account, to which root keys are sealed as to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayIn {
    way: Way,
    recipient: Recipient,
}

/// The devices of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceList {
    number: u64,
    epochs: Vec<Handover>,
    devices: Vec<ListedDevice>,
    /// Ascending by way.
    ways: Vec<WayIn>,
}

/// A list whose signature is good: by the account key that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedDeviceList {
    account: AccountId,
    /// Of the first epoch.
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
    /// The account has none, because no device has proved the password since there are lists.
    #[error("the account has no signed list of devices yet: log in here with the password once")]
    Missing,
    /// Devices were removed `MAX_EPOCHS` times.
    #[error("the account has had too many key epochs: move to a new account")]
    Exhausted,
    /// The account is in a later epoch than is known here, and nothing here opens its key.
    #[error(
        "the account's keys have changed, and this device does not have the new ones: log in here \
         with the password"
    )]
    NoKeys,
    /// A new root key would not reach who has nothing but this.
    #[error("the account's {0} is not known to its list of devices yet")]
    NoWay(Way),
}

impl core::fmt::Display for Way {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Password => "password",
            Self::Phrase => "recovery phrase",
        })
    }
}

impl DeviceList {
    /// The first list of an account, with its first device.
    pub fn first(device: ListedDevice) -> Self {
        Self {
            number: 1,
            epochs: Vec::new(),
            devices: vec![device.trimmed()],
            ways: Vec::new(),
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

    /// How each epoch but the first began.
    pub fn epochs(&self) -> &[Handover] {
        &self.epochs
    }

    /// The device with this id.
    pub fn find(&self, id: ReplicaId) -> Option<&ListedDevice> {
        self.devices.iter().find(|device| device.id == id)
    }

    /// Whether new root keys reach who comes this way.
    pub fn has_way(&self, way: Way) -> bool {
        self.ways.iter().any(|known| known.way == way)
    }

    /// The next list, in which this device is; `None` if it is in this one, with its keys and name.
    /// A device that has another name only keeps the time at which it was added. In a full list the
    /// oldest of its name makes room: browsers that were cleared leave such behind.
    pub fn with(&self, device: ListedDevice) -> Result<Option<Self>, DeviceListError> {
        let mut device = device.trimmed();
        let before = self.find(device.id);
        if let Some(before) = before.filter(|before| before.key == device.key) {
            if before.is_known_as(&device) {
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

    /// The next list, which names these ways in; `None` if this one does.
    pub fn with_ways(&self, ways: &Ways) -> Option<Self> {
        let mut next = self.clone().naming(ways);
        next.number = next.number.saturating_add(1);
        (next.ways != self.ways).then_some(next)
    }

    /// This list, with these ways in: for one that nobody has yet.
    #[must_use]
    pub fn naming(mut self, ways: &Ways) -> Self {
        for (way, secret) in ways.known() {
            let key = secret.public_key();
            self.ways
                .retain(|known| known.way != way || known.recipient.key == key);
            if !self.has_way(way) {
                let recipient = Recipient::new(key);
                self.ways.push(WayIn { way, recipient });
            }
        }
        self.ways.sort_by_key(|known| known.way);
        self
    }

    /// The next list, in which this device is not; `None` if it is not in this one. For one that
    /// leaves by itself and takes no keys with it.
    pub fn without(&self, id: ReplicaId) -> Option<Self> {
        self.find(id).map(|_| self.others(id))
    }

    /// Signs the list in the account's name, and seals its epoch's root key to those who do not
    /// have it. Fails if that is not among the keys.
    pub fn sign(
        &self,
        keys: &AccountKeys,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<SignedDeviceList, DeviceListError> {
        let roots = keys.roots();
        let (Some(first), Some(root)) = (roots.first(), roots.get(self.epochs.len())) else {
            return Err(DeviceListError::NoKeys);
        };
        let first = signing_key(first).verifying_key().to_bytes();
        self.clone().sign_under((keys.account(), first), root, rng)
    }

    fn sign_under(
        mut self,
        (account, first): (AccountId, [u8; 32]),
        root: &RootKey,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<SignedDeviceList, DeviceListError> {
        let signing = signing_key(root);
        let key = self.epochs.last().map_or(first, |last| last.key);
        if signing.verifying_key().to_bytes() != key {
            return Err(DeviceListError::NoKeys);
        }
        if !self.epochs.is_empty() {
            self.seal_root(account, root, rng)?;
        }
        let octets = coding::sign(&self, account, &first, &signing);
        Ok(SignedDeviceList {
            account,
            key: first,
            list: self,
            octets,
        })
    }

    fn others(&self, id: ReplicaId) -> Self {
        let mut others = self.clone();
        others.number = others.number.saturating_add(1);
        others.devices.retain(|device| device.id != id);
        others
    }
}

impl SignedDeviceList {
    /// Reads a list and checks that the account key that it names has signed it, and that each
    /// epoch's key has signed the next.
    pub fn parse(octets: &[u8]) -> Result<Self, DeviceListError> {
        coding::parse(octets)
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

    /// Whether these keys are the account's that has signed it: all epochs that are known here are
    /// the list's too. It may have later ones.
    pub fn is_by(&self, keys: &AccountKeys) -> bool {
        let key_of = |root: &RootKey| signing_key(root).verifying_key().to_bytes();
        let known = keys.roots();
        let known = known.iter().map(key_of);
        let named = core::iter::once(self.key).chain(self.list.epochs.iter().map(|one| one.key));
        let named: Vec<_> = named.take(known.len()).collect();
        self.account == keys.account() && known.eq(named)
    }

    /// Whether this can take the other one's place: of the same account and its epochs, and later.
    pub fn follows(&self, before: &Self) -> bool {
        self.account == before.account
            && self.key == before.key
            && self.list.epochs.starts_with(&before.list.epochs)
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
    let number = seen.map_or(0, |seen| seen.list.number);
    let not_signed = || Err(DeviceAlarm::NotSigned(number).into());
    let shown = match SignedDeviceList::parse(shown) {
        Ok(list) => list,
        Err(error @ DeviceListError::Newer(_)) => return Err(error.into()),
        Err(_) => return not_signed(),
    };
    let set_back = DeviceAlarm::SetBack {
        seen: number,
        shown: shown.list.number,
    };
    let Some(seen) = seen else {
        return if shown.is_by(keys) {
            Ok(Some(shown))
        } else {
            not_signed()
        };
    };
    // An older list is of an older epoch, maybe; a removed device can sign any of those.
    if seen.follows(&shown) && shown.account == keys.account() {
        return Err(set_back.into());
    }
    if !shown.is_by(keys) || !shown.list.epochs.starts_with(&seen.list.epochs) {
        return not_signed();
    }
    if shown.list.number < number {
        return Err(set_back.into());
    }
    if shown.list.number == number && seen.list != shown.list {
        return Err(DeviceAlarm::Rewritten(number).into());
    }
    Ok(Some(shown))
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

    /// Whether the other says nothing new of the same device; a program from before key epochs
    /// says less.
    fn is_known_as(&self, other: &Self) -> bool {
        let key = |device: &Self| device.recipient.as_ref().map(|one| one.key.clone());
        self.name == other.name && (other.recipient.is_none() || key(self) == key(other))
    }
}

fn signing_key(root: &RootKey) -> SigningKey {
    SigningKey::from_bytes(&root.signing_seed())
}
