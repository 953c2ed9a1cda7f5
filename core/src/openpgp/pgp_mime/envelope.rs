//! Finds the cryptographic envelope of a message: what it is made of and where (RFC 3156, inline
//! PGP), and what something on the way has made of one.
//!
//! Invariant: an envelope is at the root or there is none (RFC 9787 4). What was mangled is found
//! only if nothing is left over beside it but white space, or one plain text that a list or a gateway
//! has added, which is then not shown: a decrypted part never stands beside what was not encrypted.
//! Rejected: opening a block in a longer text; what stands around it would seem to belong to it,
//! and an answer would quote what somebody had hidden there (attack 8).

use memchr::memmem;

use super::with_crlf;
use crate::mime::{Part, decode_transfer};
use crate::openpgp::cleartext::Cleartext;
use crate::openpgp::{PendingSignatures, sign};

/// Most armored messages in one inline text.
const MAX_INLINE_BLOCKS: usize = 16;
/// Longest part that may be the `Version: 1` of RFC 3156 4, in octets.
const MAX_VERSION_OCTETS: usize = 256;
/// Deepest nesting of multiparts that repair looks through.
const MAX_WRAPPINGS: usize = 3;
const ARMOR_START: &[u8] = b"-----BEGIN PGP MESSAGE-----";
const ARMOR_END: &[u8] = b"-----END PGP MESSAGE-----";

/// What the envelope is.
pub(super) enum Envelope {
    /// There is none.
    Open,
    /// `multipart/signed`, or a text of the cleartext signature framework.
    Signed(PendingSignatures),
    /// `multipart/encrypted`: a MIME entity is inside.
    Encrypted(Vec<u8>),
    /// The same, taken apart on the way and put together here.
    Mangled(Vec<u8>),
    /// Inline PGP: texts of this charset.
    Inline {
        /// Armored messages, at least one.
        blocks: Vec<Vec<u8>>,
        /// What charset the text says it is in.
        charset: String,
    },
}

/// Finds it.
pub(super) fn find(raw: &[u8], root: &Part) -> Envelope {
    if let Some(ciphertext) = encrypted_part(raw, root) {
        return Envelope::Encrypted(ciphertext);
    }
    // Signed around encrypted: such a signature says nothing of who wrote what is inside, and
    // anybody can put their own in its place. What counts is what is inside.
    if root.is("multipart", "signed")
        && let [signed, signature] = root.children()
        && signature.is("application", "pgp-signature")
        && let Some(ciphertext) = encrypted_part(raw, signed)
    {
        return Envelope::Encrypted(ciphertext);
    }
    if let Some(signatures) = signed_part(raw, root) {
        return Envelope::Signed(signatures);
    }
    if root.is("text", "plain") {
        let body = decode_transfer(root.encoding.as_deref(), root.body.of(raw));
        if let Some(blocks) = inline_blocks(&body) {
            let charset = charset(root);
            return Envelope::Inline { blocks, charset };
        }
        if let Some(signed) = Cleartext::read(&body) {
            return Envelope::Signed(signed.signatures());
        }
    }
    match mangled(raw, root, MAX_WRAPPINGS) {
        Some(ciphertext) => Envelope::Mangled(ciphertext),
        None => Envelope::Open,
    }
}

/// RFC 3156 4: two parts, the version and the message.
fn encrypted_part(raw: &[u8], root: &Part) -> Option<Vec<u8>> {
    if !root.is("multipart", "encrypted") {
        return None;
    }
    let [version, message] = root.children() else {
        return None;
    };
    if !version.is("application", "pgp-encrypted")
        || version.body.of(raw).len() > MAX_VERSION_OCTETS
    {
        return None;
    }
    Some(decode_transfer(
        message.encoding.as_deref(),
        message.body.of(raw),
    ))
}

/// RFC 3156 5: two parts, what is signed and the signature over its exact octets.
pub(super) fn signed_part(raw: &[u8], root: &Part) -> Option<PendingSignatures> {
    if !root.is("multipart", "signed") {
        return None;
    }
    let [signed, signature] = root.children() else {
        return None;
    };
    if !signature.is("application", "pgp-signature") {
        return None;
    }
    let range = signed.header.range().start..signed.body.range().end;
    let document = with_crlf(raw.get(range)?);
    let block = decode_transfer(signature.encoding.as_deref(), signature.body.of(raw));
    Some(sign::read_detached(&document, &block))
}

/// The armored messages of a text that is made of nothing else.
fn inline_blocks(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = text.trim_ascii();
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let end = memmem::find(rest, ARMOR_END)?.checked_add(ARMOR_END.len())?;
        let (block, behind) = rest.split_at_checked(end)?;
        if !is_one_block(block) || blocks.len() == MAX_INLINE_BLOCKS {
            return None;
        }
        blocks.push(block.to_vec());
        rest = behind.trim_ascii_start();
    }
    (!blocks.is_empty()).then_some(blocks)
}

/// Whether octets are one armored message, from its first octet to its last.
fn is_one_block(octets: &[u8]) -> bool {
    octets.starts_with(ARMOR_START)
        && octets.ends_with(ARMOR_END)
        && memmem::find_iter(octets, ARMOR_START).nth(1).is_none()
}

fn charset(root: &Part) -> String {
    root.parameter("charset")
        .filter(|charset| !charset.eq_ignore_ascii_case("us-ascii"))
        .filter(|charset| {
            charset
                .bytes()
                .all(|o| o.is_ascii_alphanumeric() || b"-_.:".contains(&o))
        })
        .unwrap_or_else(|| "utf-8".to_owned())
}

/// The ciphertext of a PGP/MIME message that was taken apart on the way. Known to do so:
/// Exchange and some gateways (`multipart/mixed` with an empty text, the version part and the
/// message), gateways that append a text to every message, programs that lose the version part, its
/// type or the order of the two, or leave the message as an attachment `encrypted.asc` alone, and
/// relays that encode what is encoded.
fn mangled(raw: &[u8], root: &Part, wrappings: usize) -> Option<Vec<u8>> {
    if root.media_type != "multipart" {
        return armored(raw, root);
    }
    if !root.is("multipart", "mixed") && !root.is("multipart", "encrypted") {
        return None;
    }
    let parts: Vec<&Part> = root
        .children()
        .iter()
        .filter(|part| !is_blank(raw, part))
        .collect();
    // One text may have been put before or behind a whole envelope; it is not shown.
    let whole = |part: &Part| {
        let nested = wrappings.checked_sub(1)?;
        encrypted_part(raw, part).or_else(|| {
            let is_multipart = part.media_type == "multipart";
            is_multipart.then(|| mangled(raw, part, nested)).flatten()
        })
    };
    match parts.as_slice() {
        [only] => whole(only).or_else(|| armored(raw, only)),
        [one, other] => {
            let version = is_version(raw, one).then(|| armored(raw, other)).flatten();
            let swapped = || is_version(raw, other).then(|| armored(raw, one)).flatten();
            let added = || one.is("text", "plain").then(|| whole(other)).flatten();
            let appended = || other.is("text", "plain").then(|| whole(one)).flatten();
            version.or_else(swapped).or_else(added).or_else(appended)
        }
        _ => None,
    }
}

/// A leaf that holds one armored message and nothing else, perhaps encoded twice.
fn armored(raw: &[u8], part: &Part) -> Option<Vec<u8>> {
    let is_carrier = part.is("application", "octet-stream")
        || part.is("application", "pgp-encrypted")
        || part.is("application", "pgp")
        || part.is("application", "x-pgp");
    if !is_carrier || part.leaf().is_none() {
        return None;
    }
    let octets = decode_transfer(part.encoding.as_deref(), part.body.of(raw));
    if is_one_block(octets.trim_ascii()) {
        return Some(octets.trim_ascii().to_vec());
    }
    // Armor in base64 begins with that of `-----`.
    if !octets.trim_ascii_start().starts_with(b"LS0tLS1C") {
        return None;
    }
    let again = decode_transfer(Some("base64"), &octets);
    is_one_block(again.trim_ascii()).then(|| again.trim_ascii().to_vec())
}

/// The version part of RFC 3156 4, by its type or by what it says.
fn is_version(raw: &[u8], part: &Part) -> bool {
    if part.leaf().is_none() || part.body.of(raw).len() > MAX_VERSION_OCTETS {
        return false;
    }
    let octets = decode_transfer(part.encoding.as_deref(), part.body.of(raw));
    let says = octets.trim_ascii();
    says.eq_ignore_ascii_case(b"version: 1")
        || (part.is("application", "pgp-encrypted") && says.is_empty())
}

/// A plain text of nothing but white space.
fn is_blank(raw: &[u8], part: &Part) -> bool {
    part.is("text", "plain")
        && part.body.of(raw).len() <= MAX_VERSION_OCTETS
        && decode_transfer(part.encoding.as_deref(), part.body.of(raw))
            .trim_ascii()
            .is_empty()
}
