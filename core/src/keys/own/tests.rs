//! An account's keys through the years, on one device and on several.

use proptest::prelude::*;

use super::*;
use crate::keys::published::{Published, Right};
use crate::keys::{Contact, Decision, Level, Offer, keyring};
use crate::openpgp::decrypt::{self, Limits};
use crate::openpgp::encrypt;
use crate::openpgp::test_support::{NOW, address, expiring_secret, later, rng, secret};

const YEAR: i64 = 365 * 24 * 60 * 60;

fn bob() -> Address {
    address("bob")
}

fn generated(seed: u64) -> OwnKeys {
    OwnKeys::generate(&bob(), NOW, &mut rng(seed)).unwrap()
}

fn with(keys: &OwnKeys, more: Vec<SecretCertificate>) -> OwnKeys {
    OwnKeys::gather(keys.iter().cloned().chain(more))
}

fn in_use(keys: &OwnKeys, role: Role, at: Timestamp) -> &SecretCertificate {
    keys.in_use(role, &bob(), at).unwrap()
}

fn fingerprints(keys: &OwnKeys, at: Timestamp) -> [Fingerprint; 2] {
    Role::ALL.map(|role| in_use(keys, role, at).fingerprint())
}

#[test]
fn a_new_account_has_both_with_an_end_and_the_ones_word_for_the_other() {
    let keys = generated(1);
    let [world, sealing] = Role::ALL.map(|role| in_use(&keys, role, NOW).certificate().clone());
    for certificate in [&world, &sealing] {
        let end = certificate.expires_at(NOW).unwrap();
        assert_eq!(end, later(i64::from(LIFETIME_SECS)));
        assert!(certificate.names(&bob(), NOW));
    }
    assert!(sealing.is_certified_by(&world, &bob(), NOW));
    assert_eq!(world.to_autocrypt(&bob(), NOW).unwrap(), world.to_bytes());
    assert_eq!(keys.published(&bob(), NOW), [world, sealing]);
    assert!(keys.upkeep(&bob(), NOW, &mut rng(2)).unwrap().is_empty());
}

#[test]
fn keys_are_renewed_within_the_window_and_not_before() {
    let keys = generated(1);
    let window = i64::from(LIFETIME_SECS) - RENEW_BEFORE_SECS;
    let upkeep = |at| keys.upkeep(&bob(), at, &mut rng(2)).unwrap();
    assert!(upkeep(later(window - 60)).is_empty());
    for at in [window, window + YEAR / 2, window + 3 * YEAR] {
        let made = upkeep(later(at));
        assert_eq!(made.len(), 2, "{at}");
        let renewed = with(&keys, made);
        assert_eq!(renewed.len(), 2);
        assert_eq!(fingerprints(&renewed, later(at)), fingerprints(&keys, NOW));
        for role in Role::ALL {
            let certificate = in_use(&renewed, role, later(at)).certificate().clone();
            assert_eq!(certificate.usable_for_encryption(later(at)), Ok(()));
            let end = later(at + i64::from(LIFETIME_SECS));
            assert_eq!(certificate.expires_at(later(at)), Some(end));
        }
        let again = renewed.upkeep(&bob(), later(at), &mut rng(3)).unwrap();
        assert!(again.is_empty(), "{at}");
        // What was published takes the renewal in, and the sealing key has its word still.
        let entry = Published::default();
        let first = entry.with(&keys.published(&bob(), NOW), &bob(), Right::Owner, NOW);
        let renewed = renewed.published(&bob(), later(at));
        let entry = first
            .unwrap()
            .with(&renewed, &bob(), Right::LogIn, later(at));
        assert_eq!(entry.unwrap().certificates(), renewed);
    }
}

#[test]
fn an_older_account_gets_what_it_lacks() {
    let old = OwnKeys::gather([secret("bob")]);
    let made = old.upkeep(&bob(), later(9), &mut rng(1)).unwrap();
    let keys = with(&old, made);
    let world = in_use(&keys, Role::World, later(9));
    assert_eq!(world.fingerprint(), secret("bob").fingerprint());
    // It had no end before.
    assert!(world.certificate().expires_at(later(9)).is_some());
    let sealing = in_use(&keys, Role::Sealing, later(9)).certificate();
    assert!(sealing.is_certified_by(world.certificate(), &bob(), later(9)));
    // The directory had the first alone, and takes the second by its word.
    let entry = Published::parse(secret("bob").certificate().as_bytes());
    let offered = keys.published(&bob(), later(9));
    let entry = entry.with(&offered, &bob(), Right::LogIn, later(9));
    assert_eq!(entry.unwrap().certificates().len(), 2);
}

#[test]
fn a_successor_is_signed_by_the_old_key_whatever_the_reason() {
    for (reason, heard) in [
        (RevocationReason::Superseded, true),
        (RevocationReason::Retired, true),
        (RevocationReason::Compromised, false),
        (RevocationReason::Unspecified, false),
    ] {
        let keys = generated(1);
        let entry = Published::default();
        let first = keys.published(&bob(), NOW);
        let entry = entry.with(&first, &bob(), Right::Owner, NOW).unwrap();
        for role in Role::ALL {
            let at = later(100);
            let old = in_use(&keys, role, NOW);
            let wanted = old.fingerprint();
            let why = (reason, "because");
            let made = keys.replace(wanted, why, &bob(), at, &mut rng(4)).unwrap();
            let next = with(&keys, made);
            let successor = in_use(&next, role, at);
            assert_ne!(successor.fingerprint(), wanted);
            let vouched =
                |by: &Certificate| successor.certificate().is_certified_by(by, &bob(), at);
            assert!(vouched(old.certificate()));
            let revoked = next.iter().find(|key| key.fingerprint() == wanted).unwrap();
            assert_eq!(vouched(revoked.certificate()), heard, "{reason:?}");
            let state = revoked.certificate().usable_for_encryption(at);
            assert_eq!(state, Err(Unusable::Revoked));
            // The pair stands, in the directory too.
            let pair = Role::ALL.map(|role| in_use(&next, role, at).certificate().clone());
            assert!(pair[1].is_certified_by(&pair[0], &bob(), at));
            let offered = next.published(&bob(), at);
            assert_eq!(offered.len(), 3);
            let entry = entry.with(&offered, &bob(), Right::LogIn, at).unwrap();
            assert_eq!(entry.certificates()[..2], pair);
            // Old mail still opens.
            let sealed = encrypt::to_recipient(old.certificate(), b"old", NOW, &mut rng(5));
            let opened = decrypt::message(&sealed.unwrap(), &next, &Limits::default());
            assert_eq!(opened.unwrap().encrypted_to, wanted);
            let again = next.replace(wanted, why, &bob(), at, &mut rng(6));
            assert!(matches!(again, Err(OwnKeyError::Revoked(_))));
        }
    }
}

#[test]
fn correspondents_follow_a_rotation() {
    let keys = generated(1);
    let known = Contact {
        encrypted_to: true,
        verified_from: true,
        ..contact(in_use(&keys, Role::World, NOW).certificate())
    };
    let old = in_use(&keys, Role::World, NOW).fingerprint();
    let why = (RevocationReason::Superseded, "");
    let made = keys
        .replace(old, why, &bob(), later(50), &mut rng(2))
        .unwrap();
    let next = with(&keys, made);
    let new = in_use(&next, Role::World, later(60)).certificate().clone();
    let Decision::Store(followed) = keyring::consider(Some(&known), &offer(&new), later(60)) else {
        panic!("the old key's word is enough");
    };
    assert_eq!(followed.parse_certificate(), Some(new));
    assert_eq!(followed.level, Level::KnownKey);
}

fn offer(certificate: &Certificate) -> Offer {
    Offer {
        address: bob(),
        certificate: certificate.clone(),
        level: Level::WeakChain,
        seen_at: NOW,
        prefers_encryption: false,
    }
}

fn contact(certificate: &Certificate) -> Contact {
    match keyring::consider(None, &offer(certificate), NOW) {
        Decision::Store(contact) => *contact,
        Decision::Keep(reason) => panic!("{reason:?}"),
    }
}

#[test]
fn imported_keys_open_old_mail_or_come_into_use() {
    let keys = generated(1);
    let older = expiring_secret("bob", 1000);
    let now = later(5000);
    let import = |wanted| {
        let made = keys.import(&older, wanted, &bob(), now, &mut rng(3));
        with(&keys, made.unwrap())
    };
    let kept = import(Use::IfNewest);
    assert_eq!(fingerprints(&kept, now), fingerprints(&keys, NOW));
    let sealed = encrypt::to_recipient(older.certificate(), b"old", NOW, &mut rng(5)).unwrap();
    assert!(decrypt::message(&sealed, &kept, &Limits::default()).is_ok());
    assert_eq!(kept.published(&bob(), now).len(), 2);

    // It had expired; it is renewed, the one in use names it its successor and ends.
    let used = import(Use::InUse);
    let world = in_use(&used, Role::World, now);
    assert_eq!(world.fingerprint(), older.fingerprint());
    assert_eq!(world.certificate().usable_for_encryption(now), Ok(()));
    let before = in_use(&keys, Role::World, NOW);
    let vouched = world.certificate();
    assert!(vouched.is_certified_by(before.certificate(), &bob(), now));
    let entry = Published::default();
    let first = entry.with(&keys.published(&bob(), NOW), &bob(), Right::Owner, NOW);
    let entry = first.unwrap();
    let offered = used.published(&bob(), now);
    let entry = entry.with(&offered, &bob(), Right::LogIn, now).unwrap();
    assert_eq!(&entry.certificates()[0], world.certificate());
    assert!(used.upkeep(&bob(), now, &mut rng(4)).unwrap().is_empty());

    let foreign = keys.import(&secret("eve"), Use::InUse, &bob(), now, &mut rng(6));
    assert!(matches!(foreign, Err(OwnKeyError::Unusable { .. })));
    let kept = keys.import(&secret("eve"), Use::IfNewest, &bob(), now, &mut rng(6));
    let kept = with(&keys, kept.unwrap());
    assert_eq!((kept.len(), kept.published(&bob(), now).len()), (3, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Devices that keep the keys up, replace and renew them apart, and hear of each other's
    /// documents late and in any order, agree when all is there, and then leave it so.
    #[test]
    fn devices_agree_whatever_they_do_apart(
        start_old in any::<bool>(),
        steps in proptest::collection::vec((0..3_usize, 0..5_usize, 1..400_i64), 1..10),
        order in any::<u64>(),
    ) {
        let first = if start_old {
            OwnKeys::gather([secret("bob")])
        } else {
            generated(1)
        };
        let mut documents: Vec<Vec<SecretCertificate>> = vec![first.to_vec(); 3];
        let mut now = 0;
        for (number, (device, what, days)) in steps.into_iter().enumerate() {
            now += days * 24 * 60 * 60;
            let mut rng = rng(100 + u64::try_from(number).unwrap());
            let keys = OwnKeys::gather(documents[device].iter().cloned());
            let made = match what {
                0 => {
                    let all = documents.concat();
                    documents[device] = all;
                    vec![]
                }
                1 => match keys.in_use(Role::World, &bob(), later(now)) {
                    Some(key) => {
                        let why = (RevocationReason::Superseded, "");
                        let old = key.fingerprint();
                        keys.replace(old, why, &bob(), later(now), &mut rng).unwrap()
                    }
                    None => vec![],
                },
                _ => keys.upkeep(&bob(), later(now), &mut rng).unwrap(),
            };
            documents[device].extend(made);
        }
        let mut all = documents.concat();
        let once = OwnKeys::gather(all.iter().cloned());
        let turn = usize::try_from(order % u64::try_from(all.len()).unwrap()).unwrap();
        all.rotate_left(turn);
        all.extend(documents[0].iter().cloned());
        let again = OwnKeys::gather(all.iter().cloned());
        let octets = |keys: &OwnKeys| keys.iter().map(SecretCertificate::to_bytes).collect::<Vec<_>>();
        prop_assert_eq!(octets(&once), octets(&again));
        // One more look, and nothing is left to do.
        let made = once.upkeep(&bob(), later(now + 10), &mut rng(7)).unwrap();
        let settled = OwnKeys::gather(once.iter().cloned().chain(made));
        let more = settled.upkeep(&bob(), later(now + 20), &mut rng(8)).unwrap();
        prop_assert!(more.is_empty());
        for role in Role::ALL {
            let key = settled.in_use(role, &bob(), later(now + 20)).unwrap();
            prop_assert_eq!(key.certificate().usable_for_encryption(later(now + 20)), Ok(()));
        }
    }
}
