//! Many sessions do everything on shared mailboxes while another device's changes come by sync;
//! after each response what a session was told agrees with the truth.
//!
//! Each session keeps what its RFCs let a client conclude: UIDs by position, flags,
//! mod-sequences, up to where it knows everything. A response that contradicts this, an EXPUNGE
//! in answer to FETCH, STORE or SEARCH, a search that finds something else than is there, a
//! message recent to two sessions, a QRESYNC that brings more or less than the difference, is a
//! failure. `LETTERLOCK_SEEDS=17` or `=100..200` runs other seeds than the fixed ones; the seed
//! of a run stands before its transcript.
//!
//! Sessions with responses of their own accord: IDLE, NOTIFY. Rejected: commands of several
//! sessions at the same moment; no truth could be named then (`agreement` has them in turn, too).

mod client;
mod mailboxes;
mod steps;
mod visits;
mod world;

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::BufReader;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::conn::{Server, serve};
use super::transcripts::{Alice, now};
use client::{Client, Profile};
use world::World;

const STEPS: usize = 250;
const SEEDS: std::ops::Range<u64> = 0..4;

const fn enabling(enable: &'static str) -> Profile {
    Profile {
        enable,
        notify: None,
    }
}

const fn notified(enable: &'static str, how: &'static str) -> Profile {
    Profile {
        enable,
        notify: Some(how),
    }
}

const PROFILES: [Profile; 14] = [
    enabling(""),
    enabling(""),
    enabling("CONDSTORE"),
    enabling("QRESYNC"),
    enabling("QRESYNC"),
    enabling("UIDONLY"),
    enabling("UIDONLY QRESYNC"),
    enabling("IMAP4rev2"),
    enabling("METADATA"),
    enabling("METADATA QRESYNC"),
    notified("", "SELECTED"),
    notified("CONDSTORE", "SELECTED-DELAYED"),
    notified("QRESYNC", "SELECTED"),
    notified("UIDONLY CONDSTORE METADATA", "SELECTED"),
];

/// Everything that a run has.
struct Run {
    rng: StdRng,
    world: World,
    server: Arc<Server<Alice>>,
    tasks: TaskTracker,
    sessions: usize,
}

#[tokio::test]
async fn what_sessions_are_told_is_true() {
    let wanted = std::env::var("LETTERLOCK_SEEDS").ok();
    for seed in wanted.map_or(SEEDS, |text| range(&text)) {
        eprintln!("seed {seed}");
        run(seed).await;
    }
}

fn range(text: &str) -> std::ops::Range<u64> {
    let (from, to) = text.split_once("..").unwrap_or((text, ""));
    let from = from.parse().unwrap();
    from..to.parse().unwrap_or(from + 1)
}

async fn run(seed: u64) {
    let world = World::new().await;
    let alice = Alice::new(Arc::clone(&world.account));
    let mut run = Run {
        rng: StdRng::seed_from_u64(seed),
        world,
        server: Arc::new(Server::new(alice, now)),
        tasks: TaskTracker::new(),
        sessions: 0,
    };
    let mut clients = Vec::new();
    for _ in 0..5 {
        let profile = PROFILES[run.rng.gen_range(0..PROFILES.len())];
        clients.push(run.connect(profile).await);
    }
    for _ in 0..STEPS {
        if run.rng.gen_ratio(1, 6) {
            run.world.others(&mut run.rng).await;
        }
        let index = run.rng.gen_range(0..clients.len());
        run.step(&mut clients[index]).await;
    }
    for client in &mut clients {
        if client.idling {
            client.done(&mut run.world).await;
        }
        client.ok(&mut run.world, "NOOP").await;
        client.learn(&mut run.world).await;
        client.ok(&mut run.world, "LOGOUT").await;
    }
    let report = run.world.account.check().await.unwrap();
    assert_eq!(report.findings, []);
}

impl Run {
    async fn connect(&mut self, profile: Profile) -> Client {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let server = Arc::clone(&self.server);
        self.tasks.spawn(async move {
            // The pipe breaks when the client goes.
            let _gone = serve(&server, far, &CancellationToken::new()).await;
        });
        self.sessions += 1;
        let mut client = Client {
            pipe: BufReader::new(near),
            profile,
            session: self.sessions,
            selected: None,
            idling: false,
        };
        client.greet(&mut self.world).await;
        let name = match self.rng.gen_range(0..8) {
            0..4 => "INBOX",
            4..6 => "Archive",
            6 => "All Mail",
            _ => "Flagged",
        };
        self.select(&mut client, name).await;
        client
    }
}
