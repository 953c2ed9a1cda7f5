//! Databases of accounts, for who keeps the provider: what is where, and moving an account.
//!
//! Works while providers run and while none does. What it needs of them is in the databases.

use letterlock_core::id::Address;

use super::db::{self, Databases, MoveError, Moved, Records, ShardState};

/// What there is.
pub async fn list(records: &Records) -> Result<Vec<ShardState>, MoveError> {
    let databases = databases(records)?;
    let listed = db::blocking(move || db::Shards::open(&databases)?.states());
    Ok(listed.await??)
}

/// The addresses of a shard's accounts, in order.
pub async fn addresses(records: &Records, shard: &str) -> Result<Vec<String>, MoveError> {
    let (databases, shard) = (databases(records)?, shard.to_owned());
    db::blocking(move || {
        let shards = db::Shards::open(&databases)?;
        if shards.named(&shard).is_none() {
            return Err(MoveError::UnknownShard(shard));
        }
        Ok(shards.addresses(&shard)?)
    })
    .await?
}

/// Moves an account to another shard, while it is in use. An account that is there already is only
/// freed of what a move that was killed has left elsewhere.
pub async fn move_account(
    records: &Records,
    address: &Address,
    to: &str,
) -> Result<Moved, MoveError> {
    let (databases, address, to) = (databases(records)?, address.clone(), to.to_owned());
    db::blocking(move || {
        let shards = db::Shards::open(&databases)?;
        db::move_account(&shards, &address, &to)
    })
    .await?
}

fn databases(records: &Records) -> Result<Databases, MoveError> {
    match records {
        Records::Embedded => Err(MoveError::Embedded),
        Records::Postgres(databases) => Ok((**databases).clone()),
    }
}
