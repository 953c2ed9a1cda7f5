//! The beginnings of the leaves that may be shown as text, kept while a message is read.
//!
//! Invariant: at most [`PREVIEW_SOURCE_OCTETS`] of a leaf and [`MAX_TEXT_START_OCTETS`] in all,
//! however many leaves there are. Which leaf is shown is known only when the message has ended,
//! and then the leaves are gone. Rejected: keeping the first text alone; it is often the one that
//! is not shown (HTML before plain text, texts with a file name).

use super::body_structure::Part;
use super::summary::PREVIEW_SOURCE_OCTETS;

/// Most octets kept of all leaves of a message.
const MAX_TEXT_START_OCTETS: usize = 8 * PREVIEW_SOURCE_OCTETS;

/// Beginnings of leaves, in the order of the leaves.
#[derive(Default)]
pub(super) struct TextStarts {
    starts: Vec<(usize, Vec<u8>)>,
    /// Octets kept, in all.
    kept: usize,
    /// Octets that may still be kept of the leaf that is being read.
    room: usize,
}

impl TextStarts {
    /// Whether a leaf may be shown, as far as its header tells.
    pub(super) fn may_be_shown(part: &Part) -> bool {
        part.media_type == "text"
            && matches!(part.subtype.as_str(), "plain" | "html")
            && !part.is_attachment()
    }

    /// A leaf begins.
    pub(super) fn begin(&mut self, leaf: usize, may_be_shown: bool) {
        let room = MAX_TEXT_START_OCTETS.saturating_sub(self.kept);
        self.room = if may_be_shown {
            room.min(PREVIEW_SOURCE_OCTETS)
        } else {
            0
        };
        if self.room > 0 {
            self.starts.push((leaf, Vec::new()));
        }
    }

    /// Takes octets of the leaf that began last.
    pub(super) fn take(&mut self, octets: &[u8]) {
        if self.room == 0 {
            return;
        }
        let octets = octets.get(..self.room).unwrap_or(octets);
        if let Some((_, start)) = self.starts.last_mut() {
            start.extend_from_slice(octets);
        }
        self.room = self.room.saturating_sub(octets.len());
        self.kept = self.kept.saturating_add(octets.len());
    }

    /// The beginning of a leaf; empty if it was not kept.
    pub(super) fn of(&self, leaf: usize) -> &[u8] {
        let found = self.starts.binary_search_by_key(&leaf, |(leaf, _)| *leaf);
        found
            .ok()
            .and_then(|at| self.starts.get(at))
            .map_or(&[], |(_, start)| start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded() {
        let mut texts = TextStarts::default();
        for leaf in 0..100 {
            texts.begin(leaf, leaf % 2 == 0);
            for _ in 0..100 {
                texts.take(&[b'x'; 1000]);
            }
        }
        assert_eq!(texts.of(0).len(), PREVIEW_SOURCE_OCTETS);
        assert_eq!(texts.of(1).len(), 0);
        assert_eq!(texts.of(2).len(), PREVIEW_SOURCE_OCTETS);
        assert_eq!(texts.of(98).len(), 0);
        assert_eq!(texts.kept, MAX_TEXT_START_OCTETS);
    }
}
