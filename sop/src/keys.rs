//! Operations on keys and certificates (sections 5.2 of the draft).

use letterlock_core::openpgp::Certificate;
use letterlock_core::openpgp::secret_certificate::{Profile, RevocationReason, Template};
use rand::rngs::OsRng;
use sop::errors::Error;
use sop::plumbing::PasswordsAreHumanReadable as _;
use sop::{Password, Result, ops};
use zeroize::Zeroizing;

use super::objects::{Certs, Keys};
use super::{Sop, now};

/// The profiles of `generate-key`, the default first: name, what it makes, description.
const PROFILES: [(&str, Profile, &str); 3] = [
    (
        "compatibility",
        Profile::World,
        "version 4, Ed25519 and Curve25519: every mail program reads it",
    ),
    (
        "rfc9580",
        Profile::Version6,
        "version 6, Ed25519 and X25519",
    ),
    (
        "security",
        Profile::PostQuantum,
        "version 6, Ed25519 and ML-KEM-768 with X25519 (RFC 9980)",
    ),
];

/// `generate-key`
pub(super) struct Generate {
    profile: Profile,
    encrypts: bool,
    password: Option<Password>,
    user_ids: Vec<String>,
}

impl Default for Generate {
    fn default() -> Self {
        Self {
            profile: Profile::World,
            encrypts: true,
            password: None,
            user_ids: Vec::new(),
        }
    }
}

impl<'s> ops::GenerateKey<'s, Sop, Keys> for Generate {
    fn list_profiles(&self) -> Vec<(String, String)> {
        PROFILES
            .iter()
            .map(|(name, _, description)| ((*name).into(), (*description).into()))
            .collect()
    }

    fn profile(
        mut self: Box<Self>,
        profile: &str,
    ) -> Result<Box<dyn ops::GenerateKey<'s, Sop, Keys> + 's>> {
        if profile != "default" {
            let known = PROFILES.iter().find(|(name, ..)| *name == profile);
            self.profile = known.ok_or(Error::UnsupportedProfile)?.1;
        }
        Ok(self)
    }

    fn signing_only(mut self: Box<Self>) -> Box<dyn ops::GenerateKey<'s, Sop, Keys> + 's> {
        self.encrypts = false;
        self
    }

    fn with_key_password(
        mut self: Box<Self>,
        password: Password,
    ) -> Result<Box<dyn ops::GenerateKey<'s, Sop, Keys> + 's>> {
        self.password = Some(password);
        Ok(self)
    }

    fn userid(mut self: Box<Self>, userid: &str) -> Box<dyn ops::GenerateKey<'s, Sop, Keys> + 's> {
        self.user_ids.push(userid.into());
        self
    }

    fn generate(self: Box<Self>) -> Result<Keys> {
        let template = Template {
            profile: self.profile,
            user_ids: self.user_ids,
            created_at: now(),
            lifetime_secs: None,
            encrypts: self.encrypts,
        };
        let key = template
            .generate(&mut OsRng)
            .map_err(|_| Error::UnspecifiedFailure)?;
        let octets = match &self.password {
            None => key.to_bytes(),
            Some(password) => key
                .to_locked_bytes(text(password)?, &mut OsRng)
                .map_err(|_| Error::UnspecifiedFailure)?,
        };
        Ok(Keys::from_octets(octets))
    }
}

/// `change-key-password`
#[derive(Default)]
pub(super) struct ChangePassword {
    new: Option<Password>,
    old: Vec<Password>,
}

impl<'s> ops::ChangeKeyPassword<'s, Sop, Keys> for ChangePassword {
    fn new_key_password(
        mut self: Box<Self>,
        password: Password,
    ) -> Result<Box<dyn ops::ChangeKeyPassword<'s, Sop, Keys> + 's>> {
        self.new = Some(password);
        Ok(self)
    }

    fn old_key_password(
        mut self: Box<Self>,
        password: Password,
    ) -> Result<Box<dyn ops::ChangeKeyPassword<'s, Sop, Keys> + 's>> {
        self.old.push(password);
        Ok(self)
    }

    fn keys(self: Box<Self>, keys: &Keys) -> Result<Keys> {
        let mut octets = Zeroizing::new(Vec::new());
        for key in keys.unlock(&self.old)? {
            match &self.new {
                None => octets.extend_from_slice(&key.to_bytes()),
                Some(password) => octets.extend_from_slice(
                    &key.to_locked_bytes(text(password)?, &mut OsRng)
                        .map_err(|_| Error::UnspecifiedFailure)?,
                ),
            }
        }
        Ok(Keys::from_octets(octets))
    }
}

/// `revoke-key`
#[derive(Default)]
pub(super) struct Revoke(Vec<Password>);

impl<'s> ops::RevokeKey<'s, Sop, Certs, Keys> for Revoke {
    fn with_key_password(
        mut self: Box<Self>,
        password: Password,
    ) -> Result<Box<dyn ops::RevokeKey<'s, Sop, Certs, Keys> + 's>> {
        self.0.push(password);
        Ok(self)
    }

    fn keys(self: Box<Self>, keys: &Keys) -> Result<Certs> {
        let revoked = keys.unlock(&self.0)?.into_iter().map(|key| {
            key.revoked(RevocationReason::Unspecified, "", now(), &mut OsRng)
                .map(|revoked| revoked.certificate().clone())
                .map_err(|_| Error::UnspecifiedFailure)
        });
        Ok(Certs::new(revoked.collect::<Result<_>>()?))
    }
}

/// `extract-cert`
pub(super) struct Extract;

impl ops::ExtractCert<'_, Sop, Certs, Keys> for Extract {
    fn keys(self: Box<Self>, keys: &Keys) -> Result<Certs> {
        Ok(Certs::new(keys.certificates()?))
    }
}

/// `merge-certs`
#[derive(Default)]
pub(super) struct Merge(Vec<Certificate>);

impl<'s> ops::MergeCerts<'s, Sop, Certs> for Merge {
    fn merge_updates(
        mut self: Box<Self>,
        updates: &Certs,
    ) -> Result<Box<dyn ops::MergeCerts<'s, Sop, Certs> + 's>> {
        self.0.extend_from_slice(&updates.certificates);
        Ok(self)
    }

    fn merge(self: Box<Self>, certs: &Certs) -> Result<Certs> {
        let merged = certs.certificates.iter().map(|certificate| {
            // Certificates of other keys change nothing.
            self.0
                .iter()
                .fold(certificate.clone(), |whole, update| whole.merge(update))
        });
        Ok(Certs::new(merged.collect()))
    }
}

/// A password that something is locked with.
fn text(password: &Password) -> Result<&str> {
    core::str::from_utf8(password.normalized()).map_err(|_| Error::PasswordNotHumanReadable)
}
