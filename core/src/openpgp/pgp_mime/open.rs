//! Incoming mail: finds the cryptographic envelope at the root and opens it.
//!
//! In two steps: [`open`] decrypts and collects signatures, [`Pending::judge`] judges them once
//! the sender's certificate is at hand, and only then is it known what is shown.

use core::fmt;

use memchr::memmem;

use super::render::{self, Shown};
use super::{single_from, with_crlf};
use crate::id::{Address, Timestamp};
use crate::mime::address::parse_mailboxes;
use crate::mime::{Part, decode_transfer, header, split};
use crate::openpgp::decrypt::{self, Limits};
use crate::openpgp::protection::{Cipher, Encryption, Protection, SignatureStatus, Undecryptable};
use crate::openpgp::sign;
use crate::openpgp::{Certificate, Fingerprint, PendingSignatures, Plaintext, SecretCertificate};

/// Most addresses read of one field of recipients.
const MAX_RECIPIENTS_LISTED: usize = 100;
const ARMOR_START: &[u8] = b"-----BEGIN PGP MESSAGE-----";
const ARMOR_END: &[u8] = b"-----END PGP MESSAGE-----";

/// A message whose envelope has been opened and whose signatures await their verdict.
pub struct Pending<'a> {
    raw: &'a [u8],
    shape: Shape,
    signatures: PendingSignatures,
    from: Option<Address>,
}

/// What a mail program gets, and what is true of it.
pub struct Opened {
    /// The message as it is shown: octets of an RFC 5322 message.
    pub rendered: Vec<u8>,
    /// The cryptographic summary.
    pub protection: Protection,
}

/// How the message came.
pub(super) enum Shape {
    /// Without protection.
    Plain,
    /// `multipart/signed`.
    Signed,
    /// Encrypted, and open.
    Encrypted(Inside),
    /// Encrypted, and closed.
    Closed(Undecryptable),
}

/// What was inside the encryption.
pub(super) struct Inside {
    pub(super) kind: InsideKind,
    pub(super) octets: Plaintext,
    fingerprint: Fingerprint,
    cipher: Cipher,
}

/// A MIME entity (RFC 3156), or bare text (inline PGP) of this charset.
pub(super) enum InsideKind {
    Entity,
    Text { charset: String },
}

/// Opens a raw message with the keys at hand. Never fails: what does not open is shown as it came,
/// with the reason.
pub fn open<'a>(raw: &'a [u8], keys: &[SecretCertificate], limits: &Limits) -> Pending<'a> {
    let structure = split(raw).structure;
    let root = &structure.root;
    let outer_from = single_from(root.header.of(raw));
    if let Some(ciphertext) = encrypted_part(raw, root) {
        return pending_encrypted(
            raw,
            outer_from,
            &ciphertext,
            InsideKind::Entity,
            keys,
            limits,
        );
    }
    if let Some((armored, charset)) = inline_block(raw, root) {
        let kind = InsideKind::Text { charset };
        return pending_encrypted(raw, outer_from, &armored, kind, keys, limits);
    }
    match signed_part(raw, root) {
        Some(signatures) => {
            let from = root
                .children()
                .first()
                .and_then(|part| render::protected_header(raw, part))
                .and_then(|header| single_from(&header));
            Pending {
                raw,
                shape: Shape::Signed,
                signatures,
                from: from.or(outer_from),
            }
        }
        None => Pending {
            raw,
            shape: Shape::Plain,
            signatures: PendingSignatures::default(),
            from: outer_from,
        },
    }
}

impl Pending<'_> {
    /// The author whose signature counts: the protected From if there is one, else the outer.
    pub fn from_address(&self) -> Option<&Address> {
        self.from.as_ref()
    }

    /// The signatures, for the lookup of their issuers.
    pub fn signatures(&self) -> &PendingSignatures {
        &self.signatures
    }

    /// The MIME entity to read: what was inside the encryption, else the message as it came.
    pub fn entity(&self) -> &[u8] {
        match &self.shape {
            Shape::Encrypted(Inside {
                kind: InsideKind::Entity,
                octets,
                ..
            }) => octets,
            Shape::Plain | Shape::Signed | Shape::Encrypted(_) | Shape::Closed(_) => self.raw,
        }
    }

    /// Who is shown as a recipient, or as one to answer to: outside, and inside the encryption.
    pub fn recipients(&self) -> Vec<Address> {
        let headers = [self.raw, self.entity()];
        headers
            .iter()
            .flat_map(|raw| header::fields(raw.get(..header::header_end(raw)).unwrap_or(raw)))
            .filter(|field| ["To", "Cc", "Reply-To"].iter().any(|name| field.is(name)))
            .flat_map(|field| parse_mailboxes(field.value, MAX_RECIPIENTS_LISTED))
            .filter_map(|mailbox| Address::new(&mailbox.address).ok())
            .collect()
    }

    /// Whether that entity was inside encryption.
    pub fn was_encrypted(&self) -> bool {
        matches!(&self.shape, Shape::Encrypted(inside) if matches!(inside.kind, InsideKind::Entity))
    }

    /// Judges the signatures and says what is shown.
    pub fn judge(&self, certificates: &[Certificate], now: Timestamp) -> Opened {
        let signature = self.signatures.judge(certificates, self.from.as_ref(), now);
        let encryption = match &self.shape {
            Shape::Plain | Shape::Signed => Encryption::None,
            Shape::Encrypted(inside) => Encryption::ToUs {
                fingerprint: inside.fingerprint,
                cipher: inside.cipher,
            },
            Shape::Closed(reason) => Encryption::Undecryptable { reason: *reason },
        };
        let protection = Protection {
            encryption,
            signature,
        };
        let shown = Shown {
            raw: self.raw,
            shape: &self.shape,
            protection: &protection,
            author_proven: matches!(protection.signature, SignatureStatus::Valid { .. }),
        };
        Opened {
            rendered: shown.render(),
            protection,
        }
    }
}

impl fmt::Debug for Pending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pending({:?})", self.signatures)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({} octets)", self.rendered.len())
    }
}

fn pending_encrypted<'a>(
    raw: &'a [u8],
    outer_from: Option<Address>,
    ciphertext: &[u8],
    kind: InsideKind,
    keys: &[SecretCertificate],
    limits: &Limits,
) -> Pending<'a> {
    let decrypted = match decrypt::message(ciphertext, keys, limits) {
        Ok(decrypted) => decrypted,
        Err(error) => {
            let signatures = PendingSignatures::default();
            let shape = Shape::Closed(error.reason());
            return Pending {
                raw,
                shape,
                signatures,
                from: outer_from,
            };
        }
    };
    let octets = match with_crlf(&decrypted.plaintext) {
        std::borrow::Cow::Borrowed(_) => decrypted.plaintext,
        std::borrow::Cow::Owned(octets) => Plaintext::new(octets),
    };
    let mut signatures = decrypted.signatures;
    let mut from = None;
    if let InsideKind::Entity = kind {
        let structure = split(&octets).structure;
        from = render::protected_header(&octets, &structure.root)
            .and_then(|header| single_from(&header));
        if signatures.is_empty()
            && let Some(inner) = signed_part(&octets, &structure.root)
        {
            signatures = inner.opened_with(Some(decrypted.encrypted_to));
            let signed = structure.root.children().first();
            from = from.or_else(|| {
                let header = render::protected_header(&octets, signed?)?;
                single_from(&header)
            });
        }
    }
    let inside = Inside {
        kind,
        octets,
        fingerprint: decrypted.encrypted_to,
        cipher: decrypted.cipher,
    };
    Pending {
        raw,
        shape: Shape::Encrypted(inside),
        signatures,
        from: from.or(outer_from),
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
    if !version.is("application", "pgp-encrypted") {
        return None;
    }
    Some(decode_transfer(
        message.encoding.as_deref(),
        message.body.of(raw),
    ))
}

/// RFC 3156 5: two parts, what is signed and the signature over its exact octets.
fn signed_part(raw: &[u8], root: &Part) -> Option<PendingSignatures> {
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

/// A plain text body that is one armored message and nothing else, and its charset.
fn inline_block(raw: &[u8], root: &Part) -> Option<(Vec<u8>, String)> {
    if !root.is("text", "plain") {
        return None;
    }
    let body = decode_transfer(root.encoding.as_deref(), root.body.of(raw));
    let text = body.trim_ascii();
    if !text.starts_with(ARMOR_START) || !text.ends_with(ARMOR_END) {
        return None;
    }
    // Between two blocks could stand what nobody encrypted, and only one would be shown.
    if memmem::find_iter(text, ARMOR_START).nth(1).is_some() {
        return None;
    }
    let charset = root
        .parameter("charset")
        .filter(|charset| !charset.eq_ignore_ascii_case("us-ascii"))
        .filter(|charset| {
            charset
                .bytes()
                .all(|o| o.is_ascii_alphanumeric() || b"-_.:".contains(&o))
        })
        .unwrap_or_else(|| "utf-8".to_owned());
    Some((text.to_vec(), charset))
}
