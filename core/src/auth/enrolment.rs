//! A device that comes to an account by another one of it: by a QR code (or a line of text), and
//! with words that are compared. The password is not needed.
//!
//! ```text
//! newcomer                                                   sponsor, a device of the account
//!   code = secret 16 | commitment 32   ---- screen to camera, or pasted ---->
//!          <---- hello: nonce 32, key 32 that signs, the account's address ----
//!          ---- opening: nonce 32, id, key, sealing key, name of the device --->
//!   words = 33 bits of the transcript      the user types the newcomer's words there
//!                                          (the list of devices with the newcomer in it is put)
//!          <---- handover: account, epoch, its root key, which list; signed ----
//!   the user says that they were taken: it opens the account and logs in by its own key
//! ```
//!
//! The three messages go through a mailbox of the provider (*rendezvous*), whose id follows from
//! the secret of the code. Each is sealed under that secret and padded to one size: the provider
//! learns that there is one, and when. A provider that has seen the code, or somebody else between
//! the two, can answer either of them in the other's place, and then the words differ: the newcomer
//! is committed to its opening before it hears the sponsor's nonce, and shows it only after, so that
//! neither side's words can be searched for. It is a single guess of 2^-33, in front of the user.
//! The root key is sealed to the sealing key of the opening (X-Wing) and signed by the key of the
//! hello: both are part of what the words say.
//!
//! Invariant: nothing of the account but its address leaves the sponsor before its user has typed
//! the right words; a newcomer takes nothing before its user has said that they were. Each message
//! is taken once; every failure ends the attempt, but words that were mistyped. Rejected: a
//! password-authenticated exchange (SPAKE2) with the words as the password, which lets a camera
//! that has seen them in; "are they the same?" on the sponsor, which people answer without looking;
//! X25519 alone, which a quantum computer opens later; the six words of contacts' keys, which have
//! to withstand a search.

mod newcomer;
mod sponsor;
#[cfg(test)]
mod tests;

use core::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::sealing::{SEALED_KEY_OCTETS, SEALING_KEY_OCTETS};
use crate::id::{RendezvousId, Timestamp, decode_hex};
use crate::keys::verification;

pub use newcomer::{Confirmed, Enrolled, Newcomer, Opened};
pub use sponsor::{Agreed, Comparing, Sponsor};

/// How long an enrolment may take, from the code to the handover, in milliseconds: 10 minutes.
pub const ENROLMENT_MS: i64 = 10 * 60 * 1000;
/// Octets of each message, as the provider has it.
pub const MESSAGE_OCTETS: usize = NONCE_OCTETS + PADDED_OCTETS + TAG_OCTETS;
/// Words that are compared.
pub const COMPARED_WORDS: usize = 3;
/// How often the words may be mistyped.
pub const MAX_TRIES: u32 = 3;

const SECRET_OCTETS: usize = 16;
const HASH_OCTETS: usize = 32;
const NONCE_OCTETS: usize = 24;
const TAG_OCTETS: usize = 16;
const PADDED_OCTETS: usize = 2048;
/// What the text of a code begins with.
const SCHEME: &str = "LETTERLOCK1:";
/// Longest text that is read as a code, in octets.
const MAX_CODE_OCTETS: usize = 1024;
const LABEL: &[u8] = b"letterlock/auth/1/enrolment\0";

/// Which of the three messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// From the sponsor.
    Hello,
    /// From the newcomer.
    Opening,
    /// From the sponsor.
    Handover,
}

impl Step {
    /// As the provider's calls name it.
    pub const fn number(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::Opening => 2,
            Self::Handover => 3,
        }
    }
}

/// Why an enrolment has ended, or does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnrolmentError {
    /// The text is none that a newcomer shows.
    #[error("this is not the code that a new device shows")]
    NoCode,
    /// [`ENROLMENT_MS`] have passed.
    #[error("this took too long: begin again with a new code")]
    Expired,
    /// A message is not the other device's, or not of this enrolment.
    #[error("what came is not from the other device: begin again with a new code")]
    Foreign,
    /// The words are not those of the newcomer; they can be typed again.
    #[error("these are not the words that the new device has to show")]
    WrongWords,
    /// They were typed wrong [`MAX_TRIES`] times.
    #[error(
        "these are not the words either: somebody may be between the two devices. Nothing was \
         given out"
    )]
    NoMoreTries,
    /// The sponsor's user has refused, or the words were wrong there.
    #[error("the other device has refused")]
    Refused,
    /// The sponsor lacks a key of the account.
    #[error("this device does not have the account's keys")]
    NoKeys,
    /// The provider shows a list of devices from before this one was in it.
    #[error("the provider does not show the list of devices that this device is in")]
    OldList,
}

/// What a newcomer shows. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolmentCode {
    secret: Zeroizing<[u8; SECRET_OCTETS]>,
    commitment: [u8; HASH_OCTETS],
}

impl EnrolmentCode {
    /// Reads what was scanned or pasted: letters in any case, with any space between them.
    pub fn parse(text: &str) -> Result<Self, EnrolmentError> {
        let text = text.trim();
        let rest = text
            .split_at_checked(SCHEME.len())
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
            .filter(|_| text.len() <= MAX_CODE_OCTETS);
        let (_, digits) = rest.ok_or(EnrolmentError::NoCode)?;
        let digits = Zeroizing::new(digits.split_whitespace().collect::<String>());
        let mut code = Self {
            secret: Zeroizing::new([0; SECRET_OCTETS]),
            commitment: [0; HASH_OCTETS],
        };
        let (secret, commitment) = digits
            .split_at_checked(2 * SECRET_OCTETS)
            .ok_or(EnrolmentError::NoCode)?;
        decode_hex(secret, &mut *code.secret).map_err(|_| EnrolmentError::NoCode)?;
        decode_hex(commitment, &mut code.commitment).map_err(|_| EnrolmentError::NoCode)?;
        Ok(code)
    }

    /// What the QR code holds, and what can be pasted: letters and digits that make it small.
    pub fn text(&self) -> Zeroizing<String> {
        use fmt::Write as _;
        let mut text = Zeroizing::new(SCHEME.to_owned());
        for octet in self.secret.iter().chain(&self.commitment) {
            let _ = write!(text, "{octet:02X}");
        }
        text
    }

    /// Where the messages of this enrolment are.
    pub fn rendezvous(&self) -> RendezvousId {
        let hash = blake3::derive_key("letterlock enrolment 1 rendezvous", &*self.secret);
        let octets = hash.first_chunk::<16>().copied().unwrap_or_default();
        RendezvousId::new(octets)
    }

    /// Seals a message and pads it; they are all shorter than that.
    fn seal(
        &self,
        step: Step,
        message: &[u8],
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Vec<u8>, EnrolmentError> {
        let length = u16::try_from(message.len()).map_err(|_| EnrolmentError::Foreign)?;
        let mut padded = Zeroizing::new([&length.to_be_bytes(), message].concat());
        if padded.len() > PADDED_OCTETS {
            return Err(EnrolmentError::Foreign);
        }
        padded.resize(PADDED_OCTETS, 0);
        let mut nonce = [0; NONCE_OCTETS];
        rng.fill_bytes(&mut nonce);
        let payload = Payload {
            msg: &padded,
            aad: &[step.number()],
        };
        let sealed = self.cipher().encrypt(XNonce::from_slice(&nonce), payload);
        let sealed = sealed.map_err(|_| EnrolmentError::Foreign)?;
        Ok([&nonce[..], &sealed].concat())
    }

    fn open(&self, step: Step, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, EnrolmentError> {
        let opened = sealed
            .split_first_chunk::<NONCE_OCTETS>()
            .and_then(|(nonce, sealed)| {
                let payload = Payload {
                    msg: sealed,
                    aad: &[step.number()],
                };
                let nonce = XNonce::from_slice(nonce);
                self.cipher().decrypt(nonce, payload).ok()
            });
        let opened = Zeroizing::new(opened.ok_or(EnrolmentError::Foreign)?);
        let message = opened.split_first_chunk::<2>().and_then(|(length, rest)| {
            let length = usize::from(u16::from_be_bytes(*length));
            rest.get(..length)
        });
        let message = message.ok_or(EnrolmentError::Foreign)?;
        Ok(Zeroizing::new(message.to_vec()))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        let key = blake3::derive_key("letterlock enrolment 1 messages", &*self.secret);
        XChaCha20Poly1305::new(&key.into())
    }
}

impl fmt::Debug for EnrolmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrolmentCode(…)")
    }
}

/// What both sides have said up to the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Transcript([u8; HASH_OCTETS]);

impl Transcript {
    /// Fails if the opening is not what the code is committed to.
    fn of(code: &EnrolmentCode, hello: &[u8], opening: &[u8]) -> Result<Self, EnrolmentError> {
        if commitment(opening) != code.commitment {
            return Err(EnrolmentError::Foreign);
        }
        let length = u64::try_from(hello.len()).unwrap_or(u64::MAX);
        let said = [
            &code.secret[..],
            &code.commitment,
            &length.to_be_bytes(),
            hello,
            opening,
        ];
        let context = "letterlock enrolment 1 transcript";
        Ok(Self(blake3::derive_key(context, &said.concat())))
    }

    fn words(&self) -> [&'static str; COMPARED_WORDS] {
        let digest = blake3::derive_key("letterlock enrolment 1 words", &self.0);
        verification::words(&digest)
    }

    /// What the sponsor signs of a handover.
    fn signed(&self, handover: &[u8]) -> Vec<u8> {
        [LABEL, &self.0, handover].concat()
    }
}

fn commitment(opening: &[u8]) -> [u8; HASH_OCTETS] {
    blake3::derive_key("letterlock enrolment 1 commitment", opening)
}

fn list_digest(octets: &[u8]) -> [u8; HASH_OCTETS] {
    blake3::derive_key("letterlock enrolment 1 list", octets)
}

fn until(now: Timestamp) -> Timestamp {
    Timestamp::from_millis(now.as_millis().saturating_add(ENROLMENT_MS))
}

fn in_time(until: Timestamp, now: Timestamp) -> Result<(), EnrolmentError> {
    if now < until {
        Ok(())
    } else {
        Err(EnrolmentError::Expired)
    }
}
