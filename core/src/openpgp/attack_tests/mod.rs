//! Attacks on OpenPGP mail, each by its number in the project's list, made by generators of ours.
//!
//! | number | attack | where |
//! |---|---|---|
//! | 1 | EFAIL, direct: an encrypted part among parts that stand open | `efail` |
//! | 2 | EFAIL, gadgets: changed, cut, reordered and relabelled ciphertext | `efail` |
//! | 3 | signatures that cover a part and are taken for the message's (Johnny, M) | `wrapping` |
//! | 4 | whose signature it is (Johnny, I) | `identity` |
//! | 5 | a message that draws what the program says of it | `web/src/view/tests/attack.rs` |
//! | 6 | signatures of another type, replayed | `signatures` |
//! | 7 | a letter passed on as if it had been written to another (surreptitious forwarding) | `signatures` |
//! | 8 | hidden ciphertext of others, that an answer would quote in the clear | `efail` |
//! | 9 | what inflates | `exhaustion` |
//! | 10 | what costs: session keys under passwords, recipients without end | `exhaustion` |
//! | 11 | octets that break a parser | `exhaustion` |
//! | 12 | forged and broken certificates | `certificates` |
//! | 13 | a provider that gives out another key | `substitution` |
//! | 24 | a value that becomes a field | `composing` |
//! | 33 | who finds hidden recipients | `composing` |
//! | 34 | a spoofed mail that takes encryption away (Autocrypt) | `substitution` |
//!
//! Invariant: a class is the product of its parts, and the count of its members is asserted, so
//! that nobody shortens a list unseen. Rejected: the papers' own mails as files; they show one
//! member of each class, to programs of their time.

pub(super) mod certificates;
mod composing;
mod efail;
mod exhaustion;
mod identity;
mod signatures;
mod substitution;
mod wrapping;

use pgp::composed::RawSessionKey;
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::{PacketTrait, PublicKeyEncryptedSessionKey, SymEncryptedProtectedData};

use super::decrypt::Limits;
use super::pgp_mime::{Opened, open};
use super::test_support::{NOW, address, later, rng, secret};
use super::{Certificate, SecretCertificate, encrypt, policy, sign};
use crate::id::Timestamp;

/// What must not leave.
const CANARY: &str = "thirteen o'clock at the lighthouse";
/// When what was made at [`NOW`] is read.
const READ_AT: Timestamp = Timestamp::from_secs(NOW.as_secs() + 60);

/// What bob sees of a message; he knows alice's and eve's certificates.
fn bob_opens(raw: &[u8]) -> Opened {
    let certificates = [public("alice"), public("eve")];
    open(raw, &[secret("bob")], &Limits::default()).judge(&certificates, READ_AT)
}

fn public(local: &str) -> Certificate {
    secret(local).certificate().clone()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// The parts of a multipart whose boundary is `outer`, without its end.
fn delimited(parts: &[&str]) -> String {
    let mut body = String::new();
    for part in parts {
        for piece in ["--outer\r\n", part, "\r\n"] {
            body.push_str(piece);
        }
    }
    body
}

/// An armored message to bob.
fn to_bob(plaintext: &str, signer: Option<&SecretCertificate>) -> String {
    let to = [public("bob")];
    let armored = encrypt::message(&to, signer, plaintext.as_bytes(), NOW, &mut rng(4));
    text(&armored.unwrap())
}

/// A `multipart/encrypted` entity to bob, from its `Content-Type` on.
fn encrypted_entity(payload: &str, signer: Option<&SecretCertificate>, boundary: &str) -> String {
    format!(
        "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\";\r\n \
         boundary={boundary}\r\n\r\n\
         --{boundary}\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n\
         --{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n{}\r\n--{boundary}--\r\n",
        to_bob(payload, signer)
    )
}

/// A `multipart/signed` entity, from its `Content-Type` on.
fn signed_entity(document: &str, signer: &SecretCertificate, boundary: &str) -> String {
    let signature = sign::detached(document.as_bytes(), signer, NOW, &mut rng(5)).unwrap();
    format!(
        "Content-Type: multipart/signed; micalg=pgp-sha512;\r\n \
         protocol=\"application/pgp-signature\"; boundary={boundary}\r\n\r\n\
         --{boundary}\r\n{document}\r\n\
         --{boundary}\r\nContent-Type: application/pgp-signature\r\n\r\n{}\r\n--{boundary}--\r\n",
        text(&signature)
    )
}

/// The packets of a binary message, partial lengths put together (RFC 9580 4.2.1): tag and body.
fn packets(mut octets: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some((first, mut rest)) = octets.split_first() {
        assert!(*first >= 0xc0, "rPGP writes no packets of the old form");
        let mut body = Vec::new();
        loop {
            let (length, partial, after) = match rest {
                [length @ 0..=191, after @ ..] => (usize::from(*length), false, after),
                [high @ 192..=223, low, after @ ..] => {
                    let length = (usize::from(*high) - 192) * 256 + usize::from(*low) + 192;
                    (length, false, after)
                }
                [255, a, b, c, d, after @ ..] => {
                    let length = u32::from_be_bytes([*a, *b, *c, *d]);
                    (usize::try_from(length).unwrap(), false, after)
                }
                [power, after @ ..] => (1 << (power & 0x1f), true, after),
                [] => panic!("a packet without a length"),
            };
            body.extend_from_slice(&after[..length]);
            rest = &after[length..];
            if !partial {
                break;
            }
        }
        found.push((first & 0x3f, body));
        octets = rest;
    }
    found
}

/// A packet of the new form.
pub(super) fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[0xc0 | tag, 0xff], &length[..], body].concat()
}

/// A message to somebody around packets that no sender of ours would make.
fn around(inner: &[u8], local: &str) -> Vec<u8> {
    let recipient = public(local);
    let cipher = SymmetricKeyAlgorithm::AES256;
    let session_key = RawSessionKey::from(vec![7_u8; 32]);
    let at = policy::seconds(NOW);
    let key = recipient.verified().encryption_key(at).unwrap();
    let session =
        PublicKeyEncryptedSessionKey::from_session_key_v3(rng(2), &session_key, cipher, key);
    let data =
        SymEncryptedProtectedData::encrypt_seipdv1(rng(3), cipher, session_key.as_ref(), inner);
    let mut message = Vec::new();
    session
        .unwrap()
        .to_writer_with_header(&mut message)
        .unwrap();
    data.unwrap().to_writer_with_header(&mut message).unwrap();
    message
}
