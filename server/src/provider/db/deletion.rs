//! The end of an account: a first step after which nobody has it, and the removal of what it had.
//!
//! [`begin`] is one transaction (of each of two databases, that of the account first: then [`leave`] makes
//! up for the other): log-ins, certificate, directory names, record, wraps and queued
//! mail go, and the address is kept from others for [`RESERVED_MS`]. [`step`] then removes
//! documents and incoming messages, some at a time, so that no other account waits long; a
//! provider that was stopped goes on with it at its next start.
//! Invariant: from the first step on no mail, push or log-in reaches the account.
//! Rejected: one `DELETE` that cascades; overwriting 100,000 rows (`secure_delete`) holds the only
//! writer for many seconds.

use letterlock_core::id::{AccountId, Address, Timestamp};
use rusqlite::params;

use super::{Both, Effects, Transaction, TxError, accounts, directory, places, sessions, unsigned};

/// How long the address of a deleted account is given to nobody, in milliseconds: 180 days. Mail
/// that is meant for the one who had it must not reach another.
pub(crate) const RESERVED_MS: i64 = 180 * 24 * 60 * 60 * 1000;

/// What was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) documents: u64,
    pub(crate) incoming: u64,
    pub(crate) queued: u64,
    pub(crate) devices: u64,
    pub(crate) octets: u64,
    pub(crate) reserved_until: Timestamp,
}

/// Ends the account; `None` if there is none.
pub(crate) fn begin(
    both: &Both<'_>,
    effects: &mut Effects,
    account: AccountId,
    now: Timestamp,
) -> Result<Option<Removed>, TxError> {
    let transaction = both.account;
    let Some(address) = accounts::address(transaction, account)? else {
        return Ok(None);
    };
    let count = |sql: &str| -> Result<u64, TxError> {
        let found = transaction.query_row(sql, params![account.as_bytes()], |row| row.get(0))?;
        unsigned(found.unwrap_or(0))
    };
    let removed = Removed {
        documents: count("SELECT count(*) FROM documents WHERE account = ?")?,
        incoming: count("SELECT count(*) FROM incoming WHERE account = ? AND removed = 0")?,
        queued: remove_queued(transaction, effects, &address)?,
        devices: count("SELECT count(DISTINCT replica) FROM sessions WHERE account = ?")?,
        octets: accounts::octets(transaction, account)?,
        reserved_until: Timestamp::from_millis(now.as_millis().saturating_add(RESERVED_MS)),
    };
    leave(both.provider, account, now)?;
    sessions::delete_others(transaction, effects, account, None)?;
    transaction.execute(
        "DELETE FROM submissions WHERE account = ?",
        params![account.as_bytes()],
    )?;
    // No address is like this one.
    let nobody = format!("deleted {account}");
    let nothing: &[u8] = &[];
    transaction.execute(
        "UPDATE accounts SET deleting = 1, address = ?1,
             record = ?2, root_key_wrap = ?2, recovery_verifier = NULL, recovery_wrap = NULL,
             device_list = NULL
         WHERE account = ?3",
        params![nobody, nothing, account.as_bytes()],
    )?;
    Ok(Some(removed))
}

/// Takes an account that was ended out of what is the provider's own; false if it is not there.
pub(crate) fn leave(
    provider: &Transaction<'_>,
    account: AccountId,
    now: Timestamp,
) -> Result<bool, TxError> {
    let Some(address) = places::address(provider, account)? else {
        return Ok(false);
    };
    let until = Timestamp::from_millis(now.as_millis().saturating_add(RESERVED_MS));
    reserve(provider, &address, until)?;
    directory::publish(provider, &address, None, now)?;
    places::remove(provider, account)?;
    Ok(true)
}

/// An account that was ended and still has something here.
pub(crate) fn ended(transaction: &Transaction<'_>) -> Result<Option<AccountId>, TxError> {
    transaction.query_row(
        "SELECT account FROM accounts WHERE deleting = 1 LIMIT 1",
        params![],
        |row| row.get(0).map(AccountId::new),
    )
}

/// Removes up to `limit` documents or messages of an account that was ended, or the account itself
/// when it has none any more. False if there is nothing more to do.
pub(crate) fn step(
    transaction: &Transaction<'_>,
    effects: &mut Effects,
    account: AccountId,
    limit: u32,
) -> Result<bool, TxError> {
    let account = account.as_bytes();
    let is_ended = "SELECT 1 FROM accounts WHERE account = ? AND deleting = 1";
    if !transaction.exists(is_ended, params![account])? {
        return Ok(false);
    }
    for sql in [
        "DELETE FROM documents WHERE account = ?1 AND document IN
             (SELECT document FROM documents WHERE account = ?1 LIMIT ?2) RETURNING file",
        "DELETE FROM incoming WHERE account = ?1 AND incoming IN
             (SELECT incoming FROM incoming WHERE account = ?1 LIMIT ?2) RETURNING file",
    ] {
        let files = transaction.query(sql, params![account, limit], |row| row.get(0))?;
        if !files.is_empty() {
            for file in files {
                effects.forget(file);
            }
            return Ok(true);
        }
    }
    transaction.execute("DELETE FROM accounts WHERE account = ?", params![account])?;
    Ok(true)
}

/// Whether the address is kept from everybody now; forgets those whose time is over.
pub(crate) fn is_reserved(
    transaction: &Transaction<'_>,
    address: &Address,
    now: Timestamp,
) -> Result<bool, TxError> {
    transaction.exists(
        "SELECT 1 FROM reserved_addresses WHERE address = ? AND until > ?",
        params![address.canonical().as_str(), now.as_millis()],
    )
}

fn reserve(
    transaction: &Transaction<'_>,
    address: &Address,
    until: Timestamp,
) -> Result<(), TxError> {
    transaction.execute(
        "INSERT INTO reserved_addresses (address, until) VALUES (?, ?)
         ON CONFLICT (address) DO UPDATE SET until = excluded.until",
        params![address.canonical().as_str(), until.as_millis()],
    )?;
    Ok(())
}

/// Mail of this sender that the relay does not have yet. The queue knows senders by their address.
fn remove_queued(
    transaction: &Transaction<'_>,
    effects: &mut Effects,
    sender: &Address,
) -> Result<u64, TxError> {
    let queued = transaction.query(
        "SELECT position, reverse_path, file FROM queue",
        params![],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let mut removed: u64 = 0;
    for (position, reverse_path, file) in queued {
        let (position, reverse_path): (i64, String) = (position, reverse_path);
        let of_sender = Address::new(&reverse_path)
            .is_ok_and(|address| address.canonical() == sender.canonical());
        if of_sender {
            transaction.execute("DELETE FROM queue WHERE position = ?", params![position])?;
            effects.forget(file);
            removed = removed.saturating_add(1);
        }
    }
    Ok(removed)
}
