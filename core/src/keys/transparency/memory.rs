//! A directory in memory, for tests: an honest one, which tests may then make lie.

use core::convert::Infallible;
use std::collections::BTreeMap;

use super::answer::{ChangesAnswer, HeadAnswer, LookupAnswer};
use super::entry::{self, Step};
use super::head::{DirectoryKey, Head, Identity, SignedHead};
use super::map::{EMPTY, Label, MapNodes, Prefix, Value};
use super::merkle::{self, Hash, Node};
use super::serve::{self, DirectoryNodes};
use crate::id::{Address, Timestamp};

/// A directory.
#[derive(Debug, Clone)]
pub struct MemoryDirectory {
    identity: Identity,
    seed: [u8; 32],
    log: BTreeMap<Node, Hash>,
    inner: BTreeMap<Prefix, Hash>,
    entries: BTreeMap<Label, (Value, Vec<Vec<u8>>)>,
    /// The changes so far.
    pub steps: Vec<Step>,
    published: Vec<Vec<Vec<u8>>>,
    map_root: Hash,
}

impl MapNodes for MemoryDirectory {
    type Error = Infallible;

    fn inner(&mut self, at: &Prefix) -> Result<Option<Hash>, Infallible> {
        Ok(self.inner.get(at).copied())
    }

    fn entry(&mut self, at: &Prefix) -> Result<Option<(Label, Value)>, Infallible> {
        let range = Label(Hash(at.bits))..=Label(Hash(at.last()));
        let first = self.entries.range(range).next();
        Ok(first.map(|(label, (value, _))| (*label, *value)))
    }
}

impl DirectoryNodes for MemoryDirectory {
    fn log_node(&mut self, at: Node) -> Result<Hash, Infallible> {
        Ok(self.log.get(&at).copied().unwrap_or(EMPTY))
    }

    fn step(&mut self, position: u64) -> Result<Step, Infallible> {
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        let none = || Step {
            label: Label(EMPTY),
            value: Value {
                version: 0,
                set: EMPTY,
            },
            before: super::map::MapProof {
                beside: Vec::new(),
                end: super::map::End::Empty,
            },
        };
        Ok(self.steps.get(position).cloned().unwrap_or_else(none))
    }
}

impl MemoryDirectory {
    /// An empty one, with the key and salt of this seed.
    pub fn new(domain: &str, seed: u8) -> Self {
        let seed = [seed; 32];
        let key = DirectoryKey::from_seed(&seed).public();
        Self {
            identity: Identity {
                domain: domain.to_owned(),
                key,
                salt: Hash(seed),
            },
            seed,
            log: BTreeMap::new(),
            inner: BTreeMap::new(),
            entries: BTreeMap::new(),
            steps: Vec::new(),
            published: Vec::new(),
            map_root: EMPTY,
        }
    }

    /// Publishes an address's certificates.
    pub fn publish(&mut self, address: &Address, certificates: &[&[u8]]) {
        let label = entry::label(&self.identity.salt, address);
        let set = entry::set_hash(certificates);
        let (salt, size) = (self.identity.salt, self.size());
        let Ok(written) = serve::change(self, salt, size, label, set);
        let Some(written) = written else {
            return;
        };
        self.log.extend(written.log);
        self.inner.extend(written.inner);
        self.map_root = written.map_root;
        let octets: Vec<Vec<u8>> = certificates.iter().map(|octets| octets.to_vec()).collect();
        self.published.push(octets.clone());
        self.entries.insert(label, (written.step.value, octets));
        self.steps.push(written.step);
    }

    /// What a change has published.
    pub fn entry_at(&self, position: u64) -> Vec<serde_bytes::ByteBuf> {
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        let octets = self.published.get(position).cloned().unwrap_or_default();
        octets.into_iter().map(serde_bytes::ByteBuf::from).collect()
    }

    /// How many changes there were.
    pub fn size(&self) -> u64 {
        u64::try_from(self.steps.len()).unwrap_or(u64::MAX)
    }

    /// The map's root.
    pub const fn map_root(&self) -> Hash {
        self.map_root
    }

    /// Writes an entry as if it had always been so: what an honest provider cannot.
    pub fn forge(&mut self, address: &Address, version: u64, certificates: &[&[u8]]) {
        let label = entry::label(&self.identity.salt, address);
        let value = Value {
            version,
            set: entry::set_hash(certificates),
        };
        let Ok(proof) = super::map::MapProof::make(self, &label);
        if let Some(changed) = proof.change(&label, &value) {
            self.inner.extend(changed.inner);
            self.map_root = changed.root;
        }
        let octets = certificates.iter().map(|octets| octets.to_vec()).collect();
        self.entries.insert(label, (value, octets));
    }

    /// Appends a change that says of one label what the map says of another.
    pub fn hide(&mut self, step: Step) {
        let leaf = entry::Change {
            salt: self.identity.salt,
            label: step.label,
            value: step.value,
            map_root: self.map_root,
        };
        let hash = merkle::leaf_hash(&leaf.to_octets());
        let size = self.size();
        let Ok(nodes) = merkle::appended(size, hash, |at| self.log_node(at));
        self.log.extend(nodes);
        self.published.push(Vec::new());
        self.steps.push(step);
    }

    /// The signed head as of now.
    pub fn signed(&mut self) -> SignedHead {
        let size = self.size();
        let Ok(log_root) = merkle::root(size, |at| self.log_node(at));
        let head = Head {
            identity: self.identity.clone(),
            size,
            log_root,
            map_root: self.map_root,
            time: Timestamp::from_secs(1_700_000_000),
        };
        DirectoryKey::from_seed(&self.seed).sign(head)
    }

    /// Answers a question for the head.
    pub fn head(&mut self, seen: u64, also: u64) -> HeadAnswer {
        let signed = self.signed();
        let Ok(answer) = serve::head(self, &signed, seen, also);
        answer
    }

    /// Answers a question for an address.
    pub fn lookup(&mut self, address: &Address, seen: u64) -> LookupAnswer {
        let label = entry::label(&self.identity.salt, address);
        let certificates = self.entries.get(&label).map(|(_, octets)| octets.clone());
        let signed = self.signed();
        let Ok(answer) = serve::lookup(
            self,
            &signed,
            seen,
            &label,
            certificates.unwrap_or_default(),
        );
        answer
    }

    /// Answers a question for changes.
    pub fn changes(&mut self, from: u64, seen: u64) -> ChangesAnswer {
        let signed = self.signed();
        let Ok(answer) = serve::changes(self, &signed, seen, from);
        answer
    }
}
