//! What a mail program is shown of a protected message.
//!
//! The decrypted entity under the outer message's transport fields; protected fields in place of
//! the outer ones of the same name; the two status fields on top. The From rule (RFC 9788 4.4): a
//! protected From with another address than the outer one is shown only if a signature proves it,
//! for else anybody who can encrypt to us could write under any name past the checks that the
//! outer From went through.

use super::open::{Inside, InsideKind, Shape};
use super::{is_status, is_structural, is_transport, single_from};
use crate::mime::header;
use crate::mime::{Part, split};
use crate::openpgp::protection::Protection;

pub(super) struct Shown<'a> {
    pub(super) raw: &'a [u8],
    pub(super) shape: &'a Shape,
    pub(super) protection: &'a Protection,
    /// A valid signature by the (protected) From address.
    pub(super) author_proven: bool,
}

impl Shown<'_> {
    pub(super) fn render(&self) -> Vec<u8> {
        let end = header::header_end(self.raw);
        let (outer, body) = self.raw.split_at_checked(end).unwrap_or((self.raw, &[]));
        match self.shape {
            Shape::Plain => without_status(self.raw),
            Shape::Closed(_) => {
                let mut out = self.protection.header_fields().into_bytes();
                out.extend_from_slice(&without_status(self.raw));
                out
            }
            Shape::Signed => self.signed(outer, body),
            Shape::Encrypted(inside) => match &inside.kind {
                InsideKind::Entity => self.entity(outer, inside),
                InsideKind::Text { charset } => self.text(outer, &inside.octets, charset),
            },
        }
    }

    /// The body stays as it is; the header is the protected one if the signature proves it.
    fn signed(&self, outer: &[u8], body: &[u8]) -> Vec<u8> {
        let structure = split(self.raw).structure;
        let protected = structure
            .root
            .children()
            .first()
            .and_then(|part| protected_header(self.raw, part))
            .filter(|_| self.author_proven)
            .unwrap_or_default();
        let mut out = self.protection.header_fields().into_bytes();
        let inner = protected_fields(&protected);
        for field in header::fields(outer) {
            let replaced = inner
                .iter()
                .any(|(name, _)| field.name.eq_ignore_ascii_case(name));
            if !is_status(&field) && !replaced {
                out.extend_from_slice(field.raw);
            }
        }
        for (_, raw) in inner {
            out.extend_from_slice(&raw);
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
        out
    }

    fn entity(&self, outer: &[u8], inside: &Inside) -> Vec<u8> {
        let octets: &[u8] = &inside.octets;
        let structure = split(octets).structure;
        let root = &structure.root;
        let top = root.header.of(octets);
        let mut protected = protected_header(octets, root).unwrap_or_default();
        let same_author = single_from(&protected) == single_from(outer);
        if !same_author && !self.author_proven {
            protected = header::remove_fields(&protected, &["From", "Sender"]);
        }
        let inner = protected_fields(&protected);
        let mut out = self.protection.header_fields().into_bytes();
        outer_fields(outer, &inner, &mut out);
        for (_, raw) in inner {
            out.extend_from_slice(&raw);
        }
        out.extend_from_slice(b"MIME-Version: 1.0\r\n");
        for field in header::fields(top) {
            if is_structural(&field) && !field.is("MIME-Version") {
                out.extend_from_slice(field.raw);
                end_line(&mut out);
            }
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(root.body.of(octets));
        out
    }

    fn text(&self, outer: &[u8], text: &[u8], charset: &str) -> Vec<u8> {
        let mut out = self.protection.header_fields().into_bytes();
        outer_fields(outer, &[], &mut out);
        out.extend_from_slice(
            format!(
                "MIME-Version: 1.0\r\nContent-Type: text/plain; charset={charset}\r\n\
                 Content-Transfer-Encoding: 8bit\r\n\r\n"
            )
            .as_bytes(),
        );
        out.extend_from_slice(text);
        out
    }
}

/// What of the outer header stays: not what described the envelope, not what is replaced.
fn outer_fields(outer: &[u8], inner: &[(Vec<u8>, Vec<u8>)], out: &mut Vec<u8>) {
    for field in header::fields(outer) {
        let replaced = inner
            .iter()
            .any(|(name, _)| field.name.eq_ignore_ascii_case(name));
        if !is_status(&field) && !is_structural(&field) && !replaced {
            out.extend_from_slice(field.raw);
        }
    }
}

/// The header of a payload, if it says that it protects the message's header (RFC 9788 2.1, and
/// the older draft's `protected-headers`).
pub(super) fn protected_header(raw: &[u8], payload: &Part) -> Option<Vec<u8>> {
    let protects = payload
        .parameter("hp")
        .is_some_and(|hp| hp == "cipher" || hp == "clear")
        || payload
            .parameter("protected-headers")
            .is_some_and(|version| version == "v1");
    protects.then(|| payload.header.of(raw).to_vec())
}

/// The fields of a protected header that may take the place of outer ones: name and raw field.
fn protected_fields(protected: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    header::fields(protected)
        .filter(|field| !is_status(field) && !is_structural(field) && !is_transport(field))
        .map(|field| {
            let mut raw = field.raw.to_vec();
            end_line(&mut raw);
            (field.name.to_vec(), raw)
        })
        .collect()
}

fn without_status(raw: &[u8]) -> Vec<u8> {
    header::remove_fields_if(raw, is_status)
}

fn end_line(out: &mut Vec<u8>) {
    if !out.ends_with(b"\n") {
        out.extend_from_slice(b"\r\n");
    }
}
