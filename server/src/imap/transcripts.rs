//! Runs `tests/data/transcripts/*.txt` against the real session over memory pipes.
//!
//! A file has lines `C: ` (the client says, CR LF is added), `S: ` (the server says; `<any>`
//! stands for any text), the same with a number for more clients, and comments with `#`. Every
//! client logs in unseen, unless the file begins with `stranger`; with `behind` mail is still coming
//! in; with `virtual` the virtual mailboxes are on; with `limited` a command changes at most 3
//! messages; with `quota` its room has a limit, with `full` it is used up. At the end every client has
//! been told all it was to be told, and the replica's own rules hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use letterlock_core::account::Account;
use letterlock_core::id::{AccountId, Address, Timestamp};
use letterlock_core::model::VirtualMailbox;
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_core::store::MemoryStore;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accounts::{Accounts, Grant, LoginRefused, Peer, Room, Salt};
use super::conn::{Server, serve};
use crate::scram::{Attempt, Verifier};

/// 2026-01-01T00:00:00Z, always.
pub(super) fn now() -> Timestamp {
    Timestamp::from_secs(1_767_225_600)
}

/// One user, `alice`, with the password `sesame` until the token is cancelled.
pub(super) struct Alice(
    pub(super) Arc<Account<MemoryStore>>,
    pub(super) CancellationToken,
    /// Whether mail is still coming in.
    pub(super) watch::Sender<bool>,
    /// The room that her account has.
    pub(super) watch::Sender<Option<Room>>,
);

impl Alice {
    /// With a password that is not taken back.
    pub(super) fn new(account: Arc<Account<MemoryStore>>) -> Self {
        Self(
            account,
            CancellationToken::new(),
            watch::Sender::new(false),
            watch::Sender::new(None),
        )
    }
}

impl Accounts for Alice {
    type Store = MemoryStore;

    async fn log_in(
        &self,
        user: &[u8],
        password: &[u8],
        _peer: Peer,
    ) -> Result<Grant<MemoryStore>, LoginRefused> {
        match (user, password) {
            (b"alice", b"sesame") => Ok(self.grant()),
            (b"locked", _) => Err(LoginRefused::Locked {
                how: "Run `letterlock unlock`".into(),
            }),
            _ => Err(LoginRefused::Wrong),
        }
    }

    fn salt(&self, user: &str) -> Salt {
        Salt {
            salt: user.bytes().cycle().take(16).collect(),
            iterations: 4096,
        }
    }

    async fn prove(
        &self,
        attempt: &Attempt,
        _peer: Peer,
    ) -> Result<(Grant<MemoryStore>, [u8; 32]), LoginRefused> {
        let salt = self.salt(&attempt.user);
        let verifier = Verifier::new("sesame", &salt.salt, salt.iterations);
        match verifier.verify(&attempt.auth_message, &attempt.proof) {
            Some(signature) if attempt.user == "alice" => Ok((self.grant(), signature)),
            _ => Err(LoginRefused::Wrong),
        }
    }
}

impl Alice {
    fn grant(&self) -> Grant<MemoryStore> {
        Grant {
            account: Arc::clone(&self.0),
            revoked: self.1.clone(),
            behind: self.2.subscribe(),
            room: self.3.subscribe(),
        }
    }
}

/// A new account with its default mailboxes.
pub(super) async fn new_account() -> Arc<Account<MemoryStore>> {
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::from_octets([2; 32]));
    let address = Address::new("alice@letterlock.example").unwrap();
    Arc::new(
        Account::open(MemoryStore::new(), address, keys, [3; 32], now())
            .await
            .unwrap(),
    )
}

struct Client(BufReader<DuplexStream>);

impl Client {
    async fn say(&mut self, line: &str) {
        // The server may have closed; then there is nothing to hear either.
        let _gone = self.0.write_all(format!("{line}\r\n").as_bytes()).await;
    }

    async fn hear(&mut self) -> String {
        let mut line = Vec::new();
        let read = self.0.read_until(b'\n', &mut line);
        match tokio::time::timeout(Duration::from_secs(5), read).await {
            Ok(read) => read.unwrap(),
            Err(_) => return "(silence)".to_owned(),
        };
        let line = String::from_utf8_lossy(&line).into_owned();
        line.trim_end_matches(['\r', '\n']).to_owned()
    }
}

/// Whether a line is what was expected.
fn fits(expected: &str, line: &str) -> bool {
    let mut rest = line;
    let mut pieces = expected.split("<any>");
    let first = pieces.next().unwrap_or_default();
    let Some(after) = rest.strip_prefix(first) else {
        return false;
    };
    rest = after;
    let mut open = false;
    for piece in pieces {
        open = piece.is_empty();
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    open || rest.is_empty()
}

struct World {
    server: Arc<Server<Alice>>,
    account: Arc<Account<MemoryStore>>,
    tasks: TaskTracker,
    clients: BTreeMap<String, Client>,
    stranger: bool,
}

impl World {
    async fn client(&mut self, name: &str) -> &mut Client {
        if !self.clients.contains_key(name) {
            let (near, far) = tokio::io::duplex(4096);
            let server = Arc::clone(&self.server);
            self.tasks.spawn(async move {
                // A client that hangs up at the end of a test is no failure of it.
                let _gone = serve(&server, far, &CancellationToken::new()).await;
            });
            let mut client = Client(BufReader::new(near));
            if !self.stranger {
                assert!(
                    client
                        .hear()
                        .await
                        .starts_with("* OK [CAPABILITY IMAP4rev1 ")
                );
                client.say("login LOGIN alice sesame").await;
                assert!(client.hear().await.starts_with("login OK "));
            }
            self.clients.insert(name.to_owned(), client);
        }
        self.clients.get_mut(name).unwrap()
    }
}

async fn run(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    let account = new_account().await;
    let alice = Alice::new(Arc::clone(&account));
    alice
        .2
        .send_replace(text.lines().any(|line| line == "behind"));
    if text.lines().any(|line| line == "virtual") {
        let both = VirtualMailbox::ALL;
        let set = account.set_virtual_mailboxes(&both, now()).await;
        set.unwrap();
    }
    for (said, used_octets) in [("quota", 1_500_001), ("full", 2_048_000)] {
        if text.lines().any(|line| line == said) {
            alice.3.send_replace(Some(Room {
                used_octets,
                quota_octets: 2_048_000,
            }));
        }
    }
    let mut server = Server::new(alice, now);
    if text.lines().any(|line| line == "limited") {
        server = server.limited_to(3);
    }
    let server = Arc::new(server);
    let stranger = text.lines().any(|line| line == "stranger");
    let tasks = TaskTracker::new();
    let mut world = World {
        server,
        account,
        tasks,
        clients: BTreeMap::new(),
        stranger,
    };
    for (number, line) in (1..).zip(text.lines()) {
        let Some((who, what)) = line.split_once(": ").or_else(|| line.split_once(':')) else {
            continue;
        };
        let place = format!("{}:{number}", path.display());
        match who.split_at_checked(1) {
            Some(("C", name)) => world.client(name).await.say(what).await,
            Some(("S", name)) => {
                let heard = world.client(name).await.hear().await;
                assert!(
                    fits(what, &heard),
                    "{place}\nexpected: {what}\n   heard: {heard}"
                );
            }
            _ => assert!(who.starts_with('#'), "{place}: {line}"),
        }
    }
    end(world, path).await;
}

/// Nobody has anything left to hear, and what is stored is in order.
async fn end(mut world: World, path: &Path) {
    for (name, client) in &mut world.clients {
        client.say("bye LOGOUT").await;
        let heard = client.hear().await;
        let closed = heard.is_empty();
        assert!(
            closed || heard.starts_with("* BYE"),
            "{}: C{name}: {heard}",
            path.display()
        );
    }
    let report = world.account.check().await.unwrap();
    assert_eq!(report.findings, [], "{}", path.display());
    for mailbox in world.account.mailboxes() {
        for placement in world.account.placements(mailbox.id) {
            let message = world.account.message(placement.message).await;
            let message = message.unwrap().unwrap();
            let raw = world.account.raw(&message).await.unwrap();
            assert_eq!(raw.len() as u64, placement.size);
        }
    }
}

#[tokio::test]
async fn every_transcript_runs_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/transcripts");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        eprintln!("{}", path.display());
        run(&path).await;
    }
}

#[test]
fn wildcards_fit() {
    assert!(fits("a <any> c", "a b c"));
    assert!(fits("a<any>", "abc"));
    assert!(!fits("a <any> c", "a b d"));
    assert!(!fits("a", "ab"));
}
