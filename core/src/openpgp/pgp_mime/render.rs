//! What a mail program is shown of a protected message.
//!
//! The decrypted entity under the outer message's transport fields; protected fields in place of
//! the outer ones of the same name; the two status fields on top. The From rule (RFC 9788 4.4): a
//! protected From with another address than the outer one is shown only if a signature proves it,
//! for else anybody who can encrypt to us could write under any name past the checks that the
//! outer From went through.

use super::open::{Inside, InsideKind, Shape};
use super::protected::Protected;
use super::{
    HP_PARAMETERS, is_status, is_structural, legacy_display, single_from, without_parameters,
};
use crate::mime::{header, split};
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
                InsideKind::Entity | InsideKind::RepairedEntity => self.entity(outer, inside),
                InsideKind::Text { charset } => self.text(outer, &inside.octets, charset),
            },
        }
    }

    /// The body stays as it is; the header is the protected one if the signature proves it.
    fn signed(&self, outer: &[u8], body: &[u8]) -> Vec<u8> {
        let structure = split(self.raw).structure;
        let root = &structure.root;
        let protected = Protected::of(self.raw, root)
            .filter(|_| self.author_proven && root.is("multipart", "signed"))
            .unwrap_or_default();
        let mut out = self.protection.header_fields().into_bytes();
        let inner = protected.fields();
        for field in header::fields(outer) {
            let replaced = inner
                .iter()
                .any(|(name, _)| field.name.eq_ignore_ascii_case(name));
            if !is_status(&field) && !replaced && !protected.drops(&field) {
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
        let mut protected = Protected::of(octets, &structure.root).unwrap_or_default();
        let shown = if protected.cipher {
            legacy_display::removed(octets)
        } else {
            octets.into()
        };
        let same_author = single_from(&protected.header) == single_from(outer);
        if !same_author && !self.author_proven {
            protected.header = header::remove_fields(&protected.header, &["From", "Sender"]);
        }
        let inner = protected.fields();
        let mut out = self.protection.header_fields().into_bytes();
        outer_fields(outer, &inner, &protected, &mut out);
        for (_, raw) in inner {
            out.extend_from_slice(&raw);
        }
        out.extend_from_slice(b"MIME-Version: 1.0\r\n");
        let end = header::header_end(&shown);
        let (top, body) = shown.split_at_checked(end).unwrap_or((&shown, &[]));
        for field in header::fields(top) {
            if field.is("Content-Type") {
                // Here they are true no more: nothing around the entity says what they stand for.
                out.extend_from_slice(b"Content-Type:");
                out.extend_from_slice(&without_parameters(field.value, &HP_PARAMETERS));
                end_line(&mut out);
            } else if is_structural(&field) && !field.is("MIME-Version") {
                out.extend_from_slice(field.raw);
                end_line(&mut out);
            }
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
        out
    }

    fn text(&self, outer: &[u8], text: &[u8], charset: &str) -> Vec<u8> {
        let mut out = self.protection.header_fields().into_bytes();
        outer_fields(outer, &[], &Protected::default(), &mut out);
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
fn outer_fields(
    outer: &[u8],
    inner: &[(Vec<u8>, Vec<u8>)],
    protected: &Protected,
    out: &mut Vec<u8>,
) {
    for field in header::fields(outer) {
        let replaced = inner
            .iter()
            .any(|(name, _)| field.name.eq_ignore_ascii_case(name));
        let added = protected.drops(&field);
        if !is_status(&field) && !is_structural(&field) && !replaced && !added {
            out.extend_from_slice(field.raw);
        }
    }
}

fn without_status(raw: &[u8]) -> Vec<u8> {
    header::remove_fields_if(raw, is_status)
}

fn end_line(out: &mut Vec<u8>) {
    if !out.ends_with(b"\n") {
        out.extend_from_slice(b"\r\n");
    }
}
