//! The side of the device that comes.

use rand::{CryptoRng, RngCore};

use super::{
    EnrolmentCode, EnrolmentError, HASH_OCTETS, SECRET_OCTETS, Step, Transcript, commitment,
    in_time, list_digest, sponsor, until,
};
use crate::auth::device::{DEVICE_KEY_OCTETS, DeviceKey, has_signed};
use crate::auth::devices::{SignedDeviceList, judge};
use crate::auth::wire::{Device, MAX_DEVICE_NAME_OCTETS};
use crate::id::{AccountId, Address, ReplicaId, Timestamp};
use crate::seal::{AccountKeys, RootKey};

/// A device that shows its code and waits for a hello.
pub struct Newcomer {
    code: EnrolmentCode,
    device: Device,
    key: DeviceKey,
    opening: Vec<u8>,
    until: Timestamp,
}

/// One that has shown what it is, and shows its words.
pub struct Opened {
    newcomer: Newcomer,
    address: Address,
    sponsors_key: [u8; DEVICE_KEY_OCTETS],
    transcript: Transcript,
}

/// One whose user has said that the sponsor has taken the words.
pub struct Confirmed(Opened);

/// What a newcomer has in the end.
pub struct Enrolled {
    /// The account.
    pub account: AccountId,
    /// Its address.
    pub address: Address,
    /// The first epoch that has a root key.
    pub epoch: u32,
    /// That root key; later ones are sealed to this device in the list.
    pub root: RootKey,
    /// This device, as it stands in the list.
    pub device: Device,
    /// Its key.
    pub key: DeviceKey,
    /// The list that the sponsor has put.
    pub(super) list: (u64, [u8; HASH_OCTETS]),
}

impl Newcomer {
    /// Begins: makes this device's id and key, and a code.
    pub fn start(name: &str, now: Timestamp, rng: &mut (impl CryptoRng + RngCore)) -> Self {
        let mut secret = [0; SECRET_OCTETS];
        rng.fill_bytes(&mut secret);
        let mut id = [0; ReplicaId::LEN];
        rng.fill_bytes(&mut id);
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let key = DeviceKey::generate(rng);
        let mut name: String = name.chars().filter(|c| !c.is_control()).collect();
        while name.len() > MAX_DEVICE_NAME_OCTETS {
            name.pop();
        }
        let device = Device {
            id: ReplicaId::new(id),
            name,
        };
        let opening = sponsor::opening(&nonce, &device, &key);
        Self {
            code: EnrolmentCode {
                secret: secret.into(),
                commitment: commitment(&opening),
            },
            device,
            key,
            opening,
            until: until(now),
        }
    }

    /// What the sponsor has to see.
    pub const fn code(&self) -> &EnrolmentCode {
        &self.code
    }

    #[cfg(test)]
    pub(super) fn opening_for_tests(&self) -> &[u8] {
        &self.opening
    }

    /// Takes the sponsor's hello; the opening, to be sent.
    pub fn handle_hello(
        self,
        hello: &[u8],
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<(Opened, Vec<u8>), EnrolmentError> {
        in_time(self.until, now)?;
        let hello = self.code.open(Step::Hello, hello)?;
        let (sponsors_key, address) = sponsor::read_hello(&hello).ok_or(EnrolmentError::Foreign)?;
        let transcript = Transcript::of(&self.code, &hello, &self.opening)?;
        let opening = self.code.seal(Step::Opening, &self.opening, rng)?;
        let opened = Opened {
            newcomer: self,
            address,
            sponsors_key,
            transcript,
        };
        Ok((opened, opening))
    }
}

impl Opened {
    /// What the user types into the sponsor.
    pub fn words(&self) -> String {
        self.transcript.words().join(" ")
    }

    /// Whose account the sponsor says it is.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Where the messages are.
    pub const fn code(&self) -> &EnrolmentCode {
        &self.newcomer.code
    }

    /// The user has seen that the sponsor has taken the words.
    pub const fn confirm(self) -> Confirmed {
        Confirmed(self)
    }
}

impl Confirmed {
    /// Where the messages are.
    pub const fn code(&self) -> &EnrolmentCode {
        self.0.code()
    }

    /// Takes the sponsor's last message.
    pub fn handle_handover(
        self,
        message: &[u8],
        now: Timestamp,
    ) -> Result<Enrolled, EnrolmentError> {
        let Self(opened) = self;
        let newcomer = opened.newcomer;
        in_time(newcomer.until, now)?;
        let message = newcomer.code.open(Step::Handover, message)?;
        let (body, signature) = match message.split_first() {
            Some((&sponsor::REFUSED, [])) => return Err(EnrolmentError::Refused),
            Some((&sponsor::HANDED_OVER, rest)) => rest
                .split_last_chunk::<64>()
                .ok_or(EnrolmentError::Foreign)?,
            _ => return Err(EnrolmentError::Foreign),
        };
        let signed = opened.transcript.signed(body);
        if !has_signed(&opened.sponsors_key, &signed, signature) {
            return Err(EnrolmentError::Foreign);
        }
        let read = sponsor::read_handover(body, &opened.transcript, &newcomer.key);
        let (account, epoch, root, list) = read.ok_or(EnrolmentError::Foreign)?;
        Ok(Enrolled {
            account,
            address: opened.address,
            epoch,
            root,
            device: newcomer.device,
            key: newcomer.key,
            list,
        })
    }
}

impl Enrolled {
    /// The account's keys, of the first epoch.
    pub fn keys(&self) -> AccountKeys {
        AccountKeys::derive(self.account, self.epoch, &self.root)
    }

    /// The list that the provider shows, if it is the one that the sponsor has put or one that
    /// follows it: a device that is new could else be shown an old one.
    pub fn judge_list(
        &self,
        keys: &AccountKeys,
        shown: Option<&[u8]>,
    ) -> Result<SignedDeviceList, EnrolmentError> {
        let list = judge(keys, None, shown).ok().flatten();
        let list = list.ok_or(EnrolmentError::OldList)?;
        let (number, digest) = self.list;
        let shown = list.list().number();
        let same = shown == number && list_digest(list.octets()) == digest;
        let in_it = list.list().find(self.device.id);
        if (same || shown > number) && in_it.is_some_and(|own| own.key == self.key.public_key()) {
            Ok(list)
        } else {
            Err(EnrolmentError::OldList)
        }
    }
}
