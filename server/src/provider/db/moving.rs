//! Moves an account to another database while it is in use.
//!
//! 1. An advisory lock of the main database, which ends with its connection: nobody else moves it.
//! 2. What it has is copied, a batch at a time in the order of its log, and all goes on.
//! 3. Under the account's own lock, for which whoever writes about it waits, the rest is copied and the
//!    copy gets the next epoch. The transaction that holds the lock takes the epoch from the account's
//!    row where it was ([`TAKEN`]): from now on nobody has it.
//! 4. The main database names the new place. That moment is the move; two commits after the lock.
//! 5. The rows where it was go.
//!
//! Killed before 3 has ended, it was no move, and what was copied is nobody's. Killed between 3 and 4,
//! whoever finds the account taken and the first lock free gives it back ([`thaw`]). Killed after 4, it
//! is moved. Another run begins by removing what one before it has left; so does `strays`.
//! Invariant: nothing is removed unless the account is where the main database says, with the epoch that
//! it says: one that was set back to a backup is believed nothing that would cost anything.
//! Large values stay where they are, named by both copies of a row; so nothing here removes one, and
//! [`super::garbage`] does not look while an account is moved.
//! Rejected: a mark in the row while the copy is made (a killed move would leave it); two-phase commit
//! (off by default in PostgreSQL, and what it prepared outlives who did).

use letterlock_core::id::{AccountId, Address};
use rusqlite::params;

use super::copying::{self, Log};
use super::places::{self, Place};
use super::postgres::{Postgres, Session};
use super::shards::{ShardId, Shards};
use super::{DbError, Decision, Effects, Scope, Transaction, TxError};

/// Epoch of an account that is whole and nobody's, because it is moved.
const TAKEN: i64 = 0;
/// Epoch of what is not all of an account: a copy that is being made, or rows that are being removed.
pub(super) const PARTIAL: i64 = -1;
/// First halves of advisory locks' keys in the main database: of an account's move, and of all moves.
const MOVE_LOCK: i32 = 0x4c65_7475;
const ANY_MOVE_LOCK: i32 = 0x4c65_7476;
/// Rows that are removed in one transaction.
const REMOVED_AT_ONCE: i64 = 500;
/// A mover that went away without a word holds what it locked so long at most.
const KEEPER: &str = "SET idle_session_timeout = '60s'";
const HOLDER: &str = "SELECT set_config('idle_in_transaction_session_timeout', '20s', true)";

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The shard where the account was; that where it is, if it was there already.
    pub from: String,
    /// Its documents.
    pub documents: u64,
    /// Its messages that no device has taken in, and the marks of those that one has.
    pub incoming: u64,
}

/// Why an account was not moved: it is where it was.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// No shard has this name.
    #[error("there is no shard `{0}`")]
    UnknownShard(String),
    /// Nobody has this address.
    #[error("there is no account with this address")]
    UnknownAccount,
    /// Somebody else moves it just now.
    #[error("the account is being moved already")]
    Busy,
    /// The main database is wrong about it.
    #[error(
        "the account is not in the database that `main` names: was one of them set back to a backup?"
    )]
    NotThere,
    /// It was ended meanwhile, or moved by hand.
    #[error("the account was changed by somebody else meanwhile; run this again")]
    Changed,
    /// All accounts are in one place.
    #[error("this provider has no PostgreSQL databases")]
    Embedded,
    /// See there.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// The epoch of an account's row.
pub(super) fn epoch(
    transaction: &Transaction<'_>,
    account: AccountId,
) -> Result<Option<i64>, TxError> {
    transaction.query_row(
        "SELECT epoch FROM accounts WHERE account = ?",
        params![account.as_bytes()],
        |row| row.get(0),
    )
}

/// Gives an account back to the database where it is, if a move was killed when it had taken it.
pub(super) fn thaw(shards: &Shards, account: AccountId) -> Result<(), DbError> {
    let main = &shards.main().postgres;
    let thawed = main.write(
        &Scope::rows(ShardId::MAIN),
        &mut Effects::default(),
        |own, _| {
            let sql = "SELECT pg_try_advisory_xact_lock(?, ?)";
            // First the lock: the move may be ending just now.
            if !is_locked(own, sql, MOVE_LOCK, account)? {
                return Ok(Decision::Rollback(()));
            }
            let Some(place) = places::place(own, account)? else {
                return Ok(Decision::Rollback(()));
            };
            match shards.named(&place.shard) {
                Some((ShardId::MAIN, _)) => set(own, account, (TAKEN, place.epoch))?,
                Some((_, shard)) => restore(&shard.postgres, account, place.epoch)?,
                None => {}
            }
            Ok(Decision::Commit(()))
        },
    );
    thawed.map(Decision::into_value)
}

/// Whether nobody moves an account until this transaction ends.
pub(super) fn is_quiet(transaction: &Transaction<'_>) -> Result<bool, TxError> {
    let sql = "SELECT pg_try_advisory_xact_lock(?, 0)";
    let quiet = transaction.query_row(sql, params![ANY_MOVE_LOCK], |row| row.get(0))?;
    Ok(quiet == Some(true))
}

/// Moves an account. Everything blocks.
pub(crate) fn run(shards: &Shards, address: &Address, to: &str) -> Result<Moved, MoveError> {
    let unknown = || MoveError::UnknownShard(to.to_owned());
    let (_, target) = shards.named(to).ok_or_else(unknown)?;
    let keeper = Keeper::new(&shards.main().postgres)?;
    let (account, place) = keeper.take(address)?;
    let from = &place.shard;
    let (_, source) = shards
        .named(from)
        .ok_or_else(|| MoveError::UnknownShard(from.clone()))?;
    // A move before this one may have been killed.
    restore(&source.postgres, account, place.epoch)?;
    if !is_home(&source.postgres, account, place.epoch)? {
        return Err(MoveError::NotThere);
    }
    let (mut documents, mut incoming) = (0, 0);
    if from != to {
        let job = Job {
            keeper: &keeper,
            account,
            place: &place,
            source: &source.postgres,
            target: &target.postgres,
        };
        remove(&target.postgres, account)?;
        free_address(&target.postgres, address)?;
        [documents, incoming] = job.copy()?;
        if !keeper.name(account, &place, to)? {
            return Err(MoveError::Changed);
        }
    }
    for (_, shard) in shards.all().filter(|(_, shard)| shard.name != to) {
        remove(&shard.postgres, account)?;
    }
    Ok(Moved {
        from: place.shard,
        documents,
        incoming,
    })
}

/// A connection to the main database that keeps others from the account.
pub(super) struct Keeper<'a> {
    session: Session,
    main: &'a Postgres,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(main: &'a Postgres) -> Result<Self, DbError> {
        let session = main.session()?;
        let lock = format!("{KEEPER}; SELECT pg_advisory_lock_shared({ANY_MOVE_LOCK}, 0)");
        session.run(&lock).map_err(|error| error.at(&main.place))?;
        Ok(Self { session, main })
    }

    /// Keeps others from an account; false if one of them was first.
    pub(super) fn lock(&self, account: AccountId) -> Result<bool, DbError> {
        let sql = "SELECT pg_try_advisory_lock(?, ?)";
        self.ask(|own| is_locked(own, sql, MOVE_LOCK, account))
    }

    fn take(&self, address: &Address) -> Result<(AccountId, Place), MoveError> {
        let account = self.ask(|own| places::find(own, address))?;
        let account = account.ok_or(MoveError::UnknownAccount)?;
        if !self.lock(account)? {
            return Err(MoveError::Busy);
        }
        let place = self.place(account)?;
        Ok((account, place.ok_or(MoveError::UnknownAccount)?))
    }

    /// Where the account is.
    pub(super) fn place(&self, account: AccountId) -> Result<Option<Place>, DbError> {
        self.ask(|own| places::place(own, account))
    }

    /// Names the account's new place, durably; false if it was not at the old one.
    fn name(&self, account: AccountId, from: &Place, to: &str) -> Result<bool, DbError> {
        self.ask(|own| places::change(own, account, from, to))
    }

    /// Fails if the lock may be lost.
    fn check(&self) -> Result<(), DbError> {
        self.ask(|own| own.exists("SELECT 1", params![]))
            .map(|_| ())
    }

    fn ask<T>(
        &self,
        query: impl FnOnce(&Transaction<'_>) -> Result<T, TxError>,
    ) -> Result<T, DbError> {
        query(&Transaction::Postgres(&self.session)).map_err(|error| error.at(&self.main.place))
    }
}

/// A move under way.
struct Job<'a> {
    keeper: &'a Keeper<'a>,
    account: AccountId,
    place: &'a Place,
    source: &'a Postgres,
    target: &'a Postgres,
}

impl Job<'_> {
    /// Copies all and takes the account from the source; how many documents and messages it has.
    fn copy(&self) -> Result<[u64; 2], MoveError> {
        let account = self.account;
        let (rows, mut logs) = self.read(|from| {
            let logs = [
                Log::new(from, "documents", "document", account)?,
                Log::new(from, "incoming", "incoming", account)?,
            ];
            Ok((copying::account(from, account, PARTIAL)?, logs))
        })?;
        self.put(|to| rows.put(to))?;
        for log in &mut logs {
            loop {
                let rows = self.read(|from| log.next(from))?;
                if rows.is_empty() {
                    break;
                }
                self.put(|to| rows.put(to))?;
                self.keeper.check()?;
            }
        }
        let scope = Scope::account(account);
        let ended = self
            .source
            .write(&scope, &mut Effects::default(), |from, _| {
                from.query_row(HOLDER, params![], |_| Ok(()))?;
                if epoch(from, account)? != Some(self.place.epoch) {
                    return Ok(Decision::Rollback(None));
                }
                for log in &mut logs {
                    loop {
                        let rows = log.next(from)?;
                        if rows.is_empty() {
                            break;
                        }
                        self.put(|to| rows.put(to))?;
                    }
                }
                let counts = self.complete(from, &logs)?;
                set(from, account, (self.place.epoch, TAKEN))?;
                Ok(Decision::Commit(Some(counts)))
            })?;
        ended.into_value().ok_or(MoveError::Changed)
    }

    /// The copy becomes whole, with the next epoch.
    fn complete(&self, from: &Transaction<'_>, logs: &[Log; 2]) -> Result<[u64; 2], TxError> {
        let next = self.place.epoch.saturating_add(1);
        let row = copying::account(from, self.account, next)?;
        let others = copying::others(from, self.account)?;
        let mut counts = [0; 2];
        self.put(|to| {
            for (log, count) in logs.iter().zip(&mut counts) {
                *count = log.complete(from, to)?;
            }
            others
                .iter()
                .try_for_each(|rows| rows.replace(to, self.account))?;
            row.put(to)
        })?;
        Ok(counts)
    }

    fn read<T>(
        &self,
        query: impl FnOnce(&Transaction<'_>) -> Result<T, TxError>,
    ) -> Result<T, DbError> {
        let read = self.source.read(query);
        read.map_err(|error| error.at(&self.source.place))
    }

    fn put(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<(), TxError>,
    ) -> Result<(), DbError> {
        let scope = Scope::rows(ShardId::MAIN);
        let written = self.target.write(&scope, &mut Effects::default(), |to, _| {
            change(to).map(Decision::Commit)
        });
        written.map(Decision::into_value)
    }
}

fn is_locked(
    transaction: &Transaction<'_>,
    sql: &str,
    lock: i32,
    account: AccountId,
) -> Result<bool, TxError> {
    let key = account.as_bytes().first_chunk::<4>();
    let key = key.map_or(0, |octets| i32::from_be_bytes(*octets));
    let locked = transaction.query_row(sql, params![lock, key], |row| row.get(0))?;
    Ok(locked == Some(true))
}

/// Sets the epoch of an account's row, if it is the first.
fn set(
    transaction: &Transaction<'_>,
    account: AccountId,
    (from, to): (i64, i64),
) -> Result<(), TxError> {
    transaction.execute(
        "UPDATE accounts SET epoch = ? WHERE account = ? AND epoch = ?",
        params![to, account.as_bytes(), from],
    )?;
    Ok(())
}

/// Gives back what a move has taken.
fn restore(at: &Postgres, account: AccountId, epoch: i64) -> Result<(), DbError> {
    write(at, account, |there| set(there, account, (TAKEN, epoch)))
}

/// Whether the account is here, with this epoch.
pub(super) fn is_home(at: &Postgres, account: AccountId, epoch: i64) -> Result<bool, DbError> {
    let found = at.read(|there| self::epoch(there, account));
    Ok(found.map_err(|error| error.at(&at.place))? == Some(epoch))
}

/// Removes what is here of an account that is elsewhere, some rows at a time. The large values that they
/// name are left to the collector: rows elsewhere may name them, too.
pub(super) fn remove(at: &Postgres, account: AccountId) -> Result<(), DbError> {
    write(at, account, |there| {
        let sql = "UPDATE accounts SET epoch = ? WHERE account = ?";
        there.execute(sql, params![PARTIAL, account.as_bytes()])
    })?;
    while write(at, account, |there| purge_some(there, account))? {}
    Ok(())
}

/// Rows that no place names, of a sign-up that was killed, lose an address that is another account's.
fn free_address(at: &Postgres, address: &Address) -> Result<(), DbError> {
    let scope = Scope::rows(ShardId::MAIN);
    let freed = at.write(&scope, &mut Effects::default(), |there, _| {
        places::free_address(there, address).map(Decision::Commit)
    });
    freed.map(Decision::into_value)
}

fn write<T>(
    at: &Postgres,
    account: AccountId,
    change: impl FnOnce(&Transaction<'_>) -> Result<T, TxError>,
) -> Result<T, DbError> {
    let scope = Scope::account(account);
    let written = at.write(&scope, &mut Effects::default(), |there, _| {
        change(there).map(Decision::Commit)
    });
    written.map(Decision::into_value)
}

fn purge_some(transaction: &Transaction<'_>, account: AccountId) -> Result<bool, TxError> {
    // Who signs up with the same id once more has it.
    if epoch(transaction, account)? != Some(PARTIAL) {
        return Ok(false);
    }
    for sql in [
        "DELETE FROM documents WHERE account = ?1 AND document IN
             (SELECT document FROM documents WHERE account = ?1 LIMIT ?2)",
        "DELETE FROM incoming WHERE account = ?1 AND incoming IN
             (SELECT incoming FROM incoming WHERE account = ?1 LIMIT ?2)",
    ] {
        if transaction.execute(sql, params![account.as_bytes(), REMOVED_AT_ONCE])? > 0 {
            return Ok(true);
        }
    }
    transaction.execute(
        "DELETE FROM accounts WHERE account = ?",
        params![account.as_bytes()],
    )?;
    Ok(false)
}
