//! Key epochs: how a removal begins one, and how its root key reaches those who stay.
//!
//! ```text
//! removal: root key' = random; sealed to every device that stays, to password and phrase;
//!          root key wrapped under root key'; "key' follows key" signed by key; the list signed by key'
//! others:  open what is sealed to them, and from there the root keys before it, down to their own
//! ```
//!
//! The removed device has every earlier root key and none that follows: it is no recipient. Known
//! limits: it can sign for its own epochs, so a device that has not heard of the removal, and is
//! shown a list of the removed one's making instead, takes that; the letter that tells of a new
//! epoch names who has begun it.

use rand::{CryptoRng, RngCore};

use super::{
    AlarmLetter, DeviceList, DeviceListError, Recipient, Refused, SignedDeviceList, Way, coding,
    judge, signing_key,
};
use crate::auth::sealing::{SealingSecret, seal_to};
use crate::auth::wrap::{RootKeyWrap, WRAP_LEN, WrapKind, unwrap_root_key, wrap_root_key};
use crate::id::{AccountId, Address, ReplicaId, Timestamp};
use crate::keys::transparency::Hash;
use crate::mime::{Notice, format_date};
use crate::seal::{AccountKeys, RootKey};

use ed25519_dalek::Signer as _;

/// Most epochs of an account after the first.
pub(super) const MAX_EPOCHS: usize = 500;
pub(super) const SIGNATURE_OCTETS: usize = 64;
const LABEL: &[u8] = b"letterlock/auth/1/epoch\0";

/// How a key epoch began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// What the account signs by from here on.
    pub(super) key: [u8; 32],
    /// The list with which it began.
    pub(super) number: u64,
    /// The device that did the removing, by its own word.
    pub by: ReplicaId,
    /// The device that was removed.
    pub removed: ReplicaId,
    /// Its name.
    pub name: String,
    /// When, by the clock of the one that removed it.
    pub at: Timestamp,
    /// The root key of the epoch before, under this one's.
    pub(super) previous: [u8; WRAP_LEN],
    /// By the key of the epoch before.
    pub(super) signature: [u8; SIGNATURE_OCTETS],
}

/// A removal that the provider has yet to take.
pub struct Removal {
    /// The list to be put.
    pub list: SignedDeviceList,
    /// What the account's keys begin with, once it is.
    pub root: RootKey,
}

/// What a person has proved just now, as what opens the keys of later epochs.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    /// From [`crate::auth::ExportKey::sealing_secret`].
    pub password: Option<SealingSecret>,
    /// From [`crate::auth::RecoveryPhrase::sealing_secret`].
    pub phrase: Option<SealingSecret>,
}

impl Ways {
    /// The password alone.
    pub const fn password(secret: SealingSecret) -> Self {
        Self {
            password: Some(secret),
            phrase: None,
        }
    }

    pub(super) fn known(&self) -> impl Iterator<Item = (Way, &SealingSecret)> {
        let password = self.password.iter().map(|secret| (Way::Password, secret));
        password.chain(self.phrase.iter().map(|secret| (Way::Phrase, secret)))
    }
}

impl Handover {
    /// The message in INBOX that tells of it.
    pub fn letter(&self, list: &DeviceList, to: &Address, now: Timestamp) -> AlarmLetter {
        let digest = Hash(blake3::derive_key("letterlock epoch notice 1", &self.key));
        let by = list.find(self.by).map_or("another device", |by| &by.name);
        let plain = |name: &str| -> String { name.chars().filter(|c| !c.is_control()).collect() };
        let (name, by) = (plain(&self.name), plain(by));
        let at = format_date(self.at);
        let found = format!(
            "“{name}” was removed from your devices by “{by}” on {at}, and your account has new keys"
        );
        let notice = Notice {
            subject: "a device was removed and your keys have changed",
            id: &digest,
            found: &found,
            meanwhile: "What your devices store from here on, the removed one cannot read. They \
                        have the new keys already; there is nothing to type.",
            advice: "If it was not you who did this, somebody has a device of yours, or had one: \
                     look at your devices (letterlock account devices), remove what is not yours, \
                     and change your password. If it was you and the device was stolen, replace \
                     your OpenPGP keys too (letterlock account keys rotate): it has those.",
        };
        AlarmLetter {
            digest,
            message: notice.message(to, now),
        }
    }

    /// All but the signature.
    pub(super) fn octets(&self) -> Vec<u8> {
        let mut octets = [
            &self.key[..],
            &self.number.to_be_bytes(),
            self.by.as_bytes(),
            self.removed.as_bytes(),
            &self.at.as_millis().to_be_bytes(),
        ]
        .concat();
        coding::put_name(&mut octets, &self.name);
        octets.extend_from_slice(&self.previous);
        octets
    }

    /// What the key of the epoch before signs.
    pub(super) fn message(&self, account: AccountId, before: &[u8; 32]) -> Vec<u8> {
        [LABEL, account.as_bytes(), before, &self.octets()].concat()
    }
}

impl DeviceList {
    /// The key epoch that this list is of, from 1.
    pub fn epoch(&self) -> u32 {
        u32::try_from(self.epochs.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1)
    }

    /// The next list, in which this device is not and that begins a new epoch; `None` if it is not
    /// in this one. `by` is the device that removes it. Fails if a new root key would not reach
    /// the password, or the phrase of an account that has one.
    pub fn removing(
        &self,
        id: ReplicaId,
        (by, now): (ReplicaId, Timestamp),
        has_phrase: bool,
        keys: &AccountKeys,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Option<Removal>, DeviceListError> {
        let Some(removed) = self.find(id) else {
            return Ok(None);
        };
        if !self.has_way(Way::Password) {
            return Err(DeviceListError::NoWay(Way::Password));
        }
        if has_phrase && !self.has_way(Way::Phrase) {
            return Err(DeviceListError::NoWay(Way::Phrase));
        }
        if self.epochs.len() >= MAX_EPOCHS {
            return Err(DeviceListError::Exhausted);
        }
        let roots = keys.roots();
        let (Some(first), Some(before)) = (roots.first(), roots.get(self.epochs.len())) else {
            return Err(DeviceListError::NoKeys);
        };
        let root = RootKey::generate(rng);
        let (account, material) = (keys.account(), root.octets());
        let kind = WrapKind::NextEpoch;
        let wrap = wrap_root_key(material, account, self.epoch(), kind, before.octets(), rng);
        let mut next = self.others(id);
        let mut handover = Handover {
            key: signing_key(&root).verifying_key().to_bytes(),
            number: next.number,
            by,
            removed: id,
            name: removed.name.clone(),
            at: now,
            previous: *wrap.octets(),
            signature: [0; SIGNATURE_OCTETS],
        };
        let signing = signing_key(before);
        let message = handover.message(account, signing.verifying_key().as_bytes());
        handover.signature = signing.sign(&message).to_bytes();
        next.epochs.push(handover);
        for (_, recipient) in next.recipients() {
            recipient.sealed = None;
        }
        let first = signing_key(first).verifying_key().to_bytes();
        let list = next.sign_under((account, first), &root, rng)?;
        Ok(Some(Removal { list, root }))
    }

    /// Seals the root key of this list's epoch to those to whom it is not.
    pub(super) fn seal_root(
        &mut self,
        account: AccountId,
        root: &RootKey,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<(), DeviceListError> {
        let epoch = self.epoch();
        for (whose, recipient) in self.recipients() {
            if recipient.sealed.is_none() {
                let bound = bound(account, epoch, &whose);
                let sealed = seal_to(&recipient.key, root.octets(), &bound, rng);
                recipient.sealed = Some(sealed.ok_or(DeviceListError::Malformed)?);
            }
        }
        Ok(())
    }

    fn recipients(&mut self) -> impl Iterator<Item = (Whose, &mut Recipient)> {
        let devices = self.devices.iter_mut().filter_map(|device| {
            let recipient = device.recipient.as_mut()?;
            Some((Whose::Device(device.id), recipient))
        });
        let ways = self.ways.iter_mut();
        devices.chain(ways.map(|way| (Whose::Way(way.way), &mut way.recipient)))
    }

    fn sealed_to(&self, whose: &Whose) -> Option<&[u8]> {
        let recipient = match whose {
            Whose::Device(id) => self.find(*id)?.recipient.as_ref()?,
            Whose::Way(way) => &self.ways.iter().find(|known| known.way == *way)?.recipient,
        };
        recipient.sealed.as_deref()
    }
}

enum Whose {
    Device(ReplicaId),
    Way(Way),
}

fn bound(account: AccountId, epoch: u32, whose: &Whose) -> Vec<u8> {
    let whose = match whose {
        Whose::Device(id) => [b"device", &id.as_bytes()[..]].concat(),
        Whose::Way(Way::Password) => b"password".to_vec(),
        Whose::Way(Way::Phrase) => b"phrase".to_vec(),
    };
    [account.as_bytes(), &epoch.to_be_bytes()[..], &whose].concat()
}

/// Judges what the provider shows as the account's list, for who has no replica and keeps nothing:
/// begins the epochs that it has and the keys have not, by what was just proved.
pub fn open_epochs(
    keys: &AccountKeys,
    shown: Option<&[u8]>,
    ways: &Ways,
) -> Result<Option<SignedDeviceList>, Refused> {
    let list = judge(keys, None, shown)?;
    if let Some(list) = &list {
        let roots = list.later_roots(keys, None, ways)?;
        for root in roots {
            keys.begin(root);
        }
    }
    Ok(list)
}

impl SignedDeviceList {
    /// The root keys of the epochs that follow those that are known, opened as this device or by
    /// what was just proved; empty if there are none. Fails if nothing here opens them.
    pub fn later_roots(
        &self,
        keys: &AccountKeys,
        device: Option<(ReplicaId, &SealingSecret)>,
        ways: &Ways,
    ) -> Result<Vec<RootKey>, DeviceListError> {
        let known = keys.roots().len().saturating_sub(1);
        let Some(later @ [.., _]) = self.list.epochs.get(known..) else {
            return Ok(Vec::new());
        };
        let device = device.map(|(id, secret)| (Whose::Device(id), secret));
        let ways = ways.known().map(|(way, secret)| (Whose::Way(way), secret));
        let newest = device.into_iter().chain(ways).find_map(|(whose, secret)| {
            let bound = bound(self.account, self.list.epoch(), &whose);
            let root = secret.open(self.list.sealed_to(&whose)?, &bound)?;
            Some(RootKey::from_octets(*root))
        });
        let mut root = newest.ok_or(DeviceListError::NoKeys)?;
        let mut roots = Vec::new();
        for epoch in later.iter().rev() {
            if signing_key(&root).verifying_key().to_bytes() != epoch.key {
                return Err(DeviceListError::NoKeys);
            }
            let wrap = RootKeyWrap::from_octets(&epoch.previous);
            let wrap = wrap.map_err(|_| DeviceListError::Malformed)?;
            let kind = WrapKind::NextEpoch;
            let before = unwrap_root_key(root.octets(), self.account, kind, &wrap);
            let before = before.map_err(|_| DeviceListError::NoKeys)?;
            roots.push(root);
            root = RootKey::from_octets(*before.root_key);
        }
        roots.reverse();
        Ok(roots)
    }
}
