//! Encrypting: to one recipient at the MX, or signed and to all recipients of a letter.
//!
//! Invariant: to all or to nobody; only to subkeys that the policy allows now. No compression:
//! it leaks, and mail is small. SEIPD version 2 goes out only if every recipient says, in a
//! verified signature, that it can read it (RFC 9580 13.7); else version 1 with AES-256.

use std::io::{Read, Write};

use pgp::composed::{ArmorOptions, MessageBuilder, SignedPublicSubKey};
use pgp::crypto::aead::{AeadAlgorithm, ChunkSize};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::types::Password;
use rand::{CryptoRng, RngCore};

use super::policy::{self, Unusable};
use super::{Certificate, Fingerprint, SecretCertificate, armor, sign};
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
    let plan = Plan::new(core::slice::from_ref(certificate), None, now)?;
    plan.write(plaintext, Form::Binary, out, rng)
        .map_err(|_| EncryptError::Failed)
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
    let plan = Plan::new(recipients, signer, now)?;
    let mut armored = Vec::with_capacity(plaintext.len() / 2 * 3 + 4096);
    plan.write(plaintext, Form::Armored, &mut armored, rng)
        .map_err(|_| EncryptError::Failed)?;
    Ok(armor::with_crlf(&armored))
}

#[derive(Clone, Copy)]
enum Form {
    Binary,
    Armored,
}

/// Everything decided before the first octet is encrypted.
struct Plan<'a> {
    recipients: &'a [Certificate],
    keys: Vec<&'a SignedPublicSubKey>,
    signer: Option<&'a dyn pgp::types::SigningKey>,
    seipd_v2: bool,
    at: u32,
}

impl<'a> Plan<'a> {
    fn new(
        recipients: &'a [Certificate],
        signer: Option<&'a SecretCertificate>,
        now: Timestamp,
    ) -> Result<Self, EncryptError> {
        let at = policy::seconds(now);
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
        let signer = match signer {
            Some(secret) => Some(secret.signing_key(at).ok_or(EncryptError::NoSigningKey)?),
            None => None,
        };
        let seipd_v2 = recipients
            .iter()
            .all(|certificate| certificate.verified().reads_seipd_v2(at));
        Ok(Self {
            recipients,
            keys,
            signer,
            seipd_v2,
            at,
        })
    }

    fn write<R: CryptoRng + RngCore>(
        &self,
        plaintext: impl Read,
        form: Form,
        out: impl Write,
        rng: &mut R,
    ) -> pgp::errors::Result<()> {
        let mut builder = MessageBuilder::from_reader("", plaintext);
        builder.partial_chunk_size(PARTIAL_OCTETS)?;
        if let Some(key) = self.signer {
            let subpackets = sign::subpackets(key, self.at, self.recipients)?;
            let hash = HashAlgorithm::Sha512;
            builder.sign_with_subpackets(key, Password::empty(), hash, subpackets);
        }
        let cipher = SymmetricKeyAlgorithm::AES256;
        // Two builders of different types with the same methods: no way around the two branches.
        if self.seipd_v2 {
            let mut builder =
                builder.seipd_v2(&mut *rng, cipher, AeadAlgorithm::Ocb, ChunkSize::C64KiB);
            for key in &self.keys {
                builder.encrypt_to_key(&mut *rng, *key)?;
            }
            match form {
                Form::Binary => builder.to_writer(rng, out),
                Form::Armored => builder.to_armored_writer(rng, ArmorOptions::default(), out),
            }
        } else {
            let mut builder = builder.seipd_v1(&mut *rng, cipher);
            for key in &self.keys {
                builder.encrypt_to_key(&mut *rng, *key)?;
            }
            match form {
                Form::Binary => builder.to_writer(rng, out),
                Form::Armored => builder.to_armored_writer(rng, ArmorOptions::default(), out),
            }
        }
    }
}
