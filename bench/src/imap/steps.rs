//! What mail programs do, timed.

mod large;
mod mbsync;
mod search;

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use super::client::{Client, Door};
use super::mailbag::message;
use super::peers::Peer;
use crate::figures::{Better, Report};
use crate::letters::Numbers;

/// The mailbox, and another one.
const MAILBOX: &str = "bench";
const OTHER: &str = "bench-other";
/// Log-ins, new sessions, changes and the like that are timed one by one.
const LOGINS: usize = 20;
const SINGLES: u64 = 300;
const IDLES: usize = 30;
/// Messages copied, moved, expunged.
const SOME: u32 = 1000;
/// Sessions at once, and messages that each fetches.
const SESSIONS: usize = 50;
const FETCHED: u32 = 200;
/// What Thunderbird asks of each message.
const HEADERS: &str = "UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (FROM TO CC BCC SUBJECT \
    DATE MESSAGE-ID PRIORITY X-PRIORITY REFERENCES NEWSGROUPS IN-REPLY-TO CONTENT-TYPE REPLY-TO)]";
/// Times a step is repeated whose second run is warm.
const ROUNDS: usize = 3;

/// One server being measured.
#[derive(Debug)]
pub struct Run<'a> {
    peer: &'a mut Peer,
    /// What was measured.
    pub report: Report,
    messages: u32,
    say: fn(&str),
}

impl<'a> Run<'a> {
    /// Nothing done yet.
    pub fn new(peer: &'a mut Peer, server: &str, messages: u32, say: fn(&str)) -> Self {
        Self {
            peer,
            report: Report::new(server),
            messages,
            say,
        }
    }

    /// Everything.
    ///
    /// # Errors
    /// The server refuses something or goes away.
    pub fn all(&mut self) -> Result<()> {
        let octets = self.fill()?;
        self.peer.settle()?;
        self.peer.stop()?;
        self.peer.resume()?;
        self.peer.settle()?;
        self.log_in()?;
        self.select()?;
        self.fetch_data()?;
        self.fetch_bodies()?;
        self.search()?;
        self.store()?;
        self.copy()?;
        self.others()?;
        self.idle()?;
        self.peer.settle()?;
        self.sessions()?;
        let stored = self.peer.stored()?;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let share = stored as f64 / octets as f64;
        self.report
            .push("stored for each octet", "octets", Better::Less, Some(share));
        self.large()?;
        let distinct: BTreeSet<_> = self.report.wrong.drain(..).collect();
        self.report.wrong.extend(distinct);
        Ok(())
    }

    fn door(&self) -> Door {
        self.peer.door.clone()
    }

    fn client(&self) -> Result<Client> {
        Client::log_in(&self.peer.door)
    }

    fn selected(&self) -> Result<Client> {
        let mut client = self.client()?;
        client.run(&format!("SELECT {MAILBOX}"))?;
        Ok(client)
    }

    /// APPEND, one after the other, each durable before the next.
    fn fill(&mut self) -> Result<u64> {
        (self.say)("append");
        let mut client = self.client()?;
        for mailbox in [MAILBOX, OTHER] {
            client.run(&format!("CREATE {mailbox}"))?;
        }
        let (mut octets, mut times) = (0, Vec::new());
        for number in 0..self.messages {
            let message = message(number);
            octets += message.len() as u64;
            let flags = if number % 3 == 0 { "\\Seen" } else { "" };
            times.push(seconds(|| client.append(MAILBOX, flags, &message))?);
        }
        let all: f64 = times.iter().sum();
        let count = f64::from(self.messages);
        self.report
            .rate("append, one by one", "messages/s", count, all);
        self.report
            .times(["append, median", "append, 95 %"], &mut times);
        Ok(octets)
    }

    fn log_in(&mut self) -> Result<()> {
        let door = self.door();
        let mut times = Vec::new();
        for _ in 0..LOGINS {
            times.push(seconds(|| Client::log_in(&door).map(drop))?);
        }
        self.report
            .times(["log in, median", "log in, 95 %"], &mut times);
        Ok(())
    }

    fn select(&mut self) -> Result<()> {
        (self.say)("select");
        let mut times = Vec::new();
        for _ in 0..LOGINS {
            let mut client = self.client()?;
            let mut exists = 0;
            times.push(seconds(|| {
                client.each(&format!("SELECT {MAILBOX}"), |line, _| {
                    exists = exists.max(number_before(line, " EXISTS").unwrap_or(0));
                })
            })?);
            let all = usize::try_from(self.messages)?;
            self.report.expect("EXISTS", exists, all);
        }
        self.report.time("select, first", times.remove(0));
        self.report
            .times(["select, median", "select, 95 %"], &mut times);
        Ok(())
    }

    fn fetch_data(&mut self) -> Result<()> {
        let mut client = self.selected()?;
        for (first, warm, items) in [
            (
                "fetch envelopes, first",
                "fetch envelopes",
                "FLAGS UID ENVELOPE RFC822.SIZE",
            ),
            ("fetch flags, first", "fetch flags", "UID FLAGS"),
            ("fetch header fields, first", "fetch header fields", HEADERS),
            (
                "fetch structure, first",
                "fetch structure",
                "UID BODYSTRUCTURE",
            ),
        ] {
            (self.say)(warm);
            let mut times = Vec::new();
            for _ in 0..ROUNDS {
                let mut fetches = 0;
                times.push(seconds(|| {
                    fetches = client.run(&format!("FETCH 1:* ({items})"))?.fetches;
                    Ok(())
                })?);
                let all = usize::try_from(self.messages)?;
                self.report.expect(warm, fetches, all);
            }
            let count = f64::from(self.messages);
            self.report
                .rate(first, "messages/s", count, times.remove(0));
            let warmest = times.into_iter().fold(f64::MAX, f64::min);
            self.report.rate(warm, "messages/s", count, warmest);
        }
        Ok(())
    }

    fn fetch_bodies(&mut self) -> Result<()> {
        (self.say)("fetch bodies");
        let mut client = self.selected()?;
        for name in ["fetch bodies, first", "fetch bodies"] {
            let (mut octets, mut right, mut number) = (0, 0, 0);
            // What is right is made while the clock stands still.
            let mut making = Duration::ZERO;
            let spent = seconds(|| {
                client.each("FETCH 1:* (UID BODY.PEEK[])", |_, literal| {
                    octets += literal.len();
                    let start = now();
                    if number % 50 > 0 || message(number) == literal {
                        right += 1;
                    }
                    number += 1;
                    making += start.elapsed();
                })
            })?;
            self.report
                .expect(name, right, usize::try_from(self.messages)?);
            #[expect(clippy::cast_precision_loss, reason = "figures for people")]
            let megabytes = octets as f64 / 1e6;
            let spent = spent - making.as_secs_f64();
            self.report.rate(name, "MB/s", megabytes, spent);
        }
        let mut numbers = Numbers::new(5);
        let (mut whole, mut part) = (Vec::new(), Vec::new());
        for _ in 0..SINGLES {
            let number = numbers.below(u64::from(self.messages));
            let mut found = Vec::new();
            whole.push(seconds(|| {
                client.each(
                    &format!("FETCH {} (BODY.PEEK[])", number + 1),
                    |_, literal| {
                        found = literal.to_vec();
                    },
                )
            })?);
            let same = found == message(u32::try_from(number)?);
            self.report.expect("one body", usize::from(same), 1);
            part.push(seconds(|| {
                client.run(&format!("FETCH {} (BODY.PEEK[1]<0.2048>)", number + 1))
            })?);
        }
        self.report
            .times(["one body, median", "one body, 95 %"], &mut whole);
        self.report.times(
            ["2 kB of a part, median", "2 kB of a part, 95 %"],
            &mut part,
        );
        Ok(())
    }

    fn store(&mut self) -> Result<()> {
        (self.say)("store");
        let mut client = self.selected()?;
        let count = f64::from(self.messages);
        let mut fetches = 0;
        let all = seconds(|| {
            fetches = client.run("STORE 1:* +FLAGS (\\Flagged)")?.fetches;
            Ok(())
        })?;
        self.report
            .expect("store on all", fetches, usize::try_from(self.messages)?);
        self.report.rate("store on all", "messages/s", count, all);
        let silent = seconds(|| client.run("STORE 1:* -FLAGS.SILENT (\\Flagged)"))?;
        self.report
            .rate("store on all, silent", "messages/s", count, silent);
        let mut numbers = Numbers::new(9);
        let mut times = Vec::new();
        for _ in 0..SINGLES {
            let number = numbers.below(u64::from(self.messages)) + 1;
            times.push(seconds(|| {
                client.run(&format!("STORE {number} +FLAGS (\\Flagged)"))
            })?);
        }
        self.report
            .times(["store on one, median", "store on one, 95 %"], &mut times);
        Ok(())
    }

    fn copy(&mut self) -> Result<()> {
        (self.say)("copy, move, expunge");
        let some = SOME.min(self.messages);
        let count = f64::from(some);
        let mut client = self.selected()?;
        let copied = seconds(|| client.run(&format!("COPY 1:{some} {OTHER}")))?;
        self.report.rate("copy", "messages/s", count, copied);
        let mut other = self.client()?;
        let mut exists = 0;
        other.each(&format!("SELECT {OTHER}"), |line, _| {
            exists = exists.max(number_before(line, " EXISTS").unwrap_or(0));
        })?;
        self.report.expect("copy", exists, usize::try_from(some)?);
        let deleted = seconds(|| other.run("STORE 1:* +FLAGS.SILENT (\\Deleted)"))?;
        let expunged = seconds(|| other.run("EXPUNGE"))?;
        self.report.rate(
            "delete and expunge",
            "messages/s",
            count,
            deleted + expunged,
        );
        let moved = seconds(|| client.run(&format!("MOVE 1:{some} {OTHER}")))?;
        self.report.rate("move", "messages/s", count, moved);
        // Back again, so that what follows finds as many as before.
        other.run("NOOP")?;
        other.run(&format!("MOVE 1:* {MAILBOX}"))?;
        Ok(())
    }

    fn others(&mut self) -> Result<()> {
        let mut client = self.selected()?;
        let status = format!("STATUS {OTHER} (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)");
        let mut times = Vec::new();
        for _ in 0..SINGLES {
            times.push(seconds(|| client.run(&status))?);
        }
        self.report
            .times(["status, median", "status, 95 %"], &mut times);
        self.resynchronise(&mut client)
    }

    /// SELECT with QRESYNC after ten changes.
    fn resynchronise(&mut self, client: &mut Client) -> Result<()> {
        let names = ["resynchronise, median", "resynchronise, 95 %"];
        if !client.capabilities.contains("QRESYNC") {
            for name in names {
                self.report.push(name, "ms", Better::Less, None);
            }
            return Ok(());
        }
        let mut other = self.client()?;
        other.run("ENABLE QRESYNC")?;
        let (mut validity, mut mod_seq) = (None, None);
        other.each(&format!("SELECT {MAILBOX}"), |line, _| {
            validity = validity.or_else(|| number_after(line, "[UIDVALIDITY "));
            mod_seq = mod_seq.or_else(|| number_after(line, "[HIGHESTMODSEQ "));
        })?;
        let validity = validity.context("no UIDVALIDITY")?;
        let mod_seq = mod_seq.context("no HIGHESTMODSEQ")?;
        for nth in 0..10 {
            let number = nth * (self.messages / 11) + 1;
            client.run(&format!("STORE {number} +FLAGS.SILENT (\\Answered)"))?;
        }
        let mut times = Vec::new();
        for _ in 0..LOGINS {
            other.run(&format!("EXAMINE {OTHER}"))?;
            let mut fetches = 0;
            times.push(seconds(|| {
                let select = format!("SELECT {MAILBOX} (QRESYNC ({validity} {mod_seq}))");
                fetches = other.run(&select)?.fetches;
                Ok(())
            })?);
            self.report.expect("resynchronise", fetches, 10);
        }
        self.report.times(names, &mut times);
        Ok(())
    }

    /// How long after the OK of one session's APPEND another's IDLE is told.
    fn idle(&mut self) -> Result<()> {
        (self.say)("idle");
        let mut waiting = self.client()?;
        waiting.run(&format!("SELECT {OTHER}"))?;
        let mut author = self.client()?;
        let mut times = Vec::new();
        for number in 0..IDLES {
            let tag = waiting.send("IDLE")?;
            while !waiting.line().starts_with(b"+") {
                waiting.read_response()?;
            }
            thread::sleep(Duration::from_millis(50));
            let waiter = thread::spawn(move || -> Result<(Client, Instant)> {
                loop {
                    waiting.read_response()?;
                    if waiting.line().ends_with(b" EXISTS\r\n") {
                        return Ok((waiting, now()));
                    }
                }
            });
            let message = message(u32::try_from(number)?);
            author.append(OTHER, "", &message)?;
            let done = now();
            let told;
            (waiting, told) = waiter
                .join()
                .map_err(|_| anyhow!("the waiting thread ended"))??;
            times.push(told.saturating_duration_since(done).as_secs_f64());
            waiting.write(b"DONE\r\n")?;
            waiting.finish(&tag, |_, _| ())?;
        }
        self.report.times(
            [
                "told in idle after OK, median",
                "told in idle after OK, 95 %",
            ],
            &mut times,
        );
        Ok(())
    }

    fn sessions(&mut self) -> Result<()> {
        (self.say)("sessions at once");
        let barrier = Arc::new(Barrier::new(SESSIONS + 1));
        let range = u64::from(self.messages.saturating_sub(FETCHED)).max(1);
        let sessions: Vec<_> = (0..SESSIONS as u64)
            .map(|nth| {
                let (barrier, door) = (Arc::clone(&barrier), self.door());
                thread::spawn(move || -> Result<(f64, usize, Client)> {
                    barrier.wait();
                    let start = now();
                    let mut client = Client::log_in(&door)?;
                    client.run(&format!("SELECT {MAILBOX}"))?;
                    let from = nth * 131 % range + 1;
                    let to = from + u64::from(FETCHED) - 1;
                    let fetch = format!("FETCH {from}:{to} (FLAGS UID ENVELOPE RFC822.SIZE)");
                    let fetches = client.run(&fetch)?.fetches;
                    Ok((start.elapsed().as_secs_f64(), fetches, client))
                })
            })
            .collect();
        barrier.wait();
        let start = now();
        let (mut times, mut open) = (Vec::new(), Vec::new());
        for session in sessions {
            let (spent, fetches, client) = session
                .join()
                .map_err(|_| anyhow!("a session's thread ended"))??;
            times.push(spent);
            open.push(client);
            let expected = usize::try_from(FETCHED.min(self.messages))?;
            self.report.expect("sessions at once", fetches, expected);
        }
        self.report
            .time("50 sessions at once", start.elapsed().as_secs_f64());
        self.report
            .times(["of them one, median", "of them one, 95 %"], &mut times);
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let megabytes = self.peer.resident()? as f64 / 1e6;
        self.report.push(
            "memory with 50 sessions",
            "MB",
            Better::Less,
            Some(megabytes),
        );
        Ok(())
    }
}

/// The number in `* 23 EXISTS`.
fn number_before(line: &[u8], word: &str) -> Option<usize> {
    let line = std::str::from_utf8(line).ok()?;
    line.strip_prefix("* ")?
        .trim_end()
        .strip_suffix(word)?
        .parse()
        .ok()
}

fn number_after(line: &[u8], word: &str) -> Option<u64> {
    let line = std::str::from_utf8(line).ok()?;
    let (_, after) = line.split_once(word)?;
    after.split(']').next()?.parse().ok()
}

fn seconds<T>(work: impl FnOnce() -> Result<T>) -> Result<f64> {
    let start = now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}
