//! `cargo xtask bench core search`: the search index over SQLCipher and in memory, and an account
//! that takes real messages in.
#![expect(clippy::print_stdout, reason = "a benchmark says what it found")]

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use letterlock_bench::letters::{Letter, letter};
use letterlock_bench::search::{Host, run};
use letterlock_core::account::Account;
use letterlock_core::id::{AccountId, Address, MailboxName, Timestamp};
use letterlock_core::model::FlagSet;
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_core::store::{KeyRange, MemoryStore, Store as _, Table};
use letterlock_server::bridge::sqlite_store::SqliteStore;

/// Messages in the index, if the command line does not say.
const LETTERS: u32 = 100_000;
/// Of how many an account takes in the whole message.
const WHOLE_SHARE: u32 = 20;
/// Real mail, where it is there.
const LISTS: &str = "../shared/corpora/lists";

struct Machine(Instant);

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn machine() -> Machine {
    Machine(Instant::now())
}

impl Host for Machine {
    fn millis(&self) -> f64 {
        self.0.elapsed().as_secs_f64() * 1000.0
    }

    fn say(&self, line: &str) {
        println!("{line}");
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let letters = std::env::args()
        .nth(1)
        .map(|word| word.parse())
        .transpose()
        .context("how many messages?")?
        .unwrap_or(LETTERS);
    let folder = tempfile::tempdir()?;
    println!("search, over SQLCipher");
    let store = SqliteStore::open(&folder.path().join("index.db"), &[7; 32])?;
    run(&store, letters, &machine()).await?;
    drop(store);
    println!("search, in memory");
    run(&MemoryStore::new(), letters, &machine()).await?;
    let whole = letters / WHOLE_SHARE;
    println!("an account of {whole} whole messages, over SQLCipher");
    let store = SqliteStore::open(&folder.path().join("account.db"), &[7; 32])?;
    account(store, (0..whole).map(|number| raw(&letter(number)))).await?;
    let lists = Path::new(LISTS);
    if !lists.is_dir() {
        println!("{LISTS} is not here: no figures for real mail");
        return Ok(());
    }
    println!("an account of the mail in {LISTS}");
    let store = SqliteStore::open(&folder.path().join("lists.db"), &[7; 32])?;
    account(store, messages_of(lists)?.into_iter()).await
}

/// The messages of all mbox files in a folder.
fn messages_of(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let mbox = std::fs::read(entry?.path())?;
        let mut message = Vec::new();
        for line in mbox.split_inclusive(|octet| *octet == b'\n') {
            if line.starts_with(b"From ") && !message.is_empty() {
                messages.push(std::mem::take(&mut message));
            } else if !line.starts_with(b"From ") {
                message.extend_from_slice(line);
            }
        }
        messages.push(message);
    }
    Ok(messages)
}

/// Appends messages to an account, then indexes them: read, opened, decoded, taken apart.
async fn account(store: SqliteStore, letters: impl Iterator<Item = Vec<u8>>) -> Result<()> {
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::from_octets([2; 32]));
    let address = Address::new("alice@letterlock.example")?;
    let now = Timestamp::from_secs(1_767_225_600);
    let rows = store.clone();
    let account = Account::open(store, address, keys, [3; 32], now).await?;
    let inbox = account
        .mailbox(&MailboxName::inbox())
        .context("an account has an inbox")?;
    let (mut octets, mut count) = (0, 0_u32);
    for raw in letters {
        octets += raw.len();
        count += 1;
        account
            .append(inbox.id, &raw, FlagSet::new(), now, now)
            .await?;
    }
    let clock = machine();
    while account.index_step(256).await?.more {}
    let seconds = clock.millis() / 1000.0;
    let size = account.index_size().await?;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let share = size.octets as f64 / octets as f64;
    println!(
        "  {count} messages, {octets} octets: {:.0} indexed a second; the index has {share:.3} of them",
        f64::from(count) / seconds
    );
    let mut kinds = [0; 4];
    for (key, row) in rows.scan(Table::SearchIndex, KeyRange::all()).await? {
        if let Some(octets) = key
            .get(4)
            .and_then(|kind| kinds.get_mut(usize::from(*kind)))
        {
            *octets += row.len();
        }
    }
    let [documents, first_keys, dictionary, lists] = kinds;
    println!(
        "  octets: {documents} of documents, {first_keys} of first keys, {dictionary} of \
         dictionary with short lists, {lists} of long lists"
    );
    Ok(())
}

fn raw(letter: &Letter) -> Vec<u8> {
    format!(
        "Received: from mx.example (mx.example [192.0.2.1]) by mail.example with ESMTPS id {:x}\r\n\
         \tfor <alice@letterlock.example>; Tue, 5 May 2026 12:05:00 +0000\r\n\
         From: {}\r\nTo: {}\r\nSubject: {}\r\nMessage-ID: <{:x}@mail.example>\r\n\
         Date: Tue, 5 May 2026 12:05:00 +0000\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}",
        letter.number, letter.from, letter.to, letter.subject, letter.number, letter.body
    )
    .into_bytes()
}
