//! IndexedDB in a real browser: the conformance suite that every backend passes, and what is
//! special to this one. Runs in a dedicated worker of headless Chromium.

#![cfg(target_arch = "wasm32")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use letterlock_core::store::{Batch, SealedStore, Store, StoreError, Table, conformance};
use letterlock_web::vault::indexeddb_store::IndexedDbStore;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

#[wasm_bindgen_test]
async fn conforms() {
    conformance::run(IndexedDbStore::open("conformance").await.unwrap()).await;
}

#[wasm_bindgen_test]
async fn conforms_when_sealed() {
    let store = IndexedDbStore::open("conformance-sealed").await.unwrap();
    conformance::run(SealedStore::new(store, &[7; 32])).await;
}

#[wasm_bindgen_test]
async fn what_is_committed_is_there_after_reopening() {
    let store = IndexedDbStore::open("reopened").await.unwrap();
    let mut batch = Batch::new();
    batch.put(Table::Meta, b"k", b"v");
    store.commit(batch).await.unwrap();
    drop(store);
    let store = IndexedDbStore::open("reopened").await.unwrap();
    let value = store.get(Table::Meta, b"k").await.unwrap();
    assert_eq!(value.as_deref(), Some(&b"v"[..]));
}

#[wasm_bindgen_test]
async fn of_two_writers_that_expect_the_same_one_wins() {
    let one = IndexedDbStore::open("two-writers").await.unwrap();
    let two = IndexedDbStore::open("two-writers").await.unwrap();
    let batch = |value: &[u8]| {
        let mut batch = Batch::new();
        batch.expect(Table::Meta, b"counter", None);
        batch.put(Table::Meta, b"counter", value);
        batch
    };
    let (first, second) = futures::join!(one.commit(batch(b"1")), two.commit(batch(b"2")));
    let conflicts = [&first, &second]
        .iter()
        .filter(|result| matches!(result, Err(StoreError::Conflict)))
        .count();
    assert_eq!(conflicts, 1, "{first:?} {second:?}");
    let winner: &[u8] = if first.is_ok() { b"1" } else { b"2" };
    let stored = one.get(Table::Meta, b"counter").await.unwrap();
    assert_eq!(stored.as_deref(), Some(winner));
}
