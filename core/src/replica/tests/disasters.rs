//! What must not stop an account: messages that grew too large, a provider that was set back.

use super::*;
use crate::id::IncomingId;
use crate::manifest::{ManifestAlarm, Part};
use crate::sync::wire::{MAX_DOCUMENT_OCTETS, MAX_MESSAGE_OCTETS};

fn incoming(generation: u64) -> IncomingMessage {
    IncomingMessage {
        id: IncomingId::new([7; 16]),
        generation: Generation(generation),
        received_at: NOW,
        problem: None,
        message: Vec::new(),
    }
}

async fn arrive(device: &Replica<MemoryStore>, rendered: &[u8]) -> Result<(), ReplicaError> {
    let taken = Arrived {
        rendered,
        received: None,
        protection: Protection::NONE,
        contact: None,
        unjudged: None,
    };
    device.take_in(&incoming(1), taken, NOW).await.map(drop)
}

#[tokio::test]
async fn the_largest_accepted_message_is_taken_in_with_its_trace_fields() {
    let device = device(1).await;
    let mut message = b"Received: from somewhere\r\n\r\n".to_vec();
    message.resize(MAX_MESSAGE_OCTETS + 500, b'a');
    arrive(&device, &message).await.unwrap();
    assert_eq!(inbox(&device).messages, 1);
    // What mail programs put there is held to the limit itself.
    let appended = device.append(inbox(&device).id, &message, FlagSet::new(), NOW, NOW);
    let error = appended.await.unwrap_err();
    assert!(matches!(error, ReplicaError::MessageTooLarge));
}

#[tokio::test]
async fn a_header_of_any_length_is_taken_in() {
    let device = device(1).await;
    let mut message = b"X: ".to_vec();
    message.resize(MAX_DOCUMENT_OCTETS + 1, b'a');
    arrive(&device, &message).await.unwrap();
    let placement = device.placements(inbox(&device).id).remove(0);
    let stored = device.message(placement.message).await.unwrap().unwrap();
    assert!(device.raw(&stored).await.unwrap() == message);
}

async fn step(device: &Replica<MemoryStore>, provider: &Provider) {
    let request = asked(device).await;
    let response = provider.pull(&request);
    engine::handle_pull(device, request.since, response, NOW)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_provider_that_was_set_back_gets_everything_again() {
    let (device, provider) = (device(1).await, Provider::default());
    let id = inbox(&device).id;
    let none = FlagSet::new();
    let first = device
        .append(id, LETTER, none.clone(), NOW, NOW)
        .await
        .unwrap();
    exchange(&device, &provider, &mut None).await;
    let backup = provider.log.lock().unwrap().documents.clone();
    let generation = provider.log.lock().unwrap().generation;
    // After the backup: a flag, and another message whose placement has a second revision.
    let seen = flags(&[Flag::Seen]);
    device
        .store_flags(id, &[first.uid], FlagChange::Add, &seen, NOW)
        .await
        .unwrap();
    let other = b"Subject: other\r\n\r\nNew.\r\n";
    let second = device.append(id, other, none, NOW, NOW).await.unwrap();
    exchange(&device, &provider, &mut None).await;
    device
        .store_flags(id, &[second.uid], FlagChange::Add, &seen, NOW)
        .await
        .unwrap();
    exchange(&device, &provider, &mut None).await;
    {
        let mut log = provider.log.lock().unwrap();
        log.documents = backup;
        log.generation = generation;
    }
    for _ in 0..20 {
        step(&device, &provider).await;
    }
    assert!(device.pulled() <= Generation(generation));
    exchange(&device, &provider, &mut None).await;
    let fresh = super::device(2).await;
    exchange(&fresh, &provider, &mut None).await;
    assert_eq!(truth(&fresh), truth(&device));
    assert_eq!(inbox(&fresh).unseen, 0);
    assert_eq!(inbox(&fresh).messages, 2);
}

#[tokio::test]
async fn a_conflict_with_an_older_revision_is_resolved_and_not_repeated() {
    let (device, provider) = (device(1).await, Provider::default());
    let id = inbox(&device).id;
    let letter = device
        .append(id, LETTER, FlagSet::new(), NOW, NOW)
        .await
        .unwrap();
    exchange(&device, &provider, &mut None).await;
    let backup = provider.log.lock().unwrap().documents.clone();
    for flag in [Flag::Seen, Flag::Flagged] {
        let set = flags(&[flag]);
        device
            .store_flags(id, &[letter.uid], FlagChange::Add, &set, NOW)
            .await
            .unwrap();
        exchange(&device, &provider, &mut None).await;
    }
    provider.log.lock().unwrap().documents = backup;
    let set = flags(&[Flag::Answered]);
    device
        .store_flags(id, &[letter.uid], FlagChange::Add, &set, NOW)
        .await
        .unwrap();
    let push = device.pending_push().await.unwrap().unwrap();
    let response = provider.push(&push.request);
    assert!(matches!(response, PushResponse::Conflict { .. }));
    engine::handle_push(&device, &push, response, NOW)
        .await
        .unwrap();
    let alarm = device.manifest_alarm().await.unwrap();
    assert_eq!(alarm, Some((1, ManifestAlarm::Older(Part::Statements))));
    // What it has is heard before anything is pushed after it.
    assert!(device.pending_push().await.unwrap().is_none());
    exchange(&device, &provider, &mut None).await;
    assert!(!device.has_pending().await.unwrap());
}

#[tokio::test]
async fn a_uid_never_stands_for_another_message() {
    let provider = Provider::default();
    let (one, two) = (device(1).await, device(2).await);
    // One of them knew the signer, the other did not.
    arrive(&one, b"X-Judged: one\r\n\r\nbody\r\n")
        .await
        .unwrap();
    arrive(&two, b"X-Judged: two\r\n\r\nbody\r\n")
        .await
        .unwrap();
    let before = [&one, &two].map(|d| d.placements(inbox(d).id).remove(0));
    for _ in 0..2 {
        exchange(&one, &provider, &mut None).await;
        exchange(&two, &provider, &mut None).await;
    }
    let after = [&one, &two].map(|d| d.placements(inbox(d).id));
    assert_eq!((after[0].len(), after[1].len()), (1, 1));
    assert_eq!(after[0][0].message, after[1][0].message);
    for (before, after) in before.iter().zip(&after) {
        let same = before.message == after[0].message;
        assert_eq!(same, before.uid == after[0].uid);
    }
}
