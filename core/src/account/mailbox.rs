//! One mailbox of an account: what is in it, and what can be done with it.

use super::{Account, Message};
use crate::id::{MailboxId, MailboxName, Timestamp, Uid};
use crate::model::{FlagChange, FlagSet, Role};
use crate::replica::{Appended, Copied, MailboxStatus, Placement, ReplicaError, Usage};
use crate::store::Store;

/// A mailbox, by its id: it stays the same when the mailbox is renamed. It may be deleted at any
/// time, here or on another device; reading it is then reading an empty one, and writing to it
/// says [`ReplicaError::NoSuchMailbox`].
///
/// # Examples
/// ```
/// # use letterlock_core::account::Account;
/// # use letterlock_core::id::{AccountId, Address, MailboxName, Timestamp};
/// # use letterlock_core::seal::{AccountKeys, RootKey};
/// # use letterlock_core::store::MemoryStore;
/// use letterlock_core::model::{Flag, FlagChange, FlagSet};
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = AccountKeys::derive(AccountId::new([7; 16]), 1, &RootKey::from_octets([7; 32]));
/// # let address = Address::new("alice@letterlock.example")?;
/// # let now = Timestamp::from_secs(1_800_000_000);
/// # let account = Account::open(MemoryStore::new(), address, keys, [7; 32], now).await?;
/// let garden = account.make_mailbox(&MailboxName::new("Garden")?, now).await?;
/// let raw = b"From: bob@example.org\r\nSubject: Beans\r\n\r\nThey grow.\r\n";
/// let placed = garden.append(raw, FlagSet::new(), now, now).await?;
///
/// let seen: FlagSet = [Flag::Seen].into_iter().collect();
/// garden.store_flags(&[placed.uid], FlagChange::Add, &seen, now).await?;
/// assert_eq!(garden.status().map(|status| status.unseen), Some(0));
///
/// // A copy is one small document; the message is stored once.
/// let inbox = account.inbox();
/// garden.copy(&[placed.uid], &inbox, now).await?;
/// let message = garden.message(placed.uid).await?.ok_or("it is there")?;
/// assert_eq!(message.placements().len(), 2);
/// assert_eq!(account.usage().messages, 1);
/// assert_eq!(message.raw().await?, raw);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
/// ```
pub struct Mailbox<'a, S> {
    account: &'a Account<S>,
    id: MailboxId,
}

impl<S> Clone for Mailbox<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Mailbox<'_, S> {}

impl<'a, S: Store> Mailbox<'a, S> {
    pub(super) const fn new(account: &'a Account<S>, id: MailboxId) -> Self {
        Self { account, id }
    }

    /// Its id.
    pub const fn id(&self) -> MailboxId {
        self.id
    }

    /// Name, role and counts as of now; `None` if it was deleted.
    pub fn status(&self) -> Option<MailboxStatus> {
        self.account.mailbox_by_id(self.id)
    }

    /// The messages in it, by ascending UID.
    pub fn messages(&self) -> Vec<Placement> {
        self.account.placements(self.id)
    }

    /// One of them: its flags and dates.
    pub fn placement(&self, uid: Uid) -> Option<Placement> {
        self.account.placement(self.id, uid)
    }

    /// One of them, to be read; `None` if it is not there, or what it is has not come to this
    /// device yet.
    pub async fn message(&self, uid: Uid) -> Result<Option<Message<'a, S>>, ReplicaError> {
        match self.placement(uid) {
            Some(placement) => self.account.message_by_id(placement.message).await,
            None => Ok(None),
        }
    }

    /// Stores a message, durably; broken ones are stored as they are.
    pub async fn append(
        &self,
        raw: &[u8],
        flags: FlagSet,
        internal_date: Timestamp,
        now: Timestamp,
    ) -> Result<Appended, ReplicaError> {
        let account = self.account;
        account
            .replica
            .append(self.id, raw, flags, internal_date, now)
            .await
    }

    /// Copies messages to another mailbox; UIDs that are not there are passed over.
    pub async fn copy(
        &self,
        uids: &[Uid],
        to: &Mailbox<'_, S>,
        now: Timestamp,
    ) -> Result<Copied, ReplicaError> {
        self.account.replica.copy(self.id, uids, to.id, now).await
    }

    /// Moves messages to another mailbox; UIDs that are not there are passed over.
    pub async fn move_to(
        &self,
        uids: &[Uid],
        to: &Mailbox<'_, S>,
        now: Timestamp,
    ) -> Result<Copied, ReplicaError> {
        let account = self.account;
        account
            .replica
            .move_messages(self.id, uids, to.id, now)
            .await
    }

    /// Changes flags and keywords; returns the messages that are different afterwards.
    pub async fn store_flags(
        &self,
        uids: &[Uid],
        how: FlagChange,
        flags: &FlagSet,
        now: Timestamp,
    ) -> Result<Vec<Placement>, ReplicaError> {
        let account = self.account;
        account
            .replica
            .store_flags(self.id, uids, how, flags, now)
            .await
    }

    /// Removes messages for good; returns those that were there.
    pub async fn expunge(&self, uids: &[Uid], now: Timestamp) -> Result<Vec<Uid>, ReplicaError> {
        self.account.replica.expunge(self.id, uids, now).await
    }
}

impl<S: Store> Account<S> {
    /// INBOX: every account has it.
    pub fn inbox(&self) -> Mailbox<'_, S> {
        let inbox = self.keys().mailbox_id(MailboxName::inbox().as_str());
        Mailbox::new(self, inbox)
    }

    /// Every mailbox, by name.
    pub fn all_mailboxes(&self) -> Vec<Mailbox<'_, S>> {
        let all = self.mailboxes().into_iter();
        all.map(|status| Mailbox::new(self, status.id)).collect()
    }

    /// The mailbox of this name.
    pub fn mailbox_named(&self, name: &MailboxName) -> Option<Mailbox<'_, S>> {
        self.mailbox(name)
            .map(|status| Mailbox::new(self, status.id))
    }

    /// The mailbox for a purpose; INBOX if there is none.
    pub fn mailbox_with_role(&self, role: Role) -> Option<Mailbox<'_, S>> {
        let found = self.replica.mailbox_for(role);
        found.map(|status| Mailbox::new(self, status.id))
    }

    /// What the mailboxes hold (RFC 9208 5.1: the resources MESSAGE and STORAGE). A message that is
    /// in several mailboxes counts once, as it is stored once.
    pub fn usage(&self) -> Usage {
        self.replica.usage()
    }

    /// Makes a mailbox, and those above it that are missing.
    pub async fn make_mailbox(
        &self,
        name: &MailboxName,
        now: Timestamp,
    ) -> Result<Mailbox<'_, S>, ReplicaError> {
        let id = self.create_mailbox(name, now).await?;
        Ok(Mailbox::new(self, id))
    }
}
