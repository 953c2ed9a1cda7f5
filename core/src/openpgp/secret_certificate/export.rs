//! Leaving with one's key: armored, locked with a passphrase if the owner wants that.
//!
//! Invariant: the key in memory is never locked or changed, a copy is.

use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails as _, Password, S2kParams};
use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::{SecretCertificate, SecretCertificateError};
use crate::openpgp::armor;

impl SecretCertificate {
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
