//! Annotations of the account and its mailboxes (RFC 5464): one document for each that has any.
//!
//! A document has every name that was ever set, each with a stamp, so devices that set different
//! ones, or the same one, merge without conflict; what was removed stays as a name without a
//! value. On the device a row says what is there and when it changed, without the values: those
//! are read from the document when asked for. Invariant: `/private/specialuse` of a mailbox *is*
//! its role (RFC 6154 4): once set, it has the last word over the role that the mailbox was made
//! with. Rejected: annotations in the mailbox's document; a flag of the mailbox would rewrite
//! all values, and the account's have no mailbox.

use std::collections::BTreeMap;
use std::collections::btree_map;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::change::Change;
use super::changes::ChangedAnnotation;
use super::document::{Document, Lww, Stamp, annotations_doc_id};
use super::view::View;
use super::{Replica, ReplicaError, encode_row};
use crate::id::{MailboxId, MailboxName, ModSeq, Timestamp};
use crate::model::{
    AnnotationName, AnnotationOwner, MAX_ANNOTATION_NAMES, MAX_ANNOTATION_OCTETS, MAX_ANNOTATIONS,
    MAX_ANNOTATIONS_OCTETS, Role,
};
use crate::seal::Collection;
use crate::store::{Store, Table};

/// Rows of the Meta table that say what is there.
pub(super) const ANNOTATIONS_PREFIX: &[u8] = b"annotations ";
/// How to reach who runs the server: nobody's to set (RFC 5464 3.2.1.1).
const ADMIN: &str = "/shared/admin";

/// What is noted of the account or of a mailbox, mergeable.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnotationsDocument {
    /// Whose.
    pub owner: AnnotationOwner,
    /// Every name that was ever set, and its value, if it was not removed.
    pub entries: BTreeMap<AnnotationName, Lww<Option<ByteBuf>>>,
}

/// Annotations are content: `Debug` shows how many there are.
impl core::fmt::Debug for AnnotationsDocument {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "AnnotationsDocument({} names)", self.entries.len())
    }
}

impl AnnotationsDocument {
    const fn new(owner: AnnotationOwner) -> Self {
        Self {
            owner,
            entries: BTreeMap::new(),
        }
    }

    /// The latest stamp in it.
    pub fn latest_stamp(&self) -> Stamp {
        let stamps = self.entries.values().map(|entry| entry.stamp);
        stamps.max().unwrap_or(Stamp::OLDEST)
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (name, theirs) in other.entries {
            match self.entries.entry(name) {
                btree_map::Entry::Vacant(free) => {
                    free.insert(theirs);
                }
                btree_map::Entry::Occupied(mut ours) => ours.get_mut().merge(theirs),
            }
        }
    }

    fn values(&self) -> impl Iterator<Item = (&AnnotationName, &[u8])> {
        let entries = self.entries.iter();
        entries.filter_map(|(name, entry)| Some((name, &entry.value.as_ref()?[..])))
    }

    /// What the mailbox is for, if that was ever said here.
    fn role(&self) -> Option<GivenRole> {
        let entry = self.entries.get(&AnnotationName::special_use())?;
        let value = entry.value.as_deref();
        Some(GivenRole(value.and_then(|octets| role_of(octets))))
    }

    /// Whether it keeps within the limits; `others` are the octets of all others.
    fn is_within_limits(&self, others: u64) -> bool {
        let octets = self.values().fold(others, |sum, (_, value)| {
            sum.saturating_add(u64::try_from(value.len()).unwrap_or(u64::MAX))
        });
        self.values().count() <= MAX_ANNOTATIONS
            && self.entries.len() <= MAX_ANNOTATION_NAMES
            && octets <= MAX_ANNOTATIONS_OCTETS
    }
}

fn role_of(value: &[u8]) -> Option<Role> {
    Role::of_attribute(core::str::from_utf8(value).ok()?.trim())
}

/// What this device knows of annotations without opening their document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AnnotationsRow {
    pub(crate) owner: AnnotationOwner,
    entries: BTreeMap<AnnotationName, EntryRow>,
    pub(crate) role: Option<GivenRole>,
}

/// A role, or that there is none, as an annotation says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GivenRole(pub(crate) Option<Role>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct EntryRow {
    stamp: Stamp,
    /// How long the value is, if there is one.
    octets: Option<u32>,
    changed: ModSeq,
}

impl EntryRow {
    fn of(entry: &Lww<Option<ByteBuf>>, changed: ModSeq) -> Self {
        let octets = entry.value.as_ref().map(|value| value.len());
        Self {
            stamp: entry.stamp,
            octets: octets.map(|octets| u32::try_from(octets).unwrap_or(u32::MAX)),
            changed,
        }
    }
}

impl AnnotationsRow {
    fn octets(&self) -> u64 {
        let entries = self.entries.values();
        entries.fold(0, |sum, entry| {
            sum.saturating_add(u64::from(entry.octets.unwrap_or(0)))
        })
    }

    fn key(owner: AnnotationOwner) -> Vec<u8> {
        match owner {
            AnnotationOwner::Account => ANNOTATIONS_PREFIX.to_vec(),
            AnnotationOwner::Mailbox(id) => [ANNOTATIONS_PREFIX, id.as_bytes()].concat(),
        }
    }
}

impl View {
    /// What was set or removed after `state`, of the account and of the mailboxes that are there.
    pub(super) fn annotations_since(&self, state: ModSeq) -> Vec<ChangedAnnotation> {
        let known = self.annotations.values().filter(|row| match row.owner {
            AnnotationOwner::Account => true,
            AnnotationOwner::Mailbox(id) => self.mailboxes.contains_key(&id),
        });
        known
            .flat_map(|row| {
                let changed = row.entries.iter().filter(move |(_, e)| e.changed > state);
                changed.map(|(name, entry)| ChangedAnnotation {
                    owner: row.owner,
                    name: name.clone(),
                    mod_seq: entry.changed,
                })
            })
            .collect()
    }
}

impl<S: Store> Replica<S> {
    /// The annotations of the account or of a mailbox (RFC 5464 4.2). What a mailbox is for is
    /// among them.
    pub async fn annotations(
        &self,
        owner: AnnotationOwner,
    ) -> Result<BTreeMap<AnnotationName, Vec<u8>>, ReplicaError> {
        let mut special_use = None;
        let noted = {
            let view = self.view();
            if let AnnotationOwner::Mailbox(id) = owner {
                let mailbox = view.mailboxes.get(&id);
                let mailbox = mailbox.filter(|state| !state.row.document.deleted);
                special_use = match (mailbox, view.virtual_by_id(id)) {
                    (Some(mailbox), _) => mailbox.role.map(Role::attribute),
                    (None, Some((which, _))) => Some(which.attribute()),
                    (None, None) => return Err(ReplicaError::NoSuchMailbox),
                };
            }
            view.annotations.contains_key(&owner)
        };
        let mut values = BTreeMap::new();
        if noted {
            let id = annotations_doc_id(&self.keys, owner);
            if let Some(Document::Annotations(document)) =
                self.document(Collection::Mail, id).await?
            {
                let all = document.values();
                values.extend(all.map(|(name, value)| (name.clone(), value.to_vec())));
            }
        }
        let name = AnnotationName::special_use();
        match special_use {
            Some(attribute) => values.insert(name, attribute.as_bytes().to_vec()),
            None => values.remove(&name),
        };
        Ok(values)
    }

    /// What was set or removed after `state`; nothing of it is ever forgotten.
    pub fn annotations_since(&self, state: ModSeq) -> Vec<ChangedAnnotation> {
        self.view().annotations_since(state)
    }

    /// Sets annotations, and removes those without a value, all or none (RFC 5464 4.3). Returns
    /// the mod-sequence of the change, if it was one.
    pub async fn set_annotations(
        &self,
        owner: AnnotationOwner,
        entries: Vec<(AnnotationName, Option<Vec<u8>>)>,
        now: Timestamp,
    ) -> Result<Option<ModSeq>, ReplicaError> {
        let mut change = self.begin(now).await;
        if let AnnotationOwner::Mailbox(id) = owner {
            change.live_mailbox(id)?;
        }
        let mut document = change.annotations(owner).await?;
        let before = document.clone();
        let stamp = change.stamp();
        let mut grows = false;
        for (name, value) in entries {
            self.judge_annotation(owner, &name, value.as_deref())?;
            let field = document.entries.get(&name);
            let is_there = match field {
                Some(field) => field.value.as_ref().map(|v| &v[..]) == value.as_deref(),
                // Of what a mailbox is for the first word is its document's.
                None => value.is_none() && name != AnnotationName::special_use(),
            };
            if !is_there {
                grows |= value.is_some();
                let value = value.map(ByteBuf::from);
                document.entries.insert(name, Lww::new(value, stamp));
            }
        }
        if document == before {
            return Ok(None);
        }
        // Something can always be removed, also if devices have together passed a limit.
        if grows && !document.is_within_limits(self.other_octets(owner)) {
            return Err(ReplicaError::TooManyAnnotations);
        }
        let mod_seq = change.mod_seq()?;
        change.put_annotations(document).await?;
        change.commit().await?;
        Ok(Some(mod_seq))
    }

    /// Whether an annotation can have this value.
    fn judge_annotation(
        &self,
        owner: AnnotationOwner,
        name: &AnnotationName,
        value: Option<&[u8]>,
    ) -> Result<(), ReplicaError> {
        if !name.can_have_value() || name.as_str() == ADMIN {
            return Err(ReplicaError::AnnotationFixed);
        }
        if value.is_some_and(|value| value.len() > MAX_ANNOTATION_OCTETS) {
            return Err(ReplicaError::AnnotationTooLong);
        }
        if *name != AnnotationName::special_use() {
            return Ok(());
        }
        let AnnotationOwner::Mailbox(id) = owner else {
            return Err(ReplicaError::AnnotationFixed);
        };
        let Some(value) = value else {
            return Ok(());
        };
        // What INBOX is for its name says.
        if id == self.keys.mailbox_id(MailboxName::inbox().as_str()) {
            return Err(ReplicaError::RoleNotPossible);
        }
        let role = role_of(value).ok_or(ReplicaError::RoleNotPossible)?;
        if self.has_role(role, Some(id)) {
            return Err(ReplicaError::RoleTaken);
        }
        Ok(())
    }

    /// How long all values but these are together.
    fn other_octets(&self, owner: AnnotationOwner) -> u64 {
        let view = self.view();
        let others = view.annotations.values().filter(|row| row.owner != owner);
        others.fold(0, |sum, row| sum.saturating_add(row.octets()))
    }

    /// Whether what is known of a document is what it says.
    pub(super) fn knows_annotations(&self, document: &AnnotationsDocument) -> bool {
        let view = self.view();
        if let AnnotationOwner::Mailbox(id) = document.owner {
            let mailbox = view.mailboxes.get(&id);
            if mailbox.is_some_and(|state| state.row.document.deleted) {
                return !view.annotations.contains_key(&document.owner);
            }
        }
        view.annotations.get(&document.owner).is_some_and(|row| {
            row.entries.len() == document.entries.len()
                && document.entries.iter().all(|(name, entry)| {
                    let known = row.entries.get(name);
                    known.is_some_and(|known| *known == EntryRow::of(entry, known.changed))
                })
                && row.role == document.role()
        })
    }
}

impl<S: Store> Change<'_, S> {
    /// The document, or an empty one.
    async fn annotations(
        &self,
        owner: AnnotationOwner,
    ) -> Result<AnnotationsDocument, ReplicaError> {
        let id = annotations_doc_id(&self.replica.keys, owner);
        let Some(envelope) = self.envelope(Collection::Mail, id).await? else {
            return Ok(AnnotationsDocument::new(owner));
        };
        let Document::Annotations(document) = self.replica.open_document(id, &envelope)? else {
            return Err(ReplicaError::Row(Table::Documents.name()));
        };
        Ok(document)
    }

    async fn put_annotations(&mut self, document: AnnotationsDocument) -> Result<(), ReplicaError> {
        self.adopt_annotations(&document)?;
        self.write(&Document::Annotations(document)).await.map(drop)
    }

    /// Makes the row say what the document says. Of a mailbox that was deleted nothing is known.
    pub(super) fn adopt_annotations(
        &mut self,
        document: &AnnotationsDocument,
    ) -> Result<(), ReplicaError> {
        let owner = document.owner;
        if let AnnotationOwner::Mailbox(id) = owner
            && self.mailbox(id).is_some_and(|row| row.document.deleted)
        {
            self.drop_annotations(owner);
            return Ok(());
        }
        let before = self.annotations_row(owner);
        let mut entries = BTreeMap::new();
        for (name, field) in &document.entries {
            let known = before.as_ref().and_then(|row| row.entries.get(name));
            let row = match known {
                Some(known) if known.stamp == field.stamp => *known,
                Some(_) | None => EntryRow::of(field, self.mod_seq()?),
            };
            entries.insert(name.clone(), row);
        }
        let role = document.role();
        if role != before.and_then(|row| row.role)
            && let AnnotationOwner::Mailbox(id) = owner
        {
            let mod_seq = self.mod_seq()?;
            if let Some(mailbox) = self.edit_mailbox(id) {
                mailbox.changed = mod_seq;
            }
        }
        let row = AnnotationsRow {
            owner,
            entries,
            role,
        };
        self.batch
            .put(Table::Meta, AnnotationsRow::key(owner), encode_row(&row));
        self.delta.annotations.insert(owner, Some(row));
        Ok(())
    }

    fn annotations_row(&self, owner: AnnotationOwner) -> Option<AnnotationsRow> {
        match self.delta.annotations.get(&owner) {
            Some(edited) => edited.clone(),
            None => self.replica.view().annotations.get(&owner).cloned(),
        }
    }

    /// Removes all values, for every device: their mailbox is deleted.
    pub(super) async fn remove_annotations(
        &mut self,
        owner: AnnotationOwner,
    ) -> Result<(), ReplicaError> {
        if self.annotations_row(owner).is_none() {
            return Ok(());
        }
        let mut document = self.annotations(owner).await?;
        let stamp = self.stamp();
        for entry in document.entries.values_mut() {
            if entry.value.is_some() {
                *entry = Lww::new(None, stamp);
            }
        }
        self.put_annotations(document).await
    }

    /// Forgets what is known, on this device.
    pub(super) fn drop_annotations(&mut self, owner: AnnotationOwner) {
        if self.annotations_row(owner).is_some() {
            self.batch.delete(Table::Meta, AnnotationsRow::key(owner));
            self.delta.annotations.insert(owner, None);
        }
    }

    /// Gives a mailbox the annotations of another: INBOX keeps its own when it is renamed
    /// (RFC 5464 4.1).
    pub(super) async fn copy_annotations(
        &mut self,
        from: MailboxId,
        to: MailboxId,
    ) -> Result<(), ReplicaError> {
        let source = AnnotationOwner::Mailbox(from);
        if self.annotations_row(source).is_none() {
            return Ok(());
        }
        let source = self.annotations(source).await?;
        let mut copy = AnnotationsDocument::new(AnnotationOwner::Mailbox(to));
        let stamp = self.stamp();
        for (name, value) in source.values() {
            let value = Some(ByteBuf::from(value));
            copy.entries.insert(name.clone(), Lww::new(value, stamp));
        }
        if copy.entries.is_empty() {
            return Ok(());
        }
        self.put_annotations(copy).await
    }
}
