//! In which database a transaction runs: the provider's own, or that of the account that it is about.
//!
//! With one database there is nothing to find. Else the main one says where an account is, and in which
//! epoch. That is remembered, and compared with the epoch of the account's row in the very transaction
//! that relies on it: a process that has not heard of a move notices before it reads or writes anything,
//! asks again and begins anew. While a move changes over (`moving`) nobody has the account; whoever
//! comes then waits, and is told to come again if that takes longer than [`TRIES`] times [`PAUSE`].

use std::sync::Arc;
use std::time::Duration;

use letterlock_core::id::{AccountId, Address};

use super::shards::ShardId;
use super::{
    Backend, Blobs, Both, Db, DbError, Decision, Effects, Scope, Shared, Transaction, Turn,
    TxError, blocking, moving, places,
};

/// How often a read begins again when a file went away under it.
const READ_ATTEMPTS: usize = 5;
/// Pause before an account that was not where it should be is looked for again.
const PAUSE: Duration = Duration::from_millis(25);
/// How often it is looked for: for five seconds.
const TRIES: u32 = 200;
/// After so many tries it is looked whether a move was killed, and again after as many.
const TRIES_OF_A_MOVE: u32 = 10;

/// Whose database is meant.
#[derive(Debug, Clone)]
pub(crate) enum Home {
    /// This one.
    Shard(ShardId),
    /// The account's.
    Account(AccountId),
    /// The one where this new account comes.
    New(AccountId),
    /// That of whoever has this address; for an address that nobody has, some one.
    Address(Address),
}

/// A database, and the account that must be there, with its epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    shard: ShardId,
    expected: Option<(AccountId, i64)>,
}

impl Spot {
    pub(super) const MAIN: Self = Self::on(ShardId::MAIN);

    const fn on(shard: ShardId) -> Self {
        Self {
            shard,
            expected: None,
        }
    }

    fn check(&self, transaction: &Transaction<'_>) -> Result<(), TxError> {
        match self.expected {
            Some((account, epoch)) if moving::epoch(transaction, account)? != Some(epoch) => {
                Err(TxError::Moving)
            }
            _ => Ok(()),
        }
    }
}

impl Db {
    /// Runs a transaction that reads one consistent state of what is the provider's own.
    pub(crate) async fn read<T, F>(&self, query: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>, &Blobs) -> Result<T, TxError> + Send + Sync + 'static,
    {
        self.read_at(Home::Shard(ShardId::MAIN), query).await
    }

    /// The same of what is an account's.
    pub(crate) async fn read_account<T, F>(
        &self,
        account: AccountId,
        query: F,
    ) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>, &Blobs) -> Result<T, TxError> + Send + Sync + 'static,
    {
        self.read_at(Home::Account(account), query).await
    }

    /// The same of some database.
    pub(crate) async fn read_at<T, F>(&self, home: Home, query: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>, &Blobs) -> Result<T, TxError> + Send + Sync + 'static,
    {
        let query = Arc::new(query);
        let mut tries = 0;
        loop {
            let spot = self.spot(&home).await?;
            let permit = self.permit(spot.shard).await?;
            let (shared, query, here) = (Arc::clone(&self.shared), Arc::clone(&query), spot);
            let reading = blocking(move || {
                let result = shared.read(&here, &*query);
                drop(permit);
                result
            });
            match reading.await? {
                Err(DbError::Moving) => self.wait(&spot, &mut tries).await?,
                result => return result,
            }
        }
    }

    /// Runs a transaction that may write about `scope`; it is durable when this returns.
    pub(crate) async fn write<T, F>(&self, scope: Scope, change: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>, &mut Effects) -> Result<Decision<T>, TxError> + Send + 'static,
    {
        let mut change = Some(change);
        let mut tries = 0;
        loop {
            let spot = self.spot(&scope.home).await?;
            let turn = self.turn(spot.shard).await?;
            let (shared, here, scope) = (Arc::clone(&self.shared), spot, scope.clone());
            let writing = move || shared.write(turn, &here, &scope, change);
            let (result, unused) = blocking(writing).await?;
            change = unused;
            match result {
                Err(DbError::Moving) if change.is_some() => self.wait(&spot, &mut tries).await?,
                result => return result,
            }
        }
    }

    /// Runs a transaction about what is the provider's own and about an account; see [`Both`].
    pub(crate) async fn write_both<T, F>(
        &self,
        home: Home,
        account: AccountId,
        change: F,
    ) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&Both<'_>, &mut Effects) -> Result<Decision<T>, TxError> + Send + 'static,
    {
        let mut change = Some(change);
        let mut tries = 0;
        loop {
            let spot = self.spot(&home).await?;
            let own = self.turn(ShardId::MAIN).await?;
            let theirs = match spot.shard {
                ShardId::MAIN => None,
                other => Some(self.turn(other).await?),
            };
            let (shared, here) = (Arc::clone(&self.shared), spot);
            let writing = move || shared.write_both((own, theirs), &here, account, change);
            let (result, unused) = blocking(writing).await?;
            change = unused;
            match result {
                Err(DbError::Moving) if change.is_some() => self.wait(&spot, &mut tries).await?,
                result => return result,
            }
        }
    }

    /// All databases, the main one first.
    pub(crate) fn shards(&self) -> Vec<ShardId> {
        match &self.shared.backend {
            Backend::Sqlite(_) => vec![ShardId::MAIN],
            Backend::Postgres(shards) => shards.all().map(|(id, _)| id).collect(),
        }
    }

    /// Whether all accounts are in one database, so that one transaction may be about several.
    pub(crate) fn is_one(&self) -> bool {
        match &self.shared.backend {
            Backend::Sqlite(_) => true,
            Backend::Postgres(shards) => shards.is_one(),
        }
    }

    async fn spot(&self, home: &Home) -> Result<Spot, DbError> {
        let shards = match &self.shared.backend {
            Backend::Postgres(shards) if !shards.is_one() => shards,
            _ => return Ok(Spot::MAIN),
        };
        match home {
            Home::Shard(shard) => Ok(Spot::on(*shard)),
            Home::New(account) => Ok(Spot::on(shards.for_new(*account))),
            Home::Address(address) => {
                let wanted = address.clone();
                let found = self.ask(move |t| places::find(t, &wanted)).await?;
                match found {
                    Some(account) => self.place(account).await,
                    // As for an address that is there: who asks does not hear of it by the clock.
                    None => Ok(Spot::on(
                        shards.some(address.canonical().as_str().as_bytes()),
                    )),
                }
            }
            Home::Account(account) => self.place(*account).await,
        }
    }

    async fn place(&self, account: AccountId) -> Result<Spot, DbError> {
        let Backend::Postgres(shards) = &self.shared.backend else {
            return Ok(Spot::MAIN);
        };
        let (shard, epoch) = if let Some(place) = shards.remembered(account) {
            place
        } else {
            let found = self.ask(move |t| places::place(t, account)).await?;
            shards.remember(account, &found.ok_or(DbError::NoAccount)?)?
        };
        Ok(Spot {
            shard,
            expected: Some((account, epoch)),
        })
    }

    /// Reads of the main database.
    async fn ask<T, F>(&self, query: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>) -> Result<T, TxError> + Send + 'static,
    {
        let permit = self.permit(ShardId::MAIN).await?;
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let result = shared.read(&Spot::MAIN, &|transaction, _| query(transaction));
            drop(permit);
            result
        })
        .await?
    }

    /// Before the next try.
    async fn wait(&self, spot: &Spot, tries: &mut u32) -> Result<(), DbError> {
        let (Backend::Postgres(shards), Some((account, _))) = (&self.shared.backend, spot.expected)
        else {
            return Err(DbError::Moving);
        };
        shards.forget(account);
        *tries = tries.saturating_add(1);
        match *tries {
            1 => return Ok(()),
            tries if tries > TRIES => return Err(DbError::Moving),
            _ => tokio::time::sleep(PAUSE).await,
        }
        if tries.is_multiple_of(TRIES_OF_A_MOVE) {
            let shared = Arc::clone(&self.shared);
            blocking(move || match &shared.backend {
                Backend::Postgres(shards) => moving::thaw(shards, account),
                Backend::Sqlite(_) => Ok(()),
            })
            .await??;
        }
        Ok(())
    }

    async fn permit(&self, shard: ShardId) -> Result<tokio::sync::OwnedSemaphorePermit, DbError> {
        match &self.shared.backend {
            Backend::Sqlite(sqlite) => sqlite.permit().await,
            Backend::Postgres(shards) => shards.get(shard).postgres.permit().await,
        }
    }

    async fn turn(&self, shard: ShardId) -> Result<Turn, DbError> {
        Ok(match &self.shared.backend {
            Backend::Sqlite(sqlite) => Turn::Sqlite(sqlite.writer().await),
            Backend::Postgres(shards) => Turn::Postgres(shards.get(shard).postgres.permit().await?),
        })
    }
}

impl Shared {
    /// The change comes back if it was not begun.
    fn write<T, F>(
        &self,
        turn: Turn,
        spot: &Spot,
        scope: &Scope,
        mut change: Option<F>,
    ) -> (Result<T, DbError>, Option<F>)
    where
        F: FnOnce(&Transaction<'_>, &mut Effects) -> Result<Decision<T>, TxError>,
    {
        let mut effects = Effects::default();
        let run = |transaction: &Transaction<'_>, effects: &mut Effects| {
            spot.check(transaction)?;
            let change = change.take().ok_or(TxError::Moving)?;
            change(transaction, effects)
        };
        let decision = match (&self.backend, turn) {
            (Backend::Sqlite(sqlite), Turn::Sqlite(mut writer)) => {
                sqlite.write(&mut writer, &mut effects, run)
            }
            (Backend::Postgres(shards), Turn::Postgres(_permit)) => {
                let shard = shards.get(spot.shard);
                shard.postgres.write(scope, &mut effects, run)
            }
            _ => Err(DbError::Stopped),
        };
        (self.ended(spot.shard, decision, effects), change)
    }

    fn write_both<T, F>(
        &self,
        (own, theirs): (Turn, Option<Turn>),
        spot: &Spot,
        account: AccountId,
        mut change: Option<F>,
    ) -> (Result<T, DbError>, Option<F>)
    where
        F: FnOnce(&Both<'_>, &mut Effects) -> Result<Decision<T>, TxError>,
    {
        let mut effects = Effects::default();
        let shard = match &self.backend {
            Backend::Sqlite(_) => super::shards::MAIN,
            Backend::Postgres(shards) => &shards.get(spot.shard).name,
        };
        let mut run =
            |provider: &Transaction<'_>, account: &Transaction<'_>, effects: &mut Effects| {
                spot.check(account)?;
                let change = change.take().ok_or(TxError::Moving)?;
                let both = Both {
                    provider,
                    account,
                    shard,
                };
                change(&both, effects)
            };
        let scope = Scope::provider();
        let decision = match (&self.backend, own, theirs) {
            (Backend::Sqlite(sqlite), Turn::Sqlite(mut writer), None) => {
                sqlite.write(&mut writer, &mut effects, |both, effects| {
                    run(both, both, effects)
                })
            }
            (Backend::Postgres(shards), Turn::Postgres(_own), None) => shards
                .main()
                .postgres
                .write(&scope.with([account]), &mut effects, |both, effects| {
                    run(both, both, effects)
                }),
            (Backend::Postgres(shards), Turn::Postgres(_own), Some(Turn::Postgres(_theirs))) => {
                let there = &shards.get(spot.shard).postgres;
                let mut none = Effects::default();
                shards
                    .main()
                    .postgres
                    .write(&scope, &mut none, |provider, _| {
                        let about = Scope::account(account);
                        let written = there.write(&about, &mut effects, |account, effects| {
                            run(provider, account, effects)
                        });
                        Ok(written?)
                    })
            }
            _ => Err(DbError::Stopped),
        };
        (self.ended(spot.shard, decision, effects), change)
    }

    fn ended<T>(
        &self,
        shard: ShardId,
        decision: Result<Decision<T>, DbError>,
        effects: Effects,
    ) -> Result<T, DbError> {
        let decision = decision?;
        if let Decision::Commit(_) = decision {
            self.carry_out(shard, effects);
        }
        Ok(decision.into_value())
    }

    pub(super) fn read<T>(
        &self,
        spot: &Spot,
        query: &impl Fn(&Transaction<'_>, &Blobs) -> Result<T, TxError>,
    ) -> Result<T, DbError> {
        let mut result = self.read_once(spot, query);
        for _ in 1..READ_ATTEMPTS {
            if !matches!(result, Err(TxError::FileGone(_))) {
                break;
            }
            result = self.read_once(spot, query);
        }
        let place = match &self.backend {
            Backend::Sqlite(sqlite) => &sqlite.path,
            Backend::Postgres(shards) => &shards.get(spot.shard).postgres.place,
        };
        result.map_err(|error| error.at(place))
    }

    fn read_once<T>(
        &self,
        spot: &Spot,
        query: &impl Fn(&Transaction<'_>, &Blobs) -> Result<T, TxError>,
    ) -> Result<T, TxError> {
        let query = |transaction: &Transaction<'_>| {
            spot.check(transaction)?;
            query(transaction, &self.blobs)
        };
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.read(query),
            Backend::Postgres(shards) => shards.get(spot.shard).postgres.read(query),
        }
    }
}
