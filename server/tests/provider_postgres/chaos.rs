//! Two provider processes over two databases and one object store, accounts that are moved between the
//! databases all the time, and each of all these processes killed at random moments under load: what was
//! acknowledged is there afterwards, once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use letterlock_core::id::{Address, OutboxId};
use letterlock_core::sync::wire::{self, PushRequest, Submission};
use letterlock_server::provider::{BlobPlace, Databases, Records};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;
use serde_bytes::ByteBuf;

use super::cluster::Cluster;
use super::store::Store;
use super::world::{User, World, config, envelope, envelopes, letters};

/// How often something is killed.
const KILLS: usize = 16;
/// How long a move may take at most before it is killed, in milliseconds.
const MOVE_MS: u64 = 1500;
/// How long a call may take: the database may be starting.
const PATIENCE: Duration = Duration::from_secs(20);

/// A `letterlock provider` that is started again whenever it was killed, on the same ports.
struct Process {
    program: Child,
    folder: PathBuf,
    api: SocketAddr,
    lmtp: SocketAddr,
}

impl Process {
    fn start(folder: &Path, (api, lmtp): (&str, &str)) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_letterlock"))
            .args(["provider", "--listen", api, "--lmtp", lmtp])
            .arg("--config")
            .arg(folder.join("letterlock.toml"))
            .arg("--data-dir")
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let mut address = |prefix: &str| {
            let line = lines.next().and_then(Result::ok).unwrap_or_default();
            let address = line.strip_prefix(prefix).map(str::parse);
            address.and_then(Result::ok)
        };
        let found = (address("api   http://"), address("lmtp  "));
        let (Some(api), Some(lmtp)) = found else {
            // The database is away: the program ends, and says so to whoever reads it.
            let _ = program.wait();
            std::thread::sleep(Duration::from_millis(100));
            return Self::start(folder, (api, lmtp));
        };
        Self {
            program,
            folder: folder.to_owned(),
            api,
            lmtp,
        }
    }

    fn restart(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
        let (api, lmtp) = (self.api.to_string(), self.lmtp.to_string());
        let folder = self.folder.clone();
        *self = Self::start(&folder, (&api, &lmtp));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// What those who put load on the providers share.
struct Load {
    http: reqwest::Client,
    apis: Vec<SocketAddr>,
    lmtps: Vec<SocketAddr>,
    over: AtomicBool,
}

impl Load {
    /// Calls one of the processes after another until one answers with this status.
    async fn insist<T: Serialize>(&self, user: &User, path: &str, body: &T, wanted: u16) {
        let body = wire::encode(body);
        for api in self.apis.iter().cycle() {
            let sent = self
                .http
                .post(format!("http://{api}{path}"))
                .bearer_auth(user.token.as_str())
                .header("content-type", wire::CBOR)
                .timeout(PATIENCE)
                .body(body.clone())
                .send()
                .await;
            match sent.map(|answer| answer.status().as_u16()) {
                Ok(status) if status == wanted => return,
                Ok(status) => assert!(status >= 500, "{path}: {status}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Stores one document again and again, now in its row and now in a file; the last revision
    /// that was acknowledged.
    async fn push(&self, user: &User, document: u8) -> Vec<u8> {
        let mut last = Vec::new();
        for revision in 1.. {
            if self.over.load(Ordering::SeqCst) {
                break;
            }
            let size = if revision % 3 == 0 { 100_000 } else { 50 };
            let octets = vec![u8::try_from(revision % 251).unwrap(); size];
            last = envelope(user.account, document, revision, &octets);
            let request = PushRequest {
                documents: vec![ByteBuf::from(last.clone())],
                remove_incoming: Vec::new(),
            };
            self.insist(user, "/api/v1/sync/push", &request, 200).await;
        }
        last
    }

    /// Sends letters from one account to another; how many were acknowledged.
    async fn submit(&self, from: &User, to: &Address) -> u64 {
        let mut sent = 0;
        while !self.over.load(Ordering::SeqCst) {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&u64::to_be_bytes(sent));
            let message = format!("Subject: submitted {sent}\r\n\r\n").into_bytes();
            let submission = Submission {
                id: OutboxId::new(id),
                reverse_path: from.address.clone(),
                forward_paths: vec![to.clone()],
                message: ByteBuf::from(message),
            };
            self.insist(from, "/api/v1/outbox", &submission, 202).await;
            sent += 1;
        }
        sent
    }

    /// Moves accounts between the databases, and kills most moves.
    fn move_about(&self, folder: &Path, addresses: &[Address], mut random: StdRng) -> u32 {
        let mut moved = 0;
        while !self.over.load(Ordering::SeqCst) {
            let address = &addresses[random.gen_range(0..addresses.len())];
            let to = ["main", "north"][random.gen_range(0..2)];
            let mut command = start_move(folder, address, to);
            let patience = random.gen_range(0..MOVE_MS);
            for _ in 0..patience / 10 {
                if command.try_wait().unwrap().is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = command.kill();
            moved += u32::from(command.wait().unwrap().success());
        }
        moved
    }

    /// Hands letters in as Postfix does; the numbers of those that were acknowledged. One that was
    /// not is never handed in again: it may be there, once.
    fn deliver(&self, to: &Address) -> (BTreeSet<u64>, u64) {
        let mut acknowledged = BTreeSet::new();
        let mut tried = 0;
        while !self.over.load(Ordering::SeqCst) {
            let at = self.lmtps[usize::try_from(tried).unwrap() % self.lmtps.len()];
            if hand_in(at, to, tried).is_some() {
                acknowledged.insert(tried);
            }
            tried += 1;
            std::thread::sleep(Duration::from_millis(5));
        }
        (acknowledged, tried)
    }
}

fn start_move(folder: &Path, address: &Address, to: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_letterlock"))
        .args(["shard", "move", address.as_str(), "--to", to, "--config"])
        .arg(folder.join("letterlock.toml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// One conversation of LMTP; `None` unless the letter was accepted.
fn hand_in(at: SocketAddr, to: &Address, number: u64) -> Option<()> {
    let stream = TcpStream::connect(at).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut answers = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    let mut expect = |wanted: &str| loop {
        let mut line = String::new();
        answers.read_line(&mut line).ok()?;
        if !line.starts_with(wanted) {
            return None;
        }
        if line.as_bytes().get(3) == Some(&b' ') {
            return Some(());
        }
    };
    expect("220")?;
    for (command, wanted) in [
        ("LHLO mx.example.org".to_owned(), "250"),
        ("MAIL FROM:<bob@example.org>".to_owned(), "250"),
        (format!("RCPT TO:<{to}>"), "250"),
        ("DATA".to_owned(), "354"),
        (format!("Subject: delivered {number}\r\n\r\nx\r\n."), "250"),
    ] {
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        expect(wanted)?;
    }
    Some(())
}

/// How often each letter is there, by its subject's first word and number.
fn counted(letters: &[Vec<u8>]) -> BTreeMap<(String, u64), u64> {
    let mut counts = BTreeMap::new();
    for letter in letters {
        let text = String::from_utf8_lossy(letter);
        let subject = text.lines().find_map(|line| line.strip_prefix("Subject: "));
        let (word, number) = subject.unwrap().split_once(' ').unwrap();
        let number = number.trim().parse().unwrap();
        *counts.entry((word.to_owned(), number)).or_default() += 1;
    }
    counts
}

/// All that the account has: newest envelopes, and letters.
async fn everything(world: &World, user: &User) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut documents, mut mail, mut since) = (Vec::new(), Vec::new(), 0);
    loop {
        let pulled = world.pull(user, since, 0).await;
        documents.extend(envelopes(&pulled.entries));
        mail.extend(letters(user, &pulled.entries));
        since = pulled.until.0;
        if !pulled.more {
            return (documents, mail);
        }
    }
}

/// Randomness that can be had again, by the number that is printed.
fn seeded() -> StdRng {
    let seed: u64 = std::env::var("LETTERLOCK_SEED")
        .map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    println!("LETTERLOCK_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

fn write_config(folder: &Path, clusters: &[Cluster; 2], store: Option<&Store>) {
    let [main, north] = clusters.each_ref().map(|cluster| {
        let folder = cluster.folder.display();
        format!("\"host={folder} user=letterlock dbname=postgres\"")
    });
    let text = format!(
        "[provider]\ndomains = [\"letterlock.example\"]\n[storage]\n\
         database = {main}\nshards = {{ north = {north} }}\n"
    );
    let bucket = store.map_or_else(String::new, |store| {
        let config = store.config();
        let key = folder.join("key");
        std::fs::write(&key, format!("{}\n{}\n", config.key_id, config.secret)).unwrap();
        format!(
            "bucket = \"{}\"\nbucket_prefix = \"{}\"\ns3_endpoint = \"{}\"\ns3_key_file = \"{}\"\n",
            config.bucket,
            config.prefix,
            config.endpoint,
            key.display()
        )
    });
    let text = text + &bucket;
    std::fs::write(folder.join("letterlock.toml"), text).unwrap();
}

/// All that is killed.
struct Site {
    clusters: [Cluster; 2],
    store: Option<Store>,
    processes: Vec<Process>,
}

impl Site {
    /// Starts databases and store, and says where they are; the providers come later.
    fn start(folder: &Path) -> Self {
        let clusters = [(); 2].map(|()| std::thread::spawn(|| Cluster::start("")));
        let clusters = clusters.map(|cluster| cluster.join().unwrap());
        let store = Store::start(&folder.join("store"));
        write_config(folder, &clusters, store.as_ref());
        Self {
            clusters,
            store,
            processes: Vec::new(),
        }
    }

    /// One that signs people up and looks at the end, and is killed by nobody.
    async fn witness(&self, folder: &Path) -> World {
        let mut config = config(folder);
        let databases = self.clusters.each_ref();
        let [main, north] = databases.map(|cluster| cluster.config("postgres"));
        config.records = Records::Postgres(Box::new(Databases {
            main,
            shards: BTreeMap::from([("north".to_owned(), north)]),
            new_accounts: Vec::new(),
        }));
        if let Some(store) = &self.store {
            config.blobs = BlobPlace::Bucket(Box::new(store.config()));
        }
        World::with(config).await
    }

    fn kill_one(&mut self, random: &mut StdRng) {
        match (random.gen_range(0..6), &mut self.store) {
            (0, _) => self.clusters[0].kill(),
            (1, _) => self.clusters[1].kill(),
            (2, Some(store)) => tokio::task::block_in_place(|| store.restart()),
            (at, _) => tokio::task::block_in_place(|| self.processes[at % 2].restart()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_is_there_once_whatever_is_killed() {
    let mut random = seeded();
    let dir = tempfile::tempdir().unwrap();
    let mut site = Site::start(dir.path());
    let world = site.witness(dir.path()).await;
    let (alice, bob) = (world.sign_up("alice").await, world.sign_up("bob").await);
    let free = ("127.0.0.1:0", "127.0.0.1:0");
    let processes = (0..2).map(|_| Process::start(dir.path(), free));
    site.processes = processes.collect();
    let load = Arc::new(Load {
        http: reqwest::Client::builder().no_proxy().build().unwrap(),
        apis: site.processes.iter().map(|process| process.api).collect(),
        lmtps: site.processes.iter().map(|process| process.lmtp).collect(),
        over: AtomicBool::new(false),
    });
    let delivering = {
        let (load, to) = (Arc::clone(&load), bob.address.clone());
        std::thread::spawn(move || load.deliver(&to))
    };
    let addresses = [alice.address.clone(), bob.address.clone()];
    let moving = {
        let (load, folder) = (Arc::clone(&load), dir.path().to_owned());
        let (addresses, random) = (addresses.clone(), StdRng::seed_from_u64(random.r#gen()));
        std::thread::spawn(move || load.move_about(&folder, &addresses, random))
    };
    let killing = async {
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(random.gen_range(50..500))).await;
            site.kill_one(&mut random);
        }
        load.over.store(true, Ordering::SeqCst);
    };
    let (first, second, sent, ()) = tokio::join!(
        load.push(&alice, 1),
        load.push(&alice, 2),
        load.submit(&alice, &bob.address),
        killing
    );
    let delivered = delivering.join().unwrap();
    println!("{sent} submissions, {} moves", moving.join().unwrap());
    for (address, to) in addresses.iter().zip(["main", "north"]) {
        let ended = start_move(dir.path(), address, to).wait().unwrap();
        assert!(ended.success(), "what was killed can be done again");
    }
    let (documents, _) = everything(&world, &alice).await;
    for last in [first, second] {
        assert_eq!(documents.iter().filter(|found| **found == last).count(), 1);
    }
    let (_, received) = everything(&world, &bob).await;
    assert_once(&counted(&received), sent, delivered);
    world.stop().await;
}

/// Nothing is there twice, and all is there that was acknowledged.
fn assert_once(
    counts: &BTreeMap<(String, u64), u64>,
    sent: u64,
    (acknowledged, tried): (BTreeSet<u64>, u64),
) {
    println!("{} of {tried} letters", acknowledged.len());
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    let submitted = (0..sent).map(|number| ("submitted".to_owned(), number));
    let delivered = acknowledged.into_iter();
    let delivered = delivered.map(|number| ("delivered".to_owned(), number));
    for letter in submitted.chain(delivered) {
        assert!(counts.contains_key(&letter), "{letter:?}");
    }
}
