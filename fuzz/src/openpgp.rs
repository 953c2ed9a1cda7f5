//! What the fuzz targets of OpenPGP check: octets of strangers that come as messages, certificates,
//! header fields and mail.

use std::sync::OnceLock;

use letterlock_core::id::{Address, Timestamp};
use letterlock_core::keys::{attached, autocrypt};
use letterlock_core::mime::header;
use letterlock_core::openpgp::decrypt::{self, Limits};
use letterlock_core::openpgp::{
    Certificate, Encryption, SecretCertificate, SignatureStatus, armor, pgp_mime, sign,
};

/// When everything is judged: 2027-01-01T00:00:00Z, after the keys of the corpora were made.
const NOW: Timestamp = Timestamp::from_secs(1_798_761_600);
/// Small, so that bombs are found early.
const LIMITS: Limits = Limits {
    ciphertext_octets: 1 << 18,
    plaintext_octets: 1 << 18,
};
/// Most certificates of one input.
const MOST: usize = 4;

/// The key that the messages of the corpora are for; nothing else is.
fn keys() -> &'static [SecretCertificate] {
    static KEYS: OnceLock<Vec<SecretCertificate>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let key = SecretCertificate::parse(include_bytes!("../keys/bob.key"), None);
        key.into_iter().collect()
    })
}

fn address(local: &str) -> Option<Address> {
    Address::new(&format!("{local}@letterlock.example")).ok()
}

/// A message opens whole or not at all, within its limits; so does a signature read.
pub fn openpgp_message(octets: &[u8]) {
    assert!(keys().len() == 1, "the key is missing");
    if let Ok(opened) = decrypt::message(octets, keys(), &LIMITS) {
        assert!(opened.plaintext.len() <= LIMITS.plaintext_octets);
        let status = opened.signatures.judge(&[], None, NOW);
        assert!(
            !matches!(status, SignatureStatus::Valid { .. }),
            "good by nobody's key"
        );
    }
    let signatures = sign::read_detached(b"hello\n", octets);
    assert!(signatures.proofs(&[], NOW).is_empty());
    if let Some(binary) = armor::unwrap(octets, 1 << 16) {
        assert!(binary.len() <= 1 << 16);
    }
}

/// What is left of a certificate is a certificate, the same however often it is read, and with
/// itself it is itself.
pub fn openpgp_certificate(octets: &[u8]) {
    for certificate in Certificate::parse_some(octets, MOST) {
        let stored = certificate.to_bytes();
        let again = Certificate::parse(&stored);
        assert!(
            again.as_ref() == Ok(&certificate),
            "another one when read again"
        );
        let armored = Certificate::parse(certificate.to_armor().as_bytes());
        assert!(armored.as_ref() == Ok(&certificate), "another one in armor");
        let merged = certificate.merge(&certificate);
        assert!(merged == certificate, "another one with itself");
        let usable = certificate.usable_for_encryption(NOW).is_ok();
        for address in certificate.addresses(NOW) {
            assert!(certificate.names(&address, NOW));
            if let Some(published) = certificate.to_published(&address, NOW) {
                let published = Certificate::parse(&published);
                assert!(
                    published.is_ok_and(|one| one.usable_for_encryption(NOW).is_ok() == usable),
                    "what is published cannot be used"
                );
            }
            if let Some(field) = autocrypt::write(&certificate, &address, NOW) {
                let fields = header::fields(field.as_bytes()).count();
                assert!(fields == 1, "{fields} fields");
            }
        }
    }
    drop(SecretCertificate::parse(octets, None));
}

/// A header gives a certificate of its author only, and gossip of recipients only.
pub fn autocrypt_header(octets: &[u8]) {
    let (Some(alice), Some(bob)) = (address("alice"), address("bob")) else {
        return;
    };
    if let Some(found) = autocrypt::read(octets, &alice) {
        let stored = found.certificate.to_bytes();
        assert!(Certificate::parse(&stored).is_ok());
    }
    let recipients = [alice.clone(), bob];
    for (told, _) in autocrypt::read_gossip(octets, &recipients) {
        assert!(recipients.contains(&told), "gossip of a stranger");
    }
    for certificate in attached::read(octets, &alice, NOW) {
        assert!(certificate.names(&alice, NOW), "a key of somebody else");
    }
}

/// Whatever a mail is, it is shown with our two status fields or with none, and nobody's signature
/// is good without a certificate.
pub fn pgp_mime(octets: &[u8]) {
    let pending = pgp_mime::open(octets, keys(), &LIMITS);
    pending.recipients();
    let opened = pending.judge(&[], NOW);
    let protection = &opened.protection;
    assert!(!matches!(
        protection.signature,
        SignatureStatus::Valid { .. }
    ));
    let end = header::header_end(&opened.rendered);
    let head = opened.rendered.get(..end).unwrap_or_default();
    let ours = header::fields(head).filter(|field| {
        let name = field.name.to_ascii_lowercase();
        name.starts_with(b"letterlock-")
    });
    let count = ours.count();
    let protected =
        protection.encryption != Encryption::None || protection.signature != SignatureStatus::None;
    let expected = if protected { 2 } else { 0 };
    assert!(count == expected, "{count} status fields");
}
