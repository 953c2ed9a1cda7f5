//! Who follows a provider's directory: what a device remembers, and how it judges each answer.
//!
//! ```text
//! begin(lookup of the own address)  first use: key, salt and head are pinned
//! follow(changes)                   at each sync: every change since the last one is replayed
//! lookup(address)                   whenever a key is wanted
//! compare(head of somebody else)    whenever one was heard of
//! ```
//!
//! Replaying a change checks that it is the next version of one label and that nothing else in the
//! map has changed, and gives the log's next leaf. So whatever a lookup was ever answered under
//! this log, for anybody, was told to all who follow it, under the label of its address: an entry
//! that was false for a minute is found by its owner as surely as one that stays.
//! Invariant: a head is taken only if it extends the last one; nothing is remembered of an answer
//! that proves less than it says. Rejected: looking up the own entry at each sync; what was there
//! in between would not be seen. Rejected: replaying from the first change on; who is new pins.
//! Known limit: the first use. What the directory was before it, this device takes as it is.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::alarm::{Alarm, Finding, Witness};
use super::answer::{AnswerError, ChangesAnswer, HeadAnswer, LookupAnswer};
use super::entry::{self, Change, MAX_CERTIFICATES};
use super::head::{Head, HeadError, Identity, SignedHead};
use super::map::{Label, Value};
use super::merkle::{self, Frontier, Hash, empty_root};
use crate::id::Address;

/// Why an answer is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It does not read.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// Its head does not read.
    #[error(transparent)]
    Head(HeadError),
    /// It reads, and is false.
    #[error("{0}")]
    Alarm(Box<Alarm>),
}

/// What a lookup has proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The entry; `None` if the address never had one.
    pub value: Option<Value>,
    /// Its certificates, binary; none if it has none (any more).
    pub certificates: Vec<Vec<u8>>,
}

/// What following has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// What the own label has become, in order, and by which change.
    pub own: Vec<(u64, Value)>,
    /// There is more: ask again.
    pub more: bool,
}

/// What a device knows of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follower {
    identity: Identity,
    /// The last head that was verified, as it was signed.
    head: ByteBuf,
    size: u64,
    log_root: Hash,
    /// Up to where changes were replayed: not further than `size`.
    frontier: Frontier,
    map_root: Hash,
}

impl Follower {
    /// Begins to follow a directory, with an answer for `address` to a first question.
    pub fn begin(address: &Address, answer: &LookupAnswer) -> Result<(Self, Entry), Refusal> {
        let signed = SignedHead::parse(&answer.head.head).map_err(|error| match error {
            HeadError::BadSignature => alarm(address.domain(), Finding::BadSignature),
            HeadError::Newer(_) | HeadError::Malformed => Refusal::Head(error),
        })?;
        let head = signed.head();
        let mut follower = Self {
            identity: head.identity.clone(),
            head: ByteBuf::from(signed.octets()),
            size: head.size,
            log_root: head.log_root,
            frontier: Frontier::empty(),
            map_root: head.map_root,
        };
        let entry = follower.entry(address, answer, head)?;
        if let Some(last) = &answer.last {
            let leaf = follower.leaf(last.label, last.value, head.map_root);
            let frontier = Frontier::of_last(head.size, leaf, &last.path);
            follower.frontier = frontier
                .filter(|frontier| frontier.root() == head.log_root)
                .ok_or_else(|| follower.false_entry(address))?;
        }
        Ok((follower, entry))
    }

    /// Which directory.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Changes in the last head that was verified.
    pub const fn seen(&self) -> u64 {
        self.size
    }

    /// Changes that were replayed.
    pub const fn followed(&self) -> u64 {
        self.frontier.size()
    }

    /// The root of the log in the last head that was verified.
    pub const fn log_root(&self) -> Hash {
        self.log_root
    }

    /// The last head that was verified, as it was signed.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Where an address stands in the map.
    pub fn label(&self, address: &Address) -> Label {
        entry::label(&self.identity.salt, address)
    }

    /// An alarm about this directory.
    pub fn alarm(&self, finding: Finding) -> Alarm {
        Alarm {
            domain: self.identity.domain.clone(),
            finding,
        }
    }

    /// Takes a head that extends the last one.
    pub fn advance(&mut self, answer: &HeadAnswer) -> Result<Head, Refusal> {
        let signed = SignedHead::parse(&answer.head).map_err(|error| match error {
            HeadError::BadSignature => self.refuse(Finding::BadSignature),
            HeadError::Newer(_) | HeadError::Malformed => Refusal::Head(error),
        })?;
        let head = signed.head();
        if head.identity != self.identity {
            return Err(self.refuse(Finding::OtherDirectory));
        }
        let seen = self.size;
        if head.size < seen {
            let shown = head.size;
            return Err(self.refuse(Finding::RolledBack { seen, shown }));
        }
        let root = &head.log_root;
        if !merkle::verify_consistency(seen, &self.log_root, head.size, root, &answer.since) {
            return Err(self.refuse(Finding::NotExtended { seen }));
        }
        (self.size, self.log_root) = (head.size, head.log_root);
        self.head = ByteBuf::from(signed.octets());
        Ok(signed.head().clone())
    }

    /// Judges a lookup of an address.
    pub fn lookup(&mut self, address: &Address, answer: &LookupAnswer) -> Result<Entry, Refusal> {
        let head = self.advance(&answer.head)?;
        self.entry(address, answer, &head)
    }

    /// Replays changes from [`Follower::followed`] on; `own` is the account's label.
    pub fn follow(&mut self, answer: &ChangesAnswer, own: &Label) -> Result<Followed, Refusal> {
        let mut next = self.clone();
        let head = next.advance(&answer.head)?;
        let mut found = Vec::new();
        for step in &answer.steps {
            let position = next.frontier.size();
            let changed = step.before.verify(&step.label, &next.map_root);
            let changed = changed.filter(|old| {
                let version = old.map_or(0, |old| old.version);
                version.checked_add(1) == Some(step.value.version)
            });
            let map = changed.and_then(|_| step.before.change(&step.label, &step.value));
            let Some(map) = map else {
                return Err(self.refuse(Finding::FalseChange { position }));
            };
            next.map_root = map.root;
            let leaf = next.leaf(step.label, step.value, map.root);
            next.frontier.append(leaf);
            if step.label == *own {
                found.push((position, step.value));
            }
        }
        let reached = next.frontier.size();
        let root = next.frontier.root();
        // Told nothing, though there is something, is hidden.
        let hidden = answer.steps.is_empty() && reached < head.size;
        let extends =
            merkle::verify_consistency(reached, &root, head.size, &head.log_root, &answer.rest);
        let mapped = reached < head.size || next.map_root == head.map_root;
        if hidden || !extends || !mapped {
            let position = self.frontier.size();
            return Err(self.refuse(Finding::FalseChange { position }));
        }
        *self = next;
        Ok(Followed {
            own: found,
            more: reached < head.size,
        })
    }

    /// Whether somebody else's head can be compared without asking: it is of another directory, or
    /// as long as the last one that was verified. `None`: the provider must be asked.
    pub fn compare_at_once(&self, theirs: &Head, witness: &Witness) -> Option<Result<(), Refusal>> {
        if theirs.identity != self.identity {
            return Some(Err(self.refuse(Finding::OtherDirectory)));
        }
        if theirs.size == self.size {
            let same = theirs.log_root == self.log_root && theirs.size == self.size;
            return Some(if same {
                Ok(())
            } else {
                Err(self.split(theirs, witness))
            });
        }
        (theirs.size == 0).then_some(Ok(()))
    }

    /// Judges the answer to a question for the head with `also` = the size of somebody else's.
    pub fn compare(
        &mut self,
        theirs: &Head,
        witness: &Witness,
        answer: &HeadAnswer,
    ) -> Result<(), Refusal> {
        let head = self.advance(answer)?;
        // A log that is shorter than what they were shown was not shown to them.
        let part_of_ours = theirs.identity == self.identity
            && merkle::verify_consistency(
                theirs.size,
                &theirs.log_root,
                head.size,
                &head.log_root,
                &answer.also,
            );
        if part_of_ours {
            Ok(())
        } else {
            Err(self.split(theirs, witness))
        }
    }

    fn entry(
        &self,
        address: &Address,
        answer: &LookupAnswer,
        head: &Head,
    ) -> Result<Entry, Refusal> {
        let false_entry = || self.false_entry(address);
        let tied = match &answer.last {
            None => head.is_empty() && head.log_root == empty_root(),
            Some(last) => {
                let leaf = self.leaf(last.label, last.value, head.map_root);
                let position = head.size.checked_sub(1).ok_or_else(false_entry)?;
                merkle::verify_inclusion(leaf, position, head.size, &last.path, &head.log_root)
            }
        };
        let label = self.label(address);
        let value = answer
            .proof
            .verify(&label, &head.map_root)
            .filter(|_| tied)
            .ok_or_else(false_entry)?;
        let certificates: Vec<Vec<u8>> = answer
            .certificates
            .iter()
            .map(|certificate| certificate.to_vec())
            .collect();
        let right = match value {
            None => certificates.is_empty(),
            Some(value) => {
                certificates.len() <= MAX_CERTIFICATES
                    && entry::set_hash(&certificates) == value.set
            }
        };
        if right {
            Ok(Entry {
                value,
                certificates,
            })
        } else {
            Err(false_entry())
        }
    }

    fn leaf(&self, label: Label, value: Value, map_root: Hash) -> Hash {
        let change = Change {
            salt: self.identity.salt,
            label,
            value,
            map_root,
        };
        merkle::leaf_hash(&change.to_octets())
    }

    fn false_entry(&self, address: &Address) -> Refusal {
        self.refuse(Finding::FalseEntry(entry::entry_address(address)))
    }

    fn split(&self, theirs: &Head, witness: &Witness) -> Refusal {
        self.refuse(Finding::SplitView {
            witness: witness.clone(),
            size: theirs.size,
        })
    }

    fn refuse(&self, finding: Finding) -> Refusal {
        alarm(&self.identity.domain, finding)
    }
}

fn alarm(domain: &str, finding: Finding) -> Refusal {
    Refusal::Alarm(Box::new(Alarm {
        domain: domain.to_owned(),
        finding,
    }))
}
