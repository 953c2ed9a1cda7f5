//! The side of the device that is in, and the form of the messages.
//!
//! ```text
//! hello    = nonce 32 | public key 32 (Ed25519) | canonical address
//! opening  = nonce 32 | device 16 | public key 32 (Ed25519) | sealing key 1216 | name
//! handover = 1 | account 16 | epoch u32 | root key, sealed 1168 | number of the list u64
//!              | digest of the list 32 | Ed25519 signature 64 over label | transcript | the fields
//!          | 0                                                          (refused)
//! ```

use rand::{CryptoRng, RngCore};

use super::{
    EnrolmentCode, EnrolmentError, HASH_OCTETS, MAX_TRIES, SEALED_KEY_OCTETS, SEALING_KEY_OCTETS,
    Step, Transcript, in_time, list_digest, until,
};
use crate::auth::device::{DEVICE_KEY_OCTETS, DeviceKey, is_public_key};
use crate::auth::devices::{ListedDevice, Recipient, SignedDeviceList};
use crate::auth::sealing::seal_to;
use crate::auth::wire::{Device, MAX_DEVICE_NAME_OCTETS};
use crate::id::{AccountId, Address, ReplicaId, Timestamp};
use crate::keys::verification;
use crate::seal::{AccountKeys, RootKey};

pub(super) const REFUSED: u8 = 0;
pub(super) const HANDED_OVER: u8 = 1;
const NONCE_OCTETS: usize = 32;

/// A device that has greeted a newcomer and waits for its opening.
pub struct Sponsor {
    code: EnrolmentCode,
    /// For this enrolment alone.
    key: DeviceKey,
    hello: Vec<u8>,
    until: Timestamp,
}

/// One that knows the newcomer and waits for the words.
pub struct Comparing {
    agreed: Agreed,
    until: Timestamp,
    tries: u32,
}

/// One whose user has typed the right words.
#[derive(Clone)]
pub struct Agreed {
    code: EnrolmentCode,
    key: DeviceKey,
    transcript: Transcript,
    newcomer: Entry,
}

#[derive(Clone)]
struct Entry {
    id: ReplicaId,
    key: [u8; DEVICE_KEY_OCTETS],
    sealing_key: Vec<u8>,
    name: String,
}

impl Sponsor {
    /// Begins with the code that a newcomer shows; the hello, to be sent.
    pub fn start(
        code: EnrolmentCode,
        address: &Address,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<(Self, Vec<u8>), EnrolmentError> {
        let key = DeviceKey::generate(rng);
        let mut nonce = [0; NONCE_OCTETS];
        rng.fill_bytes(&mut nonce);
        let address = address.canonical();
        let public_key = key.public_key();
        let hello = [&nonce[..], &public_key, address.as_str().as_bytes()].concat();
        let sealed = code.seal(Step::Hello, &hello, rng)?;
        let sponsor = Self {
            code,
            key,
            hello,
            until: until(now),
        };
        Ok((sponsor, sealed))
    }

    /// Where the messages are.
    pub const fn code(&self) -> &EnrolmentCode {
        &self.code
    }

    /// Takes the newcomer's opening.
    pub fn handle_opening(
        self,
        opening: &[u8],
        now: Timestamp,
    ) -> Result<Comparing, EnrolmentError> {
        in_time(self.until, now)?;
        let opening = self.code.open(Step::Opening, opening)?;
        let transcript = Transcript::of(&self.code, &self.hello, &opening)?;
        let newcomer = read_opening(&opening).ok_or(EnrolmentError::Foreign)?;
        let agreed = Agreed {
            code: self.code,
            key: self.key,
            transcript,
            newcomer,
        };
        Ok(Comparing {
            agreed,
            until: self.until,
            tries: 0,
        })
    }
}

impl Comparing {
    /// What the newcomer calls itself.
    pub fn device_name(&self) -> &str {
        &self.agreed.newcomer.name
    }

    /// Takes the words that the user has read from the newcomer's screen, in any case, with any
    /// space, comma or dash between them.
    pub fn compare(&mut self, typed: &str, now: Timestamp) -> Result<Agreed, EnrolmentError> {
        in_time(self.until, now)?;
        if self.tries >= MAX_TRIES {
            return Err(EnrolmentError::NoMoreTries);
        }
        if verification::are_typed(&self.agreed.transcript.words(), typed) {
            return Ok(self.agreed.clone());
        }
        self.tries = self.tries.saturating_add(1);
        Err(if self.tries < MAX_TRIES {
            EnrolmentError::WrongWords
        } else {
            EnrolmentError::NoMoreTries
        })
    }

    /// Where the messages are.
    pub const fn code(&self) -> &EnrolmentCode {
        &self.agreed.code
    }

    /// Tells the newcomer that nothing comes.
    pub fn refuse(&self, rng: &mut (impl CryptoRng + RngCore)) -> Result<Vec<u8>, EnrolmentError> {
        self.agreed.code.seal(Step::Handover, &[REFUSED], rng)
    }
}

impl Agreed {
    /// Where the messages are.
    pub const fn code(&self) -> &EnrolmentCode {
        &self.code
    }

    /// The newcomer, for the list of devices.
    pub fn listed(&self, now: Timestamp) -> ListedDevice {
        let newcomer = &self.newcomer;
        ListedDevice {
            id: newcomer.id,
            key: newcomer.key,
            added_at: now,
            name: newcomer.name.clone(),
            recipient: Some(Recipient::new(newcomer.sealing_key.clone())),
        }
    }

    /// Signs by another key than that of the hello.
    #[cfg(test)]
    pub(super) fn forge(&mut self, key: DeviceKey) {
        self.key = key;
    }

    /// The last message: the account's keys, once this list with the newcomer in it is put.
    pub fn hand_over(
        &self,
        keys: &AccountKeys,
        list: &SignedDeviceList,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Vec<u8>, EnrolmentError> {
        let roots = keys.roots();
        let root = roots.first().ok_or(EnrolmentError::NoKeys)?;
        let (account, epoch) = (keys.account(), keys.first_epoch().to_be_bytes());
        let bound = bound(&self.transcript, account, epoch);
        let sealed = seal_to(&self.newcomer.sealing_key, root.octets(), &bound, rng);
        let body = [
            &account.as_bytes()[..],
            &epoch,
            &sealed.ok_or(EnrolmentError::Foreign)?,
            &list.list().number().to_be_bytes(),
            &list_digest(list.octets()),
        ]
        .concat();
        let signature = self.key.sign(&self.transcript.signed(&body));
        let message = [&[HANDED_OVER][..], &body, &signature].concat();
        self.code.seal(Step::Handover, &message, rng)
    }
}

pub(super) fn opening(nonce: &[u8; NONCE_OCTETS], device: &Device, key: &DeviceKey) -> Vec<u8> {
    [
        &nonce[..],
        device.id.as_bytes(),
        &key.public_key(),
        &key.sealing_secret().public_key(),
        device.name.as_bytes(),
    ]
    .concat()
}

fn read_opening(opening: &[u8]) -> Option<Entry> {
    let (_nonce, rest) = opening.split_first_chunk::<NONCE_OCTETS>()?;
    let (id, rest) = rest.split_first_chunk::<{ ReplicaId::LEN }>()?;
    let (key, rest) = rest.split_first_chunk::<DEVICE_KEY_OCTETS>()?;
    let (sealing_key, name) = rest.split_first_chunk::<SEALING_KEY_OCTETS>()?;
    let name = core::str::from_utf8(name).ok()?;
    // It goes to a terminal, too.
    let is_plain = name.len() <= MAX_DEVICE_NAME_OCTETS && !name.chars().any(char::is_control);
    (is_plain && is_public_key(key)).then(|| Entry {
        id: ReplicaId::new(*id),
        key: *key,
        sealing_key: sealing_key.to_vec(),
        name: name.to_owned(),
    })
}

pub(super) fn read_hello(hello: &[u8]) -> Option<([u8; DEVICE_KEY_OCTETS], Address)> {
    let (_nonce, rest) = hello.split_first_chunk::<NONCE_OCTETS>()?;
    let (key, address) = rest.split_first_chunk::<DEVICE_KEY_OCTETS>()?;
    let address = Address::new(core::str::from_utf8(address).ok()?).ok()?;
    is_public_key(key).then_some((*key, address))
}

/// Account, epoch, root key, list.
type Handed = (AccountId, u32, RootKey, (u64, [u8; HASH_OCTETS]));

pub(super) fn read_handover(
    body: &[u8],
    transcript: &Transcript,
    key: &DeviceKey,
) -> Option<Handed> {
    let (account, rest) = body.split_first_chunk::<{ AccountId::LEN }>()?;
    let (epoch, rest) = rest.split_first_chunk::<4>()?;
    let (sealed, rest) = rest.split_first_chunk::<SEALED_KEY_OCTETS>()?;
    let (number, digest) = rest.split_first_chunk::<8>()?;
    let digest = <[u8; HASH_OCTETS]>::try_from(digest).ok()?;
    let account = AccountId::new(*account);
    let bound = bound(transcript, account, *epoch);
    let root = key.sealing_secret().open(sealed, &bound)?;
    Some((
        account,
        u32::from_be_bytes(*epoch),
        RootKey::from_octets(*root),
        (u64::from_be_bytes(*number), digest),
    ))
}

fn bound(transcript: &Transcript, account: AccountId, epoch: [u8; 4]) -> Vec<u8> {
    [super::LABEL, &transcript.0, account.as_bytes(), &epoch[..]].concat()
}
