//! The page that opens one message without an account.
//!
//! Pure but for the time: nothing is fetched, nothing is stored. What was encrypted may be a mail
//! with its own header (PGP/MIME, or what this project seals) or plain text.

use letterlock_core::id::Timestamp;
use letterlock_core::mime::{Structure, header, split};
use letterlock_core::openpgp::bulk::BulkCipher;
use letterlock_core::openpgp::decrypt::{DecryptError, armored};
use letterlock_core::openpgp::{Certificate, SecretCertificate, SignatureStatus};

use super::present;
use crate::protocol::{Body, Decrypt, Decrypted, Encryption, Failure, Protection};

/// Opens the message, with the browser's AES if that is at hand.
pub async fn run(
    request: &Decrypt,
    now: Timestamp,
    bulk: Option<&dyn BulkCipher>,
) -> Result<Decrypted, Failure> {
    let passphrase = Some(request.passphrase.0.as_str()).filter(|text| !text.is_empty());
    let key = SecretCertificate::parse(request.key.0.trim().as_bytes(), passphrase)
        .map_err(|error| Failure::Refused(format!("The secret key cannot be used: {error}.")))?;
    let mut certificates = vec![key.certificate().clone()];
    if !request.sender.trim().is_empty() {
        let sender = Certificate::parse(request.sender.trim().as_bytes()).map_err(|error| {
            Failure::Refused(format!("The sender’s certificate cannot be used: {error}."))
        })?;
        certificates.push(sender);
    }
    let message = from_armor(&request.message);
    let letter = armored(message.as_bytes(), &key, &certificates, now, bulk).await;
    let letter = letter.map_err(refused)?;
    Ok(shown(&letter.plaintext, &letter.signature))
}

/// The armored part of what was pasted: people paste whole mails.
fn from_armor(text: &str) -> &str {
    let start = text.find("-----BEGIN PGP MESSAGE-----").unwrap_or(0);
    text.get(start..).unwrap_or(text).trim()
}

fn refused(error: DecryptError) -> Failure {
    let text = match error {
        DecryptError::NoKey => "This message is not encrypted to this key.".to_owned(),
        DecryptError::PasswordOnly => {
            "This message is encrypted with a password, which is not supported here.".to_owned()
        }
        DecryptError::Damaged => {
            "This message is damaged: it was changed or cut off on its way.".to_owned()
        }
        error @ (DecryptError::Refused(_) | DecryptError::TooLarge(_)) => {
            format!("This message cannot be opened: {error}.")
        }
    };
    Failure::Refused(text)
}

fn shown(plaintext: &[u8], signature: &SignatureStatus) -> Decrypted {
    let signature = present::protection(&letterlock_core::openpgp::Protection {
        encryption: letterlock_core::openpgp::Encryption::None,
        signature: signature.clone(),
    })
    .signature;
    let protection = Protection {
        encryption: Encryption::Decrypted,
        signature,
    };
    if !is_entity(plaintext) {
        let (text, _) = letterlock_core::mime::decode_charset("utf-8", plaintext);
        let body = Body::Text(text.replace("\r\n", "\n"));
        return Decrypted {
            body,
            protection,
            ..Decrypted::default()
        };
    }
    let message = split(plaintext);
    let structure: &Structure = &message.structure;
    let wanted = present::wanted(structure).into_iter();
    let pieces = wanted
        .map(|span| (span, span.of(plaintext).to_vec()))
        .collect();
    let (body, _) = present::body(structure, &pieces);
    let attachments = present::attachments(structure);
    let attachments = attachments.iter().enumerate();
    Decrypted {
        body,
        subject: structure.summary.subject.clone(),
        attachments: attachments
            .map(|(n, one)| present::attachment_view(n, one))
            .collect(),
        protection,
    }
}

/// Whether this begins with a MIME header; text that happens to have a colon in its first line
/// is not taken for one.
fn is_entity(plaintext: &[u8]) -> bool {
    let head = plaintext
        .get(..header::header_end(plaintext))
        .unwrap_or_default();
    header::find(head, "Content-Type").is_some()
        || header::find(head, "From").is_some() && header::find(head, "Date").is_some()
}

#[cfg(test)]
mod tests;
