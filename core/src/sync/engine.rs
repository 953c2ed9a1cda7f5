//! Which exchange comes next, and what an answer does.
//!
//! Two conversations run side by side, and the replica's writer lock keeps them apart: one pulls
//! (and may wait for news), one pushes whenever something waits. Neither needs the other's state,
//! so a shell may drop an exchange at any moment and start it again.
//!
//! ```text
//! loop: pull_request -> provider -> handle_pull      (then the account takes incoming mail in)
//!                       provider -> handle_news      (the same, without a question)
//! loop: next_push    -> provider -> handle_push      (until nothing waits)
//! ```

use crate::id::{Generation, Timestamp};
use crate::manifest::ManifestAlarm;
use crate::replica::{Anew, PendingPush, Replica, ReplicaError};
use crate::seal::Collection;
use crate::store::Store;
use crate::sync::wire::{Entry, News, PullRequest, PullResponse, PushResponse};

/// The code with which the provider refuses a push whose documents follow revisions that it does
/// not have ([`crate::sync::wire::ErrorBody`]).
pub const REVISION_GAP: &str = "revision_gap";

/// The code with which the provider refuses a push of documents that are sealed under the keys of an
/// earlier epoch than that of the account's list of devices.
pub const OLD_KEYS: &str = "old_keys";

/// How much of an account a device keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Everything, as a bridge does.
    Everything,
    /// All but the contents of messages, which are fetched when they are wanted, as a browser does. Of
    /// contents that were removed it hears all the same: it may have what is to be brought again.
    WithoutContents,
}

/// Whether a conversation has more to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Ask again at once.
    Again,
    /// Nothing is left to do.
    Idle,
}

/// The next pull.
pub async fn pull_request<S: Store>(
    replica: &Replica<S>,
    extent: Extent,
    wait_ms: u32,
) -> Result<PullRequest, ReplicaError> {
    let contents = replica.keys().collection_id(Collection::Contents);
    let (collections, rewritten) = match extent {
        Extent::Everything => (Vec::new(), Vec::new()),
        Extent::WithoutContents => {
            let all = Collection::ALL.into_iter();
            let all = all.map(|collection| replica.keys().collection_id(collection));
            (all.filter(|one| *one != contents).collect(), vec![contents])
        }
    };
    let mut request = replica.pull_request(collections, wait_ms).await?;
    request.rewritten = rewritten;
    Ok(request)
}

/// Asks a device that has nothing yet for what a mailbox shows first: where messages are, and not yet
/// what they are. The log is heard from its beginning after that, whatever this brought.
pub fn first_look<S: Store>(replica: &Replica<S>, since: Generation) -> PullRequest {
    PullRequest {
        since,
        collections: vec![replica.keys().collection_id(Collection::Mail)],
        rewritten: Vec::new(),
        wait_ms: 0,
    }
}

/// Takes in the answer; from where to ask on.
pub async fn handle_first_look<S: Store>(
    replica: &Replica<S>,
    response: PullResponse,
    now: Timestamp,
) -> Result<Option<Generation>, ReplicaError> {
    let documents = response
        .entries
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Document { envelope } => Some(envelope),
            Entry::Incoming { .. } | Entry::IncomingRemoved { .. } => None,
        });
    replica.take_documents(documents.collect(), now).await?;
    Ok(response.more.then_some(response.until))
}

/// Takes in the answer to a pull of everything after `since`.
pub async fn handle_pull<S: Store>(
    replica: &Replica<S>,
    since: Generation,
    response: PullResponse,
    now: Timestamp,
) -> Result<Next, ReplicaError> {
    if replica.pulled() != since {
        // The answer to an older question: the next one brings what is in it.
        return Ok(Next::Again);
    }
    if response.until < since {
        let found = ManifestAlarm::SetBack {
            heard: since,
            shown: response.until,
        };
        replica.begin_anew(Anew::Found(found), now).await?;
        return Ok(Next::Again);
    }
    let next = if response.more {
        Next::Again
    } else {
        Next::Idle
    };
    match replica.hear(since, response, now).await? {
        Some(anew) if replica.begin_anew(anew, now).await? => Ok(Next::Again),
        _ => Ok(next),
    }
}

/// Takes in what the provider has pushed. What comes late, or leaves something out, is asked for.
pub async fn handle_news<S: Store>(
    replica: &Replica<S>,
    news: News,
    now: Timestamp,
) -> Result<Next, ReplicaError> {
    let News { since, changes } = news;
    let heard = replica.pulled();
    if since < heard && (since..=heard).contains(&changes.until) && !changes.more {
        // A pull was faster.
        return Ok(Next::Idle);
    }
    // It may have been on its way before the last question, whose answer says more.
    replica.forget_question();
    handle_pull(replica, since, changes, now).await
}

/// The next push; `None` if nothing waits.
pub async fn next_push<S: Store>(
    replica: &Replica<S>,
) -> Result<Option<PendingPush>, ReplicaError> {
    replica.pending_push().await
}

/// Takes in the answer to a push. After a conflict the documents are merged and wait again.
pub async fn handle_push<S: Store>(
    replica: &Replica<S>,
    push: &PendingPush,
    response: PushResponse,
    now: Timestamp,
) -> Result<(), ReplicaError> {
    match response {
        PushResponse::Accepted { generation } => {
            replica.pushed_by(push, Some(generation), now).await
        }
        PushResponse::Conflict { current } => {
            if let Some(anew) = replica.take_conflict(push, current, now).await? {
                replica.begin_anew(anew, now).await?;
            }
            Ok(())
        }
    }
}

/// Takes in that the provider refused a push with the code [`REVISION_GAP`]: it has lost
/// documents that it had. They wait again as new ones.
pub async fn handle_gap<S: Store>(
    replica: &Replica<S>,
    push: &PendingPush,
    now: Timestamp,
) -> Result<(), ReplicaError> {
    replica.lost_before(push, now).await
}

/// Takes in that the provider refused a push with the code [`OLD_KEYS`]: what waits is sealed again.
/// False if the newest keys that are known here were used already: the list of devices has newer ones.
pub async fn handle_old_keys<S: Store>(
    replica: &Replica<S>,
    push: &PendingPush,
    now: Timestamp,
) -> Result<bool, ReplicaError> {
    replica.seal_again(push, now).await
}
