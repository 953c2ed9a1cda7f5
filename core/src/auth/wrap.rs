//! Wraps of the root key: the root key sealed under something that only the user has.
//!
//! ```text
//! version 1 | kind 1 | epoch 4 | nonce 24 | commitment 32 | ciphertext 32 | tag 16
//! kek 32       = HKDF-SHA256(salt = nonce, ikm = material, info = label "/kek" kind)
//! commitment   = HKDF-SHA256(salt = nonce, ikm = material, info = label "/commitment" kind)
//! ciphertext   = XChaCha20-Poly1305(kek, nonce, root key, ad = version | kind | epoch | account)
//! ```
//!
//! Poly1305 does not commit to a key: who knows two passwords can make one ciphertext that opens
//! under both, and test many guesses with one answer. The commitment closes that.
//!
//! Invariant: a wrap opens for one account, one kind and one epoch only. Every failure looks
//! alike. Rejected: AES-KW (RFC 3394), which binds no associated data.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use rand::{CryptoRng, RngCore};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::sealing::SealingSecret;
use crate::id::AccountId;

const VERSION: u8 = 1;
const LABEL: &[u8] = b"letterlock/auth/1/root key wrap";
const NONCE_LEN: usize = 24;
const COMMITMENT_LEN: usize = 32;
const SEALED_LEN: usize = 32 + 16;
/// Length of a wrap, in octets.
pub const WRAP_LEN: usize = 1 + 1 + 4 + NONCE_LEN + COMMITMENT_LEN + SEALED_LEN;

/// OPAQUE's export key (RFC 9807 3.2): known to the device after sign-up and every log-in, and
/// to nobody else. Key encryption material for [`wrap_root_key`].
pub struct ExportKey(Zeroizing<Vec<u8>>);

impl ExportKey {
    pub(super) fn new(octets: &[u8]) -> Self {
        Self(Zeroizing::new(octets.to_vec()))
    }

    /// Opens what is sealed to whoever knows the password ([`super::devices`]).
    pub fn sealing_secret(&self) -> SealingSecret {
        SealingSecret::derive(&self.0, b"password")
    }

    /// The 64 octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What opens a wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrapKind {
    /// The password, by OPAQUE's export key.
    Password,
    /// The recovery phrase.
    Recovery,
    /// The password, by Argon2id on this device, without the provider.
    Local,
    /// The root key of the epoch after the one that is wrapped.
    NextEpoch,
}

impl WrapKind {
    const fn octet(self) -> u8 {
        match self {
            Self::Password => 1,
            Self::Recovery => 2,
            Self::Local => 3,
            Self::NextEpoch => 4,
        }
    }
}

/// Why a wrap does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// It has another length, version or kind than asked for.
    #[error("the wrapped key has an unknown form")]
    Form,
    /// The material is wrong, it belongs to another account, or somebody changed it.
    #[error("the wrapped key does not open")]
    DoesNotOpen,
}

/// A wrapped root key: opaque octets, safe to store and send.
#[derive(Clone, PartialEq, Eq)]
pub struct RootKeyWrap([u8; WRAP_LEN]);

impl RootKeyWrap {
    /// Takes octets of the right length and version; nothing else is checked.
    pub fn from_octets(octets: &[u8]) -> Result<Self, WrapError> {
        let octets = <[u8; WRAP_LEN]>::try_from(octets).map_err(|_| WrapError::Form)?;
        if octets.first() != Some(&VERSION) {
            return Err(WrapError::Form);
        }
        Ok(Self(octets))
    }

    /// The octets.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) const fn octets(&self) -> &[u8; WRAP_LEN] {
        &self.0
    }
}

/// An opened wrap.
pub struct Unwrapped {
    /// Counts the changes of the root key; authenticated.
    pub epoch: u32,
    /// The root key.
    pub root_key: Zeroizing<[u8; 32]>,
}

/// Wraps `root_key` under `material`, which must have the entropy of a key already.
///
/// # Panics
/// Never: 32 octets are within the cipher's limit.
pub fn wrap_root_key(
    material: &[u8],
    account: AccountId,
    epoch: u32,
    kind: WrapKind,
    root_key: &[u8; 32],
    rng: &mut (impl CryptoRng + RngCore),
) -> RootKeyWrap {
    let mut nonce = [0; NONCE_LEN];
    rng.fill_bytes(&mut nonce);
    let (kek, commitment) = derive(material, &nonce, kind);
    let head = head(kind, epoch);
    let payload = Payload {
        msg: root_key,
        aad: &[&head[..], account.as_bytes()].concat(),
    };
    let sealed = XChaCha20Poly1305::new((&*kek).into())
        .encrypt(XNonce::from_slice(&nonce), payload)
        .expect("32 octets are within the cipher's limit");
    let mut wrap = [0; WRAP_LEN];
    let fields: [&[u8]; 4] = [&head, &nonce, &commitment, &sealed];
    for (slot, octet) in wrap.iter_mut().zip(fields.into_iter().flatten()) {
        *slot = *octet;
    }
    RootKeyWrap(wrap)
}

/// Opens a wrap of the given kind and account.
pub fn unwrap_root_key(
    material: &[u8],
    account: AccountId,
    kind: WrapKind,
    wrap: &RootKeyWrap,
) -> Result<Unwrapped, WrapError> {
    let (parts, epoch) = Parts::read(&wrap.0, kind).ok_or(WrapError::Form)?;
    let (kek, commitment) = derive(material, parts.nonce, kind);
    if !bool::from(commitment.ct_eq(parts.commitment)) {
        return Err(WrapError::DoesNotOpen);
    }
    let payload = Payload {
        msg: parts.sealed,
        aad: &[parts.head, account.as_bytes()].concat(),
    };
    let opened = XChaCha20Poly1305::new((&*kek).into())
        .decrypt(XNonce::from_slice(parts.nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| WrapError::DoesNotOpen)?;
    let root_key = <[u8; 32]>::try_from(&opened[..])
        .map(Zeroizing::new)
        .map_err(|_| WrapError::Form)?;
    Ok(Unwrapped { epoch, root_key })
}

struct Parts<'a> {
    head: &'a [u8],
    nonce: &'a [u8; NONCE_LEN],
    commitment: &'a [u8],
    sealed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(octets: &'a [u8], kind: WrapKind) -> Option<(Self, u32)> {
        let (head, rest) = octets.split_first_chunk::<6>()?;
        let &[version, kind_octet, ref epoch @ ..] = head;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
        let (commitment, sealed) = rest.split_at_checked(COMMITMENT_LEN)?;
        let known = version == VERSION && kind_octet == kind.octet() && sealed.len() == SEALED_LEN;
        let parts = Self {
            head,
            nonce,
            commitment,
            sealed,
        };
        known.then_some((parts, u32::from_be_bytes(*epoch)))
    }
}

fn head(kind: WrapKind, epoch: u32) -> [u8; 6] {
    let [a, b, c, d] = epoch.to_be_bytes();
    [VERSION, kind.octet(), a, b, c, d]
}

fn derive(
    material: &[u8],
    nonce: &[u8; NONCE_LEN],
    kind: WrapKind,
) -> (Zeroizing<[u8; 32]>, [u8; COMMITMENT_LEN]) {
    let hkdf = Hkdf::<Sha256>::new(Some(nonce), material);
    let mut kek = Zeroizing::new([0; 32]);
    let mut commitment = [0; COMMITMENT_LEN];
    let kind = [kind.octet()];
    // Two labels instead of one long output: neither half can be taken for the other.
    for (part, output) in [
        (&b"/kek"[..], &mut *kek),
        (&b"/commitment"[..], &mut commitment),
    ] {
        hkdf.expand_multi_info(&[LABEL, part, &kind], output)
            .expect("32 octets are within HKDF's limit");
    }
    (kek, commitment)
}
