//! Push, pull, documents by id.

use std::time::Duration;

use letterlock_core::id::{CollectionId, DocId, Generation, IncomingId};
use letterlock_core::sync::wire::{
    BATCH_OCTETS, DocumentsRequest, DocumentsResponse, Entry, PullRequest, PullResponse,
    PushRequest, PushResponse,
};
use serde_bytes::ByteBuf;

use super::world::{World, assert_error, cbor, envelope, envelopes, letters};

#[tokio::test]
async fn what_is_pushed_is_pulled_once_at_its_newest() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let first = envelope(alice.account, 1, 1, b"one");
    let second = envelope(alice.account, 1, 2, b"two");
    let other = envelope(alice.account, 0x21, 1, b"other");
    let response = world.push(&alice, &[first.clone(), other.clone()]).await;
    let accepted: PushResponse = cbor(response).await;
    let generation = Generation(3);
    assert_eq!(accepted, PushResponse::Accepted { generation });
    assert_eq!(
        world
            .push(&alice, std::slice::from_ref(&second))
            .await
            .status(),
        200
    );
    let pulled = world.pull(&alice, 1, 0).await;
    assert_eq!(envelopes(&pulled.entries), [other.clone(), second.clone()]);
    assert_eq!((pulled.until, pulled.more), (Generation(4), false));
    assert!(world.pull(&alice, 4, 0).await.entries.is_empty());
    // One collection alone; the cursor passes what was left out.
    let request = PullRequest {
        since: Generation(0),
        collections: vec![CollectionId::new([2; 16])],
        rewritten: Vec::new(),
        wait_ms: 0,
    };
    let response = world.post(&alice, "/api/v1/sync/pull", &request).await;
    let pulled: PullResponse = cbor(response).await;
    assert_eq!(envelopes(&pulled.entries), std::slice::from_ref(&other));
    assert_eq!(pulled.until, Generation(4));
    // Of another what was stored more than once.
    let again = envelope(alice.account, 2, 1, b"once");
    assert_eq!(world.push(&alice, &[again]).await.status(), 200);
    let request = PullRequest {
        rewritten: vec![CollectionId::new([0; 16])],
        ..request
    };
    let response = world.post(&alice, "/api/v1/sync/pull", &request).await;
    let pulled: PullResponse = cbor(response).await;
    assert_eq!(envelopes(&pulled.entries), [other, second]);
    assert_eq!(pulled.until, Generation(5));
}

#[tokio::test]
async fn a_repeated_push_changes_nothing_and_another_one_conflicts() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    // One in the row and one in a file.
    for (document, size) in [(1, 100), (2, 100_000)] {
        let mine = envelope(alice.account, document, 1, &vec![1; size]);
        let theirs = envelope(alice.account, document, 1, &vec![2; size]);
        let fresh = envelope(alice.account, document + 0x80, 1, b"fresh");
        let once: PushResponse = cbor(world.push(&alice, std::slice::from_ref(&mine)).await).await;
        let again: PushResponse = cbor(world.push(&alice, std::slice::from_ref(&mine)).await).await;
        assert_eq!(once, again);
        let before = world.pull(&alice, 0, 0).await;
        let conflict = world.push(&alice, &[fresh, theirs]).await;
        assert_eq!(conflict.status(), 409);
        let current = vec![ByteBuf::from(mine)];
        assert_eq!(
            cbor::<PushResponse>(conflict).await,
            PushResponse::Conflict { current }
        );
        // All or nothing: the fresh one is not there either.
        assert_eq!(world.pull(&alice, 0, 0).await, before);
    }
    let gap = envelope(alice.account, 7, 5, b"x");
    assert_error(world.push(&alice, &[gap]).await, 400, "revision_gap").await;
}

#[tokio::test]
async fn another_accounts_documents_are_out_of_reach() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let bob = world.sign_up("bob").await;
    let forged = envelope(alice.account, 1, 1, b"x");
    assert_error(world.push(&bob, &[forged]).await, 403, "foreign_account").await;
    assert_error(world.push(&bob, &[vec![0; 200]]).await, 400, "malformed").await;
    // The same document id in two accounts is two documents.
    let mine = envelope(alice.account, 1, 1, b"alice");
    assert_eq!(
        world
            .push(&alice, std::slice::from_ref(&mine))
            .await
            .status(),
        200
    );
    let his = envelope(bob.account, 1, 1, b"bob");
    assert_eq!(
        world.push(&bob, std::slice::from_ref(&his)).await.status(),
        200
    );
    let request = DocumentsRequest {
        ids: vec![DocId::new([77; 16]), DocId::new([1; 16])],
    };
    let response = world.post(&bob, "/api/v1/sync/documents", &request).await;
    let found: DocumentsResponse = cbor(response).await;
    assert_eq!(found.envelopes, [ByteBuf::from(his)]);
}

#[tokio::test]
async fn a_pull_waits_for_news() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let since = world.pull(&alice, 0, 0).await.until.0;
    let patience = Duration::from_secs(20);
    let waiting = tokio::time::timeout(patience, world.pull(&alice, since, 50_000));
    let document = envelope(alice.account, 1, 1, b"news");
    let (pulled, pushed) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.push(&alice, std::slice::from_ref(&document)).await
    });
    assert_eq!(pushed.status(), 200);
    assert_eq!(envelopes(&pulled.unwrap().entries), [document]);
    // A message wakes too, and so does the end of the provider.
    let waiting = tokio::time::timeout(patience, world.pull(&alice, since + 1, 50_000));
    let (pulled, ()) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world
            .deliver(&alice.address, b"Subject: x\r\n\r\nhello\r\n")
            .await;
    });
    assert_eq!(letters(&alice, &pulled.unwrap().entries).len(), 1);
    let waiting = tokio::time::timeout(patience, world.pull(&alice, since + 2, 50_000));
    let (pulled, ()) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.provider.close();
    });
    assert!(pulled.unwrap().entries.is_empty());
}

#[tokio::test]
async fn long_logs_come_in_batches() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let mut pushed = Vec::new();
    for document in 0..7 {
        let large = envelope(
            alice.account,
            document,
            1,
            &vec![document; BATCH_OCTETS / 3],
        );
        assert_eq!(
            world
                .push(&alice, std::slice::from_ref(&large))
                .await
                .status(),
            200
        );
        pushed.push(large);
    }
    let (mut since, mut found, mut calls) = (1, Vec::new(), 0);
    loop {
        let pulled = world.pull(&alice, since, 0).await;
        found.extend(envelopes(&pulled.entries));
        since = pulled.until.0;
        calls += 1;
        if !pulled.more {
            break;
        }
    }
    assert_eq!((found == pushed, calls), (true, 4));
    let ids = (0..7).map(|document| DocId::new([document; 16])).collect();
    let request = DocumentsRequest { ids };
    let response = world.post(&alice, "/api/v1/sync/documents", &request).await;
    assert_eq!(cbor::<DocumentsResponse>(response).await.envelopes.len(), 2);
}

#[tokio::test]
async fn incoming_mail_is_removed_with_what_it_became() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    world
        .deliver(&alice.address, b"Subject: x\r\n\r\nhello\r\n")
        .await;
    let pulled = world.pull(&alice, 1, 0).await;
    let [Entry::Incoming { id, .. }] = pulled.entries[..] else {
        panic!("one message expected");
    };
    let push = PushRequest {
        documents: vec![envelope(alice.account, 1, 1, b"the message").into()],
        remove_incoming: vec![id, IncomingId::new([7; 16])],
    };
    for _ in 0..2 {
        let response = world.post(&alice, "/api/v1/sync/push", &push).await;
        let accepted: PushResponse = cbor(response).await;
        assert!(matches!(accepted, PushResponse::Accepted { .. }));
    }
    let later = world.pull(&alice, pulled.until.0, 0).await;
    assert!(later.entries.contains(&Entry::IncomingRemoved { id }));
    assert_eq!((later.entries.len(), later.until), (2, Generation(4)));
    // A new device does not hear of what is gone.
    assert_eq!(world.pull(&alice, 0, 0).await.entries.len(), 2);
    let count = world.provider.incoming_count(&alice.address).await.unwrap();
    assert_eq!(count, Some(1));
}
