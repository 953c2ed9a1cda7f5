//! Keys, certificates and signatures, as files hold them: binary or armored, one or many.

use std::io::{Read, Write};

use letterlock_core::openpgp::policy::limits::{MAX_KEYRING_OCTETS, MAX_SIGNATURE_OCTETS};
use letterlock_core::openpgp::secret_certificate::SecretCertificateError;
use letterlock_core::openpgp::{Certificate, SecretCertificate, armor};
use sop::errors::Error;
use sop::plumbing::{PasswordsAreHumanReadable as _, SopRef};
use sop::{Load, Password, Result, Save};
use zeroize::Zeroizing;

use super::Sop;

/// Secret keys, some perhaps locked.
#[derive(Default)]
pub(super) struct Keys {
    /// Binary, one after the other.
    octets: Zeroizing<Vec<u8>>,
    source: Option<String>,
}

impl Keys {
    pub(super) fn from_octets(octets: Zeroizing<Vec<u8>>) -> Self {
        Self {
            octets,
            source: None,
        }
    }

    /// Another of the same, for who keeps them.
    pub(super) fn copied(&self) -> Self {
        Self::from_octets(self.octets.clone())
    }

    /// The keys, unlocked by the first of the passwords that fits each.
    pub(super) fn unlock(&self, passwords: &[Password]) -> Result<Vec<SecretCertificate>> {
        let found = self.unlock_with(passwords)?;
        Ok(found.into_iter().map(|(key, _)| key).collect())
    }

    /// The same, each with what unlocked it.
    pub(super) fn unlock_with<'a>(
        &self,
        passwords: &'a [Password],
    ) -> Result<Vec<(SecretCertificate, Option<&'a str>)>> {
        let variants: Vec<&str> = passwords
            .iter()
            .flat_map(|password| password.variants())
            .filter_map(|variant| core::str::from_utf8(variant).ok())
            .collect();
        SecretCertificate::parse_with_locks(&self.octets, &variants).map_err(|error| match error {
            SecretCertificateError::Locked | SecretCertificateError::Passphrase => {
                Error::KeyIsProtected
            }
            _ => Error::BadData,
        })
    }

    /// The public parts; nothing needs to be unlocked for them.
    pub(super) fn certificates(&self) -> Result<Vec<Certificate>> {
        SecretCertificate::public_parts(&self.octets).map_err(|_| Error::BadData)
    }
}

impl<'s> Load<'s, Sop> for Keys {
    fn from_reader(
        _: &'s Sop,
        source: &mut (dyn Read + Send + Sync),
        source_name: Option<String>,
    ) -> Result<Self> {
        let keys = Self {
            octets: Zeroizing::new(read(source, MAX_KEYRING_OCTETS)?),
            source: source_name,
        };
        keys.certificates()?;
        Ok(keys)
    }

    fn source_name(&self) -> Option<&str> {
        self.source.as_deref()
    }
}

impl Save for Keys {
    fn to_writer(&self, armored: bool, sink: &mut (dyn Write + Send + Sync)) -> Result<()> {
        write(&self.octets, armored, sink)
    }
}

/// Certificates.
pub(super) struct Certs {
    pub(super) certificates: Vec<Certificate>,
    source: Option<String>,
}

impl Certs {
    pub(super) fn new(certificates: Vec<Certificate>) -> Self {
        Self {
            certificates,
            source: None,
        }
    }
}

impl<'s> Load<'s, Sop> for Certs {
    fn from_reader(
        _: &'s Sop,
        source: &mut (dyn Read + Send + Sync),
        source_name: Option<String>,
    ) -> Result<Self> {
        let octets = read(source, MAX_KEYRING_OCTETS)?;
        Ok(Self {
            certificates: Certificate::parse_all(&octets).map_err(|_| Error::BadData)?,
            source: source_name,
        })
    }

    fn source_name(&self) -> Option<&str> {
        self.source.as_deref()
    }
}

impl Save for Certs {
    fn to_writer(&self, armored: bool, sink: &mut (dyn Write + Send + Sync)) -> Result<()> {
        let octets: Vec<u8> = self
            .certificates
            .iter()
            .flat_map(Certificate::as_bytes)
            .copied()
            .collect();
        write(&octets, armored, sink)
    }
}

/// Detached signatures, not looked at yet.
pub(super) struct Sigs {
    pub(super) octets: Vec<u8>,
    source: Option<String>,
}

impl Sigs {
    pub(super) fn from_octets(octets: Vec<u8>) -> Self {
        Self {
            octets,
            source: None,
        }
    }
}

impl<'s> Load<'s, Sop> for Sigs {
    fn from_reader(
        _: &'s Sop,
        source: &mut (dyn Read + Send + Sync),
        source_name: Option<String>,
    ) -> Result<Self> {
        Ok(Self {
            octets: read(source, MAX_SIGNATURE_OCTETS)?,
            source: source_name,
        })
    }

    fn source_name(&self) -> Option<&str> {
        self.source.as_deref()
    }
}

impl Save for Sigs {
    fn to_writer(&self, armored: bool, sink: &mut (dyn Write + Send + Sync)) -> Result<()> {
        write(&self.octets, armored, sink)
    }
}

/// The binary form of what a source has.
fn read(source: &mut (dyn Read + Send + Sync), limit: usize) -> Result<Vec<u8>> {
    let mut octets = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_mul(2);
    source.take(most).read_to_end(&mut octets)?;
    let is_binary = octets.first().is_some_and(|first| first & 0x80 != 0);
    if is_binary && octets.len() <= limit {
        return Ok(octets);
    }
    armor::unwrap(&octets, limit).ok_or(Error::BadData)
}

/// Writes binary OpenPGP, armored or as it is.
pub(super) fn write(
    binary: &[u8],
    armored: bool,
    sink: &mut (dyn Write + Send + Sync),
) -> Result<()> {
    if armored {
        sink.write_all(&armor::wrap(binary).ok_or(Error::BadData)?)?;
    } else {
        sink.write_all(binary)?;
    }
    Ok(())
}

// What an object was read by; there is one implementation, without a state.
impl<'s> SopRef<'s, Sop> for Keys {
    fn sop(&self) -> &'s Sop {
        &Sop
    }
}

impl<'s> SopRef<'s, Sop> for Certs {
    fn sop(&self) -> &'s Sop {
        &Sop
    }
}

impl<'s> SopRef<'s, Sop> for Sigs {
    fn sop(&self) -> &'s Sop {
        &Sop
    }
}
