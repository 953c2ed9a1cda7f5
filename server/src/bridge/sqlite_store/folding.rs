//! From the journal into the files: when, and by whom.
//!
//! Invariant: what was committed is in the files, or at least on the disk, soon after
//! [`FOLD_AFTER`], or the log says why not; when the store is closed it is in the files, and no
//! thread touches them any more. Nobody waits for it but a commit that finds too much unfolded.
//! Rejected: folding with each commit; a page of placements is written sixty times while letters
//! are appended to it, and once here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use letterlock_core::store::{Batch, Durability, Expectation, Op, StoreError};

use super::connection::{File, select};
use super::journal::{Journal, Left};
use super::layers::{Folding, Layer, Layers};
use super::writer::Writer;
use super::{Inner, Open, OpenStoreError, Size, lock, reopened};
use crate::background::step_back;

/// How long a change may be in the journal alone, and a change of flags be lost with the power.
const FOLD_AFTER: Duration = Duration::from_secs(1);
/// From so many octets on the journal is folded at once. Each time the disk has to be waited for
/// twice, and whoever commits meanwhile waits behind that.
const FOLD_OCTETS: usize = 3 * 1024 * 1024;
/// A batch that is longer goes into the files at once: that of a change of flags of some ten
/// thousand messages does not.
const MAX_JOURNALED: usize = 4 * 1024 * 1024;
/// So does one with longer contents: to write them twice takes longer than another wait for the
/// disk, and the pieces of an attachment would fill the memory.
const MAX_CONTENTS: usize = 256 * 1024;
/// So many octets are waiting in memory when commits begin to wait.
const MAX_UNFOLDED: usize = 8 * 1024 * 1024;

/// Which threads are on their way.
#[derive(Default)]
pub(super) struct Due {
    /// One folds in a while.
    later: AtomicBool,
    /// One folds now.
    now: AtomicBool,
    /// Both journals have what is not in the files, and none can be begun.
    blocked: AtomicBool,
}

#[derive(Clone, Copy)]
enum Which {
    Later,
    Now,
}

impl Which {
    const fn of(self, due: &Due) -> &AtomicBool {
        match self {
            Self::Later => &due.later,
            Self::Now => &due.now,
        }
    }
}

/// Writes what a journal has into the files, before anything else is done with them. What does not
/// go into them is read all the same, and whoever writes is told why ([`Due::blocked`]).
pub(super) fn recover(
    writer: &mut Writer,
    (rows, contents): (&File, &File),
    left: Vec<Left>,
    layers: &Layers,
) -> Result<Due, OpenStoreError> {
    let due = Due::default();
    let Some(generation) = left.last().map(|left| left.generation) else {
        return Ok(due);
    };
    let mut layer = Layer::default();
    for left in left {
        layer.apply(left.ops);
    }
    if let Err(error) = writer.fold(&layer, generation) {
        tracing::error!(%error, "what is left in the journal does not go into the files");
        layers.fold_first(layer, generation);
        due.blocked.store(true, Ordering::SeqCst);
        // As with a reader: connections that met a damaged page are of no more use.
        *writer = Writer::open(rows, contents)?;
    }
    Ok(due)
}

/// Lets what is in the journal be folded soon.
pub(super) fn ask(inner: &Arc<Inner>) {
    let (which, pause) = if inner.layers.octets() > FOLD_OCTETS {
        (Which::Now, Duration::ZERO)
    } else {
        (Which::Later, FOLD_AFTER)
    };
    if which.of(&inner.due).swap(true, Ordering::SeqCst) {
        return;
    }
    // It must not keep the store open.
    let weak = Arc::downgrade(inner);
    let work = move || {
        step_back();
        thread::sleep(pause);
        if let Some(inner) = weak.upgrade() {
            inner.fold_as(which);
        }
    };
    let started = thread::Builder::new().name("fold".to_owned()).spawn(work);
    if started.is_err() {
        inner.fold_as(which);
    }
}

impl Inner {
    /// Whether a batch of this size goes into the journal.
    pub(super) fn has_room(&self, size: Size) -> bool {
        size.octets <= MAX_JOURNALED
            && size.contents <= MAX_CONTENTS
            && self.layers.octets() <= MAX_UNFOLDED
            && !self.due.blocked.load(Ordering::SeqCst)
    }

    /// Commits a batch into the journal.
    pub(super) fn commit(&self, journal: &mut Journal, batch: Batch) -> Result<(), StoreError> {
        for Expectation { table, key, value } in &batch.expect {
            let current = match self.layers.find(*table, key) {
                Some(row) => row.value(),
                None => self.read(*table, |reader| select(reader, *table, key))?,
            };
            if current != *value {
                return Err(StoreError::Conflict);
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        journal.write(&batch.ops)?;
        if batch.durability == Durability::Machine {
            journal.sync()?;
        }
        self.layers.apply(batch.ops);
        Ok(())
    }

    /// Commits a batch into the files, and what is in the journal before it.
    pub(super) fn commit_to_files(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut writer = lock(&self.writer);
        let writer = writer.as_mut().ok_or_else(|| self.closed())?;
        self.finish(writer)?;
        // Nothing comes in between.
        let mut journal = lock(&self.journal);
        if self.turn(&mut journal)? {
            self.finish(writer)?;
        }
        for op in &batch.ops {
            if let Op::Put(table, ..) = op {
                self.note_table(*table);
            }
        }
        let done = writer.commit(batch);
        self.mended(writer, done)
    }

    /// Writes what is in the journal into the files; nothing, if the store is closed.
    pub(super) fn fold(&self) -> Result<(), StoreError> {
        let mut writer = lock(&self.writer);
        let Some(writer) = writer.as_mut() else {
            return Ok(());
        };
        self.finish(writer)?;
        let turned = self.turn(&mut lock(&self.journal))?;
        if turned { self.finish(writer) } else { Ok(()) }
    }

    fn fold_as(&self, which: Which) {
        if let Which::Later = which {
            // First: who asks from here on may have written what this does not see.
            self.due.later.store(false, Ordering::SeqCst);
        }
        if let Err(error) = self.fold() {
            tracing::error!(%error, "what was committed is in the journal and does not go into the files");
        }
        if let Which::Now = which {
            // Last: one is enough.
            self.due.now.store(false, Ordering::SeqCst);
        }
    }

    /// Ends the journal's generation: all of it is what is written next. False if it has nothing.
    fn turn(&self, journal: &mut Journal) -> Result<bool, StoreError> {
        let ended = journal.turn()?;
        if let Some(generation) = ended {
            self.layers.begin_folding(generation);
        }
        Ok(ended.is_some())
    }

    /// Writes what is to be written next.
    fn finish(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let Some(Folding { layer, generation }) = self.layers.folding() else {
            return Ok(());
        };
        layer.rows().for_each(|(table, ..)| self.note_table(table));
        let done = writer.fold(&layer, generation);
        self.mended(writer, done)?;
        self.layers.end_folding();
        self.due.blocked.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// As with a reader: connections that met a damaged page are of no more use.
    fn mended(&self, writer: &mut Writer, done: Result<(), StoreError>) -> Result<(), StoreError> {
        if matches!(done, Err(StoreError::Damaged { .. })) {
            *writer = reopened(Writer::open(&self.rows.file, &self.contents.file))?;
        }
        done
    }

    /// Folds, and closes the files. What does not go into them is left in the journal.
    fn close(&self) {
        if let Err(error) = self.fold() {
            tracing::error!(%error, "what was committed is left in the journal");
        }
        let mut writer = lock(&self.writer);
        let journal = lock(&self.journal);
        let is_folded = self.layers.folding().is_none() && self.layers.octets() == 0;
        *writer = None;
        for pool in [&self.rows, &self.contents] {
            lock(&pool.readers).clear();
        }
        if is_folded && let Err(error) = journal.remove() {
            tracing::warn!(%error, "an empty journal is left");
        }
    }

    fn closed(&self) -> StoreError {
        StoreError::Backend {
            place: self.rows.file.place(),
            detail: "the store is closed".to_owned(),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests;
