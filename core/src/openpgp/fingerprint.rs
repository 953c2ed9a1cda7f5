//! What identifies a key: its fingerprint (RFC 9580 5.5.4), or what a signature says of its issuer.

use core::fmt;
use core::str::FromStr;

use pgp::types::Fingerprint as PgpFingerprint;
use serde::{Deserialize, Serialize};

use crate::id::InvalidId;

/// Fingerprint of a version 4 (20 octets) or version 6 (32 octets) key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Fingerprint {
    /// SHA-1 over a version 4 key.
    V4([u8; 20]),
    /// SHA-256 over a version 6 key.
    V6([u8; 32]),
}

impl Fingerprint {
    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::V4(octets) => octets,
            Self::V6(octets) => octets,
        }
    }

    /// `None` for a key version that is not spoken here.
    pub(super) fn from_pgp(fingerprint: &PgpFingerprint) -> Option<Self> {
        match fingerprint {
            PgpFingerprint::V4(octets) => Some(Self::V4(*octets)),
            PgpFingerprint::V6(octets) => Some(Self::V6(*octets)),
            _ => None,
        }
    }

    /// As rPGP writes it.
    pub(super) fn to_pgp(self) -> PgpFingerprint {
        match self {
            Self::V4(octets) => PgpFingerprint::V4(octets),
            Self::V6(octets) => PgpFingerprint::V6(octets),
        }
    }
}

/// Upper-case hexadecimal without spaces.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|octet| write!(f, "{octet:02X}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidId;

    /// Parses 40 or 64 hexadecimal digits of either case; spaces are ignored.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let octets = hex_octets(text)?;
        if let Ok(octets) = <[u8; 20]>::try_from(octets.as_slice()) {
            return Ok(Self::V4(octets));
        }
        <[u8; 32]>::try_from(octets.as_slice())
            .map(Self::V6)
            .map_err(|_| InvalidId::Form)
    }
}

/// Whom a signature names as its maker: a hint for the lookup, not a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Issuer {
    /// The key's (or subkey's) fingerprint.
    Fingerprint(Fingerprint),
    /// Only the key id: the fingerprint's last 8 octets for version 4.
    KeyId([u8; 8]),
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fingerprint(fingerprint) => fingerprint.fmt(f),
            Self::KeyId(octets) => octets.iter().try_for_each(|octet| write!(f, "{octet:02X}")),
        }
    }
}

impl FromStr for Issuer {
    type Err = InvalidId;

    /// Parses a fingerprint, or a key id of 16 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if let Ok(octets) = <[u8; 8]>::try_from(hex_octets(text)?.as_slice()) {
            return Ok(Self::KeyId(octets));
        }
        text.parse().map(Self::Fingerprint)
    }
}

fn hex_octets(text: &str) -> Result<Vec<u8>, InvalidId> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|character| *character != ' ')
        .map(|character| {
            character
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect::<Option<_>>()
        .ok_or(InvalidId::Character)?;
    if !digits.len().is_multiple_of(2) || digits.len() > 64 {
        return Err(InvalidId::Form);
    }
    Ok(digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |octet, digit| (octet << 4) | digit))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_both_ways() {
        for fingerprint in [Fingerprint::V4([0xa7; 20]), Fingerprint::V6([0x1b; 32])] {
            assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
            let issuer = Issuer::Fingerprint(fingerprint);
            assert_eq!(issuer.to_string().parse(), Ok(issuer));
        }
        let id = Issuer::KeyId([0x0f; 8]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("AB".parse::<Fingerprint>().is_err());
        assert!("zz".parse::<Issuer>().is_err());
    }
}
