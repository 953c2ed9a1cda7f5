//! Puts a message together again: the inverse of [`super::split()`].
//!
//! Invariant: `join(split(raw)) == raw` for every octet string; whatever does not fit together is
//! refused, never padded or cut. Rejected: writing a message anew from its parsed parts; it would
//! not have the octets that were signed.

use super::body_structure::Structure;

/// Why skeleton and leaves do not make the message that the structure describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// Too few or too many leaves.
    #[error("{given} leaves where {expected} are needed")]
    LeafCount {
        /// How many the structure has.
        expected: usize,
        /// How many were given.
        given: usize,
    },
    /// A leaf has not the length that the structure says.
    #[error("leaf {index} does not have its length")]
    LeafLength {
        /// Which leaf.
        index: usize,
    },
    /// The skeleton has not the length that the structure says.
    #[error("the skeleton does not have its length")]
    SkeletonLength,
}

/// Joins what [`super::split()`] split.
pub fn join(
    structure: &Structure,
    skeleton: &[u8],
    leaves: &[impl AsRef<[u8]>],
) -> Result<Vec<u8>, JoinError> {
    if leaves.len() != structure.leaves.len() {
        return Err(JoinError::LeafCount {
            expected: structure.leaves.len(),
            given: leaves.len(),
        });
    }
    let given: u64 = leaves.iter().map(|leaf| leaf.as_ref().len() as u64).sum();
    if (skeleton.len() as u64).checked_add(given) != Some(structure.size) {
        let short = leaf_of_wrong_length(structure, leaves);
        return Err(short.unwrap_or(JoinError::SkeletonLength));
    }
    let mut raw = Vec::with_capacity(skeleton.len());
    let mut rest = skeleton;
    for (index, (span, leaf)) in structure.leaves.iter().zip(leaves).enumerate() {
        let gap = usize::try_from(span.start)
            .ok()
            .and_then(|start| start.checked_sub(raw.len()))
            .and_then(|gap| rest.split_at_checked(gap));
        let (before, after) = gap.ok_or(JoinError::SkeletonLength)?;
        let leaf = leaf.as_ref();
        if leaf.len() as u64 != span.len() {
            return Err(JoinError::LeafLength { index });
        }
        raw.extend_from_slice(before);
        raw.extend_from_slice(leaf);
        rest = after;
    }
    raw.extend_from_slice(rest);
    Ok(raw)
}

fn leaf_of_wrong_length(structure: &Structure, leaves: &[impl AsRef<[u8]>]) -> Option<JoinError> {
    let index = structure
        .leaves
        .iter()
        .zip(leaves)
        .position(|(span, leaf)| leaf.as_ref().len() as u64 != span.len())?;
    Some(JoinError::LeafLength { index })
}
