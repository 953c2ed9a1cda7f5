//! The `Autocrypt` header field (Autocrypt Level 1, section 2): a certificate with every mail.
//!
//! ```text
//! Autocrypt: addr=a@b.example; prefer-encrypt=mutual; _non-critical=x; keydata=<base64>
//! ```
//!
//! Encrypted mail to several people carries `Autocrypt-Gossip` fields inside, one for each of them
//! (section 2.3), so that all can answer all.
//!
//! Invariant: what this module returns is for the message's one From address, verified, and usable
//! for nothing but a [`super::Level::WeakChain`] offer. Two valid fields mean none: one of them is
//! somebody else's.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Name of the field with the certificate of another recipient (section 2.3).
pub use crate::openpgp::pgp_mime::GOSSIP_FIELD;
pub use crate::openpgp::pgp_mime::autocrypt_field as write;

use crate::id::Address;
use crate::mime::header::{self, Field};
use crate::openpgp::Certificate;

/// Most `Autocrypt-Gossip` fields that are read of a mail.
pub const MAX_GOSSIP: usize = 32;
/// Largest field, in octets (section 2.1).
pub const MAX_FIELD_OCTETS: usize = 10 * 1024;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a valid field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Autocrypt {
    /// The sender's certificate.
    pub certificate: Certificate,
    /// The sender wishes that answers be encrypted.
    pub prefers_encryption: bool,
}

/// The one valid field of a message header, whose one From address is given.
///
/// `None` if there is none, if there are several valid ones, or for a delivery report
/// (`multipart/report`), whose header is not its sender's.
pub fn read(message_header: &[u8], from: &Address) -> Option<Autocrypt> {
    if is_report(message_header) {
        return None;
    }
    let mut valid = header::fields(message_header)
        .filter(|field| field.is("Autocrypt"))
        .filter_map(|field| parse(&field))
        .filter(|(addr, _)| addr.canonical() == from.canonical())
        .map(|(_, found)| found);
    let found = valid.next()?;
    valid.next().is_none().then_some(found)
}

/// Whether a message is a delivery report: its header is not its sender's.
pub(super) fn is_report(message_header: &[u8]) -> bool {
    header::find(message_header, "Content-Type").is_some_and(|field| {
        let value = field.unfolded().to_ascii_lowercase();
        value.starts_with(b"multipart/report")
    })
}

/// The certificates that a mail's encrypted header tells of its other recipients; of an address
/// that is none of them, or that is told of twice, nothing.
pub fn read_gossip(inner_header: &[u8], recipients: &[Address]) -> Vec<(Address, Certificate)> {
    let told: Vec<(Address, Certificate)> = header::fields(inner_header)
        .filter(|field| field.is(GOSSIP_FIELD))
        .take(MAX_GOSSIP)
        .filter_map(|field| parse(&field))
        .map(|(addr, found)| (addr.canonical(), found.certificate))
        .collect();
    let once = |addr: &Address| told.iter().filter(|(other, _)| other == addr).count() == 1;
    let is_recipient = |addr: &Address| recipients.iter().any(|one| one.canonical() == *addr);
    told.iter()
        .filter(|(addr, _)| once(addr) && is_recipient(addr))
        .cloned()
        .collect()
}

fn parse(field: &Field<'_>) -> Option<(Address, Autocrypt)> {
    if field.raw.len() > MAX_FIELD_OCTETS {
        return None;
    }
    let value = String::from_utf8(field.unfolded()).ok()?;
    let (mut addr, mut keydata, mut prefers_encryption) = (None, None, false);
    for attribute in value
        .split(';')
        .map(str::trim)
        .filter(|attribute| !attribute.is_empty())
    {
        let (name, value) = attribute.split_once('=')?;
        match (name.trim(), value.trim()) {
            ("addr", value) => addr = Some(Address::new(value).ok()?),
            ("keydata", value) => keydata = Some(value),
            ("prefer-encrypt", value) => prefers_encryption = value == "mutual",
            (name, _) if name.starts_with('_') => {}
            // Unknown and critical: the whole field is not for us.
            _ => return None,
        }
    }
    let addr = addr?;
    let digits: String = keydata?.split_ascii_whitespace().collect();
    let certificate = Certificate::parse(&BASE64.decode(digits).ok()?).ok()?;
    let found = Autocrypt {
        certificate,
        prefers_encryption,
    };
    Some((addr, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openpgp::test_support::{NOW, address, secret};

    fn header_of(local: &str) -> String {
        write(secret(local).certificate(), &address(local), NOW).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let field = header_of("alice");
        assert!(field.len() < 1000 && field.lines().all(|line| line.len() < 100));
        let found = read(field.as_bytes(), &address("Alice")).unwrap();
        assert_eq!(&found.certificate, secret("alice").certificate());
        assert!(found.prefers_encryption);
        assert!(read(field.as_bytes(), &address("bob")).is_none());
        assert!(write(secret("alice").certificate(), &address("bob"), NOW).is_none());
    }

    #[test]
    fn level_one_rules() {
        let (field, alice) = (header_of("alice"), address("alice"));
        let twice = format!("{field}{field}");
        assert!(read(twice.as_bytes(), &alice).is_none());
        let other = format!("{field}{}", header_of("bob"));
        assert!(read(other.as_bytes(), &alice).is_some());
        let critical = field.replace("keydata=", "quantum=yes; keydata=");
        assert!(read(critical.as_bytes(), &alice).is_none());
        let extension = field.replace("keydata=", "_quantum=yes; keydata=");
        assert!(read(extension.as_bytes(), &alice).is_some());
        let report = format!("Content-Type: multipart/report; x=y\r\n{field}");
        assert!(read(report.as_bytes(), &alice).is_none());
        let large = field.replace("keydata=", &format!("_x={}; keydata=", "y".repeat(11_000)));
        assert!(read(large.as_bytes(), &alice).is_none());
        assert!(
            read(
                b"Autocrypt: addr=alice@letterlock.example; keydata=!\r\n",
                &alice
            )
            .is_none()
        );
    }
}
