//! EFAIL (Poddebniak and others, 2018) and its relatives: plaintext that leaves through what
//! stands around it, through changed ciphertext, and through an answer that quotes it.

use pgp::composed::MessageBuilder;
use pgp::crypto::aead::{AeadAlgorithm, ChunkSize};
use pgp::types::CompressionAlgorithm;

use super::*;
use crate::mime::html_to_text;
use crate::openpgp::decrypt;
use crate::openpgp::protection::Encryption;
use crate::openpgp::secret_certificate::Profile;
use crate::openpgp::test_support::template;

/// HTML that stands open: whatever a program puts behind it becomes part of a request.
const OPENINGS: [&str; 6] = [
    "<img src=\"http://127.0.0.1:9/",
    "<a href='http://127.0.0.1:9/",
    "<style>body{background:url(http://127.0.0.1:9/",
    "<form action=http://127.0.0.1:9/><textarea name=x>",
    "<link rel=prefetch href=\"http://127.0.0.1:9/",
    "<svg><image href=\"http://127.0.0.1:9/",
];

const SHAPES: [&str; 12] = [
    "multipart/mixed",
    "multipart/alternative",
    "multipart/related",
    "multipart/parallel",
    "multipart/digest",
    "multipart/report; report-type=delivery-status",
    "multipart/form-data",
    "multipart/encrypted",
    "multipart/encrypted; protocol=\"application/pgp-encrypted\"",
    "multipart/signed; protocol=\"application/pgp-signature\"; micalg=pgp-sha512",
    "multipart/x-unknown",
    "multipart/mixed; protocol=\"application/pgp-encrypted\"",
];

/// A good encrypted part, stolen from another message to bob.
fn victims() -> [(&'static str, String); 4] {
    let payload = format!("Content-Type: text/plain\r\n\r\n{CANARY}\r\n");
    [
        ("PGP/MIME", encrypted_entity(&payload, None, "stolen")),
        (
            "inline",
            format!("Content-Type: text/plain\r\n\r\n{}", to_bob(CANARY, None)),
        ),
        (
            "attached",
            format!(
                "Content-Type: application/octet-stream; name=a.asc\r\n\
                 Content-Disposition: attachment\r\n\r\n{}",
                to_bob(&payload, None)
            ),
        ),
        (
            "a message",
            format!(
                "Content-Type: message/rfc822\r\n\r\nFrom: alice@letterlock.example\r\n{}",
                encrypted_entity(&payload, None, "stolen")
            ),
        ),
    ]
}

/// The victim among the parts of a message: between, before and behind what stands open.
fn among(shape: &str, opening: &str, victim: &str) -> [String; 3] {
    let open = format!("Content-Type: text/html\r\n\r\n{opening}");
    let close = "Content-Type: text/html\r\n\r\n\">'></textarea>";
    let orders = [
        vec![open.as_str(), victim, close],
        vec![victim, open.as_str()],
        vec![open.as_str(), victim],
    ];
    orders.map(|parts| {
        let body = delimited(&parts);
        format!(
            "From: eve@letterlock.example\r\nMIME-Version: 1.0\r\n\
             Content-Type: {shape}; boundary=outer\r\n\r\n{body}--outer--\r\n"
        )
    })
}

/// All that a person is shown of a message, or an answer to it would quote.
fn shown(rendered: &[u8]) -> String {
    let rendered = text(rendered);
    let as_html = html_to_text(&rendered);
    rendered + &as_html
}

#[test]
fn attack_01_direct_exfiltration() {
    let mut members = 0;
    for shape in SHAPES {
        for opening in OPENINGS {
            for (kind, victim) in victims() {
                for raw in among(shape, opening, &victim) {
                    let opened = bob_opens(raw.as_bytes());
                    let case = format!("{shape} {opening} {kind}");
                    assert!(!shown(&opened.rendered).contains(CANARY), "{case}");
                    let encryption = &opened.protection.encryption;
                    assert!(!matches!(encryption, Encryption::ToUs { .. }), "{case}");
                    members += 1;
                }
            }
        }
    }
    assert_eq!(members, 12 * 6 * 4 * 3);
}

#[test]
fn attack_01_what_stands_around_the_envelope_is_not_shown_with_it() {
    let payload = format!("Content-Type: text/html\r\n\r\n{CANARY}\r\n");
    let mut members = 0;
    for opening in OPENINGS {
        let whole = encrypted_entity(&payload, None, "b");
        let places = [
            // The preamble, the version part, before and behind the armor, the epilogue.
            whole.replacen("\r\n\r\n--b", &format!("\r\n\r\n{opening}\r\n--b"), 1),
            whole.replace("Version: 1", &format!("Version: 1\r\n{opening}")),
            whole.replace("-----BEGIN", &format!("{opening}\r\n-----BEGIN")),
            whole.replace(
                "END PGP MESSAGE-----",
                &format!("END PGP MESSAGE-----\r\n{opening}"),
            ),
            format!("{whole}{opening}"),
        ];
        for place in places {
            let raw = format!("From: eve@letterlock.example\r\n{place}");
            let opened = bob_opens(raw.as_bytes());
            let rendered = text(&opened.rendered);
            // Either it does not open, or there is nothing beside what was inside.
            let is_open = matches!(opened.protection.encryption, Encryption::ToUs { .. });
            assert_eq!(rendered.contains(CANARY), is_open, "{rendered}");
            assert!(!is_open || !rendered.contains("127.0.0.1"), "{rendered}");
            members += 1;
        }
    }
    assert_eq!(members, 6 * 5);
}

#[test]
fn attack_08_hidden_ciphertext_is_not_quoted() {
    let block = to_bob(CANARY, None);
    let texts = [
        format!("See below.\r\n\r\n{block}"),
        format!("{block}\r\nSee above."),
        format!("{block}\r\nAnd this:\r\n{block}"),
        format!("> {}", block.replace("\r\n", "\r\n> ")),
        format!("{}{block}", "\r\n".repeat(200) + "Hello"),
        format!("<div style=\"display:none\">{block}</div>"),
    ];
    let mut members = 0;
    for subtype in ["plain", "html", "enriched"] {
        for body in &texts {
            let raw = format!(
                "From: eve@letterlock.example\r\nContent-Type: text/{subtype}\r\n\r\n{body}"
            );
            assert!(!shown(&bob_opens(raw.as_bytes()).rendered).contains(CANARY));
            members += 1;
        }
    }
    // A letter of eve's own to bob, encrypted, with a stolen one hidden in it.
    for (_, victim) in victims() {
        for shape in SHAPES {
            let parts = among(shape, "<div style=\"display:none\">", &victim);
            for whole in parts {
                let payload = &whole[whole.find("Content-Type").unwrap()..];
                let eve = secret("eve");
                let entity = encrypted_entity(payload, Some(&eve), "new");
                let raw = format!("From: eve@letterlock.example\r\n{entity}");
                let opened = bob_opens(raw.as_bytes());
                assert!(!shown(&opened.rendered).contains(CANARY), "{shape}");
                members += 1;
            }
        }
    }
    assert_eq!(members, 3 * 6 + 4 * 12 * 3);
}

/// Messages to bob of every container that we read.
fn containers() -> Vec<(&'static str, Vec<u8>, SecretCertificate)> {
    let bob = secret("bob");
    let modern = template(Profile::Version6, "bob")
        .generate(&mut rng(8))
        .unwrap();
    let at = policy::seconds(NOW);
    let plaintext = || CANARY.repeat(6).into_bytes();
    let version1 = |cipher, compressed: bool| {
        let mut builder = MessageBuilder::from_bytes("", plaintext());
        if compressed {
            builder.compression(CompressionAlgorithm::ZLIB);
        }
        let mut builder = builder.seipd_v1(rng(5), cipher);
        let key = bob.certificate().verified().encryption_key(at).unwrap();
        builder.encrypt_to_key(rng(6), key).unwrap();
        builder.to_vec(rng(7)).unwrap()
    };
    let version2 = |mode| {
        let cipher = SymmetricKeyAlgorithm::AES256;
        let builder = MessageBuilder::from_bytes("", plaintext());
        let mut builder = builder.seipd_v2(rng(5), cipher, mode, ChunkSize::C64B);
        let key = modern.certificate().verified().encryption_key(at).unwrap();
        builder.encrypt_to_key(rng(6), key).unwrap();
        builder.to_vec(rng(7)).unwrap()
    };
    vec![
        (
            "AES-256",
            version1(SymmetricKeyAlgorithm::AES256, false),
            bob.clone(),
        ),
        (
            "AES-128",
            version1(SymmetricKeyAlgorithm::AES128, false),
            bob.clone(),
        ),
        (
            "compressed",
            version1(SymmetricKeyAlgorithm::AES256, true),
            bob.clone(),
        ),
        ("OCB", version2(AeadAlgorithm::Ocb), modern.clone()),
        ("GCM", version2(AeadAlgorithm::Gcm), modern.clone()),
        ("EAX", version2(AeadAlgorithm::Eax), modern.clone()),
    ]
}

/// Whether no octet of plaintext comes out.
fn stays_closed(message: &[u8], key: &SecretCertificate) -> bool {
    decrypt::message(message, core::slice::from_ref(key), &Limits::default()).is_err()
}

#[test]
fn attack_02_every_octet_counts() {
    let mut members = 0;
    for (name, message, key) in containers() {
        let whole = CANARY.repeat(6);
        assert!(!stays_closed(&message, &key), "{name} as it is");
        let session = packet_length(&message);
        for position in 0..message.len() {
            let mut changed = message.clone();
            changed[position] ^= 1 << (position % 8);
            match decrypt::message(&changed, core::slice::from_ref(&key), &Limits::default()) {
                Err(_) => {}
                // The packet of the session key has hints and reserved octets; what is behind it
                // is then still what it was.
                Ok(opened) if position < session => {
                    assert_eq!(&*opened.plaintext, whole.as_bytes(), "{name} {position}");
                }
                Ok(_) => panic!("{name}: octet {position} changes nothing"),
            }
            assert!(
                stays_closed(&message[..position], &key),
                "{name} cut at {position}"
            );
            members += 2;
        }
    }
    assert!(members > 4000, "{members}");
}

fn packet_length(message: &[u8]) -> usize {
    let (_, body) = &packets(message)[0];
    let head = if body.len() < 192 { 2 } else { 3 };
    head + body.len()
}

#[test]
fn attack_02_gadgets_and_downgrades() {
    let mut members = 0;
    for (name, message, key) in containers() {
        let parts = packets(&message);
        let [(1, session), (18, data)] = &parts[..] else {
            panic!("{name}: a session key and a container");
        };
        let with = |tag, body: &[u8]| [packet(1, session), packet(tag, body)].concat();
        assert!(
            !stays_closed(&with(18, data), &key),
            "{name}: the frame is good"
        );
        for forged in relabelled(data, with)
            .into_iter()
            .chain(rearranged(data, with))
        {
            assert!(stays_closed(&forged, &key), "{name}, member {members}");
            members += 1;
        }
    }
    assert!(members > 300, "{members}");
}

/// The same ciphertext under another label: without integrity protection, of another version or
/// mode, without its code or tag.
fn relabelled(data: &[u8], with: impl Fn(u8, &[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let end = data.len();
    let mut forged = vec![
        with(9, data),
        with(9, &data[1..]),
        with(20, data),
        with(20, &data[1..]),
        with(11, &data[1..]),
        with(8, &data[1..]),
        with(18, &data[..1]),
        with(18, &[]),
        with(18, &[data, data].concat()),
        with(18, &data[..end - 20]),
        with(18, &data[..end - 22]),
        with(18, &data[..end - 16]),
        with(18, &[data, &[0; 16]].concat()),
    ];
    for version in (0..=255).filter(|version| *version != data[0]) {
        if matches!(version, 0..=3 | 255) {
            forged.push(with(18, &[&[version], &data[1..]].concat()));
        }
    }
    if data[0] == 2 {
        // Version 2 has its cipher, mode and chunk size in the clear (RFC 9580 5.13.2).
        for place in 1..4 {
            for value in (0..=20).filter(|value| *value != data[place]) {
                let mut other = data.to_vec();
                other[place] = value;
                forged.push(with(18, &other));
            }
        }
    }
    forged
}

/// Blocks and chunks in another order, twice, or missing: the gadgets of CFB, and what a mode with
/// chunks must notice.
fn rearranged(data: &[u8], with: impl Fn(u8, &[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    // Version 1: blocks of 16 behind its octet; version 2: chunks of 64 with a tag of 16, behind
    // four octets and a salt of 32.
    let (head, unit) = if data[0] == 1 { (1, 16) } else { (36, 80) };
    let (front, rest) = data.split_at(head);
    let units: Vec<&[u8]> = rest.chunks(unit).collect();
    let mut forged = Vec::new();
    let mut add = |order: Vec<&[u8]>| {
        if order != units {
            forged.push(with(18, &[front, &order.concat()].concat()));
        }
    };
    for place in 0..units.len() {
        let mut dropped = units.clone();
        let one = dropped.remove(place);
        let mut doubled = units.clone();
        doubled.insert(place, one);
        add(dropped.clone());
        add(doubled);
        for other in 0..dropped.len() {
            let mut moved = dropped.clone();
            moved.insert(other, one);
            add(moved);
        }
    }
    forged
}
