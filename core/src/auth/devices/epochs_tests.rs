//! Key epochs: who gets a new root key, who does not, and what a list of an earlier version becomes.

use ed25519_dalek::Signer as _;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::epochs::SIGNATURE_OCTETS;
use super::*;
use crate::auth::{DeviceKey, RootKeyWrap, SealingSecret, WrapKind, unwrap_root_key};
use crate::id::Address;

const NOW: Timestamp = Timestamp::from_secs(9);

fn keys() -> AccountKeys {
    let root = RootKey::from_octets([5; 32]);
    AccountKeys::derive(AccountId::new([1; 16]), 1, &root)
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(4)
}

fn id(device: u8) -> ReplicaId {
    ReplicaId::new([device; 16])
}

fn secret(device: u8) -> SealingSecret {
    DeviceKey::from_octets([device; 32]).sealing_secret()
}

fn device(number: u8) -> ListedDevice {
    ListedDevice {
        id: id(number),
        key: DeviceKey::from_octets([number; 32]).public_key(),
        added_at: Timestamp::from_secs(7),
        name: format!("device {number}"),
        recipient: Some(Recipient::new(secret(number).public_key())),
    }
}

fn ways() -> Ways {
    Ways {
        password: Some(SealingSecret::derive(b"password", b"test")),
        phrase: Some(SealingSecret::derive(b"phrase", b"test")),
    }
}

/// Three devices, a password and a phrase.
fn three() -> DeviceList {
    let list = DeviceList::first(device(1)).naming(&ways());
    let list = list.with(device(2)).unwrap().unwrap();
    list.with(device(3)).unwrap().unwrap()
}

fn removing(list: &DeviceList, gone: u8, keys: &AccountKeys) -> Removal {
    let mut rng = ChaCha20Rng::seed_from_u64(list.number());
    let removal = list.removing(id(gone), (id(1), NOW), true, keys, &mut rng);
    removal.unwrap().unwrap()
}

fn roots(
    list: &SignedDeviceList,
    keys: &AccountKeys,
    number: u8,
) -> Result<Vec<[u8; 32]>, DeviceListError> {
    let secret = secret(number);
    let roots = list.later_roots(keys, Some((id(number), &secret)), &Ways::default())?;
    Ok(roots.iter().map(|root| *root.octets()).collect())
}

#[test]
fn who_stays_gets_the_new_key_and_who_is_removed_does_not() {
    let own = keys();
    let before = three().sign(&own, &mut rng()).unwrap();
    let removal = removing(before.list(), 3, &own);
    let list = SignedDeviceList::parse(removal.list.octets()).unwrap();
    assert_eq!(list, removal.list);
    assert_eq!((list.list().epoch(), list.list().number()), (2, 4));
    assert_eq!(epoch_of(list.octets()), 2);
    assert_eq!(epoch_of(before.octets()), 1);
    assert!(list.follows(&before) && list.is_by(&own));
    let handover = &list.list().epochs()[0];
    assert_eq!(
        (handover.by, handover.removed, handover.at),
        (id(1), id(3), NOW)
    );
    let new = *removal.root.octets();
    assert_eq!(roots(&list, &own, 1), Ok(vec![new]));
    assert_eq!(roots(&list, &own, 2), Ok(vec![new]));
    for way in [
        Ways {
            phrase: None,
            ..ways()
        },
        Ways {
            password: None,
            ..ways()
        },
    ] {
        let roots = list.later_roots(&own, None, &way).unwrap();
        assert_eq!(*roots[0].octets(), new);
    }
    // The removed one has its own keys, the account's old ones, and everything that is in the list.
    assert_eq!(roots(&list, &own, 3), Err(DeviceListError::NoKeys));
    for other in [1, 2] {
        let with_its_secret =
            list.later_roots(&own, Some((id(other), &secret(3))), &Ways::default());
        assert!(matches!(with_its_secret, Err(DeviceListError::NoKeys)));
    }
    let old = own.roots().remove(0);
    let wrap = RootKeyWrap::from_octets(&handover.previous).unwrap();
    let account = own.account();
    assert!(unwrap_root_key(old.octets(), account, WrapKind::NextEpoch, &wrap).is_err());
    assert!(!list.octets().windows(32).any(|part| part == new));
}

#[test]
fn whoever_was_away_for_several_epochs_gets_them_all() {
    let (own, away) = (keys(), keys());
    let first = removing(&three(), 3, &own);
    own.begin(first.root.clone());
    let joined = first.list.list().with(device(4)).unwrap().unwrap();
    let joined = joined.sign(&own, &mut rng()).unwrap();
    assert!(joined.follows(&first.list));
    assert_eq!(roots(&joined, &away, 4), Ok(vec![*first.root.octets()]));
    let second = removing(joined.list(), 4, &own);
    assert_eq!(second.list.list().epoch(), 3);
    let all = vec![*first.root.octets(), *second.root.octets()];
    assert_eq!(roots(&second.list, &away, 2), Ok(all.clone()));
    assert_eq!(roots(&second.list, &own, 2), Ok(all[1..].to_vec()));
    assert!(second.list.is_by(&away) && second.list.is_by(&own));
    let entered = keys();
    open_epochs(&entered, Some(second.list.octets()), &ways()).unwrap();
    assert_eq!(entered.epoch(), 3);
    // A list of the new epoch is signed by nobody who has only the old keys.
    let forged = second.list.list().sign(&away, &mut rng());
    assert_eq!(forged, Err(DeviceListError::NoKeys));
}

#[test]
fn a_new_password_ends_what_the_old_one_opens() {
    let own = keys();
    let first = removing(&three(), 3, &own);
    own.begin(first.root.clone());
    assert_eq!(first.list.list().with_ways(&ways()), None, "nothing new");
    let new = Ways::password(SealingSecret::derive(b"new", b"test"));
    let next = first.list.list().with_ways(&new).unwrap();
    assert_eq!(next.number(), first.list.list().number() + 1);
    let next = next.sign(&own, &mut rng()).unwrap();
    let old = Ways {
        phrase: None,
        ..ways()
    };
    assert!(next.later_roots(&keys(), None, &old).is_err());
    assert!(next.later_roots(&keys(), None, &new).is_ok());
    let phrase = Ways {
        password: None,
        ..ways()
    };
    assert!(
        next.later_roots(&keys(), None, &phrase).is_ok(),
        "as it was"
    );
}

#[test]
fn a_removal_needs_ways_back_in() {
    let own = keys();
    let bare = DeviceList::first(device(1))
        .with(device(2))
        .unwrap()
        .unwrap();
    let remove = |list: &DeviceList, has_phrase| {
        list.removing(id(2), (id(1), NOW), has_phrase, &own, &mut rng())
    };
    let refused = remove(&bare, false).err();
    assert_eq!(refused, Some(DeviceListError::NoWay(Way::Password)));
    let password = bare.naming(&Ways {
        phrase: None,
        ..ways()
    });
    let refused = remove(&password, true).err();
    assert_eq!(refused, Some(DeviceListError::NoWay(Way::Phrase)));
    assert!(refused.unwrap().to_string().contains("recovery phrase"));
    assert!(remove(&password, false).unwrap().is_some());
    let nobody = password.removing(id(7), (id(1), NOW), false, &own, &mut rng());
    assert!(nobody.unwrap().is_none());
}

#[test]
fn attack_19_a_removed_device_with_a_provider_brings_no_list_to_who_knows_the_epoch() {
    let (own, stolen) = (keys(), keys());
    let before = three().sign(&own, &mut rng()).unwrap();
    let seen = removing(before.list(), 3, &own);
    own.begin(seen.root.clone());
    let seen = seen.list;
    // By the old key, whatever number: of its own epoch, and of a second one that it makes up.
    let mut later = before.list().clone();
    for _ in 0..9 {
        later = later
            .with_ways(&ways())
            .unwrap_or_else(|| later.others(id(77)));
    }
    let old_key = later.sign(&stolen, &mut rng()).unwrap();
    assert!(old_key.list().number() > seen.list().number());
    let made_up = later.removing(
        id(1),
        (id(3), NOW),
        true,
        &stolen,
        &mut ChaCha20Rng::seed_from_u64(9),
    );
    let made_up = made_up.unwrap().unwrap().list;
    assert!(
        made_up.follows(&before),
        "it is a device's to remove another"
    );
    for shown in [&old_key, &made_up] {
        let judged = judge(&own, Some(&seen), Some(shown.octets()));
        assert_eq!(judged, Err(DeviceAlarm::NotSigned(4).into()));
        assert!(!shown.follows(&seen));
        // A program that starts again and has kept its keys alone.
        let judged = judge(&own, None, Some(shown.octets()));
        assert_eq!(judged, Err(DeviceAlarm::NotSigned(0).into()));
    }
    // The new epoch is hidden: the list before it is an older one.
    let hidden = judge(&own, Some(&seen), Some(before.octets()));
    assert_eq!(
        hidden,
        Err(DeviceAlarm::SetBack { seen: 4, shown: 3 }.into())
    );
    // The handover of one list under another's name.
    let mut grafted = made_up.list().clone();
    grafted.epochs = seen.list().epochs.clone();
    assert_eq!(
        grafted.sign(&stolen, &mut rng()),
        Err(DeviceListError::NoKeys)
    );
    // Whom the removed one shows its own epoch to is told who has begun it.
    let to = Address::new("alice@x.example").unwrap();
    let letter = made_up.list().epochs()[0].letter(made_up.list(), &to, NOW);
    let text = String::from_utf8(letter.message).unwrap();
    assert!(
        text.contains("“device 1” was removed from your devices by “device 3”"),
        "{text}"
    );
}

#[test]
fn one_changed_bit_of_a_handover_is_found() {
    let own = keys();
    let list = removing(&three(), 3, &own).list;
    let octets = list.octets();
    // The head, the epoch, and some of what follows.
    for at in (0..420).chain((420..octets.len()).step_by(211)) {
        let mut altered = octets.to_vec();
        altered[at] ^= 4;
        assert!(judge(&own, None, Some(&altered)).is_err(), "octet {at}");
    }
    for length in (0..octets.len()).step_by(97) {
        assert!(SignedDeviceList::parse(&octets[..length]).is_err());
    }
}

#[test]
fn golden_list_of_a_second_epoch() {
    let list = removing(&three(), 3, &keys()).list;
    // 3 devices less one, 2 ways, each with a key and what is sealed to it.
    let epoch = 32 + 8 + 16 + 16 + 8 + 1 + 8 + 110 + 64;
    let device = 16 + 32 + 8 + 1 + 8 + 1 + 1216 + 1168;
    let way = 1 + 1 + 1216 + 1168;
    let head = 1 + 16 + 32 + 8 + 2;
    let expected = head + epoch + 2 + 2 * device + 1 + 2 * way + SIGNATURE_OCTETS;
    assert_eq!(list.octets().len(), expected);
    // The random octets are the tests' own: another hash is another format.
    let hex = format!("{:02x?}", &blake3::hash(list.octets()).as_bytes()[..8]);
    assert_eq!(hex, "[b3, 06, 82, 0a, 51, fc, b7, 42]");
}

#[test]
fn a_list_of_version_1_is_read_and_goes_on() {
    let own = keys();
    let account_key = signing_key(&own.roots()[0]);
    let plain = device(1);
    let mut octets = [
        &[1][..],
        &[1; 16],
        account_key.verifying_key().as_bytes(),
        &[0, 0, 0, 0, 0, 0, 0, 6, 0, 1],
        &[1; 16],
        &plain.key,
        &[0, 0, 0, 0, 0, 0, 0x1b, 0x58],
        &[2, 0xc3, 0xa9],
    ]
    .concat();
    let signature = account_key.sign(&[b"letterlock/auth/1/devices\0", &octets[..]].concat());
    octets.extend_from_slice(&signature.to_bytes());
    let old = judge(&own, None, Some(&octets)).unwrap().unwrap();
    assert_eq!((old.list().number(), old.list().epoch()), (6, 1));
    assert_eq!(old.octets(), octets);
    assert_eq!(epoch_of(&octets), 1);
    let listed = &old.list().devices()[0];
    assert_eq!((&*listed.name, listed.recipient.as_ref()), ("é", None));
    assert!(!old.list().has_way(Way::Password));
    // The device says what is sealed to it, another joins with the password, and one is removed.
    let named = ListedDevice {
        name: "é".to_owned(),
        ..device(1)
    };
    let next = old.list().with(named).unwrap().unwrap();
    assert_eq!(next.devices()[0].added_at, Timestamp::from_secs(7));
    let next = next.with(device(2)).unwrap().unwrap().naming(&ways());
    let next = next.sign(&own, &mut rng()).unwrap();
    assert!(next.follows(&old) && !old.follows(&next));
    let removal = removing(next.list(), 2, &own);
    assert!(removal.list.follows(&next));
    assert_eq!(
        roots(&removal.list, &own, 1),
        Ok(vec![*removal.root.octets()])
    );
}
