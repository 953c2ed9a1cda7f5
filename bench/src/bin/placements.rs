//! `cargo xtask bench core placements`: what pages of placements cost, by how many are in one.
//!
//! Run by itself it takes how many messages, and then the sizes of pages:
//! `cargo run --release --package letterlock-bench --bin placements -- 1000000 128`.
#![expect(clippy::print_stdout, reason = "a benchmark says what it found")]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use letterlock_bench::counting::{Counting, Provider, Traffic, Written};
use letterlock_core::account::{NewMessage, Replica};
use letterlock_core::id::{AccountId, Generation, MailboxId, MailboxName, Timestamp, Uid};
use letterlock_core::model::{Flag, FlagChange, FlagSet, Role};
use letterlock_core::seal::{AccountKeys, Collection, RootKey};
use letterlock_core::store::Store;
use letterlock_core::sync::wire::Entry;
use letterlock_server::bridge::sqlite_store::SqliteStore;
use letterlock_server::heap;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
/// Messages in the mailbox, if the command line does not say.
const MESSAGES: usize = 100_000;
/// Sizes of pages, if the command line does not say.
const SIZES: [u32; 6] = [1, 16, 64, 128, 256, 1024];
/// How many are moved.
const MOVED: usize = 10_000;
/// Messages appended or copied in one step.
const BATCH: usize = 1000;
/// How often what is quick is done, for a mean.
const ROUNDS: u32 = 20;
/// In which Linux tells of processor time.
const TICKS_PER_SECOND: f64 = 100.0;
/// Says that the program is a child that opens a store and tells how that went.
const LOAD: &str = "--load";

type Bridge = Replica<Counting<SqliteStore>>;

#[tokio::main]
async fn main() -> Result<()> {
    heap::keep_small();
    let mut words = std::env::args().skip(1);
    let first = words.next();
    if first.as_deref() == Some(LOAD) {
        return load(Path::new(&words.next().context("which store?")?)).await;
    }
    let messages = first.map_or(Ok(MESSAGES), |word| word.parse());
    let messages = messages.context("how many messages?")?;
    let sizes = words.map(|word| word.parse().context("how large are pages?"));
    let mut sizes: Vec<u32> = sizes.collect::<Result<_>>()?;
    if sizes.is_empty() {
        sizes.extend(SIZES);
    }
    println!("placements in pages: a mailbox of {messages} messages");
    for size in sizes {
        println!("{size} in a page");
        measure(size, messages).await?;
    }
    Ok(())
}

/// A device and what the provider has.
struct World {
    bridge: Bridge,
    written: Written,
    provider: Provider,
    inbox: MailboxId,
}

async fn measure(size: u32, messages: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("replica.db");
    let (store, written) = Counting::new(SqliteStore::open(&path, keys().store_key())?);
    let bridge = Replica::open(store, keys(), [3; 32], NOW).await?;
    let bridge = bridge.with_page_placements(size);
    bridge.create_default_mailboxes(NOW).await?;
    let inbox = bridge.mailbox(&MailboxName::inbox()).context("no inbox")?;
    let mut world = World {
        bridge,
        written,
        provider: Provider::default(),
        inbox: inbox.id,
    };
    let clock = start();
    world.fill(messages).await?;
    println!("  filled in {:.1} s", clock.taken().seconds);
    world.push().await?;
    world.append_one().await?;
    world.new_device(folder.path()).await?;
    world.neighbours(folder.path()).await?;
    world.flag(&[Uid::ONE], ROUNDS, "one flag on one").await?;
    let all = world.uids();
    world.flag(&all, 2, "one flag on all").await?;
    let some = all.get(..MOVED.min(all.len())).unwrap_or_default();
    world.move_some(some).await?;
    world.look();
    drop(world);
    let program = std::env::current_exe()?;
    if !Command::new(program)
        .arg(LOAD)
        .arg(&path)
        .status()?
        .success()
    {
        bail!("the child that opens the store failed");
    }
    Ok(())
}

impl World {
    /// A few messages are appended and copied: it is placements that are measured.
    async fn fill(&self, messages: usize) -> Result<()> {
        let raws: Vec<Vec<u8>> = (0..messages.min(BATCH)).map(raw).collect();
        let batch: Vec<NewMessage<'_>> = raws.iter().map(|raw| new(raw)).collect();
        self.bridge
            .append_all(self.inbox, &batch, None, NOW)
            .await?;
        let first = self.uids();
        let mut number = first.len();
        while number < messages {
            let some = first.get(..first.len().min(messages - number));
            let some = some.unwrap_or_default();
            self.bridge.copy(self.inbox, some, self.inbox, NOW).await?;
            number += some.len();
        }
        Ok(())
    }

    fn uids(&self) -> Vec<Uid> {
        let roster = self.bridge.roster(self.inbox);
        let roster = roster.iter().flat_map(|roster| roster.iter());
        roster.map(|entry| entry.uid()).collect()
    }

    /// Pushes everything; tells what went up.
    async fn push(&mut self) -> Result<Traffic> {
        push(&self.bridge, &mut self.provider).await
    }

    /// A line of figures: seconds, octets written to the store, what is pushed.
    async fn tell(&mut self, what: &str, taken: Taken, rounds: u32) -> Result<()> {
        let written = self.written.take();
        let pushed = self.push().await?;
        self.written.take();
        println!(
            "  {what:<22} {:>10.2} ms {:>8.1} of CPU {:>9} octets written  {:>6} documents, {:>9} octets pushed",
            taken.seconds * 1000.0 / f64::from(rounds),
            taken.cpu * 1000.0 / f64::from(rounds),
            written / rounds as usize,
            pushed.documents,
            pushed.octets
        );
        Ok(())
    }

    async fn append_one(&mut self) -> Result<()> {
        self.written.take();
        let clock = start();
        for round in 0..ROUNDS as usize {
            let raw = raw(usize::MAX - round);
            let batch = [new(&raw)];
            self.bridge
                .append_all(self.inbox, &batch, None, NOW)
                .await?;
        }
        self.tell("append of one (of 20)", clock.taken(), ROUNDS)
            .await
    }

    async fn flag(&mut self, uids: &[Uid], rounds: u32, what: &str) -> Result<()> {
        self.written.take();
        let clock = start();
        for round in 0..rounds {
            let how = if round % 2 == 0 {
                FlagChange::Add
            } else {
                FlagChange::Remove
            };
            let seen = FlagSet::from([Flag::Seen]);
            let changed = self.bridge.store_flags(self.inbox, uids, how, &seen, NOW);
            if changed.await?.len() != uids.len() {
                bail!("not all flags were changed");
            }
        }
        self.tell(what, clock.taken(), rounds).await
    }

    async fn move_some(&mut self, uids: &[Uid]) -> Result<()> {
        let archive = self.bridge.mailbox_for(Role::Archive);
        let archive = archive.context("no archive")?.id;
        self.written.take();
        let clock = start();
        self.bridge
            .move_messages(self.inbox, uids, archive, NOW)
            .await?;
        let taken = clock.taken();
        self.tell(&format!("a move of {}", uids.len()), taken, 1)
            .await
    }

    /// What a device fetches before it shows the mailbox, and how long taking it in lasts.
    async fn new_device(&self, folder: &Path) -> Result<()> {
        let other = device(&folder.join("new.db")).await?;
        let clock = start();
        let fetched = pull(&other, &self.provider).await?;
        println!(
            "  a new device           {:>10.2} ms  {} documents, {} octets fetched",
            clock.taken().seconds * 1000.0,
            fetched.documents,
            fetched.octets
        );
        Ok(())
    }

    /// Two devices flag two messages, one after the other, and hear of it only then.
    async fn neighbours(&mut self, folder: &Path) -> Result<()> {
        let other = device(&folder.join("other.db")).await?;
        pull(&other, &self.provider).await?;
        push(&other, &mut self.provider).await?;
        let flagged = FlagSet::from([Flag::Flagged]);
        let second = Uid::ONE.next().unwrap_or(Uid::ONE);
        let neighbour = self.bridge.placement(self.inbox, second);
        let neighbour = neighbour.context("no second message")?.id;
        // UIDs are a device's own.
        let theirs = other.roster(self.inbox).context("no inbox")?;
        let theirs = theirs.iter().find(|entry| entry.id() == neighbour);
        let theirs = theirs.context("the other device lacks a message")?.uid();
        let how = FlagChange::Add;
        self.bridge
            .store_flags(self.inbox, &[Uid::ONE], how, &flagged, NOW)
            .await?;
        other
            .store_flags(self.inbox, &[theirs], how, &flagged, NOW)
            .await?;
        let mut up = self.push().await?;
        let theirs = push(&other, &mut self.provider).await?;
        up.documents += theirs.documents;
        up.octets += theirs.octets;
        println!(
            "  neighbours at once                     {} documents, {} octets pushed",
            up.documents, up.octets
        );
        pull(&self.bridge, &self.provider).await?;
        let ours = self.bridge.placement(self.inbox, second);
        if !ours.is_some_and(|placement| placement.flags.contains(&Flag::Flagged)) {
            bail!("the flag of the other device has not come");
        }
        Ok(())
    }

    /// How long it takes to look at the mailbox.
    fn look(&self) {
        let clock = start();
        let snapshots: Vec<_> = (0..50).map(|_| self.bridge.roster(self.inbox)).collect();
        println!(
            "  50 snapshots           {:>10.3} ms",
            clock.taken().seconds * 1000.0
        );
        drop(snapshots);
        let clock = start();
        let all = self.bridge.placements(self.inbox);
        println!(
            "  {} copies         {:>10.2} ms",
            all.len(),
            clock.taken().seconds * 1000.0
        );
    }
}

/// Pushes everything; what is refused is merged and pushed again.
async fn push<S: Store>(replica: &Replica<S>, provider: &mut Provider) -> Result<Traffic> {
    let mut traffic = Traffic::default();
    while let Some(push) = replica.pending_push().await? {
        for envelope in &push.request.documents {
            traffic.add(envelope);
        }
        match provider.push(&push.request) {
            Ok(()) => replica.pushed(&push, NOW).await?,
            Err(current) => {
                let current = current.into_iter().map(Into::into).collect();
                replica.take_documents(current, NOW).await?;
            }
        }
    }
    Ok(traffic)
}

/// Pulls mailboxes and placements.
async fn pull<S: Store>(replica: &Replica<S>, provider: &Provider) -> Result<Traffic> {
    let mail = replica.keys().collection_id(Collection::Mail);
    let mut traffic = Traffic::default();
    let mut since = Generation::default();
    loop {
        let response = provider.pull(since, Some(mail));
        for entry in &response.entries {
            if let Entry::Document { envelope } = entry {
                traffic.add(envelope);
            }
        }
        let more = response.more;
        since = response.until;
        replica.pulled_entries(response, NOW).await?;
        if !more {
            return Ok(traffic);
        }
    }
}

async fn device(path: &Path) -> Result<Replica<SqliteStore>> {
    let store = SqliteStore::open(path, keys().store_key())?;
    let replica = Replica::open(store, keys(), [4; 32], NOW).await?;
    replica.create_default_mailboxes(NOW).await?;
    Ok(replica)
}

/// In a process of its own: how long opening takes, and how much memory it takes.
async fn load(path: &Path) -> Result<()> {
    let store = SqliteStore::open(path, keys().store_key())?;
    let before = resident();
    let clock = start();
    let replica = Replica::open(store, keys(), [5; 32], NOW).await?;
    let taken = clock.taken();
    let mailboxes = replica.mailboxes();
    let messages = mailboxes.iter().map(|mailbox| u64::from(mailbox.messages));
    let messages = messages.sum::<u64>().max(1);
    let (after, peak) = (resident(), status("VmHWM"));
    let kib = after.saturating_sub(before);
    println!(
        "  opened                 {:>10.2} ms {:>8.1} of CPU  {kib} KiB more resident ({} octets a message), \
         {peak} KiB at the peak",
        taken.seconds * 1000.0,
        taken.cpu * 1000.0,
        kib * 1024 / messages
    );
    Ok(())
}

fn resident() -> u64 {
    status("VmRSS")
}

/// A figure of this process in KiB; 0 where the system does not tell.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let figure = line.and_then(|line| line.trim_matches([':', '\t', ' ']).split(' ').next());
    figure.and_then(|figure| figure.parse().ok()).unwrap_or(0)
}

fn keys() -> AccountKeys {
    let root = RootKey::from_octets([7; 32]);
    AccountKeys::derive(AccountId::new([1; 16]), 1, &root)
}

fn raw(number: usize) -> Vec<u8> {
    format!(
        "From: a@x.example\r\nTo: b@x.example\r\nSubject: letter {number}\r\n\
         Message-ID: <{number}@x.example>\r\n\r\nletter {number}\r\n"
    )
    .into_bytes()
}

fn new(raw: &[u8]) -> NewMessage<'_> {
    NewMessage {
        raw,
        flags: FlagSet::new(),
        internal_date: NOW,
    }
}

/// When something began.
struct Clock {
    wall: Instant,
    cpu: f64,
}

/// What something took, in seconds: by the wall, and of all processors together.
#[derive(Clone, Copy)]
struct Taken {
    seconds: f64,
    cpu: f64,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn start() -> Clock {
    Clock {
        wall: Instant::now(),
        cpu: cpu(),
    }
}

impl Clock {
    fn taken(&self) -> Taken {
        Taken {
            seconds: self.wall.elapsed().as_secs_f64(),
            cpu: cpu() - self.cpu,
        }
    }
}

/// Seconds of processor that this process has used; 0 where the system does not tell.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name in brackets: utime and stime are the fields 14 and 15 of proc(5).
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u32 = ticks.filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    f64::from(ticks) / TICKS_PER_SECOND
}
