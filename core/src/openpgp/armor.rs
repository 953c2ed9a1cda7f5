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

/// Puts armor around binary OpenPGP, LF line ends; its first packet tells what it is.
/// `None` if that is no packet.
pub fn wrap(binary: &[u8]) -> Option<Vec<u8>> {
    let first = *binary.first()?;
    let tag = match first {
        0xc0.. => first & 0x3f,
        0x80.. => (first & 0x3f) >> 2,
        _ => return None,
    };
    let kind = match tag {
        2 => BlockType::Signature,
        5 => BlockType::PrivateKey,
        6 => BlockType::PublicKey,
        _ => BlockType::Message,
    };
    wrap_as(kind, binary)
}

/// The same around a message, which may begin with a signature (RFC 9580 10.3).
pub fn wrap_message(binary: &[u8]) -> Option<Vec<u8>> {
    wrap_as(BlockType::Message, binary)
}

fn wrap_as(kind: BlockType, binary: &[u8]) -> Option<Vec<u8>> {
    let mut armored = Vec::with_capacity(binary.len() / 2 * 3 + 128);
    pgp::armor::write(
        &Octets(binary),
        kind,
        &mut armored,
        None,
        wants_checksum(binary),
    )
    .ok()?;
    Some(armored)
}

/// Whether armor shall end with a CRC24. Programs of RFC 4880 want it (gpg 2.2 does not read
/// padded armor without it); RFC 9580 6.1 wants none around what is new in it, and that is told
/// by the first packet's version.
fn wants_checksum(binary: &[u8]) -> bool {
    let length_octets = match (binary.first(), binary.get(1)) {
        (Some(0xc0..), Some(0xc0..=0xdf)) => 2,
        (Some(0xc0..), Some(0xff)) => 5,
        (Some(0xc0..), _) => 1,
        (Some(first), _) => match first & 3 {
            0 => 1,
            1 => 2,
            2 => 4,
            _ => 0,
        },
        (None, _) => return true,
    };
    binary.get(1 + length_octets) != Some(&6)
}

/// The binary form of an armored block of any kind, at most `limit` octets.
pub fn unwrap(armored: &[u8], limit: usize) -> Option<Vec<u8>> {
    [
        Kind::Message,
        Kind::Signature,
        Kind::Certificate,
        Kind::SecretKey,
    ]
    .into_iter()
    .find_map(|kind| binary(armored, kind, limit).ok())
    .map(Cow::into_owned)
}

struct Octets<'a>(&'a [u8]);

impl pgp::ser::Serialize for Octets<'_> {
    fn to_writer<W: std::io::Write>(&self, writer: &mut W) -> pgp::errors::Result<()> {
        Ok(writer.write_all(self.0)?)
    }

    fn write_len(&self) -> usize {
        self.0.len()
    }
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

    #[test]
    fn what_is_wrapped_comes_out_again() {
        for (first, label) in [
            (0xc2, "SIGNATURE"),
            (0x88, "SIGNATURE"),
            (0xc5, "PRIVATE KEY BLOCK"),
            (0x98, "PUBLIC KEY BLOCK"),
            (0xc1, "MESSAGE"),
        ] {
            let octets = [&[first][..], &[7; 200]].concat();
            let armored = wrap(&octets).unwrap();
            assert!(armored.starts_with(format!("-----BEGIN PGP {label}-----\n").as_bytes()));
            assert_eq!(unwrap(&armored, 201).unwrap(), octets);
            assert_eq!(unwrap(&armored, 200), None);
        }
        // The version decides over the checksum: 3 of a session key, 6 of a new signature.
        for (head, checked) in [
            (&[0xc1, 0x05, 3][..], true),
            (&[0xc1, 0xc0, 0x05, 6], false),
            (&[0xc2, 0xff, 0, 0, 0, 5, 6], false),
            (&[0x88, 0x05, 6], false),
            (&[0x99, 0, 5, 4], true),
        ] {
            let octets = [head, &[0; 5]].concat();
            let armored = String::from_utf8(wrap(&octets).unwrap()).unwrap();
            assert_eq!(armored.contains("\n="), checked, "{armored}");
        }
        assert_eq!(wrap(b"text"), None);
        assert_eq!(wrap(b""), None);
    }
}
