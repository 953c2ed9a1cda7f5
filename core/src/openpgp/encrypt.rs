//! Encrypting: to one recipient at the MX, or signed and to all recipients of a letter.
//!
//! Invariant: to all or to nobody; only to subkeys that the policy allows now. No compression:
//! it leaks, and mail is small. What every recipient can read decides, by verified signatures:
//! SEIPD version 2 only if all say that they read it (RFC 9580 13.7), GCM only if all list it,
//! AES-128 in place of AES-256 only if somebody lists ciphers without it.

use std::io::{Read, Write};

use pgp::composed::{ArmorOptions, MessageBuilder, SignedPublicSubKey};
use pgp::crypto::aead::{AeadAlgorithm, ChunkSize};
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::DataMode;
use pgp::types::Password;
use rand::{CryptoRng, RngCore};

use super::policy::certificate::Verified;
use super::policy::{self, Unusable};
use super::sign::{self, Mode};
use super::{Certificate, Fingerprint, SecretCertificate, armor};
use crate::id::Timestamp;

/// How much goes into one partial packet, in octets: what is held of a stream at a time.
const PARTIAL_OCTETS: u32 = 128 * 1024;

/// Why nothing was encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncryptError {
    /// There is nobody to encrypt to.
    #[error("no recipients")]
    NoRecipients,
    /// More recipients than [`policy::limits::MAX_RECIPIENT_PACKETS`].
    #[error("too many recipients for one message")]
    TooManyRecipients,
    /// A recipient's certificate cannot be used.
    #[error("the certificate {fingerprint} cannot be encrypted to: {reason}")]
    Recipient {
        /// Whose.
        fingerprint: Fingerprint,
        /// Why.
        reason: Unusable,
    },
    /// The signer's key may not sign now.
    #[error("the key may not sign now")]
    NoSigningKey,
    /// Reading, writing or the mathematics failed.
    #[error("encryption failed")]
    Failed,
}

/// Encrypts to one certificate, unsigned, binary: what the MX does with every message.
pub fn to_recipient(
    certificate: &Certificate,
    plaintext: &[u8],
    now: Timestamp,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<Vec<u8>, EncryptError> {
    let mut out = Vec::with_capacity(plaintext.len() + 512);
    to_recipient_streaming(certificate, plaintext, &mut out, now, rng)?;
    Ok(out)
}

/// Like [`to_recipient`], from a reader to a writer, holding a few hundred KiB at a time.
pub fn to_recipient_streaming(
    certificate: &Certificate,
    plaintext: impl Read,
    out: impl Write,
    now: Timestamp,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<(), EncryptError> {
    let order = Order {
        recipients: core::slice::from_ref(certificate),
        ..Order::default()
    };
    order.write(plaintext, out, now, rng)
}

/// What is to become of a plaintext.
#[derive(Debug, Clone, Copy, Default)]
pub struct Order<'a> {
    /// Who shall read it.
    pub recipients: &'a [Certificate],
    /// Who signs it.
    pub signers: &'a [SecretCertificate],
    /// What is signed.
    pub mode: Mode,
    /// Armored with LF line ends; else binary.
    pub armored: bool,
}

impl Order<'_> {
    /// Carries it out, from a reader to a writer, holding a few hundred KiB at a time.
    pub fn write(
        &self,
        plaintext: impl Read,
        out: impl Write,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<(), EncryptError> {
        let plan = Plan::new(self, now)?;
        plan.write(plaintext, out, rng)
            .map_err(|_| EncryptError::Failed)
    }
}

/// Signs, then encrypts to all recipients (ourselves among them, if we shall be able to read it);
/// armored, CRLF line ends. The signature names its recipients, so that none of them can pass the
/// message on as if it had been written to somebody else.
pub fn message(
    recipients: &[Certificate],
    signer: Option<&SecretCertificate>,
    plaintext: &[u8],
    now: Timestamp,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<Vec<u8>, EncryptError> {
    let order = Order {
        recipients,
        signers: signer.map(core::slice::from_ref).unwrap_or_default(),
        mode: Mode::Binary,
        armored: true,
    };
    let mut armored = Vec::with_capacity(plaintext.len() / 2 * 3 + 4096);
    order.write(plaintext, &mut armored, now, rng)?;
    Ok(armor::with_crlf(&armored))
}

/// Everything decided before the first octet is encrypted.
struct Plan<'a> {
    order: &'a Order<'a>,
    keys: Vec<&'a SignedPublicSubKey>,
    signers: Vec<&'a dyn pgp::types::SigningKey>,
    cipher: SymmetricKeyAlgorithm,
    /// SEIPD version 2 with this mode; version 1 without one.
    aead: Option<AeadAlgorithm>,
    at: u32,
}

impl<'a> Plan<'a> {
    fn new(order: &'a Order<'a>, now: Timestamp) -> Result<Self, EncryptError> {
        let at = policy::seconds(now);
        let recipients = order.recipients;
        if recipients.is_empty() {
            return Err(EncryptError::NoRecipients);
        }
        if recipients.len() > policy::limits::MAX_RECIPIENT_PACKETS {
            return Err(EncryptError::TooManyRecipients);
        }
        let keys = recipients
            .iter()
            .map(|certificate| {
                let fingerprint = certificate.fingerprint();
                certificate.verified().encryption_key(at).map_err(|reason| {
                    EncryptError::Recipient {
                        fingerprint,
                        reason,
                    }
                })
            })
            .collect::<Result<_, _>>()?;
        let signers = order
            .signers
            .iter()
            .map(|secret| secret.signing_key(at).ok_or(EncryptError::NoSigningKey))
            .collect::<Result<_, _>>()?;
        let all = |reads: fn(&Verified, u32) -> bool| {
            recipients
                .iter()
                .all(|certificate| reads(certificate.verified(), at))
        };
        let aead = all(Verified::reads_seipd_v2).then(|| {
            if all(Verified::reads_gcm) {
                AeadAlgorithm::Gcm
            } else {
                AeadAlgorithm::Ocb
            }
        });
        let cipher = if all(Verified::reads_aes256) {
            SymmetricKeyAlgorithm::AES256
        } else {
            SymmetricKeyAlgorithm::AES128
        };
        Ok(Self {
            order,
            keys,
            signers,
            cipher,
            aead,
            at,
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that encrypts, to keys and with ciphers that the policy has chosen"
    )]
    fn write<R: CryptoRng + RngCore>(
        &self,
        plaintext: impl Read,
        out: impl Write,
        rng: &mut R,
    ) -> pgp::errors::Result<()> {
        let mut builder = MessageBuilder::from_reader("", plaintext);
        builder.partial_chunk_size(PARTIAL_OCTETS)?;
        if self.order.mode == Mode::Text {
            builder.sign_text();
            builder.data_mode(DataMode::Utf8)?;
        }
        for key in &self.signers {
            let subpackets = sign::subpackets(*key, self.at, self.order.recipients)?;
            let hash = policy::algorithm::message_hash(key.algorithm());
            builder.sign_with_subpackets(*key, Password::empty(), hash, subpackets);
        }
        // Two builders of different types with the same methods: no way around the two branches.
        if let Some(mode) = self.aead {
            let mut builder = builder.seipd_v2(&mut *rng, self.cipher, mode, ChunkSize::C64KiB);
            for key in &self.keys {
                builder.encrypt_to_key(&mut *rng, *key)?;
            }
            if self.order.armored {
                builder.to_armored_writer(rng, armor_options(false), out)
            } else {
                builder.to_writer(rng, out)
            }
        } else {
            let mut builder = builder.seipd_v1(&mut *rng, self.cipher);
            for key in &self.keys {
                builder.encrypt_to_key(&mut *rng, *key)?;
            }
            if self.order.armored {
                builder.to_armored_writer(rng, armor_options(true), out)
            } else {
                builder.to_writer(rng, out)
            }
        }
    }
}

/// Armor with a checksum for those who know RFC 4880, and without one for version 2 (RFC 9580
/// 6.1).
fn armor_options(include_checksum: bool) -> ArmorOptions<'static> {
    ArmorOptions {
        headers: None,
        include_checksum,
    }
}
