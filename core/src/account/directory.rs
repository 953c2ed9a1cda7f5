//! Holding the provider's key directory to what it said: at each sync, at each lookup, and by what
//! other devices and correspondents were shown.
//!
//! Sans-IO: a [`DirectorySession`] says which [`Call`] to make and takes the answer's octets.
//!
//! ```text
//! check:   begin_check -> Call -> handle_check -> Call ... -> None
//!          first use: the own entry, which pins the directory
//!          later: every change since the last check, replayed; own entries among them are fetched
//!          and judged
//!          then: each head of another device or correspondent that was not compared yet
//! lookup:  lookup_call -> Call -> handle_lookup -> certificates, or why not
//! ```
//!
//! What is refused as false becomes an [`Alarm`]: told once, by a message in INBOX that all devices
//! have, and again by every check until it is over. Nothing is taken from the account by it.
//! Invariant: one session at a time has a device's state; answers are judged against the state
//! that the question was asked with.

mod letter;
mod own;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use futures::lock::MutexGuard;

use super::{Account, KeyError};
use crate::id::{Address, ReplicaId, Timestamp};
use crate::keys::transparency::answer::{self, AnswerError, Call, LookupAnswer};
use crate::keys::transparency::head::HeadError;
use crate::keys::transparency::{Alarm, Entry, Follower, Refusal, SignedHead, Witness};
use crate::replica::ReplicaError;
use crate::replica::directory::{
    DirectoryDocument, DirectoryState, DirectoryUpdate, HeardHead, WitnessedHead,
};
use crate::store::Store;

use own::Page;
pub(super) use own::Suspected;

/// How often a device writes its head into the account's document at most, in milliseconds. What it
/// was shown in between is in the mails that it sends.
const WITNESS_EVERY_MS: i64 = 10 * 60 * 1000;

/// Why a check or a lookup brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The replica failed.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The account's key is not here.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The answer does not read.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The head does not read.
    #[error(transparent)]
    Head(HeadError),
    /// The account's entry has changed, and this device has not heard of it from the others: pull
    /// what they wrote, and check again.
    #[error(
        "the account's keys in the directory have changed: what the other devices did is fetched first"
    )]
    Unsettled,
    /// What the directory says is false.
    #[error("{0}")]
    Alarm(Box<Alarm>),
}

impl From<Refusal> for DirectoryError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Answer(error) => Self::Answer(error),
            Refusal::Head(error) => Self::Head(error),
            Refusal::Alarm(alarm) => Self::Alarm(alarm),
        }
    }
}

/// A head that somebody else was shown.
struct Theirs {
    head: SignedHead,
    witness: Witness,
    told: Told,
}

/// How it came here.
enum Told {
    Device(ReplicaId),
    Mail(HeardHead),
}

/// One device's turn with the directory.
pub struct DirectorySession<'a, S> {
    account: &'a Account<S>,
    state: DirectoryState,
    /// The state as it was kept last: what is refused leaves no trace in it.
    kept: DirectoryState,
    document: DirectoryDocument,
    theirs: VecDeque<Theirs>,
    page: Option<Page>,
    /// Whoever holds it has the state.
    _turn: MutexGuard<'a, ()>,
}

impl<S: Store> Account<S> {
    /// Waits for its turn, and begins.
    pub async fn directory(&self) -> Result<DirectorySession<'_, S>, DirectoryError> {
        let turn = self.directory_turn.lock().await;
        let mut state = self.directory_state().await?;
        let document = self.directory_document().await?;
        if document.epoch > state.epoch {
            // Another device has taken the directory anew.
            state = DirectoryState {
                epoch: document.epoch,
                ..DirectoryState::default()
            };
        }
        Ok(DirectorySession {
            account: self,
            kept: state.clone(),
            state,
            document,
            theirs: VecDeque::new(),
            page: None,
            _turn: turn,
        })
    }

    /// Forgets what the directory was, on all devices: the next check pins what it is then. For a
    /// user whose provider has explained itself.
    pub async fn take_directory_anew(&self, now: Timestamp) -> Result<(), DirectoryError> {
        let session = self.directory().await?;
        let state = DirectoryState {
            epoch: session.document.epoch.saturating_add(1),
            ..DirectoryState::default()
        };
        let update = DirectoryUpdate {
            state: Some(state),
            settled: self.heard_heads().await?,
            anew: true,
            ..DirectoryUpdate::default()
        };
        self.update_directory(update, now).await?;
        *self.suspected() = None;
        Ok(())
    }

    /// The last head that this device has verified, for the protected header of mail to others who
    /// may be shown the same directory; `None` if there is none, or for nobody of our own domain.
    pub(super) async fn head_for(&self, to: &[Address]) -> Result<Option<Vec<u8>>, ReplicaError> {
        if !to.iter().any(|address| self.is_at_home(address)) {
            return Ok(None);
        }
        let state = self.directory_state().await?;
        let follower = state.follower.filter(|follower| follower.seen() > 0);
        Ok(follower.map(|follower| follower.head().to_vec()))
    }

    /// Whether an address is of our provider's directory.
    pub fn is_at_home(&self, address: &Address) -> bool {
        address.canonical().domain() == self.address.canonical().domain()
    }

    fn suspected(&self) -> std::sync::MutexGuard<'_, Option<Suspected>> {
        let suspected = self.suspected.lock();
        suspected.unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<S: Store> DirectorySession<'_, S> {
    /// Which directory is pinned; `None` before its first use.
    pub const fn follower(&self) -> Option<&Follower> {
        self.state.follower.as_ref()
    }

    /// Begins a check; `None` if there is nothing to ask, because the account's key is not here.
    pub async fn begin_check(&mut self) -> Result<Option<Call>, DirectoryError> {
        match self.account.own_keys().await {
            Ok(_) => {}
            Err(KeyError::NotHere) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        Ok(Some(match &self.state.follower {
            None => Call::Lookup {
                address: self.account.address.canonical(),
                seen: 0,
            },
            Some(follower) => Call::Changes {
                from: follower.followed(),
                seen: follower.seen(),
            },
        }))
    }

    /// Takes the answer to a call of a check in; the next call, or `None` at the end.
    pub async fn handle_check(
        &mut self,
        call: &Call,
        octets: &[u8],
        now: Timestamp,
    ) -> Result<Option<Call>, DirectoryError> {
        let outcome = self.check(call, octets, now).await;
        if matches!(outcome, Ok(None)) && self.state.alarm.take().is_some() {
            self.keep(DirectoryUpdate::default(), now).await?;
        }
        self.raised(outcome, now).await
    }

    /// The question for an address of our provider; `None` if the directory is not known yet: a
    /// check comes first. While an alarm lasts, no key comes from this directory.
    pub fn lookup_call(&self, address: &Address) -> Result<Option<Call>, DirectoryError> {
        if let Some(alarm) = &self.state.alarm {
            return Err(DirectoryError::Alarm(Box::new(alarm.clone())));
        }
        Ok(self.state.follower.as_ref().map(|follower| Call::Lookup {
            address: address.canonical(),
            seen: follower.seen(),
        }))
    }

    /// Takes the answer to it in.
    pub async fn handle_lookup(
        &mut self,
        address: &Address,
        octets: &[u8],
        now: Timestamp,
    ) -> Result<Entry, DirectoryError> {
        let outcome = self.lookup(address, octets, now).await;
        self.raised(outcome, now).await
    }

    async fn lookup(
        &mut self,
        address: &Address,
        octets: &[u8],
        now: Timestamp,
    ) -> Result<Entry, DirectoryError> {
        let answer: LookupAnswer = answer::decode(octets)?;
        let Some(follower) = &mut self.state.follower else {
            return Err(DirectoryError::Unsettled);
        };
        let entry = follower.lookup(address, &answer)?;
        self.keep(DirectoryUpdate::default(), now).await?;
        Ok(entry)
    }

    async fn check(
        &mut self,
        call: &Call,
        octets: &[u8],
        now: Timestamp,
    ) -> Result<Option<Call>, DirectoryError> {
        match call {
            Call::Lookup { address, .. } => {
                let (follower, entry) = Follower::begin(address, &answer::decode(octets)?)?;
                let mut update = DirectoryUpdate::default();
                match entry.value {
                    Some(value) => {
                        self.judge(&follower, value, &entry.certificates).await?;
                        update.published.push(value);
                    }
                    None => return Err(self.suspect(&follower, None)),
                }
                self.state.follower = Some(follower);
                self.keep(update, now).await?;
            }
            Call::Changes { .. } => self.follow(octets)?,
            Call::Entry { .. } => self.examine(octets).await?,
            Call::Head { .. } => self.compare(octets, now).await?,
        }
        if let Some(next) = self.finish_page(now).await? {
            return Ok(Some(next));
        }
        if !matches!(call, Call::Head { .. }) {
            self.gather().await?;
        }
        self.next_comparison(now).await
    }

    /// What others were shown and what was not compared yet.
    async fn gather(&mut self) -> Result<(), DirectoryError> {
        self.theirs.clear();
        for (device, witnessed) in &self.document.heads {
            let compared = self.state.compared.get(device);
            let is_done = compared.is_some_and(|compared| *compared >= witnessed.size);
            if is_done || *device == self.account.id() {
                continue;
            }
            if let Ok(head) = SignedHead::parse(&witnessed.head) {
                self.theirs.push_back(Theirs {
                    head,
                    witness: Witness::Device,
                    told: Told::Device(*device),
                });
            }
        }
        for heard in self.account.heard_heads().await? {
            if let Ok(head) = SignedHead::parse(&heard.head) {
                self.theirs.push_back(Theirs {
                    head,
                    witness: Witness::Correspondent(heard.from.clone()),
                    told: Told::Mail(heard),
                });
            }
        }
        Ok(())
    }

    /// Compares what can be compared without asking; then the next question, or the end.
    async fn next_comparison(&mut self, now: Timestamp) -> Result<Option<Call>, DirectoryError> {
        loop {
            let Some(follower) = &self.state.follower else {
                return Ok(None);
            };
            let Some(theirs) = self.theirs.front() else {
                return self.witness(now).await.map(|()| None);
            };
            let head = theirs.head.head();
            if let Told::Mail(heard) = &theirs.told {
                let other = head.identity != *follower.identity();
                let foreign = head.identity.domain != follower.identity().domain;
                if foreign || (other && !heard.is_vouched_for) {
                    // Anybody can sign heads of their own and send them.
                    self.settle(now).await?;
                    continue;
                }
            }
            match follower.compare_at_once(head, &theirs.witness) {
                Some(judged) => {
                    judged?;
                    self.settle(now).await?;
                }
                None => {
                    return Ok(Some(Call::Head {
                        seen: follower.seen(),
                        also: head.size,
                    }));
                }
            }
        }
    }

    async fn compare(&mut self, octets: &[u8], now: Timestamp) -> Result<(), DirectoryError> {
        let answer = answer::decode(octets)?;
        let (Some(follower), Some(theirs)) = (&mut self.state.follower, self.theirs.front()) else {
            return Ok(());
        };
        follower.compare(theirs.head.head(), &theirs.witness, &answer)?;
        self.settle(now).await
    }

    /// The first head that was gathered is part of our log.
    async fn settle(&mut self, now: Timestamp) -> Result<(), DirectoryError> {
        let mut update = DirectoryUpdate::default();
        if let Some(theirs) = self.theirs.pop_front() {
            match theirs.told {
                Told::Device(device) => {
                    let size = theirs.head.head().size;
                    self.state.compared.insert(device, size);
                }
                Told::Mail(heard) => update.settled.push(heard),
            }
            self.keep(update, now).await?;
        }
        Ok(())
    }

    /// Tells the other devices which head this one was shown, if it was not told just before.
    async fn witness(&mut self, now: Timestamp) -> Result<(), DirectoryError> {
        let Some(follower) = &self.state.follower else {
            return Ok(());
        };
        let told = self.document.heads.get(&self.account.id());
        let is_news = told.is_none_or(|told| told.size < follower.seen());
        let is_due = self.state.witnessed_at.is_none_or(|last| {
            // A clock that was set back does not silence the device.
            let since = now.as_millis().saturating_sub(last.as_millis());
            !(0..WITNESS_EVERY_MS).contains(&since)
        });
        if is_news && is_due && follower.seen() > 0 {
            let head = WitnessedHead {
                size: follower.seen(),
                head: follower.head().to_vec(),
            };
            self.state.witnessed_at = Some(now);
            let update = DirectoryUpdate {
                head: Some(head),
                ..DirectoryUpdate::default()
            };
            self.keep(update, now).await?;
        }
        Ok(())
    }

    async fn keep(&mut self, update: DirectoryUpdate, now: Timestamp) -> Result<(), ReplicaError> {
        let update = DirectoryUpdate {
            state: Some(self.state.clone()),
            ..update
        };
        self.account.update_directory(update, now).await?;
        self.kept = self.state.clone();
        self.document = self.account.directory_document().await?;
        Ok(())
    }

    /// Tells the user of an alarm, once for all devices.
    async fn raised<T>(
        &mut self,
        outcome: Result<T, DirectoryError>,
        now: Timestamp,
    ) -> Result<T, DirectoryError> {
        if let Err(DirectoryError::Alarm(alarm)) = &outcome {
            let message = letter::letter(&self.account.address, alarm, now);
            self.state = self.kept.clone();
            self.state.alarm = Some((**alarm).clone());
            let update = DirectoryUpdate {
                state: Some(self.state.clone()),
                alarm: Some((alarm.digest(), message)),
                ..DirectoryUpdate::default()
            };
            self.account.update_directory(update, now).await?;
        }
        outcome
    }
}
