//! Checks of signatures over documents.

use pgp::composed::KeyType;
use pgp::packet::{
    Notation, PubKeyInner, PublicKey, RevocationCode, SecretKey, Signature,
    SignatureVersionSpecific,
};
use pgp::types::{Duration, KeyVersion, SigningKey};

use super::*;
use crate::id::Timestamp;
use crate::openpgp::pending::{PendingSignature, PendingSignatures};
use crate::openpgp::policy::signature::digest;
use crate::openpgp::protection::{BadSignature, SignatureStatus};
use crate::openpgp::test_support::{address, expiring_secret, later, rng, secret};

const DOCUMENT: &[u8] = b"a document\r\n";

/// A signature as the configuration wants it, though rPGP would refuse to make it: over the right
/// digest if there is one.
fn signed(config: SignatureConfig, key: &SignedSecretKey) -> Signature {
    let sign = |digest: &[u8]| {
        key.primary_key
            .sign(&nothing(), HashAlgorithm::Sha512, digest)
            .unwrap()
    };
    let draft = Signature::from_config(config.clone(), [0, 0], sign(&[0; 64])).unwrap();
    match digest(&draft, DOCUMENT) {
        Some(digest) if config.hash_alg == HashAlgorithm::Sha512 => {
            Signature::from_config(config, [digest[0], digest[1]], sign(&digest)).unwrap()
        }
        Some(_) => config.sign(&key.primary_key, &nothing(), DOCUMENT).unwrap(),
        None => draft,
    }
}

/// A certificate of alice's with an RSA key: only such a key can sign a weak hash here.
fn rsa_packets() -> SignedSecretKey {
    let key_type = KeyType::Rsa(2048);
    let (public, private) = key_type.generate(rng(9)).unwrap();
    let inner = PubKeyInner::new(KeyVersion::V4, key_type.to_alg(), at(0), None, public).unwrap();
    let primary = SecretKey::new(PublicKey::from_inner(inner).unwrap(), private).unwrap();
    let mut key = packets(&secret("alice"));
    key.primary_key = primary;
    key.secret_subkeys.clear();
    let mut flags = pgp::packet::KeyFlags::default();
    flags.set_sign(true);
    let mut config = config(&key, SignatureType::CertPositive, 0);
    config
        .hashed_subpackets
        .push(regular(SubpacketData::KeyFlags(flags)));
    let id = key.details.users[0].id.clone();
    let public = key.primary_key.public_key().clone();
    let own = config
        .sign_certification(
            &key.primary_key,
            &public,
            &nothing(),
            pgp::types::Tag::UserId,
            &id,
        )
        .unwrap();
    key.details.users[0].signatures = vec![own];
    key
}

fn judged(
    signatures: Vec<Signature>,
    certificate: &Certificate,
    now: Timestamp,
) -> SignatureStatus {
    let pending = signatures
        .into_iter()
        .map(|signature| PendingSignature::new(signature, DOCUMENT))
        .collect();
    PendingSignatures::new(pending, None).judge(
        core::slice::from_ref(certificate),
        Some(&address("alice")),
        now,
    )
}

/// What becomes of alice's signature over the document, made as `change` wishes.
fn verdict(change: impl FnOnce(&mut SignatureConfig)) -> SignatureStatus {
    let alice = secret("alice");
    let key = packets(&alice);
    let mut config = config(&key, SignatureType::Binary, 10);
    change(&mut config);
    judged(vec![signed(config, &key)], alice.certificate(), later(60))
}

fn valid() -> SignatureStatus {
    SignatureStatus::Valid {
        fingerprint: secret("alice").fingerprint(),
        address: address("alice"),
    }
}

fn bad(reason: BadSignature) -> SignatureStatus {
    SignatureStatus::Bad { reason }
}

#[test]
fn check_00_an_ordinary_signature_is_valid() {
    assert_eq!(verdict(|_| ()), valid());
    assert_eq!(verdict(|config| config.typ = SignatureType::Text), valid());
}

#[test]
fn check_01_every_signature_is_judged() {
    let (alice, eve) = (secret("alice"), secret("eve"));
    let of = |secret: &SecretCertificate| {
        let key = packets(secret);
        signed(config(&key, SignatureType::Binary, 10), &key)
    };
    let both = vec![of(&eve), of(&alice)];
    assert_eq!(judged(both, alice.certificate(), later(60)), valid());
}

#[test]
fn check_02_only_document_signatures_count() {
    for kind in [SignatureType::Standalone, SignatureType::Timestamp] {
        assert_eq!(verdict(|config| config.typ = kind), bad(BadSignature::Type));
    }
    // A genuine certification, replayed over the octets that it was made over.
    let alice = secret("alice");
    let key = packets(&alice);
    let genuine = key.details.users[0].signatures[0].clone();
    assert_eq!(
        judged(vec![genuine], alice.certificate(), later(60)),
        bad(BadSignature::Type)
    );
}

#[test]
fn check_03_versions_of_key_and_signature_belong_together() {
    let status = verdict(|config| {
        config.version_specific = SignatureVersionSpecific::V6 { salt: vec![7; 32] };
    });
    assert_eq!(status, bad(BadSignature::Malformed));
}

#[test]
fn check_04_a_foreign_issuer_hint_is_fatal() {
    let eve = secret("eve").fingerprint().to_pgp();
    let status = verdict(|config| {
        config
            .hashed_subpackets
            .push(regular(SubpacketData::IssuerFingerprint(eve)));
    });
    assert_eq!(status, bad(BadSignature::Issuer));
}

#[test]
fn check_05_weak_hashes_mean_nothing() {
    let key = rsa_packets();
    let rsa = certificate(&key);
    for (hash, strong) in [
        (HashAlgorithm::Sha256, true),
        (HashAlgorithm::Sha1, false),
        (HashAlgorithm::Ripemd160, false),
        (HashAlgorithm::Md5, false),
    ] {
        let mut config = config(&key, SignatureType::Binary, 10);
        config.hash_alg = hash;
        let status = judged(vec![signed(config, &key)], &rsa, later(60));
        let fingerprint = rsa.fingerprint();
        let expected = if strong {
            SignatureStatus::Valid {
                fingerprint,
                address: address("alice"),
            }
        } else {
            SignatureStatus::Weak { fingerprint }
        };
        assert_eq!(status, expected, "{hash}");
    }
}

#[test]
fn check_06_times_must_fit() {
    let time = |offset: i64| verdict(|config| config.hashed_subpackets[0] = created(offset));
    assert_eq!(time(60 + 299), valid());
    assert_eq!(time(60 + 301), bad(BadSignature::Time));
    assert_eq!(time(-1), bad(BadSignature::Time));
    let without = verdict(|config| {
        config.hashed_subpackets.remove(0);
    });
    assert_eq!(without, bad(BadSignature::Time));
}

#[test]
fn check_07_signatures_expire() {
    let lifetime = |secs| {
        verdict(|config| {
            let lifetime = SubpacketData::SignatureExpirationTime(Duration::from_secs(secs));
            config.hashed_subpackets.push(regular(lifetime));
        })
    };
    assert_eq!(lifetime(0), valid());
    assert_eq!(lifetime(51), valid());
    assert!(matches!(lifetime(50), SignatureStatus::Expired { .. }));
}

#[test]
fn check_08_unknown_criticals_are_fatal() {
    let notation = SubpacketData::Notation(Notation {
        readable: true,
        name: "x@letterlock.example".into(),
        value: "y".into(),
    });
    let unknown = SubpacketData::Other(99, "y".into());
    for data in [notation, unknown] {
        let critical = Subpacket::critical(data.clone()).unwrap();
        let status = verdict(|config| config.hashed_subpackets.push(critical));
        assert_eq!(status, bad(BadSignature::Critical));
        assert_eq!(
            verdict(|config| config.hashed_subpackets.push(regular(data))),
            valid()
        );
    }
}

#[test]
fn check_09_the_unhashed_area_proves_nothing() {
    let status = verdict(|config| {
        config.unhashed_subpackets = vec![config.hashed_subpackets.remove(0)];
    });
    assert_eq!(status, bad(BadSignature::Time));
}

#[test]
fn check_10_the_primary_key_must_be_valid_when_it_signs() {
    let expiring = expiring_secret("alice", 1000);
    let key = packets(&expiring);
    let made = |offset| signed(config(&key, SignatureType::Binary, offset), &key);
    let judge = |signature| judged(vec![signature], expiring.certificate(), later(5000));
    assert!(matches!(judge(made(999)), SignatureStatus::Valid { .. }));
    assert!(matches!(judge(made(1000)), SignatureStatus::Expired { .. }));

    for (code, before) in [
        (RevocationCode::KeyRetired, valid()),
        (RevocationCode::KeyCompromised, bad(BadSignature::Revoked)),
    ] {
        let mut key = packets(&secret("alice"));
        let mut config = config(&key, SignatureType::KeyRevocation, 500);
        let reason = SubpacketData::RevocationReason(code, "".into());
        config.hashed_subpackets.push(regular(reason));
        let public = key.primary_key.public_key().clone();
        let revocation = config
            .sign_key(&key.primary_key, &nothing(), &public)
            .unwrap();
        key.details.revocation_signatures.push(revocation);
        let certificate = certificate(&key);
        let made = |offset| signed(super::config(&key, SignatureType::Binary, offset), &key);
        let judge = |signature| judged(vec![signature], &certificate, later(5000));
        assert_eq!(judge(made(499)), before);
        assert_eq!(judge(made(501)), bad(BadSignature::Revoked));
    }
}

#[test]
fn check_10_a_key_without_the_flag_may_not_sign() {
    let mut key = packets(&secret("alice"));
    let id = key.details.users[0].id.clone();
    let mut flags = pgp::packet::KeyFlags::default();
    flags.set_certify(true);
    let mut config = config(&key, SignatureType::CertPositive, 5);
    config
        .hashed_subpackets
        .push(regular(SubpacketData::KeyFlags(flags)));
    let public = key.primary_key.public_key().clone();
    let newer = config
        .sign_certification(
            &key.primary_key,
            &public,
            &nothing(),
            pgp::types::Tag::UserId,
            &id,
        )
        .unwrap();
    key.details.users[0].signatures.push(newer);
    let signature = signed(super::config(&key, SignatureType::Binary, 10), &key);
    let status = judged(vec![signature], &certificate(&key), later(60));
    assert_eq!(status, bad(BadSignature::Key));
}

#[test]
fn check_13_the_certificate_must_name_the_author() {
    let eve = secret("eve");
    let key = packets(&eve);
    let signature = signed(config(&key, SignatureType::Binary, 10), &key);
    assert_eq!(
        judged(vec![signature], eve.certificate(), later(60)),
        SignatureStatus::WrongSender {
            fingerprint: eve.fingerprint(),
            address: Some(address("eve")),
        }
    );
}

#[test]
fn an_unknown_key_is_told_from_a_bad_signature() {
    let eve = secret("eve");
    let key = packets(&eve);
    let signature = signed(config(&key, SignatureType::Binary, 10), &key);
    let status = judged(vec![signature], secret("alice").certificate(), later(60));
    assert!(matches!(
        status,
        SignatureStatus::UnknownKey { issuer: Some(_) }
    ));
}
