//! Key epochs between the devices of one account, and with a list from before there were any.

use ed25519_dalek::{Signer as _, SigningKey};
use futures::executor::block_on;

use super::tests::{NOW, account, device, device_of, warnings};
use super::*;
use crate::auth::{SealingSecret, Way};
use crate::store::MemoryStore;

fn password() -> Ways {
    Ways::password(SealingSecret::derive(b"password", b"test"))
}

/// Three devices that have joined with the password, and their list.
async fn three() -> ([Account<MemoryStore>; 3], SignedDeviceList) {
    let devices = [account(1).await, account(2).await, account(3).await];
    let mut list: Option<SignedDeviceList> = None;
    for (device, name) in devices.iter().zip(["bridge", "phone", "stolen"]) {
        let own = device_of(device, name);
        let shown = list.as_ref().map(SignedDeviceList::octets);
        let joined = device.join_devices(shown, &own, &password(), NOW).await;
        list = joined.unwrap();
        device
            .keep_device_list(list.as_ref().unwrap(), NOW)
            .await
            .unwrap();
    }
    (devices, list.unwrap())
}

#[test]
fn those_who_stay_begin_the_epoch_by_themselves_and_are_told_once() {
    block_on(async {
        let ([one, two, stolen], list) = Box::pin(three()).await;
        assert_eq!(list.list().number(), 3, "one number for each change");
        let removal = one
            .remove_device(Some(list.octets()), stolen.id(), false, NOW)
            .await;
        let removal = removal.unwrap().unwrap();
        let put = removal.list.clone();
        // Nothing has begun before the provider has taken it.
        assert_eq!(one.keys().epoch(), 1);
        one.device_removed(removal, NOW).await.unwrap();
        for _ in 0..2 {
            for device in [&one, &two] {
                let check = device.check_devices(Some(put.octets()), &[], NOW).await;
                assert_eq!(check.unwrap(), DevicesCheck::default());
                assert_eq!(device.keys().epoch(), 2);
            }
        }
        let newest = |device: &Account<MemoryStore>| *device.keys().roots()[1].octets();
        assert_eq!(newest(&one), newest(&two));
        assert_eq!((warnings(&one), warnings(&two)), (0, 1));
        // The removed one is none of them, and signs no list that they take.
        assert!(stolen.lacks_keys(Some(put.octets()), NOW).await.unwrap());
        assert_eq!(stolen.keys().epoch(), 1);
        let (own, nothing) = (device(3, "stolen"), Ways::default());
        let back = stolen.join_devices(None, &own, &nothing, NOW).await;
        let back = back.unwrap().unwrap();
        let check = two
            .check_devices(Some(back.octets()), &[], NOW)
            .await
            .unwrap();
        assert_eq!(check.alarm, Some(DeviceAlarm::NotSigned(4)));
        // Nor is the new epoch hidden from them.
        let check = two
            .check_devices(Some(list.octets()), &[], NOW)
            .await
            .unwrap();
        let set_back = DeviceAlarm::SetBack { seen: 4, shown: 3 };
        assert_eq!(
            (check.alarm, check.offer),
            (Some(set_back), Some(put.clone()))
        );
        // Whoever knows the password is a device again, in the new epoch.
        let new = account(9).await;
        let own = device_of(&new, "laptop");
        let joined = new
            .join_devices(Some(put.octets()), &own, &password(), NOW)
            .await;
        let joined = joined.unwrap().unwrap();
        assert_eq!((new.keys().epoch(), joined.list().epoch()), (2, 2));
        assert!(joined.follows(&put));
        let check = two
            .check_devices(Some(joined.octets()), &[], NOW)
            .await
            .unwrap();
        assert_eq!(check, DevicesCheck::default());
        let nothing = account(8).await;
        let own = device_of(&nothing, "spy");
        let refused = nothing
            .join_devices(Some(put.octets()), &own, &Ways::default(), NOW)
            .await;
        assert!(matches!(
            refused,
            Err(DevicesError::List(DeviceListError::NoKeys))
        ));
    });
}

#[test]
fn an_account_from_before_key_epochs_goes_on() {
    block_on(async {
        let (one, two) = (account(1).await, account(2).await);
        let list = list_of_version_1(&[&one, &two]).await;
        // Each device says what is sealed to it, without being asked.
        let check = one.check_devices(Some(&list), &[], NOW).await.unwrap();
        assert_eq!(check.alarm, None);
        let named = check.offer.unwrap();
        assert_eq!(named.list().number(), 8);
        let check = two
            .check_devices(Some(named.octets()), &[], NOW)
            .await
            .unwrap();
        let named = check.offer.unwrap();
        for device in [&one, &two] {
            let check = device.check_devices(Some(named.octets()), &[], NOW).await;
            assert_eq!(check.unwrap(), DevicesCheck::default());
        }
        assert!(
            named
                .list()
                .devices()
                .iter()
                .all(|device| device.recipient.is_some())
        );
        // A removal waits for the password, and a phrase that was made before is told of.
        let remove = async |list: &SignedDeviceList, has_phrase| {
            let removed = one
                .remove_device(Some(list.octets()), two.id(), has_phrase, NOW)
                .await;
            removed.map(Option::unwrap)
        };
        let refused = remove(&named, false).await.err();
        let is_way = |error: &Option<DevicesError>, way| matches!(error, Some(DevicesError::List(DeviceListError::NoWay(one))) if *one == way);
        assert!(is_way(&refused, Way::Password), "{refused:?}");
        let own = device_of(&one, "bridge 1");
        let joined = one
            .join_devices(Some(named.octets()), &own, &password(), NOW)
            .await;
        let joined = joined.unwrap().unwrap();
        let refused = remove(&joined, true).await.err();
        assert!(is_way(&refused, Way::Phrase), "{refused:?}");
        let phrase = Ways {
            password: None,
            phrase: Some(SealingSecret::derive(b"phrase", b"test")),
        };
        let with_phrase = one.name_ways(Some(joined.octets()), &phrase, NOW).await;
        let with_phrase = with_phrase.unwrap().unwrap();
        let removal = remove(&with_phrase, true).await.unwrap();
        assert_eq!(removal.list.list().epoch(), 2);
    });
}

/// The list number 7, as programs wrote it before there were key epochs.
async fn list_of_version_1(devices: &[&Account<MemoryStore>]) -> Vec<u8> {
    let signing = SigningKey::from_bytes(&devices[0].keys().roots()[0].signing_seed());
    let mut octets = [
        &[1][..],
        devices[0].keys().account().as_bytes(),
        signing.verifying_key().as_bytes(),
        &7_u64.to_be_bytes(),
        &u16::try_from(devices.len()).unwrap().to_be_bytes(),
    ]
    .concat();
    let mut entries = Vec::new();
    for device in devices {
        let key = device.device_key(NOW).await.unwrap().public_key();
        let id = device.id();
        entries.push([id.as_bytes(), &key[..], &[0; 8], &[8], b"bridge 1"].concat());
    }
    entries.sort();
    octets.extend(entries.concat());
    let signature = signing.sign(&[b"letterlock/auth/1/devices\0", &octets[..]].concat());
    octets.extend_from_slice(&signature.to_bytes());
    octets
}
