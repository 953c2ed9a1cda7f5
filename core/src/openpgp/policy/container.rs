//! A look at a message's packets before it is opened (checks 26, 28 and 30).
//!
//! Reads packet headers (RFC 9580 4.2) up to the encrypted container and refuses what must not
//! reach rPGP: too many session keys, data without integrity protection, packet type 20 of `GnuPG`,
//! OCB chunks that this target cannot open. Nothing is decrypted or allocated.

use super::limits::{MAX_PASSWORD_PACKETS, MAX_RECIPIENT_PACKETS};
use crate::openpgp::frame::{Frame, Length};
use crate::portable::OCB_CHUNK_LIMIT;

/// Why a message is refused before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The packets cannot be read.
    #[error("not an OpenPGP message")]
    Form,
    /// It is an OpenPGP message, but not an encrypted one.
    #[error("not encrypted")]
    NotEncrypted,
    /// More recipients or passwords than the limits allow.
    #[error("more than {MAX_RECIPIENT_PACKETS} recipients or {MAX_PASSWORD_PACKETS} passwords")]
    TooManySessionKeys,
    /// Symmetrically encrypted data without integrity protection (packet type 9), or `GnuPG`'s
    /// packet type 20.
    #[error("encrypted without standard integrity protection")]
    NoIntegrity,
    /// A container version that is not spoken here.
    #[error("an encrypted container of a version that is not supported")]
    Version,
    /// OCB with chunks larger than this target can open.
    #[error(
        "OCB chunks of {octets} octets; here at most {limit} can be opened, the bridge on a computer opens all"
    )]
    ChunkTooLarge {
        /// Size of the message's chunks.
        octets: u64,
        /// Largest size that opens here.
        limit: u64,
    },
}

/// What a message is encrypted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::openpgp) struct Container {
    /// SEIPD version 2's cipher, by its OpenPGP number; version 1 tells it with the session key.
    pub(in crate::openpgp) aead_cipher: Option<u8>,
    /// There is a session key for the holder of a private key.
    pub(in crate::openpgp) has_recipient: bool,
    /// There is a session key under a password.
    pub(in crate::openpgp) has_password: bool,
}

const AEAD_OCB: u8 = 2;

/// Looks at a binary message.
pub(in crate::openpgp) fn inspect(message: &[u8]) -> Result<Container, Refused> {
    inspect_under(message, OCB_CHUNK_LIMIT)
}

pub(super) fn inspect_under(
    message: &[u8],
    chunk_limit: Option<u64>,
) -> Result<Container, Refused> {
    let mut rest = message;
    let (mut recipients, mut passwords) = (0_usize, 0_usize);
    loop {
        let packet = Packet::read(rest).ok_or(Refused::Form)?;
        match packet.tag {
            1 => recipients += 1,
            3 => passwords += 1,
            10 | 21 => {} // marker, padding
            18 => {
                let container = Container {
                    aead_cipher: seipd(packet.body, chunk_limit)?,
                    has_recipient: recipients > 0,
                    has_password: passwords > 0,
                };
                return Ok(container);
            }
            9 | 20 => return Err(Refused::NoIntegrity),
            2 | 4 | 8 | 11 => return Err(Refused::NotEncrypted),
            _ => return Err(Refused::Form),
        }
        if recipients > MAX_RECIPIENT_PACKETS || passwords > MAX_PASSWORD_PACKETS {
            return Err(Refused::TooManySessionKeys);
        }
        rest = packet.rest.ok_or(Refused::Form)?;
    }
}

/// Version 1: `None`; version 2: the cipher's number.
fn seipd(body: &[u8], chunk_limit: Option<u64>) -> Result<Option<u8>, Refused> {
    match body {
        [1, ..] => Ok(None),
        [2, cipher, aead, chunk_octet, ..] => {
            let octets = 1_u64 << (u32::from(*chunk_octet).min(56) + 6);
            match chunk_limit {
                Some(limit) if *aead == AEAD_OCB && octets > limit => {
                    Err(Refused::ChunkTooLarge { octets, limit })
                }
                _ => Ok(Some(*cipher)),
            }
        }
        _ => Err(Refused::Version),
    }
}

struct Packet<'a> {
    tag: u8,
    /// The body, or its first part if it comes in parts or is cut off.
    body: &'a [u8],
    /// What follows; `None` if that cannot be told.
    rest: Option<&'a [u8]>,
}

impl<'a> Packet<'a> {
    fn read(octets: &'a [u8]) -> Option<Self> {
        let frame = Frame::read(octets)?;
        let after = octets.get(frame.head..)?;
        let (body, rest) = match frame.length {
            Length::Fixed(length) => match after.split_at_checked(length) {
                Some((body, rest)) => (body, Some(rest)),
                None => (after, None),
            },
            Length::Partial(length) => (after.get(..length).unwrap_or(after), None),
            Length::Indeterminate => (after, None),
        };
        let tag = frame.tag;
        Some(Self { tag, body, rest })
    }
}
