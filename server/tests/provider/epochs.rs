//! Key epochs with the real provider: a removal reaches every device by itself, whoever comes later
//! gets all keys, and the removed device none.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use letterlock_core::account::DevicesError;
use letterlock_core::auth::wire::{Device, DevicesPut, OtherDevices, Token};
use letterlock_core::auth::{DeviceListError, RecoveryPhrase, SignedDeviceList};
use letterlock_core::id::{Generation, MailboxName};
use letterlock_core::model::FlagSet;
use letterlock_core::seal::{Collection, Header};
use letterlock_core::sync::engine::{self, Extent, Next};
use letterlock_core::sync::wire::PullRequest;
use letterlock_server::bridge::accounts::BridgeAccount;
use letterlock_server::bridge::credentials::Credentials;
use letterlock_server::bridge::enrolment::Enrolment;
use letterlock_server::bridge::provider_client::{ProviderClient, ProviderError};
use letterlock_server::bridge::sync_loop;
use letterlock_server::shutdown::{GRACE, Shutdown};
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::world::{NOW, World, address};

/// What is waited for at most.
const PATIENCE: Duration = Duration::from_mins(1);
const PASSWORD: &str = "correct horse";

pub(super) fn enrolment(dir: &Path, world: &World, name: &str) -> Enrolment {
    Enrolment {
        address: address("carol"),
        password: Zeroizing::new(PASSWORD.to_owned()),
        folder: dir.join(name),
        provider: ProviderClient::new(&world.url).unwrap(),
        device_name: name.to_owned(),
        phrase: None,
        invite: None,
    }
}

pub(super) async fn append(device: &BridgeAccount, subject: &str) {
    let account = &device.account;
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
    let raw = format!("Subject: {subject}\r\n\r\nbody\r\n");
    let none = FlagSet::new();
    let appended = account.append(inbox, raw.as_bytes(), none, NOW, NOW).await;
    appended.unwrap();
}

async fn inbox(device: &BridgeAccount) -> Vec<String> {
    let account = &device.account;
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap();
    let mut texts = Vec::new();
    for placement in account.placements(inbox.id) {
        if let Some(message) = account.message(placement.message).await.unwrap() {
            // What is in it may come later.
            if let Ok(octets) = account.raw(&message).await {
                texts.push(String::from_utf8_lossy(&octets).into_owned());
            }
        }
    }
    texts
}

pub(super) async fn has(device: &BridgeAccount, text: &str) -> bool {
    inbox(device)
        .await
        .iter()
        .any(|letter| letter.contains(text))
}

pub(super) async fn shown(device: &BridgeAccount) -> Vec<u8> {
    let shown = device.provider.devices(&device.token()).await.unwrap();
    shown.list.unwrap().0
}

pub(super) async fn pull(device: &BridgeAccount) {
    let account = &device.account;
    loop {
        let request = engine::pull_request(account, Extent::Everything, 0).await;
        let request = request.unwrap();
        let pulled = device.provider.pull(&device.token(), &request).await;
        let next = engine::handle_pull(account, request.since, pulled.unwrap(), NOW).await;
        if next.unwrap() == Next::Idle {
            return;
        }
    }
}

pub(super) async fn push(device: &BridgeAccount) {
    while let Some(push) = engine::next_push(&device.account).await.unwrap() {
        let pushed = device.provider.push(&device.token(), &push.request).await;
        let handled = engine::handle_push(&device.account, &push, pulled(pushed), NOW).await;
        handled.unwrap();
    }
}

fn pulled<T>(answer: Result<T, ProviderError>) -> T {
    answer.unwrap()
}

pub(super) async fn remove(by: &BridgeAccount, gone: &BridgeAccount) {
    let octets = shown(by).await;
    let id = gone.account.id();
    let removal = by.account.remove_device(Some(&octets), id, true, NOW).await;
    let removal = removal.unwrap().unwrap();
    let put = DevicesPut {
        list: removal.list.octets().to_vec().into(),
        proof: None,
    };
    by.provider.put_devices(&by.token(), &put).await.unwrap();
    by.account.device_removed(removal, NOW).await.unwrap();
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_reaches_every_device_and_whoever_comes_later() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let phrase = RecoveryPhrase::generate(&mut OsRng);
    let with_phrase = Enrolment {
        phrase: Some(phrase.clone()),
        ..enrolment(dir.path(), &world, "first")
    };
    let first = with_phrase.ensure(NOW).await.unwrap();
    pull(&first).await;
    append(&first, "before").await;
    push(&first).await;
    let enrol = async |name: &str| {
        let enrolment = enrolment(dir.path(), &world, name);
        enrolment.ensure(NOW).await.unwrap()
    };
    let second = Arc::new(enrol("second").await);
    let gone = enrol("gone").await;
    pull(&gone).await;
    let shutdown = Shutdown::new();
    sync_loop::start(&second, &shutdown);
    until("the second is up to date", async || {
        has(&second, "before").await
    })
    .await;

    remove(&first, &gone).await;
    pull(&first).await;
    append(&first, "after").await;
    push(&first).await;
    // By a document that does not open yet; what it writes goes on under the new keys.
    until("the second has it", async || {
        has(&second, "Subject: after").await
    })
    .await;
    assert_eq!(second.account.keys().epoch(), 2);
    until("it is told", async || {
        has(&second, "“gone” was removed").await
    })
    .await;
    append(&second, "by the second").await;
    until("it was pushed", async || {
        pull(&first).await;
        has(&first, "by the second").await
    })
    .await;

    // Who comes by the password, and who by the phrase.
    let third = enrol("third").await;
    assert_eq!(third.account.keys().epoch(), 2);
    pull(&third).await;
    assert!(has(&third, "Subject: after").await && has(&third, "Subject: before").await);
    let by_phrase = Enrolment {
        password: Zeroizing::new("a new one".to_owned()),
        ..enrolment(dir.path(), &world, "fourth")
    };
    let fourth = by_phrase.recover(&phrase, OtherDevices::Stay, NOW).await;
    let fourth = fourth.unwrap();
    assert_eq!(fourth.account.keys().epoch(), 2);
    pull(&fourth).await;
    assert!(has(&fourth, "by the second").await);
    // The new password opens the next epoch too, and what is here opens without the provider.
    remove(&fourth, &third).await;
    let fifth = Enrolment {
        folder: dir.path().join("fifth"),
        ..by_phrase.clone()
    };
    let fifth = fifth.ensure(NOW).await.unwrap();
    assert_eq!(fifth.account.keys().epoch(), 3);
    drop(fourth);
    let again = by_phrase.unlock(NOW).await.unwrap().unwrap();
    assert_eq!(again.account.keys().epoch(), 3);
    shutdown.token.cancel();
    shutdown.finish(GRACE).await;
    drop((first, second, gone, third, fifth, again));
    world.stop().await;
}

fn put(list: &SignedDeviceList) -> DevicesPut {
    DevicesPut {
        list: list.octets().to_vec().into(),
        proof: None,
    }
}

/// It opens no key of the new epoch, and signs no list that the provider takes.
async fn signs_nothing(
    first: &BridgeAccount,
    gone: &BridgeAccount,
    (token, before): (&Token, &[u8]),
) {
    let list = first.provider.devices(token).await.unwrap().list.unwrap().0;
    let entered = gone.account.check_devices(Some(&list), &[], NOW).await;
    assert!(matches!(
        entered,
        Err(DevicesError::List(DeviceListError::NoKeys))
    ));
    let old = SignedDeviceList::parse(before).unwrap();
    let mut forged = old.list().without(first.account.id()).unwrap();
    for _ in 0..3 {
        let own = forged.devices()[0].clone();
        forged = forged.without(own.id).unwrap().with(own).unwrap().unwrap();
    }
    let forged = forged.sign(gone.account.keys(), &mut OsRng).unwrap();
    let refused = first.provider.put_devices(token, &put(&forged)).await;
    assert!(
        matches!(&refused, Err(ProviderError::Refused { code, .. }) if code == "bad_list"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_19_a_removed_device_has_nothing_but_what_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let enrol = async |name: &str| {
        let enrolment = enrolment(dir.path(), &world, name);
        enrolment.ensure(NOW).await.unwrap()
    };
    let (first, gone) = (enrol("first").await, enrol("gone").await);
    pull(&first).await;
    pull(&gone).await;
    append(&gone, "under way").await;
    let under_way = engine::next_push(&gone.account).await.unwrap().unwrap();
    let before = shown(&first).await;
    let octets = Some(before.as_slice());
    let removal = first
        .account
        .remove_device(octets, gone.account.id(), false, NOW);
    let removal = removal.await.unwrap().unwrap();
    let provider = &first.provider;
    provider
        .put_devices(&first.token(), &put(&removal.list))
        .await
        .unwrap();
    first.account.device_removed(removal, NOW).await.unwrap();
    // It is logged out, and its key logs it in no more.
    let everything = PullRequest {
        since: Generation::default(),
        collections: Vec::new(),
        rewritten: Vec::new(),
        wait_ms: 0,
    };
    let refused = provider.pull(&gone.token(), &everything).await;
    assert!(matches!(refused, Err(ProviderError::Unauthorized)));
    // Somebody gives it a token of the account (so that only its keys are asked here).
    let credentials = Credentials {
        address: address("carol"),
        provider: ProviderClient::new(&world.url).unwrap(),
        device: Device {
            id: gone.account.id(),
            name: "gone".to_owned(),
        },
    };
    let token = credentials.log_in(PASSWORD).await.unwrap().token;
    // Neither what it had sealed before nor what it seals now is taken.
    let old = provider.push(&token, &under_way.request).await;
    assert!(
        matches!(&old, Err(ProviderError::Refused { code, .. }) if code == engine::OLD_KEYS),
        "{:?}",
        old.err()
    );
    signs_nothing(&first, &gone, (&token, &before)).await;
    // What is stored from here on is sealed under keys that it does not have.
    append(&first, "after").await;
    push(&first).await;
    let all = provider.pull(&token, &everything).await.unwrap();
    let mail = first.account.keys().collection_id(Collection::Mail);
    let envelopes = all.entries.iter().filter_map(|entry| match entry {
        letterlock_core::sync::wire::Entry::Document { envelope } => Some(envelope),
        _ => None,
    });
    let mut new = 0;
    for envelope in envelopes {
        let header = Header::parse(envelope).unwrap();
        if header.collection == mail && header.epoch == 2 {
            assert!(letterlock_core::seal::open(gone.account.keys(), envelope).is_err());
            new += 1;
        }
    }
    assert!(new > 0);
    drop((first, gone));
    world.stop().await;
}
