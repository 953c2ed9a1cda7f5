//! Many messages are read and opened on several processors at once.
//!
//! Invariant: what comes back is in the order of what was asked for; who goes away ends the work.
//! Rejected: reading more than a step ahead of a slow client; what is opened is held until it takes it.

use std::sync::Arc;

use letterlock_core::account::Account;
use letterlock_core::store::Store;
use tokio::task::JoinSet;

use super::OpError;

/// How many work at the same time for one command.
const LANES: usize = 2;
/// Fewer than this are not worth a second one.
const WORTH_SHARING: usize = 4;

/// Does some work on all of `wanted`, in parts.
pub(super) async fn load<S, T, U, F>(
    account: &Arc<Account<S>>,
    mut wanted: Vec<T>,
    work: impl Fn(Arc<Account<S>>, Vec<T>) -> F,
) -> Result<Vec<U>, OpError>
where
    S: Store,
    T: Send + 'static,
    U: Send + 'static,
    F: Future<Output = Result<Vec<U>, OpError>> + Send + 'static,
{
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    if wanted.len() < WORTH_SHARING {
        return work(Arc::clone(account), wanted).await;
    }
    let part = wanted.len().div_ceil(LANES);
    let mut lanes = JoinSet::new();
    let mut nth = 0_usize;
    while !wanted.is_empty() {
        let rest = wanted.split_off(part.min(wanted.len()));
        let lane = work(Arc::clone(account), std::mem::replace(&mut wanted, rest));
        lanes.spawn(async move { (nth, lane.await) });
        nth = nth.saturating_add(1);
    }
    let mut parts = Vec::with_capacity(nth);
    while let Some(done) = lanes.join_next().await {
        let (nth, done) = done.map_err(|_| OpError::Interrupted)?;
        parts.push((nth, done?));
    }
    parts.sort_by_key(|(nth, _)| *nth);
    Ok(parts.into_iter().flat_map(|(_, part)| part).collect())
}
