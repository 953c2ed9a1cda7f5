//! Log-ins of devices, by the hash of their token.

use letterlock_core::id::{AccountId, ReplicaId, Timestamp};
use rusqlite::params;

use super::{Effects, Transaction, TxError};

/// Most sessions of one account; a new one beyond it ends the oldest.
pub(crate) const MAX_SESSIONS: i64 = 200;

/// How far behind [`Session::last_seen`] may be, in milliseconds: 10 minutes. A device that waits
/// for news all day would otherwise write with every call.
pub(crate) const SEEN_EVERY_MS: i64 = 10 * 60 * 1000;

/// How long a token of a device is valid that can log in by its key, in milliseconds: a day. Then
/// it does so again; one that was stolen is worth nothing.
pub(crate) const KEYED_MS: i64 = 24 * 60 * 60 * 1000;

/// SHA-256 of a token.
pub(crate) type TokenHash = [u8; 32];

/// What a token stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    pub(crate) account: AccountId,
    pub(crate) replica: ReplicaId,
    pub(crate) last_seen: Timestamp,
}

/// A device that is logged in, perhaps more than once.
pub(crate) struct LoggedIn {
    pub(crate) replica: ReplicaId,
    pub(crate) name: String,
    pub(crate) since: Timestamp,
    pub(crate) last_seen: Timestamp,
}

/// Begins a session.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    account: AccountId,
    token: &TokenHash,
    (replica, device_name): (ReplicaId, &str),
    now: Timestamp,
) -> Result<(), TxError> {
    transaction.execute(
        "INSERT INTO sessions (token_hash, account, replica, device_name, created_at, last_seen)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        params![
            token,
            account.as_bytes(),
            replica.as_bytes(),
            device_name,
            now.as_millis()
        ],
    )?;
    // What has ended would fill the list up.
    transaction.execute(
        "DELETE FROM sessions WHERE account = ?1 AND replica = ?2 AND created_at <= ?3
             AND EXISTS (SELECT 1 FROM device_keys WHERE account = ?1 AND replica = ?2)",
        params![account.as_bytes(), replica.as_bytes(), oldest(now)],
    )?;
    transaction.execute(
        "DELETE FROM sessions WHERE account = ?1 AND token_hash NOT IN (
             SELECT token_hash FROM sessions WHERE account = ?1
             ORDER BY created_at DESC LIMIT ?2)",
        params![account.as_bytes(), MAX_SESSIONS],
    )?;
    Ok(())
}

/// What this token stands for now.
pub(crate) fn find(
    transaction: &Transaction<'_>,
    token: &TokenHash,
    now: Timestamp,
) -> Result<Option<Session>, TxError> {
    let session = transaction.query_row(
        "SELECT account, replica, last_seen FROM sessions
             WHERE token_hash = ? AND (created_at > ? OR NOT EXISTS (
                 SELECT 1 FROM device_keys
                 WHERE device_keys.account = sessions.account
                     AND device_keys.replica = sessions.replica))",
        params![token, oldest(now)],
        |row| {
            Ok(Session {
                account: AccountId::new(row.get(0)?),
                replica: ReplicaId::new(row.get(1)?),
                last_seen: Timestamp::from_millis(row.get(2)?),
            })
        },
    )?;
    Ok(session)
}

/// The device was heard of.
pub(crate) fn seen(
    transaction: &Transaction<'_>,
    token: &TokenHash,
    now: Timestamp,
) -> Result<(), TxError> {
    transaction.execute(
        "UPDATE sessions SET last_seen = ? WHERE token_hash = ?",
        params![now.as_millis(), token],
    )?;
    Ok(())
}

/// The account's devices, the one seen last first; each with the name of its newest log-in.
pub(crate) fn devices(
    transaction: &Transaction<'_>,
    account: AccountId,
) -> Result<Vec<LoggedIn>, TxError> {
    transaction.query(
        "SELECT replica, device_name, since, seen FROM (
             SELECT replica, device_name,
                 min(created_at) OVER (PARTITION BY replica) AS since,
                 max(last_seen) OVER (PARTITION BY replica) AS seen,
                 row_number() OVER (PARTITION BY replica ORDER BY created_at DESC, token_hash) AS nth
             FROM sessions WHERE account = ?) AS log_ins
         WHERE nth = 1 ORDER BY seen DESC, replica",
        params![account.as_bytes()],
        |row| {
            Ok(LoggedIn {
                replica: ReplicaId::new(row.get(0)?),
                name: row.get(1)?,
                since: Timestamp::from_millis(row.get(2)?),
                last_seen: Timestamp::from_millis(row.get(3)?),
            })
        },
    )
}

/// Ends a session.
pub(crate) fn delete(
    transaction: &Transaction<'_>,
    effects: &mut Effects,
    account: AccountId,
    token: &TokenHash,
) -> Result<(), TxError> {
    transaction.execute("DELETE FROM sessions WHERE token_hash = ?", params![token])?;
    effects.wake(account);
    Ok(())
}

/// Ends all sessions of a device, and its key; false if it has neither. Pulls of the account that wait look
/// again, so that those of the device end at once.
pub(crate) fn delete_device(
    transaction: &Transaction<'_>,
    effects: &mut Effects,
    account: AccountId,
    replica: ReplicaId,
) -> Result<bool, TxError> {
    let ended = transaction.execute(
        "DELETE FROM sessions WHERE account = ? AND replica = ?",
        params![account.as_bytes(), replica.as_bytes()],
    )?;
    let keys = transaction.execute(
        "DELETE FROM device_keys WHERE account = ? AND replica = ?",
        params![account.as_bytes(), replica.as_bytes()],
    )?;
    effects.wake(account);
    Ok(ended > 0 || keys > 0)
}

/// Ends the sessions and keys of all devices of an account but `kept`.
pub(crate) fn delete_others(
    transaction: &Transaction<'_>,
    effects: &mut Effects,
    account: AccountId,
    kept: Option<ReplicaId>,
) -> Result<(), TxError> {
    // No device's id is empty: without one to keep, all end.
    let kept: &[u8] = kept.as_ref().map_or(&[], |kept| kept.as_bytes().as_slice());
    for sql in [
        "DELETE FROM sessions WHERE account = ? AND replica <> ?",
        "DELETE FROM device_keys WHERE account = ? AND replica <> ?",
    ] {
        transaction.execute(sql, params![account.as_bytes(), kept])?;
    }
    effects.wake(account);
    Ok(())
}

/// When a token of a device with a key was made at the latest that is not valid any more.
const fn oldest(now: Timestamp) -> i64 {
    now.as_millis().saturating_sub(KEYED_MS)
}
