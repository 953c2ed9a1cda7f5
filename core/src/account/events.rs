//! What happens in an account, one thing after the other.

use std::collections::VecDeque;

use super::Account;
use crate::id::{MailboxId, ModSeq};
use crate::model::{AnnotationName, AnnotationOwner};
use crate::replica::{Changes, Placement, ReplicaError, Subscription, Vanished};
use crate::store::Store;

/// Something that happened, here or on another device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A mailbox was made, renamed, subscribed or deleted.
    Mailbox(MailboxId),
    /// An annotation was set or removed.
    Annotation(AnnotationOwner, AnnotationName),
    /// A message came into a mailbox.
    Placed(MailboxId, Placement),
    /// A message's flags changed.
    Flags(MailboxId, Placement),
    /// A message left a mailbox.
    Vanished(Vanished),
    /// More happened than is remembered: what is shown has to be read anew.
    Everything,
}

/// The events of an account from a moment on. None is lost: what happened is asked of the
/// account's state, not collected on the way. Several changes of one thing may be one event.
///
/// # Examples
/// ```
/// # use letterlock_core::account::{Account, Event};
/// # use letterlock_core::id::{AccountId, Address, Timestamp};
/// # use letterlock_core::model::FlagSet;
/// # use letterlock_core::seal::{AccountKeys, RootKey};
/// # use letterlock_core::store::MemoryStore;
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = AccountKeys::derive(AccountId::new([7; 16]), 1, &RootKey::from_octets([7; 32]));
/// # let address = Address::new("alice@letterlock.example")?;
/// # let now = Timestamp::from_secs(1_800_000_000);
/// # let account = Account::open(MemoryStore::new(), address, keys, [7; 32], now).await?;
/// let mut events = account.events(account.mod_seq());
/// account.inbox().append(b"Subject: hi\r\n\r\n", FlagSet::new(), now, now).await?;
/// match events.next().await? {
///     Event::Placed(mailbox, _) => assert_eq!(mailbox, account.inbox().id()),
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
/// ```
pub struct Events<'a, S> {
    account: &'a Account<S>,
    subscription: Subscription,
    state: ModSeq,
    waiting: VecDeque<Event>,
}

impl<S: Store> Account<S> {
    /// What happens after `state`, a [`mod_seq`](crate::replica::Replica::mod_seq) of before:
    /// first what has happened since then.
    pub fn events(&self, state: ModSeq) -> Events<'_, S> {
        Events {
            account: self,
            // Before the first question, so that nothing falls between.
            subscription: self.subscribe(),
            state,
            waiting: VecDeque::new(),
        }
    }
}

impl<S: Store> Events<'_, S> {
    /// Everything up to here has been told, once [`Events::next`] has given all that waits.
    pub const fn state(&self) -> ModSeq {
        self.state
    }

    /// Waits for the next event. Cancel-safe.
    pub async fn next(&mut self) -> Result<Event, ReplicaError> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(event);
            }
            let now = self.account.mod_seq();
            if now > self.state {
                if let Some(changes) = self.account.changes_since(self.state).await? {
                    self.take(changes);
                } else {
                    self.state = now;
                    self.waiting.push_back(Event::Everything);
                }
            } else {
                self.subscription.changed().await;
            }
        }
    }

    /// Departures before arrivals, so that a message that moved is never in two places.
    fn take(&mut self, changes: Changes) {
        self.state = changes.state;
        let annotations = changes.annotations.into_iter();
        let annotations = annotations.map(|changed| Event::Annotation(changed.owner, changed.name));
        let vanished = changes.vanished.into_iter().map(Event::Vanished);
        let mailboxes = changes.mailboxes.into_iter().map(Event::Mailbox);
        let created = changes
            .created
            .into_iter()
            .map(|(m, p)| Event::Placed(m, p));
        let updated = changes.updated.into_iter().map(|(m, p)| Event::Flags(m, p));
        let mailboxes = mailboxes.chain(annotations);
        let all = mailboxes.chain(vanished).chain(created).chain(updated);
        self.waiting.extend(all);
    }
}
