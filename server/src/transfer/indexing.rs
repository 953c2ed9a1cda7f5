//! Brings the search index up to date with what was imported, so that the first search need not.
//!
//! Each step is durable: what is interrupted is gone on with by the next import, by `letterlock
//! reindex`, by the bridge while it has nothing else to do, or by a search. Rejected: indexing
//! between two batches of an import; the mail itself would be there later, and a person who stops
//! an import wants to have as much of it as there was time for.

use letterlock_core::account::{Account, IndexError};
use letterlock_core::store::Store;
use tokio_util::sync::CancellationToken;

use super::progress::{Done, Progress, Total};
use crate::clock::Clock;

/// Messages that are indexed in one step.
const INDEXED_AT_A_TIME: usize = 256;

/// What was indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Indexed {
    /// Messages taken in.
    pub messages: u64,
    /// Messages that still wait, because it was told to stop.
    pub left: u64,
}

/// Indexes all that waits; after `stop`, the step at hand is the last.
pub async fn index<S: Store>(
    account: &Account<S>,
    progress: &mut Progress,
    stop: &CancellationToken,
    clock: &Clock,
) -> Result<Indexed, IndexError> {
    let waiting = u64::try_from(account.waiting_for_index().await?).unwrap_or(u64::MAX);
    progress.set_total(Total::Indexed(waiting));
    let mut messages = 0_u64;
    while !stop.is_cancelled() {
        let taken = account.index_step(INDEXED_AT_A_TIME).await?;
        let more = u64::try_from(taken.indexed).unwrap_or(u64::MAX);
        messages = messages.saturating_add(more);
        let done = Done {
            messages: more,
            octets: 0,
        };
        progress.advance(done, clock.now());
        if !taken.more {
            return Ok(Indexed { messages, left: 0 });
        }
    }
    let left = u64::try_from(account.waiting_for_index().await?).unwrap_or(u64::MAX);
    Ok(Indexed { messages, left })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use letterlock_core::id::{AccountId, Address, MailboxName, Timestamp};
    use letterlock_core::model::FlagSet;
    use letterlock_core::seal::{AccountKeys, RootKey};
    use letterlock_core::store::MemoryStore;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    #[tokio::test]
    async fn what_is_interrupted_is_gone_on_with() {
        let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::from_octets([2; 32]));
        let address = Address::new("ann@a.example").unwrap();
        let store = MemoryStore::default();
        let account = Account::open(store, address, keys, [3; 32], NOW)
            .await
            .unwrap();
        account.create_default_mailboxes(NOW).await.unwrap();
        let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
        for number in 0..600 {
            let raw = format!("Subject: number {number}\r\n\r\ntext\r\n");
            let flags = FlagSet::new();
            account
                .append(inbox, raw.as_bytes(), flags, NOW, NOW)
                .await
                .unwrap();
        }
        let mut progress = Progress::start(Total::Unknown, NOW);
        let stop = CancellationToken::new();
        // The clock is read after each step, and the first fills the queue of a new index: a
        // signal in the second.
        let (signal, read) = (stop.clone(), AtomicUsize::new(0));
        let clock = Clock::from_fn(move || {
            if read.fetch_add(1, Ordering::Relaxed) > 0 {
                signal.cancel();
            }
            NOW
        });
        let first = index(&account, &mut progress, &stop, &clock).await.unwrap();
        assert!(first.messages > 0 && first.left > 0);
        assert_eq!(first.messages + first.left, 600);
        let go_on = CancellationToken::new();
        let rest = index(&account, &mut progress, &go_on, &clock)
            .await
            .unwrap();
        let expected = Indexed {
            messages: first.left,
            left: 0,
        };
        assert_eq!(rest, expected);
        assert_eq!(account.waiting_for_index().await.unwrap(), 0);
        account.rebuild_index().await.unwrap();
        assert_eq!(account.waiting_for_index().await.unwrap(), 600);
    }
}
