//! Where documents are in memory.
//!
//! A document is held until all of it is authenticated, and page by page the system takes longer to
//! hand that memory out than a processor to decrypt it. So long blocks ask for huge pages.
//!
//! Rejected: reading a message twice (once to authenticate it) holds nothing, but needs a file;
//! an allocator of somebody else's for this alone.

use std::alloc::{GlobalAlloc, Layout, System};

/// Octets of a huge page.
const HUGE_PAGE: usize = 2 * 1024 * 1024;
/// Blocks from this length on, in octets, are made of huge pages: clearing one takes as long as handing
/// out some hundred small ones.
const FROM_OCTETS: usize = HUGE_PAGE / 4;

/// The system's allocator, with huge pages for long blocks.
#[derive(Debug)]
pub struct HugePages;

impl HugePages {
    fn is_long(octets: usize) -> bool {
        octets >= FROM_OCTETS
    }

    /// What is asked of the system for this: a long block is huge pages and nothing else.
    fn whole(layout: Layout) -> Layout {
        if !Self::is_long(layout.size()) {
            return layout;
        }
        let octets = layout.size().checked_next_multiple_of(HUGE_PAGE);
        let whole = octets.and_then(|octets| Layout::from_size_align(octets, HUGE_PAGE).ok());
        whole.unwrap_or(layout)
    }
}

#[expect(unsafe_code, reason = "an allocator is no other")]
// SAFETY: every block is one of the system's allocator, which keeps the contract; the only change is
// a greater length and alignment, the same for the same layout when it is taken and given back.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let whole = Self::whole(layout);
        // SAFETY: the caller's layout has a size, and so has this one.
        let block = unsafe { System.alloc(whole) };
        #[cfg(target_os = "linux")]
        if Self::is_long(layout.size()) && !block.is_null() {
            // SAFETY: the block is ours and begins at a page; what the system makes of this advice
            // changes nothing that is in it. It need not take it.
            let _advised =
                unsafe { libc::madvise(block.cast(), whole.size(), libc::MADV_HUGEPAGE) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: it was taken with this layout.
        unsafe { System.dealloc(block, Self::whole(layout)) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, octets: usize) -> *mut u8 {
        if !Self::is_long(layout.size()) && !Self::is_long(octets) {
            // SAFETY: before and after it is a block as the system's allocator has it.
            return unsafe { System.realloc(block, layout, octets) };
        }
        let Ok(wanted) = Layout::from_size_align(octets, layout.align()) else {
            return std::ptr::null_mut();
        };
        // SAFETY: the caller's number of octets is not zero.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: two blocks, each as long as this at least; and the old one is the caller's.
            unsafe {
                std::ptr::copy_nonoverlapping(block, moved, layout.size().min(octets));
                self.dealloc(block, layout);
            }
        }
        moved
    }
}
