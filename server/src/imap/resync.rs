//! A QRESYNC client loses its connection again and again while others change its mailbox, and
//! never loses a change (RFC 7162 6).
//!
//! The client keeps what the RFC lets it conclude: flags by UID, UIDs by position, and the highest
//! mod-sequence, by the rules of section 6. What it hears when it comes back must be exactly the
//! difference, and what it knows then must be the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use letterlock_core::account::Account;
use letterlock_core::id::{MailboxId, MailboxName, Uid};
use letterlock_core::model::{Flag, FlagChange, FlagSet};
use letterlock_core::store::MemoryStore;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::conn::{Server, serve};
use super::transcripts::{Alice, new_account, now};

const STEPS: usize = 120;

type Flags = BTreeSet<String>;

#[tokio::test]
async fn nothing_is_lost_with_the_connection() {
    for seed in 0..10 {
        run(seed).await;
    }
}

async fn run(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let account = new_account().await;
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap();
    let mut client = Client {
        account: Arc::clone(&account),
        server: Arc::new(Server::new(Alice::new(Arc::clone(&account)), now)),
        tasks: TaskTracker::new(),
        validity: inbox.uid_validity.get(),
        pipe: None,
        view: Vec::new(),
        cache: BTreeMap::new(),
        highest: 0,
        heard: Heard::default(),
        seed,
    };
    client.connect().await;
    for _ in 0..STEPS {
        match rng.gen_range(0..10) {
            0..=4 => others(&mut rng, &account, inbox.id).await,
            5 => {
                // Whatever was told is known; the rest is lost with the connection.
                client.pipe = None;
                for _ in 0..rng.gen_range(0..6) {
                    others(&mut rng, &account, inbox.id).await;
                }
                client.connect().await;
            }
            _ => client.step(&mut rng).await,
        }
    }
    client.connect().await;
}

/// What other programs and devices do.
async fn others(rng: &mut StdRng, account: &Account<MemoryStore>, inbox: MailboxId) {
    let placements = account.placements(inbox);
    let any = placements.get(rng.gen_range(0..placements.len().max(1)));
    let uids: Vec<Uid> = any.map(|placement| placement.uid).into_iter().collect();
    let archive = account.mailbox(&MailboxName::new("Archive").unwrap());
    match rng.gen_range(0..8) {
        0..=2 => {
            let raw = format!("Subject: {}\r\n\r\n", rng.gen_range(0..1000));
            let none = FlagSet::new();
            let appended = account.append(inbox, raw.as_bytes(), none, now(), now());
            appended.await.unwrap();
        }
        3..=5 => {
            let flag = [Flag::Seen, Flag::Deleted, Flag::Flagged][rng.gen_range(0..3)].clone();
            let how = [FlagChange::Add, FlagChange::Remove][rng.gen_range(0..2)];
            let flags = FlagSet::from([flag]);
            let stored = account.store_flags(inbox, &uids, how, &flags, now());
            stored.await.unwrap();
        }
        6 => drop(account.expunge(inbox, &uids, now()).await.unwrap()),
        _ => {
            let archive = archive.unwrap().id;
            let moved = account.move_messages(inbox, &uids, archive, now());
            drop(moved.await.unwrap());
        }
    }
}

/// What a command has brought.
#[derive(Default)]
struct Heard {
    mod_seq: u64,
    highest: Option<u64>,
    earlier: BTreeSet<u32>,
    fetched: BTreeMap<u32, u64>,
}

struct Client {
    account: Arc<Account<MemoryStore>>,
    server: Arc<Server<Alice>>,
    tasks: TaskTracker,
    validity: u32,
    pipe: Option<BufReader<DuplexStream>>,
    view: Vec<Option<u32>>,
    cache: BTreeMap<u32, Flags>,
    highest: u64,
    heard: Heard,
    seed: u64,
}

impl Client {
    /// Comes back, hears what has changed, and knows the truth.
    async fn connect(&mut self) {
        let (near, far) = tokio::io::duplex(4096);
        let server = Arc::clone(&self.server);
        self.tasks.spawn(async move {
            // The pipe breaks when the client goes.
            let _gone = serve(&server, far, &CancellationToken::new()).await;
        });
        self.pipe = Some(BufReader::new(near));
        self.line().await;
        self.command("LOGIN alice sesame").await;
        self.command("ENABLE QRESYNC").await;
        // Of what stands behind a message that was never fetched the position is not known.
        let placed: BTreeSet<u32> = self.view.iter().map_while(|uid| *uid).collect();
        self.cache.retain(|uid, _| placed.contains(uid));
        self.view.clear();
        let before = self.cache.clone();
        let since = self.highest;
        let select = match since {
            0 => "SELECT INBOX".to_owned(),
            since => format!("SELECT INBOX (QRESYNC ({} {since}))", self.validity),
        };
        self.command(&select).await;
        // What was known and is still there stands first, in order.
        let earlier = &self.heard.earlier;
        let there = before.keys().filter(|uid| !earlier.contains(uid));
        for (place, uid) in self.view.iter_mut().zip(there) {
            assert!(
                place.is_none_or(|known| known == *uid),
                "seed {}",
                self.seed
            );
            *place = Some(*uid);
        }
        if since > 0 {
            for (uid, mod_seq) in &self.heard.fetched {
                assert!(*mod_seq > since, "seed {}: {uid} is no news", self.seed);
            }
            let known_gone = self
                .heard
                .earlier
                .iter()
                .filter(|uid| before.contains_key(uid));
            let truth = self.truth();
            let gone = before.keys().filter(|uid| !truth.contains_key(uid));
            let (told, gone): (Vec<_>, Vec<_>) = (known_gone.collect(), gone.collect());
            assert_eq!(told, gone, "seed {}", self.seed);
        }
        self.learn().await;
        assert_eq!(self.cache, self.truth(), "seed {}", self.seed);
    }

    fn truth(&self) -> BTreeMap<u32, Flags> {
        let inbox = self.account.mailbox(&MailboxName::inbox()).unwrap();
        let placements = self.account.placements(inbox.id).into_iter();
        let flags = |placement: letterlock_core::account::Placement| {
            let names = placement.flags.iter().map(|flag| flag.as_str().to_owned());
            (placement.uid.get(), names.collect())
        };
        placements.map(flags).collect()
    }

    /// Fetches what came in since.
    async fn learn(&mut self) {
        let known = self.view.iter().take_while(|uid| uid.is_some()).flatten();
        let last = known.last().copied().unwrap_or(0);
        let line = format!("UID FETCH {}:* (UID FLAGS MODSEQ)", last + 1);
        self.command(&line).await;
    }

    async fn step(&mut self, rng: &mut StdRng) {
        let known: Vec<u32> = self.cache.keys().copied().collect();
        let uid = known.get(rng.gen_range(0..known.len().max(1)));
        let flag = ["\\Seen", "\\Deleted", "\\Flagged"][rng.gen_range(0..3)];
        let count = self.view.len();
        match (rng.gen_range(0..8), uid) {
            (0, _) => self.command("NOOP").await,
            (1, _) => self.command("EXPUNGE").await,
            (2, _) if count > 0 => self.command(&format!("FETCH {count} (UID FLAGS)")).await,
            (3, _) => self.command("SEARCH ALL").await,
            (4 | 5, Some(uid)) => {
                let line = format!("UID STORE {uid} +FLAGS ({flag})");
                self.command(&line).await;
            }
            (6, Some(uid)) => {
                let since = self.highest;
                let line = format!("UID STORE {uid} (UNCHANGEDSINCE {since}) -FLAGS ({flag})");
                self.command(&line).await;
            }
            _ => self.learn().await,
        }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let pipe = self.pipe.as_mut().unwrap();
        pipe.read_line(&mut line).await.unwrap();
        // Shown where the test fails.
        eprintln!("S: {}", line.trim_end());
        line.trim_end().to_owned()
    }

    async fn command(&mut self, line: &str) {
        self.heard = Heard::default();
        let pipe = self.pipe.as_mut().unwrap();
        eprintln!("C: {line}");
        let octets = format!("t {line}\r\n");
        pipe.write_all(octets.as_bytes()).await.unwrap();
        loop {
            let answer = self.line().await;
            self.conclude(&answer);
            if answer.starts_with("t ") {
                // A number may stand for a message that is gone already.
                let done = answer.starts_with("t OK") || answer.contains("[EXPUNGEISSUED]");
                assert!(done, "seed {}: {line}: {answer}", self.seed);
                // RFC 7162 6: a HIGHESTMODSEQ counts even if higher ones were seen.
                self.highest = self
                    .heard
                    .highest
                    .unwrap_or(self.highest.max(self.heard.mod_seq));
                return;
            }
        }
    }

    fn conclude(&mut self, answer: &str) {
        if let Some(code) = after(answer, "[HIGHESTMODSEQ ") {
            self.heard.highest = Some(number(code));
        } else if let Some(set) = answer.strip_prefix("* VANISHED (EARLIER) ") {
            for uid in uids(set) {
                self.cache.remove(&uid);
                self.heard.earlier.insert(uid);
            }
        } else if let Some(set) = answer.strip_prefix("* VANISHED ") {
            for uid in uids(set) {
                // One that was counted but never fetched has no UID here.
                let at = self.view.iter().position(|known| *known == Some(uid));
                let at = at.or_else(|| self.view.iter().position(Option::is_none));
                self.view.remove(at.expect("only what is counted vanishes"));
                self.cache.remove(&uid);
            }
        } else if let Some(count) = answer.strip_suffix(" EXISTS") {
            let count: usize = count.trim_start_matches("* ").parse().unwrap();
            assert!(count >= self.view.len(), "seed {}: {answer}", self.seed);
            self.view.resize(count, None);
        } else if answer.contains(" FETCH (") {
            self.fetched(answer);
        }
    }

    fn fetched(&mut self, answer: &str) {
        let position: usize = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let uid = u32::try_from(number(after(answer, "UID ").unwrap())).unwrap();
        let known = &mut self.view[position - 1];
        assert!(
            known.is_none_or(|known| known == uid),
            "seed {}: {answer}",
            self.seed
        );
        *known = Some(uid);
        if let Some(mod_seq) = after(answer, "MODSEQ (").map(number) {
            self.heard.mod_seq = self.heard.mod_seq.max(mod_seq);
            self.heard.fetched.insert(uid, mod_seq);
        }
        if let Some(flags) = after(answer, "FLAGS (") {
            let flags = flags.split(')').next().unwrap().split_ascii_whitespace();
            let kept = flags.filter(|flag| *flag != "\\Recent").map(str::to_owned);
            self.cache.insert(uid, kept.collect());
        }
    }
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, rest)| rest)
}

fn number(text: &str) -> u64 {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text[..end.unwrap_or(text.len())].parse().unwrap()
}

fn uids(set: &str) -> Vec<u32> {
    let span = |range: &str| {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        from.parse::<u32>().unwrap()..=to.parse().unwrap()
    };
    set.split(',').flat_map(span).collect()
}
