//! The decrypt page with real keys.

use letterlock_core::id::Address;
use letterlock_core::openpgp::encrypt;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::protocol::{Secret, Signature};

const NOW: Timestamp = Timestamp::from_secs(1_777_982_700);

fn key(address: &str, seed: u64) -> SecretCertificate {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let address = Address::new(address).unwrap();
    SecretCertificate::generate(
        &address,
        None,
        Timestamp::from_secs(1_777_000_000),
        &mut rng,
    )
    .unwrap()
}

fn to_alice(alice: &SecretCertificate, bob: &SecretCertificate, plaintext: &[u8]) -> String {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let recipients = [alice.certificate().clone()];
    let octets = encrypt::message(&recipients, Some(bob), plaintext, NOW, &mut rng).unwrap();
    String::from_utf8(octets).unwrap()
}

fn armored_key(key: &SecretCertificate) -> Secret {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(key.to_bytes());
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|c| core::str::from_utf8(c).unwrap())
        .collect();
    Secret(format!(
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{}\n-----END PGP PRIVATE KEY BLOCK-----\n",
        lines.join("\n")
    ))
}

fn run(request: &Decrypt, now: Timestamp) -> Result<Decrypted, Failure> {
    futures::executor::block_on(super::run(request, now, None))
}

fn request(message: &str, key: &SecretCertificate, sender: &str) -> Decrypt {
    Decrypt {
        message: message.to_owned(),
        key: armored_key(key),
        passphrase: Secret::default(),
        sender: sender.to_owned(),
    }
}

#[test]
fn a_text_is_read_and_its_signer_named() {
    let (alice, bob) = (
        key("alice@letterlock.example", 1),
        key("bob@letterlock.example", 2),
    );
    let message = to_alice(&alice, &bob, "Dear Alice,\r\ncafé\r\n".as_bytes());
    let pasted = format!("Hello, see below\n\n{message}\n");
    let opened = run(
        &request(&pasted, &alice, &bob.certificate().to_armor()),
        NOW,
    )
    .unwrap();
    assert_eq!(opened.body, Body::Text("Dear Alice,\ncafé\n".to_owned()));
    let signer = "bob@letterlock.example".to_owned();
    assert_eq!(opened.protection.signature, Signature::Good { signer });
    assert_eq!(opened.protection.encryption, Encryption::Decrypted);
    let opened = run(&request(&message, &alice, ""), NOW).unwrap();
    assert!(matches!(
        opened.protection.signature,
        Signature::UnknownKey { .. }
    ));
}

#[test]
fn a_mail_inside_is_shown_as_one() {
    let (alice, bob) = (
        key("alice@letterlock.example", 1),
        key("bob@letterlock.example", 2),
    );
    let entity = b"Content-Type: text/html\r\nSubject: Tea\r\n\r\n<p>At <b>five</b>\
        <script>alert(1)</script></p>\r\n";
    let opened = run(&request(&to_alice(&alice, &bob, entity), &alice, ""), NOW).unwrap();
    assert_eq!(opened.subject, "Tea");
    assert!(
        matches!(&opened.body, Body::Html { document, .. }
            if document.contains("<b>five</b>") && !document.contains("<script")),
        "{opened:?}"
    );
}

#[test]
fn what_does_not_open_says_why() {
    let (alice, bob) = (
        key("alice@letterlock.example", 1),
        key("bob@letterlock.example", 2),
    );
    let message = to_alice(&alice, &bob, b"x");
    let of = |result: Result<Decrypted, Failure>| match result {
        Err(Failure::Refused(text)) => text,
        other => panic!("{other:?}"),
    };
    let text = of(run(&request(&message, &bob, ""), NOW));
    assert_eq!(text, "This message is not encrypted to this key.");
    let text = of(run(&request("nonsense", &alice, ""), NOW));
    assert!(text.starts_with("This message cannot be opened"), "{text}");
    let mut no_key = request(&message, &alice, "");
    no_key.key = Secret("nonsense".to_owned());
    assert!(of(run(&no_key, NOW)).starts_with("The secret key cannot be used"));
    let text = of(run(&request(&message, &alice, "nonsense"), NOW));
    assert!(
        text.starts_with("The sender’s certificate cannot be used"),
        "{text}"
    );
}
