//! Several databases: the main one has what is the provider's own and says where each account is, and
//! every account is in one of them, the main one among them.
//!
//! Each process knows all. A database carries its name and the provider's id, so that two that were
//! mixed up in a configuration are told at the start, and one that is missing from it, too.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use letterlock_core::id::AccountId;
use rand::RngCore as _;
use rand::rngs::OsRng;
use rusqlite::params;
use tokio_postgres::Config;

use super::places::{self, Place};
use super::postgres::Postgres;
use super::{DbError, Decision, Effects, Scope, Transaction, TxError, accounts, lock};

/// Name of the database that has the provider's own.
pub(super) const MAIN: &str = "main";
/// Places that are remembered; when there are more, all are asked for again.
const MAX_REMEMBERED: usize = 100_000;
/// Names of a database's values in the table `provider`: whose it is, and which.
const OWNER: &str = "provider id";
const NAME: &str = "shard";

/// PostgreSQL databases of one provider.
#[derive(Debug, Clone)]
pub struct Databases {
    /// What is the provider's own, and the shard `main`.
    pub main: Config,
    /// Other shards, by name.
    pub shards: BTreeMap<String, Config>,
    /// The shards that new accounts come into, `main` perhaps among them; none for all.
    pub new_accounts: Vec<String>,
}

impl From<Config> for Databases {
    fn from(main: Config) -> Self {
        Self {
            main,
            shards: BTreeMap::new(),
            new_accounts: Vec::new(),
        }
    }
}

/// Which of a provider's databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShardId(usize);

impl ShardId {
    /// The one that has the provider's own; with SQLite, the only one.
    pub(crate) const MAIN: Self = Self(0);
}

/// A database and its name.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(super) name: String,
    pub(super) postgres: Postgres,
}

/// What is told of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardState {
    /// Its name.
    pub name: String,
    /// Host, port and database.
    pub place: String,
    /// Accounts that are there.
    pub accounts: u64,
    /// Octets of their documents and incoming mail.
    pub octets: u64,
}

/// All databases.
#[derive(Debug)]
pub(crate) struct Shards {
    main: Shard,
    others: Vec<Shard>,
    new_accounts: Vec<ShardId>,
    remembered: Mutex<HashMap<AccountId, (ShardId, i64)>>,
}

impl Shards {
    /// Connects to all, brings them up to date and looks whether they belong together.
    pub(crate) fn open(databases: &Databases) -> Result<Self, DbError> {
        let open = |name: &str, config: &Config| {
            Ok::<_, DbError>(Shard {
                name: name.to_owned(),
                postgres: Postgres::open(config.clone())?,
            })
        };
        let main = open(MAIN, &databases.main)?;
        let others = databases.shards.iter();
        let others = others.map(|(name, config)| open(name, config));
        let mut shards = Self {
            main,
            others: others.collect::<Result<_, _>>()?,
            new_accounts: Vec::new(),
            remembered: Mutex::default(),
        };
        shards.check()?;
        let is_wanted =
            |name| databases.new_accounts.is_empty() || databases.new_accounts.contains(name);
        let wanted = shards.all().filter(|(_, shard)| is_wanted(&shard.name));
        shards.new_accounts = wanted.map(|(id, _)| id).collect();
        Ok(shards)
    }

    /// Whether there is nothing to find.
    pub(super) fn is_one(&self) -> bool {
        self.others.is_empty()
    }

    pub(super) fn main(&self) -> &Shard {
        &self.main
    }

    pub(super) fn get(&self, id: ShardId) -> &Shard {
        let other = id.0.checked_sub(1).and_then(|at| self.others.get(at));
        other.unwrap_or(&self.main)
    }

    /// All, the main one first.
    pub(super) fn all(&self) -> impl Iterator<Item = (ShardId, &Shard)> {
        let all = std::iter::once(&self.main).chain(&self.others);
        all.enumerate().map(|(at, shard)| (ShardId(at), shard))
    }

    pub(crate) fn named(&self, name: &str) -> Option<(ShardId, &Shard)> {
        self.all().find(|(_, shard)| shard.name == name)
    }

    /// Where a new account comes.
    pub(super) fn for_new(&self, account: AccountId) -> ShardId {
        pick(&self.new_accounts, account.as_bytes())
    }

    /// Some shard, always the same for these octets.
    pub(super) fn some(&self, octets: &[u8]) -> ShardId {
        let all: Vec<_> = self.all().map(|(id, _)| id).collect();
        pick(&all, octets)
    }

    pub(super) fn remembered(&self, account: AccountId) -> Option<(ShardId, i64)> {
        lock(&self.remembered).get(&account).copied()
    }

    /// Remembers where an account is.
    pub(super) fn remember(
        &self,
        account: AccountId,
        place: &Place,
    ) -> Result<(ShardId, i64), DbError> {
        let (id, _) = self
            .named(&place.shard)
            .ok_or_else(|| self.missing(&place.shard))?;
        let mut remembered = lock(&self.remembered);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(account, (id, place.epoch));
        Ok((id, place.epoch))
    }

    pub(super) fn forget(&self, account: AccountId) {
        lock(&self.remembered).remove(&account);
    }

    /// What there is to tell of each.
    pub(crate) fn states(&self) -> Result<Vec<ShardState>, DbError> {
        let state = |shard: &Shard| {
            let totals = shard.postgres.read(accounts::totals);
            let (accounts, octets) = totals.map_err(|error| error.at(&shard.postgres.place))?;
            Ok(ShardState {
                name: shard.name.clone(),
                place: shard.postgres.place.display().to_string(),
                accounts,
                octets,
            })
        };
        self.all().map(|(_, shard)| state(shard)).collect()
    }

    /// The addresses of a shard's accounts, in order.
    pub(crate) fn addresses(&self, shard: &str) -> Result<Vec<String>, DbError> {
        let main = &self.main.postgres;
        let found = main.read(|own| places::of_shard(own, shard));
        found.map_err(|error| error.at(&main.place))
    }

    fn check(&self) -> Result<(), DbError> {
        let owner = self.main.belongs(None)?;
        for shard in &self.others {
            shard.belongs(Some(&owner))?;
        }
        let main = &self.main.postgres;
        let used = main.read(places::shards);
        for name in used.map_err(|error| error.at(&main.place))? {
            self.named(&name).ok_or_else(|| self.missing(&name))?;
        }
        Ok(())
    }

    fn missing(&self, name: &str) -> DbError {
        DbError::WrongShard {
            database: self.main.postgres.place.clone(),
            detail: format!("accounts are in the shard `{name}`, which is not configured"),
        }
    }
}

impl Shard {
    /// Writes down whose it is and which, or compares; the provider's id.
    fn belongs(&self, owner: Option<&[u8]>) -> Result<Vec<u8>, DbError> {
        let decided = self.postgres.write(
            &Scope::shard(ShardId::MAIN),
            &mut Effects::default(),
            |transaction, _| {
                let value = |name| accounts::provider_value(transaction, name);
                let found = value(OWNER)?.zip(value(NAME)?);
                if let Some((known, name)) = found {
                    let fits = name == self.name.as_bytes()
                        && owner.is_none_or(|owner| owner == known.as_slice());
                    return Ok(Decision::Rollback(fits.then_some(known)));
                }
                let mut id = [0; 16];
                OsRng.fill_bytes(&mut id);
                let id = owner.map_or_else(|| id.to_vec(), <[u8]>::to_vec);
                if owner.is_some() && !is_empty(transaction)? {
                    return Ok(Decision::Rollback(None));
                }
                accounts::set_provider_value(transaction, OWNER, &id)?;
                accounts::set_provider_value(transaction, NAME, self.name.as_bytes())?;
                Ok(Decision::Commit(Some(id)))
            },
        )?;
        decided.into_value().ok_or_else(|| DbError::WrongShard {
            database: self.postgres.place.clone(),
            detail: format!("this is not the shard `{}` of this provider", self.name),
        })
    }
}

/// Whether the database has been nobody's so far.
fn is_empty(transaction: &Transaction<'_>) -> Result<bool, TxError> {
    Ok(!transaction.exists("SELECT 1 FROM provider LIMIT 1", params![])?)
}

fn pick(from: &[ShardId], octets: &[u8]) -> ShardId {
    // The octets are random, or a hash.
    let number = octets.iter().fold(0_usize, |number, octet| {
        number.wrapping_mul(31).wrapping_add(usize::from(*octet))
    });
    let at = number.checked_rem(from.len()).unwrap_or(0);
    from.get(at).copied().unwrap_or(ShardId::MAIN)
}
