//! Key epochs between devices: what is sealed in which, and what a removed device can do with its keys
//! and a provider that helps it.

use super::*;
use crate::manifest::{ManifestAlarm, Part};
use crate::seal::{self, OpenError};

fn second() -> Vec<RootKey> {
    vec![RootKey::from_octets([2; 32])]
}

async fn append(device: &Replica<MemoryStore>, subject: &str) {
    let raw = format!("Subject: {subject}\r\n\r\nbody\r\n");
    let to = inbox(device).id;
    let placed = device
        .append(to, raw.as_bytes(), FlagSet::new(), NOW, NOW)
        .await;
    placed.unwrap();
}

fn epochs(request: &PushRequest) -> Vec<u32> {
    let headers = request
        .documents
        .iter()
        .map(|one| Header::parse(one).unwrap());
    let mut epochs: Vec<u32> = headers.map(|header| header.epoch).collect();
    epochs.sort_unstable();
    epochs.dedup();
    epochs
}

async fn push(device: &Replica<MemoryStore>) -> PendingPush {
    device.pending_push().await.unwrap().unwrap()
}

/// Two devices that stay, one that was removed, and the provider; those that stay know of it.
async fn removal() -> ([Replica<MemoryStore>; 2], Replica<MemoryStore>, Provider) {
    let provider = Provider::default();
    let (one, two, gone) = (device(1).await, device(2).await, device(3).await);
    for device in [&one, &two, &gone] {
        append(device, "before").await;
        exchange(device, &provider, &mut None).await;
    }
    for device in [&one, &two, &gone] {
        exchange(device, &provider, &mut None).await;
    }
    provider.begin_epoch();
    for device in [&one, &two] {
        device.begin_epochs(second(), NOW).await.unwrap();
    }
    ([one, two], gone, provider)
}

#[tokio::test]
async fn what_is_written_next_is_sealed_anew_and_a_removed_device_reads_none_of_it() {
    let ([one, two], gone, provider) = removal().await;
    append(&one, "after").await;
    assert_eq!(epochs(&push(&one).await.request), [2]);
    exchange(&one, &provider, &mut None).await;
    exchange(&two, &provider, &mut None).await;
    assert_eq!(two.placements(inbox(&two).id).len(), 4);
    assert_eq!(truth(&one), truth(&two));
    // The removed one gets all that the provider has, and opens what was there.
    let request = asked(&gone).await;
    let response = provider.pull(&request);
    let heard = engine::handle_pull(&gone, request.since, response, NOW).await;
    assert!(heard.unwrap_err().is_later_epoch());
    let guess = AccountKeys::derive(AccountId::new([1; 16]), 1, &gone.keys().roots()[0]);
    guess.begin(RootKey::from_octets([3; 32]));
    let log = provider.log();
    let new = log
        .documents
        .values()
        .filter(|(_, envelope)| Header::parse(envelope).unwrap().epoch == 2);
    assert_eq!(new.clone().count(), 3, "message, page and statement");
    for (_, envelope) in new {
        let id = Header::parse(envelope).unwrap().document;
        assert_eq!(
            seal::open(gone.keys(), envelope),
            Err(OpenError::LaterEpoch(id))
        );
        assert_eq!(seal::open(&guess, envelope), Err(OpenError::Forged(id)));
    }
    // It has no effect on what is named by its content: that is stored once, under one id.
    append(&gone, "after").await;
    let ids = |request: &PushRequest| -> Vec<DocId> {
        let headers = request
            .documents
            .iter()
            .map(|one| Header::parse(one).unwrap());
        headers.map(|header| header.document).collect()
    };
    let same = ids(&push(&gone).await.request);
    assert!(same.iter().any(|id| log.documents.contains_key(id)));
}

#[tokio::test]
async fn who_was_away_comes_back_with_what_waits_and_opens_the_store_again() {
    let provider = Provider::default();
    let (one, away) = (device(1).await, device(2).await);
    for device in [&one, &away, &one] {
        append(device, "before").await;
        exchange(device, &provider, &mut None).await;
    }
    append(&away, "written on the way").await;
    let old = push(&away).await;
    assert_eq!(epochs(&old.request), [1]);
    provider.begin_epoch();
    one.begin_epochs(second(), NOW).await.unwrap();
    append(&one, "after").await;
    exchange(&one, &provider, &mut None).await;
    // The provider takes nothing under the old keys, and what is newer says so, too.
    assert!(provider.refuses_keys(&old.request));
    assert!(!engine::handle_old_keys(&away, &old, NOW).await.unwrap());
    let request = asked(&away).await;
    let heard = engine::handle_pull(&away, request.since, provider.pull(&request), NOW).await;
    assert!(heard.unwrap_err().is_later_epoch());
    away.begin_epochs(second(), NOW).await.unwrap();
    away.begin_epochs(second(), NOW).await.unwrap();
    assert_eq!(away.keys().epoch(), 2, "begun once");
    assert!(engine::handle_old_keys(&away, &old, NOW).await.unwrap());
    assert_eq!(epochs(&push(&away).await.request), [2]);
    for device in [&away, &one] {
        exchange(device, &provider, &mut None).await;
    }
    assert_eq!(truth(&one), truth(&away));
    assert_eq!(one.placements(inbox(&one).id).len(), 5);
    assert_eq!(away.manifest_alarm().await.unwrap(), None);
    // Started again with the first root key, as its password opens it.
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::from_octets([1; 32]));
    let before = truth(&away);
    let again = Replica::open(away.store, keys, [7; 32], NOW).await.unwrap();
    assert_eq!(again.keys().epoch(), 2);
    assert_eq!(truth(&again), before);
}

#[tokio::test]
async fn a_new_device_hears_of_all_epochs() {
    let ([one, two], _, provider) = removal().await;
    append(&one, "after").await;
    exchange(&one, &provider, &mut None).await;
    exchange(&two, &provider, &mut None).await;
    let new = device(9).await;
    new.begin_epochs(second(), NOW).await.unwrap();
    exchange(&new, &provider, &mut None).await;
    exchange(&new, &provider, &mut None).await;
    assert_eq!(truth(&new), truth(&one));
    assert_eq!(new.manifest_alarm().await.unwrap(), None);
}

#[tokio::test]
async fn attack_19_a_removed_device_and_its_provider_bring_nothing_in() {
    let ([one, two], gone, provider) = removal().await;
    for device in [&one, &two] {
        append(device, "after").await;
        exchange(device, &provider, &mut None).await;
    }
    exchange(&one, &provider, &mut None).await;
    let before = truth(&one);
    // It seals what it likes under the keys that it has, states it, and the provider shows it.
    append(&gone, "made up").await;
    let made_up = push(&gone).await.request;
    assert_eq!(epochs(&made_up), [1]);
    let colluding = Provider::of(provider.log());
    assert!(colluding.push_or_gap(&made_up).is_some());
    let conflict = {
        let mut log = colluding.log.lock().unwrap();
        for envelope in &made_up.documents {
            log.generation += 1;
            let entry = (log.generation, envelope.to_vec());
            log.documents
                .insert(Header::parse(envelope).unwrap().document, entry);
        }
        made_up.documents.clone()
    };
    let request = asked(&one).await;
    let response = colluding.pull(&request);
    engine::handle_pull(&one, request.since, response, NOW)
        .await
        .unwrap();
    let alarm = one.manifest_alarm().await.unwrap().map(|(_, alarm)| alarm);
    assert!(
        matches!(alarm, Some(ManifestAlarm::OldKeys(_))),
        "{alarm:?}"
    );
    assert_eq!(truth(&one), before, "nothing of it is taken");
    assert_eq!(
        one.pulled(),
        Generation(colluding.log().generation),
        "and it does not begin anew"
    );
    // Nor as what a push is said to stand against.
    exchange(&two, &provider, &mut None).await;
    append(&two, "mine").await;
    let (mine, had) = (push(&two).await, truth(&two));
    let current = conflict;
    let answer = PushResponse::Conflict { current };
    engine::handle_push(&two, &mine, answer, NOW).await.unwrap();
    assert_eq!(truth(&two), had);
    // Nor from a provider that makes the device begin anew first.
    one.manifest_alarm_told(NOW).await.unwrap();
    one.provider_was_set_back(NOW).await.unwrap();
    for _ in 0..3 {
        exchange(&one, &colluding, &mut None).await;
    }
    assert_eq!(truth(&one), before);
    let text = ManifestAlarm::OldKeys(Part::Mail).to_string();
    assert!(
        text.contains("keys that your account has given up"),
        "{text}"
    );
}
