//! Accounts on the move, while mail comes, devices push and the move is killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use letterlock_core::id::{AccountId, DocId, OutboxId};
use letterlock_core::sync::wire::{Entry, Submission};
use letterlock_server::provider::shards;
use rand::Rng as _;
use serde_bytes::ByteBuf;
use tokio::time::sleep;

use super::backend;
use super::world::{NOW, PASSWORD, User, World, assert_error, envelope, envelopes, letters, peer};
use crate::cluster::Cluster;

/// Tables that have rows of an account and go with it.
const TABLES: [&str; 6] = [
    "accounts",
    "device_keys",
    "documents",
    "incoming",
    "sessions",
    "submissions",
];
/// How often the account is moved, or the move killed.
const MOVES: usize = 16;

fn write_config(data_dir: &Path) -> PathBuf {
    let [main, north] = backend::clusters();
    let database = |cluster: &Cluster| {
        let (folder, name) = (cluster.folder.display(), crate::backend::name(data_dir));
        format!("\"host={folder} user=letterlock dbname={name}\"")
    };
    let text = format!(
        "[storage]\ndatabase = {}\nshards = {{ north = {} }}\n",
        database(main),
        database(north)
    );
    let path = data_dir.join("letterlock.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn start_move(config: &Path, user: &User, to: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_letterlock"))
        .args([
            "shard",
            "move",
            user.address.as_str(),
            "--to",
            to,
            "--config",
        ])
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Moves the account to and fro; two of three moves are killed somewhere.
async fn move_about(config: &Path, user: &User) {
    for round in 0..MOVES {
        let to = if round / 2 % 2 == 0 { "main" } else { "north" };
        let mut command = start_move(config, user, to);
        if round % 3 < 2 {
            sleep(Duration::from_millis(rand::thread_rng().gen_range(20..400))).await;
            let _ = command.kill();
        }
        let ended = tokio::task::block_in_place(|| command.wait().unwrap());
        assert!(
            ended.success() || round % 3 < 2,
            "a move that nobody kills is done"
        );
    }
}

/// What is done to an account from two providers meanwhile.
struct Load<'a> {
    worlds: [&'a World; 2],
    over: AtomicBool,
}

impl Load<'_> {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Stores one document again and again; its last revision.
    async fn push(&self, user: &User, document: u8) -> Vec<u8> {
        let mut last = Vec::new();
        for (revision, world) in (1..).zip(self.worlds.iter().cycle()) {
            if self.is_over() {
                break;
            }
            let size = if revision % 3 == 0 { 70_000 } else { 50 };
            last = envelope(user.account, document, revision, &vec![document; size]);
            let pushed = world.push(user, std::slice::from_ref(&last)).await;
            assert_eq!(pushed.status(), 200);
        }
        last
    }

    /// Takes letters in and submits some; how many.
    async fn mail(&self, from: &User, to: &User) -> usize {
        let peer = peer();
        for (number, world) in (0..).zip(self.worlds.iter().cycle()) {
            if self.is_over() {
                return number;
            }
            let message = format!("Subject: letter {number}\r\n\r\n").into_bytes();
            if number % 2 == 0 {
                let delivered = world
                    .provider
                    .deliver(None, &to.address, &message, &peer, NOW);
                delivered.await.unwrap();
            } else {
                let mut id = [0; 16];
                id[..8].copy_from_slice(&number.to_be_bytes());
                let submission = Submission {
                    id: OutboxId::new(id),
                    reverse_path: from.address.clone(),
                    forward_paths: vec![to.address.clone()],
                    message: ByteBuf::from(message),
                };
                let handed = world.post(from, "/api/v1/outbox", &submission).await;
                assert_eq!(handed.status(), 202);
            }
        }
        unreachable!("the numbers do not end")
    }

    /// A device that hears of everything as it comes, and how far it has heard at the end.
    async fn follow(&self, user: &User, mut since: u64) -> (Vec<Entry>, u64) {
        let mut all = Vec::new();
        loop {
            let over = self.is_over();
            let wait_ms = if over { 0 } else { 500 };
            let pulled = self.worlds[0].pull(user, since, wait_ms).await;
            since = pulled.until.0;
            all.extend(pulled.entries);
            if over && !pulled.more {
                return (all, since);
            }
        }
    }
}

/// Envelopes by document, the newest, and letters by their text.
fn summed(user: &User, entries: &[Entry]) -> (BTreeMap<DocId, Vec<u8>>, Vec<Vec<u8>>) {
    let documents = envelopes(entries).into_iter().map(|envelope| {
        let header = letterlock_core::seal::Header::parse(&envelope).unwrap();
        (header.document, envelope)
    });
    let mut letters = letters(user, entries);
    letters.sort();
    (documents.collect(), letters)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_while_an_account_is_moved_and_the_move_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path());
    let (here, there) = tokio::join!(World::start(dir.path()), World::start(dir.path()));
    let (alice, bob) = (here.sign_up("alice").await, here.sign_up("bob").await);
    let many: Vec<_> = (100..=250)
        .map(|document| envelope(alice.account, document, 1, &vec![document; 20_000]))
        .collect();
    assert_eq!(here.push(&alice, &many).await.status(), 200);
    let load = Load {
        worlds: [&here, &there],
        over: AtomicBool::new(false),
    };
    let moving = async {
        move_about(&config, &alice).await;
        load.over.store(true, Ordering::SeqCst);
    };
    let (first, second, sent, (mut followed, since), ()) = tokio::join!(
        load.push(&alice, 1),
        load.push(&alice, 2),
        load.mail(&bob, &alice),
        load.follow(&alice, 0),
        moving
    );
    followed.extend(load.follow(&alice, since).await.0);
    let (all, _) = load.follow(&alice, 0).await;
    let (documents, letters) = summed(&alice, &all);
    for pushed in many.iter().chain([&first, &second]) {
        assert_eq!(
            documents.values().filter(|found| *found == pushed).count(),
            1
        );
    }
    assert_eq!(letters.len(), sent, "each letter once");
    let mut once = letters.clone();
    once.dedup();
    assert_eq!(once.len(), sent);
    assert!(
        summed(&alice, &followed) == (documents, letters),
        "it heard of all"
    );
    // And at the end it is in one place alone.
    for to in ["main", "north"] {
        shards::move_account(&backend::records(dir.path()), &alice.address, to)
            .await
            .unwrap();
    }
    assert_eq!(
        rows(backend::clusters()[0], dir.path(), alice.account),
        Vec::<String>::new()
    );
    println!(
        "{} revisions, {sent} letters",
        documents_of(&first) + documents_of(&second)
    );
    here.stop().await;
    there.stop().await;
}

fn documents_of(envelope: &[u8]) -> u64 {
    letterlock_core::seal::Header::parse(envelope)
        .unwrap()
        .revision
        .get()
}

/// All rows of an account in one database.
fn rows(cluster: &'static Cluster, data_dir: &Path, account: AccountId) -> Vec<String> {
    let account = backend::literal(account.as_bytes());
    let of_table = |table: &str| {
        let sql = format!(
            "SELECT '{table} ' || (to_jsonb(t) - 'epoch')::text FROM {table} t
             WHERE account = {account} ORDER BY 1"
        );
        backend::rows(cluster, data_dir, &sql)
    };
    let rows = TABLES.iter().flat_map(|table| of_table(table));
    rows.map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_an_account_has_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let records = backend::records(dir.path());
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let large = envelope(alice.account, 1, 1, &vec![1; 200_000]);
    assert_eq!(
        world
            .push(&alice, std::slice::from_ref(&large))
            .await
            .status(),
        200
    );
    world.deliver(&alice.address, b"Subject: x\r\n\r\n").await;
    let key = "INSERT INTO device_keys SELECT account, replica, token_hash FROM sessions";
    backend::execute(dir.path(), key);
    let submission = "INSERT INTO submissions SELECT account, account, 7 FROM accounts";
    backend::execute(dir.path(), submission);
    let [main, north] = backend::clusters();
    let before = rows(north, dir.path(), alice.account);
    for table in TABLES {
        assert!(before.iter().any(|row| row.starts_with(table)), "{table}");
    }
    let known = world.pull(&alice, 0, 0).await;
    let waiting = world.pull(&alice, known.until.0, 25_000);
    let moved = async {
        sleep(Duration::from_millis(200)).await;
        let moved = shards::move_account(&records, &alice.address, "main")
            .await
            .unwrap();
        assert_eq!((moved.documents, moved.incoming), (2, 1));
        assert_eq!(rows(main, dir.path(), alice.account), before);
        assert_eq!(rows(north, dir.path(), alice.account), Vec::<String>::new());
        let next = envelope(alice.account, 1, 2, b"after");
        assert_eq!(world.push(&alice, &[next]).await.status(), 200);
    };
    let (heard, ()) = tokio::join!(waiting, moved);
    assert_eq!(
        heard.entries.len(),
        1,
        "a device that waits hears of what comes after"
    );
    world.log_in(&alice.address, PASSWORD).await.unwrap();
    world.stop().await;
}

/// Whoever adds a table of accounts hears of it here: [`TABLES`] go with an account, the others are the
/// main database's.
#[tokio::test]
async fn every_table_of_accounts_is_known_to_the_move() {
    let dir = tempfile::tempdir().unwrap();
    World::start(dir.path()).await.stop().await;
    let tables = backend::strings(
        dir.path(),
        "SELECT CAST(table_name AS TEXT) FROM information_schema.columns
         WHERE table_schema = 'public' AND column_name = 'account' ORDER BY 1",
    );
    let mut known = TABLES.to_vec();
    known.extend(["keys", "places", "rendezvous"]);
    known.sort_unstable();
    assert_eq!(tables, known);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_move_has_taken_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    // As if a move had been killed between its last two commits.
    backend::execute(dir.path(), "UPDATE accounts SET epoch = 0");
    let one = [envelope(alice.account, 1, 1, b"x")];
    assert_eq!(world.push(&alice, &one).await.status(), 200);
    world.pull(&alice, 0, 0).await;
    // And as long as it lives nobody has the account; it lasts unusually long here.
    backend::execute(dir.path(), "UPDATE accounts SET epoch = 0");
    let mover = backend::clusters()[0]
        .connect(&crate::backend::name(dir.path()))
        .await;
    let key = i32::from_be_bytes(*alice.account.as_bytes().first_chunk().unwrap());
    let lock = format!("SELECT pg_advisory_lock({}, {key})", 0x4c65_7475);
    mover.batch_execute(&lock).await.unwrap();
    let two = [envelope(alice.account, 1, 2, b"y")];
    let peer = peer();
    let (pushed, delivered) = tokio::join!(
        world.push(&alice, &two),
        world
            .provider
            .deliver(None, &alice.address, b"x", &peer, NOW),
    );
    assert_eq!(pushed.headers()["retry-after"], "1");
    assert_error(pushed, 503, "moving").await;
    assert!(!delivered.unwrap_err().is_permanent());
    drop(mover);
    assert_eq!(world.push(&alice, &two).await.status(), 200);
    world.stop().await;
}
