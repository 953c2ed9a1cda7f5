//! Replaying the directory's changes, and judging what they did to the account's own entry.
//!
//! Invariant: no change is kept before all that it did to the own entry was found to be the work of
//! the account's devices; so a check that stops is begun again at the same place.

use std::collections::VecDeque;

use super::{DirectoryError, DirectorySession};
use crate::account::{Account, KeyError};
use crate::id::Timestamp;
use crate::keys::transparency::answer::{self, Call, EntryAnswer};
use crate::keys::transparency::entry::MAX_CERTIFICATES;
use crate::keys::transparency::{Finding, Follower, Value, set_hash};
use crate::openpgp::Certificate;
use crate::replica::directory::DirectoryUpdate;
use crate::store::Store;

/// An own entry, or that there is none, of which no device is known to have made it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::account) struct Suspected(Option<Value>);

/// Changes that were replayed and are not kept yet.
pub(super) struct Page {
    follower: Follower,
    /// What they did to the own entry, as far as it was not examined yet.
    own: VecDeque<(u64, Value)>,
    more: bool,
    /// Own entries that were found to be ours.
    found: Vec<Value>,
}

impl<S: Store> DirectorySession<'_, S> {
    /// Replays changes. What they did to the own entry is examined before they are kept.
    pub(super) fn follow(&mut self, octets: &[u8]) -> Result<(), DirectoryError> {
        let answer = answer::decode(octets)?;
        let Some(mut follower) = self.state.follower.clone() else {
            return Err(DirectoryError::Unsettled);
        };
        let own = follower.label(&self.account.address);
        let replayed = follower.follow(&answer, &own)?;
        self.page = Some(Page {
            follower,
            own: replayed.own.into(),
            more: replayed.more,
            found: Vec::new(),
        });
        Ok(())
    }

    /// Judges what one change has made of the own entry.
    pub(super) async fn examine(&mut self, octets: &[u8]) -> Result<(), DirectoryError> {
        let answer: EntryAnswer = answer::decode(octets)?;
        let Some((follower, (_, value))) = self
            .page
            .as_mut()
            .and_then(|page| Some((page.follower.clone(), page.own.pop_front()?)))
        else {
            return Err(DirectoryError::Unsettled);
        };
        let certificates: Vec<Vec<u8>> = answer
            .certificates
            .iter()
            .map(|certificate| certificate.to_vec())
            .collect();
        if set_hash(&certificates) != value.set {
            let finding = Finding::FalseEntry(self.account.address.canonical());
            return Err(DirectoryError::Alarm(Box::new(follower.alarm(finding))));
        }
        self.judge(&follower, value, &certificates).await?;
        if let Some(page) = &mut self.page {
            page.found.push(value);
        }
        Ok(())
    }

    /// The next own entry to examine, or the next page of changes; `None` if there is neither.
    pub(super) async fn finish_page(
        &mut self,
        now: Timestamp,
    ) -> Result<Option<Call>, DirectoryError> {
        let Some(page) = &mut self.page else {
            return Ok(None);
        };
        while let Some((position, value)) = page.own.front().copied() {
            if !self
                .document
                .published
                .contains(&(value.version, value.set))
            {
                return Ok(Some(Call::Entry { position }));
            }
            page.own.pop_front();
            self.state.own = Some(value);
        }
        let Some(page) = self.page.take() else {
            return Ok(None);
        };
        let more = page.more.then(|| Call::Changes {
            from: page.follower.followed(),
            seen: page.follower.seen(),
        });
        if self.state.follower.as_ref() != Some(&page.follower) {
            self.state.follower = Some(page.follower);
            let update = DirectoryUpdate {
                published: page.found,
                ..DirectoryUpdate::default()
            };
            self.keep(update, now).await?;
        }
        Ok(more)
    }

    /// Whether what the directory has for the account is of its own keys, and not what it had
    /// before. What is not known may be news from another device: it is an alarm once that was
    /// asked for.
    pub(super) async fn judge(
        &mut self,
        follower: &Follower,
        value: Value,
        certificates: &[Vec<u8>],
    ) -> Result<(), DirectoryError> {
        let mut earlier = self.document.published.iter();
        let was_before =
            earlier.any(|(version, set)| *set == value.set && *version < value.version);
        if was_before || !self.account.has_published(certificates).await? {
            return Err(self.suspect(follower, Some(value)));
        }
        *self.account.suspected() = None;
        self.state.own = Some(value);
        Ok(())
    }

    pub(super) fn suspect(&self, follower: &Follower, value: Option<Value>) -> DirectoryError {
        let mut suspected = self.account.suspected();
        if *suspected != Some(Suspected(value)) {
            *suspected = Some(Suspected(value));
            return DirectoryError::Unsettled;
        }
        let finding = Finding::OwnEntry {
            address: self.account.address.canonical(),
            version: value.map(|value| value.version),
        };
        DirectoryError::Alarm(Box::new(follower.alarm(finding)))
    }
}

impl<S: Store> Account<S> {
    /// Whether these certificates, which the directory has for the account, are its own: there is
    /// one, and each is of a key that the account has. Who does not have a key can add nothing to
    /// its certificate that counts.
    async fn has_published(&self, entry: &[Vec<u8>]) -> Result<bool, KeyError> {
        // As of now: a key may have come that was not there when the others were read.
        let keys = self.own_keys().await?;
        let mut found = entry
            .iter()
            .flat_map(|octets| Certificate::parse_some(octets, MAX_CERTIFICATES))
            .peekable();
        let any = found.peek().is_some();
        let is_ours = |certificate: &Certificate| {
            let fingerprint = certificate.fingerprint();
            keys.iter().any(|key| key.fingerprint() == fingerprint)
        };
        let ours = found.all(|certificate| is_ours(&certificate));
        Ok(any && ours)
    }
}
