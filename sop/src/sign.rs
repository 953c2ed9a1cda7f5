//! `sign` and `verify`: detached signatures.

use std::io::Read;
use std::time::{Duration, SystemTime};

use letterlock_core::openpgp::sign::{self, Mode};
use letterlock_core::openpgp::{Certificate, PendingSignatures, Proof, SecretCertificate};
use rand::rngs::OsRng;
use sop::errors::Error;
use sop::ops::{self, Micalg, SignAs, SignatureMode, Verification};
use sop::{Password, Result};

use super::objects::{Certs, Keys, Sigs};
use super::{Sop, now, read_document};

/// `sign`
#[derive(Default)]
pub(super) struct Sign {
    mode: Mode,
    keys: Vec<Keys>,
    passwords: Vec<Password>,
}

impl<'s> ops::Sign<'s, Sop, Keys, Sigs> for Sign {
    fn mode(mut self: Box<Self>, mode: SignAs) -> Box<dyn ops::Sign<'s, Sop, Keys, Sigs> + 's> {
        self.mode = match mode {
            SignAs::Binary => Mode::Binary,
            SignAs::Text => Mode::Text,
        };
        self
    }

    fn keys(
        mut self: Box<Self>,
        keys: &Keys,
    ) -> Result<Box<dyn ops::Sign<'s, Sop, Keys, Sigs> + 's>> {
        self.keys.push(keys.copied());
        Ok(self)
    }

    fn with_key_password(
        mut self: Box<Self>,
        password: Password,
    ) -> Result<Box<dyn ops::Sign<'s, Sop, Keys, Sigs> + 's>> {
        self.passwords.push(password);
        Ok(self)
    }

    fn data(self: Box<Self>, data: &mut (dyn Read + Send + Sync)) -> Result<(Micalg, Sigs)> {
        let signers = unlock_all(&self.keys, &self.passwords)?;
        if signers.is_empty() {
            return Err(Error::MissingArg);
        }
        let document = read_document(data)?;
        if self.mode == Mode::Text && core::str::from_utf8(&document).is_err() {
            return Err(Error::ExpectedText);
        }
        let octets =
            sign::packets(&document, &signers, self.mode, now(), &mut OsRng).map_err(|error| {
                match error {
                    sign::SignError::NoKey => Error::KeyCannotSign,
                    sign::SignError::Failed => Error::UnspecifiedFailure,
                }
            })?;
        Ok((Micalg::SHA512, Sigs::from_octets(octets)))
    }
}

/// All keys, unlocked.
pub(super) fn unlock_all(keys: &[Keys], passwords: &[Password]) -> Result<Vec<SecretCertificate>> {
    let mut unlocked = Vec::new();
    for keys in keys {
        unlocked.append(&mut keys.unlock(passwords)?);
    }
    Ok(unlocked)
}

/// By which certificates, and made when, a signature counts.
#[derive(Default)]
pub(super) struct Window {
    pub(super) certificates: Vec<Certificate>,
    pub(super) not_before: Option<SystemTime>,
    pub(super) not_after: Option<SystemTime>,
}

impl Window {
    /// The signatures that count, as the draft writes them down.
    pub(super) fn verifications(
        &self,
        signatures: &PendingSignatures,
    ) -> Result<Vec<Verification>> {
        signatures
            .proofs(&self.certificates, now())
            .iter()
            .map(|proof| (proof, made_at(proof)))
            .filter(|(_, made)| self.not_before.is_none_or(|bound| *made >= bound))
            .filter(|(_, made)| self.not_after.is_none_or(|bound| *made <= bound))
            .map(|(proof, made)| verification(proof, made))
            .collect()
    }
}

fn made_at(proof: &Proof) -> SystemTime {
    let secs = u64::try_from(proof.created_at.as_secs()).unwrap_or(0);
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(secs))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

fn verification(proof: &Proof, created: SystemTime) -> Result<Verification> {
    let mode = if proof.text {
        SignatureMode::Text
    } else {
        SignatureMode::Binary
    };
    Verification::new(
        created,
        proof.key,
        proof.certificate.fingerprint(),
        mode,
        None,
    )
}

/// `verify`
#[derive(Default)]
pub(super) struct Verify(Window);

impl<'s> ops::Verify<'s, Sop, Certs, Sigs> for Verify {
    fn not_before(
        mut self: Box<Self>,
        time: SystemTime,
    ) -> Box<dyn ops::Verify<'s, Sop, Certs, Sigs> + 's> {
        self.0.not_before = Some(time);
        self
    }

    fn not_after(
        mut self: Box<Self>,
        time: SystemTime,
    ) -> Box<dyn ops::Verify<'s, Sop, Certs, Sigs> + 's> {
        self.0.not_after = Some(time);
        self
    }

    fn certs(
        mut self: Box<Self>,
        certs: &Certs,
    ) -> Result<Box<dyn ops::Verify<'s, Sop, Certs, Sigs> + 's>> {
        self.0.certificates.extend_from_slice(&certs.certificates);
        Ok(self)
    }

    fn signatures<'sigs>(
        self: Box<Self>,
        signatures: &'sigs Sigs,
    ) -> Result<Box<dyn ops::VerifySignatures<'sigs> + 'sigs>>
    where
        's: 'sigs,
    {
        Ok(Box::new(VerifyDocument {
            window: self.0,
            signatures,
        }))
    }
}

struct VerifyDocument<'a> {
    window: Window,
    signatures: &'a Sigs,
}

impl<'a> ops::VerifySignatures<'a> for VerifyDocument<'a> {
    fn data(self: Box<Self>, data: &mut (dyn Read + Send + Sync)) -> Result<Vec<Verification>> {
        let document = read_document(data)?;
        let signatures = sign::read_detached(&document, &self.signatures.octets);
        let good = self.window.verifications(&signatures)?;
        if good.is_empty() {
            return Err(Error::NoSignature);
        }
        Ok(good)
    }
}
