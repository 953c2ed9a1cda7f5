//! Real mail of other people through split, seal, IndexedDB and join in a real browser: every
//! message comes back as it was. The build puts the messages into the test if a folder with them
//! stands beside the project; without one the test says that it was skipped.

#![cfg(target_arch = "wasm32")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use letterlock_core::account::{NewMessage, Replica};
use letterlock_core::id::{AccountId, MailboxName, Timestamp};
use letterlock_core::model::FlagSet;
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_core::store::SealedStore;
use letterlock_web::vault::indexeddb_store::IndexedDbStore;
use wasm_bindgen_test::{console_log, wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

const NOW: Timestamp = Timestamp::from_secs(1_777_982_700);
const ARCHIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/corpora.bin"));
/// How many messages the archive has at least, unless it is empty.
const LEAST_MESSAGES: usize = 500;
/// How many messages are appended in one step.
const BATCH: usize = 100;

async fn open() -> Replica<SealedStore<IndexedDbStore>> {
    let store = IndexedDbStore::open("corpora").await.unwrap();
    let root = RootKey::from_octets([7; 32]);
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
    let store = SealedStore::new(store, keys.store_key());
    let replica = Replica::open(store, keys, [3; 32], NOW).await.unwrap();
    replica.create_default_mailboxes(NOW).await.unwrap();
    replica
}

#[wasm_bindgen_test]
async fn every_message_of_the_corpora_comes_back_from_the_browser() {
    let raws = messages(ARCHIVE);
    if raws.is_empty() {
        console_log!("skipped: there was no folder of messages when this was built");
        return;
    }
    let replica = open().await;
    let inbox = replica.mailbox(&MailboxName::inbox()).unwrap().id;
    for batch in raws.chunks(BATCH) {
        let batch: Vec<NewMessage<'_>> = batch
            .iter()
            .map(|raw| NewMessage {
                raw,
                flags: FlagSet::new(),
                internal_date: NOW,
            })
            .collect();
        replica.append_all(inbox, &batch, None, NOW).await.unwrap();
    }
    drop(replica);
    let replica = open().await;
    let placements = replica.placements(inbox);
    assert_eq!(placements.len(), raws.len());
    for (placement, raw) in placements.iter().zip(&raws) {
        let message = replica.message(placement.message).await.unwrap().unwrap();
        assert!(
            replica.raw(&message).await.unwrap() == *raw,
            "{}",
            placement.uid
        );
    }
    let report = replica.check().await.unwrap();
    assert_eq!(report.findings, []);
    console_log!(
        "{} messages, {} of them different",
        raws.len(),
        report.messages
    );
    assert!(raws.len() >= LEAST_MESSAGES, "only {} messages", raws.len());
}

/// The messages of an archive: for each its length, four octets, big-endian, and its octets.
fn messages(mut archive: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    while let Some((length, rest)) = archive.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
        let (message, rest) = rest.split_at(length);
        messages.push(message);
        archive = rest;
    }
    messages
}
