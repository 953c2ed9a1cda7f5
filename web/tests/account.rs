//! A whole account over IndexedDB in a real browser: appended, closed, opened again, read; and
//! nothing of it is readable at rest.

#![cfg(target_arch = "wasm32")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use letterlock_core::account::Account;
use letterlock_core::id::{AccountId, Address, MailboxName, Timestamp};
use letterlock_core::model::FlagSet;
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_core::store::{KeyRange, SealedStore, Store, Table};
use letterlock_web::protocol::{Body, Place, Response};
use letterlock_web::vault::indexeddb_store::IndexedDbStore;
use letterlock_web::vault::mail;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

const LETTER: &[u8] = b"From: bob@letterlock.example\r\nSubject: A secret subject\r\n\
    Date: Tue, 5 May 2026 12:05:00 +0000\r\n\r\nA secret text.\r\n";
const NOW: Timestamp = Timestamp::from_secs(1_777_982_700);

async fn open(name: &str) -> Account<SealedStore<IndexedDbStore>> {
    let store = IndexedDbStore::open(name).await.unwrap();
    let root = RootKey::from_octets([7; 32]);
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
    let store = SealedStore::new(store, keys.store_key());
    let address = Address::new("alice@letterlock.example").unwrap();
    Account::open(store, address, keys, [3; 32], NOW)
        .await
        .unwrap()
}

#[wasm_bindgen_test]
async fn a_letter_survives_closing_and_is_sealed_at_rest() {
    let account = open("account").await;
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
    account
        .append(inbox, LETTER, FlagSet::new(), NOW, NOW)
        .await
        .unwrap();
    drop(account);

    let account = open("account").await;
    let placement = account.placements(inbox)[0].clone();
    let message = account.message(placement.message).await.unwrap().unwrap();
    assert_eq!(
        account.raw(&message).await.unwrap(),
        LETTER,
        "byte for byte"
    );
    let place = Place {
        mailbox: inbox.to_string(),
        uid: placement.uid.get(),
    };
    match mail::message(&account, &place).await {
        Ok(Response::Message(view)) => {
            assert_eq!(view.subject, "A secret subject");
            assert_eq!(view.body, Body::Text("A secret text.\n".to_owned()));
        }
        other => panic!("{other:?}"),
    }

    let at_rest = IndexedDbStore::open("account").await.unwrap();
    let mut rows = 0;
    for table in Table::ALL {
        for (key, value) in at_rest.scan(table, KeyRange::all()).await.unwrap() {
            let octets = [key, value].concat();
            assert!(
                !octets.windows(6).any(|window| window == b"secret"),
                "{}",
                table.name()
            );
            rows += 1;
        }
    }
    assert!(rows > 5, "only {rows} rows were looked at");
}
