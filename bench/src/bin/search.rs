//! `cargo xtask bench core search`: the search index over SQLCipher and in memory, and an account
//! that takes real messages in.
#![expect(clippy::print_stdout, reason = "a benchmark says what it found")]

use std::time::Instant;

use anyhow::{Context as _, Result};
use letterlock_bench::letters::letter;
use letterlock_bench::mail;
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
    account(store, (0..whole).map(|number| mail::raw(&letter(number)))).await?;
    let Some(lists) = mail::lists()? else {
        println!("{} is not here: no figures for real mail", mail::LISTS);
        return Ok(());
    };
    println!("an account of the mail in {}", mail::LISTS);
    let store = SqliteStore::open(&folder.path().join("lists.db"), &[7; 32])?;
    account(store, lists.into_iter()).await
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
