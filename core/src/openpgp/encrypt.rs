//! Encrypting: to one recipient at the MX, or signed and to all recipients of a letter.
//!
//! Invariant: to all or to nobody; only to subkeys that the policy allows now. No compression:
//! it leaks, and mail is small. What every recipient can read decides, by verified signatures:
//! SEIPD version 2 only if all say that they read it (RFC 9580 13.7), GCM only if all list it,
//! AES-128 in place of AES-256 only if somebody lists ciphers without it.

use std::io::{Read, Write};

use pgp::composed::{ArmorOptions, MessageBuilder, RawSessionKey, SignedPublicSubKey};
use pgp::crypto::aead::{AeadAlgorithm, ChunkSize};
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::{
    DataMode, OnePassSignature, PacketTrait as _, PublicKeyEncryptedSessionKey, SignatureHasher,
    SignatureType, SignatureVersionSpecific,
};
use pgp::types::{Fingerprint as PgpFingerprint, Password};
use rand::{CryptoRng, RngCore};

use super::bulk::BulkCipher;
use super::bulk::seal::{self, Contents, Scheme};
use super::policy::certificate::Verified;
use super::policy::{self, Unusable};
use super::sign::{self, Mode};
use super::{Certificate, Fingerprint, SecretCertificate, armor};
use crate::id::Timestamp;

/// How much goes into one partial packet, in octets: what is held of a stream at a time.
const PARTIAL_OCTETS: u32 = 128 * 1024;

/// Octets of a chunk of SEIPD version 2.
const CHUNK_SIZE: ChunkSize = ChunkSize::C64KiB;

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

    /// Carries it out in memory, with the platform's AES if that is handed in and has what this
    /// message needs.
    pub async fn seal(
        &self,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
        bulk: Option<&dyn BulkCipher>,
    ) -> Result<Vec<u8>, EncryptError> {
        if let Some(bulk) = bulk
            && let Some(sealed) = self.seal_in_bulk(plaintext, now, rng, bulk).await?
        {
            return if self.armored {
                armor::wrap_message(&sealed).ok_or(EncryptError::Failed)
            } else {
                Ok(sealed)
            };
        }
        let mut out = Vec::with_capacity(plaintext.len() / 2 * 3 + 4096);
        self.write(plaintext, &mut out, now, rng)?;
        Ok(out)
    }

    /// The binary message; `None` if rPGP is to make it.
    async fn seal_in_bulk(
        &self,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
        bulk: &dyn BulkCipher,
    ) -> Result<Option<Vec<u8>>, EncryptError> {
        let fits = u32::try_from(plaintext.len().saturating_add(LITERAL_FIELDS.len())).is_ok();
        if self.mode != Mode::Binary || !fits || plaintext.len() < bulk.least_octets() {
            return Ok(None);
        }
        let begun = Plan::new(self, now)?.begin(plaintext.len(), rng);
        let Some(begun) = begun.map_err(|_| EncryptError::Failed)? else {
            return Ok(None);
        };
        let at = policy::seconds(now);
        let contents = Contents {
            head: begun.head,
            document: plaintext,
            hashers: begun.hashers,
            sign: &|hashers| self.signatures(hashers, at),
        };
        let mut message = begun.message;
        let session_key = begun.session_key.as_ref();
        let made = seal::container(&mut message, contents, &begun.scheme, session_key, bulk).await;
        Ok(made.map(|()| message))
    }

    /// The signatures behind a document, the last signer's first.
    #[expect(
        clippy::disallowed_methods,
        reason = "signs for messages that this file encrypts, by keys that the policy lets sign"
    )]
    fn signatures(&self, hashers: Vec<SignatureHasher>, at: u32) -> Option<Vec<u8>> {
        let mut packets = Vec::new();
        for (hasher, signer) in hashers.into_iter().zip(self.signers).rev() {
            let key = signer.signing_key(at)?;
            let signature = hasher.sign(key, &Password::empty()).ok()?;
            signature.to_writer_with_header(&mut packets).ok()?;
        }
        Some(packets)
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

/// Like [`message`], with the platform's AES.
pub async fn message_with(
    recipients: &[Certificate],
    signer: Option<&SecretCertificate>,
    plaintext: &[u8],
    now: Timestamp,
    rng: &mut (impl CryptoRng + RngCore),
    bulk: Option<&dyn BulkCipher>,
) -> Result<Vec<u8>, EncryptError> {
    let order = Order {
        recipients,
        signers: signer.map(core::slice::from_ref).unwrap_or_default(),
        mode: Mode::Binary,
        armored: true,
    };
    let armored = order.seal(plaintext, now, rng, bulk).await?;
    Ok(armor::with_crlf(&armored))
}

/// Everything before a document that is sealed in bulk, and what its end needs.
struct Begun {
    /// The session key's packets.
    message: Vec<u8>,
    session_key: RawSessionKey,
    scheme: Scheme,
    /// Inside, before the document.
    head: Vec<u8>,
    hashers: Vec<SignatureHasher>,
}

/// The beginning of a literal packet, in the new format: type 11, a length of four octets.
const LITERAL: [u8; 2] = [0xcb, 0xff];
/// A literal packet's fields before the document: binary, no name, no date (RFC 9580 5.9).
const LITERAL_FIELDS: [u8; 6] = [b'b', 0, 0, 0, 0, 0];

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

    /// Begins a message of a binary document of so many octets; `None` where the platform's AES
    /// is of no use.
    fn begin<R: CryptoRng + RngCore>(
        &self,
        octets: usize,
        rng: &mut R,
    ) -> pgp::errors::Result<Option<Begun>> {
        let scheme = match self.aead {
            None => {
                let mut random = [0; 16];
                rng.fill_bytes(&mut random);
                Scheme::Version1(random)
            }
            Some(AeadAlgorithm::Gcm) => {
                let mut salt = [0; 32];
                rng.fill_bytes(&mut salt);
                Scheme::Version2 {
                    cipher: self.cipher.into(),
                    size_octet: CHUNK_SIZE.into(),
                    salt,
                }
            }
            Some(_) => return Ok(None),
        };
        let mut message = Vec::with_capacity(octets / 1024 * 1025 + 4096);
        let session_key = self.session_key(&mut message, rng)?;
        let (mut head, hashers) = self.announce(rng)?;
        let length = u32::try_from(octets + LITERAL_FIELDS.len())?;
        head.extend_from_slice(&LITERAL);
        head.extend_from_slice(&length.to_be_bytes());
        head.extend_from_slice(&LITERAL_FIELDS);
        Ok(Some(Begun {
            message,
            session_key,
            scheme,
            head,
            hashers,
        }))
    }

    /// Makes a session key and writes it for every recipient.
    #[expect(
        clippy::disallowed_methods,
        reason = "encrypts like the function below, to keys that the policy has chosen"
    )]
    fn session_key<R: CryptoRng + RngCore>(
        &self,
        message: &mut Vec<u8>,
        rng: &mut R,
    ) -> pgp::errors::Result<RawSessionKey> {
        let session_key = self.cipher.new_session_key(&mut *rng);
        for key in &self.keys {
            let rng = &mut *rng;
            let packet = if self.aead.is_some() {
                PublicKeyEncryptedSessionKey::from_session_key_v6(rng, &session_key, *key)?
            } else {
                let cipher = self.cipher;
                PublicKeyEncryptedSessionKey::from_session_key_v3(rng, &session_key, cipher, *key)?
            };
            packet.to_writer_with_header(message)?;
        }
        Ok(session_key)
    }

    /// The one-pass packets of all signers, and what hashes for them.
    fn announce<R: CryptoRng + RngCore>(
        &self,
        rng: &mut R,
    ) -> pgp::errors::Result<(Vec<u8>, Vec<SignatureHasher>)> {
        let (mut packets, mut hashers) = (Vec::new(), Vec::new());
        let kind = SignatureType::Binary;
        for (number, key) in self.signers.iter().enumerate() {
            let (algorithm, hash) = (
                key.algorithm(),
                policy::algorithm::message_hash(key.algorithm()),
            );
            let said = (self.at, self.order.recipients);
            let config = sign::config(*key, Mode::Binary, hash, said, &mut *rng)?;
            let mut packet = match (&config.version_specific, key.fingerprint()) {
                (SignatureVersionSpecific::V6 { salt }, PgpFingerprint::V6(fingerprint)) => {
                    OnePassSignature::v6(kind, hash, algorithm, salt.clone(), fingerprint)
                }
                _ => OnePassSignature::v3(kind, hash, algorithm, key.legacy_key_id()),
            };
            if number + 1 < self.signers.len() {
                packet.set_is_nested();
            }
            packet.to_writer_with_header(&mut packets)?;
            hashers.push(config.into_hasher()?);
        }
        Ok((packets, hashers))
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
            let mut builder = builder.seipd_v2(&mut *rng, self.cipher, mode, CHUNK_SIZE);
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
