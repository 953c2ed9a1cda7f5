//! Proof that a replica is whole: every placement has its message, every message its octets, and
//! nothing is kept that nothing refers to.
//!
//! For tests, which end with it, and for users who ask. Invariant: it changes nothing that
//! is shown, and a report names ids, never content. Memory is a few octets for each document, and one message's
//! structure and four contents at a time.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Document, message_doc_id};
use super::page::PageDocument;
use super::pages::read_numbers;
use super::references::Referred;
use super::{Message, Replica, ReplicaError, decode_row};
use crate::id::{DocId, MailboxId, MessageHash, PlacementId, Uid};
use crate::mime::Span;
use crate::model::VirtualMailbox;
use crate::store::{Key, KeyRange, Store, Table};

/// Most findings in one report.
pub const MAX_FINDINGS: usize = 1000;
/// How many rows are read at a time.
const PAGE_ROWS: usize = 16;
/// How many contents are read at a time; each may have a mebioctet.
const PAGE_CONTENTS: usize = 4;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A message stands in a mailbox and is not on this device.
    #[error("message {message} of mailbox {mailbox}, UID {uid}, is not on this device")]
    MessageMissing {
        /// The mailbox.
        mailbox: MailboxId,
        /// Its UID there.
        uid: Uid,
        /// The message.
        message: MessageHash,
    },
    /// A message refers to a content that is not on this device.
    #[error("content {content} of message {message} is not on this device")]
    ContentMissing {
        /// The message.
        message: MessageHash,
        /// The content's document.
        content: DocId,
    },
    /// A document does not open.
    #[error("document {document} does not open")]
    Unreadable {
        /// Which.
        document: DocId,
    },
    /// A message put together is not what was stored.
    #[error("message {message} does not come out as it was stored")]
    WrongOctets {
        /// Which.
        message: MessageHash,
    },
    /// It is not counted right how many messages refer to a document.
    #[error("document {document} has {counted} references, and {stored} are noted")]
    WrongCount {
        /// Which.
        document: DocId,
        /// How many there are.
        counted: u32,
        /// How many are noted.
        stored: u32,
    },
    /// A document is referred to and not here and the replica does not know it, or the other way
    /// round.
    #[error("document {document} is noted as awaited and is not, or the other way round")]
    WrongAwaited {
        /// Which.
        document: DocId,
    },
    /// Nothing refers to a document, and the collector does not know of it.
    #[error("document {document} is not referred to and would stay forever")]
    Orphan {
        /// Which.
        document: DocId,
    },
    /// A UID is not below the mailbox's UIDNEXT (RFC 9051 2.3.1.1).
    #[error("UID {uid} of mailbox {mailbox} is not below its UIDNEXT")]
    UidNotBelowNext {
        /// The mailbox.
        mailbox: MailboxId,
        /// The UID.
        uid: Uid,
    },
    /// A mod-sequence is above what it must not exceed (RFC 7162 3.1.2).
    #[error("a mod-sequence in mailbox {mailbox} is above HIGHESTMODSEQ")]
    ModSeqTooHigh {
        /// The mailbox.
        mailbox: MailboxId,
    },
    /// A message stands in a mailbox, and its page does not say so.
    #[error("UID {uid} of mailbox {mailbox} was expunged or moved and stands there")]
    Expunged {
        /// The mailbox.
        mailbox: MailboxId,
        /// The UID.
        uid: Uid,
    },
    /// What is known of annotations is not what their document says.
    #[error("annotations of document {document} are not noted as they are")]
    WrongAnnotations {
        /// Which.
        document: DocId,
    },
    /// A virtual mailbox does not show what its placements say.
    #[error("virtual mailbox {} does not show what it should", .mailbox.default_name())]
    WrongVirtual {
        /// Which.
        mailbox: VirtualMailbox,
    },
    /// A page says that a message is in a mailbox, and it is not there.
    #[error("placement {placement} should stand in mailbox {mailbox} and does not")]
    NotPlaced {
        /// The mailbox.
        mailbox: MailboxId,
        /// The placement.
        placement: PlacementId,
    },
}

/// What a check has looked at and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// How many placements it looked at.
    pub placements: usize,
    /// How many messages it put together.
    pub messages: usize,
    /// How many contents it saw.
    pub contents: usize,
    /// How many octets the messages had.
    pub octets: u64,
    /// What was found, at most [`MAX_FINDINGS`].
    pub findings: Vec<Finding>,
    /// There was more to find.
    pub cut: bool,
}

impl CheckReport {
    /// Whether everything is as it should be.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.cut = true;
        }
    }
}

/// What is there, and what refers to it.
#[derive(Default)]
struct Found {
    messages: BTreeSet<MessageHash>,
    contents: BTreeSet<DocId>,
    /// What is here and does not open.
    unreadable: BTreeSet<DocId>,
    counted: BTreeMap<DocId, u32>,
    /// Placements that are where their pages say.
    placed: BTreeSet<PlacementId>,
}

impl<S: Store> Replica<S> {
    /// Looks at everything. No change is made meanwhile; those who want to make one wait.
    pub async fn check(&self) -> Result<CheckReport, ReplicaError> {
        // What is shown and waits for its pages goes into them first.
        self.settle_flags().await?;
        let _writer = self.writer.lock().await;
        let mut report = CheckReport::default();
        let mut found = Found::default();
        self.check_messages(&mut report, &mut found).await?;
        self.check_contents(&mut report, &mut found).await?;
        self.check_counts(&mut report, &found).await?;
        self.check_awaited(&mut report, &found).await?;
        self.check_orphans(&mut report, &found).await?;
        self.check_mailboxes(&mut report, &found);
        Ok(report)
    }

    async fn check_messages(
        &self,
        report: &mut CheckReport,
        found: &mut Found,
    ) -> Result<(), ReplicaError> {
        let mut start = Vec::new();
        while let Some(page) = self.page(Table::Documents, &mut start).await? {
            for (key, row) in page {
                let id = doc_id(Table::Documents, &key)?;
                match self.open_row(Table::Documents, id, &row) {
                    Ok(Document::Message(message)) => {
                        self.check_message(&message, report).await?;
                        for referred in self.referred(&message) {
                            let id = self.doc_id_of(referred);
                            let count = found.counted.entry(id).or_default();
                            *count = count.saturating_add(1);
                        }
                        found.messages.insert(message.hash);
                    }
                    Ok(Document::Page(page)) => self.check_page(&page, report, found).await?,
                    Ok(Document::Annotations(noted)) if !self.knows_annotations(&noted) => {
                        report.add(Finding::WrongAnnotations { document: id });
                    }
                    Ok(_) => {}
                    Err(_) => {
                        found.unreadable.insert(id);
                        report.add(Finding::Unreadable { document: id });
                    }
                }
            }
        }
        Ok(())
    }

    /// Compares a page with what its mailboxes show.
    async fn check_page(
        &self,
        page: &PageDocument,
        report: &mut CheckReport,
        found: &mut Found,
    ) -> Result<(), ReplicaError> {
        let row = self.store.get(Table::Placements, page.id.as_bytes());
        let row = row.await?;
        let numbers = row.map_or(Ok(Vec::new()), |row| read_numbers(&row))?;
        let mut numbers = numbers.into_iter();
        let view = self.view();
        for (id, entry) in page.live() {
            let placement = PlacementId::of(page.id, id);
            let mailbox = entry.mailbox.value;
            let shown = numbers.next().and_then(|numbers| {
                let shown = view.find(mailbox, numbers.uid)?;
                (shown.id() == placement && shown.message() == entry.message).then_some(shown)
            });
            if shown.is_some_and(|shown| shown.flags().iter().eq(entry.flags.set())) {
                found.placed.insert(placement);
            } else {
                report.add(Finding::NotPlaced { mailbox, placement });
            }
        }
        Ok(())
    }

    /// Puts a message together and hashes it.
    async fn check_message(
        &self,
        message: &Message,
        report: &mut CheckReport,
    ) -> Result<(), ReplicaError> {
        let whole = Span {
            start: 0,
            end: message.structure.size,
        };
        let mut hasher = self.keys.message_hasher();
        let mut pieces = self.pieces(message, whole);
        let hash = loop {
            match pieces.next().await {
                Ok(Some(octets)) => {
                    hasher.update(&octets);
                    let octets = u64::try_from(octets.len()).unwrap_or(u64::MAX);
                    report.octets = report.octets.saturating_add(octets);
                }
                Ok(None) => break Some(hasher.finish()),
                Err(ReplicaError::Store(error)) => return Err(error.into()),
                Err(ReplicaError::NotHere(_)) => {
                    for content in self.missing_leaves(message).await? {
                        let message = message.hash;
                        report.add(Finding::ContentMissing { message, content });
                    }
                    break None;
                }
                Err(_) => {
                    let document = message_doc_id(&self.keys, message.hash);
                    report.add(Finding::Unreadable { document });
                    break None;
                }
            }
        };
        if hash.is_some_and(|hash| hash != message.hash) {
            let message = message.hash;
            report.add(Finding::WrongOctets { message });
        }
        report.messages = report.messages.saturating_add(1);
        Ok(())
    }

    async fn check_contents(
        &self,
        report: &mut CheckReport,
        found: &mut Found,
    ) -> Result<(), ReplicaError> {
        let mut start = Vec::new();
        while let Some(page) = self.page(Table::Contents, &mut start).await? {
            for (key, row) in page {
                let id = doc_id(Table::Contents, &key)?;
                match self.open_row(Table::Contents, id, &row) {
                    Ok(Document::Content(_)) => {
                        found.contents.insert(id);
                        report.contents = report.contents.saturating_add(1);
                    }
                    // A removal that waits to be pushed.
                    Ok(Document::Removed(_)) => {}
                    Ok(_) | Err(_) => {
                        found.unreadable.insert(id);
                        report.add(Finding::Unreadable { document: id });
                    }
                }
            }
        }
        Ok(())
    }

    async fn check_counts(
        &self,
        report: &mut CheckReport,
        found: &Found,
    ) -> Result<(), ReplicaError> {
        let mut stored = BTreeMap::new();
        for (key, row) in self.store.scan(Table::References, KeyRange::all()).await? {
            let count: u32 = decode_row(Table::References, &row)?;
            stored.insert(doc_id(Table::References, &key)?, count);
        }
        let all: BTreeSet<&DocId> = found.counted.keys().chain(stored.keys()).collect();
        for id in all {
            let counted = found.counted.get(id).copied().unwrap_or(0);
            let stored = stored.get(id).copied().unwrap_or(0);
            if counted != stored {
                let document = *id;
                report.add(Finding::WrongCount {
                    document,
                    counted,
                    stored,
                });
            }
        }
        Ok(())
    }

    async fn check_awaited(
        &self,
        report: &mut CheckReport,
        found: &Found,
    ) -> Result<(), ReplicaError> {
        let message_id = |hash: &MessageHash| message_doc_id(&self.keys, *hash);
        let mut here: BTreeSet<DocId> = found.messages.iter().map(message_id).collect();
        here.extend(&found.contents);
        here.extend(&found.unreadable);
        let mut awaited: BTreeSet<DocId> = found.counted.keys().copied().collect();
        for state in self.view().mailboxes.values() {
            awaited.extend(
                state
                    .roster
                    .iter()
                    .map(|entry| message_id(&entry.message())),
            );
        }
        awaited.retain(|id| !here.contains(id));
        let mut noted = BTreeSet::new();
        for (key, _) in self.store.scan(Table::Awaited, KeyRange::all()).await? {
            noted.insert(doc_id(Table::Awaited, &key)?);
        }
        for document in awaited.symmetric_difference(&noted) {
            let document = *document;
            report.add(Finding::WrongAwaited { document });
        }
        Ok(())
    }

    async fn check_orphans(
        &self,
        report: &mut CheckReport,
        found: &Found,
    ) -> Result<(), ReplicaError> {
        let mut garbage = BTreeSet::new();
        for (key, _) in self.store.scan(Table::Garbage, KeyRange::all()).await? {
            garbage.insert(Referred::from_garbage_key(&key)?);
        }
        let view = self.view();
        let is_placed = |hash: &MessageHash| view.places_of(*hash).next().is_some();
        let messages = found.messages.iter().filter(|hash| !is_placed(hash));
        let messages = messages.map(|hash| Referred::Message(*hash));
        let contents = found.contents.iter().map(|id| Referred::Content(*id));
        for referred in messages.chain(contents) {
            let document = self.doc_id_of(referred);
            if !found.counted.contains_key(&document) && !garbage.contains(&referred) {
                report.add(Finding::Orphan { document });
            }
        }
        Ok(())
    }

    fn check_mailboxes(&self, report: &mut CheckReport, found: &Found) {
        let view = self.view();
        for mailbox in VirtualMailbox::ALL {
            if !view.is_virtual_sound(mailbox) {
                report.add(Finding::WrongVirtual { mailbox });
            }
        }
        for (mailbox, state) in &view.mailboxes {
            let mailbox = *mailbox;
            if state.row.highest_mod_seq > view.counters.mod_seq {
                report.add(Finding::ModSeqTooHigh { mailbox });
            }
            for entry in state.roster.iter() {
                let (uid, message) = (entry.uid(), entry.message());
                report.placements = report.placements.saturating_add(1);
                if uid >= state.row.uid_next {
                    report.add(Finding::UidNotBelowNext { mailbox, uid });
                }
                if entry.mod_seq() > state.row.highest_mod_seq {
                    report.add(Finding::ModSeqTooHigh { mailbox });
                }
                if !found.placed.contains(&entry.id()) {
                    report.add(Finding::Expunged { mailbox, uid });
                }
                if !found.messages.contains(&message) {
                    report.add(Finding::MessageMissing {
                        mailbox,
                        uid,
                        message,
                    });
                }
            }
        }
    }

    fn open_row(&self, table: Table, id: DocId, row: &[u8]) -> Result<Document, ReplicaError> {
        self.open_document(id, &self.unpacked(table, id, row)?)
    }

    /// The next rows of a table from `start`, which is moved behind them; `None` at the end.
    async fn page(
        &self,
        table: Table,
        start: &mut Key,
    ) -> Result<Option<Vec<(Key, Vec<u8>)>>, ReplicaError> {
        let rows = match table {
            Table::Contents => PAGE_CONTENTS,
            _ => PAGE_ROWS,
        };
        let mut range = KeyRange::all().limit(rows);
        range.start.clone_from(start);
        let rows = self.store.scan(table, range).await?;
        let Some((last, _)) = rows.last() else {
            return Ok(None);
        };
        // The smallest key after the last.
        *start = [&last[..], &[0]].concat();
        Ok(Some(rows))
    }
}

fn doc_id(table: Table, key: &[u8]) -> Result<DocId, ReplicaError> {
    DocId::try_from(key).map_err(|_| ReplicaError::Row(table.name()))
}
