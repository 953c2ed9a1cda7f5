//! Many mailboxes, and mailboxes of many messages: made quickly, of small messages.
//!
//! Of the large mailboxes only our server is asked: the other keeps each message in a file, and a
//! million of them take longer to make than all the rest.

use anyhow::Result;

use super::super::client::Client;
use super::super::peers::Kind;
use super::{LOGINS, Run, number_before, seconds};
use crate::figures::Better;

/// Mailboxes with a message each that a program looks through.
const MAILBOXES: u32 = 800;
/// Messages of the large mailbox, and of the largest, which are copies of these.
const LARGE: u32 = 100_000;
const LARGEST: u32 = 1_000_000;
/// Fewer messages are only a try.
const WORTH_WHILE: u32 = 10_000;
/// Messages that one command appends.
const AT_ONCE: u32 = 500;
/// Sessions with a large mailbox.
const SESSIONS: u32 = 50;

impl Run<'_> {
    pub(super) fn large(&mut self) -> Result<()> {
        self.mailboxes()?;
        self.mbsync(MAILBOXES)?;
        if self.peer.kind() == Kind::Letterlock && self.messages >= WORTH_WHILE {
            self.many_messages()
        } else {
            Ok(())
        }
    }

    /// What a program does that looks for news everywhere and finds none: SELECT and all flags.
    fn mailboxes(&mut self) -> Result<()> {
        (self.say)("many mailboxes");
        let mut client = self.client()?;
        for number in 0..MAILBOXES {
            let name = format!("folder{number}");
            client.run(&format!("CREATE {name}"))?;
            client.append(&name, "", &small(number))?;
        }
        self.peer.settle()?;
        let mut client = self.client()?;
        let mut found = 0;
        let pass = seconds(|| {
            client.run("LIST \"\" *")?;
            for number in 0..MAILBOXES {
                client.run(&format!("SELECT folder{number}"))?;
                found += client.run("UID FETCH 1:* (UID FLAGS)")?.fetches;
            }
            Ok(())
        })?;
        self.report
            .expect("many mailboxes", found, usize::try_from(MAILBOXES)?);
        self.report.time("pass over 800 mailboxes", pass);
        Ok(())
    }

    fn many_messages(&mut self) -> Result<()> {
        (self.say)("a mailbox of 100,000 messages");
        let mut client = self.client()?;
        client.run("CREATE large")?;
        client.run("CREATE largest")?;
        let filled = seconds(|| {
            for from in (0..LARGE).step_by(AT_ONCE as usize) {
                let messages = (from..from + AT_ONCE).map(|number| small(1_000_000 + number));
                client.append_many("large", messages)?;
            }
            Ok(())
        })?;
        let count = f64::from(LARGE);
        self.report
            .rate("append, 500 at once", "messages/s", count, filled);
        drop(client);
        self.peer.settle()?;
        let (_, octets) = self.select_many("large", LARGE)?;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let megabytes = octets as f64 / 1e6;
        let name = "memory with 50 sessions and 100,000 messages";
        self.report.push(name, "MB", Better::Less, Some(megabytes));

        (self.say)("a mailbox of 1,000,000 messages");
        let mut client = self.client()?;
        client.run("SELECT large")?;
        for _ in 0..LARGEST / LARGE {
            client.run("COPY 1:* largest")?;
        }
        drop(client);
        self.peer.settle()?;
        let before = self.peer.resident()?;
        let (mut times, after) = self.select_many("largest", LARGEST)?;
        self.report
            .time("select of 1,000,000 messages, first", times.remove(0));
        self.report.times(
            [
                "select of 1,000,000 messages, median",
                "select of 1,000,000 messages, 95 %",
            ],
            &mut times,
        );
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let each = after.saturating_sub(before) as f64 / f64::from(LARGEST);
        self.report.push(
            "memory of 50 sessions for each of 1,000,000 messages",
            "octets",
            Better::Less,
            Some(each),
        );
        Ok(())
    }

    /// Opens a mailbox in many sessions; how long each takes, and the memory with all of them.
    fn select_many(&mut self, mailbox: &str, messages: u32) -> Result<(Vec<f64>, u64)> {
        let (mut times, mut open) = (Vec::new(), Vec::<Client>::new());
        for _ in 0..SESSIONS.max(u32::try_from(LOGINS)?) {
            let mut client = self.client()?;
            let mut exists = 0;
            times.push(seconds(|| {
                client.each(&format!("SELECT {mailbox}"), |line, _| {
                    exists = exists.max(number_before(line, " EXISTS").unwrap_or(0));
                })
            })?);
            self.report
                .expect(mailbox, exists, usize::try_from(messages)?);
            open.push(client);
        }
        Ok((times, self.peer.resident()?))
    }
}

fn small(number: u32) -> Vec<u8> {
    format!(
        "From: user{}@example.org\r\nTo: test@example.org\r\nSubject: message {number}\r\n\
         Date: {} Jan 2024 10:00:00 +0000\r\nMessage-ID: <small{number}@bench.example>\r\n\r\n\
         This is message {number}.\r\n",
        number % 300,
        1 + number % 28,
    )
    .into_bytes()
}
