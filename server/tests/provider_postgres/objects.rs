//! Large values in an S3-compatible store.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use letterlock_core::auth::wire::AccountDelete;
use letterlock_server::provider::{BlobPlace, ProviderConfig};

use super::store::Store;
use super::world::{PASSWORD, World, assert_error, config, envelope, envelopes, letters};

fn with(store: &Store, data_dir: &Path) -> ProviderConfig {
    let mut config = config(data_dir);
    config.blobs = BlobPlace::Bucket(Box::new(store.config()));
    config
}

/// Waits until the store has so many objects: they are removed a moment after their rows.
async fn wait_for(store: &Store, count: usize) {
    for _ in 0..400 {
        if store.objects().len() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{:?}", store.objects());
}

#[tokio::test(flavor = "multi_thread")]
async fn large_values_come_and_go_with_their_rows() {
    let dir = tempfile::tempdir().unwrap();
    let Some(store) = Store::start(&dir.path().join("store")) else {
        return;
    };
    let data_dir = dir.path().join("provider");
    let world = World::with(with(&store, &data_dir)).await;
    let alice = world.sign_up("alice").await;
    let large: Vec<_> = (1..=30)
        .map(|document| envelope(alice.account, document, 1, &vec![document; 70_000]))
        .collect();
    assert_eq!(world.push(&alice, &large).await.status(), 200);
    let message = [&b"Subject: x\r\n\r\n"[..], &vec![b'y'; 100_000]].concat();
    world.deliver(&alice.address, &message).await;
    assert_eq!(store.objects().len(), 31);
    assert!(!data_dir.join("blobs").exists());
    world.stop().await;
    let world = World::with(with(&store, &data_dir)).await;
    let shown = world.pull(&alice, 0, 0).await.entries;
    let found = envelopes(&shown);
    assert!(large.iter().all(|one| found.contains(one)));
    assert!(letters(&alice, &shown)[0].ends_with(&message));
    // The same again changes nothing, and leaves nothing behind.
    assert_eq!(world.push(&alice, &large).await.status(), 200);
    wait_for(&store, 31).await;
    let small = envelope(alice.account, 1, 2, b"small");
    assert_eq!(world.push(&alice, &[small]).await.status(), 200);
    wait_for(&store, 30).await;
    let proof = world.prove(&alice.address, PASSWORD).await.unwrap();
    let path = "/api/v1/account/delete";
    let deleted = world
        .post_with(path, &alice.token, &AccountDelete { proof })
        .await;
    assert_eq!(deleted.status(), 200);
    wait_for(&store, 0).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_refuses_what_is_large_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut store) = Store::start(&dir.path().join("store")) else {
        return;
    };
    let world = World::with(with(&store, &dir.path().join("provider"))).await;
    let alice = world.sign_up("alice").await;
    store.kill();
    let large = envelope(alice.account, 1, 1, &vec![1; 70_000]);
    let refused = world.push(&alice, std::slice::from_ref(&large)).await;
    assert_error(refused, 500, "internal").await;
    let small = envelope(alice.account, 2, 1, b"small");
    assert_eq!(world.push(&alice, &[small]).await.status(), 200);
    store.restart();
    let stored = world.push(&alice, std::slice::from_ref(&large)).await;
    assert_eq!(stored.status(), 200);
    let shown = world.pull(&alice, 0, 0).await.entries;
    assert!(envelopes(&shown).contains(&large));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_row_names_goes_when_it_is_old() {
    let dir = tempfile::tempdir().unwrap();
    let Some(store) = Store::start(&dir.path().join("store")) else {
        return;
    };
    let data_dir = dir.path().join("provider");
    let world = World::with(with(&store, &data_dir)).await;
    let alice = world.sign_up("alice").await;
    let large = envelope(alice.account, 1, 1, &vec![1; 70_000]);
    assert_eq!(world.push(&alice, &[large]).await.status(), 200);
    world.stop().await;
    let named = store.objects().remove(0);
    let folder = named.parent().unwrap().to_owned();
    let (old, young) = (folder.join("00".repeat(16)), folder.join("11".repeat(16)));
    let foreign = folder.join("README");
    for path in [&old, &young, &foreign] {
        std::fs::write(path, b"x").unwrap();
    }
    // The test's clock is not the store's: two days before it, and now.
    for path in [&named, &old, &foreign] {
        let touched = Command::new("touch")
            .args(["-d", "2026-05-29"])
            .arg(path)
            .status();
        assert!(touched.unwrap().success());
    }
    let world = World::with(with(&store, &data_dir)).await;
    wait_for(&store, 3).await;
    let left = [&named, &young, &foreign].map(|path| path.exists());
    assert_eq!((left, old.exists()), ([true; 3], false));
    world.stop().await;
}

#[tokio::test]
async fn a_wrong_key_is_told_at_the_start_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let Some(store) = Store::start(&dir.path().join("store")) else {
        return;
    };
    let mut config = with(&store, &dir.path().join("provider"));
    let mut bucket = store.config();
    bucket.secret = "whisper".to_owned();
    config.blobs = BlobPlace::Bucket(Box::new(bucket));
    let opened = letterlock_server::provider::Provider::open(
        config,
        letterlock_server::clock::Clock::system(),
    );
    let error = opened.await.err().unwrap().to_string();
    assert!(
        error.starts_with("S3 bucket mail at http://127.0.0.1:"),
        "{error}"
    );
    assert!(!error.contains("whisper"), "{error}");
}
