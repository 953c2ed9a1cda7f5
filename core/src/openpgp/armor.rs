//! ASCII armor (RFC 9580 6) taken off under a limit.
//!
//! Invariant: no more than the given number of octets is ever decoded. rPGP's own default allows
//! a gigabyte. The CRC24 is ignored, as RFC 9580 6.1 demands.

use std::borrow::Cow;
use std::io::Read;

use pgp::armor::{BlockType, Dearmor, DearmorOptions};

/// What an armored block may be here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `PGP MESSAGE`
    Message,
    /// `PGP SIGNATURE`
    Signature,
    /// `PGP PUBLIC KEY BLOCK`
    Certificate,
    /// `PGP PRIVATE KEY BLOCK`
    SecretKey,
}

/// Why octets are no binary or armored block of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ArmorError {
    /// Larger than the limit.
    #[error("larger than {0} octets")]
    TooLarge(usize),
    /// Not armor, or armor of another kind, or broken.
    #[error("neither binary nor armored OpenPGP of the expected kind")]
    Form,
}

/// The binary form of `octets`, which may be binary already: then bit 7 of the first is set
/// (RFC 9580 4.2). At most `limit` octets.
pub(super) fn binary(octets: &[u8], kind: Kind, limit: usize) -> Result<Cow<'_, [u8]>, ArmorError> {
    if octets.first().is_some_and(|first| first & 0x80 != 0) {
        if octets.len() > limit {
            return Err(ArmorError::TooLarge(limit));
        }
        return Ok(Cow::Borrowed(octets));
    }
    // Armor is 4/3 of the binary, with line ends and headers below 3/2; text around it may add.
    if octets.len() > limit.saturating_mul(2).saturating_add(4096) {
        return Err(ArmorError::TooLarge(limit));
    }
    let options = DearmorOptions::new().set_limit(octets.len());
    let mut dearmor = Dearmor::with_options(octets, options);
    dearmor.read_header().map_err(|_| ArmorError::Form)?;
    let wanted = matches!(
        (kind, dearmor.typ),
        (Kind::Message, Some(BlockType::Message))
            | (Kind::Signature, Some(BlockType::Signature))
            | (Kind::Certificate, Some(BlockType::PublicKey))
            | (Kind::SecretKey, Some(BlockType::PrivateKey))
    );
    if !wanted {
        return Err(ArmorError::Form);
    }
    let mut decoded = Vec::with_capacity(octets.len().min(limit));
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    dearmor
        .take(bound)
        .read_to_end(&mut decoded)
        .map_err(|_| ArmorError::Form)?;
    if decoded.len() > limit {
        return Err(ArmorError::TooLarge(limit));
    }
    Ok(Cow::Owned(decoded))
}

/// Armor with CRLF line ends, as mail carries it.
pub(super) fn with_crlf(armored: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(armored.len() + armored.len() / 60);
    for line in armored.split_inclusive(|octet| *octet == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_for_binary_and_armor() {
        assert_eq!(
            binary(&[0xc0; 11], Kind::Message, 10),
            Err(ArmorError::TooLarge(10))
        );
        let armored =
            b"-----BEGIN PGP MESSAGE-----\n\nAAAAAAAAAAAAAAAAAAAA\n-----END PGP MESSAGE-----\n";
        assert_eq!(
            binary(armored, Kind::Message, 14),
            Err(ArmorError::TooLarge(14))
        );
        assert_eq!(binary(armored, Kind::Message, 15).unwrap().len(), 15);
        assert_eq!(binary(armored, Kind::Signature, 15), Err(ArmorError::Form));
        assert_eq!(binary(b"", Kind::Message, 15), Err(ArmorError::Form));
    }
}
