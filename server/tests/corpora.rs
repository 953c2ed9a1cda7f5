//! Real mail of other people through the bridge's store, where a folder with it stands beside the
//! project: every message comes back as it was, and what it takes on the disk is told.
//!
//! The folder is `../shared/corpora` from the project's root, or what `LETTERLOCK_CORPORA` names.
//! Without one the tests are skipped and say so; an empty folder cannot pass.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and these tell what they measured"
)]

use std::path::{Path, PathBuf};

use letterlock_core::account::{NewMessage, Replica};
use letterlock_core::id::{AccountId, MailboxId, MailboxName, Timestamp};
use letterlock_core::model::FlagSet;
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_server::bridge::sqlite_store::SqliteStore;

const NOW: Timestamp = Timestamp::from_secs(1_777_982_700);
/// How many messages the folder has at least.
const LEAST_MESSAGES: usize = 500;
/// How many messages are appended in one step.
const BATCH: usize = 100;
/// Most octets on the disk for an octet of mail, without a search index.
const MOST_STORED: f64 = 1.05;

type BridgeReplica = Replica<SqliteStore>;

#[tokio::test]
async fn every_message_of_the_corpora_comes_back_from_the_store() {
    let Some(corpora) = corpora() else { return };
    let mut raws = Vec::new();
    for file in files(&corpora) {
        let octets = std::fs::read(&file).unwrap();
        if file
            .extension()
            .is_some_and(|extension| extension == "mbox")
        {
            raws.extend(mbox(&octets));
        }
        raws.push(octets);
    }
    let folder = tempfile::tempdir().unwrap();
    let replica = open(folder.path()).await;
    append_all(&replica, &raws).await;
    drop(replica);
    let replica = open(folder.path()).await;
    let placements = replica.placements(inbox(&replica));
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
    println!(
        "{} messages, {} of them different",
        raws.len(),
        report.messages
    );
    assert!(raws.len() >= LEAST_MESSAGES, "only {} messages", raws.len());
}

#[tokio::test]
async fn mailing_lists_take_little_more_room_than_their_mail() {
    let Some(corpora) = corpora() else { return };
    let mut raws = Vec::new();
    for file in files(&corpora.join("lists")) {
        raws.extend(mbox(&std::fs::read(&file).unwrap()));
    }
    let mail: usize = raws.iter().map(Vec::len).sum();
    let folder = tempfile::tempdir().unwrap();
    let replica = open(folder.path()).await;
    append_all(&replica, &raws).await;
    drop(replica);
    report("before a sync", folder.path(), raws.len(), mail);
    let replica = open(folder.path()).await;
    while let Some(push) = replica.pending_push().await.unwrap() {
        replica.pushed(&push, NOW).await.unwrap();
    }
    drop(replica);
    // What was pushed leaves empty pages, which are given back when the store is opened.
    drop(open(folder.path()).await);
    let stored = report("after a sync", folder.path(), raws.len(), mail);
    assert!(stored < MOST_STORED, "{stored:.3} octets for one of mail");
}

/// Prints what the folder takes, file by file, and gives octets stored for each octet of mail.
#[expect(clippy::cast_precision_loss, reason = "a ratio to print")]
fn report(when: &str, folder: &Path, messages: usize, mail: usize) -> f64 {
    let mut total = 0;
    let mut parts = Vec::new();
    for file in files(folder) {
        let octets = std::fs::metadata(&file).unwrap().len();
        total += octets;
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        parts.push(format!("{name} {octets}"));
    }
    let stored = total as f64 / mail as f64;
    println!(
        "{when}: {messages} messages, {mail} octets of mail, {total} stored ({}): {stored:.3}",
        parts.join(", ")
    );
    stored
}

async fn open(folder: &Path) -> BridgeReplica {
    let root = RootKey::from_octets([7; 32]);
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
    let store = SqliteStore::open(&folder.join("replica.db"), keys.store_key()).unwrap();
    let replica = Replica::open(store, keys, [3; 32], NOW).await.unwrap();
    replica.create_default_mailboxes(NOW).await.unwrap();
    replica
}

fn inbox(replica: &BridgeReplica) -> MailboxId {
    replica.mailbox(&MailboxName::inbox()).unwrap().id
}

async fn append_all(replica: &BridgeReplica, raws: &[Vec<u8>]) {
    for batch in raws.chunks(BATCH) {
        let messages: Vec<NewMessage<'_>> = batch
            .iter()
            .map(|raw| NewMessage {
                raw,
                flags: FlagSet::new(),
                internal_date: NOW,
            })
            .collect();
        let appended = replica.append_all(inbox(replica), &messages, None, NOW);
        appended.await.unwrap();
    }
}

fn corpora() -> Option<PathBuf> {
    let folder = std::env::var_os("LETTERLOCK_CORPORA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora"),
        PathBuf::from,
    );
    if !folder.is_dir() {
        println!("skipped: there is no folder {}", folder.display());
        return None;
    }
    Some(folder)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The messages of an mbox file, without their separator lines.
fn mbox(octets: &[u8]) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b"From ") {
            messages.push(Vec::new());
        } else if let Some(message) = messages.last_mut() {
            message.extend_from_slice(line);
        }
    }
    messages
}
