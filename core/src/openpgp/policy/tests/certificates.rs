//! Checks of certificates: bindings, expiry, revocation, key flags, strength.

use pgp::composed::{KeyType, SignedSecretSubKey};
use pgp::packet::{KeyFlags, PubKeyInner, PublicSubkey, RevocationCode, SecretSubkey};
use pgp::types::{KeyVersion, Tag};

use super::*;
use crate::openpgp::encrypt::{self, EncryptError};
use crate::openpgp::pending::{PendingSignature, PendingSignatures};
use crate::openpgp::policy::{CertificateDefect, Unusable};
use crate::openpgp::protection::SignatureStatus;
use crate::openpgp::test_support::{address, expiring_secret, later, rng, secret, secret_numbered};

fn new_subkey(key_type: &KeyType) -> SecretSubkey {
    let (public, private) = key_type.generate(rng(77)).unwrap();
    let inner = PubKeyInner::new(KeyVersion::V4, key_type.to_alg(), at(0), None, public).unwrap();
    SecretSubkey::new(PublicSubkey::from_inner(inner).unwrap(), private).unwrap()
}

/// A certificate of alice's with a signing subkey that her primary key vouches for.
fn with_signing_subkey(back_signed: bool) -> (SignedSecretKey, SecretSubkey) {
    let mut key = packets(&secret("alice"));
    let subkey = new_subkey(&KeyType::Ed25519Legacy);
    let public = key.primary_key.public_key().clone();
    let mut flags = KeyFlags::default();
    flags.set_sign(true);
    let mut binding = config(&key, SignatureType::SubkeyBinding, 0);
    binding
        .hashed_subpackets
        .push(regular(SubpacketData::KeyFlags(flags)));
    if back_signed {
        let back = SignatureConfig {
            hashed_subpackets: vec![created(0)],
            ..SignatureConfig::v4(
                SignatureType::KeyBinding,
                subkey.algorithm(),
                HashAlgorithm::Sha512,
            )
        };
        let back = back
            .sign_primary_key_binding(&subkey, subkey.public_key(), &nothing(), &public)
            .unwrap();
        binding
            .unhashed_subpackets
            .push(regular(SubpacketData::EmbeddedSignature(Box::new(back))));
    }
    let binding = binding
        .sign_subkey_binding(&key.primary_key, &public, &nothing(), subkey.public_key())
        .unwrap();
    key.secret_subkeys
        .push(SignedSecretSubKey::new(subkey.clone(), vec![binding]));
    (key, subkey)
}

#[test]
fn check_11_a_signing_subkey_must_sign_back() {
    for back_signed in [true, false] {
        let (key, subkey) = with_signing_subkey(back_signed);
        let mut config = SignatureConfig::v4(
            SignatureType::Binary,
            subkey.algorithm(),
            HashAlgorithm::Sha512,
        );
        config.hashed_subpackets = vec![
            created(10),
            regular(SubpacketData::IssuerFingerprint(subkey.fingerprint())),
        ];
        let signature = config.sign(&subkey, &nothing(), &b"x"[..]).unwrap();
        let pending = PendingSignatures::new(vec![PendingSignature::new(signature, b"x")], None);
        let status = pending.judge(&[certificate(&key)], Some(&address("alice")), later(60));
        assert_eq!(
            matches!(status, SignatureStatus::Valid { .. }),
            back_signed,
            "{status:?}"
        );
    }
}

#[test]
fn check_12_short_rsa_keys_are_refused() {
    let parsed = |bits| {
        let (public, _) = KeyType::Rsa(bits).generate(rng(5)).unwrap();
        let algorithm = KeyType::Rsa(bits).to_alg();
        PubKeyInner::new(KeyVersion::V4, algorithm, at(0), None, public)
            .and_then(PublicSubkey::from_inner)
            .unwrap()
    };
    assert!(!super::super::algorithm::key_is_strong(&parsed(1024)));
    let (public, _) = KeyType::Dsa(pgp::composed::DsaKeySize::B1024)
        .generate(rng(5))
        .unwrap();
    let algorithm = KeyType::Dsa(pgp::composed::DsaKeySize::B1024).to_alg();
    let dsa = PubKeyInner::new(KeyVersion::V4, algorithm, at(0), None, public)
        .and_then(PublicSubkey::from_inner)
        .unwrap();
    assert!(!super::super::algorithm::key_is_strong(&dsa));
}

#[test]
fn check_17_nobody_encrypts_to_expired_or_revoked_keys() {
    let expiring = expiring_secret("alice", 1000);
    let usable = |secs| expiring.certificate().usable_for_encryption(later(secs));
    assert_eq!(
        (usable(999), usable(1000)),
        (Ok(()), Err(Unusable::Expired))
    );
    assert_eq!(usable(-1000), Err(Unusable::NotYetValid));
    assert_eq!(expiring.certificate().expires_at(NOW), Some(later(1000)));

    let mut key = packets(&secret("alice"));
    let public = key.primary_key.public_key().clone();
    let revocation = config(&key, SignatureType::KeyRevocation, 5)
        .sign_key(&key.primary_key, &nothing(), &public)
        .unwrap();
    key.details.revocation_signatures.push(revocation);
    let revoked = certificate(&key);
    assert_eq!(revoked.usable_for_encryption(NOW), Err(Unusable::Revoked));
    assert!(matches!(
        encrypt::to_recipient(&revoked, b"x", NOW, &mut rng(1)),
        Err(EncryptError::Recipient {
            reason: Unusable::Revoked,
            ..
        })
    ));
}

#[test]
fn check_17_a_revoked_subkey_is_not_encrypted_to() {
    let mut key = packets(&secret("alice"));
    let public = key.primary_key.public_key().clone();
    let mut config = config(&key, SignatureType::SubkeyRevocation, 5);
    let reason = SubpacketData::RevocationReason(RevocationCode::KeyRetired, "".into());
    config.hashed_subpackets.push(regular(reason));
    let subkey = key.secret_subkeys[0].key.public_key().clone();
    let revocation = config
        .sign_subkey_binding(&key.primary_key, &public, &nothing(), &subkey)
        .unwrap();
    key.secret_subkeys[0].signatures.push(revocation);
    let revoked = certificate(&key);
    assert_eq!(revoked.usable_for_encryption(later(4)), Ok(()));
    assert_eq!(
        revoked.usable_for_encryption(later(6)),
        Err(Unusable::Revoked)
    );
}

#[test]
fn check_18_seipd_version_2_only_where_it_is_announced() {
    let bob = secret("bob");
    let sealed = encrypt::to_recipient(bob.certificate(), b"x", NOW, &mut rng(1)).unwrap();
    let container = super::super::container::inspect(&sealed).unwrap();
    assert_eq!(container.aead_cipher, None);
}

#[test]
fn check_19_grafted_subkeys_and_user_ids_are_dropped() {
    let mut key = packets(&secret("alice"));
    let eve = packets(&secret("eve"));
    key.secret_subkeys.insert(0, eve.secret_subkeys[0].clone());
    key.details.users.insert(0, eve.details.users[0].clone());
    let cleaned = certificate(&key);
    assert_eq!(&cleaned, secret("alice").certificate());
    assert_eq!(cleaned.addresses(NOW), [address("alice")]);
}

#[test]
fn check_20_all_recipients_or_nobody() {
    let good = secret("bob").certificate().clone();
    let expired = expiring_secret("carol", 10).certificate().clone();
    let fingerprint = expired.fingerprint();
    assert_eq!(
        encrypt::message(&[good, expired], None, b"x", later(11), &mut rng(1)),
        Err(EncryptError::Recipient {
            fingerprint,
            reason: Unusable::Expired
        })
    );
    assert_eq!(
        encrypt::message(&[], None, b"x", NOW, &mut rng(1)),
        Err(EncryptError::NoRecipients)
    );
}

#[test]
fn check_21_a_third_party_certification_does_no_harm() {
    let mut key = packets(&secret("alice"));
    let eve = packets(&secret("eve"));
    let id = key.details.users[0].id.clone();
    let third_party = config(&eve, SignatureType::CertGeneric, 5)
        .sign_certification_third_party(
            &eve.primary_key,
            &nothing(),
            &key.primary_key.public_key().clone(),
            Tag::UserId,
            &id,
        )
        .unwrap();
    key.details.users[0].signatures.insert(0, third_party);
    assert!(
        key.verify_bindings().is_err(),
        "rPGP's own check stumbles over it"
    );
    let certified = certificate(&key);
    assert_eq!(certified.usable_for_encryption(NOW), Ok(()));
    assert_eq!(certified.addresses(NOW), [address("alice")]);
    assert!(certified.as_bytes().len() > secret("alice").certificate().as_bytes().len());
    // And a third party's word alone makes no user id.
    key.details.users[0].signatures.truncate(1);
    assert_eq!(
        Certificate::from_packets(key.to_public_key()).err(),
        Some(CertificateDefect::NoSelfSignature)
    );
}

#[test]
fn check_22_merging_never_loses_a_revocation() {
    let alice = secret("alice");
    let mut key = packets(&alice);
    let public = key.primary_key.public_key().clone();
    let revocation = config(&key, SignatureType::KeyRevocation, 5)
        .sign_key(&key.primary_key, &nothing(), &public)
        .unwrap();
    key.details.revocation_signatures.push(revocation);
    let revoked = certificate(&key);
    for merged in [
        alice.certificate().merge(&revoked),
        revoked.merge(alice.certificate()),
    ] {
        assert_eq!(merged.usable_for_encryption(NOW), Err(Unusable::Revoked));
    }
    let other = secret_numbered("alice", 3);
    assert_eq!(
        &alice.certificate().merge(other.certificate()),
        alice.certificate()
    );
}

#[test]
fn check_23_certificates_have_limits() {
    let octets = vec![0xc6; super::super::limits::MAX_CERTIFICATE_OCTETS + 1];
    assert!(matches!(
        Certificate::parse(&octets),
        Err(CertificateDefect::TooLarge(_))
    ));
    let mut key = packets(&secret("alice"));
    let signature = key.details.users[0].signatures[0].clone();
    key.details.users[0].signatures = vec![signature; 257];
    assert_eq!(
        Certificate::from_packets(key.to_public_key()).err(),
        Some(CertificateDefect::TooManyParts)
    );
    let mut key = packets(&secret("alice"));
    key.secret_subkeys = vec![key.secret_subkeys[0].clone(); 65];
    assert_eq!(
        Certificate::from_packets(key.to_public_key()).err(),
        Some(CertificateDefect::TooManyParts)
    );
}

#[test]
fn check_24_private_certifications_do_not_travel() {
    let mut key = packets(&secret("alice"));
    let eve = packets(&secret("eve"));
    let id = key.details.users[0].id.clone();
    let mut config = config(&eve, SignatureType::CertGeneric, 5);
    config
        .hashed_subpackets
        .push(regular(SubpacketData::ExportableCertification(false)));
    let private = config
        .sign_certification_third_party(
            &eve.primary_key,
            &nothing(),
            &key.primary_key.public_key().clone(),
            Tag::UserId,
            &id,
        )
        .unwrap();
    key.details.users[0].signatures.push(private);
    assert_eq!(&certificate(&key), secret("alice").certificate());
}

#[test]
fn sha1_self_signatures_count_only_from_long_ago() {
    use super::super::algorithm::hash_serves_self_signature as serves;
    assert!(serves(HashAlgorithm::Sha1, 1_400_000_000));
    assert!(!serves(HashAlgorithm::Sha1, 1_600_000_000));
    assert!(!serves(HashAlgorithm::Md5, 1_000_000_000));
}
