//! Keys through their lives.

use pgp::types::{KeyVersion, Tag};

use super::*;
use crate::openpgp::policy::{self, Unusable};
use crate::openpgp::protection::{Cipher, SignatureStatus};
use crate::openpgp::test_support::{NOW, address, later, rng, secret, template};
use crate::openpgp::{decrypt, encrypt, sign};

#[test]
fn a_generated_certificate_is_what_autocrypt_wants() {
    let alice = secret("alice");
    let certificate = alice.certificate();
    let packets: Vec<_> = pgp::packet::PacketParser::new(certificate.as_bytes())
        .map(|packet| pgp::packet::PacketTrait::tag(&packet.unwrap()))
        .collect();
    assert_eq!(
        packets,
        [
            Tag::PublicKey,
            Tag::UserId,
            Tag::Signature,
            Tag::PublicSubkey,
            Tag::Signature
        ]
    );
    let address = Address::new("ALICE@letterlock.example").unwrap();
    assert!(
        certificate.as_bytes().len() < 600,
        "{}",
        certificate.as_bytes().len()
    );
    assert_eq!(
        certificate.to_autocrypt(&address, NOW).unwrap(),
        certificate.to_bytes()
    );
    assert!(certificate.names(&address, NOW));
    assert_eq!(certificate.usable_for_encryption(NOW), Ok(()));
    assert_eq!(certificate.expires_at(later(9_000_000)), None);
    assert_eq!(certificate.created_at(), NOW);
    assert!(certificate.verified().packets().primary_key.version() == KeyVersion::V4);
    assert!(!certificate.verified().reads_seipd_v2(policy::seconds(NOW)));
}

#[test]
fn keys_survive_the_way_through_octets_and_armor() {
    let alice = secret("alice");
    let again = SecretCertificate::parse(&alice.to_bytes(), None).unwrap();
    assert_eq!(again.certificate(), alice.certificate());
    let armored = alice.certificate().to_armor();
    assert_eq!(
        &Certificate::parse(armored.as_bytes()).unwrap(),
        alice.certificate()
    );
    assert!(Certificate::parse(&alice.to_bytes()).is_err());
    assert!(!format!("{alice:?}").contains("letterlock"));
}

#[test]
fn a_passphrase_unlocks_and_a_wrong_one_does_not() {
    let mut locked = secret("alice").secret;
    let password = Password::from("correct horse");
    locked.primary_key.set_password(rng(1), &password).unwrap();
    for subkey in &mut locked.secret_subkeys {
        subkey.key.set_password(rng(2), &password).unwrap();
    }
    let octets = locked.to_bytes().unwrap();
    assert!(SecretCertificate::parse(&octets, Some("correct horse")).is_ok());
    assert!(matches!(
        SecretCertificate::parse(&octets, Some("wrong")),
        Err(SecretCertificateError::Passphrase)
    ));
    assert!(matches!(
        SecretCertificate::parse(&octets, None),
        Err(SecretCertificateError::Locked)
    ));
}

#[test]
fn a_name_cannot_smuggle_another_address() {
    let address = Address::new("a@b.example").unwrap();
    for name in ["x <eve@evil.example>", "a\nb", &"n".repeat(201)] {
        assert!(SecretCertificate::generate(&address, Some(name), NOW, &mut rng(3)).is_err());
    }
    assert!(SecretCertificate::generate(&address, None, NOW, &mut rng(3)).is_ok());
}

fn of_profile(profile: Profile, local: &str) -> SecretCertificate {
    template(profile, local).generate(&mut rng(77)).unwrap()
}

fn expiring(profile: Profile, lifetime: u32) -> SecretCertificate {
    let template = Template {
        lifetime_secs: Some(lifetime),
        ..template(profile, "alice")
    };
    template.generate(&mut rng(78)).unwrap()
}

fn signed_at(
    secret: &SecretCertificate,
    time: Timestamp,
) -> impl Fn(&Certificate) -> SignatureStatus {
    let signature = sign::detached(b"text\r\n", secret, time, &mut rng(5)).unwrap();
    move |certificate| {
        sign::read_detached(b"text\r\n", &signature).judge(
            core::slice::from_ref(certificate),
            Some(&address("alice")),
            later(10_000_000),
        )
    }
}

#[test]
fn keys_of_every_profile_encrypt_and_sign_and_come_back_from_octets() {
    for profile in Profile::ALL {
        let alice = of_profile(profile, "alice");
        let certificate = alice.certificate();
        assert_eq!(
            certificate.usable_for_encryption(NOW),
            Ok(()),
            "{profile:?}"
        );
        assert!(certificate.names(&address("alice"), NOW));
        let again = SecretCertificate::parse(&alice.to_bytes(), None).unwrap();
        assert_eq!(again.certificate(), certificate);

        let both = [certificate.clone()];
        let sealed = encrypt::message(&both, Some(&alice), b"hello", NOW, &mut rng(1)).unwrap();
        let opened = decrypt::message(&sealed, &[again], &decrypt::Limits::default()).unwrap();
        assert_eq!(&*opened.plaintext, b"hello");
        let expected = if profile == Profile::World {
            Cipher::Aes256
        } else {
            Cipher::Aes256Aead
        };
        assert_eq!(opened.cipher, expected);
        let status = opened
            .signatures
            .judge(&both, Some(&address("alice")), later(1));
        assert!(
            matches!(status, SignatureStatus::Valid { .. }),
            "{status:?}"
        );
    }
    let post_quantum = of_profile(Profile::PostQuantum, "alice");
    let size = post_quantum.certificate().as_bytes().len();
    assert!((1_500..2_000).contains(&size), "{size}");
    assert!(matches!(post_quantum.fingerprint(), Fingerprint::V6(_)));
}

#[test]
fn one_reader_of_the_old_kind_brings_all_to_what_it_reads() {
    let old = secret("bob");
    let new = of_profile(Profile::PostQuantum, "alice");
    let both = [old.certificate().clone(), new.certificate().clone()];
    let sealed = encrypt::message(&both, None, b"hello", NOW, &mut rng(1)).unwrap();
    for key in [old, new] {
        let opened = decrypt::message(&sealed, &[key], &decrypt::Limits::default()).unwrap();
        assert_eq!(opened.cipher, Cipher::Aes256);
    }
}

#[test]
fn names_are_not_needed_and_may_be_several() {
    for profile in Profile::ALL {
        let mut several = template(profile, "alice");
        several.user_ids.push("Work <alice@work.example>".into());
        let made = several.generate(&mut rng(3)).unwrap();
        let addresses = made.certificate().addresses(NOW);
        assert_eq!(
            addresses,
            [
                address("alice"),
                Address::new("alice@work.example").unwrap()
            ]
        );
        several.user_ids.clear();
        several.encrypts = false;
        let nameless = several.generate(&mut rng(3)).unwrap();
        assert!(nameless.certificate().user_ids(NOW).is_empty());
        assert_eq!(
            nameless.certificate().usable_for_encryption(NOW),
            Err(Unusable::NoKey)
        );
        assert!(sign::detached(b"x", &nameless, NOW, &mut rng(1)).is_ok());
    }
}

#[test]
fn a_published_certificate_names_one_address() {
    for profile in Profile::ALL {
        let mut several = template(profile, "alice");
        several.user_ids.push("Work <alice@work.example>".into());
        several
            .user_ids
            .push("Alice <ALICE@letterlock.example>".into());
        let made = several.generate(&mut rng(3)).unwrap();
        let certificate = made.certificate();
        let published = certificate.to_published(&address("alice"), NOW).unwrap();
        let published = Certificate::parse(&published).unwrap();
        assert_eq!(published.addresses(NOW).len(), 2);
        assert!(!published.names(&Address::new("alice@work.example").unwrap(), NOW));
        assert_eq!(published.usable_for_encryption(NOW), Ok(()));
        assert_eq!(certificate.to_published(&address("bob"), NOW), None);
    }
}

#[test]
fn a_renewed_key_lives_on_and_keeps_what_it_said() {
    for profile in Profile::ALL {
        let old = expiring(profile, 1000);
        let judge = signed_at(&old, later(10));
        let end = later(1001);
        assert_eq!(
            old.certificate().usable_for_encryption(end),
            Err(Unusable::Expired)
        );
        let renewed = old.renewed(Some(500), end, &mut rng(4)).unwrap();
        let certificate = renewed.certificate();
        assert_eq!(
            certificate.usable_for_encryption(end),
            Ok(()),
            "{profile:?}"
        );
        assert_eq!(certificate.expires_at(end), Some(later(1501)));
        assert_eq!(certificate.expires_at(later(5)), Some(later(1000)));
        assert_eq!(certificate.fingerprint(), old.fingerprint());
        assert_eq!(certificate.user_ids(end), old.certificate().user_ids(NOW));
        let seconds = policy::seconds(end);
        assert_eq!(
            certificate.verified().reads_seipd_v2(seconds),
            profile != Profile::World
        );
        assert!(certificate.verified().reads_aes256(seconds));
        // Others who merge the two have the later end, in whichever order they came.
        let merged = old.certificate().merge(certificate);
        assert_eq!(merged.expires_at(end), Some(later(1501)));
        assert!(matches!(judge(certificate), SignatureStatus::Valid { .. }));
        let endless = renewed.renewed(None, later(1200), &mut rng(5)).unwrap();
        assert_eq!(endless.certificate().expires_at(later(1200)), None);
        assert!(old.renewed(Some(u32::MAX), end, &mut rng(4)).is_err());
        // The five packets of Autocrypt are those of today.
        if profile == Profile::World {
            let five = certificate.to_autocrypt(&address("alice"), end).unwrap();
            let five = Certificate::parse(&five).unwrap();
            assert_eq!(five.usable_for_encryption(end), Ok(()));
        }
    }
}

#[test]
fn a_revoked_key_takes_its_past_with_it_only_if_it_was_compromised() {
    for profile in Profile::ALL {
        let alice = of_profile(profile, "alice");
        let judge = signed_at(&alice, later(10));
        for (reason, past_stands) in [
            (RevocationReason::Unspecified, false),
            (RevocationReason::Compromised, false),
            (RevocationReason::Superseded, true),
            (RevocationReason::Retired, true),
        ] {
            let revoked = alice
                .revoked(reason, "a new laptop", later(100), &mut rng(6))
                .unwrap();
            let certificate = revoked.certificate();
            assert_eq!(
                certificate.usable_for_encryption(later(100)),
                Err(Unusable::Revoked)
            );
            let status = judge(certificate);
            assert_eq!(
                matches!(status, SignatureStatus::Valid { .. }),
                past_stands,
                "{reason:?}: {status:?}"
            );
            assert!(sign::detached(b"x", &revoked, later(100), &mut rng(1)).is_err());
            // No merge brings it to life again, and no renewal does.
            let merged = alice.certificate().merge(certificate);
            assert!(merged.usable_for_encryption(later(101)).is_err());
            let renewed = revoked.renewed(None, later(200), &mut rng(7)).unwrap();
            assert!(
                renewed
                    .certificate()
                    .usable_for_encryption(later(201))
                    .is_err()
            );
        }
        let long = "x".repeat(MAX_EXPLANATION_OCTETS + 1);
        for text in [long.as_str(), "two\nlines"] {
            let refused = alice.revoked(RevocationReason::Retired, text, NOW, &mut rng(6));
            assert!(matches!(refused, Err(SecretCertificateError::Explanation)));
        }
    }
}

#[test]
fn a_successor_is_known_by_the_old_keys_word() {
    for (old, new) in [
        (Profile::World, Profile::PostQuantum),
        (Profile::PostQuantum, Profile::World),
        (Profile::World, Profile::World),
    ] {
        let old = of_profile(old, "alice");
        let new = template(new, "alice").generate(&mut rng(99)).unwrap();
        let alice = address("alice");
        let vouched = old
            .certify(new.certificate(), &alice, later(500), &mut rng(8))
            .unwrap();
        let known = old.certificate();
        assert!(vouched.is_certified_by(known, &alice, later(600)));
        assert!(!new.certificate().is_certified_by(known, &alice, later(600)));
        assert!(!vouched.is_certified_by(secret("eve").certificate(), &alice, later(600)));
        assert!(!vouched.is_certified_by(known, &address("bob"), later(600)));
        // A word of the future, or of a key that may have been in other hands, is none.
        assert!(!vouched.is_certified_by(known, &alice, NOW));
        let compromised = old
            .revoked(RevocationReason::Compromised, "", later(700), &mut rng(9))
            .unwrap();
        assert!(!vouched.is_certified_by(compromised.certificate(), &alice, later(800)));
        let superseded = old
            .revoked(RevocationReason::Superseded, "", later(700), &mut rng(9))
            .unwrap();
        assert!(vouched.is_certified_by(superseded.certificate(), &alice, later(800)));
        assert!(
            old.certify(new.certificate(), &address("bob"), NOW, &mut rng(8))
                .is_err()
        );
        // It travels on with the certificate.
        let again = Certificate::parse(vouched.as_bytes()).unwrap();
        assert!(again.is_certified_by(known, &alice, later(600)));
    }
}

#[test]
fn an_exported_key_opens_with_its_passphrase_alone() {
    for profile in Profile::ALL {
        let alice = of_profile(profile, "alice");
        let open = alice.to_armor(None, &mut rng(1)).unwrap();
        assert_eq!(
            SecretCertificate::parse(open.as_bytes(), None)
                .unwrap()
                .certificate(),
            alice.certificate()
        );
        let locked = alice.to_armor(Some("correct horse"), &mut rng(1)).unwrap();
        assert!(locked.starts_with("-----BEGIN PGP PRIVATE KEY BLOCK-----"));
        let parse = |passphrase| SecretCertificate::parse(locked.as_bytes(), passphrase);
        assert_eq!(
            &*parse(Some("correct horse")).unwrap().to_bytes(),
            &*alice.to_bytes()
        );
        assert!(matches!(parse(None), Err(SecretCertificateError::Locked)));
        assert!(matches!(
            parse(Some("x")),
            Err(SecretCertificateError::Passphrase)
        ));
    }
}
