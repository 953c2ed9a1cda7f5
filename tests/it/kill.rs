//! SIGKILL at random points while mail flows in: every message that LMTP accepted is in the
//! mailbox exactly once, and nothing else is lost.
//!
//! The random numbers come from a seed that is printed; `LETTERLOCK_SEED` repeats a run (the
//! points in time are the same, what the program was at then is not).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rand::rngs::OsRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::imap::Imap;
use crate::talk::{Fate, Reply, Talk};
use crate::world::{Account, Ready, World, now, poll};

/// As the issue of this test asks.
const KILLS: usize = 50;
/// The same promise for what the submission server accepts.
const SUBMISSION_KILLS: usize = 20;
/// Kills that hit the first start, when accounts and sample mail are made.
const FIRST_START_KILLS: usize = 6;
/// From being ready to being killed.
const LONGEST_LIFE: Duration = Duration::from_millis(600);
/// One start in so many is killed before it is ready.
const EARLY: u32 = 5;
/// For the last start to bring everything in.
const SETTLE: Duration = Duration::from_secs(90);

/// What LMTP said about one message to one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Accepted,
    Refused,
    /// The connection broke before the answer.
    Nothing,
}

/// Subject and recipient's address, to what was said.
type Book = BTreeMap<(String, String), Said>;

/// By which way the mail flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// In from the world, for alice, every fourth message for bob as well.
    Lmtp,
    /// Submitted by alice, for bob.
    Submission,
}

/// Sends mail as fast as it is taken, to wherever the program listens just now.
#[derive(Debug)]
struct Feeder {
    target: Arc<Mutex<Option<Ready>>>,
    finished: Arc<AtomicBool>,
    thread: JoinHandle<Book>,
}

impl Feeder {
    fn start(way: Way) -> Self {
        let target = Arc::new(Mutex::new(None::<Ready>));
        let finished = Arc::new(AtomicBool::new(false));
        let (shared, end) = (Arc::clone(&target), Arc::clone(&finished));
        let thread = thread::spawn(move || {
            let mut book = Book::new();
            let mut number = 0;
            while !end.load(Ordering::Relaxed) {
                let ready = shared
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                let connected = ready.and_then(|ready| Some((connect(way, &ready)?, ready)));
                match connected {
                    Some((talk, ready)) => feed(way, talk, &ready, &mut number, &mut book),
                    None => thread::sleep(Duration::from_millis(5)),
                }
            }
            book
        });
        Self {
            target,
            finished,
            thread,
        }
    }

    fn aim(&self, ready: Option<Ready>) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = ready;
    }

    /// What was said to all that was sent. To be called while the program does not run: a
    /// connection that is open is used until it breaks.
    fn finish(self) -> Book {
        self.finished.store(true, Ordering::Relaxed);
        self.thread.join().expect("the feeder ends")
    }
}

fn connect(way: Way, ready: &Ready) -> Option<Talk> {
    match way {
        Way::Lmtp => Talk::lmtp(&ready.lmtp).ok(),
        Way::Submission => Talk::submission(&ready.smtp, ready.accounts.first()?).ok(),
    }
}

/// Sends on one connection until it breaks.
fn feed(way: Way, mut talk: Talk, ready: &Ready, number: &mut u32, book: &mut Book) {
    let [alice, bob] = [0, 1].map(|index| ready.accounts[index].address.as_str());
    loop {
        *number += 1;
        let subject = format!("flowing {number}");
        let (from, to) = match way {
            Way::Lmtp if number.is_multiple_of(4) => ("flow@elsewhere.example", vec![alice, bob]),
            Way::Lmtp => ("flow@elsewhere.example", vec![alice]),
            // One recipient, one reply: the dialogue is that of LMTP.
            Way::Submission => (alice, vec![bob]),
        };
        let text = "Some lines, so that sealing takes its time.\r\n".repeat(50);
        let message = format!(
            "From: {from}\r\nSubject: {subject}\r\nMessage-ID: <{number}@flow.example>\r\n\r\n{text}"
        );
        let fate = talk.deliver(from, &to, message.as_bytes());
        let said = |index: usize| match &fate {
            Ok(Fate::Answered(replies)) if replies.get(index).is_some_and(Reply::accepted) => {
                Said::Accepted
            }
            Ok(Fate::Unknown) => Said::Nothing,
            Ok(Fate::Answered(_) | Fate::NotSent) | Err(_) => Said::Refused,
        };
        for (index, recipient) in to.iter().enumerate() {
            book.insert((subject.clone(), (*recipient).to_owned()), said(index));
        }
        if !matches!(fate, Ok(Fate::Answered(_))) {
            return;
        }
    }
}

fn seeded() -> ChaCha8Rng {
    let given = std::env::var("LETTERLOCK_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| OsRng.next_u64());
    println!("LETTERLOCK_SEED={seed}");
    ChaCha8Rng::seed_from_u64(seed)
}

/// The subjects in an account's INBOX with how often each is there.
fn subjects(world: &World, account: &Account) -> BTreeMap<String, usize> {
    subjects_in(world, account, "INBOX")
}

fn subjects_in(world: &World, account: &Account, mailbox: &str) -> BTreeMap<String, usize> {
    let mut imap = Imap::log_in(world, account);
    imap.ok(&format!("SELECT {mailbox}"));
    let uids = imap.uids();
    assert!(
        uids.is_sorted_by(|one, next| one < next),
        "UIDs do not ascend: {uids:?}"
    );
    let mut counts = BTreeMap::new();
    for summary in imap.summaries() {
        *counts.entry(summary.subject).or_insert(0) += 1;
    }
    counts
}

/// Brings a message in and waits for it, so that everything before it is there as well.
fn settle(world: &World, account: &Account, name: &str) {
    let message = format!("Subject: {name}\r\n\r\nx\r\n");
    crate::talk::deliver(&world.ready().lmtp, &account.address, message.as_bytes());
    poll("the mailbox settles", SETTLE, || {
        subjects(world, account).contains_key(name).then_some(())
    });
}

/// Kills and starts again and again while mail flows; then stops the flow and says what it said.
fn flow_through_kills(world: &mut World, way: Way, kills: usize) -> Book {
    let mut rng = seeded();
    let feeder = Feeder::start(way);
    feeder.aim(Some(world.ready().clone()));
    for kill in 1..=kills {
        thread::sleep(rng.gen_range(Duration::ZERO..LONGEST_LIFE));
        world.kill();
        feeder.aim(None);
        if kill == kills {
            break;
        }
        world.spawn();
        if rng.gen_ratio(1, EARLY) {
            // Also while it recovers from the kill before.
            thread::sleep(rng.gen_range(Duration::ZERO..LONGEST_LIFE));
            world.kill();
            world.spawn();
        }
        world.wait_until_ready();
        feeder.aim(Some(world.ready().clone()));
    }
    // The program does not run now, so that the feeder's connection breaks and it ends.
    let book = feeder.finish();
    world.restart();
    let accepted = book
        .values()
        .filter(|said| **said == Said::Accepted)
        .count();
    println!(
        "{way:?}: {} messages sent, {accepted} accepted, {kills} kills",
        book.len()
    );
    // On a busy machine not every life is long enough for a message.
    assert!(accepted > kills / 2, "too little mail flowed: {accepted}");
    book
}

#[test]
fn fifty_kills_lose_nothing_and_double_nothing() {
    let mut world = World::prepare_alone();
    world.restart();
    let accounts = [world.alice().clone(), world.bob().clone()];
    for account in &accounts {
        settle(&world, account, "before the first kill");
    }
    let look = |world: &World| accounts.clone().map(|account| subjects(world, &account));
    let before = look(&world);
    let book = flow_through_kills(&mut world, Way::Lmtp, KILLS);
    for (account, before) in accounts.iter().zip(&before) {
        settle(&world, account, "after the last kill");
        wait_for_accepted(&world, account, &book);
        judge(&subjects(&world, account), before, &book, account);
    }
    // And what is there is there to stay.
    let last = look(&world);
    world.stop();
    world.restart();
    assert_eq!(look(&world), last);
}

#[test]
fn kills_while_alice_writes_lose_nothing_and_double_nothing() {
    let mut world = World::prepare_alone();
    world.restart();
    let (alice, bob) = (world.alice().clone(), world.bob().clone());
    settle(&world, &bob, "before the first kill");
    let before = subjects(&world, &bob);
    let book = flow_through_kills(&mut world, Way::Submission, SUBMISSION_KILLS);
    wait_for_accepted(&world, &bob, &book);
    settle(&world, &bob, "after the last kill");
    judge(&subjects(&world, &bob), &before, &book, &bob);
    // Her own copies: one of each.
    let sent = subjects_in(&world, &alice, "Sent");
    for ((subject, _), said) in &book {
        let count = sent.get(subject).copied().unwrap_or_default();
        let right = count == 1 || (count == 0 && *said != Said::Accepted);
        assert!(right, "`{subject}`: {said:?}, {count} times in Sent");
    }
}

/// Gives what was accepted time to come in; whether it did, the judgement says.
fn wait_for_accepted(world: &World, account: &Account, book: &Book) {
    let end = now() + SETTLE;
    poll("all that was accepted is there", SETTLE * 2, || {
        let there = subjects(world, account);
        let mut all = book
            .iter()
            .filter(|((_, address), _)| *address == account.address);
        let complete =
            all.all(|((subject, _), said)| *said != Said::Accepted || there.contains_key(subject));
        (complete || now() > end).then_some(())
    });
}

fn judge(
    after: &BTreeMap<String, usize>,
    before: &BTreeMap<String, usize>,
    book: &Book,
    account: &Account,
) {
    let mut wrong = Vec::new();
    for (subject, count) in before {
        if after.get(subject) != Some(count) {
            wrong.push(format!(
                "`{subject}`: {count} before, {:?} after",
                after.get(subject)
            ));
        }
    }
    for ((subject, _), said) in book
        .iter()
        .filter(|((_, address), _)| *address == account.address)
    {
        let count = after.get(subject).copied().unwrap_or_default();
        let right = match said {
            Said::Accepted => count == 1,
            Said::Refused => count == 0,
            Said::Nothing => count <= 1,
        };
        if !right {
            wrong.push(format!(
                "`{subject}`: {said:?}, {count} times in the mailbox"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}:\n{}",
        account.address,
        wrong.join("\n")
    );
}

#[test]
fn killed_in_its_first_start_it_still_has_every_sample_once() {
    let mut rng = seeded();
    let whole = {
        let undisturbed = World::start();
        let alice = undisturbed.alice().clone();
        settle(&undisturbed, &alice, "fence");
        subjects(&undisturbed, &alice)
    };
    let mut world = World::prepare_alone();
    let mut longest = Duration::from_secs(2);
    for _ in 0..FIRST_START_KILLS {
        world.spawn();
        thread::sleep(rng.gen_range(Duration::ZERO..longest));
        // Ready within that time: look for earlier points.
        if world.look_ready() {
            longest = longest * 3 / 4;
        }
        world.kill();
    }
    world.restart();
    let alice = world.alice().clone();
    settle(&world, &alice, "fence");
    assert_eq!(subjects(&world, &alice), whole);
}
