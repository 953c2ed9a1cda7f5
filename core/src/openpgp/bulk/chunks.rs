//! Keys, nonces and associated data of SEIPD version 2 (RFC 9580 5.13.2), for GCM.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::BLOCK;

/// The first octet of a container: a packet of type 18, in the new format.
pub(super) const CONTAINER: u8 = 0xd2;
/// GCM's number among the AEAD modes (RFC 9580 9.6).
pub(super) const GCM: u8 = 3;
/// Octets of the body before the first chunk.
pub(super) const HEAD_OCTETS: usize = 4 + SALT_OCTETS;
/// Octets of the salt.
pub(super) const SALT_OCTETS: usize = 32;
/// The largest chunk size octet: chunks of 4 MiB.
const MAX_SIZE_OCTET: u8 = 16;

/// What the chunks of one message have in common.
#[derive(Debug)]
pub(super) struct Chunks {
    /// Octets of a chunk's plaintext; the last may have fewer.
    pub(super) size: usize,
    info: [u8; 5],
    iv: [u8; 4],
}

impl Chunks {
    /// Derives a message's key, in `key_octets`, from the session key.
    pub(super) fn new(
        cipher: u8,
        size_octet: u8,
        salt: &[u8],
        session_key: &[u8],
    ) -> Option<(Self, Zeroizing<Vec<u8>>)> {
        if size_octet > MAX_SIZE_OCTET {
            return None;
        }
        let info = [CONTAINER, 2, cipher, GCM, size_octet];
        // As many octets as the cipher's key has, and the part of the nonce that does not count.
        let mut okm = Zeroizing::new(vec![0; session_key.len() + 4]);
        Hkdf::<Sha256>::new(Some(salt), session_key)
            .expand(&info, &mut okm)
            .ok()?;
        let iv = okm.split_off(session_key.len()).try_into().ok()?;
        let size = 1_usize << (size_octet + 6);
        Some((Self { size, info, iv }, okm))
    }

    /// How many chunks may be under way at a time.
    pub(super) fn under_way(&self) -> usize {
        (super::UNDER_WAY / (self.size + BLOCK)).max(2)
    }

    /// The nonce of a chunk, or behind the last one of the last tag.
    pub(super) fn nonce(&self, index: u64) -> [u8; 12] {
        let mut nonce = [0; 12];
        let (iv, number) = nonce.split_at_mut(self.iv.len());
        iv.copy_from_slice(&self.iv);
        number.copy_from_slice(&index.to_be_bytes());
        nonce
    }

    /// What every chunk is associated with.
    pub(super) fn associated(&self) -> &[u8] {
        &self.info
    }

    /// What the last tag is associated with: the message's octets too.
    pub(super) fn associated_at_end(&self, octets: u64) -> Vec<u8> {
        [&self.info[..], &octets.to_be_bytes()].concat()
    }
}
