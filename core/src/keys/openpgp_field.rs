//! The `OpenPGP` header field (draft-josefsson-openpgp-mailnews-header): where the author of a mail
//! says that their certificate is.
//!
//! ```text
//! OpenPGP: id=0123456789ABCDEF0123456789ABCDEF01234567; url="https://example.org/bob.asc"
//! ```
//!
//! Reading a mail asks nobody: what the field says is kept, and asked only when its author is
//! written to and nobody better has a certificate ([`super::lookup`]).
//! Invariant: what is kept is an HTTPS address at the very host of the author's domain, built here
//! and not taken over. So whoever writes mail in somebody's name can have that person's own domain
//! asked, by somebody who writes to it anyway, and nobody else. What it brings proves nothing: many
//! can put a file on a domain that many have an address of.
//! Rejected: other hosts, even below the domain; whoever rents one would learn who writes to whom.

use serde::{Deserialize, Serialize};

use super::lookup::is_public;
use crate::id::Address;
use crate::mime::{header, parse_parameterised};
use crate::openpgp::Fingerprint;

/// Largest field that is read, in octets.
pub const MAX_FIELD_OCTETS: usize = 2048;
/// Longest address that is kept, in octets.
pub const MAX_URL_OCTETS: usize = 512;
/// Most fields looked at: a mail should have one.
const MAX_FIELDS: usize = 4;

/// Where a certificate is said to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// An HTTPS URL at the host of the author's domain.
    url: String,
    /// The fingerprint that it must have, if the field says all of it: a key id is anybody's.
    fingerprint: Option<Fingerprint>,
}

impl Pointer {
    /// The URL, if it is one to ask about this address.
    pub fn url_for(&self, address: &Address) -> Option<&str> {
        let same = url_at(&self.url, address.domain())? == self.url;
        same.then_some(self.url.as_str())
    }

    /// Which certificate it shall be; `None`: any that names the address.
    pub const fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }
}

/// What a message header says of the certificate of its one author. `None` without a field whose
/// URL may be asked, and for a delivery report, whose header is not its sender's.
pub fn read(message_header: &[u8], author: &Address) -> Option<Pointer> {
    if super::autocrypt::is_report(message_header) {
        return None;
    }
    header::fields(message_header)
        .filter(|field| field.is("OpenPGP") && field.raw.len() <= MAX_FIELD_OCTETS)
        .take(MAX_FIELDS)
        .find_map(|field| parse(field.value, author))
}

fn parse(value: &[u8], author: &Address) -> Option<Pointer> {
    // There is nothing before the first parameter.
    let parameters = parse_parameterised(&[b";", value].concat()).parameters;
    let find = |wanted: &str| {
        let mut found = parameters.iter().filter(|(name, _)| name == wanted);
        found.next().map(|(_, value)| value.trim())
    };
    let digits = find("id").unwrap_or_default();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    Some(Pointer {
        url: url_at(find("url")?, author.domain())?,
        fingerprint: digits.parse().ok(),
    })
}

/// A URL as it is asked, if it is one by HTTPS at this very host.
fn url_at(url: &str, domain: &str) -> Option<String> {
    const SCHEME: &str = "https://";
    let is_url =
        |octet: u8| octet.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=%".contains(&octet);
    if url.len() > MAX_URL_OCTETS || !url.bytes().all(is_url) || !is_public(domain) {
        return None;
    }
    let (scheme, rest) = url.split_at_checked(SCHEME.len())?;
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.strip_suffix(":443").unwrap_or(authority);
    if !scheme.eq_ignore_ascii_case(SCHEME) || !host.eq_ignore_ascii_case(domain) {
        return None;
    }
    let rest = rest.split('#').next().unwrap_or_default();
    let slash = if rest.starts_with('/') { "" } else { "/" };
    Some(format!(
        "{SCHEME}{}{slash}{rest}",
        domain.to_ascii_lowercase()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openpgp::test_support::secret;

    fn bob() -> Address {
        Address::new("bob@example.org").unwrap()
    }

    fn url(field: &str) -> Option<String> {
        read(field.as_bytes(), &bob()).map(|found| found.url)
    }

    #[test]
    fn addresses_at_the_authors_own_host_are_kept() {
        for (given, kept) in [
            (
                "url=https://example.org/key.asc",
                "https://example.org/key.asc",
            ),
            (
                "url=\"https://example.org/key.asc\"",
                "https://example.org/key.asc",
            ),
            ("url=HTTPS://Example.ORG/Key", "https://example.org/Key"),
            ("url=https://example.org:443/k", "https://example.org/k"),
            ("url=https://example.org", "https://example.org/"),
            ("url=https://example.org?k=1", "https://example.org/?k=1"),
            ("url=https://example.org/k#x", "https://example.org/k"),
            ("url=https://example.org/a@b:c", "https://example.org/a@b:c"),
            (
                "id=12345678 (work); url=https://example.org/k (home)",
                "https://example.org/k",
            ),
            (
                "id=12345678;\r\n url=\"https://example.org/a;b\"; x=y",
                "https://example.org/a;b",
            ),
        ] {
            let found = url(&format!("Subject: s\r\nOpenPGP: {given}\r\n"));
            assert_eq!(found.as_deref(), Some(kept), "{given}");
            let again = Pointer {
                url: kept.into(),
                fingerprint: None,
            };
            assert_eq!(again.url_for(&bob()), Some(kept));
            let eve = Address::new("eve@elsewhere.org").unwrap();
            assert_eq!(again.url_for(&eve), None);
        }
    }

    #[test]
    fn nobody_else_is_ever_asked() {
        for given in [
            "url=http://example.org/k",
            "url=ftp://example.org/k",
            "url=https:/example.org/k",
            "url=https://www.example.org/k",
            "url=https://org/k",
            "url=https://example.org.evil.org/k",
            "url=https://evil.org/example.org",
            "url=https://example.org@evil.org/k",
            "url=https://bob:secret@example.org/k",
            "url=https://@example.org/k",
            "url=https://evil.org\\@example.org/k",
            "url=\"https://example.org\\\\.evil.org/k\"",
            "url=https://example.org:8443/k",
            "url=https://example.org:/k",
            "url=https://example.org./k",
            "url=\"https://example.org /k\"",
            "url=\"https://example.org\t/k\"",
            "url=https://exämple.org/k",
            "url=https://127.0.0.1/k",
            "url=",
            "id=12345678",
            "https://example.org/k",
            "",
        ] {
            assert_eq!(url(&format!("OpenPGP: {given}\r\n")), None, "{given}");
        }
        let long = format!(
            "OpenPGP: url=https://example.org/{}\r\n",
            "x".repeat(MAX_URL_OCTETS)
        );
        assert_eq!(url(&long), None);
        let large = format!(
            "OpenPGP: url=https://example.org/k; x={}\r\n",
            "y".repeat(MAX_FIELD_OCTETS)
        );
        assert_eq!(url(&large), None);
        let report =
            "Content-Type: multipart/report; x=y\r\nOpenPGP: url=https://example.org/k\r\n";
        assert_eq!(url(report), None);
        // Names that are at home only.
        let home = Address::new("bob@box.local").unwrap();
        assert_eq!(read(b"OpenPGP: url=https://box.local/k\r\n", &home), None);
        // The first that can be asked, of a few.
        let other = "OpenPGP: url=https://evil.org/k\r\n";
        let good = "OpenPGP: url=https://example.org/k\r\n";
        assert!(url(&[other, good].concat()).is_some());
        assert!(url(&(other.repeat(MAX_FIELDS) + good)).is_none());
    }

    #[test]
    fn only_all_of_a_fingerprint_counts() {
        let whole = secret("bob").fingerprint();
        for (id, found) in [
            (whole.to_string(), Some(whole)),
            (whole.to_string().to_ascii_lowercase(), Some(whole)),
            (format!("0x{whole}"), Some(whole)),
            (format!("\"{whole}\""), Some(whole)),
            (whole.to_string()[24..].to_owned(), None),
            ("12345678".to_owned(), None),
            ("none".to_owned(), None),
        ] {
            let field = format!("OpenPGP: id={id}; url=https://example.org/k\r\n");
            assert_eq!(
                read(field.as_bytes(), &bob()).unwrap().fingerprint,
                found,
                "{id}"
            );
        }
    }
}
