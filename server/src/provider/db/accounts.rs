//! Accounts as their owners have them: OPAQUE record, root key wraps, counters.

use letterlock_core::id::{AccountId, Address, Timestamp};
use rusqlite::params;

use super::{Transaction, TxError, unsigned};

/// A new account.
pub(crate) struct NewAccount {
    pub(crate) account: AccountId,
    pub(crate) address: Address,
    pub(crate) record: Vec<u8>,
    pub(crate) root_key_wrap: Vec<u8>,
    pub(crate) recovery: Option<Recovery>,
}

/// What a recovery phrase is known by, and the root key that it opens.
pub(crate) struct Recovery {
    pub(crate) verifier: Vec<u8>,
    pub(crate) root_key_wrap: Vec<u8>,
}

/// What a recovery needs.
pub(crate) struct Recoverable {
    pub(crate) account: AccountId,
    pub(crate) recovery: Option<Recovery>,
}

/// What its owner may know of an account.
pub(crate) struct State {
    pub(crate) created_at: Timestamp,
    pub(crate) has_recovery: bool,
    pub(crate) octets: u64,
}

/// What a log-in needs.
pub(crate) struct Credentials {
    pub(crate) account: AccountId,
    pub(crate) record: Vec<u8>,
    pub(crate) root_key_wrap: Vec<u8>,
}

/// Inserts an account; false if the address or the id is taken.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    new: &NewAccount,
    now: Timestamp,
) -> Result<bool, TxError> {
    let inserted = transaction.execute(
        "INSERT INTO accounts (account, address, record, root_key_wrap, created_at)
         VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        params![
            new.account.as_bytes(),
            new.address.canonical().as_str(),
            new.record,
            new.root_key_wrap,
            now.as_millis()
        ],
    )?;
    if let (1, Some(recovery)) = (inserted, &new.recovery) {
        set_recovery(transaction, new.account, recovery)?;
    }
    Ok(inserted == 1)
}

/// Sets what a recovery phrase is known by.
pub(crate) fn set_recovery(
    transaction: &Transaction<'_>,
    account: AccountId,
    recovery: &Recovery,
) -> Result<(), TxError> {
    transaction.execute(
        "UPDATE accounts SET recovery_verifier = ?, recovery_wrap = ? WHERE account = ?",
        params![
            recovery.verifier,
            recovery.root_key_wrap,
            account.as_bytes()
        ],
    )?;
    Ok(())
}

/// Sets a new password's record and wrap; what was there before is overwritten.
pub(crate) fn set_password(
    transaction: &Transaction<'_>,
    account: AccountId,
    record: &[u8],
    root_key_wrap: &[u8],
) -> Result<bool, TxError> {
    let changed = transaction.execute(
        "UPDATE accounts SET record = ?, root_key_wrap = ? WHERE account = ? AND deleting = 0",
        params![record, root_key_wrap, account.as_bytes()],
    )?;
    Ok(changed == 1)
}

/// What a recovery of this address needs.
pub(crate) fn recoverable(
    transaction: &Transaction<'_>,
    address: &Address,
) -> Result<Option<Recoverable>, TxError> {
    let found = transaction.query_row(
        "SELECT account, recovery_verifier, recovery_wrap FROM accounts WHERE address = ?",
        params![address.canonical().as_str()],
        |row| {
            let verifier: Option<Vec<u8>> = row.get(1)?;
            let wrap: Option<Vec<u8>> = row.get(2)?;
            let recovery = verifier.zip(wrap);
            Ok(Recoverable {
                account: AccountId::new(row.get(0)?),
                recovery: recovery.map(|(verifier, root_key_wrap)| Recovery {
                    verifier,
                    root_key_wrap,
                }),
            })
        },
    )?;
    Ok(found)
}

/// What its owner may know of an account.
pub(crate) fn state(
    transaction: &Transaction<'_>,
    account: AccountId,
) -> Result<Option<State>, TxError> {
    let found = transaction.query_row(
        "SELECT created_at, recovery_verifier IS NOT NULL, octets
             FROM accounts WHERE account = ?",
        params![account.as_bytes()],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    found
        .map(|(created_at, has_recovery, octets)| {
            Ok(State {
                created_at: Timestamp::from_millis(created_at),
                has_recovery,
                octets: unsigned(octets)?,
            })
        })
        .transpose()
}

/// Octets of the account's documents and incoming messages; 0 if it is gone.
pub(crate) fn octets(transaction: &Transaction<'_>, account: AccountId) -> Result<u64, TxError> {
    let octets = transaction.query_row(
        "SELECT octets FROM accounts WHERE account = ?",
        params![account.as_bytes()],
        |row| row.get(0),
    )?;
    unsigned(octets.unwrap_or(0))
}

/// How many accounts are in this database, and the octets of all.
pub(super) fn totals(transaction: &Transaction<'_>) -> Result<(u64, u64), TxError> {
    let totals = transaction.query_row(
        "SELECT count(*), CAST(coalesce(sum(octets), 0) AS BIGINT) FROM accounts
         WHERE deleting = 0 AND epoch >= 0",
        params![],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (accounts, octets): (i64, i64) = totals.unwrap_or_default();
    Ok((unsigned(accounts)?, unsigned(octets)?))
}

/// Counts octets that came (or went, if negative).
pub(super) fn add_octets(
    transaction: &Transaction<'_>,
    account: AccountId,
    change: i64,
) -> Result<(), TxError> {
    transaction.execute(
        "UPDATE accounts SET octets = CASE WHEN octets + ?1 > 0 THEN octets + ?1 ELSE 0 END
         WHERE account = ?2",
        params![change, account.as_bytes()],
    )?;
    Ok(())
}

/// What a log-in to this address needs.
pub(crate) fn credentials(
    transaction: &Transaction<'_>,
    address: &Address,
) -> Result<Option<Credentials>, TxError> {
    let found = transaction.query_row(
        "SELECT account, record, root_key_wrap FROM accounts WHERE address = ?",
        params![address.canonical().as_str()],
        |row| {
            Ok(Credentials {
                account: AccountId::new(row.get(0)?),
                record: row.get(1)?,
                root_key_wrap: row.get(2)?,
            })
        },
    )?;
    Ok(found)
}

/// The account's canonical address.
pub(crate) fn address(
    transaction: &Transaction<'_>,
    account: AccountId,
) -> Result<Option<Address>, TxError> {
    let address = transaction.query_row(
        "SELECT address FROM accounts WHERE account = ?",
        params![account.as_bytes()],
        |row| row.get::<String>(0),
    )?;
    address
        .map(|address| Address::new(&address))
        .transpose()
        .map_err(|_| TxError::Damaged("an account has an invalid address"))
}

/// Messages ever accepted for an address; `None` if there is no such account.
pub(crate) fn incoming_count(
    transaction: &Transaction<'_>,
    address: &Address,
) -> Result<Option<u64>, TxError> {
    let count = transaction.query_row(
        "SELECT incoming_count FROM accounts WHERE address = ?",
        params![address.canonical().as_str()],
        |row| row.get(0),
    )?;
    count.map(unsigned).transpose()
}

/// A value of the provider itself.
pub(crate) fn provider_value(
    transaction: &Transaction<'_>,
    name: &str,
) -> Result<Option<Vec<u8>>, TxError> {
    let value = transaction.query_row(
        "SELECT value FROM provider WHERE name = ?",
        params![name],
        |row| row.get(0),
    )?;
    Ok(value)
}

/// Sets a value of the provider itself.
pub(crate) fn set_provider_value(
    transaction: &Transaction<'_>,
    name: &str,
    value: &[u8],
) -> Result<(), TxError> {
    transaction.execute(
        "INSERT INTO provider (name, value) VALUES (?, ?)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        params![name, value],
    )?;
    Ok(())
}
