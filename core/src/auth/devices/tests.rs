//! Lists that come back, and lists that are forged.

use ed25519_dalek::Signature;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::epochs::SIGNATURE_OCTETS;
use super::*;
use crate::auth::DeviceKey;
use crate::auth::wire::DeviceState;
use crate::id::Address;
use crate::seal::RootKey;

fn keys(root: u8) -> AccountKeys {
    let root = RootKey::from_octets([root; 32]);
    AccountKeys::derive(AccountId::new([1; 16]), 1, &root)
}

fn device(id: u8, name: &str) -> ListedDevice {
    let key = DeviceKey::generate(&mut ChaCha20Rng::seed_from_u64(u64::from(id)));
    ListedDevice {
        id: ReplicaId::new([id; 16]),
        key: key.public_key(),
        added_at: Timestamp::from_secs(7),
        name: name.to_owned(),
        recipient: None,
    }
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(99)
}

fn two() -> DeviceList {
    let first = DeviceList::first(device(9, "bridge"));
    first.with(device(3, "Webmail")).unwrap().unwrap()
}

fn alarm(result: Result<Option<SignedDeviceList>, Refused>) -> DeviceAlarm {
    match result {
        Err(Refused::Alarm(alarm)) => alarm,
        other => panic!("no alarm: {other:?}"),
    }
}

#[test]
fn a_list_comes_back_and_grows_by_one() {
    let signed = two().sign(&keys(5), &mut rng()).unwrap();
    let back = SignedDeviceList::parse(signed.octets()).unwrap();
    assert_eq!(back, signed);
    assert!(back.is_by(&keys(5)) && !back.is_by(&keys(6)));
    let list = back.list();
    assert_eq!(list.number(), 2);
    let names: Vec<_> = list.devices().iter().map(|device| &*device.name).collect();
    assert_eq!(names, ["Webmail", "bridge"], "ascending by id");
    // Nothing new is no new list.
    assert_eq!(list.with(device(3, "Webmail")), Ok(None));
    let renamed = ListedDevice {
        added_at: Timestamp::from_secs(99),
        ..device(3, "Firefox")
    };
    let renamed = list.with(renamed).unwrap().unwrap();
    let found = renamed.find(ReplicaId::new([3; 16])).unwrap();
    assert_eq!(
        (&*found.name, found.added_at),
        ("Firefox", Timestamp::from_secs(7))
    );
    let gone = renamed.without(ReplicaId::new([9; 16])).unwrap();
    assert_eq!((gone.number(), gone.devices().len()), (4, 1));
    assert_eq!(gone.without(ReplicaId::new([9; 16])), None);
    assert!(gone.sign(&keys(5), &mut rng()).unwrap().follows(&signed));
    assert!(!signed.follows(&gone.sign(&keys(5), &mut rng()).unwrap()));
    assert!(
        !gone.sign(&keys(6), &mut rng()).unwrap().follows(&signed),
        "another account key"
    );
}

#[test]
fn golden_list() {
    let list = DeviceList::first(ListedDevice {
        key: DeviceKey::from_octets([2; 32]).public_key(),
        ..device(9, "é")
    });
    let octets = list.sign(&keys(5), &mut rng()).unwrap().octets().to_vec();
    let (head, signature) = octets.split_at(octets.len() - SIGNATURE_OCTETS);
    let account_key = signing_key(&keys(5).roots()[0]);
    let expected = [
        &[2][..],
        &[1; 16],
        account_key.verifying_key().as_bytes(),
        &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1],
        &[9; 16],
        &DeviceKey::from_octets([2; 32]).public_key(),
        &[0, 0, 0, 0, 0, 0, 0x1b, 0x58],
        &[2, 0xc3, 0xa9, 0, 0],
    ]
    .concat();
    assert_eq!(head, expected);
    let signature = Signature::from_slice(signature).unwrap();
    let message = [b"letterlock/auth/1/devices\0", head].concat();
    let verified = account_key
        .verifying_key()
        .verify_strict(&message, &signature);
    assert!(verified.is_ok());
}

#[test]
fn a_name_is_cut_at_a_character_and_the_list_has_a_limit() {
    let long = "ä".repeat(MAX_DEVICE_NAME_OCTETS);
    let mut list = DeviceList::first(device(0, &long));
    assert_eq!(list.devices()[0].name.len(), MAX_DEVICE_NAME_OCTETS);
    let full = u8::try_from(MAX_DEVICES).unwrap();
    for id in 1..full {
        list = list.with(device(id, "Webmail")).unwrap().unwrap();
    }
    let new = |name: &str| list.with(device(full, name));
    assert_eq!(new("bridge"), Err(DeviceListError::Full));
    list = new("Webmail").unwrap().unwrap();
    assert!(list.find(ReplicaId::new([1; 16])).is_none());
    assert!(list.find(ReplicaId::new([full; 16])).is_some());
    assert_eq!(list.number(), u64::from(full) + 1);
    assert_eq!(list.devices().len(), MAX_DEVICES);
    assert!(SignedDeviceList::parse(list.sign(&keys(5), &mut rng()).unwrap().octets()).is_ok());
}

#[test]
fn attack_19_a_device_that_was_put_into_the_list_is_seen() {
    let own = keys(5);
    let seen = two().sign(&own, &mut rng()).unwrap();
    // The provider has no account key: its own signs, or none, or the old signature stays.
    let injected = two().with(device(7, "spy")).unwrap().unwrap();
    let by_provider = injected.sign(&keys(66), &mut rng()).unwrap();
    let signed = injected.sign(&own, &mut rng()).unwrap();
    let mut unsigned = signed.octets().to_vec();
    let end = unsigned.len() - SIGNATURE_OCTETS;
    unsigned[end..].fill(0);
    let mut grafted = signed.octets().to_vec();
    let of_seen = seen.octets().len() - SIGNATURE_OCTETS;
    grafted[end..].copy_from_slice(&seen.octets()[of_seen..]);
    for shown in [by_provider.octets(), &unsigned, &grafted, b"\x01"] {
        let found = alarm(judge(&own, Some(&seen), Some(shown)));
        assert_eq!(found, DeviceAlarm::NotSigned(2));
        let found = alarm(judge(&own, None, Some(shown)));
        assert_eq!(
            found,
            DeviceAlarm::NotSigned(0),
            "by a device that has seen none"
        );
    }
    // Of another account of the same root key: nobody has one, and it is none of ours.
    let root = RootKey::from_octets([5; 32]);
    let other = AccountKeys::derive(AccountId::new([2; 16]), 1, &root);
    let foreign = injected.sign(&other, &mut rng()).unwrap();
    let found = alarm(judge(&own, Some(&seen), Some(foreign.octets())));
    assert_eq!(found, DeviceAlarm::NotSigned(2));
    assert_eq!(
        judge(&own, Some(&seen), Some(signed.octets())),
        Ok(Some(signed.clone()))
    );
}

#[test]
fn attack_19_an_older_list_another_one_and_none_are_seen() {
    let own = keys(5);
    let before = two().sign(&own, &mut rng()).unwrap();
    let removed = two().without(ReplicaId::new([3; 16])).unwrap();
    let seen = removed.sign(&own, &mut rng()).unwrap();
    let judged = |shown: Option<&[u8]>| judge(&own, Some(&seen), shown);
    let old = alarm(judged(Some(before.octets())));
    assert_eq!(old, DeviceAlarm::SetBack { seen: 3, shown: 2 });
    let other = two()
        .with(device(4, "phone"))
        .unwrap()
        .unwrap()
        .sign(&own, &mut rng())
        .unwrap();
    assert_eq!(other.list().number(), 3);
    let forked = alarm(judged(Some(other.octets())));
    assert_eq!(forked, DeviceAlarm::Rewritten(3));
    assert_eq!(alarm(judged(None)), DeviceAlarm::Withheld(3));
    assert_eq!(judged(Some(seen.octets())), Ok(Some(seen.clone())));
    assert_eq!(judge(&own, None, None), Ok(None));
    // What a later program writes is no alarm.
    let newer = [&[3], &seen.octets()[1..]].concat();
    let newer = judge(&own, Some(&seen), Some(&newer));
    assert_eq!(newer, Err(Refused::List(DeviceListError::Newer(3))));
}

#[test]
fn attack_19_a_stranger_is_shown_as_one_and_told_once() {
    let state = |id: u8, name: &str, seen| DeviceState {
        id: ReplicaId::new([id; 16]),
        name: name.to_owned(),
        since: Timestamp::from_secs(1),
        last_seen: Timestamp::from_secs(seen),
        current: id == 9,
    };
    let told = [state(7, "Webmail", 9), state(9, "whatever", 5)];
    let all = shown(Some(&two()), &told);
    let brief: Vec<_> = all
        .iter()
        .map(|device| (&*device.name, device.standing, device.current))
        .collect();
    assert_eq!(
        brief,
        [
            ("bridge", Standing::Listed, true),
            ("Webmail", Standing::LoggedOut, false),
            ("Webmail", Standing::Stranger, false),
        ]
    );
    let none = shown(None, &told);
    assert!(
        none.iter()
            .all(|device| device.standing == Standing::Listed)
    );
    let stranger = |name: &str| DeviceAlarm::Stranger {
        id: ReplicaId::new([7; 16]),
        name: name.to_owned(),
    };
    let (to, now) = (
        Address::new("alice@x.example").unwrap(),
        Timestamp::from_secs(1),
    );
    let letter = stranger("spy\r\nBcc: x").letter(&to, now);
    let text = String::from_utf8(letter.message).unwrap();
    assert!(text.contains("“spyBcc: x” (07070707)"), "{text}");
    assert_eq!(letter.digest, stranger("other").letter(&to, now).digest);
    let other = DeviceAlarm::Withheld(3).letter(&to, now);
    assert_ne!(letter.digest, other.digest);
}

proptest! {
    #[test]
    fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(SignedDeviceList::parse(&octets).is_err());
        let with_version = [&[LIST_VERSION], &octets[..]].concat();
        prop_assert!(SignedDeviceList::parse(&with_version).is_err());
    }

    #[test]
    fn one_changed_bit_is_found(at in 0_usize..10_000, bit in 0_u8..8) {
        let signed = two().sign(&keys(5), &mut rng()).unwrap();
        let mut octets = signed.octets().to_vec();
        let at = at % octets.len();
        octets[at] ^= 1 << bit;
        let judged = judge(&keys(5), Some(&signed), Some(&octets));
        prop_assert!(judged.is_err(), "octet {}", at);
    }
}
