//! Intake, submissions and the relay.

use std::collections::BTreeSet;
use std::fs;

use letterlock_core::id::{Address, OutboxId};
use letterlock_core::sync::wire::{Entry, Submission};
use letterlock_server::provider::DeliverError;
use serde_bytes::ByteBuf;

use super::backend;
use super::world::{NOW, User, World, address, assert_error, letters, peer};

const MESSAGE: &[u8] = b"From: bob@example.org\r\nSubject: secret plans\r\n\r\nhello\r\n";

#[tokio::test]
async fn a_message_is_sealed_under_trace_fields() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let detail = address("Alice+lists");
    world.deliver(&detail, MESSAGE).await;
    let pulled = world.pull(&alice, 1, 0).await;
    let [
        Entry::Incoming {
            id, received_at, ..
        },
    ] = pulled.entries[..]
    else {
        panic!("one message expected");
    };
    assert_eq!(received_at, NOW);
    let expected = format!(
        "Return-Path: <bob@example.org>\r\n\
         Delivered-To: Alice+lists@letterlock.example\r\n\
         Received: from mx.example.org ([192.0.2.1]) by letterlock.example with LMTP id {id}\r\n \
         for <Alice+lists@letterlock.example>; Mon, 01 Jun 2026 00:00:00 +0000\r\n"
    );
    let opened = letters(&alice, &pulled.entries);
    assert_eq!(opened, [[expected.as_bytes(), MESSAGE].concat()]);
    // Nothing on the disk has a word of it.
    for file in all_files(dir.path()) {
        let octets = fs::read(&file).unwrap();
        let shows = octets.windows(12).any(|w| w == b"secret plans");
        assert!(!shows, "{}", file.display());
    }
}

#[tokio::test]
async fn refusals_are_permanent_only_if_the_sender_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let recipients = [
        address("nobody"),
        alice.address.clone(),
        Address::new("alice@example.org").unwrap(),
    ];
    let results = world
        .provider
        .deliver_all(None, &recipients, MESSAGE, &peer(), NOW)
        .await;
    assert!(matches!(
        results[..],
        [
            Err(DeliverError::UnknownRecipient),
            Ok(()),
            Err(DeliverError::NotLocal)
        ]
    ));
    assert!(
        world
            .provider
            .check_recipient(&address("ALICE+x"))
            .await
            .is_ok()
    );
    assert!(
        world
            .provider
            .check_recipient(&address("nobody"))
            .await
            .unwrap_err()
            .is_permanent()
    );
    let large = vec![b'x'; letterlock_core::sync::wire::MAX_MESSAGE_OCTETS + 1];
    let error = world
        .provider
        .deliver(None, &alice.address, &large, &peer(), NOW)
        .await;
    assert!(matches!(error, Err(DeliverError::TooLarge)));
    // Without a certificate the sender has to wait, and nothing is stored as it is.
    backend::execute(dir.path(), "DELETE FROM keys");
    let error = world
        .provider
        .deliver(None, &alice.address, MESSAGE, &peer(), NOW)
        .await;
    assert!(!error.as_ref().unwrap_err().is_permanent());
    assert!(matches!(error, Err(DeliverError::NoCertificate)));
    let count = world.provider.incoming_count(&alice.address).await.unwrap();
    assert_eq!(count, Some(1));
}

#[tokio::test]
async fn a_submission_reaches_local_and_foreign_recipients_once() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let bob = world.sign_up("bob").await;
    let submission = submission(
        &alice,
        &[
            "bob@letterlock.example",
            "BOB+x@letterlock.example",
            "carol@example.org",
            "dave@example.net",
        ],
    );
    for _ in 0..3 {
        let response = world.post(&alice, "/api/v1/outbox", &submission).await;
        assert_eq!(response.status(), 202);
    }
    let (one, two) = tokio::join!(
        world.post(&alice, "/api/v1/outbox", &submission),
        world.post(&alice, "/api/v1/outbox", &submission),
    );
    assert_eq!((one.status().as_u16(), two.status().as_u16()), (202, 202));
    let received = letters(&bob, &world.pull(&bob, 0, 0).await.entries);
    assert_eq!(received.len(), 1);
    assert!(received[0].starts_with(b"Return-Path: <alice@letterlock.example>\r\n"));
    assert!(received[0].ends_with(MESSAGE));
    let outgoing = dir.path().join("outgoing");
    let names: BTreeSet<_> = all_files(&outgoing)
        .into_iter()
        .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let id = submission.id;
    assert_eq!(
        names,
        BTreeSet::from([format!("{id}.eml"), format!("{id}.json")])
    );
    assert_eq!(
        fs::read(outgoing.join(format!("{id}.eml"))).unwrap(),
        MESSAGE
    );
    let sidecar = fs::read(outgoing.join(format!("{id}.json"))).unwrap();
    let sidecar: serde_json::Value = serde_json::from_slice(&sidecar).unwrap();
    let expected = serde_json::json!({
        "version": 1,
        "reverse_path": "alice@letterlock.example",
        "forward_paths": ["carol@example.org", "dave@example.net"],
    });
    assert_eq!(sidecar, expected);
}

#[tokio::test]
async fn a_submission_is_all_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let bob = world.sign_up("bob").await;
    let post =
        async |submission: &Submission| world.post(&alice, "/api/v1/outbox", submission).await;
    let unknown = submission(&alice, &["bob@letterlock.example", "x@letterlock.example"]);
    assert_error(post(&unknown).await, 422, "unknown_recipient").await;
    assert_error(post(&submission(&alice, &[])).await, 400, "recipients").await;
    let forged = submission(&bob, &["bob@letterlock.example"]);
    assert_error(post(&forged).await, 403, "wrong_sender").await;
    assert_eq!(
        world.provider.incoming_count(&bob.address).await.unwrap(),
        Some(0)
    );
    // The id was not used up by the refusal.
    let mut mended = unknown;
    mended.forward_paths.pop();
    assert_eq!(post(&mended).await.status(), 202);
    assert_eq!(
        world.provider.incoming_count(&bob.address).await.unwrap(),
        Some(1)
    );
}

#[tokio::test]
async fn the_queue_waits_for_a_relay_that_fails() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let outgoing = dir.path().join("outgoing");
    // A file in the place of the folder: writing fails, for root too.
    fs::remove_dir(&outgoing).unwrap();
    fs::write(&outgoing, b"").unwrap();
    let mut first = submission(&alice, &["carol@example.org"]);
    // Large enough to wait in a file.
    first.message = ByteBuf::from(MESSAGE.repeat(2000));
    let response = world.post(&alice, "/api/v1/outbox", &first).await;
    assert_eq!(response.status(), 202);
    world.stop().await;
    fs::remove_file(&outgoing).unwrap();
    let world = World::start(dir.path()).await;
    let eml = outgoing.join(format!("{}.eml", first.id));
    for _ in 0..200 {
        if eml.exists() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(fs::read(eml).unwrap(), first.message.to_vec());
    world.stop().await;
    assert!(all_files(&dir.path().join("blobs")).is_empty());
}

fn submission(from: &User, to: &[&str]) -> Submission {
    Submission {
        id: OutboxId::new(rand::random()),
        reverse_path: from.address.clone(),
        forward_paths: to.iter().map(|to| Address::new(to).unwrap()).collect(),
        message: ByteBuf::from(MESSAGE),
    }
}

fn all_files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(all_files(&path));
        } else {
            files.push(path);
        }
    }
    files
}
