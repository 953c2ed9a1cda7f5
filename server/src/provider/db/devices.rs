//! The account's signed list of devices, and the keys by which they log in.
//!
//! Invariant: a key is here only while its device is in the list and was not logged out since it
//! proved the password last.

use letterlock_core::auth::devices::epoch_of;
use letterlock_core::auth::{DeviceList, SignedDeviceList};
use letterlock_core::id::{AccountId, Address, ReplicaId};
use rusqlite::params;

use super::{Effects, Transaction, TxError, sessions};

/// What a device's log-in needs.
pub(crate) struct DeviceLogIn {
    pub(crate) account: AccountId,
    pub(crate) key: Vec<u8>,
}

/// The list as it was signed.
pub(crate) fn list(
    transaction: &Transaction<'_>,
    account: AccountId,
) -> Result<Option<SignedDeviceList>, TxError> {
    let octets: Option<Option<Vec<u8>>> = transaction.query_row(
        "SELECT device_list FROM accounts WHERE account = ?",
        params![account.as_bytes()],
        |row| row.get(0),
    )?;
    octets
        .flatten()
        .map(|octets| SignedDeviceList::parse(&octets))
        .transpose()
        .map_err(|_| TxError::Damaged("an account's list of devices does not read"))
}

/// The key epoch of the account's list, 1 without one.
pub(crate) fn epoch(transaction: &Transaction<'_>, account: AccountId) -> Result<u32, TxError> {
    let head: Option<Option<Vec<u8>>> = transaction.query_row(
        "SELECT substr(device_list, 1, 64) FROM accounts WHERE account = ?",
        params![account.as_bytes()],
        |row| row.get(0),
    )?;
    Ok(epoch_of(&head.flatten().unwrap_or_default()))
}

/// Sets a list that was checked. Devices that are not in it any more are logged out, those that
/// are new or have a new key may log in by it.
pub(crate) fn set(
    transaction: &Transaction<'_>,
    effects: &mut Effects,
    account: AccountId,
    list: &SignedDeviceList,
) -> Result<(), TxError> {
    let before = self::list(transaction, account)?;
    transaction.execute(
        "UPDATE accounts SET device_list = ? WHERE account = ?",
        params![list.octets(), account.as_bytes()],
    )?;
    let before = before.as_ref().map(SignedDeviceList::list);
    for device in before.into_iter().flat_map(DeviceList::devices) {
        if list.list().find(device.id).is_none() {
            sessions::delete_device(transaction, effects, account, device.id)?;
        }
    }
    for device in list.list().devices() {
        let known = before.and_then(|before| before.find(device.id));
        if known.is_none_or(|known| known.key != device.key) {
            put_key(transaction, account, device.id, &device.key)?;
        }
    }
    Ok(())
}

/// A device of the list has proved the password: its key logs it in from now on.
pub(crate) fn admit(
    transaction: &Transaction<'_>,
    account: AccountId,
    replica: ReplicaId,
) -> Result<(), TxError> {
    let list = list(transaction, account)?;
    match list.as_ref().and_then(|list| list.list().find(replica)) {
        Some(device) => put_key(transaction, account, replica, &device.key),
        None => Ok(()),
    }
}

/// What a log-in of this device needs; `None` for an unknown address, and for a device that is not
/// in the list or was logged out.
pub(crate) fn log_in(
    transaction: &Transaction<'_>,
    address: &Address,
    replica: ReplicaId,
) -> Result<Option<DeviceLogIn>, TxError> {
    let found = transaction.query_row(
        "SELECT account, key FROM accounts JOIN device_keys USING (account)
             WHERE address = ? AND replica = ?",
        params![address.canonical().as_str(), replica.as_bytes()],
        |row| {
            Ok(DeviceLogIn {
                account: AccountId::new(row.get(0)?),
                key: row.get(1)?,
            })
        },
    )?;
    Ok(found)
}

/// Whether this key still logs this device in.
pub(crate) fn has_key(
    transaction: &Transaction<'_>,
    account: AccountId,
    replica: ReplicaId,
    key: &[u8],
) -> Result<bool, TxError> {
    transaction.exists(
        "SELECT 1 FROM device_keys WHERE account = ? AND replica = ? AND key = ?",
        params![account.as_bytes(), replica.as_bytes(), key],
    )
}

fn put_key(
    transaction: &Transaction<'_>,
    account: AccountId,
    replica: ReplicaId,
    key: &[u8],
) -> Result<(), TxError> {
    transaction.execute(
        "INSERT INTO device_keys (account, replica, key) VALUES (?, ?, ?)
         ON CONFLICT (account, replica) DO UPDATE SET key = excluded.key",
        params![account.as_bytes(), replica.as_bytes(), key],
    )?;
    Ok(())
}
