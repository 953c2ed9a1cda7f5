//! Rows of accounts that are elsewhere: left by a move that was killed and not run again.
//!
//! What no place names and may be a whole account stays: of a sign-up that was killed, or of an account
//! that the main database has forgotten because it was set back to a backup.

use std::sync::Arc;

use letterlock_core::id::AccountId;
use rusqlite::params;

use super::moving::{self, Keeper, PARTIAL};
use super::places::{self, Place};
use super::shards::{Shard, Shards};
use super::{Backend, Db, DbError, blocking};

impl Db {
    /// Removes them from all databases; of how many accounts. Their large values are left to the
    /// collector.
    pub(crate) async fn remove_strays(&self) -> Result<usize, DbError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || match &shared.backend {
            Backend::Postgres(shards) if !shards.is_one() => remove(shards),
            _ => Ok(0),
        })
        .await?
    }
}

fn remove(shards: &Shards) -> Result<usize, DbError> {
    let main = &shards.main().postgres;
    let mut removed: usize = 0;
    for (_, shard) in shards.all() {
        let there = shard.postgres.read(|transaction| {
            let sql = "SELECT account, epoch FROM accounts WHERE deleting = 0";
            transaction.query(sql, params![], |row| {
                Ok((AccountId::new(row.get(0)?), row.get(1)?))
            })
        });
        let there: Vec<(AccountId, i64)> =
            there.map_err(|error| error.at(&shard.postgres.place))?;
        let strays = main.read(|own| {
            let mut strays = Vec::new();
            for (account, epoch) in there {
                let place = places::place(own, account)?;
                if may_be_stray(shard, place.as_ref(), epoch) {
                    strays.push(account);
                }
            }
            Ok(strays)
        });
        for account in strays.map_err(|error| error.at(&main.place))? {
            removed = removed.saturating_add(usize::from(remove_one(shards, shard, account)?));
        }
    }
    Ok(removed)
}

fn may_be_stray(shard: &Shard, place: Option<&Place>, epoch: i64) -> bool {
    place.map_or(epoch == PARTIAL, |place| place.shard != shard.name)
}

/// Looks once more, now that nobody moves it.
fn remove_one(shards: &Shards, shard: &Shard, account: AccountId) -> Result<bool, DbError> {
    let keeper = Keeper::new(&shards.main().postgres)?;
    if !keeper.lock(account)? {
        return Ok(false);
    }
    let is_stray = match keeper.place(account)? {
        None => moving::is_home(&shard.postgres, account, PARTIAL)?,
        Some(place) if place.shard == shard.name => false,
        Some(place) => match shards.named(&place.shard) {
            Some((_, home)) => moving::is_home(&home.postgres, account, place.epoch)?,
            None => false,
        },
    };
    if is_stray {
        moving::remove(&shard.postgres, account)?;
    }
    Ok(is_stray)
}
