//! Operations on user ids of others (section 5.2 of the draft): certifying that a certificate belongs
//! to one, and asking whether somebody has.
//!
//! Invariant: only a user id that its owner's own signature holds is certified or found valid.

use std::time::{SystemTime, UNIX_EPOCH};

use letterlock_core::id::{Address, Timestamp};
use letterlock_core::openpgp::Certificate;
use rand::rngs::OsRng;
use sop::errors::Error;
use sop::{Password, Result, ops};

use super::objects::{Certs, Keys};
use super::{Sop, now};

/// `certify-userid`
#[derive(Default)]
pub(super) struct Certify {
    user_ids: Vec<String>,
    passwords: Vec<Password>,
    keys: Vec<Keys>,
    without_self_signature: bool,
}

impl<'s> ops::CertifyUserID<'s, Sop, Certs, Keys> for Certify {
    fn userid(
        mut self: Box<Self>,
        userid: String,
    ) -> Box<dyn ops::CertifyUserID<'s, Sop, Certs, Keys> + 's> {
        self.user_ids.push(userid);
        self
    }

    fn with_key_password(
        mut self: Box<Self>,
        password: Password,
    ) -> Result<Box<dyn ops::CertifyUserID<'s, Sop, Certs, Keys> + 's>> {
        self.passwords.push(password);
        Ok(self)
    }

    fn no_require_self_sig(
        mut self: Box<Self>,
    ) -> Box<dyn ops::CertifyUserID<'s, Sop, Certs, Keys> + 's> {
        self.without_self_signature = true;
        self
    }

    fn keys(
        mut self: Box<Self>,
        keys: &Keys,
    ) -> Result<Box<dyn ops::CertifyUserID<'s, Sop, Certs, Keys> + 's>> {
        self.keys.push(keys.copied());
        Ok(self)
    }

    fn certify(self: Box<Self>, certs: &Certs) -> Result<Certs> {
        // Nothing here would believe such a word.
        if self.without_self_signature {
            return Err(Error::UnsupportedOption);
        }
        let now = now();
        let mut certified = certs.certificates.clone();
        for keys in &self.keys {
            for key in keys.unlock(&self.passwords)? {
                for theirs in &mut certified {
                    for user_id in &self.user_ids {
                        let is_meant = |id: &str| id == user_id.as_str();
                        let ours = key
                            .certify_user_ids(theirs, is_meant, now, &mut OsRng)
                            .map_err(|_| Error::CertUseridNoMatch)?;
                        if !ours.is_certified_for(key.certificate(), is_meant, now) {
                            return Err(Error::KeyCannotSign);
                        }
                        *theirs = ours;
                    }
                }
            }
        }
        Ok(Certs::new(certified))
    }
}

/// `validate-userid`
pub(super) struct Validate {
    roots: Vec<Certificate>,
    targets: Vec<Certificate>,
    at: Timestamp,
}

impl Default for Validate {
    fn default() -> Self {
        Self {
            roots: Vec::new(),
            targets: Vec::new(),
            at: now(),
        }
    }
}

impl Validate {
    /// Whether one of the roots says so of each of the certificates.
    fn all(&self, says: impl Fn(&Certificate, &Certificate) -> bool) -> Result<()> {
        let is_valid = |target: &Certificate| self.roots.iter().any(|root| says(target, root));
        if !self.targets.is_empty() && self.targets.iter().all(is_valid) {
            Ok(())
        } else {
            Err(Error::CertUseridNoMatch)
        }
    }
}

impl<'s> ops::ValidateUserID<'s, Sop, Certs> for Validate {
    fn trust_roots(
        mut self: Box<Self>,
        certs: &Certs,
    ) -> Result<Box<dyn ops::ValidateUserID<'s, Sop, Certs> + 's>> {
        self.roots.extend_from_slice(&certs.certificates);
        Ok(self)
    }

    fn target_certs(
        mut self: Box<Self>,
        certs: &Certs,
    ) -> Result<Box<dyn ops::ValidateUserID<'s, Sop, Certs> + 's>> {
        self.targets.extend_from_slice(&certs.certificates);
        Ok(self)
    }

    fn validate_at(
        mut self: Box<Self>,
        at: SystemTime,
    ) -> Result<Box<dyn ops::ValidateUserID<'s, Sop, Certs> + 's>> {
        let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let secs = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
        self.at = Timestamp::from_secs(secs);
        Ok(self)
    }

    fn userid(self: Box<Self>, userid: &str) -> Result<()> {
        self.all(|target, root| target.is_certified_for(root, |id| id == userid, self.at))
    }

    fn email(self: Box<Self>, email: &str) -> Result<()> {
        let address = Address::new(email).map_err(|_| Error::CertUseridNoMatch)?;
        self.all(|target, root| target.is_certified_by(root, &address, self.at))
    }
}
