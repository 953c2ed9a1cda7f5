//! Incoming mail: finds the cryptographic envelope at the root and opens it.
//!
//! In two steps: [`open`] decrypts and collects signatures, [`Pending::judge`] judges them once
//! the sender's certificate is at hand, and only then is it known what is shown.

use core::fmt;

use super::envelope::{self, Envelope};
use super::protected::Protected;
use super::render::Shown;
use super::{single_from, with_crlf};
use crate::id::{Address, Timestamp};
use crate::mime::address::parse_mailboxes;
use crate::mime::{header, split};
use crate::openpgp::bulk::{self, BulkCipher};
use crate::openpgp::decrypt::{self, DecryptError, Decrypted, Limits};
use crate::openpgp::protection::{Cipher, Encryption, Protection, SignatureStatus, Undecryptable};
use crate::openpgp::{Certificate, Fingerprint, PendingSignatures, Plaintext, SecretCertificate};

/// Most addresses read of one field of recipients.
const MAX_RECIPIENTS_LISTED: usize = 100;

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
    /// `multipart/signed`, or a signed text.
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
    /// The same, out of an envelope that was mangled on the way.
    RepairedEntity,
    Text {
        charset: String,
    },
}

/// Opens a raw message with the keys at hand. Never fails: what does not open is shown as it came,
/// with the reason.
pub fn open<'a>(raw: &'a [u8], keys: &[SecretCertificate], limits: &Limits) -> Pending<'a> {
    bulk::without(open_with(raw, keys, limits, None))
}

/// Like [`open()`], with the platform's AES if that is handed in.
pub async fn open_with<'a>(
    raw: &'a [u8],
    keys: &[SecretCertificate],
    limits: &Limits,
    bulk: Option<&dyn BulkCipher>,
) -> Pending<'a> {
    let structure = split(raw).structure;
    let root = &structure.root;
    let outer_from = single_from(root.header.of(raw));
    let plain = |from| Pending {
        raw,
        shape: Shape::Plain,
        signatures: PendingSignatures::default(),
        from,
    };
    match envelope::find(raw, root) {
        Envelope::Open => plain(outer_from),
        Envelope::Signed(signatures) => {
            let protected = root.children().first().and(Protected::of(raw, root));
            let from = protected.and_then(|protected| single_from(&protected.header));
            Pending {
                raw,
                shape: Shape::Signed,
                signatures,
                from: from.or(outer_from),
            }
        }
        Envelope::Encrypted(ciphertext) => {
            let opened = decrypt::message_with(&ciphertext, keys, limits, bulk).await;
            pending_encrypted(raw, outer_from, opened, InsideKind::Entity)
        }
        // Armor without a MIME entity in it is a file that somebody encrypted: it stays one.
        Envelope::Mangled(ciphertext) => {
            match decrypt::message_with(&ciphertext, keys, limits, bulk).await {
                Ok(opened) if is_entity(&opened.plaintext) => {
                    pending_encrypted(raw, outer_from, Ok(opened), InsideKind::RepairedEntity)
                }
                Ok(_) | Err(_) => plain(outer_from),
            }
        }
        Envelope::Inline { blocks, charset } => {
            let opened = open_blocks(&blocks, keys, limits, bulk).await;
            pending_encrypted(raw, outer_from, opened, InsideKind::Text { charset })
        }
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
                kind: InsideKind::Entity | InsideKind::RepairedEntity,
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

    /// Whether that entity was inside encryption, in an envelope that came as it was sent.
    pub fn was_encrypted(&self) -> bool {
        matches!(&self.shape, Shape::Encrypted(inside) if matches!(inside.kind, InsideKind::Entity))
    }

    /// Judges the signatures and says what is shown.
    pub fn judge(&self, certificates: &[Certificate], now: Timestamp) -> Opened {
        let signature = self.signatures.judge(certificates, self.from.as_ref(), now);
        let encryption = match &self.shape {
            Shape::Plain | Shape::Signed => Encryption::None,
            Shape::Encrypted(inside) => {
                let (fingerprint, cipher) = (inside.fingerprint, inside.cipher);
                match inside.kind {
                    InsideKind::RepairedEntity => Encryption::Repaired {
                        fingerprint,
                        cipher,
                    },
                    InsideKind::Entity | InsideKind::Text { .. } => Encryption::ToUs {
                        fingerprint,
                        cipher,
                    },
                }
            }
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

fn pending_encrypted(
    raw: &[u8],
    outer_from: Option<Address>,
    opened: Result<Decrypted, DecryptError>,
    kind: InsideKind,
) -> Pending<'_> {
    let decrypted = match opened {
        Ok(decrypted) => decrypted,
        Err(error) => {
            return Pending {
                raw,
                shape: Shape::Closed(error.reason()),
                signatures: PendingSignatures::default(),
                from: outer_from,
            };
        }
    };
    let octets = crlf(decrypted.plaintext);
    let mut signatures = decrypted.signatures;
    let mut from = None;
    if let InsideKind::Entity | InsideKind::RepairedEntity = kind {
        let structure = split(&octets).structure;
        let protected = Protected::of(&octets, &structure.root);
        from = protected.and_then(|protected| single_from(&protected.header));
        if signatures.is_empty()
            && let Some(inner) = envelope::signed_part(&octets, &structure.root)
        {
            signatures = inner.opened_with(Some(decrypted.encrypted_to));
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

/// Opens all blocks of an inline message, or none: what is shown is their texts one behind the
/// other, and the message is signed as well as the worst of them.
async fn open_blocks(
    blocks: &[Vec<u8>],
    keys: &[SecretCertificate],
    limits: &Limits,
    bulk: Option<&dyn BulkCipher>,
) -> Result<Decrypted, DecryptError> {
    let mut all: Option<Decrypted> = None;
    for block in blocks {
        let next = decrypt::message_with(block, keys, limits, bulk).await?;
        all = Some(match all {
            None => next,
            Some(before) => {
                let mut text = before.plaintext.to_vec();
                if !text.is_empty() && !text.ends_with(b"\n") {
                    text.extend_from_slice(b"\r\n");
                }
                text.extend_from_slice(&next.plaintext);
                let text = Plaintext::new(text);
                if text.len() > limits.plaintext_octets {
                    return Err(DecryptError::TooLarge(limits.plaintext_octets));
                }
                Decrypted {
                    plaintext: text,
                    signatures: before.signatures.with_piece(next.signatures),
                    ..before
                }
            }
        });
    }
    all.ok_or(DecryptError::Damaged)
}

/// Whether octets begin with the header of a MIME entity.
fn is_entity(octets: &[u8]) -> bool {
    let top = octets.get(..header::header_end(octets)).unwrap_or_default();
    header::find(top, "Content-Type").is_some()
        && header::fields(top)
            .all(|field| !field.name.is_empty() || field.raw.trim_ascii().is_empty())
}

fn crlf(plaintext: Plaintext) -> Plaintext {
    match with_crlf(&plaintext) {
        std::borrow::Cow::Borrowed(_) => plaintext,
        std::borrow::Cow::Owned(octets) => Plaintext::new(octets),
    }
}
