//! Making, renaming, deleting and subscribing mailboxes (RFC 9051 6.3.4 to 6.3.8).

use std::collections::{BTreeMap, BTreeSet};

use super::change::Change;
use super::document::{Document, Lww, MailboxDocument, Stamp};
use super::view::MailboxRow;
use super::{MailboxStatus, Replica, ReplicaError};
use crate::id::{HIERARCHY_SEPARATOR, MailboxId, MailboxName, Timestamp, Uid};
use crate::model::{AnnotationOwner, Role};
use crate::store::Store;

impl<S: Store> Replica<S> {
    /// Makes the mailboxes that every account has, if they were never made: INBOX and one for
    /// each role. Their ids are the same on every device, so devices that do so apart agree.
    pub async fn create_default_mailboxes(&self, now: Timestamp) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        let inbox = (MailboxName::inbox(), None);
        let roles = Role::ALL.into_iter().filter_map(|role| {
            MailboxName::new(role.default_name())
                .ok()
                .map(|name| (name, Some(role)))
        });
        for (name, role) in [inbox].into_iter().chain(roles) {
            let id = self.keys.mailbox_id(name.as_str());
            if change.mailbox(id).is_none() {
                // The oldest of all stamps: what any device did to the mailbox stands.
                change.create(id, name, role, Stamp::OLDEST).await?;
            }
        }
        change.commit().await
    }

    /// Makes a mailbox, and those above it that are missing.
    pub async fn create_mailbox(
        &self,
        name: &MailboxName,
        now: Timestamp,
    ) -> Result<MailboxId, ReplicaError> {
        let mut change = self.begin(now).await;
        if change.is_taken(name) {
            return Err(ReplicaError::MailboxExists);
        }
        let id = change.create_with_parents(name).await?;
        change.commit().await?;
        Ok(id)
    }

    /// Makes a mailbox for a role that no other mailbox has, and those above it that are missing
    /// (RFC 6154 3).
    pub async fn create_mailbox_for(
        &self,
        name: &MailboxName,
        role: Role,
        now: Timestamp,
    ) -> Result<MailboxId, ReplicaError> {
        let mut change = self.begin(now).await;
        if change.is_taken(name) {
            return Err(ReplicaError::MailboxExists);
        }
        if self.has_role(role, None) {
            return Err(ReplicaError::RoleTaken);
        }
        if let Some(parent) = name.parent()
            && change.id_of(&parent).is_none()
        {
            change.must_not_be_virtual(&parent)?;
            change.create_with_parents(&parent).await?;
        }
        // A random id: the role that a document begins with never changes, so two devices must not make one document of two.
        let id = MailboxId::new(change.random());
        let stamp = change.stamp();
        change.create(id, name.clone(), Some(role), stamp).await?;
        change.commit().await?;
        Ok(id)
    }

    /// Renames a mailbox and those below it. Renaming INBOX moves its messages into a new
    /// mailbox and leaves INBOX empty (RFC 9051 6.3.6).
    pub async fn rename_mailbox(
        &self,
        from: &MailboxName,
        to: &MailboxName,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        change.must_not_be_virtual(from)?;
        let id = change.id_of(from).ok_or(ReplicaError::NoSuchMailbox)?;
        if change.is_taken(to) {
            return Err(ReplicaError::MailboxExists);
        }
        if let Some(parent) = to.parent()
            && change.id_of(&parent).is_none()
        {
            change.must_not_be_virtual(&parent)?;
            change.create_with_parents(&parent).await?;
        }
        if from.is_inbox() {
            let target = change.create_fresh(to.clone()).await?;
            change.move_all(id, target).await?;
            change.copy_annotations(id, target).await?;
        } else {
            change.rename_tree(from, to).await?;
        }
        change.commit().await
    }

    /// Deletes a mailbox and all messages in it; those below it stay.
    pub async fn delete_mailbox(
        &self,
        name: &MailboxName,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        if name.is_inbox() {
            return Err(ReplicaError::Inbox);
        }
        let mut change = self.begin(now).await;
        change.must_not_be_virtual(name)?;
        let id = change.id_of(name).ok_or(ReplicaError::NoSuchMailbox)?;
        for uid in change.uids(id) {
            change.delete_placement(id, uid).await?;
        }
        let mut row = change.live_mailbox(id)?;
        row.document.deleted = true;
        change
            .write(&Document::Mailbox(row.document.clone()))
            .await?;
        change.put_mailbox(row);
        let owner = AnnotationOwner::Mailbox(id);
        change.remove_annotations(owner).await?;
        change.commit().await
    }

    /// Subscribes to a mailbox or ends it.
    pub async fn set_subscribed(
        &self,
        name: &MailboxName,
        subscribed: bool,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        if change.subscribe_virtual(name, subscribed)? {
            return change.commit().await;
        }
        let id = change.id_of(name).ok_or(ReplicaError::NoSuchMailbox)?;
        let mut row = change.live_mailbox(id)?;
        if row.document.subscribed.value != subscribed {
            row.document.subscribed = Lww::new(subscribed, change.stamp());
            change
                .write(&Document::Mailbox(row.document.clone()))
                .await?;
            change.put_mailbox(row);
        }
        change.commit().await
    }

    /// The mailbox of a role; INBOX if there is none.
    pub fn mailbox_for(&self, role: Role) -> Option<MailboxStatus> {
        let view = self.view();
        let by_role = view.live().find(|state| state.role == Some(role));
        let found = by_role.or_else(|| view.by_name(&MailboxName::inbox()));
        found.map(MailboxStatus::from)
    }

    /// Whether a mailbox, other than this one, has a role.
    pub(super) fn has_role(&self, role: Role, except: Option<MailboxId>) -> bool {
        let view = self.view();
        view.live()
            .any(|state| state.role == Some(role) && Some(state.row.document.id) != except)
    }

    pub(super) fn uids(&self, mailbox: MailboxId) -> Vec<Uid> {
        let view = self.view();
        let state = view.mailboxes.get(&mailbox);
        state
            .into_iter()
            .flat_map(|state| state.roster.iter().map(|entry| entry.uid()))
            .collect()
    }
}

impl<S: Store> Change<'_, S> {
    /// The live mailbox of this name, with this change's edits.
    pub(super) fn id_of(&self, name: &MailboxName) -> Option<MailboxId> {
        let rows = self.all_mailboxes();
        let found = rows
            .values()
            .find(|row| !row.document.deleted && row.name == *name);
        found.map(|row| row.document.id)
    }

    /// Whether a mailbox, virtual or not, has this name.
    fn is_taken(&self, name: &MailboxName) -> bool {
        self.id_of(name).is_some() || self.must_not_be_virtual(name).is_err()
    }

    /// Gives every live mailbox a name of its own: where several have one, the one with the
    /// lowest id keeps it and the others get a number. Every device comes to the same.
    pub(super) fn settle_names(&mut self) {
        let rows = self.all_mailboxes();
        let mut by_name: BTreeMap<MailboxName, Vec<MailboxRow>> = BTreeMap::new();
        for row in rows.into_values().filter(|row| !row.document.deleted) {
            by_name
                .entry(row.document.name.value.clone())
                .or_default()
                .push(row);
        }
        let taken: Vec<MailboxName> = by_name.keys().cloned().collect();
        for (name, rows) in by_name {
            for (index, mut row) in rows.into_iter().enumerate() {
                let shown = match index {
                    0 => Some(name.clone()),
                    n => (n.saturating_add(1)..)
                        .map_while(|n| MailboxName::new(&format!("{name} ({n})")).ok())
                        .find(|candidate| !taken.contains(candidate)),
                };
                let shown = shown.unwrap_or_else(|| name.clone());
                if row.name != shown {
                    row.name = shown;
                    self.put_mailbox(row);
                }
            }
        }
    }

    async fn create_with_parents(&mut self, name: &MailboxName) -> Result<MailboxId, ReplicaError> {
        let mut levels = Vec::new();
        let mut level = name.parent();
        while let Some(parent) = level {
            level = parent.parent();
            levels.push(parent);
        }
        for parent in levels.into_iter().rev() {
            self.must_not_be_virtual(&parent)?;
            if self.id_of(&parent).is_none() {
                self.create_fresh(parent).await?;
            }
        }
        self.create_fresh(name.clone()).await
    }

    /// Makes a mailbox under the id that its name gives, or a random one if that was ever used.
    async fn create_fresh(&mut self, name: MailboxName) -> Result<MailboxId, ReplicaError> {
        let derived = self.replica.keys.mailbox_id(name.as_str());
        let id = match self.mailbox(derived) {
            None => derived,
            Some(_) => MailboxId::new(self.random()),
        };
        let stamp = self.stamp();
        self.create(id, name, None, stamp).await?;
        Ok(id)
    }

    async fn create(
        &mut self,
        id: MailboxId,
        name: MailboxName,
        role: Option<Role>,
        stamp: Stamp,
    ) -> Result<(), ReplicaError> {
        let document = MailboxDocument {
            id,
            name: Lww::new(name, stamp),
            role,
            subscribed: Lww::new(true, stamp),
            deleted: false,
        };
        self.write(&Document::Mailbox(document.clone())).await?;
        let row = self.new_mailbox(document)?;
        self.put_mailbox(row);
        Ok(())
    }

    async fn rename_tree(
        &mut self,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<(), ReplicaError> {
        let below = format!("{from}{HIERARCHY_SEPARATOR}");
        let mut moved = Vec::new();
        let mut stays = BTreeSet::new();
        let live = self.all_mailboxes().into_values();
        for row in live.filter(|row| !row.document.deleted) {
            let rest = match row.name.as_str().strip_prefix(&below) {
                Some(rest) => Some(format!("{HIERARCHY_SEPARATOR}{rest}")),
                None => (row.name == *from).then(String::new),
            };
            // A name below that grows too long keeps its old one rather than being lost.
            let renamed = rest.and_then(|rest| MailboxName::new(&format!("{to}{rest}")).ok());
            match renamed {
                Some(renamed) => moved.push((row, renamed)),
                None => drop(stays.insert(row.name)),
            }
        }
        // One below the new name may have been left when that was deleted.
        if moved.iter().any(|(_, renamed)| stays.contains(renamed)) {
            return Err(ReplicaError::MailboxExists);
        }
        let stamp = self.stamp();
        for (mut row, renamed) in moved {
            row.document.name = Lww::new(renamed.clone(), stamp);
            row.name = renamed;
            self.write(&Document::Mailbox(row.document.clone())).await?;
            self.put_mailbox(row);
        }
        Ok(())
    }

    async fn move_all(&mut self, from: MailboxId, to: MailboxId) -> Result<(), ReplicaError> {
        for uid in self.uids(from) {
            self.move_placement(from, uid, to).await?;
        }
        Ok(())
    }

    /// Makes the row of a mailbox whose document is still on its way: it was changed after what
    /// is in it, so it comes later in the provider's log. Nothing is written for others; the
    /// document takes this one's place, whatever it says.
    pub(super) fn expect_mailbox(&mut self, id: MailboxId) -> Result<(), ReplicaError> {
        let name = MailboxName::new(&format!("Mailbox {id}"));
        let name = name.map_err(|_| ReplicaError::NoSuchMailbox)?;
        let row = self.new_mailbox(MailboxDocument {
            id,
            name: Lww::new(name, Stamp::OLDEST),
            role: None,
            subscribed: Lww::new(true, Stamp::OLDEST),
            deleted: false,
        })?;
        self.put_mailbox(row);
        Ok(())
    }
}
