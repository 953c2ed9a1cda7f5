//! Containers, recipients and limits: what is refused before and after it is opened.

use pgp::composed::MessageBuilder;
use pgp::types::CompressionAlgorithm;

use super::*;
use crate::openpgp::encrypt;
use crate::openpgp::protection::BadSignature;
use crate::openpgp::test_support::{NOW, address, later, rng, secret};

fn opened(octets: &[u8], keys: &[SecretCertificate]) -> Result<Decrypted, DecryptError> {
    message(octets, keys, &Limits::default())
}

/// A message around given octets, compressed.
fn compressed(plaintext: Vec<u8>) -> Vec<u8> {
    let bob = secret("bob");
    let key = bob
        .certificate()
        .verified()
        .encryption_key(policy::seconds(NOW))
        .unwrap();
    let mut builder = MessageBuilder::from_bytes("", plaintext);
    builder.compression(CompressionAlgorithm::ZLIB);
    let mut builder = builder.seipd_v1(rng(5), SymmetricKeyAlgorithm::AES256);
    builder.encrypt_to_key(rng(6), key).unwrap();
    builder.to_vec(rng(7)).unwrap()
}

#[test]
fn what_the_mx_sealed_opens_again() {
    let bob = secret("bob");
    for size in [0, 1, 600, 200_000] {
        let mail = vec![b'x'; size];
        let sealed = encrypt::to_recipient(bob.certificate(), &mail, NOW, &mut rng(1)).unwrap();
        let decrypted = opened(&sealed, &[secret("alice"), bob.clone()]).unwrap();
        assert_eq!(&*decrypted.plaintext, mail.as_slice());
        assert_eq!(decrypted.encrypted_to, bob.fingerprint());
        assert_eq!(decrypted.cipher, Cipher::Aes256);
        assert!(decrypted.signatures.is_empty());
    }
}

#[test]
fn a_letter_is_signed_and_encrypted() {
    let (alice, bob) = (secret("alice"), secret("bob"));
    let to = [alice.certificate().clone(), bob.certificate().clone()];
    let letter = encrypt::message(&to, Some(&alice), b"hello", NOW, &mut rng(1)).unwrap();
    for key in [&alice, &bob] {
        let decrypted = opened(&letter, core::slice::from_ref(key)).unwrap();
        assert_eq!(&*decrypted.plaintext, b"hello");
        let from = address("alice");
        assert_eq!(
            decrypted.signatures.judge(&to, Some(&from), later(60)),
            SignatureStatus::Valid {
                fingerprint: alice.fingerprint(),
                address: from
            }
        );
        assert!(matches!(
            decrypted
                .signatures
                .judge(&to, Some(&address("eve")), later(60)),
            SignatureStatus::WrongSender { .. }
        ));
        assert!(matches!(
            decrypted.signatures.judge(&[], None, later(60)),
            SignatureStatus::UnknownKey { issuer: Some(_) }
        ));
    }
    let page = bulk::without(armored(&letter, &bob, &to, NOW, None)).unwrap();
    assert_eq!(
        page.signer.as_deref(),
        Some("alice <alice@letterlock.example>")
    );
    assert!(matches!(
        opened(&letter, &[secret("eve")]),
        Err(DecryptError::NoKey)
    ));
}

#[test]
fn a_signature_for_others_is_not_for_us() {
    // Surreptitious forwarding: alice writes to bob, bob re-encrypts the signed octets to carol.
    // The signed packets cannot be re-encrypted through this API, so the verdict is asked for as
    // if the same signature had been found in a message that carol opened.
    let (alice, bob, carol) = (secret("alice"), secret("bob"), secret("carol"));
    let to = [bob.certificate().clone()];
    let letter = encrypt::message(&to, Some(&alice), b"hello", NOW, &mut rng(1)).unwrap();
    let decrypted = opened(&letter, &[bob]).unwrap();
    let forwarded = decrypted.signatures.opened_with(Some(carol.fingerprint()));
    assert_eq!(
        forwarded.judge(&[alice.certificate().clone()], Some(&address("alice")), NOW),
        SignatureStatus::Bad {
            reason: BadSignature::NotForUs
        }
    );
}

#[test]
fn not_one_changed_octet_gives_plaintext() {
    let (alice, bob) = (secret("alice"), secret("bob"));
    let to = [bob.certificate().clone()];
    let letter = encrypt::message(&to, Some(&alice), b"hello", NOW, &mut rng(1)).unwrap();
    let binary = armor::binary(&letter, Kind::Message, 1 << 20)
        .unwrap()
        .into_owned();
    for position in 0..binary.len() {
        let mut changed = binary.clone();
        changed[position] ^= 0x20;
        if let Ok(decrypted) = opened(&changed, core::slice::from_ref(&bob)) {
            // Only the key id in the session key packet may be changed without harm: it is a hint.
            assert_eq!(&*decrypted.plaintext, b"hello", "octet {position}");
        }
    }
    for length in 0..binary.len() {
        assert!(
            opened(&binary[..length], core::slice::from_ref(&bob)).is_err(),
            "{length}"
        );
    }
}

#[test]
fn a_compression_bomb_is_refused_and_compression_is_read() {
    let bob = [secret("bob")];
    assert_eq!(
        opened(&compressed(vec![b'a'; 1 << 20]), &bob)
            .unwrap()
            .plaintext
            .len(),
        1 << 20
    );
    let inflating = compressed(vec![b'a'; 20 << 20]);
    assert!(inflating.len() < 100_000);
    assert!(matches!(
        opened(&inflating, &bob),
        Err(DecryptError::TooLarge(_))
    ));
}

#[test]
fn sizes_are_limited_on_both_sides() {
    let bob = [secret("bob")];
    let sealed =
        encrypt::to_recipient(bob[0].certificate(), &[b'x'; 5000], NOW, &mut rng(1)).unwrap();
    let small = Limits {
        ciphertext_octets: 4000,
        plaintext_octets: 9000,
    };
    assert!(matches!(
        message(&sealed, &bob, &small),
        Err(DecryptError::TooLarge(4000))
    ));
    let small = Limits {
        ciphertext_octets: 9000,
        plaintext_octets: 4999,
    };
    assert!(matches!(
        message(&sealed, &bob, &small),
        Err(DecryptError::TooLarge(4999))
    ));
    let enough = Limits {
        ciphertext_octets: 9000,
        plaintext_octets: 5000,
    };
    assert!(message(&sealed, &bob, &enough).is_ok());
}

#[test]
fn a_password_is_never_tried() {
    let mut builder = MessageBuilder::from_bytes("", b"hello".to_vec())
        .seipd_v1(rng(5), SymmetricKeyAlgorithm::AES256);
    let s2k = pgp::types::StringToKey::new_argon2(rng(6), 1, 1, 10);
    builder
        .encrypt_with_password(s2k, &Password::empty())
        .unwrap();
    let octets = builder.to_vec(rng(7)).unwrap();
    assert!(matches!(
        opened(&octets, &[secret("bob")]),
        Err(DecryptError::PasswordOnly)
    ));
}

#[test]
fn encryption_inside_encryption_is_not_opened() {
    let bob = [secret("bob")];
    let inner = encrypt::to_recipient(bob[0].certificate(), b"hello", NOW, &mut rng(1)).unwrap();
    let session_key = pgp::composed::RawSessionKey::from(vec![7_u8; 32]);
    let cipher = SymmetricKeyAlgorithm::AES256;
    let key = bob[0]
        .certificate()
        .verified()
        .encryption_key(policy::seconds(NOW))
        .unwrap();
    let recipient =
        PublicKeyEncryptedSessionKey::from_session_key_v3(rng(2), &session_key, cipher, key)
            .unwrap();
    let wrapped = |plaintext: &[u8]| {
        let data = pgp::packet::SymEncryptedProtectedData::encrypt_seipdv1(
            rng(3),
            cipher,
            session_key.as_ref(),
            plaintext,
        )
        .unwrap();
        let mut outer = Vec::new();
        pgp::packet::PacketTrait::to_writer_with_header(&recipient, &mut outer).unwrap();
        pgp::packet::PacketTrait::to_writer_with_header(&data, &mut outer).unwrap();
        outer
    };
    assert!(matches!(
        opened(&wrapped(&inner), &bob),
        Err(DecryptError::Damaged)
    ));
    // The same way with a literal packet opens.
    let literal = b"\xcb\x08b\0\0\0\0\0hi";
    assert_eq!(&*opened(&wrapped(literal), &bob).unwrap().plaintext, b"hi");
}

#[test]
fn hidden_recipients_are_tried_but_not_for_ever() {
    let (alice, bob) = (secret("alice"), secret("bob"));
    let at = policy::seconds(NOW);
    let message_with = |strangers: usize| {
        let mut builder = MessageBuilder::from_bytes("", b"hello".to_vec())
            .seipd_v1(rng(5), SymmetricKeyAlgorithm::AES256);
        for _ in 0..strangers {
            let key = alice.certificate().verified().encryption_key(at).unwrap();
            builder.encrypt_to_key_anonymous(rng(6), key).unwrap();
        }
        let key = bob.certificate().verified().encryption_key(at).unwrap();
        builder.encrypt_to_key_anonymous(rng(6), key).unwrap();
        builder.to_vec(rng(7)).unwrap()
    };
    let keys = [bob.clone()];
    assert!(opened(&message_with(2), &keys).is_ok());
    assert!(matches!(
        opened(&message_with(3), &keys),
        Err(DecryptError::NoKey)
    ));
}

/// What a key has opened once it opens for ever: neither its age, nor its end, nor a newer key
/// beside it takes old letters away.
#[test]
fn expired_revoked_and_replaced_keys_still_open() {
    use crate::openpgp::secret_certificate::RevocationReason;
    use crate::openpgp::test_support::{expiring_secret, secret_numbered};
    let expiring = expiring_secret("bob", 10);
    let before = secret_numbered("bob", 2);
    let revoked = before
        .revoked(RevocationReason::Compromised, "", later(20), &mut rng(3))
        .unwrap();
    let newest = secret_numbered("bob", 4);
    let keys = [newest, revoked, expiring.clone()];
    assert!(
        keys[2]
            .certificate()
            .usable_for_encryption(later(60))
            .is_err()
    );
    assert!(
        keys[1]
            .certificate()
            .usable_for_encryption(later(60))
            .is_err()
    );
    for (number, key) in [expiring, before].iter().enumerate() {
        let to = [key.certificate().clone()];
        let text = format!("letter {number}");
        let sealed = encrypt::message(&to, None, text.as_bytes(), NOW, &mut rng(5));
        let opened = message(&sealed.unwrap(), &keys, &Limits::default()).unwrap();
        assert_eq!(&*opened.plaintext, text.as_bytes());
        assert_eq!(opened.encrypted_to, key.fingerprint());
    }
}
