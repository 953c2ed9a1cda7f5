//! Two provider processes over one database and one object store, and each of the four killed at
//! random moments under load: what was acknowledged is there afterwards, once.

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
use letterlock_server::provider::{BlobPlace, Records};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;
use serde_bytes::ByteBuf;

use super::cluster::Cluster;
use super::store::Store;
use super::world::{User, World, config, envelope, envelopes, letters};

/// How often something is killed.
const KILLS: usize = 24;
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

fn write_config(folder: &Path, cluster: &Cluster, store: Option<&Store>) {
    let text = format!(
        "[provider]\ndomains = [\"letterlock.example\"]\n[storage]\n\
         database = \"host={} user=letterlock dbname=postgres\"\n",
        cluster.folder.display()
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_is_there_once_whatever_is_killed() {
    let mut random = seeded();
    let cluster = Cluster::start("");
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::start(&dir.path().join("store"));
    write_config(dir.path(), &cluster, store.as_ref());
    // Who signs people up and looks at the end is killed by nobody.
    let mut config = config(dir.path());
    config.records = Records::Postgres(Box::new(cluster.config("postgres")));
    if let Some(store) = &store {
        config.blobs = BlobPlace::Bucket(Box::new(store.config()));
    }
    let world = World::with(config).await;
    let (alice, bob) = (world.sign_up("alice").await, world.sign_up("bob").await);
    let free = ("127.0.0.1:0", "127.0.0.1:0");
    let mut processes = [
        Process::start(dir.path(), free),
        Process::start(dir.path(), free),
    ];
    let load = Arc::new(Load {
        http: reqwest::Client::builder().no_proxy().build().unwrap(),
        apis: processes.iter().map(|process| process.api).collect(),
        lmtps: processes.iter().map(|process| process.lmtp).collect(),
        over: AtomicBool::new(false),
    });
    let delivering = {
        let (load, to) = (Arc::clone(&load), bob.address.clone());
        std::thread::spawn(move || load.deliver(&to))
    };
    let killing = async {
        let load = Arc::clone(&load);
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(random.gen_range(50..700))).await;
            match (random.gen_range(0..4), &mut store) {
                (0, _) => cluster.kill(),
                (3, Some(store)) => tokio::task::block_in_place(|| store.restart()),
                (at, _) => tokio::task::block_in_place(|| processes[at % 2].restart()),
            }
        }
        load.over.store(true, Ordering::SeqCst);
    };
    let (first, second, sent, ()) = tokio::join!(
        load.push(&alice, 1),
        load.push(&alice, 2),
        load.submit(&alice, &bob.address),
        killing
    );
    let (acknowledged, tried) = delivering.join().unwrap();
    println!(
        "{} of {tried} letters, {sent} submissions",
        acknowledged.len()
    );
    let (documents, _) = everything(&world, &alice).await;
    for last in [first, second] {
        assert_eq!(documents.iter().filter(|found| **found == last).count(), 1);
    }
    let (_, mail) = everything(&world, &bob).await;
    let counts = counted(&mail);
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    for number in 0..sent {
        assert!(
            counts.contains_key(&("submitted".to_owned(), number)),
            "{number}"
        );
    }
    for number in acknowledged {
        assert!(
            counts.contains_key(&("delivered".to_owned(), number)),
            "{number}"
        );
    }
    world.stop().await;
}
