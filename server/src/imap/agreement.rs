//! Many clients do anything on one mailbox; after every answer each client's idea of it agrees
//! with what the server's responses said, and at the end with the truth.
//!
//! Each client keeps what RFC 3501 lets it conclude: a list of UIDs by position, and flags. An
//! EXPUNGE in answer to FETCH, STORE or SEARCH, a number that is not there, or a flag that was
//! never told, is a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use letterlock_core::account::Account;
use letterlock_core::id::MailboxName;
use letterlock_core::store::MemoryStore;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::conn::{Server, serve};
use super::transcripts::{Alice, new_account, now};

const CLIENTS: usize = 4;
const STEPS: usize = 400;

#[tokio::test]
async fn clients_agree_with_the_server() {
    for seed in 0..6 {
        run(seed).await;
    }
}

async fn run(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let account = new_account().await;
    let server = Arc::new(Server::new(Alice::new(Arc::clone(&account)), now));
    let tasks = TaskTracker::new();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let (near, far) = tokio::io::duplex(4096);
        let server = Arc::clone(&server);
        tasks.spawn(async move {
            // The pipe breaks at the end of the test.
            let _gone = serve(&server, far, &CancellationToken::new()).await;
        });
        let mut client = Client {
            pipe: BufReader::new(near),
            view: Vec::new(),
            seed,
        };
        client.line().await;
        client
            .command("LOGIN alice sesame", Expunges::Allowed)
            .await;
        client.command("SELECT INBOX", Expunges::Allowed).await;
        client.learn().await;
        clients.push(client);
    }
    for _ in 0..STEPS {
        let client = rng.gen_range(0..CLIENTS);
        step(&mut rng, &mut clients[client]).await;
    }
    for client in &mut clients {
        client.command("NOOP", Expunges::Allowed).await;
        client.learn().await;
        assert_eq!(client.known(), truth(&account), "seed {seed}");
    }
}

async fn step(rng: &mut StdRng, client: &mut Client) {
    let count = client.view.len();
    let flag = ["\\Seen", "\\Deleted", "\\Flagged", "$Work"][rng.gen_range(0..4)];
    let sign = ["+", "-", ""][rng.gen_range(0..3)];
    let silent = ["", ".SILENT"][rng.gen_range(0..2)];
    match rng.gen_range(0..10) {
        0..=2 => {
            client
                .command("APPEND INBOX (\\Draft) {2+}\r\nhi", Expunges::Allowed)
                .await;
        }
        3 => client.command("NOOP", Expunges::Allowed).await,
        4 => client.command("EXPUNGE", Expunges::Allowed).await,
        5 => client.command("UID SEARCH ALL", Expunges::Allowed).await,
        _ if count == 0 => client.command("CHECK", Expunges::Allowed).await,
        kind => {
            let number = rng.gen_range(1..=count);
            let uid = client.view[number - 1].uid;
            match (kind, uid) {
                (6, _) => client.store(number, sign, silent, flag).await,
                (7, _) => {
                    let line = format!("FETCH {number}:* (UID FLAGS)");
                    client.command(&line, Expunges::Held).await;
                }
                (8, Some(uid)) => {
                    client
                        .command(&format!("UID MOVE {uid} INBOX"), Expunges::Allowed)
                        .await;
                }
                _ => {
                    client
                        .command(&format!("SEARCH {number}"), Expunges::Held)
                        .await;
                }
            }
        }
    }
    client.learn().await;
}

/// What the account really has: flags by UID.
fn truth(account: &Account<MemoryStore>) -> BTreeMap<u32, BTreeSet<String>> {
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap();
    let placements = account.placements(inbox.id).into_iter();
    let flags = |placement: &letterlock_core::account::Placement| {
        placement
            .flags
            .iter()
            .map(|flag| flag.as_str().to_owned())
            .collect()
    };
    placements
        .map(|placement| (placement.uid.get(), flags(&placement)))
        .collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expunges {
    Allowed,
    Held,
}

#[derive(Default)]
struct Known {
    uid: Option<u32>,
    flags: Option<BTreeSet<String>>,
}

struct Client {
    pipe: BufReader<DuplexStream>,
    view: Vec<Known>,
    seed: u64,
}

impl Client {
    fn known(&self) -> BTreeMap<u32, BTreeSet<String>> {
        let known = self
            .view
            .iter()
            .map(|known| (known.uid.unwrap(), known.flags.clone().unwrap()));
        known.collect()
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.pipe.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }

    /// Asks for what is new by number, as real programs do after EXISTS.
    async fn learn(&mut self) {
        let unknown = self.view.iter().position(|known| known.uid.is_none());
        if let Some(index) = unknown {
            let line = format!("FETCH {}:* (UID FLAGS)", index + 1);
            self.command(&line, Expunges::Held).await;
            // What is gone before it was ever known is told of by the next command that may.
            if self.view.iter().any(|known| known.uid.is_none()) {
                self.command("NOOP", Expunges::Allowed).await;
                Box::pin(self.learn()).await;
            }
        }
    }

    /// STORE; after `.SILENT` the client concludes the new flags by itself.
    async fn store(&mut self, number: usize, sign: &str, silent: &str, flag: &str) {
        let line = format!("STORE {number} {sign}FLAGS{silent} ({flag})");
        let before = self.view[number - 1].flags.clone();
        if let Some(mut flags) = before.filter(|_| !silent.is_empty()) {
            match sign {
                "+" => drop(flags.insert(flag.to_owned())),
                "-" => drop(flags.remove(flag)),
                _ => flags = BTreeSet::from([flag.to_owned()]),
            }
            self.view[number - 1].flags = Some(flags);
        }
        self.command(&line, Expunges::Held).await;
    }

    async fn command(&mut self, line: &str, expunges: Expunges) {
        self.pipe
            .write_all(format!("t {line}\r\n").as_bytes())
            .await
            .unwrap();
        loop {
            let answer = self.line().await;
            if answer.starts_with("t ") {
                assert!(
                    !answer.starts_with("t BAD"),
                    "seed {}: {line}: {answer}",
                    self.seed
                );
                return;
            }
            self.conclude(&answer, expunges, line);
        }
    }

    fn conclude(&mut self, answer: &str, expunges: Expunges, line: &str) {
        let seed = self.seed;
        let words: Vec<&str> = answer.splitn(4, ' ').collect();
        let Some(number) = words.get(1).and_then(|word| word.parse::<usize>().ok()) else {
            return;
        };
        match words[2] {
            "EXISTS" => {
                assert!(number >= self.view.len(), "seed {seed}: {line}: {answer}");
                self.view.resize_with(number, Known::default);
            }
            "EXPUNGE" => {
                assert!(
                    expunges == Expunges::Allowed,
                    "seed {seed}: {line}: {answer}"
                );
                assert!(number <= self.view.len(), "seed {seed}: {line}: {answer}");
                self.view.remove(number - 1);
            }
            "FETCH" => {
                let known = &mut self.view[number - 1];
                if let Some(uid) = after(words[3], "UID ") {
                    let uid = uid.split([' ', ')']).next().unwrap().parse().unwrap();
                    assert!(
                        known.uid.is_none_or(|old| old == uid),
                        "seed {seed}: {line}: {answer}"
                    );
                    known.uid = Some(uid);
                }
                if let Some(flags) = after(words[3], "FLAGS (") {
                    let flags = flags.split(')').next().unwrap().split_ascii_whitespace();
                    let kept = flags.filter(|flag| *flag != "\\Recent").map(str::to_owned);
                    known.flags = Some(kept.collect());
                }
            }
            _ => {}
        }
    }
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, rest)| rest)
}
