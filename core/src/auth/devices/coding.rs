//! The form of a signed list of devices.
//!
//! ```text
//! list      = version 2 | account 16 | account key 32 (of the first epoch) | number u64
//!             | count u16 | epoch ... | count u16 | device ... | count u8 | way ...
//! epoch     = account key 32 | number u64 (of its first list) | by 16 | removed 16
//!             | at i64 (milliseconds) | length u8 | name of the removed | wrap of the root key before
//!             | Ed25519 signature 64 by the key of the epoch before, over
//!               label | account 16 | that key 32 | the fields above                    (RFC 8032)
//! device    = device 16 | public key 32 | added i64 (milliseconds) | length u8 | name | recipient
//! way       = 1 (password) or 2 (phrase) | recipient
//! recipient = 0 | 1, sealing key 1216 | 2, sealing key 1216, root key sealed 1168
//! signed    = list | Ed25519 signature 64 by the last epoch's key over label | list
//! ```
//!
//! Integers are big-endian. Version 1, which is read too, ends with the devices, has no epochs and
//! no recipients.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::epochs::{Handover, MAX_EPOCHS, SIGNATURE_OCTETS};
use super::{
    DeviceList, DeviceListError, ListedDevice, MAX_DEVICES, Recipient, SignedDeviceList, Way, WayIn,
};
use crate::auth::device::{DEVICE_KEY_OCTETS, is_public_key};
use crate::auth::sealing::{SEALED_KEY_OCTETS, SEALING_KEY_OCTETS};
use crate::auth::wire::MAX_DEVICE_NAME_OCTETS;
use crate::auth::wrap::WRAP_LEN;
use crate::id::{AccountId, ReplicaId, Timestamp};

/// The version of lists that this program writes; it reads those before it too.
pub const LIST_VERSION: u8 = 2;
/// The version before there were key epochs.
const WITHOUT_EPOCHS: u8 = 1;
pub(super) const LABEL: &[u8] = b"letterlock/auth/1/devices\0";
/// Octets before the number of epochs.
const BEFORE_EPOCHS: usize = 1 + 16 + 32 + 8;

/// The key epoch that a list is of, from its first octets and unproven: for a provider that keeps
/// a list which was checked before.
pub fn epoch_of(list: &[u8]) -> u32 {
    let count = list
        .get(BEFORE_EPOCHS..)
        .filter(|_| list.first() == Some(&LIST_VERSION));
    let count = count.and_then(<[u8]>::first_chunk::<2>);
    let later = count.map_or(0, |count| u16::from_be_bytes(*count));
    u32::from(later).saturating_add(1)
}

/// The octets of a list, signed.
pub(super) fn sign(
    list: &DeviceList,
    account: AccountId,
    first: &[u8; 32],
    key: &SigningKey,
) -> Vec<u8> {
    let mut octets = [
        &[LIST_VERSION][..],
        account.as_bytes(),
        first,
        &list.number.to_be_bytes(),
        &short(list.epochs.len()),
    ]
    .concat();
    for epoch in &list.epochs {
        octets.extend_from_slice(&epoch.octets());
        octets.extend_from_slice(&epoch.signature);
    }
    octets.extend_from_slice(&short(list.devices.len()));
    for device in &list.devices {
        octets.extend_from_slice(device.id.as_bytes());
        octets.extend_from_slice(&device.key);
        octets.extend_from_slice(&device.added_at.as_millis().to_be_bytes());
        put_name(&mut octets, &device.name);
        put_recipient(&mut octets, device.recipient.as_ref());
    }
    octets.push(u8::try_from(list.ways.len()).unwrap_or(u8::MAX));
    for way in &list.ways {
        octets.push(way_octet(way.way));
        put_recipient(&mut octets, Some(&way.recipient));
    }
    let signature = key.sign(&[LABEL, &octets].concat());
    octets.extend_from_slice(&signature.to_bytes());
    octets
}

pub(super) fn put_name(octets: &mut Vec<u8>, name: &str) {
    octets.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    octets.extend_from_slice(name.as_bytes());
}

fn put_recipient(octets: &mut Vec<u8>, recipient: Option<&Recipient>) {
    match recipient {
        None => octets.push(0),
        Some(Recipient { key, sealed: None }) => {
            octets.push(1);
            octets.extend_from_slice(key);
        }
        Some(Recipient {
            key,
            sealed: Some(sealed),
        }) => {
            octets.push(2);
            octets.extend_from_slice(key);
            octets.extend_from_slice(sealed);
        }
    }
}

const fn way_octet(way: Way) -> u8 {
    match way {
        Way::Password => 1,
        Way::Phrase => 2,
    }
}

/// A length that was checked to fit.
fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// Reads a list and checks its signatures.
pub(super) fn parse(octets: &[u8]) -> Result<SignedDeviceList, DeviceListError> {
    let version = match octets.first() {
        Some(&version @ (WITHOUT_EPOCHS | LIST_VERSION)) => version,
        Some(&version) => return Err(DeviceListError::Newer(version)),
        None => return Err(DeviceListError::Malformed),
    };
    let cut = octets.len().checked_sub(SIGNATURE_OCTETS);
    let (content, signature) = cut
        .and_then(|cut| octets.split_at_checked(cut))
        .ok_or(DeviceListError::Malformed)?;
    let (account, first, list) = read(version, content).ok_or(DeviceListError::Malformed)?;
    let mut key = first;
    for epoch in &list.epochs {
        check(&key, &epoch.message(account, &key), &epoch.signature)?;
        key = epoch.key;
    }
    check(&key, &[LABEL, content].concat(), signature)?;
    Ok(SignedDeviceList {
        account,
        key: first,
        list,
        octets: octets.to_vec(),
    })
}

fn check(key: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), DeviceListError> {
    let signer = VerifyingKey::from_bytes(key).map_err(|_| DeviceListError::Malformed)?;
    let signature = Signature::from_slice(signature).map_err(|_| DeviceListError::Malformed)?;
    signer
        .verify_strict(message, &signature)
        .map_err(|_| DeviceListError::BadSignature)
}

fn read(version: u8, octets: &[u8]) -> Option<(AccountId, [u8; 32], DeviceList)> {
    let mut rest = Reader(octets.get(1..)?);
    let account = AccountId::new(rest.take()?);
    let key = rest.take()?;
    let number = u64::from_be_bytes(rest.take()?);
    let mut list = DeviceList {
        number,
        epochs: Vec::new(),
        devices: Vec::new(),
        ways: Vec::new(),
    };
    if version != WITHOUT_EPOCHS {
        for _ in 0..rest.count(MAX_EPOCHS)? {
            let epoch = rest.epoch()?;
            let before = list.epochs.last().map_or(1, |last: &Handover| last.number);
            if epoch.number <= before || epoch.number > number {
                return None;
            }
            list.epochs.push(epoch);
        }
    }
    for _ in 0..rest.count(MAX_DEVICES)? {
        let device = rest.device(version)?;
        if list.devices.last().is_some_and(|last| last.id >= device.id) {
            return None;
        }
        list.devices.push(device);
    }
    if version != WITHOUT_EPOCHS {
        let [count] = rest.take()?;
        for _ in 0..count {
            let way = rest.way()?;
            if list.ways.last().is_some_and(|last| last.way >= way.way) {
                return None;
            }
            list.ways.push(way);
        }
    }
    (number > 0 && rest.0.is_empty()).then_some((account, key, list))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    fn count(&mut self, most: usize) -> Option<usize> {
        let count = usize::from(u16::from_be_bytes(self.take()?));
        (count <= most).then_some(count)
    }

    fn time(&mut self) -> Option<Timestamp> {
        let at = i64::from_be_bytes(self.take()?);
        Some(Timestamp::from_millis(at))
    }

    fn name(&mut self) -> Option<String> {
        let [length] = self.take()?;
        let name = self.slice(usize::from(length))?;
        let name = core::str::from_utf8(name).ok()?;
        (name.len() <= MAX_DEVICE_NAME_OCTETS).then(|| name.to_owned())
    }

    fn recipient(&mut self) -> Result<Option<Recipient>, DeviceListError> {
        let bad = DeviceListError::Malformed;
        let [kind] = self.take().ok_or(bad)?;
        if kind == 0 {
            return Ok(None);
        }
        let key = self.slice(SEALING_KEY_OCTETS).ok_or(bad)?.to_vec();
        let sealed = match kind {
            1 => None,
            2 => Some(self.slice(SEALED_KEY_OCTETS).ok_or(bad)?.to_vec()),
            _ => return Err(bad),
        };
        Ok(Some(Recipient { key, sealed }))
    }

    fn device(&mut self, version: u8) -> Option<ListedDevice> {
        let id = ReplicaId::new(self.take()?);
        let key = self.take::<DEVICE_KEY_OCTETS>()?;
        let device = ListedDevice {
            id,
            key,
            added_at: self.time()?,
            name: self.name()?,
            recipient: match version {
                WITHOUT_EPOCHS => None,
                _ => self.recipient().ok()?,
            },
        };
        is_public_key(&key).then_some(device)
    }

    fn way(&mut self) -> Option<WayIn> {
        let way = match self.take()? {
            [1] => Way::Password,
            [2] => Way::Phrase,
            _ => return None,
        };
        let recipient = self.recipient().ok()??;
        Some(WayIn { way, recipient })
    }

    fn epoch(&mut self) -> Option<Handover> {
        Some(Handover {
            key: self.take()?,
            number: u64::from_be_bytes(self.take()?),
            by: ReplicaId::new(self.take()?),
            removed: ReplicaId::new(self.take()?),
            at: self.time()?,
            name: self.name()?,
            previous: self.take::<WRAP_LEN>()?,
            signature: self.take()?,
        })
    }
}
