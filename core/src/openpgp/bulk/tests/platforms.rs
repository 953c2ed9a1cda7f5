//! What the tests hand in: AES of a crate, slow and right, and two processors.

use aes::cipher::{BlockEncrypt as _, KeyInit as _};
use aes::{Aes128, Aes192, Aes256, Block};
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{AesGcm, Nonce};
use sha2::digest::DynDigest;

use super::super::{BLOCK, BulkCipher, BulkKey, Deferred, Digesting, Purpose, xor};
use crate::portable::TwoProcessors;

/// AES of a crate, slow and right.
#[derive(Debug, Default)]
pub(super) struct Software {
    /// The purpose that it does not have.
    pub(super) lacks: Option<Purpose>,
}

#[derive(Clone)]
enum Key {
    Aes128(Box<Aes128>),
    Aes192(Box<Aes192>),
    Aes256(Box<Aes256>),
}

/// What a machine of two processors has, for short messages too.
#[derive(Debug)]
pub(super) struct Threads;

impl BulkCipher for Threads {
    fn least_octets(&self) -> usize {
        0
    }

    fn key<'a>(
        &'a self,
        octets: &'a [u8],
        purpose: Purpose,
    ) -> Deferred<'a, Option<Box<dyn BulkKey>>> {
        TwoProcessors.key(octets, purpose)
    }

    fn beside(&self, hasher: Box<dyn DynDigest + Send>) -> Box<dyn Digesting> {
        TwoProcessors.beside(hasher)
    }
}

impl BulkCipher for Software {
    fn least_octets(&self) -> usize {
        0
    }

    fn key<'a>(
        &'a self,
        octets: &'a [u8],
        purpose: Purpose,
    ) -> Deferred<'a, Option<Box<dyn BulkKey>>> {
        let key = match octets.len() {
            16 => Aes128::new_from_slice(octets)
                .ok()
                .map(|key| Key::Aes128(Box::new(key))),
            24 => Aes192::new_from_slice(octets)
                .ok()
                .map(|key| Key::Aes192(Box::new(key))),
            _ => Aes256::new_from_slice(octets)
                .ok()
                .map(|key| Key::Aes256(Box::new(key))),
        };
        let key = key.filter(|_| self.lacks != Some(purpose));
        Box::pin(async move { key.map(|key| Box::new(key) as Box<dyn BulkKey>) })
    }
}

impl Key {
    fn block(&self, block: &mut [u8]) {
        let block = Block::from_mut_slice(block);
        match self {
            Self::Aes128(key) => key.encrypt_block(block),
            Self::Aes192(key) => key.encrypt_block(block),
            Self::Aes256(key) => key.encrypt_block(block),
        }
    }
}

impl BulkKey for Key {
    fn open_gcm(
        &self,
        nonce: &[u8; 12],
        associated: &[u8],
        sealed: &[u8],
    ) -> Deferred<'static, Option<Vec<u8>>> {
        let payload = Payload {
            msg: sealed,
            aad: associated,
        };
        let nonce = Nonce::<U12>::from_slice(nonce);
        let opened = match self {
            Self::Aes128(key) => <AesGcm<_, U12>>::from((**key).clone()).decrypt(nonce, payload),
            Self::Aes192(key) => <AesGcm<_, U12>>::from((**key).clone()).decrypt(nonce, payload),
            Self::Aes256(key) => <AesGcm<_, U12>>::from((**key).clone()).decrypt(nonce, payload),
        };
        Box::pin(async move { opened.ok() })
    }

    fn seal_gcm(
        &self,
        nonce: &[u8; 12],
        associated: &[u8],
        plaintext: &[u8],
    ) -> Deferred<'static, Option<Vec<u8>>> {
        let payload = Payload {
            msg: plaintext,
            aad: associated,
        };
        let nonce = Nonce::<U12>::from_slice(nonce);
        let sealed = match self {
            Self::Aes128(key) => <AesGcm<_, U12>>::from((**key).clone()).encrypt(nonce, payload),
            Self::Aes192(key) => <AesGcm<_, U12>>::from((**key).clone()).encrypt(nonce, payload),
            Self::Aes256(key) => <AesGcm<_, U12>>::from((**key).clone()).encrypt(nonce, payload),
        };
        Box::pin(async move { sealed.ok() })
    }

    fn chain(&self, blocks: &[u8]) -> Deferred<'static, Option<Vec<u8>>> {
        let mut out = blocks.to_vec();
        let mut before = [0; BLOCK];
        for block in out.chunks_exact_mut(BLOCK) {
            xor(block, &before);
            self.block(block);
            before.copy_from_slice(block);
        }
        Box::pin(async move { Some(out) })
    }

    fn encrypt_blocks(&self, blocks: &mut [u8]) -> Option<()> {
        blocks
            .chunks_exact_mut(BLOCK)
            .for_each(|block| self.block(block));
        Some(())
    }
}
