//! MIME wrapping ("Johnny, you are fired", M1 to M4): a good signature over a part, and around it
//! what the signer never saw. Only the envelope at the root counts (RFC 9787 4).

use super::*;
use crate::openpgp::protection::{Encryption, SignatureStatus};

const LETTER: &str = "Content-Type: text/plain\r\n\r\nYes, I agree.\r\n";

const WRAPPINGS: [&str; 9] = [
    "multipart/mixed",
    "multipart/alternative",
    "multipart/related",
    "multipart/parallel",
    "multipart/digest",
    "multipart/x-unknown",
    "multipart/signed; protocol=\"application/pgp-signature\"; micalg=pgp-sha512",
    "multipart/encrypted; protocol=\"application/pgp-encrypted\"",
    "multipart/report; report-type=disposition-notification",
];

/// How the genuine part is hidden from who reads.
const DISGUISES: [&str; 4] = [
    "",
    "Content-Disposition: inline\r\n",
    "Content-Disposition: attachment; filename=old.eml\r\n",
    "Content-ID: <hidden@letterlock.example>\r\n",
];

/// What alice did write and sign, taken from another message.
fn genuine() -> [(&'static str, String); 4] {
    let alice = secret("alice");
    let signed = signed_entity(LETTER, &alice, "stolen");
    let signature = sign::detached(LETTER.as_bytes(), &alice, NOW, &mut rng(5)).unwrap();
    [
        ("signed", signed.clone()),
        (
            "encrypted",
            encrypted_entity(LETTER, Some(&alice), "stolen"),
        ),
        (
            "a message",
            format!(
                "Content-Type: message/rfc822\r\n\r\nFrom: alice@letterlock.example\r\n{signed}"
            ),
        ),
        (
            "its parts",
            format!(
                "{LETTER}\r\n--outer\r\nContent-Type: application/pgp-signature\r\n\r\n{}",
                text(&signature)
            ),
        ),
    ]
}

#[test]
fn attack_03_a_signature_below_the_root_is_none_of_the_message() {
    let lure = "Content-Type: text/html\r\n\r\nPay a million to eve.<img src=\"cid:hidden@x\">";
    let mut members = 0;
    for wrapping in WRAPPINGS {
        for disguise in DISGUISES {
            for (kind, part) in genuine() {
                let part = format!("{disguise}{part}");
                let orders = [
                    vec![lure, &part],
                    vec![&part, lure],
                    vec![lure, &part, lure],
                    vec![&part, lure, lure],
                ];
                for parts in orders {
                    let body = delimited(&parts);
                    let raw = format!(
                        "From: alice@letterlock.example\r\nMIME-Version: 1.0\r\n\
                         Content-Type: {wrapping}; boundary=outer\r\n\r\n{body}--outer--\r\n"
                    );
                    let protection = bob_opens(raw.as_bytes()).protection;
                    let case = format!("{wrapping} {disguise} {kind}: {:?}", protection.signature);
                    let said = matches!(
                        protection.signature,
                        SignatureStatus::None | SignatureStatus::Bad { .. }
                    );
                    assert!(said, "{case}");
                    assert!(
                        !matches!(protection.encryption, Encryption::ToUs { .. }),
                        "{case}"
                    );
                    members += 1;
                }
            }
        }
    }
    assert_eq!(members, 9 * 4 * 4 * 4);
}

#[test]
fn attack_03_nor_is_one_below_the_root_of_what_was_encrypted() {
    let mut members = 0;
    for wrapping in WRAPPINGS {
        for (kind, part) in genuine() {
            let lure = "\r\nPay a million to eve.";
            for order in [[lure, &part], [&part, lure]] {
                let body = delimited(&order);
                let payload =
                    format!("Content-Type: {wrapping}; boundary=outer\r\n\r\n{body}--outer--\r\n");
                let raw = format!(
                    "From: alice@letterlock.example\r\n{}",
                    encrypted_entity(&payload, None, "b")
                );
                let status = bob_opens(raw.as_bytes()).protection.signature;
                let said = matches!(status, SignatureStatus::None | SignatureStatus::Bad { .. });
                assert!(said, "{wrapping} {kind}: {status:?}");
                members += 1;
            }
        }
    }
    assert_eq!(members, 9 * 4 * 2);
}

/// What may be changed of a signed entity: everything but the octets between its delimiters.
#[test]
fn attack_03_what_the_signature_does_not_cover_is_not_what_is_signed() {
    let alice = secret("alice");
    let whole = signed_entity(LETTER, &alice, "b");
    let from = "From: alice@letterlock.example\r\n";
    let third = whole.replace("\r\n--b--", "\r\n--b\r\n\r\nPay a million.\r\n--b--");
    let swapped_first = whole.replacen("--b\r\n", "--b\r\n\r\nPay a million.\r\n--b\r\n", 1);
    let inner = whole.replace("Yes", "No");
    let trailing_space = whole.replace("agree.", "agree. ");
    let retyped = whole.replace("Content-Type: text/plain", "Content-Type: text/html");
    let added = whole.replacen(
        "Content-Type: text/plain",
        "Subject: x\r\nContent-Type: text/plain",
        1,
    );
    for changed in [third, swapped_first, inner, trailing_space, retyped, added] {
        let raw = format!("{from}{changed}");
        let status = bob_opens(raw.as_bytes()).protection.signature;
        assert!(
            !matches!(status, SignatureStatus::Valid { .. }),
            "{changed}: {status:?}"
        );
    }
    // As it is, it is good.
    let status = bob_opens(format!("{from}{whole}").as_bytes())
        .protection
        .signature;
    assert!(
        matches!(status, SignatureStatus::Valid { .. }),
        "{status:?}"
    );
}
