//! A client whose command takes long is told how far it is (RFC 9585).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use letterlock_core::account::Account;
use letterlock_core::id::{AccountId, Address, MailboxName};
use letterlock_core::model::FlagSet;
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_core::store::{Batch, Key, KeyRange, MemoryStore, Store, StoreError, Table};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accounts::{Accounts, Grant, LoginRefused, Peer, Salt};
use super::conn::{Server, serve};
use super::transcripts::now;
use crate::scram::{Attempt, Hash};

/// How long a slow disk takes for a row.
const A_ROW: Duration = Duration::from_millis(40);
const TELL_EVERY: Duration = Duration::from_millis(10);

/// A store that takes its time, once it is told to.
struct Slow(MemoryStore, Arc<AtomicBool>);

impl Store for Slow {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if self.1.load(Ordering::Relaxed) {
            tokio::time::sleep(A_ROW).await;
        }
        self.0.get(table, key).await
    }

    async fn scan(&self, table: Table, range: KeyRange) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.0.scan(table, range).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.0.commit(batch).await
    }
}

struct Anybody(Arc<Account<Slow>>);

impl Accounts for Anybody {
    type Store = Slow;

    async fn log_in(&self, _: &[u8], _: &[u8], _: Peer) -> Result<Grant<Slow>, LoginRefused> {
        Ok(Grant {
            account: Arc::clone(&self.0),
            revoked: CancellationToken::new(),
            behind: watch::Sender::new(false).subscribe(),
            room: watch::Sender::new(None).subscribe(),
        })
    }

    fn salt(&self, _user: &str) -> Salt {
        Salt {
            salt: Vec::new(),
            iterations: 1,
        }
    }

    async fn prove(
        &self,
        _attempt: &Attempt,
        _peer: Peer,
    ) -> Result<(Grant<Slow>, Hash), LoginRefused> {
        Err(LoginRefused::Wrong)
    }
}

#[tokio::test]
async fn a_search_that_takes_long_tells_how_far_it_is() {
    let slow = Arc::new(AtomicBool::new(false));
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::from_octets([2; 32]));
    let address = Address::new("alice@letterlock.example").unwrap();
    let store = Slow(MemoryStore::new(), Arc::clone(&slow));
    let account = Account::open(store, address, keys, [3; 32], now()).await;
    let account = account.unwrap();
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
    for number in 0..4 {
        let raw = format!("Subject: {number}\r\n\r\nhi");
        let appended = account.append(inbox, raw.as_bytes(), FlagSet::new(), now(), now());
        appended.await.unwrap();
    }
    let server = Server::new(Anybody(Arc::new(account)), now).telling_every(TELL_EVERY);
    let (near, far) = tokio::io::duplex(4096);
    TaskTracker::new().spawn(async move { serve(&server, far, &CancellationToken::new()).await });
    let mut pipe = BufReader::new(near);
    pipe.write_all(b"a LOGIN x y\r\nb SELECT INBOX\r\n")
        .await
        .unwrap();
    let mut line = String::new();
    while !line.starts_with("b OK") {
        line.clear();
        pipe.read_line(&mut line).await.unwrap();
    }
    slow.store(true, Ordering::Relaxed);
    pipe.write_all(b"c SEARCH NOT HEADER X-Nothing there\r\n")
        .await
        .unwrap();
    let mut told = Vec::new();
    loop {
        line.clear();
        pipe.read_line(&mut line).await.unwrap();
        let Some(rest) = line.strip_prefix("* OK [INPROGRESS (\"c\" ") else {
            break;
        };
        let (state, text) = rest.split_once(")] ").unwrap();
        assert_eq!(text, "Still at it\r\n");
        told.push(state.to_owned());
    }
    assert_eq!(line, "* SEARCH 1 2 3 4\r\n");
    let counts: Vec<u32> = told
        .iter()
        .filter_map(|state| state.strip_suffix(" 4"))
        .map(|done| done.parse().unwrap())
        .collect();
    assert!(counts.len() > 2, "{told:?}");
    assert!(
        counts.is_sorted() && counts.iter().all(|done| *done < 4),
        "{told:?}"
    );
}
