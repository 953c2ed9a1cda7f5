//! `encrypt` and `decrypt`.
//!
//! Decrypted text is written only after all of it has been authenticated.

use std::io::{Read, Write};
use std::time::SystemTime;

use futures::executor::block_on;
use letterlock_core::openpgp::bulk::BulkCipher;
use letterlock_core::openpgp::decrypt::{self, DecryptError, Limits};
use letterlock_core::openpgp::encrypt::{EncryptError, Order};
use letterlock_core::openpgp::policy::Refused;
use letterlock_core::openpgp::sign::Mode;
use letterlock_core::openpgp::{Certificate, SecretCertificate};
use letterlock_core::portable::TwoProcessors;
use rand::rngs::OsRng;
use sop::errors::Error;
use sop::ops::{self, EncryptAs, Ready, Verification};
use sop::{Password, Result, SessionKey};

use super::objects::{Certs, Keys};
use super::sign::{Window, unlock_all};
use super::{MAX_DOCUMENT_OCTETS, Sop, now, read_document};

/// `encrypt`
pub(super) struct Encrypt {
    armored: bool,
    mode: Mode,
    signers: Vec<Keys>,
    passwords: Vec<Password>,
    recipients: Vec<Certificate>,
}

impl Default for Encrypt {
    fn default() -> Self {
        Self {
            armored: true,
            mode: Mode::Binary,
            signers: Vec::new(),
            passwords: Vec::new(),
            recipients: Vec::new(),
        }
    }
}

impl<'s> ops::Encrypt<'s, Sop, Certs, Keys> for Encrypt {
    fn no_armor(mut self: Box<Self>) -> Box<dyn ops::Encrypt<'s, Sop, Certs, Keys> + 's> {
        self.armored = false;
        self
    }

    fn mode(
        mut self: Box<Self>,
        mode: EncryptAs,
    ) -> Box<dyn ops::Encrypt<'s, Sop, Certs, Keys> + 's> {
        self.mode = match mode {
            EncryptAs::Binary => Mode::Binary,
            EncryptAs::Text => Mode::Text,
        };
        self
    }

    fn sign_with_keys(
        mut self: Box<Self>,
        keys: &Keys,
    ) -> Result<Box<dyn ops::Encrypt<'s, Sop, Certs, Keys> + 's>> {
        self.signers.push(keys.copied());
        Ok(self)
    }

    fn with_key_password(
        mut self: Box<Self>,
        password: Password,
    ) -> Result<Box<dyn ops::Encrypt<'s, Sop, Certs, Keys> + 's>> {
        self.passwords.push(password);
        Ok(self)
    }

    fn with_password(
        self: Box<Self>,
        _: Password,
    ) -> Result<Box<dyn ops::Encrypt<'s, Sop, Certs, Keys> + 's>> {
        Err(Error::UnsupportedOption)
    }

    fn with_certs(
        mut self: Box<Self>,
        certs: &Certs,
    ) -> Result<Box<dyn ops::Encrypt<'s, Sop, Certs, Keys> + 's>> {
        self.recipients.extend_from_slice(&certs.certificates);
        Ok(self)
    }

    fn plaintext<'d>(
        self: Box<Self>,
        plaintext: &'d mut (dyn Read + Send + Sync),
    ) -> Result<Box<dyn Ready<Option<SessionKey>> + 'd>>
    where
        's: 'd,
    {
        let signers = unlock_all(&self.signers, &self.passwords)?;
        let document = read_document(plaintext)?;
        if self.mode == Mode::Text && core::str::from_utf8(&document).is_err() {
            return Err(Error::ExpectedText);
        }
        Ok(Box::new(Encryption {
            order: *self,
            signers,
            document,
        }))
    }
}

struct Encryption {
    order: Encrypt,
    signers: Vec<SecretCertificate>,
    document: Vec<u8>,
}

impl Ready<Option<SessionKey>> for Encryption {
    fn to_writer(
        self: Box<Self>,
        sink: &mut (dyn Write + Send + Sync),
    ) -> Result<Option<SessionKey>> {
        let order = Order {
            recipients: &self.order.recipients,
            signers: &self.signers,
            mode: self.order.mode,
            armored: self.order.armored,
        };
        let sealed = block_on(order.seal(&self.document, now(), &mut OsRng, Some(&TwoProcessors)))
            .map_err(|error| match error {
                EncryptError::NoRecipients => Error::MissingArg,
                EncryptError::Recipient { .. } => Error::CertCannotEncrypt,
                EncryptError::NoSigningKey => Error::KeyCannotSign,
                EncryptError::TooManyRecipients | EncryptError::Failed => Error::UnspecifiedFailure,
            })?;
        sink.write_all(&sealed)?;
        Ok(None)
    }
}

/// `decrypt`
#[derive(Default)]
pub(super) struct Decrypt {
    window: Window,
    keys: Vec<Keys>,
    passwords: Vec<Password>,
}

impl<'s> ops::Decrypt<'s, Sop, Certs, Keys> for Decrypt {
    fn verify_not_before(
        mut self: Box<Self>,
        time: SystemTime,
    ) -> Box<dyn ops::Decrypt<'s, Sop, Certs, Keys> + 's> {
        self.window.not_before = Some(time);
        self
    }

    fn verify_not_after(
        mut self: Box<Self>,
        time: SystemTime,
    ) -> Box<dyn ops::Decrypt<'s, Sop, Certs, Keys> + 's> {
        self.window.not_after = Some(time);
        self
    }

    fn verify_with_certs(
        mut self: Box<Self>,
        certs: &Certs,
    ) -> Result<Box<dyn ops::Decrypt<'s, Sop, Certs, Keys> + 's>> {
        self.window
            .certificates
            .extend_from_slice(&certs.certificates);
        Ok(self)
    }

    fn with_session_key(
        self: Box<Self>,
        _: SessionKey,
    ) -> Result<Box<dyn ops::Decrypt<'s, Sop, Certs, Keys> + 's>> {
        Err(Error::UnsupportedOption)
    }

    fn with_password(
        self: Box<Self>,
        _: Password,
    ) -> Result<Box<dyn ops::Decrypt<'s, Sop, Certs, Keys> + 's>> {
        Err(Error::UnsupportedOption)
    }

    fn with_keys(
        mut self: Box<Self>,
        keys: &Keys,
    ) -> Result<Box<dyn ops::Decrypt<'s, Sop, Certs, Keys> + 's>> {
        self.keys.push(keys.copied());
        Ok(self)
    }

    fn with_key_password(
        mut self: Box<Self>,
        password: Password,
    ) -> Result<Box<dyn ops::Decrypt<'s, Sop, Certs, Keys> + 's>> {
        self.passwords.push(password);
        Ok(self)
    }

    fn ciphertext<'d>(
        self: Box<Self>,
        ciphertext: &'d mut (dyn Read + Send + Sync),
    ) -> Result<Box<dyn Ready<(Option<SessionKey>, Vec<Verification>)> + 'd>>
    where
        's: 'd,
    {
        let keys = unlock_all(&self.keys, &self.passwords)?;
        Ok(Box::new(Decryption {
            window: self.window,
            keys,
            ciphertext: read_document(ciphertext)?,
        }))
    }
}

struct Decryption {
    window: Window,
    keys: Vec<SecretCertificate>,
    ciphertext: Vec<u8>,
}

impl Ready<(Option<SessionKey>, Vec<Verification>)> for Decryption {
    fn to_writer(
        self: Box<Self>,
        sink: &mut (dyn Write + Send + Sync),
    ) -> Result<(Option<SessionKey>, Vec<Verification>)> {
        let most = usize::try_from(MAX_DOCUMENT_OCTETS).unwrap_or(usize::MAX);
        let limits = Limits {
            ciphertext_octets: most,
            plaintext_octets: most,
        };
        let bulk = Some(&TwoProcessors as &dyn BulkCipher);
        let opened = decrypt::message_with(&self.ciphertext, &self.keys, &limits, bulk);
        let opened = block_on(opened).map_err(|error| match error {
            DecryptError::Refused(Refused::Form | Refused::NotEncrypted) => Error::BadData,
            _ => Error::CannotDecrypt,
        })?;
        let verifications = self.window.verifications(&opened.signatures)?;
        sink.write_all(&opened.plaintext)?;
        Ok((None, verifications))
    }
}
