//! Which segments there are, and what is being done with them: one row, expected by every write.

use serde::{Deserialize, Serialize};

use super::rows::{self, Damaged, Extent};
use crate::id::MessageHash;

/// The version of everything in the table; another one is made anew.
const VERSION: u8 = 1;
/// So many segments of one size become one.
pub(super) const FAN: usize = 4;
/// Segments below so many messages are of one size.
const SMALLEST: u32 = 64;
/// Most segments that become one at a time.
const MAX_INPUTS: usize = 24;

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The highest segment number given out.
    pub(super) last_segment: u32,
    /// Oldest first. Of two that have a message, the later one is right.
    pub(super) segments: Vec<Extent>,
    /// Segments that are becoming one.
    pub(super) merge: Option<Merge>,
    /// Segments whose rows are being removed.
    pub(super) dropped: Vec<Extent>,
    /// Placed messages from this hash on are still to be queued; `None`: all are.
    pub(super) queue_from: Option<MessageHash>,
}

/// A merge that goes on step by step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Merge {
    /// Numbers of the segments, oldest first; they stand beside each other.
    pub(super) inputs: Vec<u32>,
    /// What they become, as far as it is written.
    pub(super) output: Extent,
    /// The last key written; empty: none yet.
    pub(super) after: Vec<u8>,
}

impl Manifest {
    /// Of an index that knows nothing: all messages are to be queued.
    pub(super) fn new() -> Self {
        Self {
            queue_from: Some(MessageHash::new([0; 32])),
            ..Self::default()
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = vec![VERSION];
        row.extend(rows::encode(self));
        row
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Damaged> {
        match row.split_first() {
            Some((&VERSION, rest)) => rows::decode(rest),
            _ => Err(Damaged),
        }
    }

    /// A number for a new segment.
    pub(super) fn next_segment(&mut self) -> u32 {
        self.last_segment = self.last_segment.saturating_add(1);
        self.last_segment
    }

    /// Segments that should become one: neighbours of one size, [`FAN`] of them, with the smaller
    /// ones between them. Positions in [`Manifest::segments`].
    pub(super) fn due(&self) -> Option<core::ops::Range<usize>> {
        let sizes: Vec<u32> = self.segments.iter().map(size_class).collect();
        let largest = sizes.iter().copied().max()?;
        (0..=largest).find_map(|class| {
            let mut start = 0;
            while start < sizes.len() {
                let group = sizes.iter().skip(start).take_while(|size| **size <= class);
                let (mut length, mut same) = (0, 0);
                for size in group.take(MAX_INPUTS) {
                    length += 1;
                    same += usize::from(*size == class);
                }
                if same >= FAN {
                    return Some(start..start + length);
                }
                start += length + 1;
            }
            None
        })
    }

    /// Puts the finished output in the place of its inputs, whose rows are to go.
    pub(super) fn finish_merge(&mut self) {
        let Some(merge) = self.merge.take() else {
            return;
        };
        let is_input = |extent: &Extent| merge.inputs.contains(&extent.segment);
        let at = self.segments.iter().position(is_input).unwrap_or(0);
        let (inputs, mut rest): (Vec<_>, Vec<_>) =
            self.segments.iter().copied().partition(is_input);
        if merge.output.documents > 0 {
            rest.insert(at.min(rest.len()), merge.output);
        } else {
            self.dropped.push(merge.output);
        }
        self.segments = rest;
        self.dropped.extend(inputs);
    }

    /// Lets all go.
    pub(super) fn reset(&mut self) {
        self.dropped.append(&mut self.segments);
        self.dropped
            .extend(self.merge.take().map(|merge| merge.output));
        self.queue_from = Some(MessageHash::new([0; 32]));
    }
}

/// Segments of one class have about the same size: each class is [`FAN`] times the one before.
fn size_class(extent: &Extent) -> u32 {
    let fan = u32::try_from(FAN).unwrap_or(4);
    (extent.documents / SMALLEST)
        .checked_ilog(fan)
        .map_or(0, |class| class.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(sizes: &[u32]) -> Manifest {
        let segments = (1..).zip(sizes).map(|(segment, documents)| Extent {
            segment,
            documents: *documents,
            ..Extent::default()
        });
        Manifest {
            segments: segments.collect(),
            ..Manifest::new()
        }
    }

    #[test]
    fn neighbours_of_one_size_become_one() {
        for (sizes, due) in [
            (&[1, 1, 1][..], None),
            (&[1, 1, 1, 1], Some(0..4)),
            (&[1000, 1, 1, 1, 1], Some(1..5)),
            (&[1000, 1, 1, 1], None),
            (&[70, 1, 70, 90, 70, 5000], Some(0..5)),
            (&[5000, 70, 70, 5000, 70, 70], None),
            (&[], None),
        ] {
            assert_eq!(manifest(sizes).due(), due, "{sizes:?}");
        }
    }

    #[test]
    fn the_output_stands_where_its_inputs_stood() {
        let mut manifest = manifest(&[500, 1, 2, 3, 7]);
        let output = Extent {
            segment: 9,
            documents: 6,
            ..Extent::default()
        };
        manifest.merge = Some(Merge {
            inputs: vec![2, 3, 4],
            output,
            after: Vec::new(),
        });
        assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest.clone()));
        manifest.finish_merge();
        let order: Vec<u32> = manifest.segments.iter().map(|e| e.segment).collect();
        assert_eq!(order, [1, 9, 5]);
        assert_eq!(manifest.dropped.len(), 3);
    }

    #[test]
    fn segments_stay_few() {
        let mut manifest = manifest(&[]);
        for _ in 0..20_000 {
            let segment = manifest.next_segment();
            manifest.segments.push(Extent {
                segment,
                documents: 1,
                ..Extent::default()
            });
            while let Some(due) = manifest.due() {
                let inputs: Vec<Extent> = manifest.segments[due].to_vec();
                let segment = manifest.next_segment();
                manifest.merge = Some(Merge {
                    inputs: inputs.iter().map(|extent| extent.segment).collect(),
                    output: Extent {
                        segment,
                        documents: inputs.iter().map(|extent| extent.documents).sum(),
                        ..Extent::default()
                    },
                    after: Vec::new(),
                });
                manifest.finish_merge();
            }
            assert!(manifest.segments.len() <= 20, "{:?}", manifest.segments);
        }
    }
}
