//! `cargo xtask bench core stored`: octets on the disk for each octet of mail, index included.
#![expect(clippy::print_stdout, reason = "a benchmark says what it found")]

use std::path::Path;

use anyhow::{Context as _, Result};
use letterlock_bench::mail::{self, Sort, message};
use letterlock_core::account::{Account, NewMessage};
use letterlock_core::id::{AccountId, Address, MailboxName, Timestamp};
use letterlock_core::model::FlagSet;
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_server::bridge::sqlite_store::SqliteStore;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
/// Made-up messages of each sort.
const MESSAGES: u32 = 2000;
/// Messages appended in one step.
const BATCH: usize = 100;

type Bridge = Account<SqliteStore>;

#[tokio::main]
async fn main() -> Result<()> {
    println!("octets stored for each octet of mail");
    for sort in [Sort::Plain, Sort::Alternative] {
        let messages: Vec<_> = (0..MESSAGES).map(|number| message(sort, number)).collect();
        measure(sort.name(), &messages).await?;
    }
    match mail::lists()? {
        Some(lists) => measure("mailing lists", &lists).await?,
        None => println!("{} is not here: no figures for real mail", mail::LISTS),
    }
    Ok(())
}

async fn measure(name: &str, messages: &[Vec<u8>]) -> Result<()> {
    let mail: usize = messages.iter().map(Vec::len).sum();
    let folder = tempfile::tempdir()?;
    let account = open(folder.path()).await?;
    let inbox = account
        .mailbox(&MailboxName::inbox())
        .context("an account has an inbox")?;
    for batch in messages.chunks(BATCH) {
        let batch: Vec<NewMessage<'_>> = batch
            .iter()
            .map(|raw| NewMessage {
                raw,
                flags: FlagSet::new(),
                internal_date: NOW,
            })
            .collect();
        account.append_all(inbox.id, &batch, None, NOW).await?;
    }
    drop(account);
    let before = share(folder.path(), mail)?;
    let account = open(folder.path()).await?;
    while account.index_step(256).await?.more {}
    drop(account);
    let indexed = share(folder.path(), mail)?;
    let account = open(folder.path()).await?;
    while let Some(push) = account.pending_push().await? {
        account.pushed(&push, NOW).await?;
    }
    drop(account);
    // What was pushed leaves empty pages, which are given back when the store is opened.
    drop(open(folder.path()).await?);
    let synced = share(folder.path(), mail)?;
    println!(
        "  {name:<16} {} messages, {mail} octets: {before:.3} stored, {indexed:.3} with the index, \
         {synced:.3} once synced",
        messages.len()
    );
    Ok(())
}

async fn open(folder: &Path) -> Result<Bridge> {
    let root = RootKey::from_octets([7; 32]);
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
    let store = SqliteStore::open(&folder.join("replica.db"), keys.store_key())?;
    let address = Address::new("alice@letterlock.example")?;
    Ok(Account::open(store, address, keys, [3; 32], NOW).await?)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn share(folder: &Path, mail: usize) -> Result<f64> {
    let mut octets = 0;
    for entry in std::fs::read_dir(folder)? {
        octets += entry?.metadata()?.len();
    }
    Ok(octets as f64 / mail as f64)
}
