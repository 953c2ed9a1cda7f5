//! A message with a large attachment goes into the bridge's store and out again without being in
//! memory. Alone in its file: the peak is that of a whole process.
//!
//! The heap is set as the program sets it ([`heap::keep_small`]): without, the figure is another
//! with each run, and up to four times as high. With `LETTERLOCK_LARGE` set the attachment has
//! 100 MB, which takes minutes in a build for debugging; the bound is the same.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and these tell what they measured"
)]

use letterlock_core::account::Replica;
use letterlock_core::id::{AccountId, MailboxName, Timestamp};
use letterlock_core::mime::Span;
use letterlock_core::model::FlagSet;
use letterlock_core::seal::{AccountKeys, MessageHasher, RootKey};
use letterlock_server::bridge::sqlite_store::SqliteStore;
use letterlock_server::heap;

const NOW: Timestamp = Timestamp::from_secs(1_777_982_700);
/// Octets of the attachment, before base64: usually, and when asked for.
const ATTACHMENT_OCTETS: [usize; 2] = [10_000_000, 100_000_000];
/// Most memory above the baseline, in octets: twice what is seen. The smaller message in memory,
/// once, would take almost as much.
const MOST_OCTETS: u64 = 16 * 1024 * 1024;

const HEAD: &[u8] = b"Subject: large\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n\
    --b\r\nContent-Type: text/plain\r\n\r\nSee the film.\r\n\
    --b\r\nContent-Type: video/mp4\r\nContent-Transfer-Encoding: base64\r\n\
    Content-Disposition: attachment; filename=film.mp4\r\n\r\n";
const TAIL: &[u8] = b"--b--\r\n";

#[tokio::test]
async fn a_large_attachment_is_never_in_memory() {
    if memory("VmHWM").is_none() {
        println!("skipped: this system does not tell a process's peak of memory");
        return;
    }
    heap::keep_small();
    let folder = tempfile::tempdir().unwrap();
    let root = RootKey::from_octets([7; 32]);
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
    let hasher = keys.message_hasher();
    let path = folder.path().join("replica.db");
    let store = SqliteStore::open(&path, keys.store_key()).unwrap();
    let replica = Replica::open(store, keys, [3; 32], NOW).await.unwrap();
    replica.create_default_mailboxes(NOW).await.unwrap();
    let baseline = memory("VmRSS").unwrap();
    let (size, hash) = append(&replica, hasher.clone()).await;
    let read = read_back(&replica, hasher).await;
    assert_eq!(read, (size, hash));
    let peak = memory("VmHWM").unwrap();
    let above = peak.saturating_sub(baseline);
    println!(
        "{size} octets: {} KiB above a baseline of {} KiB",
        above / 1024,
        baseline / 1024
    );
    assert!(size > attachment_octets() as u64);
    assert!(above < MOST_OCTETS, "{above} octets above the baseline");
    // Abandoned in the middle: nothing of it can be seen, and it is collected.
    let inbox = replica.mailbox(&MailboxName::inbox()).unwrap().id;
    let mut appender = replica.appender(inbox, FlagSet::new(), NOW, NOW).unwrap();
    appender.write(HEAD).await.unwrap();
    for number in 0..40_000 {
        appender.write(&line(number, 1)).await.unwrap();
    }
    drop(appender);
    assert_eq!(replica.mailbox_by_id(inbox).unwrap().messages, 1);
    let collected = replica.collect_all(NOW, 1000).await.unwrap();
    assert!(collected.contents > 1);
    // Looking at everything is as frugal.
    assert_eq!(replica.check().await.unwrap().findings, []);
    let above = memory("VmHWM").unwrap().saturating_sub(baseline);
    println!("at the end: {} KiB above it", above / 1024);
    assert!(above < MOST_OCTETS, "{above} octets above the baseline");
}

fn attachment_octets() -> usize {
    let [usual, large] = ATTACHMENT_OCTETS;
    match std::env::var_os("LETTERLOCK_LARGE") {
        Some(_) => large,
        None => usual,
    }
}

async fn append(
    replica: &Replica<SqliteStore>,
    mut hasher: MessageHasher,
) -> (u64, letterlock_core::id::MessageHash) {
    let inbox = replica.mailbox(&MailboxName::inbox()).unwrap().id;
    let mut appender = replica.appender(inbox, FlagSet::new(), NOW, NOW).unwrap();
    let mut size = 0;
    let mut buffer = HEAD.to_vec();
    for number in 0..attachment_octets().div_ceil(57) {
        buffer.extend_from_slice(&line(number, 0));
        if buffer.len() > 30_000 {
            appender.write(&buffer).await.unwrap();
            hasher.update(&buffer);
            size += buffer.len() as u64;
            buffer.clear();
        }
    }
    buffer.extend_from_slice(TAIL);
    appender.write(&buffer).await.unwrap();
    hasher.update(&buffer);
    size += buffer.len() as u64;
    appender.finish(None, NOW).await.unwrap();
    (size, hasher.finish())
}

async fn read_back(
    replica: &Replica<SqliteStore>,
    mut hasher: MessageHasher,
) -> (u64, letterlock_core::id::MessageHash) {
    let inbox = replica.mailbox(&MailboxName::inbox()).unwrap().id;
    let placement = replica.placements(inbox).remove(0);
    let message = replica.message(placement.message).await.unwrap().unwrap();
    assert_eq!(message.leaves.len(), 2);
    let end = message.structure.size;
    let mut pieces = replica.pieces(&message, Span { start: 0, end });
    let mut size = 0;
    while let Some(piece) = pieces.next().await.unwrap() {
        hasher.update(&piece);
        size += piece.len() as u64;
    }
    assert_eq!(size, placement.size);
    (size, hasher.finish())
}

/// A line of base64, 76 characters, that is like no other.
fn line(number: usize, kind: u64) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = (number as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(kind);
    let mut line = Vec::with_capacity(78);
    for _ in 0..76 {
        // xorshift64*: noise enough that nothing is found twice.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let index = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 58;
        line.push(ALPHABET[usize::try_from(index).unwrap()]);
    }
    line.extend_from_slice(b"\r\n");
    line
}

/// A figure of `/proc/self/status`, in octets.
fn memory(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
