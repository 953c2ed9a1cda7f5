//! Taking in pages as the provider has them.
//!
//! Invariant: what is kept afterwards has all that either had; a page of the provider's never
//! takes the place of ours without merging, not even a later revision. A provider that was set
//! back and heard from another device first has later revisions that lack what we added, and a
//! page is hundreds of messages.

use super::ReplicaError;
use super::change::Change;
use super::document::{Document, Lww};
use super::documents::Base;
use super::page::{Entry, PageDocument, PlacementEntry};
use super::remote::Told;
use super::view::{Placed, Shown};
use crate::id::{PageId, PlacementId};
use crate::seal::{self, Header};
use crate::store::Store;

impl<S: Store> Change<'_, S> {
    /// Takes in an envelope of a page.
    pub(super) async fn take_page(
        &mut self,
        header: &Header,
        theirs: PageDocument,
        envelope: &[u8],
        told: Told,
    ) -> Result<(), ReplicaError> {
        let id = theirs.id;
        let hash = seal::hash(envelope);
        let follows = Base(Some((header.revision, hash)));
        let page = self.page(id).await?;
        if page.envelope == Some(hash) {
            // What is kept has arrived; what this change makes of it follows.
            (page.base, page.waits) = (follows, false);
            self.settle(&Document::Page(theirs), header.document, envelope);
            return Ok(());
        }
        let is_known = page
            .base
            .0
            .is_some_and(|(known, _)| known >= header.revision);
        let mut merged = page.document.clone();
        merged.merge(theirs.clone());
        if is_known && merged == page.document && !(page.waits && told == Told::AsCurrent) {
            return Ok(());
        }
        // What the provider says it has now is what must be followed, even if it had more before.
        if !is_known || told == Told::AsCurrent {
            page.base = follows;
        }
        page.is_changed = merged != theirs;
        let is_settled = !page.is_changed;
        if is_settled {
            (page.base, page.envelope, page.waits) = (follows, Some(hash), false);
        }
        let before = core::mem::replace(&mut page.document, merged);
        if is_settled {
            self.settle(&Document::Page(theirs), header.document, envelope);
        }
        self.adopt_page(id, &before).await
    }

    /// Makes the rows say what a page says, where that is not what it said before.
    async fn adopt_page(&mut self, id: PageId, before: &PageDocument) -> Result<(), ReplicaError> {
        let merged = self.page(id).await?.document.entries.clone();
        for (entry_id, after) in merged {
            let before = match before.entries.get(&entry_id) {
                Some(before) if *before == after => continue,
                Some(Entry::Deleted) => continue,
                Some(Entry::Live(before)) => Some(before),
                None => None,
            };
            let id = PlacementId::of(id, entry_id);
            self.adopt_placement(id, before, after).await?;
        }
        Ok(())
    }

    async fn adopt_placement(
        &mut self,
        id: PlacementId,
        before: Option<&PlacementEntry>,
        after: Entry,
    ) -> Result<(), ReplicaError> {
        let page = self.page(id.page()).await?;
        let (Some(before), Some(numbers)) = (before, page.numbers_of(id.entry())) else {
            self.arrivals.insert(id);
            return Ok(());
        };
        let mailbox = before.mailbox.value;
        let old = Placed {
            shown: Shown::of(id, before),
            numbers,
        };
        match after {
            Entry::Deleted => self.unplace(mailbox, &old).await,
            // What a UID stands for never changes (RFC 9051 2.3.1.1): a new one.
            Entry::Live(entry)
                if entry.mailbox.value != mailbox || entry.message != before.message =>
            {
                self.unplace(mailbox, &old).await?;
                self.place_or_rescue(id, entry).await
            }
            Entry::Live(entry) => {
                let shown = Shown::of(id, &entry);
                if shown == old.shown {
                    return Ok(());
                }
                self.update(mailbox, Placed { shown, numbers }).await
            }
        }
    }

    /// Places what has come, all at once and by when it was placed elsewhere: pages come in no
    /// order, and within a page entries have none, but UIDs shall ascend as messages came.
    pub(super) async fn place_arrivals(&mut self) -> Result<(), ReplicaError> {
        let mut arrivals = Vec::new();
        for id in core::mem::take(&mut self.arrivals) {
            let page = self.page(id.page()).await?;
            // Expunged since, or placed, if this change has heard of it twice.
            if let Some(Entry::Live(entry)) = page.document.entries.get(&id.entry())
                && page.numbers_of(id.entry()).is_none()
            {
                arrivals.push((entry.save_date.value, entry.internal_date, id));
            }
        }
        arrivals.sort_unstable();
        for (.., id) in arrivals {
            let page = self.page(id.page()).await?;
            if let Some(Entry::Live(entry)) = page.document.entries.get(&id.entry()) {
                let entry = entry.clone();
                self.place_or_rescue(id, entry).await?;
            }
        }
        Ok(())
    }

    /// Places a message where its page says, or in INBOX if that mailbox is no more.
    async fn place_or_rescue(
        &mut self,
        id: PlacementId,
        mut entry: PlacementEntry,
    ) -> Result<(), ReplicaError> {
        match self.mailbox(entry.mailbox.value) {
            Some(mailbox) if mailbox.document.deleted => {
                let stamp = self.stamp();
                entry.mailbox = Lww::new(self.inbox(), stamp);
                return self.make_placement(id, entry).await.map(drop);
            }
            Some(_) => {}
            None => self.expect_mailbox(entry.mailbox.value)?,
        }
        let (mailbox, shown) = (entry.mailbox.value, Shown::of(id, &entry));
        self.place(mailbox, shown).await.map(drop)
    }
}
