//! `update-key`: a secret key brought up to date (section 5.2 of the draft).

use letterlock_core::keys::own::LIFETIME_SECS;
use letterlock_core::openpgp::Certificate;
use letterlock_core::openpgp::secret_certificate::{Additions, SecretCertificateError};
use rand::rngs::OsRng;
use sop::errors::Error;
use sop::{Password, Result, ops};
use zeroize::Zeroizing;

use super::objects::{Certs, Keys};
use super::{Sop, now};

/// The operation.
pub(super) struct Update {
    additions: Additions,
    passwords: Vec<Password>,
    heard: Vec<Certificate>,
}

impl Default for Update {
    fn default() -> Self {
        Self {
            additions: Additions {
                encryption: true,
                capabilities: true,
            },
            passwords: Vec::new(),
            heard: Vec::new(),
        }
    }
}

type Boxed<'s> = Box<dyn ops::UpdateKey<'s, Sop, Certs, Keys> + 's>;

impl<'s> ops::UpdateKey<'s, Sop, Certs, Keys> for Update {
    fn signing_only(mut self: Box<Self>) -> Boxed<'s> {
        self.additions.encryption = false;
        self
    }

    fn no_added_capabilities(mut self: Box<Self>) -> Boxed<'s> {
        self.additions.capabilities = false;
        self
    }

    fn with_key_password(mut self: Box<Self>, password: Password) -> Result<Boxed<'s>> {
        self.passwords.push(password);
        Ok(self)
    }

    fn merge_updates(mut self: Box<Self>, updates: &Certs) -> Result<Boxed<'s>> {
        self.heard.extend_from_slice(&updates.certificates);
        Ok(self)
    }

    fn update(self: Box<Self>, keys: &Keys) -> Result<Keys> {
        let mut octets = Zeroizing::new(Vec::new());
        for (key, lock) in keys.unlock_with(&self.passwords)? {
            let whole = self.heard.iter().fold(key, |key, heard| key.adopt(heard));
            let updated = whole
                .updated(self.additions, LIFETIME_SECS, now(), &mut OsRng)
                .map_err(refusal)?;
            match lock {
                None => octets.extend_from_slice(&updated.to_bytes()),
                Some(lock) => octets.extend_from_slice(
                    &updated.to_locked_bytes(lock, &mut OsRng).map_err(refusal)?,
                ),
            }
        }
        Ok(Keys::from_octets(octets))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn refusal(error: SecretCertificateError) -> Error {
    match error {
        SecretCertificateError::Unusable(_) => Error::PrimaryKeyBad,
        _ => Error::UnspecifiedFailure,
    }
}
