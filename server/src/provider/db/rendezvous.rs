//! What two devices leave each other while one enrols the other.
//!
//! Invariant: a rendezvous is begun by a device that is logged in, belongs to its account, and has
//! each of its three messages once; nobody is shown one that has ended. Rows that have ended go when
//! the account begins the next, and with its place. They are the provider's own, because who asks
//! for one does not know whose it is.

use letterlock_core::auth::enrolment::{ENROLMENT_MS, Step};
use letterlock_core::id::{AccountId, RendezvousId, Timestamp};
use rusqlite::params;

use super::{Transaction, TxError};

/// Most rendezvous of an account that have not ended.
pub(crate) const MAX_OPEN: i64 = 8;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    Done,
    /// This message is there already.
    Already,
    /// There is no such rendezvous, or not of this account.
    Unknown,
    /// The account has begun [`MAX_OPEN`].
    TooMany,
}

/// Leaves the first message.
pub(crate) fn begin(
    transaction: &Transaction<'_>,
    (id, account): (RendezvousId, AccountId),
    message: &[u8],
    now: Timestamp,
) -> Result<Left, TxError> {
    transaction.execute(
        "DELETE FROM rendezvous WHERE account = ? AND expires_at <= ?",
        params![account.as_bytes(), now.as_millis()],
    )?;
    let open: Option<i64> = transaction.query_row(
        "SELECT count(*) FROM rendezvous WHERE account = ? AND step = 1",
        params![account.as_bytes()],
        |row| row.get(0),
    )?;
    if open.unwrap_or(0) >= MAX_OPEN {
        return Ok(Left::TooMany);
    }
    let end = Timestamp::from_millis(now.as_millis().saturating_add(ENROLMENT_MS));
    insert(transaction, (id, Step::Hello), account, (message, end))
}

/// Leaves a later message; of the sponsor's it is known whose.
pub(crate) fn go_on(
    transaction: &Transaction<'_>,
    (id, step): (RendezvousId, Step),
    sponsor: Option<AccountId>,
    message: &[u8],
    now: Timestamp,
) -> Result<Left, TxError> {
    let begun = transaction.query_row(
        "SELECT account, expires_at FROM rendezvous WHERE id = ? AND step = 1 AND expires_at > ?",
        params![id.as_bytes(), now.as_millis()],
        |row| {
            let end = Timestamp::from_millis(row.get(1)?);
            Ok((AccountId::new(row.get(0)?), end))
        },
    )?;
    match begun {
        Some((account, end)) if sponsor.is_none_or(|sponsor| sponsor == account) => {
            insert(transaction, (id, step), account, (message, end))
        }
        _ => Ok(Left::Unknown),
    }
}

/// A message, if it is there.
pub(crate) fn message(
    transaction: &Transaction<'_>,
    id: RendezvousId,
    step: Step,
    now: Timestamp,
) -> Result<Option<Vec<u8>>, TxError> {
    transaction.query_row(
        "SELECT message FROM rendezvous WHERE id = ? AND step = ? AND expires_at > ?",
        params![id.as_bytes(), i64::from(step.number()), now.as_millis()],
        |row| row.get(0),
    )
}

fn insert(
    transaction: &Transaction<'_>,
    (id, step): (RendezvousId, Step),
    account: AccountId,
    (message, end): (&[u8], Timestamp),
) -> Result<Left, TxError> {
    let inserted = transaction.execute(
        "INSERT INTO rendezvous (id, step, account, message, expires_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (id, step) DO NOTHING",
        params![
            id.as_bytes(),
            i64::from(step.number()),
            account.as_bytes(),
            message,
            end.as_millis()
        ],
    )?;
    Ok(if inserted == 0 {
        Left::Already
    } else {
        Left::Done
    })
}
