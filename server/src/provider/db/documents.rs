//! Sealed documents: the newest revision of each.

use letterlock_core::id::{AccountId, CollectionId, DocId, Generation};
use rusqlite::params;

use super::{
    BlobId, Blobs, Effects, Row, Stored, Transaction, TxError, Value, accounts, columns, length,
    log, signed, unsigned,
};

/// A document as the clear header of its envelope tells it.
pub(crate) struct Document {
    pub(crate) id: DocId,
    pub(crate) collection: CollectionId,
    pub(crate) revision: u64,
    pub(crate) epoch: u32,
    pub(crate) envelope: Value,
}

/// What became of a document that was to be stored.
pub(crate) enum Put {
    /// It is stored, under this generation; perhaps it was before.
    Stored(Generation),
    /// Another revision is stored: this one.
    Conflict(Vec<u8>),
    /// Nothing is stored under this id, and it is not revision 1.
    Gap,
}

struct Current {
    collection: CollectionId,
    revision: u64,
    generation: Generation,
    file: Option<BlobId>,
    stored: Stored,
}

/// Stores a document whose revision follows the stored one. The stored one itself, octet for
/// octet, is accepted and changes nothing.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    blobs: &Blobs,
    effects: &mut Effects,
    account: AccountId,
    new: Document,
) -> Result<Put, TxError> {
    let Some(current) = current(transaction, account, new.id)? else {
        if new.revision != 1 {
            return Ok(Put::Gap);
        }
        return upsert(transaction, effects, account, new, 0).map(Put::Stored);
    };
    let follows = current.revision.checked_add(1) == Some(new.revision)
        && current.collection == new.collection;
    if follows {
        effects.forget(current.file);
        let before = length(current.stored.size)?;
        return upsert(transaction, effects, account, new, before).map(Put::Stored);
    }
    let envelope = blobs.load(current.stored)?;
    if current.revision == new.revision && blobs.holds(&new.envelope, &envelope)? {
        return Ok(Put::Stored(current.generation));
    }
    Ok(Put::Conflict(envelope))
}

/// A document's envelope.
pub(crate) fn get(
    transaction: &Transaction<'_>,
    blobs: &Blobs,
    account: AccountId,
    document: DocId,
) -> Result<Option<Vec<u8>>, TxError> {
    current(transaction, account, document)?
        .map(|current| blobs.load(current.stored))
        .transpose()
}

fn current(
    transaction: &Transaction<'_>,
    account: AccountId,
    document: DocId,
) -> Result<Option<Current>, TxError> {
    transaction
        .query_row(
            "SELECT collection, revision, generation, size, value, file
             FROM documents WHERE account = ? AND document = ?",
            params![account.as_bytes(), document.as_bytes()],
            |row| Ok(read_current(row)),
        )?
        .transpose()
}

fn read_current(row: &Row<'_>) -> Result<Current, TxError> {
    let file = row.get("file")?;
    Ok(Current {
        collection: CollectionId::new(row.get("collection")?),
        revision: unsigned(row.get("revision")?)?,
        generation: Generation(unsigned(row.get("generation")?)?),
        file,
        stored: Stored {
            size: unsigned(row.get("size")?)?,
            value: row.get("value")?,
            file,
        },
    })
}

fn upsert(
    transaction: &Transaction<'_>,
    effects: &mut Effects,
    account: AccountId,
    new: Document,
    size_before: i64,
) -> Result<Generation, TxError> {
    let generation = log::next_generation(transaction, effects, account)?;
    let (size, value, file) = columns(new.envelope, effects)?;
    accounts::add_octets(transaction, account, size.saturating_sub(size_before))?;
    transaction.execute(
        "INSERT INTO documents
                 (account, document, collection, revision, generation, size, value, file)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (account, document) DO UPDATE SET
                 revision = excluded.revision, generation = excluded.generation,
                 size = excluded.size, value = excluded.value, file = excluded.file",
        params![
            account.as_bytes(),
            new.id.as_bytes(),
            new.collection.as_bytes(),
            signed(new.revision)?,
            signed(generation.0)?,
            size,
            value,
            file,
        ],
    )?;
    Ok(generation)
}
