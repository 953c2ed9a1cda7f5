//! What gateways make of PGP/MIME, put together again, and what that must not lead to.

use proptest::prelude::*;

use super::*;

const PAYLOAD: &str = "From: alice@letterlock.example\r\nSubject: inner\r\n\
    Content-Type: text/plain; hp=cipher\r\n\r\nMeet me.\r\n";
const FROM: &str = "From: alice@letterlock.example\r\nSubject: [...]\r\nMIME-Version: 1.0\r\n";

/// An armored message to bob.
fn armored(payload: &str, signer: Option<&SecretCertificate>) -> String {
    let to = [secret("bob").certificate().clone()];
    text(&encrypt::message(&to, signer, payload.as_bytes(), NOW, &mut rng(4)).unwrap())
}

fn multipart(kind: &str, boundary: &str, parts: &[&str]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .map(|part| format!("--{boundary}\r\n{part}\r\n"))
        .collect();
    let parts = parts.concat();
    format!("Content-Type: multipart/{kind}; boundary={boundary}\r\n\r\n{parts}--{boundary}--\r\n")
}

fn base64(octets: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(octets)
}

/// Each known way in which a message is taken apart, with this armor in it.
fn manglings(armor: &str) -> Vec<(&'static str, String)> {
    let version = "Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n";
    let message =
        format!("Content-Type: application/octet-stream; name=encrypted.asc\r\n\r\n{armor}\r\n");
    let blank = "Content-Type: text/plain\r\n\r\n \r\n";
    let footer = "Content-Type: text/plain\r\n\r\n--\r\nThe Company. Think before you print.\r\n";
    let twice = format!(
        "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        base64(&base64(armor))
    );
    let unlabelled = format!(
        "Content-Type: application/octet-stream\r\n\r\n{}\r\n",
        base64(armor)
    );
    let whole = multipart("encrypted", "b", &[version, &message]);
    let text_version = "Content-Type: text/plain\r\n\r\nVersion: 1\r\n";
    vec![
        (
            "Exchange",
            multipart("mixed", "m", &[blank, version, &message]),
        ),
        (
            "the type is lost",
            multipart("mixed", "m", &[version, &message]),
        ),
        ("swapped", multipart("encrypted", "m", &[&message, version])),
        ("no version", multipart("encrypted", "m", &[&message])),
        (
            "version as text",
            multipart("encrypted", "m", &[text_version, &message]),
        ),
        ("an attachment", multipart("mixed", "m", &[blank, &message])),
        ("the message alone", message.clone()),
        (
            "as pgp-encrypted",
            message.replace("octet-stream", "pgp-encrypted"),
        ),
        ("a footer", multipart("mixed", "m", &[&whole, footer])),
        ("a header", multipart("mixed", "m", &[footer, &whole])),
        ("blank and whole", multipart("mixed", "m", &[blank, &whole])),
        ("wrapped", multipart("mixed", "m", &[&whole])),
        (
            "wrapped twice",
            multipart("mixed", "o", &[&multipart("mixed", "m", &[&whole])]),
        ),
        (
            "a footer behind Exchange",
            multipart(
                "mixed",
                "o",
                &[
                    &multipart("mixed", "m", &[blank, version, &message]),
                    footer,
                ],
            ),
        ),
        ("encoded twice", multipart("mixed", "m", &[version, &twice])),
        (
            "the encoding is not told",
            multipart("mixed", "m", &[version, &unlabelled]),
        ),
    ]
}

fn bob_opens(raw: &str) -> Opened {
    let certificates = [
        secret("alice").certificate().clone(),
        secret("eve").certificate().clone(),
    ];
    open(raw.as_bytes(), &[secret("bob")], &Limits::default()).judge(&certificates, later(60))
}

#[test]
fn every_known_mangling_is_repaired_and_says_so() {
    let alice = secret("alice");
    let all = manglings(&armored(PAYLOAD, Some(&alice)));
    assert_eq!(all.len(), 16);
    for (name, mangled) in all {
        let opened = bob_opens(&format!("{FROM}{mangled}"));
        let encryption = &opened.protection.encryption;
        assert!(
            matches!(encryption, Encryption::Repaired { .. }),
            "{name}: {encryption:?}"
        );
        assert_eq!(opened.protection.signature, valid(), "{name}");
        let shown = text(&opened.rendered);
        assert!(
            shown.starts_with("Letterlock-Encryption: repaired; "),
            "{name}: {shown}"
        );
        assert!(shown.contains("\r\nSubject: inner\r\n"), "{name}: {shown}");
        assert!(shown.ends_with("\r\n\r\nMeet me.\r\n"), "{name}: {shown}");
        // What stood beside it is not shown with it.
        assert!(
            !shown.contains("Company") && !shown.contains("BEGIN PGP"),
            "{name}: {shown}"
        );
    }
}

/// Nothing of what repair does makes a signature: what it tells is what the whole envelope tells,
/// or less.
#[test]
fn a_repaired_message_is_signed_as_it_was_or_not_at_all() {
    let (alice, eve) = (secret("alice"), secret("eve"));
    let inner = "Content-Type: text/plain\r\n\r\nhi\r\n";
    for (payload, signer) in [
        (PAYLOAD, None),
        (PAYLOAD, Some(&alice)),
        (PAYLOAD, Some(&eve)),
        (inner, None),
        (inner, Some(&eve)),
    ] {
        let whole = bob_opens(&envelope(FROM, payload, signer));
        for (name, mangled) in manglings(&armored(payload, signer)) {
            let repaired = bob_opens(&format!("{FROM}{mangled}"));
            assert_eq!(
                repaired.protection.signature, whole.protection.signature,
                "{name}"
            );
        }
    }
    // A signature around what was mangled is of the outside, and is not told.
    for (name, mangled) in manglings(&armored(inner, None)) {
        let wire = sign(
            format!("{FROM}{mangled}").as_bytes(),
            &Sender {
                key: &alice,
                address: &address("alice"),
                now: NOW,
            },
            &mut rng(3),
        );
        let opened = bob_opens(&text(&wire.unwrap()));
        assert!(
            !matches!(opened.protection.encryption, Encryption::Repaired { .. }),
            "{name}"
        );
    }
}

#[test]
fn what_is_left_over_beside_it_leaves_it_closed() {
    let armor = armored(PAYLOAD, None);
    for (name, mangled) in manglings(&armor) {
        if !mangled.contains("--m--") {
            continue;
        }
        let lure = "--m\r\nContent-Type: text/html\r\n\r\n<img src=\"http://x/\r\n--m--";
        let raw = format!("{FROM}{}", mangled.replacen("--m--", lure, 1));
        let opened = bob_opens(&raw);
        assert_eq!(
            opened.protection,
            crate::openpgp::Protection::NONE,
            "{name}"
        );
        assert_eq!(text(&opened.rendered), raw, "{name}");
    }
    // A file that somebody encrypted is no letter.
    for (name, mangled) in manglings(&armored("%PDF-1.7\r\nnot: a letter\r\n", None)) {
        let raw = format!("{FROM}{mangled}");
        let opened = bob_opens(&raw);
        assert_eq!(
            opened.protection,
            crate::openpgp::Protection::NONE,
            "{name}"
        );
        assert_eq!(text(&opened.rendered), raw, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However the pieces of an unsigned message are put together, and with whatever between
    /// them, it is not signed.
    #[test]
    fn no_arrangement_signs_what_is_not_signed(
        kind in 0..4_usize,
        order in proptest::collection::vec(0..6_usize, 0..6),
        from_alice in any::<bool>(),
    ) {
        let kind = ["mixed", "encrypted", "signed; protocol=\"application/pgp-signature\"", "related"][kind];
        let armor = armored(PAYLOAD, None);
        let stolen = text(&crate::openpgp::sign::detached(
            b"Content-Type: text/plain\r\n\r\nYes.\r\n", &secret("alice"), NOW, &mut rng(9),
        ).unwrap());
        let pieces = [
            "Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1".to_owned(),
            format!("Content-Type: application/octet-stream\r\n\r\n{armor}"),
            "Content-Type: text/plain\r\n\r\n".to_owned(),
            "Content-Type: text/plain\r\n\r\nPay at once.".to_owned(),
            format!("Content-Type: application/pgp-signature\r\n\r\n{stolen}"),
            envelope("", PAYLOAD, None),
        ];
        let author = if from_alice { "alice@letterlock.example" } else { "eve@evil.example" };
        let mut raw = format!("From: {author}\r\nContent-Type: multipart/{kind}; boundary=z\r\n\r\n");
        for piece in order {
            raw.extend(["--z\r\n", &pieces[piece], "\r\n"]);
        }
        raw.push_str("--z--\r\n");
        let status = bob_opens(&raw).protection.signature;
        prop_assert!(
            matches!(status, SignatureStatus::None | SignatureStatus::Bad { .. }),
            "{:?}", status
        );
    }
}
