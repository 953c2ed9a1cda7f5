//! Where each account is: the table `places` of the main database, which names the accounts of all.
//!
//! Invariant: its row is what makes an account: an account's row that no place names, or with another
//! epoch, is nobody's. What is public of an account is here, too: its address, its certificates.

use letterlock_core::id::{AccountId, Address};
use letterlock_core::keys::wkd;
use rusqlite::params;

use super::{Both, Transaction, TxError};

/// Where an account is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) shard: String,
    pub(super) epoch: i64,
}

/// Names a new account; false if the address or the id is taken.
pub(crate) fn insert(
    both: &Both<'_>,
    account: AccountId,
    address: &Address,
) -> Result<bool, TxError> {
    let address = address.canonical();
    let inserted = both.provider.execute(
        "INSERT INTO places (account, address, wkd_name, shard) VALUES (?, ?, ?, ?)
         ON CONFLICT DO NOTHING",
        params![
            account.as_bytes(),
            address.as_str(),
            wkd::name_of(address.local_part()),
            both.shard
        ],
    )?;
    if inserted == 1 && !both.is_one() {
        free_address(both.account, &address)?;
    }
    Ok(inserted == 1)
}

/// Takes an address from rows that no place names: of a sign-up that was killed before it was named, or
/// of one that a main database has forgotten that was set back to a backup.
pub(super) fn free_address(
    transaction: &Transaction<'_>,
    address: &Address,
) -> Result<(), TxError> {
    let address = address.canonical();
    let alike = transaction.query(
        "SELECT account FROM accounts WHERE address = ?",
        params![address.as_str()],
        |row| row.get(0).map(AccountId::new),
    )?;
    for account in alike {
        transaction.execute(
            "UPDATE accounts SET address = ? WHERE account = ?",
            params![format!("unnamed {account}"), account.as_bytes()],
        )?;
    }
    Ok(())
}

/// The account is nobody's from now on; its certificates go with its place.
pub(super) fn remove(transaction: &Transaction<'_>, account: AccountId) -> Result<(), TxError> {
    transaction.execute(
        "DELETE FROM places WHERE account = ?",
        params![account.as_bytes()],
    )?;
    Ok(())
}

/// The account with exactly this address, in any case of letters.
pub(crate) fn find(
    transaction: &Transaction<'_>,
    address: &Address,
) -> Result<Option<AccountId>, TxError> {
    transaction.query_row(
        "SELECT account FROM places WHERE address = ?",
        params![address.canonical().as_str()],
        |row| row.get(0).map(AccountId::new),
    )
}

/// The account's place.
pub(super) fn place(
    transaction: &Transaction<'_>,
    account: AccountId,
) -> Result<Option<Place>, TxError> {
    transaction.query_row(
        "SELECT shard, epoch FROM places WHERE account = ?",
        params![account.as_bytes()],
        |row| {
            Ok(Place {
                shard: row.get(0)?,
                epoch: row.get(1)?,
            })
        },
    )
}

/// Gives an account another place and the next epoch; false if it is not where it was thought to be.
pub(super) fn change(
    transaction: &Transaction<'_>,
    account: AccountId,
    from: &Place,
    to: &str,
) -> Result<bool, TxError> {
    let changed = transaction.execute(
        "UPDATE places SET shard = ?, epoch = epoch + 1
         WHERE account = ? AND shard = ? AND epoch = ?",
        params![to, account.as_bytes(), from.shard, from.epoch],
    )?;
    Ok(changed == 1)
}

/// The account's canonical address.
pub(crate) fn address(
    transaction: &Transaction<'_>,
    account: AccountId,
) -> Result<Option<Address>, TxError> {
    transaction.query_row(
        "SELECT address FROM places WHERE account = ?",
        params![account.as_bytes()],
        |row| read_address(&row.get::<String>(0)?),
    )
}

/// The addresses with this name in the Web Key Directory, of whatever domain.
pub(crate) fn with_wkd_name(
    transaction: &Transaction<'_>,
    name: &str,
) -> Result<Vec<Address>, TxError> {
    transaction.query(
        "SELECT address FROM places WHERE wkd_name = ?",
        params![name],
        |row| read_address(&row.get::<String>(0)?),
    )
}

/// The names of shards that have accounts.
pub(super) fn shards(transaction: &Transaction<'_>) -> Result<Vec<String>, TxError> {
    transaction.query("SELECT DISTINCT shard FROM places", params![], |row| {
        row.get(0)
    })
}

/// The addresses of a shard's accounts, in order.
pub(super) fn of_shard(transaction: &Transaction<'_>, shard: &str) -> Result<Vec<String>, TxError> {
    transaction.query(
        "SELECT address FROM places WHERE shard = ? ORDER BY address",
        params![shard],
        |row| row.get(0),
    )
}

fn read_address(text: &str) -> Result<Address, TxError> {
    Address::new(text).map_err(|_| TxError::Damaged("an account has an invalid address"))
}
