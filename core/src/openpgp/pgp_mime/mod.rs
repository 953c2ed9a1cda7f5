//! OpenPGP in mail: PGP/MIME (RFC 3156), header protection (RFC 9788), and reading inline PGP.
//!
//! Outgoing: [`sign_and_encrypt`], [`sign`]. Incoming: [`open()`] gives a [`Pending`] message, whose
//! signatures are judged when the sender's certificate has been looked up.
//!
//! Reading order of what reads: `envelope` (what there is to open), [`open()`] (opening and
//! judging it), `protected` (whose header it is), `legacy_display`, `render` (what is shown).
//!
//! Invariants: only the cryptographic envelope at the root counts (RFC 9787 4); a decrypted part
//! is a document of its own and is never put beside what was not encrypted (EFAIL); a
//! `multipart/signed` body stays as it is, to the octet. Inline PGP is read and never written.
//! What was mangled on the way is opened, and its status says that it was repaired: then only what
//! is inside the encryption speaks, and no signature is told that did not stand there.

mod compose;
mod envelope;
mod head_field;
mod legacy_display;
mod open;
mod protected;
mod render;
mod seven_bit;
#[cfg(test)]
mod tests;

pub use compose::{
    ComposeError, Everybody, GOSSIP_FIELD, Sender, autocrypt_field, sign, sign_and_encrypt,
    sign_and_encrypt_to,
};
pub use head_field::{head_field, read_head_field};
pub use open::{Opened, Pending, open, open_with};

use crate::id::Address;
use crate::mime::EnvelopeAddress;
use crate::mime::address::parse_addresses;
use crate::mime::header::{self, Field};

/// Fields that only we may write: they are removed from whatever comes in or goes out.
fn is_status(field: &Field<'_>) -> bool {
    let name = field.name.to_ascii_lowercase();
    name.starts_with(b"letterlock-") || name.starts_with(b"x-leap-")
}

/// Fields that say what the body is, not what the letter is (RFC 9788 1.1.1).
fn is_structural(field: &Field<'_>) -> bool {
    let name = field.name.to_ascii_lowercase();
    name.starts_with(b"content-") || name == b"mime-version"
}

/// Fields that transport adds, which nobody can promise inside.
fn is_transport(field: &Field<'_>) -> bool {
    const NAMES: [&str; 9] = [
        "Received",
        "Return-Path",
        "Delivered-To",
        "Authentication-Results",
        "DKIM-Signature",
        "X-Original-To",
        "Autocrypt",
        GOSSIP_FIELD,
        "HP-Outer",
    ];
    NAMES.iter().any(|name| field.is(name))
        || field.name.to_ascii_lowercase().starts_with(b"arc-")
        || field.name.is_empty()
}

/// Parameters of `Content-Type` by which a payload says that it protects a header.
const HP_PARAMETERS: [&str; 3] = ["hp", "protected-headers", "hp-legacy-display"];

/// A value of `Content-Type` without some of its parameters, with the line end that it had.
fn without_parameters(value: &[u8], names: &[&str]) -> Vec<u8> {
    let (mut quoted, mut escaped) = (false, false);
    let pieces = value.split(|octet| {
        let ends = *octet == b';' && !quoted;
        quoted ^= *octet == b'"' && !escaped;
        escaped = *octet == b'\\' && !escaped;
        ends
    });
    let kept: Vec<&[u8]> = pieces
        .enumerate()
        .filter(|(number, piece)| {
            let name = piece
                .split(|octet| *octet == b'=')
                .next()
                .unwrap_or_default();
            let name = name.trim_ascii();
            *number == 0
                || !names
                    .iter()
                    .any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
        })
        .map(|(_, piece)| piece)
        .collect();
    let mut out = kept.join(b";".as_slice());
    if value.ends_with(b"\n") && !out.ends_with(b"\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The one author: `None` if there are several From fields or addresses, or none.
fn single_from(header: &[u8]) -> Option<Address> {
    let mut fields = header::fields(header).filter(|field| field.is("From"));
    let field = fields.next()?;
    if fields.next().is_some() || has_two_angles(field.value) {
        return None;
    }
    // A group, even of one, is no author: programs differ in what they show of it.
    let addresses = parse_addresses(field.value, 4).addresses;
    let [only] = addresses.as_slice() else {
        return None;
    };
    Address::new(&EnvelopeAddress::to_mailbox(only)?.address).ok()
}

/// Whether two angles open outside quotes and comments: `<a@b> <c@d>` is one author to us, and to
/// other programs the other.
fn has_two_angles(value: &[u8]) -> bool {
    let (mut angles, mut comments, mut quoted) = (0_u32, 0_u32, false);
    let mut octets = value.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b'\\' if quoted || comments > 0 => drop(octets.next()),
            b'"' if comments == 0 => quoted = !quoted,
            b'(' if !quoted => comments = comments.saturating_add(1),
            b')' if !quoted => comments = comments.saturating_sub(1),
            b'<' if !quoted && comments == 0 => angles = angles.saturating_add(1),
            _ => {}
        }
    }
    angles > 1
}

/// CRLF line ends throughout.
fn with_crlf(octets: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let mut previous = 0;
    let bare = octets.iter().any(|octet| {
        let bare = *octet == b'\n' && previous != b'\r';
        previous = *octet;
        bare
    });
    if !bare {
        return octets.into();
    }
    let mut out = Vec::with_capacity(octets.len() + octets.len() / 32);
    let mut previous = 0;
    for octet in octets {
        if *octet == b'\n' && previous != b'\r' {
            out.push(b'\r');
        }
        out.push(*octet);
        previous = *octet;
    }
    out.into()
}
