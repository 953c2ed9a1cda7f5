//! Certificates attached to mail (`application/pgp-keys`, RFC 3156 7).
//!
//! Invariant: what this module returns names the mail's one author and is usable for nothing but a
//! [`super::Level::WeakChain`] offer. Rejected: importing others' certificates that a mail brings;
//! whoever can send one mail would fill the keyring for everybody.

use crate::id::{Address, Timestamp};
use crate::mime::{decode_transfer, split};
use crate::openpgp::Certificate;
use crate::openpgp::policy::limits::MAX_CERTIFICATE_OCTETS;

/// Most attachments that are looked at.
pub const MAX_ATTACHED: usize = 4;
/// Most certificates looked at in one of them.
const MAX_CERTIFICATES: usize = 8;

/// The author's certificates among the direct parts of an entity, in their order.
pub fn read(entity: &[u8], author: &Address, now: Timestamp) -> Vec<Certificate> {
    let structure = split(entity).structure;
    let root = &structure.root;
    let children = root.children().iter();
    let parts = children.chain(core::iter::once(root));
    parts
        .filter(|part| part.is("application", "pgp-keys"))
        .filter(|part| part.body.of(entity).len() <= 2 * MAX_CERTIFICATE_OCTETS)
        .take(MAX_ATTACHED)
        .flat_map(|part| {
            let octets = decode_transfer(part.encoding.as_deref(), part.body.of(entity));
            Certificate::parse_some(octets.trim_ascii_start(), MAX_CERTIFICATES)
        })
        .filter(|certificate| certificate.names(author, now))
        .collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;
    use crate::openpgp::test_support::{NOW, address, secret};

    fn mail(parts: &[String]) -> Vec<u8> {
        let mut mail = String::from("Content-Type: multipart/mixed; boundary=b\r\n\r\n");
        for part in parts {
            for piece in ["--b\r\n", part, "\r\n"] {
                mail.push_str(piece);
            }
        }
        (mail + "--b--\r\n").into_bytes()
    }

    fn attached(local: &str) -> String {
        let armored = secret(local).certificate().to_armor();
        format!("Content-Type: application/pgp-keys\r\n\r\n{armored}")
    }

    #[test]
    fn the_authors_own_are_read_and_no_others() {
        let found = |parts: &[String]| read(&mail(parts), &address("alice"), NOW);
        let own = secret("alice").certificate().clone();
        assert_eq!(
            found(&[attached("eve"), attached("alice")]),
            core::slice::from_ref(&own)
        );
        assert_eq!(found(&[attached("eve")]), []);
        let deep = format!(
            "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n{}\r\n--c--",
            attached("alice")
        );
        assert_eq!(
            found(&[deep]),
            [],
            "parts of parts are somebody's forwarded mail"
        );
        let many: Vec<String> = (0..9).map(|_| attached("alice")).collect();
        assert_eq!(found(&many).len(), MAX_ATTACHED);
        let large = format!("{}{}", attached("alice"), "x\r\n".repeat(60_000));
        assert_eq!(found(&[large]), []);
        // A mail that is nothing but a key, in base64.
        let binary = base64::engine::general_purpose::STANDARD.encode(own.to_bytes());
        let whole = format!(
            "Content-Type: application/pgp-keys\r\nContent-Transfer-Encoding: base64\r\n\r\n{binary}"
        );
        assert_eq!(read(whole.as_bytes(), &address("alice"), NOW), [own]);
    }
}
