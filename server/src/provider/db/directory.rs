//! The key directory's log and map (`letterlock_core::keys::transparency`), in the same transaction
//! as what they tell of.
//!
//! [`establish`] makes key and salt at a provider's first start and enters the accounts that are
//! there; [`publish`] is called by whatever changes an address's certificates. The head is signed
//! with each change and kept, so answers need no key.
//! Invariant: no certificate is stored and none goes without its change in the log; the log's rows
//! are never rewritten. Cost: O(log n) rows for each change and each answer.

use letterlock_core::id::{Address, Timestamp};
use letterlock_core::keys::transparency::answer::{
    ANSWER_VERSION, ChangesAnswer, EntryAnswer, HeadAnswer, LookupAnswer,
};
use letterlock_core::keys::transparency::entry::{self, Step};
use letterlock_core::keys::transparency::head::{DirectoryKey, Head, Identity, SignedHead};
use letterlock_core::keys::transparency::map::{EMPTY, Label, MapNodes, Prefix, Value};
use letterlock_core::keys::transparency::merkle::{self, Hash, Node};
use letterlock_core::keys::transparency::serve::{self, DirectoryNodes};
use rand::RngCore as _;
use rand::rngs::OsRng;
use rusqlite::params;
use serde_bytes::ByteBuf;

use super::{Transaction, TxError, accounts, signed, unsigned};

/// The version of the log's rows that this program writes, and the only one that it reads.
const STEP_VERSION: u8 = 1;
/// Names of the directory's values in the table `provider`. The domain is the one of the first
/// start: devices have pinned it.
const KEY: &str = "directory key";
const SALT: &str = "directory salt";
const DOMAIN: &str = "directory domain";
const HEAD: &str = "directory head";

const DAMAGED: TxError = TxError::Damaged("the key directory's log is damaged");

/// Makes the directory, if there is none, and enters all accounts that are there.
pub(crate) fn establish(
    transaction: &Transaction<'_>,
    domain: &str,
    now: Timestamp,
) -> Result<bool, TxError> {
    if accounts::provider_value(transaction, HEAD)?.is_some() {
        return Ok(false);
    }
    let key = DirectoryKey::generate(&mut OsRng);
    let mut salt = [0; 32];
    OsRng.fill_bytes(&mut salt);
    accounts::set_provider_value(transaction, KEY, &*key.to_octets())?;
    accounts::set_provider_value(transaction, SALT, &salt)?;
    accounts::set_provider_value(transaction, DOMAIN, domain.as_bytes())?;
    sign(transaction, 0, EMPTY, now)?;
    let known: Vec<(String, Vec<u8>)> = transaction.query(
        "SELECT address, certificate FROM places JOIN keys USING (account) ORDER BY address",
        params![],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    for (address, certificate) in known {
        // An address that is none is reported where it is used.
        if let Ok(address) = Address::new(&address) {
            publish(transaction, &address, Some(&certificate), now)?;
        }
    }
    Ok(true)
}

/// Appends that an address has these certificates, or none any more. Nothing happens before the
/// directory is established: it enters what is there.
pub(crate) fn publish(
    transaction: &Transaction<'_>,
    address: &Address,
    certificates: Option<&[u8]>,
    now: Timestamp,
) -> Result<(), TxError> {
    let Some(head) = signed_head(transaction)? else {
        return Ok(());
    };
    let head = head.head();
    let salt = head.identity.salt;
    let label = entry::label(&salt, address);
    let set = entry::set_hash(certificates.as_slice());
    let mut tables = Tables(transaction);
    if let Some(written) = serve::change(&mut tables, salt, head.size, label, set)? {
        write(transaction, head.size, certificates, &written)?;
        let size = head.size.checked_add(1).ok_or(DAMAGED)?;
        sign(transaction, size, written.map_root, now)?;
    }
    if certificates.is_none() {
        // Who ends an account leaves hashes.
        transaction.execute(
            "UPDATE directory_log SET entry = NULL WHERE label = ?",
            params![label.0.0],
        )?;
    }
    Ok(())
}

/// Answers a question for the head; `None` before the directory is established, as below.
pub(crate) fn head(
    transaction: &Transaction<'_>,
    seen: u64,
    also: u64,
) -> Result<Option<HeadAnswer>, TxError> {
    let head = signed_head(transaction)?;
    head.map(|head| serve::head(&mut Tables(transaction), &head, seen, also))
        .transpose()
}

/// Answers a question for an address.
pub(crate) fn lookup(
    transaction: &Transaction<'_>,
    address: &Address,
    seen: u64,
) -> Result<Option<LookupAnswer>, TxError> {
    let Some(head) = signed_head(transaction)? else {
        return Ok(None);
    };
    let label = entry::label(&head.head().identity.salt, address);
    let newest = transaction.query_row(
        "SELECT entry FROM directory_log WHERE label = ? ORDER BY position DESC LIMIT 1",
        params![label.0.0],
        |row| row.get::<Option<Vec<u8>>>(0),
    )?;
    let certificates = newest.flatten().into_iter().collect();
    let mut tables = Tables(transaction);
    serve::lookup(&mut tables, &head, seen, &label, certificates).map(Some)
}

/// Answers a question for changes.
pub(crate) fn changes(
    transaction: &Transaction<'_>,
    from: u64,
    seen: u64,
) -> Result<Option<ChangesAnswer>, TxError> {
    let head = signed_head(transaction)?;
    head.map(|head| serve::changes(&mut Tables(transaction), &head, seen, from))
        .transpose()
}

/// Answers a question for what a change has published; `None` if there is no such change.
pub(crate) fn entry(
    transaction: &Transaction<'_>,
    position: u64,
) -> Result<Option<EntryAnswer>, TxError> {
    let Ok(position) = i64::try_from(position) else {
        return Ok(None);
    };
    let found = transaction.query_row(
        "SELECT entry FROM directory_log WHERE position = ?",
        params![position],
        |row| row.get::<Option<Vec<u8>>>(0),
    )?;
    Ok(found.map(|entry| EntryAnswer {
        version: ANSWER_VERSION,
        certificates: entry.into_iter().map(ByteBuf::from).collect(),
    }))
}

fn write(
    transaction: &Transaction<'_>,
    size: u64,
    certificates: Option<&[u8]>,
    written: &serve::Written,
) -> Result<(), TxError> {
    let Step { label, value, .. } = &written.step;
    let step = postcard::to_extend(&written.step, vec![STEP_VERSION]).map_err(|_| DAMAGED)?;
    transaction.execute(
        "INSERT INTO directory_log (position, label, step, entry) VALUES (?, ?, ?, ?)",
        params![signed(size)?, label.0.0, step, certificates],
    )?;
    for (at, hash) in &written.log {
        transaction.execute(
            "INSERT INTO directory_nodes (level, position, hash) VALUES (?, ?, ?)",
            params![at.level, signed(at.index)?, hash.0],
        )?;
    }
    for (at, hash) in &written.inner {
        transaction.execute(
            "INSERT INTO directory_map (depth, bits, hash) VALUES (?, ?, ?)
             ON CONFLICT (depth, bits) DO UPDATE SET hash = excluded.hash",
            params![at.depth, at.bits, hash.0],
        )?;
    }
    transaction.execute(
        "INSERT INTO directory_entries (label, version, set_hash) VALUES (?, ?, ?)
             ON CONFLICT (label) DO UPDATE
             SET version = excluded.version, set_hash = excluded.set_hash",
        params![label.0.0, signed(value.version)?, value.set.0],
    )?;
    Ok(())
}

/// Signs what the directory is since and keeps it.
fn sign(
    transaction: &Transaction<'_>,
    size: u64,
    map_root: Hash,
    now: Timestamp,
) -> Result<(), TxError> {
    let value = |name| {
        let value = accounts::provider_value(transaction, name)?;
        value.ok_or(TxError::Damaged("the key directory has lost its key"))
    };
    let key = DirectoryKey::from_octets(&value(KEY)?).ok_or(DAMAGED)?;
    let salt = <[u8; 32]>::try_from(value(SALT)?).map_err(|_| DAMAGED)?;
    let domain = String::from_utf8(value(DOMAIN)?).map_err(|_| DAMAGED)?;
    let mut tables = Tables(transaction);
    let log_root = merkle::root(size, |at| tables.log_node(at))?;
    let head = key.sign(Head {
        identity: Identity {
            domain,
            key: key.public(),
            salt: Hash(salt),
        },
        size,
        log_root,
        map_root,
        time: now,
    });
    accounts::set_provider_value(transaction, HEAD, head.octets())
}

fn signed_head(transaction: &Transaction<'_>) -> Result<Option<SignedHead>, TxError> {
    let octets = accounts::provider_value(transaction, HEAD)?;
    octets
        .map(|octets| SignedHead::parse(&octets).map_err(|_| DAMAGED))
        .transpose()
}

/// Where log and map are.
struct Tables<'a>(&'a Transaction<'a>);

impl MapNodes for Tables<'_> {
    type Error = TxError;

    fn inner(&mut self, at: &Prefix) -> Result<Option<Hash>, TxError> {
        let hash = self.0.query_row(
            "SELECT hash FROM directory_map WHERE depth = ? AND bits = ?",
            params![at.depth, at.bits],
            |row| row.get(0).map(Hash),
        )?;
        Ok(hash)
    }

    fn entry(&mut self, at: &Prefix) -> Result<Option<(Label, Value)>, TxError> {
        let found = self.0.query_row(
            "SELECT label, version, set_hash FROM directory_entries
                 WHERE label BETWEEN ? AND ? ORDER BY label LIMIT 1",
            params![at.bits, at.last()],
            |row| {
                let version: i64 = row.get(1)?;
                Ok((row.get(0)?, version, row.get(2)?))
            },
        )?;
        let Some((label, version, set)) = found else {
            return Ok(None);
        };
        let value = Value {
            version: unsigned(version)?,
            set: Hash(set),
        };
        Ok(Some((Label(Hash(label)), value)))
    }
}

impl DirectoryNodes for Tables<'_> {
    fn log_node(&mut self, at: Node) -> Result<Hash, TxError> {
        let position = signed(at.index)?;
        let hash = self.0.query_row(
            "SELECT hash FROM directory_nodes WHERE level = ? AND position = ?",
            params![at.level, position],
            |row| row.get(0).map(Hash),
        )?;
        hash.ok_or(DAMAGED)
    }

    fn step(&mut self, position: u64) -> Result<Step, TxError> {
        let step: Vec<u8> = self
            .0
            .query_row(
                "SELECT step FROM directory_log WHERE position = ?",
                params![signed(position)?],
                |row| row.get(0),
            )?
            .ok_or(DAMAGED)?;
        match step.split_first() {
            Some((&STEP_VERSION, step)) => postcard::from_bytes(step).map_err(|_| DAMAGED),
            Some(_) => Err(TxError::Damaged(
                "the key directory's log was written by a newer letterlock: use that",
            )),
            None => Err(DAMAGED),
        }
    }
}

#[cfg(test)]
mod tests;
