//! Accounts by address: OPAQUE record, root key wrap, counters.

use letterlock_core::id::{AccountId, Address, Timestamp};
use letterlock_core::keys::wkd;
use rusqlite::{OptionalExtension, Transaction, params};

use super::{TxError, unsigned};

/// A new account.
pub(crate) struct NewAccount {
    pub(crate) account: AccountId,
    pub(crate) address: Address,
    pub(crate) record: Vec<u8>,
    pub(crate) root_key_wrap: Vec<u8>,
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
        "INSERT OR IGNORE INTO accounts (account, address, wkd_name, record, root_key_wrap, created_at)
         VALUES (?, ?, ?, ?, ?, ?)",
        params![
            new.account.as_bytes(),
            new.address.canonical().as_str(),
            wkd::name_of(new.address.canonical().local_part()),
            new.record,
            new.root_key_wrap,
            now.as_millis()
        ],
    )?;
    Ok(inserted == 1)
}

/// The account with exactly this address, in any case of letters.
pub(crate) fn find(
    transaction: &Transaction<'_>,
    address: &Address,
) -> Result<Option<AccountId>, TxError> {
    let account = transaction
        .prepare_cached("SELECT account FROM accounts WHERE address = ?")?
        .query_row([address.canonical().as_str()], |row| row.get(0))
        .optional()?;
    Ok(account.map(AccountId::new))
}

/// The addresses with this name in the Web Key Directory, of whatever domain.
pub(crate) fn with_wkd_name(
    transaction: &Transaction<'_>,
    name: &str,
) -> Result<Vec<Address>, TxError> {
    let mut found =
        transaction.prepare_cached("SELECT address FROM accounts WHERE wkd_name = ?")?;
    let rows = found.query_map([name], |row| row.get::<_, String>(0))?;
    rows.map(|address| {
        Address::new(&address?).map_err(|_| TxError::Damaged("an account has an invalid address"))
    })
    .collect()
}

/// What a log-in to this address needs.
pub(crate) fn credentials(
    transaction: &Transaction<'_>,
    address: &Address,
) -> Result<Option<Credentials>, TxError> {
    let found = transaction
        .prepare_cached("SELECT account, record, root_key_wrap FROM accounts WHERE address = ?")?
        .query_row([address.canonical().as_str()], |row| {
            Ok(Credentials {
                account: AccountId::new(row.get(0)?),
                record: row.get(1)?,
                root_key_wrap: row.get(2)?,
            })
        })
        .optional()?;
    Ok(found)
}

/// The account's canonical address.
pub(crate) fn address(
    transaction: &Transaction<'_>,
    account: AccountId,
) -> Result<Option<Address>, TxError> {
    let address = transaction
        .prepare_cached("SELECT address FROM accounts WHERE account = ?")?
        .query_row([account.as_bytes()], |row| row.get::<_, String>(0))
        .optional()?;
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
    let count = transaction
        .prepare_cached("SELECT incoming_count FROM accounts WHERE address = ?")?
        .query_row([address.canonical().as_str()], |row| row.get(0))
        .optional()?;
    count.map(unsigned).transpose()
}

/// A value of the provider itself.
pub(crate) fn provider_value(
    transaction: &Transaction<'_>,
    name: &str,
) -> Result<Option<Vec<u8>>, TxError> {
    let value = transaction
        .query_row("SELECT value FROM provider WHERE name = ?", [name], |row| {
            row.get(0)
        })
        .optional()?;
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
