//! The provider's side: what a change writes, and how answers are made. Pure, over where the
//! hashes are kept.
//!
//! Cost: a change reads and writes O(log n) hashes of log and map, an answer reads O(log n).

use serde_bytes::ByteBuf;

use super::answer::{ANSWER_VERSION, ChangesAnswer, HeadAnswer, Last, LookupAnswer, MAX_STEPS};
use super::entry::{Change, Step};
use super::head::SignedHead;
use super::map::{Label, MapNodes, MapProof, Prefix, Value};
use super::merkle::{self, Hash, Node};

/// Where a directory is kept.
pub trait DirectoryNodes: MapNodes {
    /// The hash of a perfect subtree of the log that is whole.
    fn log_node(&mut self, at: Node) -> Result<Hash, Self::Error>;

    /// The change at a position.
    fn step(&mut self, position: u64) -> Result<Step, Self::Error>;
}

/// What a change writes.
#[derive(Debug, Clone)]
pub struct Written {
    /// The change as it is told; at position `size`.
    pub step: Step,
    /// Hashes of the log.
    pub log: Vec<(Node, Hash)>,
    /// Hashes of the map.
    pub inner: Vec<(Prefix, Hash)>,
    /// The map's root since.
    pub map_root: Hash,
}

/// Gives a label a set of certificates: the next version. `None` if it has that set already. The
/// entry itself is written too; `size` is the number of changes before.
pub fn change<N: DirectoryNodes>(
    nodes: &mut N,
    salt: Hash,
    size: u64,
    label: Label,
    set: Hash,
) -> Result<Option<Written>, N::Error> {
    let before = MapProof::make(nodes, &label)?;
    let old = match before.end {
        super::map::End::Entry(at, value) if at == label => Some(value),
        _ => None,
    };
    if old.is_some_and(|old| old.set == set) {
        return Ok(None);
    }
    let version = old.map_or(0, |old| old.version).saturating_add(1);
    let value = Value { version, set };
    let Some(changed) = before.change(&label, &value) else {
        return Ok(None);
    };
    let leaf = Change {
        salt,
        label,
        value,
        map_root: changed.root,
    };
    let hash = merkle::leaf_hash(&leaf.to_octets());
    let log = merkle::appended(size, hash, |at| nodes.log_node(at))?;
    Ok(Some(Written {
        step: Step {
            label,
            value,
            before,
        },
        log,
        inner: changed.inner,
        map_root: changed.root,
    }))
}

/// Answers a question for the head. Sizes beyond the log get no proof.
pub fn head<N: DirectoryNodes>(
    nodes: &mut N,
    head: &SignedHead,
    seen: u64,
    also: u64,
) -> Result<HeadAnswer, N::Error> {
    let size = head.head().size;
    Ok(HeadAnswer {
        version: ANSWER_VERSION,
        head: ByteBuf::from(head.octets()),
        since: merkle::consistency_path(seen, size, |at| nodes.log_node(at))?,
        also: merkle::consistency_path(also, size, |at| nodes.log_node(at))?,
    })
}

/// Answers a question for a label's entry.
pub fn lookup<N: DirectoryNodes>(
    nodes: &mut N,
    signed: &SignedHead,
    seen: u64,
    label: &Label,
    certificates: Vec<Vec<u8>>,
) -> Result<LookupAnswer, N::Error> {
    let size = signed.head().size;
    let last = match size.checked_sub(1) {
        None => None,
        Some(position) => {
            let step = nodes.step(position)?;
            Some(Last {
                label: step.label,
                value: step.value,
                path: merkle::inclusion_path(position, size, |at| nodes.log_node(at))?,
            })
        }
    };
    Ok(LookupAnswer {
        version: ANSWER_VERSION,
        head: head(nodes, signed, seen, 0)?,
        last,
        proof: MapProof::make(nodes, label)?,
        certificates: certificates.into_iter().map(ByteBuf::from).collect(),
    })
}

/// Answers a question for changes.
pub fn changes<N: DirectoryNodes>(
    nodes: &mut N,
    signed: &SignedHead,
    seen: u64,
    from: u64,
) -> Result<ChangesAnswer, N::Error> {
    let size = signed.head().size;
    let most = u64::try_from(MAX_STEPS).unwrap_or(u64::MAX);
    let end = from.saturating_add(most).min(size);
    let mut steps = Vec::new();
    for position in from..end {
        steps.push(nodes.step(position)?);
    }
    Ok(ChangesAnswer {
        version: ANSWER_VERSION,
        head: head(nodes, signed, seen, 0)?,
        steps,
        rest: merkle::consistency_path(end, size, |at| nodes.log_node(at))?,
    })
}
