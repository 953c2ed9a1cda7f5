//! The pages that the last changes read, as the store has them.
//!
//! A flag is changed in a page that was changed a moment ago, or a letter is appended to the page of
//! the one before; reading, opening and decoding it again would be most of the work. Invariant:
//! what is kept is what the store has after the write of that number, of which every write has
//! another; only changes that write pages by [`super::pages`] alone keep them. Bounded by
//! [`MOST_PAGES`]. Rejected: keeping all pages; stamps and flags of a large account are hundreds
//! of megaoctets.

use std::collections::BTreeMap;

use super::pages::OpenPage;
use crate::id::PageId;

/// Most pages that are kept; a page is up to some 20 kB.
const MOST_PAGES: usize = 48;

/// Pages, and the write after which they are right.
#[derive(Debug, Default)]
pub(super) struct KeptPages {
    writes: u64,
    pages: BTreeMap<PageId, OpenPage>,
}

impl KeptPages {
    /// Takes the pages out, if that was the last write.
    pub(super) fn take(&mut self, writes: u64) -> BTreeMap<PageId, OpenPage> {
        let pages = core::mem::take(&mut self.pages);
        if self.writes == writes {
            pages
        } else {
            BTreeMap::new()
        }
    }

    /// Keeps pages as they are after a write.
    pub(super) fn keep(&mut self, writes: u64, pages: BTreeMap<PageId, OpenPage>) {
        if pages.len() <= MOST_PAGES {
            (self.writes, self.pages) = (writes, pages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_given_after_the_write_that_left_them() {
        let pages = |count: u8| -> BTreeMap<PageId, OpenPage> {
            let ids = (0..count).map(|nth| PageId::new([nth; 8]));
            ids.map(|id| (id, OpenPage::new(id))).collect()
        };
        let mut kept = KeptPages::default();
        kept.keep(7, pages(2));
        assert_eq!(kept.take(7).len(), 2);
        assert!(kept.take(7).is_empty());
        kept.keep(7, pages(2));
        assert!(kept.take(8).is_empty());
        assert!(kept.take(7).is_empty());
        kept.keep(9, pages(200));
        assert!(kept.take(9).is_empty());
    }
}
