//! Leaving with one's key, armored, locked with a passphrase if the owner wants that; and coming
//! with one from another program.
//!
//! Invariant: the key in memory is never locked or changed, a copy is.

use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails as _, Password, S2kParams};
use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::{SecretCertificate, SecretCertificateError};
use crate::openpgp::armor;
use crate::openpgp::policy::CertificateDefect;
use crate::openpgp::policy::limits::MAX_KEYRING_OCTETS;

/// What an armored secret key begins with.
const BEGIN: &[u8] = b"-----BEGIN PGP PRIVATE KEY BLOCK-----";

impl SecretCertificate {
    /// All secret keys of what a program has exported, at most [`MAX_KEYRING_OCTETS`]: binary, or
    /// armored in one block or in several, with text and other blocks around them. Each is unlocked
    /// with the first of the passphrases that fits it.
    pub fn parse_export(
        octets: &[u8],
        passphrases: &[&str],
    ) -> Result<Vec<Self>, SecretCertificateError> {
        if octets.len() > MAX_KEYRING_OCTETS {
            return Err(CertificateDefect::TooLarge(MAX_KEYRING_OCTETS).into());
        }
        let starts: Vec<usize> = octets
            .windows(BEGIN.len())
            .enumerate()
            .filter_map(|(at, window)| (window == BEGIN).then_some(at))
            .collect();
        if starts.is_empty() {
            return Self::parse_all(octets, passphrases);
        }
        let ends = starts.iter().skip(1).copied().chain([octets.len()]);
        let mut keys = Vec::new();
        for (start, end) in starts.iter().zip(ends) {
            let block = octets.get(*start..end).unwrap_or_default();
            keys.extend(Self::parse_all(block, passphrases)?);
        }
        Ok(keys)
    }

    /// The armored transferable secret key (RFC 9580 10.1.2), locked if there is a passphrase;
    /// without one the answer is the key in the clear.
    pub fn to_armor(
        &self,
        passphrase: Option<&str>,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Zeroizing<String>, SecretCertificateError> {
        let binary = match passphrase {
            Some(passphrase) => self.to_locked_bytes(passphrase, rng)?,
            None => self.to_bytes(),
        };
        armor::wrap(&binary)
            .and_then(|armored| String::from_utf8(armored).ok())
            .map(Zeroizing::new)
            .ok_or(SecretCertificateError::Generation)
    }

    /// The binary form, locked: version 4 keys as every program reads them (iterated and salted,
    /// AES-256 in CFB), version 6 keys with Argon2 and OCB.
    pub fn to_locked_bytes(
        &self,
        passphrase: &str,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Zeroizing<Vec<u8>>, SecretCertificateError> {
        let mut lock = || -> pgp::errors::Result<Vec<u8>> {
            let mut secret = self.packets().clone();
            let version = secret.primary_key.version();
            let password = Password::from(passphrase);
            let mut salt = || S2kParams::new_default(&mut *rng, version);
            secret
                .primary_key
                .set_password_with_s2k(&password, salt())?;
            for subkey in &mut secret.secret_subkeys {
                subkey.key.set_password_with_s2k(&password, salt())?;
            }
            secret.to_bytes()
        };
        lock()
            .map(Zeroizing::new)
            .map_err(|_| SecretCertificateError::Generation)
    }
}
