//! Outgoing mail: a whole message becomes a signed or a signed and encrypted one.
//!
//! Header protection (RFC 9788) with its baseline policy: the whole header travels inside; outside
//! the Subject is `[...]`, Comments and Keywords are gone. `protected-headers="v1"` is written too,
//! for programs that know only the older draft. Bcc never leaves.

use core::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::{CryptoRng, RngCore};

use super::seven_bit::seven_bit;
use super::{HP_PARAMETERS, is_status, is_structural, is_transport, with_crlf, without_parameters};
use crate::id::{Address, Timestamp};
use crate::mime::address::parse_mailboxes;
use crate::mime::header::{self, Field};
use crate::openpgp::bulk::{self, BulkCipher};
use crate::openpgp::encrypt::{self, EncryptError};
use crate::openpgp::sign::{self, SignError};
use crate::openpgp::{Certificate, SecretCertificate};

/// Largest `Autocrypt` field, in octets (Autocrypt Level 1, section 2.1).
const MAX_AUTOCRYPT_OCTETS: usize = 10 * 1024;

/// Most recipients whose certificates are told to each other.
const MAX_GOSSIP: usize = 16;
/// Name of the field that tells of another recipient's certificate (Autocrypt Level 1, section
/// 2.3).
pub const GOSSIP_FIELD: &str = "Autocrypt-Gossip";

/// Who sends, and when.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// Signs, and can read what is sent.
    pub key: &'a SecretCertificate,
    /// The address of the `Autocrypt` field: the From address.
    pub address: &'a Address,
    /// The signature's creation time.
    pub now: Timestamp,
}

/// Who shall be able to read a message.
#[derive(Debug, Clone, Copy)]
pub struct Everybody<'a> {
    /// Its recipients.
    pub recipients: &'a [Certificate],
    /// The sender's own.
    pub own: &'a Certificate,
    /// What recipients are told of each other: certificates that every mail program reads.
    pub gossip: &'a [Certificate],
    /// Header fields of our own inside the encryption: whole ones, each with its CRLF.
    pub told: &'a str,
}

/// Why a message could not be protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// See there.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// See there.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Signs a message and encrypts it to all recipients and its sender (RFC 3156 4, 6.2).
///
/// `message` is a whole RFC 5322 message; LF line ends become CRLF.
pub fn sign_and_encrypt(
    message: &[u8],
    recipients: &[Certificate],
    sender: &Sender<'_>,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<Vec<u8>, ComposeError> {
    let everybody = Everybody {
        recipients,
        own: sender.key.certificate(),
        gossip: recipients,
        told: "",
    };
    bulk::without(sign_and_encrypt_to(message, &everybody, sender, rng, None))
}

/// The same where who signs, who is encrypted to and what is told of them are not of one key; with
/// the platform's AES if that is handed in.
pub async fn sign_and_encrypt_to(
    message: &[u8],
    everybody: &Everybody<'_>,
    sender: &Sender<'_>,
    rng: &mut (impl CryptoRng + RngCore),
    bulk: Option<&dyn BulkCipher>,
) -> Result<Vec<u8>, ComposeError> {
    let message = with_crlf(message);
    let letter = Letter::read(&message);
    let recipients = everybody.recipients;
    let mut everyone: Vec<Certificate> = Vec::with_capacity(recipients.len() + 1);
    for certificate in recipients.iter().chain([everybody.own]) {
        if everyone
            .iter()
            .all(|known| known.fingerprint() != certificate.fingerprint())
        {
            everyone.push(certificate.clone());
        }
    }
    let outer = letter.obscured();
    let mut payload = letter.gossip(everybody.gossip, sender);
    payload.extend_from_slice(everybody.told.as_bytes());
    payload.extend_from_slice(&letter.payload("cipher", &outer));
    let (key, now) = (Some(sender.key), sender.now);
    let armored = encrypt::message_with(&everyone, key, &payload, now, rng, bulk).await?;
    let boundary = boundary(rng);
    let mut out = outer;
    out.extend_from_slice(&autocrypt(sender));
    out.extend_from_slice(
        format!(
            "MIME-Version: 1.0\r\n\
             Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\";\r\n \
             boundary=\"{boundary}\"\r\n\
             \r\n\
             This is an OpenPGP/MIME encrypted message (RFC 3156).\r\n\
             --{boundary}\r\n\
             Content-Type: application/pgp-encrypted\r\n\
             Content-Description: PGP/MIME version identification\r\n\
             \r\n\
             Version: 1\r\n\
             \r\n\
             --{boundary}\r\n\
             Content-Type: application/octet-stream; name=\"encrypted.asc\"\r\n\
             Content-Description: OpenPGP encrypted message\r\n\
             Content-Disposition: inline; filename=\"encrypted.asc\"\r\n\
             \r\n"
        )
        .as_bytes(),
    );
    out.extend_from_slice(&armored);
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    Ok(out)
}

/// Signs a message without encrypting it (RFC 3156 5): `multipart/signed`, SHA-512.
pub fn sign(
    message: &[u8],
    sender: &Sender<'_>,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<Vec<u8>, ComposeError> {
    let message = with_crlf(message);
    let letter = Letter::read(&message);
    let payload = seven_bit(&letter.payload("clear", &[]));
    let signature = sign::detached(&payload, sender.key, sender.now, rng)?;
    let boundary = boundary(rng);
    let mut out = letter.fields.concat();
    out.extend_from_slice(&autocrypt(sender));
    out.extend_from_slice(
        format!(
            "MIME-Version: 1.0\r\n\
             Content-Type: multipart/signed; micalg=pgp-sha512;\r\n \
             protocol=\"application/pgp-signature\"; boundary=\"{boundary}\"\r\n\
             \r\n\
             This is an OpenPGP/MIME signed message (RFC 3156).\r\n\
             --{boundary}\r\n"
        )
        .as_bytes(),
    );
    out.extend_from_slice(&payload);
    out.extend_from_slice(
        format!(
            "\r\n--{boundary}\r\n\
             Content-Type: application/pgp-signature; name=\"signature.asc\"\r\n\
             Content-Description: OpenPGP digital signature\r\n\
             Content-Disposition: attachment; filename=\"signature.asc\"\r\n\
             \r\n"
        )
        .as_bytes(),
    );
    out.extend_from_slice(&signature);
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    Ok(out)
}

/// The `Autocrypt` field of an address (Autocrypt Level 1, section 2.1), with its CRLF; `None` if
/// the certificate does not name the address, cannot be encrypted to, or is too large.
pub fn autocrypt_field(
    certificate: &Certificate,
    address: &Address,
    now: Timestamp,
) -> Option<String> {
    field(
        &format!("Autocrypt: addr={address}; prefer-encrypt=mutual; keydata="),
        &certificate.to_autocrypt(address, now)?,
    )
}

fn field(start: &str, keydata: &[u8]) -> Option<String> {
    let keydata = STANDARD.encode(keydata);
    let mut field = start.to_owned();
    for line in keydata.as_bytes().chunks(76) {
        field.push_str("\r\n ");
        field.push_str(core::str::from_utf8(line).ok()?);
    }
    field.push_str("\r\n");
    (field.len() <= MAX_AUTOCRYPT_OCTETS && field.is_ascii()).then_some(field)
}

/// A message taken apart for protection. Every slice is a whole field with its CRLF.
struct Letter<'a> {
    /// What the letter says of itself.
    fields: Vec<&'a [u8]>,
    /// What says what the body is.
    structural: Vec<Field<'a>>,
    body: &'a [u8],
}

impl<'a> Letter<'a> {
    fn read(message: &'a [u8]) -> Self {
        let end = header::header_end(message);
        let (top, body) = message.split_at_checked(end).unwrap_or((message, &[]));
        let (mut fields, mut structural) = (Vec::new(), Vec::new());
        for field in header::fields(top) {
            // What only we may say of ourselves, and what is nobody's business.
            let hidden = [
                "Bcc",
                "Resent-Bcc",
                "Return-Path",
                "Autocrypt",
                GOSSIP_FIELD,
                "HP-Outer",
            ];
            if is_status(&field) || hidden.iter().any(|name| field.is(name)) {
                continue;
            }
            if is_structural(&field) {
                structural.push(field);
            } else if !field.name.is_empty() {
                fields.push(field.raw);
            }
        }
        Self {
            fields,
            structural,
            body,
        }
    }

    /// What everybody who is shown as a recipient needs to answer all of them; nothing for one
    /// alone, and nothing of who is hidden, for their certificates belong to no address here.
    fn gossip(&self, recipients: &[Certificate], sender: &Sender<'_>) -> Vec<u8> {
        let named = self
            .fields
            .iter()
            .flat_map(|raw| header::fields(raw))
            .filter(|field| field.is("To") || field.is("Cc"))
            .flat_map(|field| parse_mailboxes(field.value, MAX_GOSSIP))
            .filter_map(|mailbox| Address::new(&mailbox.address).ok())
            .filter(|address| address.canonical() != sender.address.canonical());
        let mut told: Vec<Address> = Vec::new();
        let mut fields = Vec::new();
        for address in named.take(MAX_GOSSIP) {
            let theirs = recipients
                .iter()
                .filter(|certificate| certificate.names(&address, sender.now))
                .find_map(|certificate| certificate.to_autocrypt(&address, sender.now));
            let start = format!("{GOSSIP_FIELD}: addr={address}; keydata=");
            let field = theirs.and_then(|keydata| field(&start, &keydata));
            if let Some(field) = field.filter(|_| !told.contains(&address)) {
                told.push(address);
                fields.push(field);
            }
        }
        if told.len() < 2 {
            return vec![];
        }
        fields.concat().into_bytes()
    }

    /// The header as the world may see it.
    fn obscured(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for raw in &self.fields {
            let Some(field) = header::fields(raw).next() else {
                continue;
            };
            if field.is("Subject") {
                out.extend_from_slice(b"Subject: [...]\r\n");
            } else if !field.is("Comments") && !field.is("Keywords") {
                out.extend_from_slice(raw);
            }
        }
        out
    }

    /// The entity that is signed or encrypted: the header again, what stands outside (if it is
    /// hidden in part), and the body under its own fields.
    fn payload(&self, protection: &str, outer: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len() + 4096);
        for raw in &self.fields {
            if header::fields(raw)
                .next()
                .is_some_and(|field| !is_transport(&field))
            {
                out.extend_from_slice(raw);
            }
        }
        for field in header::fields(outer).filter(|field| !is_transport(field)) {
            out.extend_from_slice(b"HP-Outer: ");
            out.extend_from_slice(field.raw);
        }
        let parameters =
            format!(";\r\n hp=\"{protection}\"; protected-headers=\"v1\"\r\n").into_bytes();
        let mut typed = false;
        for field in &self.structural {
            if field.is("Content-Type") {
                typed = true;
                out.extend_from_slice(b"Content-Type:");
                // A program that answers in an opened letter's form may have left such there.
                let value = without_parameters(field.value, &HP_PARAMETERS);
                let value = value.trim_ascii_end();
                out.extend_from_slice(value.strip_suffix(b";").unwrap_or(value));
                out.extend_from_slice(&parameters);
            } else if !field.is("MIME-Version") {
                out.extend_from_slice(field.raw);
            }
        }
        if !typed {
            out.extend_from_slice(b"Content-Type: text/plain; charset=us-ascii");
            out.extend_from_slice(&parameters);
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.body);
        out
    }
}

fn autocrypt(sender: &Sender<'_>) -> Vec<u8> {
    autocrypt_field(sender.key.certificate(), sender.address, sender.now)
        .unwrap_or_default()
        .into_bytes()
}

/// 128 random bits: it cannot stand in the content by chance or by another's will.
fn boundary(rng: &mut (impl CryptoRng + RngCore)) -> String {
    let mut octets = [0; 16];
    rng.fill_bytes(&mut octets);
    octets.iter().fold(String::from("=_"), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}
