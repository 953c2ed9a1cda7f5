//! The pages of a change: each is read once, changed in memory, and sealed once before the commit,
//! however many of its placements change.
//!
//! A page's row in [`Table::Placements`] has the numbers of its live entries, by ascending entry;
//! the rest is in its sealed document alone. Invariant: both are written in one batch, so they
//! agree. New placements go to the page that the counters name until it is full, also after a
//! restart; no other device adds to it. What came in is placed by when it was received, so that
//! devices that take it in apart agree on its page.

use std::collections::btree_map;
use std::collections::{BTreeMap, BTreeSet};

use super::change::Change;
use super::document::{Document, Lww, page_doc_id};
use super::documents::{Base, PENDING_PAGE, pending_key};
use super::fetch::open_document;
use super::packed::unpacked;
use super::page::{Entry, FlagStates, PageDocument, PlacementEntry};
use super::view::{Numbers, Placed, Shown};
use super::{Replica, ReplicaError, decode_row, encode_row};
use crate::id::{DocId, EntryId, Generation, IncomingId, MailboxId, PageId, PlacementId, Uid};
use crate::model::FlagSet;
use crate::seal::{self, AccountKeys, EnvelopeHash, Header};
use crate::store::{Store, Table};

/// Most placements that a device puts into one page. By measurement: see ARCHITECTURE.md.
pub const PAGE_PLACEMENTS: u32 = 64;
/// Incoming messages whose places in the provider's log are in one range of so many share a page.
/// Most of that log are documents, so a page gets a part of that.
const INCOMING_GENERATIONS: u64 = 256;
/// Pages that are asked of the store together.
const PAGES_AT_ONCE: usize = 256;

/// The placement that an incoming message becomes, on every device. The generation says only
/// which page: a provider that was set back repeats generations, and two messages must not fall
/// together.
pub(super) fn incoming_placement(
    keys: &AccountKeys,
    id: IncomingId,
    generation: Generation,
) -> PlacementId {
    keys.incoming_placement(generation.0 / INCOMING_GENERATIONS, id)
}

/// A page that a change has read.
#[derive(Debug)]
pub(super) struct OpenPage {
    pub(super) document: PageDocument,
    /// Of every live entry.
    numbers: BTreeMap<EntryId, Numbers>,
    /// What the next revision has to follow.
    pub(super) base: Base,
    /// Hash of the envelope that is kept, if the document has one.
    pub(super) envelope: Option<EnvelopeHash>,
    /// Whether what is kept waits to be pushed.
    pub(super) waits: bool,
    /// Whether the document differs from what is kept.
    pub(super) is_changed: bool,
    is_renumbered: bool,
}

impl OpenPage {
    pub(super) fn new(id: PageId) -> Self {
        Self {
            document: PageDocument::new(id),
            numbers: BTreeMap::new(),
            base: Base(None),
            envelope: None,
            waits: false,
            is_changed: false,
            is_renumbered: false,
        }
    }

    /// The numbers of a live entry; `None` while it waits to be placed.
    pub(super) fn numbers_of(&self, id: EntryId) -> Option<Numbers> {
        self.numbers.get(&id).copied()
    }

    /// A placement that is to be changed.
    fn edit(&mut self, id: EntryId) -> Result<&mut PlacementEntry, ReplicaError> {
        self.is_changed = true;
        match self.document.entries.get_mut(&id) {
            Some(Entry::Live(entry)) => Ok(entry),
            // The view has what the pages have.
            Some(Entry::Deleted) | None => Err(damaged()),
        }
    }

    fn put(&mut self, id: EntryId, entry: Entry) {
        self.is_changed = true;
        self.document.entries.insert(id, entry);
    }

    /// The flags of a placement, to be changed.
    pub(super) fn flags_of(&mut self, id: EntryId) -> Result<&mut FlagStates, ReplicaError> {
        self.edit(id).map(|entry| &mut entry.flags)
    }

    pub(super) fn number(&mut self, id: EntryId, numbers: Option<Numbers>) {
        self.is_renumbered = true;
        match numbers {
            Some(numbers) => self.numbers.insert(id, numbers),
            None => self.numbers.remove(&id),
        };
    }
}

/// The envelope of a page and what is in it.
pub(super) async fn read_page<S: Store>(
    store: &S,
    keys: &AccountKeys,
    id: PageId,
) -> Result<Option<(Vec<u8>, PageDocument)>, ReplicaError> {
    let document = page_doc_id(keys, id);
    let Some(row) = store.get(Table::Documents, document.as_bytes()).await? else {
        return Ok(None);
    };
    let envelope = unpacked(keys, Table::Documents, document, &row)?;
    match open_document(keys, document, &envelope)? {
        Document::Page(page) => Ok(Some((envelope, page))),
        _ => Err(ReplicaError::Row(Table::Documents.name())),
    }
}

/// The numbers in a row of [`Table::Placements`].
pub(super) fn read_numbers(row: &[u8]) -> Result<Vec<Numbers>, ReplicaError> {
    decode_row(Table::Placements, row)
}

/// What a store has of a page.
struct PageRows {
    document: Option<Vec<u8>>,
    pending: Option<Vec<u8>>,
    numbers: Option<Vec<u8>>,
}

impl<S: Store> Replica<S> {
    /// What the store has of pages, in their order.
    async fn page_rows(&self, ids: &[PageId]) -> Result<Vec<PageRows>, ReplicaError> {
        let documents = ids.iter().map(|id| page_doc_id(&self.keys, *id));
        let documents: Vec<DocId> = documents.collect();
        let keys = documents.iter().map(|id| id.as_bytes().to_vec()).collect();
        let rows = self.store.get_many(Table::Documents, keys).await?;
        let keys = documents.iter().map(|id| pending_key(PENDING_PAGE, *id));
        let pending = self.store.get_many(Table::Pending, keys.collect()).await?;
        let keys = ids.iter().map(|id| id.as_bytes().to_vec()).collect();
        let numbers = self.store.get_many(Table::Placements, keys).await?;
        let rows = rows.into_iter().zip(pending).zip(numbers);
        let rows = rows.map(|((document, pending), numbers)| PageRows {
            document,
            pending,
            numbers,
        });
        Ok(rows.collect())
    }

    fn opened_page(&self, id: PageId, rows: PageRows) -> Result<OpenPage, ReplicaError> {
        let mut page = OpenPage::new(id);
        let Some(row) = rows.document else {
            return Ok(page);
        };
        let doc_id = page_doc_id(&self.keys, id);
        let envelope = unpacked(&self.keys, Table::Documents, doc_id, &row)?;
        let Document::Page(document) = open_document(&self.keys, doc_id, &envelope)? else {
            return Err(ReplicaError::Row(Table::Documents.name()));
        };
        let hash = seal::hash(&envelope);
        page.envelope = Some(hash);
        if let Some(base) = rows.pending {
            page.base = decode_row(Table::Pending, &base)?;
            page.waits = true;
        } else {
            let header = Header::parse(&envelope).map_err(seal::OpenError::from)?;
            page.base = Base(Some((header.revision, hash)));
        }
        let numbers = rows.numbers;
        let numbers = numbers.map_or(Ok(Vec::new()), |row| read_numbers(&row))?;
        if numbers.len() != document.live().count() {
            return Err(damaged());
        }
        let live = document.live().map(|(id, _)| id);
        page.numbers = live.zip(numbers).collect();
        page.document = document;
        Ok(page)
    }
}

impl<S: Store> Change<'_, S> {
    /// A page, with this change's edits; without entries if it is not on this device.
    pub(super) async fn page(&mut self, id: PageId) -> Result<&mut OpenPage, ReplicaError> {
        self.settle_flag_edits().await?;
        let replica = self.replica;
        match self.pages.entry(id) {
            btree_map::Entry::Occupied(page) => Ok(page.into_mut()),
            btree_map::Entry::Vacant(vacant) => {
                let rows = replica.page_rows(&[id]).await?.pop();
                let rows = rows.ok_or_else(damaged)?;
                Ok(vacant.insert(replica.opened_page(id, rows)?))
            }
        }
    }

    /// Reads the pages of these messages together, before they are changed one by one.
    pub(super) async fn read_pages_of(
        &mut self,
        mailbox: MailboxId,
        uids: &[Uid],
    ) -> Result<(), ReplicaError> {
        self.settle_flag_edits().await?;
        let ids: BTreeSet<PageId> = {
            let meant = uids.iter().flat_map(|uid| self.behind(mailbox, *uid));
            let meant: Vec<_> = meant.collect();
            let view = self.replica.view();
            let found = meant.into_iter();
            let found = found.filter_map(|(mailbox, uid)| view.find(mailbox, uid));
            found.map(|entry| entry.id().page()).collect()
        };
        self.read_pages(ids).await
    }

    /// Reads these pages together.
    pub(super) async fn read_pages(&mut self, ids: BTreeSet<PageId>) -> Result<(), ReplicaError> {
        let unread = ids.into_iter().filter(|id| !self.pages.contains_key(id));
        let unread: Vec<PageId> = unread.collect();
        for ids in unread.chunks(PAGES_AT_ONCE) {
            let rows = self.replica.page_rows(ids).await?;
            for (id, rows) in ids.iter().zip(rows) {
                let page = self.replica.opened_page(*id, rows)?;
                self.pages.insert(*id, page);
            }
        }
        Ok(())
    }

    /// An id for a new placement, in this device's page.
    pub(super) async fn new_placement(&mut self) -> Result<PlacementId, ReplicaError> {
        let most = self.replica.page_placements;
        let (page, placements) = match self.delta.counters.page {
            Some((page, placements)) if placements < most => (page, placements),
            _ => (PageId::new(self.random()), 0),
        };
        self.delta.counters.page = Some((page, placements.saturating_add(1)));
        loop {
            let entry = EntryId::new(self.random());
            if !self.page(page).await?.document.entries.contains_key(&entry) {
                return Ok(PlacementId::of(page, entry));
            }
        }
    }

    /// Whether a placement was ever here, expunged or not.
    pub(super) async fn is_known(&mut self, id: PlacementId) -> Result<bool, ReplicaError> {
        let page = self.page(id.page()).await?;
        Ok(page.document.entries.contains_key(&id.entry()))
    }

    /// Makes a placement and gives it the next UID of its mailbox.
    pub(super) async fn make_placement(
        &mut self,
        id: PlacementId,
        entry: PlacementEntry,
    ) -> Result<Uid, ReplicaError> {
        let (mailbox, shown) = (entry.mailbox.value, Shown::of(id, &entry));
        let page = self.page(id.page()).await?;
        page.put(id.entry(), Entry::Live(entry));
        self.place(mailbox, shown).await
    }

    /// Changes the flags of a placement.
    pub(super) async fn set_flags(
        &mut self,
        mailbox: MailboxId,
        placed: Placed,
        wanted: &FlagSet,
    ) -> Result<(), ReplicaError> {
        let stamp = self.stamp();
        let id = placed.shown.id;
        let entry = self.page(id.page()).await?.edit(id.entry())?;
        entry.flags.change(wanted, stamp);
        let shown = Shown::of(id, entry);
        let numbers = placed.numbers;
        self.update(mailbox, Placed { shown, numbers }).await
    }

    /// Moves a placement: two fields of its page.
    pub(super) async fn move_placement(
        &mut self,
        from: MailboxId,
        uid: Uid,
        to: MailboxId,
    ) -> Result<Option<Uid>, ReplicaError> {
        let Some(placed) = self.placement(from, uid) else {
            return Ok(None);
        };
        let (stamp, now) = (self.stamp(), self.now);
        let id = placed.shown.id;
        let entry = self.page(id.page()).await?.edit(id.entry())?;
        entry.mailbox = Lww::new(to, stamp);
        entry.save_date = Lww::new(now, stamp);
        self.unplace(from, &placed).await?;
        let shown = Shown {
            save_date: now,
            ..placed.shown
        };
        self.place(to, shown).await.map(Some)
    }

    /// Expunges one message for good.
    pub(super) async fn delete_placement(
        &mut self,
        mailbox: MailboxId,
        uid: Uid,
    ) -> Result<bool, ReplicaError> {
        let Some(placed) = self.placement(mailbox, uid) else {
            return Ok(false);
        };
        let id = placed.shown.id;
        self.page(id.page()).await?.put(id.entry(), Entry::Deleted);
        self.unplace(mailbox, &placed).await?;
        Ok(true)
    }

    /// Gives a placement whose page names this mailbox the next UID there.
    pub(super) async fn place(
        &mut self,
        mailbox: MailboxId,
        shown: Shown,
    ) -> Result<Uid, ReplicaError> {
        let mod_seq = self.mod_seq()?;
        let row = self.edit_live_mailbox(mailbox)?;
        let uid = row.uid_next;
        row.uid_next = uid.next().ok_or(ReplicaError::Exhausted)?;
        row.highest_mod_seq = mod_seq;
        let numbers = Numbers {
            uid,
            mod_seq,
            placed: mod_seq,
        };
        let message = shown.message;
        if self.places_before(message) == 0 {
            // Its first place: the search index shall take it in.
            self.batch
                .put(Table::Unindexed, *message.as_bytes(), Vec::new());
        }
        self.note_place(message, 1);
        self.put_placed(mailbox, Placed { shown, numbers }).await?;
        Ok(uid)
    }

    /// Shows what became of a placement that stays where it is, with this change's mod-sequence.
    pub(super) async fn update(
        &mut self,
        mailbox: MailboxId,
        mut placed: Placed,
    ) -> Result<(), ReplicaError> {
        placed.numbers.mod_seq = self.touch(mailbox)?;
        self.put_placed(mailbox, placed).await
    }

    /// Takes a placement that is moved or deleted out of a mailbox.
    pub(super) async fn unplace(
        &mut self,
        mailbox: MailboxId,
        placed: &Placed,
    ) -> Result<(), ReplicaError> {
        let mod_seq = self.touch(mailbox)?;
        self.note_vanished(mailbox, mod_seq, placed);
        let (id, uid) = (placed.shown.id, placed.numbers.uid);
        self.page(id.page()).await?.number(id.entry(), None);
        self.note_place(placed.shown.message, -1);
        self.delta.placements.insert((mailbox, uid), None);
        Ok(())
    }

    async fn put_placed(&mut self, mailbox: MailboxId, placed: Placed) -> Result<(), ReplicaError> {
        let (id, uid) = (placed.shown.id, placed.numbers.uid);
        let page = self.page(id.page()).await?;
        page.number(id.entry(), Some(placed.numbers));
        self.delta.placements.insert((mailbox, uid), Some(placed));
        Ok(())
    }

    /// Seals the pages that have changed, and writes the numbers of those that got others. All
    /// pages are as the store has them after that.
    pub(super) fn finish_pages(&mut self) -> Result<(), ReplicaError> {
        let mut pages = core::mem::take(&mut self.pages);
        for (id, page) in &mut pages {
            if page.is_renumbered && page.numbers.is_empty() {
                self.batch.delete(Table::Placements, *id.as_bytes());
            } else if page.is_renumbered {
                let numbers: Vec<Numbers> = page.numbers.values().copied().collect();
                self.batch
                    .put(Table::Placements, *id.as_bytes(), encode_row(&numbers));
            }
            page.is_renumbered = false;
            if page.is_changed {
                let empty = PageDocument::new(*id);
                let document = Document::Page(core::mem::replace(&mut page.document, empty));
                let place = page_doc_id(&self.replica.keys, *id);
                let envelope = self.write_over(place, &document, page.base)?;
                page.envelope = Some(seal::hash(&envelope));
                if let Document::Page(document) = document {
                    page.document = document;
                }
                (page.waits, page.is_changed) = (true, false);
            }
        }
        self.pages = pages;
        Ok(())
    }
}

fn damaged() -> ReplicaError {
    ReplicaError::Row(Table::Placements.name())
}
