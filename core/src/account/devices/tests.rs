//! Devices of one account before a provider that shows what it likes.

use futures::executor::block_on;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::id::{AccountId, Address, MailboxName};
use crate::seal::{AccountKeys, RootKey};
use crate::store::MemoryStore;

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn later(minutes: i64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() + minutes * 60_000)
}

pub(super) async fn account(seed: u8) -> Account<MemoryStore> {
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::from_octets([5; 32]));
    let address = Address::new("alice@letterlock.example").unwrap();
    Account::open(MemoryStore::new(), address, keys, [seed; 32], NOW)
        .await
        .unwrap()
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

pub(super) fn device(id: u8, name: &str) -> Device {
    Device {
        id: ReplicaId::new([id; 16]),
        name: name.to_owned(),
    }
}

/// As which it is logged in.
pub(super) fn device_of(account: &Account<MemoryStore>, name: &str) -> Device {
    Device {
        id: account.id(),
        name: name.to_owned(),
    }
}

fn logged_in(id: u8, name: &str) -> DeviceState {
    DeviceState {
        id: ReplicaId::new([id; 16]),
        name: name.to_owned(),
        since: NOW,
        last_seen: NOW,
        current: false,
    }
}

async fn join(
    account: &Account<MemoryStore>,
    shown: Option<&[u8]>,
    device: Device,
) -> Result<Option<SignedDeviceList>, DevicesError> {
    let ways = Ways::default();
    account.join_devices(shown, &device, &ways, NOW).await
}

pub(super) fn warnings(account: &Account<MemoryStore>) -> usize {
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap();
    account.placements(inbox.id).len()
}

/// Two devices of one account, and the list with both.
async fn two() -> (Account<MemoryStore>, Account<MemoryStore>, SignedDeviceList) {
    let (one, two) = (account(1).await, account(2).await);
    let first = one
        .first_devices(&device(1, "bridge"), &Ways::default(), NOW)
        .await
        .unwrap();
    one.keep_device_list(&first, NOW).await.unwrap();
    let joined = join(&two, Some(first.octets()), device(2, "phone"));
    let both = joined.await.unwrap().unwrap();
    two.keep_device_list(&both, NOW).await.unwrap();
    (one, two, both)
}

#[test]
fn devices_join_agree_and_leave() {
    block_on(async {
        let (one, two, both) = two().await;
        let told = [logged_in(1, "bridge"), logged_in(2, "phone")];
        for account in [&one, &two] {
            let check = account.check_devices(Some(both.octets()), &told, NOW).await;
            assert_eq!(check.unwrap(), DevicesCheck::default());
            let list = account.device_list().await.unwrap().unwrap();
            assert_eq!((list.number(), list.devices().len()), (2, 2));
            assert!(account.devices_state().await.unwrap().joined);
        }
        // The key stays, and is the one in the list.
        let key = one.device_key(later(9)).await.unwrap().public_key();
        assert_eq!(key, both.list().devices()[0].key);
        assert_ne!(key, two.device_key(NOW).await.unwrap().public_key());
        // Who is in the list need not join again.
        let again = join(&one, Some(both.octets()), device(1, "bridge"));
        assert_eq!(again.await.unwrap(), None);
        let shown = Some(both.octets());
        let phone = ReplicaId::new([2; 16]);
        let without = one.leave_devices(shown, phone, NOW).await.unwrap().unwrap();
        assert_eq!(without.list().devices().len(), 1);
        assert!(without.follows(&both));
        let nobody = one.leave_devices(shown, ReplicaId::new([3; 16]), NOW);
        assert_eq!(nobody.await.unwrap(), None);
        assert_eq!(warnings(&one) + warnings(&two), 0);
    });
}

#[test]
fn attack_19_an_injected_device_is_ignored_and_told_of_once() {
    block_on(async {
        let (one, _, both) = two().await;
        let root = RootKey::from_octets([66; 32]);
        let of_provider = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
        let spy = ListedDevice {
            id: ReplicaId::new([7; 16]),
            key: both.list().devices()[0].key,
            added_at: NOW,
            name: "spy".to_owned(),
            recipient: None,
        };
        let injected = both
            .list()
            .with(spy)
            .unwrap()
            .unwrap()
            .sign(&of_provider, &mut rng())
            .unwrap();
        for minute in 0..3 {
            let check = one.check_devices(Some(injected.octets()), &[], later(minute));
            let check = check.await.unwrap();
            // The first device has not seen the second one's list yet.
            assert_eq!(check.alarm, Some(DeviceAlarm::NotSigned(1)));
            assert_eq!(check.offer, None);
        }
        let list = one.device_list().await.unwrap().unwrap();
        assert_eq!(list.devices().len(), 1, "what was verified last stays");
        assert_eq!(warnings(&one), 1);
        // Nothing is built on it either.
        let shown = Some(injected.octets());
        let joined = join(&one, shown, device(1, "bridge")).await;
        assert!(matches!(joined, Err(DevicesError::Alarm(_))));
        let left = one.leave_devices(shown, ReplicaId::new([7; 16]), NOW).await;
        assert!(matches!(left, Err(DevicesError::Alarm(_))));
        // It is over when the provider shows the account's own again.
        let check = one.check_devices(Some(both.octets()), &[], NOW).await;
        assert_eq!(check.unwrap(), DevicesCheck::default());
        assert_eq!(warnings(&one), 1);
    });
}

#[test]
fn attack_19_a_list_that_was_set_back_or_lost_is_told_of_and_put_again() {
    block_on(async {
        let (one, two, both) = two().await;
        let shown = Some(both.octets());
        one.check_devices(shown, &[], NOW).await.unwrap();
        let without = one.leave_devices(shown, ReplicaId::new([2; 16]), NOW);
        let without = without.await.unwrap().unwrap();
        one.keep_device_list(&without, NOW).await.unwrap();
        // The removed device is put back by the provider, and does not come back.
        let check = one.check_devices(shown, &[], NOW).await.unwrap();
        let alarm = DeviceAlarm::SetBack { seen: 3, shown: 2 };
        assert_eq!(check.alarm, Some(alarm));
        assert_eq!(check.offer, Some(without.clone()));
        let list = one.device_list().await.unwrap().unwrap();
        assert!(list.find(ReplicaId::new([2; 16])).is_none());
        let check = one.check_devices(None, &[], NOW).await.unwrap();
        assert_eq!(check.alarm, Some(DeviceAlarm::Withheld(3)));
        assert_eq!(warnings(&one), 2);
        // Whoever logs in next goes on from what is known.
        let next = join(&one, None, device(1, "desk")).await;
        assert_eq!(next.unwrap().unwrap().list().number(), 4);
        // Another device hears of the second list, and is shown another third one.
        let other = join(&two, shown, device(2, "tablet"));
        let other = other.await.unwrap().unwrap();
        let check = one.check_devices(Some(other.octets()), &[], NOW).await;
        assert_eq!(check.unwrap().alarm, Some(DeviceAlarm::Rewritten(3)));
        assert_eq!(warnings(&one), 3);
    });
}

#[test]
fn attack_19_a_device_that_is_in_no_list_is_told_of_after_a_while() {
    block_on(async {
        let (one, two, both) = two().await;
        let told = [
            logged_in(1, "bridge"),
            logged_in(2, "phone"),
            logged_in(7, "Webmail"),
        ];
        let shown = Some(both.octets());
        let check = async |minutes| {
            let check = one.check_devices(shown, &told, later(minutes)).await;
            check.unwrap().alarm
        };
        assert_eq!(check(0).await, None, "it may be about to join");
        assert_eq!(check(9).await, None);
        let stranger = DeviceAlarm::Stranger {
            id: ReplicaId::new([7; 16]),
            name: "Webmail".to_owned(),
        };
        assert_eq!(check(10).await, Some(stranger.clone()));
        assert_eq!(check(11).await, Some(stranger));
        assert_eq!(warnings(&one), 1);
        // One that was away meanwhile begins anew, and one that joined is no stranger.
        let gone = one.check_devices(shown, &told[..2], later(12)).await;
        assert_eq!(gone.unwrap().alarm, None);
        assert_eq!(check(13).await, None);
        let key = two.device_key(NOW).await.unwrap();
        let joined = both.list().with(ListedDevice {
            id: ReplicaId::new([7; 16]),
            key: key.public_key(),
            added_at: NOW,
            name: "Webmail".to_owned(),
            recipient: None,
        });
        let joined = joined.unwrap().unwrap();
        let joined = joined.sign(one.keys(), &mut rng()).unwrap();
        let check = one.check_devices(Some(joined.octets()), &told, later(60));
        assert_eq!(check.await.unwrap(), DevicesCheck::default());
        assert_eq!(warnings(&one), 1);
    });
}
