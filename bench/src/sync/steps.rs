//! What is measured.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use letterlock_core::id::MailboxName;
use letterlock_core::model::{Flag, FlagChange, FlagSet};
use letterlock_server::clock;

use super::device::Device;
use super::plain;
use super::provider::Running;
use crate::figures::{Better, Report};
use crate::letters::letter;
use crate::mail::raw;

/// Mailboxes of the account in which nothing is new.
const MAILBOXES: usize = 800;
/// How often a sync without news is measured.
const IDLE_SYNCS: usize = 200;
/// How often a flag is changed.
const FLAGS: usize = 50;
/// Between two changes of a flag: those that follow each other closely are pushed together.
const BETWEEN_FLAGS: Duration = Duration::from_millis(400);
/// Accounts whose devices listen for news, and streams of each.
const IDLE_ACCOUNTS: usize = 10;
const IDLE_OF_EACH: usize = 100;
/// How long a change of flags may take before something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the listening ones are left alone before the provider's memory is read.
const SETTLE: Duration = Duration::from_secs(5);

/// A run: ours, and the plain cost beside it.
pub struct Run {
    folder: PathBuf,
    provider: Running,
    messages: usize,
    /// Ours.
    pub ours: Report,
    /// Plain moving and writing.
    pub plain: Report,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
impl Run {
    /// With a provider of its own.
    ///
    /// # Errors
    /// It does not start.
    pub fn new(folder: PathBuf, messages: usize) -> Result<Self> {
        let provider = Running::start(&folder.join("provider"))?;
        Ok(Self {
            folder,
            provider,
            messages,
            ours: Report::new("Letterlock"),
            plain: Report::new("curl and SQLite"),
        })
    }

    /// Measures everything; `say` is told what is going on.
    ///
    /// # Errors
    /// Those of the parts.
    pub async fn all(&mut self, say: impl Fn(&str)) -> Result<()> {
        say("fill an account");
        let mut first =
            Device::enrol(&self.provider.url, "alice", &self.folder.join("first")).await?;
        let start = Instant::now();
        first.start();
        let octets = first
            .fill((0..u32::try_from(self.messages)?).map(|number| raw(&letter(number))))
            .await?;
        say("push what is left");
        first.pushed().await?;
        self.ours.time(
            "an account filled and pushed",
            start.elapsed().as_secs_f64(),
        );
        // The devices of an account are not on one machine: only one of them is at work.
        first.stop().await;
        say("first sync");
        let mut second = self.first_sync(octets).await?;
        say("search indexes");
        first.indexed().await?;
        second.indexed().await?;
        first.start();
        say("nothing new");
        self.nothing_new(&first, &mut second).await?;
        say("flags from device to device");
        self.flags(&first, &second).await?;
        first.stop().await;
        second.stop().await;
        say("idle devices");
        self.idle_devices().await
    }

    async fn first_sync(&mut self, octets: usize) -> Result<Device> {
        let device =
            Device::enrol(&self.provider.url, "alice", &self.folder.join("second")).await?;
        let state = device
            .bridge
            .provider
            .account(&device.bridge.token())
            .await?;
        let start = Instant::now();
        device.start();
        device.knows(self.messages).await?;
        self.ours.time(
            "first sync: every message is listed",
            start.elapsed().as_secs_f64(),
        );
        device.current().await?;
        let ours = start.elapsed().as_secs_f64();
        let plain = plain::seconds(&self.folder.join("plain"), state.used_octets, self.messages)?;
        for (report, seconds) in [(&mut self.ours, ours), (&mut self.plain, plain)] {
            #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
            let (messages, mail) = (self.messages as f64, octets as f64 / 1e6);
            report.rate("first sync, whole", "messages/s", messages, seconds);
            report.rate("first sync, whole: mail", "MB/s", mail, seconds);
            report.time("first sync, whole: time", seconds);
        }
        self.ours.push(
            "first sync, whole: times the plain cost",
            "",
            Better::Less,
            Some(ours / plain),
        );
        #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
        let moved = state.used_octets as f64 / 1e6;
        self.ours.push(
            "sealed octets that were moved",
            "MB",
            Better::Less,
            Some(moved),
        );
        Ok(device)
    }

    async fn nothing_new(&mut self, first: &Device, second: &mut Device) -> Result<()> {
        for number in 0..MAILBOXES {
            let name = MailboxName::new(&format!("lists/number {number}"))?;
            first
                .bridge
                .account
                .make_mailbox(&name, clock::now())
                .await?;
        }
        first.pushed().await?;
        let account = Arc::clone(&second.bridge.account);
        let mut changes = account.subscribe();
        while account.all_mailboxes().len() < MAILBOXES {
            changes.changed().await;
        }
        // Its loops would be in the way of exchanges by hand.
        second.stop().await;
        second.exchange().await?;
        let mut seconds = Vec::new();
        for _ in 0..IDLE_SYNCS {
            let start = Instant::now();
            second.exchange().await?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        second.start();
        let names = [
            "sync, nothing new, 800 mailboxes: median",
            "sync, nothing new, 800 mailboxes: 95 %",
        ];
        self.ours.times(names, &mut seconds);
        Ok(())
    }

    async fn flags(&mut self, first: &Device, second: &Device) -> Result<()> {
        let here = &first.bridge.account;
        let messages = here.inbox().messages();
        let first = messages.first().context("the inbox is empty")?;
        let flagged: FlagSet = [Flag::Flagged].into_iter().collect();
        let there = &second.bridge.account;
        // Each device gives out its own.
        let same = there.inbox().messages();
        let same = same.iter().find(|same| same.message == first.message);
        let same = same.context("it is not on the other device")?.uid;
        let mut changes = there.subscribe();
        let mut seconds = Vec::new();
        for number in 0..FLAGS {
            tokio::time::sleep(BETWEEN_FLAGS).await;
            let how = if number % 2 == 0 {
                FlagChange::Add
            } else {
                FlagChange::Remove
            };
            let start = Instant::now();
            here.inbox()
                .store_flags(&[first.uid], how, &flagged, clock::now())
                .await?;
            let is_there = || {
                let placement = there.inbox().placement(same);
                placement.is_some_and(|placement| placement.flags.contains(&Flag::Flagged))
            };
            let comes = async {
                while is_there() != (how == FlagChange::Add) {
                    changes.changed().await;
                }
            };
            let comes = tokio::time::timeout(PATIENCE, comes).await;
            comes.context("a change of flags does not come")?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        let names = [
            "flag to the other device: median",
            "flag to the other device: 95 %",
        ];
        self.ours.times(names, &mut seconds);
        Ok(())
    }

    async fn idle_devices(&mut self) -> Result<()> {
        let mut listening = tokio::task::JoinSet::new();
        for number in 0..IDLE_ACCOUNTS {
            let folder = self.folder.join(format!("idle{number}"));
            let device =
                Device::enrol(&self.provider.url, &format!("idle{number}"), &folder).await?;
            device.exchange().await?;
            let (since, token) = (device.bridge.account.pulled(), device.bridge.token());
            for _ in 0..IDLE_OF_EACH {
                let mut stream = device.bridge.provider.news(&token, since).await?;
                listening.spawn(async move { stream.next().await });
            }
        }
        tokio::time::sleep(SETTLE).await;
        let told = listening.try_join_next().is_some();
        anyhow::ensure!(
            !told,
            "a device that should hear nothing was told something"
        );
        let resident = self.provider.resident().context("the provider's memory")?;
        #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
        let megabytes = resident as f64 / 1e6;
        self.ours.push(
            "provider's memory, 1,000 devices listen",
            "MB",
            Better::Less,
            Some(megabytes),
        );
        Ok(())
    }
}
