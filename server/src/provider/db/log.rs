//! One log of changes per account: generations without gaps, each given to one change.
//!
//! The log is not a table: every document and every incoming message carries the generation of
//! its last change, so that a device sees each once, at its newest.

use std::ops::ControlFlow;

use letterlock_core::id::{AccountId, CollectionId, Generation, IncomingId, Timestamp};
use letterlock_core::sync::news::NEWS_OCTETS;
use letterlock_core::sync::wire::{BATCH_OCTETS, Entry};
use rusqlite::params;
use serde_bytes::ByteBuf;

use super::{Blobs, Effects, Row, Stored, Transaction, TxError, signed, unsigned};

/// What an entry costs in a batch beside its value, in octets.
const ENTRY_OVERHEAD: usize = 64;

const CHANGED_SINCE: &str = "
    SELECT generation, 0 AS kind, collection AS id, revision, 0 AS received_at, size, value, file
      FROM documents WHERE account = ?1 AND generation > ?2
    UNION ALL
    SELECT generation, 1 + removed, incoming, 1, received_at, size, value, file
      FROM incoming WHERE account = ?1 AND generation > ?2
    ORDER BY generation";

/// A piece of the log.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) entries: Vec<Entry>,
    pub(crate) until: Generation,
    pub(crate) more: bool,
    /// The end of the log.
    pub(crate) end: Generation,
}

/// Which documents a device hears of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    /// Those of these collections; all, if there is none.
    pub(crate) collections: &'a [CollectionId],
    /// Those of these collections that are stored under a later revision than the first.
    pub(crate) rewritten: &'a [CollectionId],
}

/// For what a piece of the log is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Near [`BATCH_OCTETS`], but with at least one entry if there is any.
    Answer,
    /// At [`NEWS_OCTETS`], even if no entry fits.
    News,
}

impl Cut {
    const fn octets(self) -> usize {
        match self {
            Self::Answer => BATCH_OCTETS,
            Self::News => NEWS_OCTETS,
        }
    }
}

/// Takes the account's next generation, and tells waiting devices of it after the commit. An
/// account that was deleted meanwhile is an error: nothing is added to it any more.
pub(super) fn next_generation(
    transaction: &Transaction<'_>,
    effects: &mut Effects,
    account: AccountId,
) -> Result<Generation, TxError> {
    let generation = transaction.query_row(
        "UPDATE accounts SET generation = generation + 1
             WHERE account = ? AND deleting = 0 RETURNING generation",
        params![account.as_bytes()],
        |row| row.get(0),
    )?;
    let generation = generation.ok_or(TxError::NoAccount)?;
    let generation = Generation(unsigned(generation)?);
    effects.news.insert(account, generation);
    Ok(generation)
}

/// The account's last generation; 0 for none.
pub(crate) fn current_generation(
    transaction: &Transaction<'_>,
    account: AccountId,
) -> Result<Generation, TxError> {
    let generation = transaction.query_row(
        "SELECT generation FROM accounts WHERE account = ?",
        params![account.as_bytes()],
        |row| row.get(0),
    )?;
    Ok(Generation(unsigned(generation.unwrap_or(0))?))
}

/// What changed after `since`.
pub(crate) fn changed_since(
    transaction: &Transaction<'_>,
    blobs: &Blobs,
    account: AccountId,
    since: Generation,
    wanted: Wanted<'_>,
    cut: Cut,
) -> Result<Changes, TxError> {
    let end = current_generation(transaction, account)?;
    let mut changes = Changes {
        entries: Vec::new(),
        until: end,
        more: false,
        end,
    };
    let Ok(start) = signed(since.0) else {
        return Ok(changes);
    };
    let mut octets: usize = 0;
    let mut until = since;
    let mut found = Vec::new();
    transaction.each(CHANGED_SINCE, params![account.as_bytes(), start], |row| {
        let change = Change::read(row)?;
        let is_wanted = change.is_wanted(since, wanted);
        let size = if is_wanted { change.cost() } else { 0 };
        let may_cut = cut == Cut::News || !found.is_empty();
        if may_cut && octets.saturating_add(size) > cut.octets() {
            changes.until = until;
            changes.more = true;
            return Ok(ControlFlow::Break(()));
        }
        until = change.generation;
        if is_wanted {
            octets = octets.saturating_add(size);
            found.push(change);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    changes.entries = into_entries(found, blobs)?;
    Ok(changes)
}

/// With their values, which may be fetched from afar: all at once.
fn into_entries(mut found: Vec<Change>, blobs: &Blobs) -> Result<Vec<Entry>, TxError> {
    let stored = found.iter_mut().filter_map(|change| change.stored.take());
    let mut values = blobs.load_all(stored.collect())?.into_iter();
    let entries = found
        .into_iter()
        .map(|change| change.into_entry(&mut values));
    Ok(entries.collect())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Document,
    Incoming,
    Removed,
}

struct Change {
    generation: Generation,
    kind: Kind,
    id: [u8; 16],
    is_rewritten: bool,
    received_at: Timestamp,
    /// None for what was removed.
    stored: Option<Stored>,
}

impl Change {
    fn read(row: &Row<'_>) -> Result<Self, TxError> {
        let kind = match row.get::<i64>("kind")? {
            0 => Kind::Document,
            1 => Kind::Incoming,
            _ => Kind::Removed,
        };
        let stored = Stored {
            size: unsigned(row.get("size")?)?,
            value: row.get("value")?,
            file: row.get("file")?,
        };
        Ok(Self {
            generation: Generation(unsigned(row.get("generation")?)?),
            kind,
            id: row.get("id")?,
            is_rewritten: row.get::<i64>("revision")? > 1,
            received_at: Timestamp::from_millis(row.get("received_at")?),
            stored: (kind != Kind::Removed).then_some(stored),
        })
    }

    /// A device that starts from nothing need not hear what is gone.
    fn is_wanted(&self, since: Generation, wanted: Wanted<'_>) -> bool {
        let collection = CollectionId::new(self.id);
        match self.kind {
            Kind::Document => {
                wanted.collections.is_empty()
                    || wanted.collections.contains(&collection)
                    || (self.is_rewritten && wanted.rewritten.contains(&collection))
            }
            Kind::Incoming => true,
            Kind::Removed => since.0 > 0,
        }
    }

    fn cost(&self) -> usize {
        let size = self.stored.as_ref().map_or(0, |stored| stored.size);
        size.saturating_add(ENTRY_OVERHEAD)
    }

    fn into_entry(self, values: &mut impl Iterator<Item = Vec<u8>>) -> Entry {
        let mut value = || ByteBuf::from(values.next().unwrap_or_default());
        let id = IncomingId::new(self.id);
        match self.kind {
            Kind::Document => Entry::Document { envelope: value() },
            Kind::Incoming => Entry::Incoming {
                id,
                generation: self.generation,
                received_at: self.received_at,
                message: value(),
            },
            Kind::Removed => Entry::IncomingRemoved { id },
        }
    }
}
