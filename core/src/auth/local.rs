//! The root key wrapped on this device, so that the password unlocks it without the provider.
//!
//! OPAQUE's export key needs the provider's answer; a device that is offline has only the
//! password. So it keeps a second wrap under Argon2id(password, random salt), at the same cost.
//! Who takes the device can guess at that price, as with any disk encryption by password.

use argon2::Argon2;
use rand::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::suite::{ARGON2_LANES, ARGON2_MEMORY_KIB, ARGON2_PASSES, MAX_PASSWORD_OCTETS, argon2id};
use super::wrap::{RootKeyWrap, Unwrapped, WrapError, WrapKind, unwrap_root_key, wrap_root_key};
use crate::id::AccountId;

const VERSION: u8 = 1;
/// Most memory that a stored wrap may ask for, in KiB: 1 GiB.
pub const MAX_MEMORY_KIB: u32 = 1024 * 1024;
/// Most passes that a stored wrap may ask for.
pub const MAX_PASSES: u32 = 32;
/// Most lanes that a stored wrap may ask for.
pub const MAX_LANES: u32 = 16;

/// Why a local wrap does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LocalWrapError {
    /// The password is wrong, or the wrap belongs to another account or was changed.
    #[error("the password is wrong")]
    WrongPassword,
    /// A version or a cost that this program does not know.
    #[error("the stored key has a form that this version does not know")]
    Form,
}

/// The root key under the password alone; every field is public knowledge.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalWrap {
    version: u8,
    salt: [u8; 16],
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    #[serde(with = "serde_bytes")]
    sealed: Vec<u8>,
}

impl LocalWrap {
    /// Wraps; costs one Argon2id. A password of any length and content is taken: it was checked
    /// at sign-up.
    pub fn seal(
        password: &str,
        account: AccountId,
        epoch: u32,
        root_key: &[u8; 32],
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Self, LocalWrapError> {
        let mut wrap = Self {
            version: VERSION,
            salt: [0; 16],
            memory_kib: ARGON2_MEMORY_KIB,
            passes: ARGON2_PASSES,
            lanes: ARGON2_LANES,
            sealed: Vec::new(),
        };
        rng.fill_bytes(&mut wrap.salt);
        let material = wrap.material(password)?;
        let sealed = wrap_root_key(&*material, account, epoch, WrapKind::Local, root_key, rng);
        sealed.as_bytes().clone_into(&mut wrap.sealed);
        Ok(wrap)
    }

    /// Opens; costs one Argon2id, with a right password as with a wrong one.
    pub fn open(&self, password: &str, account: AccountId) -> Result<Unwrapped, LocalWrapError> {
        if self.version != VERSION {
            return Err(LocalWrapError::Form);
        }
        let sealed = RootKeyWrap::from_octets(&self.sealed).map_err(|_| LocalWrapError::Form)?;
        let material = self.material(password)?;
        unwrap_root_key(&*material, account, WrapKind::Local, &sealed).map_err(
            |error| match error {
                WrapError::Form => LocalWrapError::Form,
                WrapError::DoesNotOpen => LocalWrapError::WrongPassword,
            },
        )
    }

    fn argon2(&self) -> Option<Argon2<'static>> {
        let bearable = self.memory_kib <= MAX_MEMORY_KIB
            && self.passes <= MAX_PASSES
            && self.lanes <= MAX_LANES;
        bearable
            .then(|| argon2id(self.memory_kib, self.passes, self.lanes))
            .flatten()
    }

    fn material(&self, password: &str) -> Result<Zeroizing<[u8; 32]>, LocalWrapError> {
        if password.len() > MAX_PASSWORD_OCTETS {
            return Err(LocalWrapError::WrongPassword);
        }
        let mut material = Zeroizing::new([0; 32]);
        self.argon2()
            .ok_or(LocalWrapError::Form)?
            .hash_password_into(password.as_bytes(), &self.salt, &mut *material)
            .map_err(|_| LocalWrapError::Form)?;
        Ok(material)
    }
}
