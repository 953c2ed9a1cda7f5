//! Letters out and in: what others read, what is protected, what is shown.

mod header_protection;
mod repair;

use super::*;
use crate::id::Timestamp;
use crate::openpgp::decrypt::Limits;
use crate::openpgp::protection::{
    BadSignature, Cipher, Encryption, SignatureStatus, Undecryptable,
};
use crate::openpgp::test_support::{NOW, address, later, rng, secret};
use crate::openpgp::{Certificate, SecretCertificate, encrypt};

const LETTER: &str = "From: Alice <alice@letterlock.example>\r\n\
    To: Bob <bob@letterlock.example>\r\n\
    Bcc: eve@letterlock.example\r\n\
    Subject: The secret\r\n plan\r\n\
    Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n\
    Message-ID: <1@letterlock.example>\r\n\
    Letterlock-Signature: valid; fingerprint=00\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: 8bit\r\n\
    \r\n\
    Grüße \r\nFrom here\r\n";

fn sender(key: &SecretCertificate) -> (Address, Timestamp, &SecretCertificate) {
    (address("alice"), NOW, key)
}

fn encrypted() -> Vec<u8> {
    let (alice, bob) = (secret("alice"), secret("bob"));
    let (address, now, key) = sender(&alice);
    let sender = Sender {
        key,
        address: &address,
        now,
    };
    sign_and_encrypt(
        LETTER.as_bytes(),
        &[bob.certificate().clone()],
        &sender,
        &mut rng(1),
    )
    .unwrap()
}

fn signed() -> Vec<u8> {
    let alice = secret("alice");
    let (address, now, key) = sender(&alice);
    sign(
        LETTER.as_bytes(),
        &Sender {
            key,
            address: &address,
            now,
        },
        &mut rng(2),
    )
    .unwrap()
}

fn opened(raw: &[u8], local: &str, certificates: &[Certificate]) -> Opened {
    open(raw, &[secret(local)], &Limits::default()).judge(certificates, later(60))
}

fn alices() -> Vec<Certificate> {
    vec![secret("alice").certificate().clone()]
}

fn valid() -> SignatureStatus {
    let fingerprint = secret("alice").fingerprint();
    SignatureStatus::Valid {
        fingerprint,
        address: address("alice"),
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

#[test]
fn an_encrypted_letter_hides_its_subject_and_comes_out_whole() {
    let wire = text(&encrypted());
    assert!(wire.contains("\r\nSubject: [...]\r\n"));
    assert!(wire.contains("\r\nAutocrypt: addr=alice@letterlock.example;"));
    for hidden in ["secret", "plan", "eve@", "Bcc", "Gr", "Letterlock-"] {
        assert!(!wire.contains(hidden), "{hidden}");
    }
    assert!(wire.is_ascii() && !wire.replace("\r\n", "").contains(['\r', '\n']));
    for reader in ["alice", "bob"] {
        let opened = opened(wire.as_bytes(), reader, &alices());
        let cipher = Cipher::Aes256;
        let fingerprint = secret(reader).fingerprint();
        assert_eq!(
            opened.protection.encryption,
            Encryption::ToUs {
                fingerprint,
                cipher
            }
        );
        assert_eq!(opened.protection.signature, valid());
        let shown = text(&opened.rendered);
        assert!(
            shown.starts_with("Letterlock-Encryption: encrypted; "),
            "{shown}"
        );
        assert!(
            shown.contains("\r\nLetterlock-Signature: valid; "),
            "{shown}"
        );
        assert!(
            shown.contains("\r\nSubject: The secret\r\n plan\r\n"),
            "{shown}"
        );
        assert_eq!(shown.matches("Subject:").count(), 1, "{shown}");
        assert_eq!(shown.matches("From: ").count(), 1);
        assert_eq!(shown.matches("Letterlock-").count(), 2);
        assert!(!shown.contains("HP-Outer") && !shown.contains("eve@"));
        assert!(
            shown.ends_with("\r\n\r\nGrüße \r\nFrom here\r\n"),
            "{shown}"
        );
    }
}

#[test]
fn an_encrypted_letter_does_not_open_for_others() {
    let wire = encrypted();
    let shut = opened(&wire, "eve", &alices());
    let reason = Undecryptable::NoKey;
    assert_eq!(
        shut.protection.encryption,
        Encryption::Undecryptable { reason }
    );
    let status =
        b"Letterlock-Encryption: undecryptable; reason=no-key\r\nLetterlock-Signature: none\r\n";
    assert_eq!(shut.rendered, [status.as_slice(), &wire].concat());
}

#[test]
fn a_signed_letter_survives_seven_bit_ways_and_stays_byte_exact() {
    let wire = signed();
    assert!(wire.is_ascii());
    let shown = opened(&wire, "bob", &alices());
    assert_eq!(shown.protection.signature, valid());
    assert_eq!(shown.protection.encryption, Encryption::None);
    let body = &wire[header::header_end(&wire)..];
    assert!(shown.rendered.ends_with(body));
    assert!(text(&shown.rendered).contains("micalg=pgp-sha512"));

    let pending = open(&wire, &[], &Limits::default());
    assert_eq!(pending.from_address(), Some(&address("alice")));
    assert_eq!(pending.signatures().issuers().len(), 1);
    let unknown = pending.judge(&[], later(60)).protection.signature;
    assert!(matches!(
        unknown,
        SignatureStatus::UnknownKey { issuer: Some(_) }
    ));

    let changed = text(&wire).replace("here", "thre");
    let reason = BadSignature::Mismatch;
    let judged = opened(changed.as_bytes(), "bob", &alices())
        .protection
        .signature;
    assert_eq!(judged, SignatureStatus::Bad { reason });
}

#[test]
fn a_signed_subject_takes_the_place_of_a_changed_one() {
    let changed = text(&signed()).replacen("The secret", "Nothing", 1);
    let shown = text(&opened(changed.as_bytes(), "bob", &alices()).rendered);
    assert!(shown.contains("\r\nSubject: The secret\r\n plan\r\n") && !shown.contains("Nothing"));
    // Without a good signature the outer header is all there is.
    let shown = text(&opened(changed.as_bytes(), "bob", &[]).rendered);
    assert!(shown.contains("Nothing"));
}

#[test]
fn forged_status_fields_are_taken_out_and_nothing_else() {
    let plain =
        b"x-leap-encryption: decrypted\r\nFrom: a@b.example\r\nLetterlock-Signature: valid\r\n\
        \tfolded\r\nSubject: s\n\nbody \x80\n";
    let shown = opened(plain, "bob", &[]);
    assert_eq!(
        shown.rendered,
        b"From: a@b.example\r\nSubject: s\n\nbody \x80\n"
    );
    assert_eq!(shown.protection, crate::openpgp::Protection::NONE);
    for untouched in [
        b"From: a@b\n\n\x00".as_slice(),
        b"",
        b"\r\n",
        b"no header at all",
    ] {
        assert_eq!(opened(untouched, "bob", &[]).rendered, untouched);
    }
}

/// A PGP/MIME message around any payload, under any outer header.
fn envelope(outer: &str, payload: &str, signer: Option<&SecretCertificate>) -> String {
    let to = [secret("bob").certificate().clone()];
    let armored = encrypt::message(&to, signer, payload.as_bytes(), NOW, &mut rng(4)).unwrap();
    format!(
        "{outer}Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b\r\n\
         \r\n--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n\
         --b\r\nContent-Type: application/octet-stream\r\n\r\n{}\r\n--b--\r\n",
        text(&armored)
    )
}

#[test]
fn an_unproven_inner_author_is_not_shown() {
    let payload = "From: alice@letterlock.example\r\nSubject: inner\r\n\
        Letterlock-Signature: valid; fingerprint=00; address=alice@letterlock.example\r\n\
        Content-Type: text/plain; hp=cipher\r\n\r\nPay at once.\r\n";
    let wire = envelope(
        "From: eve@evil.example\r\nSubject: [...]\r\n",
        payload,
        None,
    );
    let shown = opened(wire.as_bytes(), "bob", &alices());
    let rendered = text(&shown.rendered);
    assert_eq!(shown.protection.signature, SignatureStatus::None);
    assert!(rendered.contains("From: eve@evil.example\r\n") && !rendered.contains("alice@"));
    assert!(rendered.contains("\r\nSubject: inner\r\n"));
    assert_eq!(rendered.matches("Letterlock-").count(), 2);
    // Proven by a signature, the inner author is the author.
    let wire = envelope(
        "From: list@evil.example\r\n",
        payload,
        Some(&secret("alice")),
    );
    let shown = opened(wire.as_bytes(), "bob", &alices());
    assert_eq!(shown.protection.signature, valid());
    assert!(text(&shown.rendered).contains("From: alice@letterlock.example\r\n"));
    // A signature by somebody else proves nothing.
    let wire = envelope("From: eve@evil.example\r\n", payload, Some(&secret("eve")));
    let shown = opened(
        wire.as_bytes(),
        "bob",
        &[secret("eve").certificate().clone()],
    );
    assert!(matches!(
        shown.protection.signature,
        SignatureStatus::WrongSender { .. }
    ));
    assert!(text(&shown.rendered).contains("From: eve@evil.example\r\n"));
}

#[test]
fn several_authors_are_nobody() {
    let payload = "Content-Type: text/plain\r\n\r\nhi\r\n";
    for from in [
        "From: alice@letterlock.example\r\nFrom: eve@evil.example\r\n",
        "From: alice@letterlock.example, eve@evil.example\r\n",
        "From: friends: alice@letterlock.example;\r\n",
        "From: \"alice@letterlock.example\" <eve@evil.example>\r\n",
    ] {
        let wire = envelope(from, payload, Some(&secret("alice")));
        let status = opened(wire.as_bytes(), "bob", &alices())
            .protection
            .signature;
        assert!(
            matches!(status, SignatureStatus::WrongSender { .. }),
            "{from}: {status:?}"
        );
    }
}

#[test]
fn only_the_root_is_an_envelope() {
    let inner = envelope("", "Content-Type: text/plain\r\n\r\nhi\r\n", None);
    let wrapped = format!(
        "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\
         Content-Type: text/html\r\n\r\n<img src=\"http://evil/\r\n--o\r\n{inner}\r\n--o--\r\n"
    );
    let shown = opened(wrapped.as_bytes(), "bob", &alices());
    assert_eq!(shown.protection, crate::openpgp::Protection::NONE);
    assert_eq!(shown.rendered, wrapped.as_bytes());
    let nested_signature = format!(
        "From: alice@letterlock.example\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\
         {}\r\n--o--\r\n",
        text(&signed())
    );
    let shown = opened(nested_signature.as_bytes(), "bob", &alices());
    assert_eq!(shown.protection.signature, SignatureStatus::None);
}

#[test]
fn a_signed_entity_inside_the_encryption_is_judged() {
    let inner = text(&signed());
    let payload = &inner[inner.find("Content-Type: multipart/signed").unwrap()..];
    let wire = envelope("From: alice@letterlock.example\r\n", payload, None);
    let shown = opened(wire.as_bytes(), "bob", &alices());
    assert_eq!(shown.protection.signature, valid());
    assert!(text(&shown.rendered).ends_with(&payload[payload.find("\r\n\r\n").unwrap()..]));
}

#[test]
fn inline_text_is_read() {
    let to = [secret("bob").certificate().clone()];
    let alice = secret("alice");
    let armored = encrypt::message(&to, Some(&alice), b"one\ntwo\n", NOW, &mut rng(5)).unwrap();
    let wire = format!(
        "From: alice@letterlock.example\r\nSubject: s\r\nContent-Type: text/plain\r\n\r\n{}",
        text(&armored)
    );
    let shown = opened(wire.as_bytes(), "bob", &alices());
    assert_eq!(shown.protection.signature, valid());
    assert!(text(&shown.rendered).contains("Content-Type: text/plain; charset=utf-8\r\n"));
    assert!(shown.rendered.ends_with(b"\r\n\r\none\r\ntwo\r\n"));
    // Every block is read; the message is signed as well as the worst of them.
    let block = text(&armored);
    let again = encrypt::message(&to, Some(&alice), b"three", NOW, &mut rng(6)).unwrap();
    let two = wire.replace(&block, &format!("\r\n{block}\r\n \r\n{}\r\n", text(&again)));
    let shown = opened(two.as_bytes(), "bob", &alices());
    assert_eq!(shown.protection.signature, valid());
    assert!(shown.rendered.ends_with(b"\r\n\r\none\r\ntwo\r\nthree"));
    let unsigned = encrypt::message(&to, None, b"three", NOW, &mut rng(7)).unwrap();
    let mixed = two.replace(&text(&again), &text(&unsigned));
    let shown = opened(mixed.as_bytes(), "bob", &alices());
    assert_eq!(shown.protection.signature, SignatureStatus::None);
    assert!(matches!(
        shown.protection.encryption,
        Encryption::ToUs { .. }
    ));
    // One that does not open closes all: half a letter would seem to be all of it.
    let eves = [secret("eve").certificate().clone()];
    let other = encrypt::message(&eves, None, b"three", NOW, &mut rng(8)).unwrap();
    let other = two.replace(&text(&again), &text(&other));
    let reason = Undecryptable::NoKey;
    assert_eq!(
        opened(other.as_bytes(), "bob", &alices())
            .protection
            .encryption,
        Encryption::Undecryptable { reason }
    );
    // With anything around it, it is text like any other.
    let quoted = wire.replace(
        "-----END PGP MESSAGE-----\r\n",
        "-----END PGP MESSAGE-----\r\nhi\r\n",
    );
    let shown = opened(quoted.as_bytes(), "bob", &alices());
    assert_eq!(shown.protection.encryption, Encryption::None);
}

#[test]
fn a_signed_text_is_judged_and_stays_as_it_came() {
    let signers = [secret("alice")];
    let signed = crate::openpgp::cleartext::Cleartext::sign(
        "Grüße\n- eins".as_bytes(),
        &signers,
        NOW,
        &mut rng(1),
    );
    let body = text(&signed.unwrap().write()).replace('\n', "\r\n");
    let wire = format!(
        "From: alice@letterlock.example\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}"
    );
    let shown = opened(wire.as_bytes(), "bob", &alices());
    assert_eq!(shown.protection.signature, valid());
    assert_eq!(shown.protection.encryption, Encryption::None);
    assert!(text(&shown.rendered).ends_with(&body));
    for (changed, none) in [
        (wire.replace("eins", "zwei"), false),
        (
            wire.replace("- - eins", "- - eins\r\n-----END PGP SIGNATURE-----"),
            true,
        ),
        (format!("{wire}\r\nPay a million."), true),
        (
            wire.replace("-----BEGIN PGP SIGNED", "Pay.\r\n-----BEGIN PGP SIGNED"),
            true,
        ),
        (wire.replace("text/plain", "text/html"), true),
    ] {
        let status = opened(changed.as_bytes(), "bob", &alices())
            .protection
            .signature;
        let reason = BadSignature::Mismatch;
        let expected = if none {
            SignatureStatus::None
        } else {
            SignatureStatus::Bad { reason }
        };
        assert_eq!(status, expected, "{changed}");
    }
}

/// Signed around encrypted: it opens, and whoever put their signature around it has not signed it.
#[test]
fn a_signature_around_the_encryption_is_none() {
    let inner = envelope("", "Content-Type: text/plain\r\n\r\nhi\r\n", None);
    for signer in ["alice", "eve"] {
        let key = secret(signer);
        let signature = crate::openpgp::sign::detached(inner.as_bytes(), &key, NOW, &mut rng(3));
        let raw = format!(
            "From: {signer}@letterlock.example\r\nContent-Type: multipart/signed;\r\n \
             protocol=\"application/pgp-signature\"; boundary=o\r\n\r\n--o\r\n{inner}\r\n--o\r\n\
             Content-Type: application/pgp-signature\r\n\r\n{}\r\n--o--\r\n",
            text(&signature.unwrap())
        );
        let certificates = [
            secret("alice").certificate().clone(),
            key.certificate().clone(),
        ];
        let shown = opened(raw.as_bytes(), "bob", &certificates);
        assert!(matches!(
            shown.protection.encryption,
            Encryption::ToUs { .. }
        ));
        assert_eq!(shown.protection.signature, SignatureStatus::None);
        assert!(shown.rendered.ends_with(b"\r\n\r\nhi\r\n"));
    }
}
