//! How the C library's heap is kept small: what is freed goes back to the system.
//!
//! A bridge runs for weeks beside a mail program and must not hold what it needed once. glibc has
//! a heap for each thread, up to eight times the number of processors; each learns from the
//! longest block that was freed to keep blocks of that length, and what lies between two blocks
//! in use is not given back. Pieces of attachments are blocks of about a mebioctet, and any of
//! tokio's threads for blocking work may have them. Measured with an attachment of 10 MB through
//! the bridge's store and back: 13 to 34 MB above the baseline from run to run; with what is set
//! here 7 to 8, every time.
//!
//! Invariant: a block of `MAPPED_FROM_OCTETS` is a mapping of its own, gone when it is freed.
//! Rejected: another allocator for Rust alone; SQLite and its cache, in C, would stay where they
//! are. Rejected: `GLIBC_TUNABLES`; it counts only when a process starts, so each would start
//! itself once more.

/// Blocks from this length on, in octets, are mapped one by one. Shorter ones are too many: each
/// mapping costs two calls of the system, and a page fault for every 4 kB.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_FROM_OCTETS: libc::c_int = 256 * 1024;
/// So much free space at the end of a heap is kept, in octets.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_FREE_OCTETS: libc::c_int = 1024 * 1024;
/// Heaps; threads share them. With long blocks apart, more of them bring nothing.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAPS: libc::c_int = 4;

/// Sets how the heap grows. To be called once, before a process starts threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_small() {
    let settings = [
        (libc::M_MMAP_THRESHOLD, MAPPED_FROM_OCTETS),
        (libc::M_TRIM_THRESHOLD, KEPT_FREE_OCTETS),
        (libc::M_ARENA_MAX, HEAPS),
    ];
    for (setting, value) in settings {
        // It says 0 if it does not know the setting: then the heap is what it would be anyway.
        #[expect(unsafe_code, reason = "the one way to tell glibc")]
        // SAFETY: mallopt(3) takes two numbers and no pointer, and its lock makes it safe to call
        // at any time.
        let _known = unsafe { libc::mallopt(setting, value) };
    }
}

/// Other C libraries have one heap, or give back what is freed, and know no such settings.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub const fn keep_small() {}
