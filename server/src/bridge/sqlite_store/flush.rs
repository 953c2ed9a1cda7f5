//! Writes the log of a file to the disk a moment after a batch that did not wait for that.
//!
//! Invariant: what was committed before [`Flush::ask`] is on the disk [`FLUSH_AFTER`] later, or
//! the log says why not; nobody waits for it, neither a commit nor the end of the program, whose
//! writes the system has. Whatever waits for the disk takes all before it along, so in a busy
//! store this finds nothing to do. Rejected: a checkpoint, which would also copy every page from
//! the log into the file; an empty commit, which takes the writer's lock while the disk works.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How long a change of flags may be lost with the power.
const FLUSH_AFTER: Duration = Duration::from_secs(1);

/// Flushes one log.
pub(super) struct Flush {
    log: PathBuf,
    /// Somebody has asked, and it has not begun.
    is_due: Arc<AtomicBool>,
}

impl Flush {
    /// Of the log, as SQLite calls it, of a file.
    pub(super) fn new(log: PathBuf) -> Self {
        Self {
            log,
            is_due: Arc::default(),
        }
    }

    /// What is in the log by now will be on the disk soon.
    pub(super) fn ask(&self) {
        if self.is_due.swap(true, Ordering::SeqCst) {
            return;
        }
        let (log, is_due) = (self.log.clone(), Arc::clone(&self.is_due));
        let later = move || {
            thread::sleep(FLUSH_AFTER);
            // First: who asks from here on may have written what this does not see.
            is_due.store(false, Ordering::SeqCst);
            flush(&log);
        };
        let started = thread::Builder::new().name("flush".to_owned()).spawn(later);
        if started.is_err() {
            self.is_due.store(false, Ordering::SeqCst);
            flush(&self.log);
        }
    }
}

fn flush(log: &Path) {
    // SQLite locks other files than this; closing a locked one would give up its locks.
    let opened = OpenOptions::new().write(true).open(log);
    match opened.and_then(|log| log.sync_data()) {
        Ok(()) => {}
        // All of it is in the file itself, which is on the disk then.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::error!(%error, place = %log.display(), "the last changes of flags are not on the disk");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_often_flushes_once_and_again_later() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, b"written").unwrap();
        let asked = Flush::new(log);
        for _ in 0..100 {
            asked.ask();
        }
        // Two: this one and the thread that waits.
        assert_eq!(Arc::strong_count(&asked.is_due), 2);
        while asked.is_due.load(Ordering::SeqCst) {
            thread::sleep(FLUSH_AFTER / 10);
        }
        asked.ask();
        assert!(asked.is_due.load(Ordering::SeqCst));
    }

    #[test]
    fn a_log_that_is_gone_is_no_error() {
        flush(Path::new("/nowhere/replica.db-wal"));
    }
}
