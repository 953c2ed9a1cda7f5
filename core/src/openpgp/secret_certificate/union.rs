//! What several devices have made of one key, as one: renewals, revocations, others' words.
//!
//! Invariant: nothing that either has is lost, and the private parts stay what they are.

use pgp::types::KeyDetails as _;

use super::SecretCertificate;
use crate::openpgp::Certificate;

impl SecretCertificate {
    /// This key with all that `certificate`, of the same key, says of it; a certificate of another
    /// key changes nothing.
    #[must_use]
    pub fn adopt(&self, certificate: &Certificate) -> Self {
        if certificate.fingerprint() != self.fingerprint() {
            return self.clone();
        }
        let merged = self.certificate.merge(certificate);
        let public = merged.verified().packets();
        let mut secret = self.secret.clone();
        secret.details = public.details.clone();
        for subkey in &mut secret.secret_subkeys {
            let said = public
                .public_subkeys
                .iter()
                .find(|known| known.key.fingerprint() == subkey.key.fingerprint());
            if let Some(said) = said {
                subkey.signatures.clone_from(&said.signatures);
            }
        }
        // Those whose private parts are elsewhere.
        let own = |fingerprint: &pgp::types::Fingerprint| {
            let mut subkeys = secret.secret_subkeys.iter();
            subkeys.any(|subkey| subkey.key.fingerprint() == *fingerprint)
        };
        let elsewhere = public
            .public_subkeys
            .iter()
            .filter(|subkey| !own(&subkey.key.fingerprint()));
        let elsewhere = elsewhere.cloned().collect();
        secret.public_subkeys = elsewhere;
        Self::from_packets(secret).unwrap_or_else(|_| self.clone())
    }

    /// Both forms of one key as one; another key changes nothing.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        if other.fingerprint() != self.fingerprint() {
            return self.clone();
        }
        let mut whole = self.clone();
        for subkey in &other.secret.secret_subkeys {
            let wanted = subkey.key.fingerprint();
            let mut known = whole.secret.secret_subkeys.iter();
            if !known.any(|known| known.key.fingerprint() == wanted) {
                whole.secret.secret_subkeys.push(subkey.clone());
            }
        }
        whole.adopt(&other.certificate)
    }
}
