//! Attacks 15, 17 and 18 against the real provider with a lying layer in front: documents, a
//! collection or all of the account set back; what was deleted brought back, and the newest left out;
//! devices that are shown different things. Each is told of in INBOX, and no device loses anything.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use letterlock_core::account::Appended;
use letterlock_core::id::{DocId, Generation, MailboxName, ReplicaId, Timestamp};
use letterlock_core::model::{Flag, FlagChange, FlagSet};
use letterlock_core::seal::{Collection, Header};
use letterlock_core::sync::engine::{self, Extent, Next};
use letterlock_core::sync::wire::{self, Entry, PullResponse};
use letterlock_server::bridge::accounts::BridgeAccount;
use serde_bytes::ByteBuf;

use super::layer::{Layer, enrol};
use super::world::{NOW, World};

/// Most warnings of a provider that goes on lying.
const LIES: usize = 5;
/// Most exchanges of one sync.
const PATIENCE: usize = 50;

/// One sync: all that the provider shows is heard, and all that waits is pushed.
async fn sync(device: &BridgeAccount) {
    let account = &device.account;
    for _ in 0..PATIENCE {
        let request = engine::pull_request(account, Extent::Everything, 0).await;
        let request = request.unwrap();
        let pulled = device.provider.pull(&device.token(), &request).await;
        let next = engine::handle_pull(account, request.since, pulled.unwrap(), NOW).await;
        account.tell_of_manifest(NOW).await.unwrap();
        if next.unwrap() == Next::Idle {
            break;
        }
    }
    for _ in 0..PATIENCE {
        let Some(push) = engine::next_push(account).await.unwrap() else {
            return;
        };
        match device.provider.push(&device.token(), &push.request).await {
            Ok(response) => engine::handle_push(account, &push, response, NOW).await,
            Err(_) => engine::handle_gap(account, &push, NOW).await,
        }
        .unwrap();
    }
    panic!("it does not end");
}

async fn append(device: &BridgeAccount, text: &str) -> Appended {
    let account = &device.account;
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
    let raw = format!("Subject: {text}\r\n\r\n{text}\r\n");
    let none = FlagSet::new();
    let appended = account.append(inbox, raw.as_bytes(), none, NOW, NOW).await;
    appended.unwrap()
}

async fn flag(device: &BridgeAccount, letter: &Appended, flag: Flag) {
    let account = &device.account;
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
    let (set, now) = (
        FlagSet::from_iter([flag]),
        Timestamp::from_secs(NOW.as_secs() + 1),
    );
    let uids = [letter.uid];
    let stored = account.store_flags(inbox, &uids, FlagChange::Add, &set, now);
    stored.await.unwrap();
}

/// What is in INBOX and has come, as text.
async fn letters(device: &BridgeAccount) -> Vec<String> {
    let account = &device.account;
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap();
    let mut texts = Vec::new();
    for placement in account.placements(inbox.id) {
        if let Some(message) = account.message(placement.message).await.unwrap() {
            let octets = account.raw(&message).await.unwrap();
            texts.push(String::from_utf8_lossy(&octets).into_owned());
        }
    }
    texts
}

/// The warnings in INBOX.
async fn warnings(device: &BridgeAccount) -> Vec<String> {
    let mut all = letters(device).await;
    all.retain(|letter| letter.contains("Subject: Warning: "));
    all
}

/// The other letters' subjects.
async fn subjects(device: &BridgeAccount) -> Vec<String> {
    let mut all = letters(device).await;
    all.retain(|letter| !letter.contains("Subject: Warning: "));
    let subject = |letter: String| letter.lines().next().unwrap_or_default().to_owned();
    let mut all: Vec<String> = all.into_iter().map(subject).collect();
    all.sort();
    all
}

/// A warning says what is wrong and what to do.
async fn warned(device: &BridgeAccount, of: &[&str]) {
    let warnings = warnings(device).await;
    let all = || {
        of.iter()
            .chain(&["Nothing was taken away", "Ask the provider"])
    };
    let says = |letter: &String| all().all(|text| letter.contains(text));
    assert!(warnings.iter().any(says), "{of:?}: {warnings:?}");
}

/// Rewrites the answers to pulls.
fn lie_in_pulls(layer: &Layer, lie: impl Fn(&mut PullResponse) + Send + Sync + 'static) {
    layer.lie(move |asked, answer| {
        if asked != "POST /api/v1/sync/pull" {
            return answer;
        }
        let mut response: PullResponse = wire::decode(&answer).unwrap();
        lie(&mut response);
        wire::encode(&response)
    });
}

fn header(entry: &Entry) -> Option<Header> {
    match entry {
        Entry::Document { envelope } => Some(Header::parse(envelope).unwrap()),
        Entry::Incoming { .. } | Entry::IncomingRemoved { .. } => None,
    }
}

type Kept = Arc<Mutex<BTreeMap<DocId, ByteBuf>>>;

/// Tells the truth, and keeps the first revision of each document that passes by.
fn keep_all(layer: &Layer) -> Kept {
    let kept = Kept::default();
    let keeping = Arc::clone(&kept);
    lie_in_pulls(layer, move |response| {
        for entry in &response.entries {
            if let Entry::Document { envelope } = entry {
                let id = Header::parse(envelope).unwrap().document;
                let mut kept = keeping.lock().unwrap();
                kept.entry(id).or_insert_with(|| envelope.clone());
            }
        }
    });
    kept
}

/// Shows the documents of a collection as they were kept, where they are not so any more.
fn replay(layer: &Layer, kept: Kept, collection: letterlock_core::id::CollectionId) {
    lie_in_pulls(layer, move |response| {
        let kept = kept.lock().unwrap();
        for entry in &mut response.entries {
            if let Entry::Document { envelope } = entry {
                let header = Header::parse(envelope).unwrap();
                let old = kept.get(&header.document);
                if let Some(old) = old.filter(|_| header.collection == collection) {
                    envelope.clone_from(old);
                }
            }
        }
    });
}

/// A provider, two devices of one account, and what each of them is told by.
struct Two {
    world: World,
    layers: [Arc<Layer>; 2],
    devices: [Arc<BridgeAccount>; 2],
}

impl Two {
    async fn start(dir: &Path) -> Self {
        let world = World::start(&dir.join("provider")).await;
        let layers = [
            Layer::start(&world.url).await,
            Layer::start(&world.url).await,
        ];
        let first = enrol(dir, &layers[0], "first").await;
        sync(&first).await;
        let second = enrol(dir, &layers[1], "second").await;
        let two = Self {
            world,
            layers,
            devices: [first, second],
        };
        two.settle().await;
        two
    }

    /// All are told the truth until nothing is new.
    async fn settle(&self) {
        for layer in &self.layers {
            layer.tell_the_truth();
        }
        for _ in 0..4 {
            for device in &self.devices {
                sync(device).await;
            }
        }
    }

    /// After the lie: both have these letters and at most so many warnings, and no more come.
    async fn heals(&self, letters: &[&str], most: usize) {
        self.settle().await;
        let expected: Vec<String> = letters
            .iter()
            .map(|one| format!("Subject: {one}"))
            .collect();
        for device in &self.devices {
            assert_eq!(subjects(device).await, expected);
        }
        let told = warnings(&self.devices[0]).await;
        assert!((1..=most).contains(&told.len()), "{told:?}");
        self.settle().await;
        for device in &self.devices {
            let mut again = warnings(device).await;
            again.sort();
            let mut told = told.clone();
            told.sort();
            assert_eq!(again, told);
        }
    }

    async fn stop(self) {
        for layer in &self.layers {
            layer.stop().await;
        }
        self.world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_of_an_honest_provider_are_warned_of_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let two = Two::start(dir.path()).await;
    let letter = append(&two.devices[0], "a").await;
    two.settle().await;
    flag(&two.devices[0], &letter, Flag::Seen).await;
    append(&two.devices[1], "b").await;
    two.settle().await;
    for device in &two.devices {
        assert_eq!(warnings(device).await, [""; 0]);
        assert_eq!(subjects(device).await.len(), 2);
    }
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_15_a_document_that_is_set_back_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let two = Two::start(dir.path()).await;
    let [first, second] = &two.devices;
    let kept = keep_all(&two.layers[1]);
    let letter = append(first, "a").await;
    sync(first).await;
    sync(second).await;
    flag(first, &letter, Flag::Seen).await;
    sync(first).await;
    let mail = first.account.keys().collection_id(Collection::Mail);
    replay(&two.layers[1], kept, mail);
    sync(second).await;
    warned(second, &["collection “mail”"]).await;
    assert_eq!(subjects(second).await, ["Subject: a"]);
    two.heals(&["a"], LIES).await;
    let inbox = second.account.mailbox(&MailboxName::inbox()).unwrap();
    let placed = second.account.placements(inbox.id);
    let seen = placed.iter().filter(|one| one.flags.contains(&Flag::Seen));
    assert_eq!(seen.count(), 1, "what the lie hid has come");
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_15_a_collection_that_is_set_back_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let two = Two::start(dir.path()).await;
    let [first, second] = &two.devices;
    append(first, "a").await;
    sync(first).await;
    sync(second).await;
    append(first, "b").await;
    sync(first).await;
    // Of the messages there is nothing new.
    let messages = first.account.keys().collection_id(Collection::Messages);
    lie_in_pulls(&two.layers[1], move |response| {
        let is_other = |entry: &Entry| header(entry).is_none_or(|one| one.collection != messages);
        response.entries.retain(is_other);
    });
    sync(second).await;
    warned(
        second,
        &["collection “messages”", "your devices have stored"],
    )
    .await;
    two.heals(&["a", "b"], LIES).await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_15_a_whole_account_that_is_set_back_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let two = Two::start(dir.path()).await;
    let [first, second] = &two.devices;
    let early = second.account.pulled();
    append(first, "a").await;
    sync(first).await;
    sync(second).await;
    lie_in_pulls(&two.layers[1], move |response| {
        response.entries.clear();
        (response.until, response.more) = (Generation(early.0 - 1), false);
    });
    sync(second).await;
    warned(
        second,
        &["gone back to an earlier state", "whole account", "backup"],
    )
    .await;
    assert_eq!(subjects(second).await, ["Subject: a"]);
    two.heals(&["a"], LIES).await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_17_what_was_deleted_does_not_come_back_unnoticed() {
    let dir = tempfile::tempdir().unwrap();
    let two = Two::start(dir.path()).await;
    let [first, second] = &two.devices;
    let kept = keep_all(&two.layers[1]);
    let letter = append(first, "a").await;
    append(first, "b").await;
    sync(first).await;
    sync(second).await;
    let inbox = first.account.mailbox(&MailboxName::inbox()).unwrap().id;
    let expunged = first.account.expunge(inbox, &[letter.uid], NOW).await;
    expunged.unwrap();
    let collected = first.account.collect_all(NOW, 99).await.unwrap();
    assert_eq!(collected.messages, 1);
    sync(first).await;
    let messages = first.account.keys().collection_id(Collection::Messages);
    replay(&two.layers[1], Arc::clone(&kept), messages);
    sync(second).await;
    warned(second, &["collection “messages”"]).await;
    // A new device, which has never seen the removal.
    let layer = Layer::start(&two.world.url).await;
    replay(&layer, kept, messages);
    let third = enrol(dir.path(), &layer, "third").await;
    sync(&third).await;
    let told = warnings(&third).await;
    let names = |letter: &&String| letter.contains("collection “messages”");
    assert!(told.iter().any(|letter| names(&letter)), "{told:?}");
    layer.stop().await;
    two.heals(&["b"], LIES).await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_17_the_newest_documents_are_not_left_out_unnoticed() {
    let dir = tempfile::tempdir().unwrap();
    let two = Two::start(dir.path()).await;
    let [first, second] = &two.devices;
    for text in ["a", "b", "c"] {
        append(first, text).await;
    }
    sync(first).await;
    // All that came is left out, but the last, in which the first device says what there is.
    lie_in_pulls(&two.layers[1], |response| {
        let last = response.entries.pop();
        response.entries.clear();
        response.entries.extend(last);
    });
    sync(second).await;
    warned(second, &["your devices have stored"]).await;
    two.heals(&["a", "b", "c"], LIES).await;
    two.stop().await;
}

/// Hides what this device has sealed.
fn hide(layer: &Layer, whose: ReplicaId) {
    lie_in_pulls(layer, move |response| {
        let is_other = |entry: &Entry| header(entry).is_none_or(|one| one.replica != whose);
        response.entries.retain(is_other);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_18_devices_that_are_shown_different_things_find_it_out() {
    let dir = tempfile::tempdir().unwrap();
    let two = Two::start(dir.path()).await;
    let [first, second] = &two.devices;
    hide(&two.layers[0], second.account.id());
    hide(&two.layers[1], first.account.id());
    for (text, other) in [("a", "x"), ("b", "y")] {
        append(first, text).await;
        append(second, other).await;
        sync(first).await;
        sync(second).await;
    }
    for device in &two.devices {
        assert_eq!(warnings(device).await, [""; 0], "each is told one story");
    }
    // They meet: from now on each is shown what the other stores.
    for layer in &two.layers {
        layer.tell_the_truth();
    }
    append(first, "c").await;
    append(second, "z").await;
    for device in &two.devices {
        sync(device).await;
    }
    sync(first).await;
    for device in &two.devices {
        let told = warnings(device).await;
        assert!(!told.is_empty(), "{}", device.account.id());
    }
    two.heals(&["a", "b", "c", "x", "y", "z"], LIES).await;
    two.stop().await;
}
