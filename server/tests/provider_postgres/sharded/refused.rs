//! Databases that do not belong together, and moves that are none.

use std::collections::BTreeMap;
use std::path::Path;

use letterlock_server::clock::Clock;
use letterlock_server::provider::{Databases, MoveError, Provider, Records, shards};

use super::backend;
use super::world::{World, address, config};

async fn told(data_dir: &Path, databases: Databases) -> String {
    let mut config = config(data_dir);
    config.records = Records::Postgres(Box::new(databases));
    let error = Provider::open(config, Clock::system()).await.err();
    error.unwrap().to_string()
}

#[tokio::test]
async fn databases_that_were_mixed_up_are_told_at_the_start() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&dir, &other] {
        let world = World::start(dir.path()).await;
        world.sign_up("alice").await;
        world.stop().await;
    }
    let ours = || backend::databases(dir.path());
    let north = ours().shards["north"].clone();
    let foreign = backend::databases(other.path()).shards["north"].clone();
    for (wrong, wanted) in [
        (
            Databases {
                shards: BTreeMap::new(),
                ..ours()
            },
            "the shard `north`, which is not configured",
        ),
        (
            Databases {
                main: north.clone(),
                ..ours()
            },
            "is not the shard `main`",
        ),
        (
            Databases {
                shards: BTreeMap::from([("south".to_owned(), north)]),
                ..ours()
            },
            "is not the shard `south`",
        ),
        (
            Databases {
                shards: BTreeMap::from([("north".to_owned(), foreign)]),
                ..ours()
            },
            "is not the shard `north` of this provider",
        ),
    ] {
        let told = told(dir.path(), wrong).await;
        assert!(told.contains(wanted), "{told}");
    }
    World::start(dir.path()).await.stop().await;
}

#[tokio::test]
async fn what_cannot_be_moved_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let records = backend::records(dir.path());
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let moved = |address, to| shards::move_account(&records, address, to);
    let nowhere = moved(&alice.address, "south").await;
    assert!(matches!(nowhere, Err(MoveError::UnknownShard(name)) if name == "south"));
    let nobody = address("nobody");
    let nobody = moved(&nobody, "main").await;
    assert!(matches!(nobody, Err(MoveError::UnknownAccount)));
    let embedded = shards::move_account(&Records::Embedded, &alice.address, "main").await;
    assert!(matches!(embedded, Err(MoveError::Embedded)));
    let there = moved(&alice.address, "north").await.unwrap();
    assert_eq!((&*there.from, there.documents), ("north", 0));
    world.stop().await;
}
