//! Good signatures that do not mean what they are taken for: of another type (6), or of a letter
//! to somebody else (7).

use pgp::composed::{MessageBuilder, SignedSecretKey, SubpacketConfig};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::types::{KeyDetails, Password, SigningKey, Timestamp as PgpTimestamp, VerifyingKey};

use super::*;
use crate::openpgp::decrypt;
use crate::openpgp::pending::{PendingSignature, PendingSignatures};
use crate::openpgp::protection::{BadSignature, SignatureStatus};
use crate::openpgp::secret_certificate::RevocationReason;

const DOCUMENT: &[u8] = b"I owe eve a million.\r\n";

fn judged(signature: Signature, document: &[u8], certificate: &Certificate) -> SignatureStatus {
    let pending = PendingSignature::new(signature, document);
    PendingSignatures::new(vec![pending], None).judge(
        core::slice::from_ref(certificate),
        Some(&address("alice")),
        READ_AT,
    )
}

fn digest(config: &SignatureConfig, document: &[u8]) -> Vec<u8> {
    let mut hasher = config.hash_alg.new_hasher().unwrap();
    hasher.update(document);
    let length = config.hash_signature_data(&mut hasher).unwrap();
    hasher.update(&config.trailer(length).unwrap());
    hasher.finalize().into_vec()
}

/// A signature of any type whose mathematics is right for a document's octets.
fn of_type(kind: SignatureType, key: &SignedSecretKey) -> Signature {
    let primary = &key.primary_key;
    let mut config = SignatureConfig::v4(kind, primary.algorithm(), HashAlgorithm::Sha512);
    let created = PgpTimestamp::from_secs(policy::seconds(NOW));
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(created)).unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(primary.fingerprint())).unwrap(),
    ];
    let digest = digest(&config, DOCUMENT);
    let octets = primary
        .sign(&Password::empty(), HashAlgorithm::Sha512, &digest)
        .unwrap();
    Signature::from_config(config, [digest[0], digest[1]], octets).unwrap()
}

#[test]
fn attack_06_signatures_of_every_other_type() {
    let alice = secret("alice");
    let mut members = 0;
    for octet in 0..=255_u8 {
        let kind = SignatureType::from(octet);
        let signature = of_type(kind, alice.packets());
        let status = judged(signature, DOCUMENT, alice.certificate());
        if matches!(kind, SignatureType::Binary | SignatureType::Text) {
            assert!(
                matches!(status, SignatureStatus::Valid { .. }),
                "{octet:#x}"
            );
        } else {
            let reason = BadSignature::Type;
            assert_eq!(status, SignatureStatus::Bad { reason }, "{octet:#x}");
        }
        members += 1;
    }
    assert_eq!(members, 256);
}

/// A key as it is hashed when something about it is signed (RFC 9580 5.2.4).
fn framed(key: &impl pgp::ser::Serialize) -> Vec<u8> {
    let body = key.to_bytes().unwrap();
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[0x99], &length[..], &body].concat()
}

#[test]
fn attack_06_what_a_key_says_of_itself_is_no_letter() {
    let alice = secret("alice");
    let revoked = alice
        .revoked(RevocationReason::Retired, "", NOW, &mut rng(3))
        .unwrap();
    let key = revoked.packets();
    let primary = framed(key.primary_key.public_key());
    let user = &key.details.users[0];
    let id = user.id.id();
    let length = u32::try_from(id.len()).unwrap().to_be_bytes();
    let subkey = &key.secret_subkeys[0];
    let genuine = [
        (
            &user.signatures[0],
            [&primary, &[0xb4][..], &length, id].concat(),
        ),
        (
            &subkey.signatures[0],
            [&primary[..], &framed(subkey.key.public_key())].concat(),
        ),
        (&key.details.revocation_signatures[0], primary.clone()),
    ];
    for (signature, document) in genuine {
        let config = signature.config().unwrap();
        let digest = digest(config, &document);
        // The mathematics holds: whoever asks for no more than that is deceived.
        let octets = signature.signature().unwrap();
        let proven = key
            .primary_key
            .public_key()
            .verify(config.hash_alg, &digest, octets);
        assert!(proven.is_ok(), "{:?} over its own octets", config.typ);
        let status = judged(signature.clone(), &document, alice.certificate());
        let reason = BadSignature::Type;
        assert_eq!(status, SignatureStatus::Bad { reason });
    }
}

/// alice's signed packets, taken out of her letter to these.
fn signed_packets(intended: &[Certificate]) -> Vec<u8> {
    let alice = secret("alice");
    let key = &alice.packets().primary_key;
    let subpackets = sign::subpackets(key, policy::seconds(NOW), intended).unwrap();
    assert!(matches!(subpackets, SubpacketConfig::UserDefined { .. }));
    let mut builder = MessageBuilder::from_bytes("", DOCUMENT.to_vec());
    builder.sign_with_subpackets(key, Password::empty(), HashAlgorithm::Sha512, subpackets);
    builder.to_vec(rng(1)).unwrap()
}

#[test]
fn attack_07_a_letter_passed_on() {
    let (bob, carol) = (public("bob"), public("carol"));
    for (intended, reader, stands) in [
        (vec![bob.clone()], "bob", true),
        (vec![bob.clone()], "carol", false),
        (vec![bob.clone(), carol.clone()], "carol", true),
        (vec![bob.clone(), public("alice")], "carol", false),
        (vec![carol, bob], "eve", false),
        // Who names nobody has said nothing about whom it is for.
        (vec![], "carol", true),
    ] {
        let message = around(&signed_packets(&intended), reader);
        let opened = decrypt::message(&message, &[secret(reader)], &Limits::default()).unwrap();
        assert_eq!(&*opened.plaintext, DOCUMENT);
        let known = [public("alice")];
        let status = opened
            .signatures
            .judge(&known, Some(&address("alice")), READ_AT);
        if stands {
            assert!(
                matches!(status, SignatureStatus::Valid { .. }),
                "{reader}: {status:?}"
            );
        } else {
            let reason = BadSignature::NotForUs;
            assert_eq!(status, SignatureStatus::Bad { reason }, "{reader}");
        }
    }
    // Every letter of ours names all who are to read it, so none can be passed on.
    let to = [public("bob")];
    let letter = encrypt::message(&to, Some(&secret("alice")), DOCUMENT, NOW, &mut rng(1));
    let opened = decrypt::message(&letter.unwrap(), &[secret("bob")], &Limits::default()).unwrap();
    let elsewhere = opened
        .signatures
        .opened_with(Some(public("eve").fingerprint()));
    let status = elsewhere.judge(&[public("alice")], Some(&address("alice")), later(60));
    let reason = BadSignature::NotForUs;
    assert_eq!(status, SignatureStatus::Bad { reason });
}
