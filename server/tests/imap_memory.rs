//! A large message comes in by APPEND and goes out by FETCH, over a slow pipe and a store on disk,
//! without being in memory. Alone in its file: the peak is that of a whole process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use letterlock_core::account::Account;
use letterlock_core::id::{AccountId, Address, Timestamp};
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_server::bridge::sqlite_store::SqliteStore;
use letterlock_server::imap::{Accounts, Grant, LoginRefused, Peer, Salt, Server, serve};
use letterlock_server::scram::{Attempt, Hash};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Octets of the message.
const SIZE: usize = 64 * 1024 * 1024;
/// Most memory above the baseline, in octets.
const MOST_OCTETS: u64 = 40 * 1024 * 1024;

fn now() -> Timestamp {
    Timestamp::from_secs(1_777_982_700)
}

/// Everybody has this account.
struct Anybody(Arc<Account<SqliteStore>>);

impl Accounts for Anybody {
    type Store = SqliteStore;

    async fn log_in(
        &self,
        _user: &[u8],
        _password: &[u8],
        _peer: Peer,
    ) -> Result<Grant<SqliteStore>, LoginRefused> {
        Ok(Grant {
            account: Arc::clone(&self.0),
            revoked: CancellationToken::new(),
            behind: watch::Sender::new(false).subscribe(),
            room: watch::Sender::new(None).subscribe(),
        })
    }

    fn salt(&self, _user: &str) -> Salt {
        Salt {
            salt: vec![0],
            iterations: 1,
        }
    }

    async fn prove(
        &self,
        _attempt: &Attempt,
        _peer: Peer,
    ) -> Result<(Grant<SqliteStore>, Hash), LoginRefused> {
        Err(LoginRefused::Wrong)
    }
}

#[tokio::test]
async fn a_large_message_passes_through() {
    letterlock_server::heap::keep_small();
    if memory("VmHWM").is_none() {
        println!("skipped: this system does not tell a process's peak of memory");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = RootKey::from_octets([7; 32]);
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
    let path = folder.path().join("replica.db");
    let store = SqliteStore::open(&path, keys.store_key()).unwrap();
    let address = Address::new("alice@letterlock.example").unwrap();
    let account = Account::open(store, address, keys, [3; 32], now());
    let server = Server::new(Anybody(Arc::new(account.await.unwrap())), now);
    let (mut near, far) = tokio::io::duplex(64 * 1024);
    let task = TaskTracker::new()
        .spawn(async move { serve(&server, far, &CancellationToken::new()).await });
    let baseline = memory("VmRSS").unwrap();
    let begin = format!("a LOGIN x y\r\nb APPEND INBOX {{{SIZE}+}}\r\n");
    near.write_all(begin.as_bytes()).await.unwrap();
    let mut noise = Noise(1);
    let mut block = [0; 4096];
    for _ in 0..SIZE / block.len() {
        noise.fill(&mut block);
        near.write_all(&block).await.unwrap();
    }
    near.write_all(b"\r\nc EXAMINE INBOX\r\nd FETCH 1 BODY[]\r\n")
        .await
        .unwrap();
    find(&mut near, format!("BODY[] {{{SIZE}}}\r\n").as_bytes()).await;
    let mut noise = Noise(1);
    let mut read = [0; 4096];
    for _ in 0..SIZE / block.len() {
        noise.fill(&mut block);
        near.read_exact(&mut read).await.unwrap();
        assert!(read == block, "other octets came back");
    }
    near.write_all(b"e LOGOUT\r\n").await.unwrap();
    find(&mut near, b"e OK LOGOUT done\r\n").await;
    task.await.unwrap().unwrap();
    let above = memory("VmHWM").unwrap().saturating_sub(baseline);
    println!("{} KiB above {} KiB", above / 1024, baseline / 1024);
    assert!(above < MOST_OCTETS, "{above} octets above the baseline");
}

/// Reads up to the end of a mark.
async fn find(pipe: &mut DuplexStream, mark: &[u8]) {
    let mut seen = Vec::new();
    while !seen.ends_with(mark) {
        seen.push(pipe.read_u8().await.unwrap());
    }
}

/// Octets that are like no others, and do not deflate.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, block: &mut [u8]) {
        for eight in block.chunks_exact_mut(8) {
            // xorshift64*.
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let octets = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
            eight.copy_from_slice(&octets[..]);
        }
    }
}

/// A figure of `/proc/self/status`, in octets.
fn memory(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
