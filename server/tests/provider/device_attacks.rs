//! Attack 19, device-list injection, against the real provider with a misbehaving layer in front:
//! real devices behind a relay that rewrites what the provider says of the account's devices.

use std::sync::atomic::Ordering;
use std::time::Duration;

use letterlock_core::account::STRANGER_MS;
use letterlock_core::auth::devices::{Standing, shown};
use letterlock_core::auth::wire::{AccountState, DeviceState, DevicesPut, DevicesShown};
use letterlock_core::auth::{DeviceAlarm, DeviceKey, ListedDevice, SignedDeviceList};
use letterlock_core::id::{MailboxName, ReplicaId, Timestamp};
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_server::bridge::accounts::{BridgeAccount, SyncStatus};
use letterlock_server::bridge::{devices, sync_loop};
use letterlock_server::shutdown::{GRACE, Shutdown};
use rand::rngs::OsRng;

use super::layer::{Layer, enrol};
use super::world::{NOW, World, address};

/// What is waited for at most.
const PATIENCE: Duration = Duration::from_mins(1);

/// Shows this list from now on, or none.
fn show(layer: &Layer, list: Option<&SignedDeviceList>) {
    let list = list.map(|list| list.octets().to_vec().into());
    let shown = serde_json::to_vec(&DevicesShown { list }).unwrap();
    layer.lie(move |asked, answer| match asked {
        "GET /api/v1/devices" => shown.clone(),
        _ => answer,
    });
}

async fn list_of(device: &BridgeAccount) -> SignedDeviceList {
    let shown = device.provider.devices(&device.token()).await.unwrap();
    SignedDeviceList::parse(&shown.list.unwrap().0).unwrap()
}

async fn told(device: &BridgeAccount) -> Vec<DeviceState> {
    let state = device.provider.account(&device.token()).await.unwrap();
    state.devices
}

async fn check(device: &BridgeAccount, now: Timestamp) -> Option<DeviceAlarm> {
    let told = told(device).await;
    devices::check(device, &told, now).await.unwrap()
}

async fn inbox(device: &BridgeAccount) -> Vec<String> {
    let account = &device.account;
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap();
    let mut texts = Vec::new();
    for placement in account.placements(inbox.id) {
        let message = account.message(placement.message).await.unwrap().unwrap();
        let octets = account.raw(&message).await.unwrap();
        texts.push(String::from_utf8_lossy(&octets).into_owned());
    }
    texts
}

fn names(list: &SignedDeviceList) -> Vec<&str> {
    let devices = list.list().devices().iter();
    let mut names: Vec<&str> = devices.map(|device| device.name.as_str()).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_19_a_provider_that_adds_a_device_to_the_list_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let layer = Layer::start(&world.url).await;
    let first = enrol(dir.path(), &layer, "first").await;
    let second = enrol(dir.path(), &layer, "second").await;
    let honest = list_of(&first).await;
    assert_eq!(names(&honest), ["first", "second"]);
    for device in [&first, &second] {
        assert_eq!(check(device, NOW).await, None);
    }
    // It has everything but the account's key.
    let spy = ListedDevice {
        id: ReplicaId::new([7; 16]),
        key: DeviceKey::generate(&mut OsRng).public_key(),
        added_at: NOW,
        name: "spy".to_owned(),
        recipient: None,
    };
    let root = RootKey::generate(&mut OsRng);
    let of_provider = AccountKeys::derive(honest.account(), 1, &root);
    let injected = honest.list().with(spy).unwrap().unwrap();
    show(
        &layer,
        Some(&injected.sign(&of_provider, &mut OsRng).unwrap()),
    );
    for device in [&first, &second] {
        for _ in 0..2 {
            let alarm = check(device, NOW).await;
            assert_eq!(alarm, Some(DeviceAlarm::NotSigned(2)));
        }
        let raised = device.device_alarm().borrow().clone();
        assert_eq!(raised, Some(DeviceAlarm::NotSigned(2)));
        let kept = device.account.device_list().await.unwrap().unwrap();
        assert_eq!(&kept, honest.list(), "the last one that was in order stays");
        let letters = inbox(device).await;
        assert_eq!(letters.len(), 1);
        assert!(letters[0].contains("has not signed"), "{letters:?}");
    }
    layer.tell_the_truth();
    assert_eq!(check(&first, NOW).await, None);
    assert!(first.device_alarm().borrow().is_none());
    end(world, &layer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_19_a_provider_that_brings_a_removed_device_back_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let layer = Layer::start(&world.url).await;
    let first = enrol(dir.path(), &layer, "first").await;
    let second = enrol(dir.path(), &layer, "second").await;
    let both = list_of(&first).await;
    let gone = second.account.id();
    let next = first.account.leave_devices(Some(both.octets()), gone, NOW);
    let next = next.await.unwrap().unwrap();
    let put = DevicesPut {
        list: next.octets().to_vec().into(),
        proof: None,
    };
    first
        .provider
        .put_devices(&first.token(), &put)
        .await
        .unwrap();
    first.account.keep_device_list(&next, NOW).await.unwrap();
    // Out at once, also with its key.
    let refused = second.provider.account(&second.token()).await;
    assert!(refused.is_err());
    show(&layer, Some(&both));
    let alarm = DeviceAlarm::SetBack { seen: 3, shown: 2 };
    assert_eq!(check(&first, NOW).await, Some(alarm));
    show(&layer, None);
    assert_eq!(check(&first, NOW).await, Some(DeviceAlarm::Withheld(3)));
    let kept = first.account.device_list().await.unwrap().unwrap();
    assert!(kept.find(gone).is_none());
    layer.tell_the_truth();
    assert_eq!(check(&first, NOW).await, None);
    assert_eq!(inbox(&first).await.len(), 2);
    end(world, &layer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_19_a_device_that_only_the_provider_knows_of_is_none_of_the_accounts() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let layer = Layer::start(&world.url).await;
    let first = enrol(dir.path(), &layer, "first").await;
    layer.lie(|asked, answer| {
        if asked != "GET /api/v1/account" {
            return answer;
        }
        let mut state: AccountState = serde_json::from_slice(&answer).unwrap();
        // It takes the name of a device that is there, and says that it is the one that asks.
        state.devices.push(DeviceState {
            id: ReplicaId::new([7; 16]),
            ..state.devices[0].clone()
        });
        serde_json::to_vec(&state).unwrap()
    });
    assert_eq!(check(&first, NOW).await, None);
    let after = Timestamp::from_millis(NOW.as_millis() + STRANGER_MS);
    let alarm = check(&first, after).await;
    let stranger = DeviceAlarm::Stranger {
        id: ReplicaId::new([7; 16]),
        name: "first".to_owned(),
    };
    assert_eq!(alarm, Some(stranger));
    let letters = inbox(&first).await;
    assert_eq!(letters.len(), 1);
    assert!(letters[0].contains("not in its signed list"), "{letters:?}");
    let list = first.account.device_list().await.unwrap();
    let all = shown(list.as_ref(), &told(&first).await);
    let standing: Vec<_> = all.iter().map(|device| device.standing).collect();
    assert_eq!(standing, [Standing::Listed, Standing::Stranger]);
    end(world, &layer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_whose_token_has_ended_logs_in_by_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let layer = Layer::start(&world.url).await;
    let device = enrol(dir.path(), &layer, "first").await;
    let before = device.token();
    let shutdown = Shutdown::new();
    sync_loop::start(&device, &shutdown);
    let current = |status: &SyncStatus| *status == SyncStatus::Current;
    let mut status = device.status();
    let waiting = tokio::time::timeout(PATIENCE, status.wait_for(current));
    assert!(waiting.await.is_ok_and(|status| status.is_ok()));
    world.clock.fetch_add(25 * 60 * 60 * 1000, Ordering::SeqCst);
    // The pull that waits is answered: the token is not valid any more.
    world
        .deliver(&address("alice"), b"Subject: x\r\n\r\nHello.\r\n")
        .await;
    let came = async {
        while inbox(&device).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, came).await.expect("in time");
    assert_ne!(before.as_str(), device.token().as_str());
    assert!(current(&device.status().borrow()));
    assert!(shutdown.finish(GRACE).await, "a loop does not end");
    end(world, &layer).await;
}

async fn end(world: World, layer: &Layer) {
    world.stop().await;
    layer.stop().await;
}
