//! The end of a process: every task is known, told to stop, and waited for.
//!
//! Invariant: no task is spawned anywhere but here, so none outlives the stores it writes to.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::background::Background;

/// How long [`Shutdown::finish`] waits for tasks unless told otherwise.
pub const GRACE: Duration = Duration::from_secs(4);

/// Tasks of a process and the word that ends them. Clones speak of the same tasks.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled when the process shall end; long tasks `select!` on it.
    pub token: CancellationToken,
    /// All tasks.
    pub tracker: TaskTracker,
    /// `None` where its threads did not start.
    background: Arc<OnceLock<Option<Background>>>,
}

impl Shutdown {
    /// With no task yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a task that [`Shutdown::finish`] waits for. It must end soon after the token is
    /// cancelled.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(task)
    }

    /// The same for one that nobody waits for, on threads of a lower priority.
    pub fn spawn_behind<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let background = self.background.get_or_init(|| {
            Background::start()
                .inspect_err(|error| tracing::warn!(%error, "all threads have one priority"))
                .ok()
        });
        match background.as_ref().and_then(Background::handle) {
            Some(handle) => self.tracker.spawn_on(task, handle),
            None => self.spawn(task),
        }
    }

    /// Tells every task to end.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Tells every task to end and waits, at most `grace`. False if some task still runs.
    pub async fn finish(&self, grace: Duration) -> bool {
        self.begin();
        self.tracker.close();
        tokio::time::timeout(grace, self.tracker.wait())
            .await
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_are_told_and_waited_for() {
        let shutdown = Shutdown::new();
        let token = shutdown.token.clone();
        let task = shutdown.spawn(async move {
            token.cancelled().await;
            7
        });
        assert!(shutdown.finish(GRACE).await);
        assert_eq!(task.await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_task_that_does_not_end_is_reported() {
        let shutdown = Shutdown::new();
        let task = shutdown.spawn(std::future::pending::<()>());
        assert!(!shutdown.finish(Duration::from_millis(5)).await);
        task.abort();
    }
}
