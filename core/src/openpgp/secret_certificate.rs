//! A certificate with its private keys (RFC 9580 10.1.2): an account's own, or one pasted into
//! the decrypt page.
//!
//! Reading order: this file (the type, parsing, which key signs), `generate` (what is in a new
//! one), `self_signature` (what a key says of itself), `upkeep` (renewing, revoking, certifying),
//! `update` (bringing up to date), `union` (what several devices made of one), `export`.
//!
//! Invariant: unlocked. Private key material lives in rPGP's types, which overwrite themselves
//! when dropped, and in [`Zeroizing`] buffers; `Debug` shows the fingerprint alone.

mod export;
mod generate;
mod self_signature;
#[cfg(test)]
mod tests;
mod union;
mod update;
mod upkeep;

use core::fmt;

use pgp::composed::{Deserializable, SignedSecretKey};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails, Password, SigningKey};
use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

pub use self::generate::{Profile, Template};
pub use self::update::Additions;
pub use self::upkeep::{MAX_EXPLANATION_OCTETS, RevocationReason};
use super::armor::{self, Kind};
use super::certificate::{self, Certificate};
use super::fingerprint::Fingerprint;
use super::policy::limits::{MAX_CERTIFICATE_OCTETS, MAX_KEYRING_OCTETS};
use super::policy::{CertificateDefect, Unusable};
use crate::id::{Address, Timestamp};

/// Longest display name in a user id, in octets.
pub const MAX_NAME_OCTETS: usize = 200;

/// Why octets are no usable secret key, or none can be made.
#[derive(Debug, thiserror::Error)]
pub enum SecretCertificateError {
    /// The public part is not in order.
    #[error(transparent)]
    Defect(#[from] CertificateDefect),
    /// It is locked, and no passphrase was given.
    #[error("the key is locked with a passphrase")]
    Locked,
    /// The passphrase is wrong.
    #[error("wrong passphrase for the key")]
    Passphrase,
    /// The name has control characters or brackets, or is too long.
    #[error("the name cannot stand in a user id")]
    Name,
    /// The explanation has control characters or is too long.
    #[error("the explanation is longer than {MAX_EXPLANATION_OCTETS} octets, or not plain text")]
    Explanation,
    /// The primary key cannot be used, and that cannot be mended.
    #[error("the primary key is {0}")]
    Unusable(Unusable),
    /// Key material or a signature could not be made.
    #[error("the key could not be made")]
    Generation,
}

/// A certificate and its private keys, unlocked.
#[derive(Clone)]
pub struct SecretCertificate {
    secret: SignedSecretKey,
    certificate: Certificate,
}

impl SecretCertificate {
    /// Makes a certificate for the world ([`Profile::World`]) that does not expire; [`Template`]
    /// makes others.
    pub fn generate(
        address: &Address,
        name: Option<&str>,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Self, SecretCertificateError> {
        Template::new(Profile::World, address, name, now)?.generate(rng)
    }

    /// Parses one binary or armored transferable secret key, unlocking it with the passphrase if
    /// it is locked.
    pub fn parse(octets: &[u8], passphrase: Option<&str>) -> Result<Self, SecretCertificateError> {
        let binary = armor::binary(octets, Kind::SecretKey, MAX_CERTIFICATE_OCTETS)
            .map_err(certificate::defect)?;
        let binary = Zeroizing::new(binary.into_owned());
        let mut secret =
            SignedSecretKey::from_bytes(binary.as_slice()).map_err(|_| CertificateDefect::Form)?;
        unlock(&mut secret, passphrase)?;
        Self::from_packets(secret)
    }

    /// Parses all secret keys of a binary or armored file of at most [`MAX_KEYRING_OCTETS`],
    /// unlocking each with the first of the passphrases that fits it.
    pub fn parse_all(
        octets: &[u8],
        passphrases: &[&str],
    ) -> Result<Vec<Self>, SecretCertificateError> {
        let found = Self::parse_with_locks(octets, passphrases)?;
        Ok(found.into_iter().map(|(key, _)| key).collect())
    }

    /// The same, each with the passphrase that unlocked it, for who will lock it again.
    pub fn parse_with_locks<'a>(
        octets: &[u8],
        passphrases: &[&'a str],
    ) -> Result<Vec<(Self, Option<&'a str>)>, SecretCertificateError> {
        let unlocked = |mut secret: SignedSecretKey| {
            let mut outcome = unlock(&mut secret, None);
            let mut lock = None;
            for passphrase in passphrases {
                if outcome.is_ok() {
                    break;
                }
                outcome = unlock(&mut secret, Some(passphrase));
                lock = Some(*passphrase);
            }
            outcome?;
            Ok((Self::from_packets(secret)?, lock))
        };
        keyring(octets)?.into_iter().map(unlocked).collect()
    }

    /// The certificates of all secret keys of a file, locked or not.
    pub fn public_parts(octets: &[u8]) -> Result<Vec<Certificate>, SecretCertificateError> {
        keyring(octets)?
            .iter()
            .map(|secret| Ok(Certificate::from_packets(secret.to_public_key())?))
            .collect()
    }

    fn from_packets(secret: SignedSecretKey) -> Result<Self, SecretCertificateError> {
        let certificate = Certificate::from_packets(secret.to_public_key())?;
        Ok(Self {
            secret,
            certificate,
        })
    }

    /// The public part.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The primary key's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        self.certificate.fingerprint()
    }

    /// The binary form, *unlocked*: to be sealed at once.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.secret.to_bytes().unwrap_or_default())
    }

    /// Whether it has a private key that may sign documents at `now`.
    pub fn signs(&self, now: Timestamp) -> bool {
        self.signing_key(super::policy::seconds(now)).is_some()
    }

    /// Keys that may have been encrypted to: every subkey and, for old RSA keys, the primary.
    pub(super) fn packets(&self) -> &SignedSecretKey {
        &self.secret
    }

    /// The private key that signs documents at `now`: the primary, else the newest subkey that
    /// may.
    pub(super) fn signing_key(&self, now: u32) -> Option<&dyn SigningKey> {
        let verified = self.certificate.verified();
        if verified.primary_signs(now).is_ok() {
            return Some(&self.secret.primary_key);
        }
        let subkey = verified
            .packets()
            .public_subkeys
            .iter()
            .filter(|subkey| verified.subkey_signs(subkey, now).is_ok())
            .max_by_key(|subkey| subkey.key.created_at())?;
        let wanted = subkey.key.fingerprint();
        self.secret
            .secret_subkeys
            .iter()
            .find(|secret| secret.key.fingerprint() == wanted)
            .map(|secret| -> &dyn SigningKey { &secret.key })
    }
}

impl fmt::Debug for SecretCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretCertificate({})", self.fingerprint())
    }
}

fn user_id(address: &Address, name: Option<&str>) -> Result<String, SecretCertificateError> {
    match name.map(str::trim).filter(|name| !name.is_empty()) {
        None => Ok(format!("<{address}>")),
        Some(name) if name.len() > MAX_NAME_OCTETS => Err(SecretCertificateError::Name),
        Some(name) if name.contains(['<', '>']) || name.chars().any(char::is_control) => {
            Err(SecretCertificateError::Name)
        }
        Some(name) => Ok(format!("{name} <{address}>")),
    }
}

fn keyring(octets: &[u8]) -> Result<Vec<SignedSecretKey>, CertificateDefect> {
    let binary =
        armor::binary(octets, Kind::SecretKey, MAX_KEYRING_OCTETS).map_err(certificate::defect)?;
    let binary = Zeroizing::new(binary.into_owned());
    let found =
        SignedSecretKey::from_bytes_many(binary.as_slice()).map_err(|_| CertificateDefect::Form)?;
    let all: Vec<SignedSecretKey> = found
        .collect::<Result<_, _>>()
        .map_err(|_| CertificateDefect::Form)?;
    if all.is_empty() {
        return Err(CertificateDefect::Form);
    }
    Ok(all)
}

fn unlock(
    secret: &mut SignedSecretKey,
    passphrase: Option<&str>,
) -> Result<(), SecretCertificateError> {
    let locked = secret.primary_key.secret_params().is_encrypted()
        || secret
            .secret_subkeys
            .iter()
            .any(|subkey| subkey.key.secret_params().is_encrypted());
    if !locked {
        return Ok(());
    }
    let password = Password::from(passphrase.ok_or(SecretCertificateError::Locked)?);
    let wrong = |_| SecretCertificateError::Passphrase;
    if secret.primary_key.secret_params().is_encrypted() {
        secret
            .primary_key
            .remove_password(&password)
            .map_err(wrong)?;
    }
    for subkey in &mut secret.secret_subkeys {
        if subkey.key.secret_params().is_encrypted() {
            subkey.key.remove_password(&password).map_err(wrong)?;
        }
    }
    Ok(())
}
