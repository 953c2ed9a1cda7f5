//! Threads for what nobody waits for: the exchange with the provider, the search index.
//!
//! They have a lower priority than those that answer mail programs: while both want the processor
//! the mail program is answered first, and what is behind gets about a tenth of it, so that it
//! comes to its end whatever happens. Invariant: nothing depends on which threads a task has.
//! Rejected: pauses between the steps of a push; it takes as long as before, and is in the way
//! whenever it runs. Rejected: the idle class of the scheduler; who waits for a lock that a thread
//! of that class holds may wait for ever.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// How much nicer than the others (nice(2)).
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;
/// Threads that run tasks. What blocks has more.
const WORKERS: usize = 1;

/// The threads.
#[derive(Debug)]
pub(crate) struct Background(Option<Runtime>);

impl Background {
    /// Starts them; tasks end when it is dropped.
    pub(crate) fn start() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(WORKERS)
            .thread_name("background")
            .enable_all()
            .on_thread_start(step_back);
        builder.build().map(|runtime| Self(Some(runtime)))
    }

    /// Where tasks are spawned.
    pub(crate) fn handle(&self) -> Option<&Handle> {
        self.0.as_ref().map(Runtime::handle)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed where another runtime's tasks run.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lowers the priority of the calling thread.
#[cfg(target_os = "linux")]
pub(crate) fn step_back() {
    // On Linux a thread's niceness is its own. One that keeps its priority is no harm.
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

/// Elsewhere a process has one niceness.
#[cfg(not(target_os = "linux"))]
pub(crate) const fn step_back() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        // Adding nothing tells it.
        rustix::process::nice(0).expect("this thread's niceness")
    }

    #[tokio::test]
    async fn the_others_keep_their_priority() {
        let before = niceness();
        let background = Background::start().unwrap();
        let handle = background.handle().unwrap();
        let there = handle.spawn(async { niceness() }).await.unwrap();
        assert_eq!(there, (before + NICENESS).min(19));
        let blocking = handle.spawn_blocking(niceness).await.unwrap();
        assert_eq!(blocking, there);
        assert_eq!(niceness(), before);
    }
}
