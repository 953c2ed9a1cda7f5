//! `inline-sign`, `inline-verify`, `inline-detach`: signatures in the same octets as the document,
//! as a signed message or as a text of the cleartext signature framework.

use std::io::{Read, Write};
use std::time::SystemTime;

use letterlock_core::openpgp::cleartext::Cleartext;
use letterlock_core::openpgp::decrypt::{self, Limits};
use letterlock_core::openpgp::sign::{self, Mode, SignError};
use letterlock_core::openpgp::{PendingSignatures, SecretCertificate, armor};
use rand::rngs::OsRng;
use sop::errors::Error;
use sop::ops::{self, InlineSignAs, Ready, Verification};
use sop::{Password, Result};

use super::objects::{Certs, Keys, Sigs};
use super::sign::{Window, unlock_all};
use super::{MAX_DOCUMENT_OCTETS, Sop, now, read_document};

/// `inline-sign`
pub(super) struct Sign {
    armored: bool,
    mode: InlineSignAs,
    keys: Vec<Keys>,
    passwords: Vec<Password>,
}

impl Default for Sign {
    fn default() -> Self {
        Self {
            armored: true,
            mode: InlineSignAs::Binary,
            keys: Vec::new(),
            passwords: Vec::new(),
        }
    }
}

impl<'s> ops::InlineSign<'s, Sop, Keys> for Sign {
    fn no_armor(mut self: Box<Self>) -> Box<dyn ops::InlineSign<'s, Sop, Keys> + 's> {
        self.armored = false;
        self
    }

    fn mode(
        mut self: Box<Self>,
        mode: InlineSignAs,
    ) -> Box<dyn ops::InlineSign<'s, Sop, Keys> + 's> {
        self.mode = mode;
        self
    }

    fn keys(
        mut self: Box<Self>,
        keys: &Keys,
    ) -> Result<Box<dyn ops::InlineSign<'s, Sop, Keys> + 's>> {
        self.keys.push(keys.copied());
        Ok(self)
    }

    fn with_key_password(
        mut self: Box<Self>,
        password: Password,
    ) -> Result<Box<dyn ops::InlineSign<'s, Sop, Keys> + 's>> {
        self.passwords.push(password);
        Ok(self)
    }

    fn data<'d>(
        self: Box<Self>,
        data: &'d mut (dyn Read + Send + Sync),
    ) -> Result<Box<dyn Ready + 'd>>
    where
        's: 'd,
    {
        let signers = unlock_all(&self.keys, &self.passwords)?;
        if signers.is_empty() {
            return Err(Error::MissingArg);
        }
        let document = read_document(data)?;
        if self.mode != InlineSignAs::Binary && core::str::from_utf8(&document).is_err() {
            return Err(Error::ExpectedText);
        }
        let signed = signed(&document, &signers, self.mode).map_err(|error| match error {
            SignError::NoKey => Error::KeyCannotSign,
            SignError::Failed => Error::UnspecifiedFailure,
        })?;
        Ok(Box::new(Signed {
            // A text in the clear has its armor already.
            armored: self.armored && self.mode != InlineSignAs::ClearSigned,
            octets: signed,
        }))
    }
}

fn signed(
    document: &[u8],
    signers: &[SecretCertificate],
    mode: InlineSignAs,
) -> std::result::Result<Vec<u8>, SignError> {
    match mode {
        InlineSignAs::Binary => sign::message(document, signers, Mode::Binary, now(), &mut OsRng),
        InlineSignAs::Text => sign::message(document, signers, Mode::Text, now(), &mut OsRng),
        InlineSignAs::ClearSigned => {
            Ok(Cleartext::sign(document, signers, now(), &mut OsRng)?.write())
        }
    }
}

struct Signed {
    armored: bool,
    octets: Vec<u8>,
}

impl Ready for Signed {
    fn to_writer(self: Box<Self>, sink: &mut (dyn Write + Send + Sync)) -> Result<()> {
        if self.armored {
            let armored = armor::wrap_message(&self.octets).ok_or(Error::UnspecifiedFailure)?;
            Ok(sink.write_all(&armored)?)
        } else {
            Ok(sink.write_all(&self.octets)?)
        }
    }
}

/// A document and the signatures that came with it.
struct Taken {
    document: Vec<u8>,
    pending: PendingSignatures,
    /// Binary.
    signatures: Vec<u8>,
}

fn take(octets: &[u8]) -> Result<Taken> {
    if let Some(text) = Cleartext::read(octets) {
        let most = text.signature.len();
        return Ok(Taken {
            pending: text.signatures(),
            signatures: armor::unwrap(&text.signature, most).ok_or(Error::BadData)?,
            document: text.text,
        });
    }
    let most = usize::try_from(MAX_DOCUMENT_OCTETS).unwrap_or(usize::MAX);
    let limits = Limits {
        ciphertext_octets: most,
        plaintext_octets: most,
    };
    let (document, pending) = decrypt::signed(octets, &limits).map_err(|_| Error::BadData)?;
    Ok(Taken {
        signatures: pending.packets(),
        document: document.into_vec(),
        pending,
    })
}

/// `inline-verify`
#[derive(Default)]
pub(super) struct Verify(Window);

impl<'s> ops::InlineVerify<'s, Sop, Certs> for Verify {
    fn not_before(
        mut self: Box<Self>,
        time: SystemTime,
    ) -> Box<dyn ops::InlineVerify<'s, Sop, Certs> + 's> {
        self.0.not_before = Some(time);
        self
    }

    fn not_after(
        mut self: Box<Self>,
        time: SystemTime,
    ) -> Box<dyn ops::InlineVerify<'s, Sop, Certs> + 's> {
        self.0.not_after = Some(time);
        self
    }

    fn certs(
        mut self: Box<Self>,
        certs: &Certs,
    ) -> Result<Box<dyn ops::InlineVerify<'s, Sop, Certs> + 's>> {
        self.0.certificates.extend_from_slice(&certs.certificates);
        Ok(self)
    }

    fn message<'d>(
        self: Box<Self>,
        data: &'d mut (dyn Read + Send + Sync),
    ) -> Result<Box<dyn Ready<Vec<Verification>> + 'd>>
    where
        's: 'd,
    {
        let taken = take(&read_document(data)?)?;
        Ok(Box::new(Verified {
            window: self.0,
            taken,
        }))
    }
}

struct Verified {
    window: Window,
    taken: Taken,
}

impl Ready<Vec<Verification>> for Verified {
    fn to_writer(
        self: Box<Self>,
        sink: &mut (dyn Write + Send + Sync),
    ) -> Result<Vec<Verification>> {
        let good = self.window.verifications(&self.taken.pending)?;
        // Nothing of a document is written that nobody vouches for.
        if good.is_empty() {
            return Err(Error::NoSignature);
        }
        sink.write_all(&self.taken.document)?;
        Ok(good)
    }
}

/// `inline-detach`
pub(super) struct Detach;

impl<'s> ops::InlineDetach<'s, Sigs> for Detach {
    fn message<'d>(
        self: Box<Self>,
        data: &'d mut (dyn Read + Send + Sync),
    ) -> Result<Box<dyn Ready<Sigs> + 'd>>
    where
        's: 'd,
    {
        Ok(Box::new(Detached(take(&read_document(data)?)?)))
    }
}

struct Detached(Taken);

impl Ready<Sigs> for Detached {
    fn to_writer(self: Box<Self>, sink: &mut (dyn Write + Send + Sync)) -> Result<Sigs> {
        if self.0.signatures.is_empty() {
            return Err(Error::NoSignature);
        }
        sink.write_all(&self.0.document)?;
        Ok(Sigs::from_octets(self.0.signatures))
    }
}
