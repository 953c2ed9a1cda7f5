//! Searching an account's mail.

use super::Account;
use super::indexing::IndexError;
use crate::id::{MailboxId, MailboxName, MessageHash};
use crate::model::{Flag, Role};
use crate::replica::Replica;
use crate::replica::RosterEntry;
use crate::search::{
    CandidatePlace, Candidates, Facts, Found, IndexSize, Page, Population, Query, SearchError,
};
use crate::store::Store;

/// Messages that a search takes into the index at a time.
const INDEXED_AT_A_TIME: usize = 256;

impl<S: Store> Account<S> {
    /// Finds messages: those of `page`, the newest first, and how many there are in all. What has
    /// arrived and is not in the index yet is taken in first.
    pub async fn search(&self, query: &Query, page: Page) -> Result<Found, IndexError> {
        self.catch_up().await?;
        let index = &self.indexing.index;
        Ok(index
            .search(self.store(), &self.mail(), query, page)
            .await?)
    }

    /// Finds all messages, in the order of their hashes.
    pub async fn search_all(&self, query: &Query) -> Result<Vec<MessageHash>, IndexError> {
        self.catch_up().await?;
        let index = &self.indexing.index;
        Ok(index.search_all(self.store(), &self.mail(), query).await?)
    }

    /// The messages that may have a text in a place, for IMAP SEARCH; `None` if the index cannot
    /// say. What is not in the index yet may have it.
    pub async fn candidates(
        &self,
        place: CandidatePlace,
        text: &str,
    ) -> Result<Option<Candidates>, IndexError> {
        let index = &self.indexing.index;
        Ok(index.candidates(self.store(), place, text).await?)
    }

    /// How large the index is.
    pub async fn index_size(&self) -> Result<IndexSize, IndexError> {
        Ok(self.indexing.index.size(self.store()).await?)
    }

    async fn catch_up(&self) -> Result<(), IndexError> {
        loop {
            match self.take_in_queued(INDEXED_AT_A_TIME).await {
                Ok(None) => return Ok(()),
                Ok(Some(_)) | Err(IndexError::Search(SearchError::Busy)) => {}
                Err(IndexError::Search(SearchError::Damaged)) => self.rebuild_index().await?,
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn mail(&self) -> Mail<'_, S> {
        Mail(&self.replica)
    }
}

/// The mail as the index sees it.
pub(super) struct Mail<'a, S>(&'a Replica<S>);

impl<S: Store> Population for Mail<'_, S> {
    fn changes(&self) -> u64 {
        self.0.messages_changed()
    }

    fn places(&self) -> usize {
        self.0.places()
    }

    fn mailboxes(&self, named: &str) -> Vec<MailboxId> {
        let named = named.to_lowercase();
        let role = role(&named);
        let all = self.0.mailboxes();
        let is = |name: &str| name.to_lowercase() == named;
        let mut found: Vec<MailboxId> = all
            .iter()
            .filter(|mailbox| is(mailbox.name.as_str()) || role.is_some() && mailbox.role == role)
            .map(|mailbox| mailbox.id)
            .collect();
        if found.is_empty() {
            // The last level of a name is what people remember.
            let last = |name: &MailboxName| name.as_str().rsplit('/').next().is_some_and(is);
            let named = all.iter().filter(|mailbox| last(&mailbox.name));
            found.extend(named.map(|mailbox| mailbox.id));
        }
        found
    }

    fn each_message(&self, visit: &mut dyn FnMut(&MessageHash)) {
        self.0.each_message(visit);
    }

    fn each_place(&self, mailboxes: Option<&[MailboxId]>, visit: &mut dyn FnMut(&Facts)) {
        self.0
            .each_place(mailboxes, &mut |id, place| visit(&facts(id, place)));
    }

    fn each_place_of(&self, message: &MessageHash, visit: &mut dyn FnMut(&Facts)) {
        self.0
            .each_place_of(message, &mut |id, place| visit(&facts(id, place)));
    }
}

fn facts(mailbox: MailboxId, place: RosterEntry<'_>) -> Facts {
    Facts {
        message: place.message(),
        mailbox,
        seen: place.has(&Flag::Seen),
        flagged: place.has(&Flag::Flagged),
        answered: place.has(&Flag::Answered),
        draft: place.has(&Flag::Draft),
    }
}

/// A role by what people call it, in lower case.
fn role(name: &str) -> Option<Role> {
    Some(match name {
        "archive" => Role::Archive,
        "draft" | "drafts" => Role::Drafts,
        "junk" | "spam" => Role::Junk,
        "sent" => Role::Sent,
        "trash" | "bin" => Role::Trash,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
