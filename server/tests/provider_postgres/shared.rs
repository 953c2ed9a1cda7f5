//! Several providers over one database.

use std::path::Path;
use std::time::Duration;

use letterlock_core::id::Generation;
use letterlock_core::sync::wire::PushResponse;
use letterlock_server::clock::Clock;
use letterlock_server::provider::{DbError, OpenError, Provider, Records};

use super::backend;
use super::world::{World, cbor, config, envelope, envelopes, letters};

/// Two providers, and what they share.
async fn two(folder: &Path) -> (World, World) {
    tokio::join!(World::start(folder), World::start(folder))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_has_stored_the_other_shows() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = two(dir.path()).await;
    let alice = here.sign_up("alice").await;
    let large = envelope(alice.account, 1, 1, &vec![1; 200_000]);
    let stored = there.push(&alice, std::slice::from_ref(&large)).await;
    assert_eq!(stored.status(), 200);
    there.deliver(&alice.address, b"Subject: x\r\n\r\n").await;
    let shown = here.pull(&alice, 0, 0).await;
    assert!(envelopes(&shown.entries).contains(&large));
    assert_eq!(letters(&alice, &shown.entries).len(), 1);
    here.stop().await;
    there.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_waits_hears_of_what_another_process_took_in() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = two(dir.path()).await;
    let alice = here.sign_up("alice").await;
    let known = here.pull(&alice, 0, 0).await.until;
    let delivered = async {
        // The pull has begun to wait; if it had not, it would find the letter at once.
        tokio::time::sleep(Duration::from_millis(300)).await;
        there.deliver(&alice.address, b"Subject: x\r\n\r\n").await;
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), here.pull(&alice, known.0, 25_000));
    let (waited, ()) = tokio::join!(waited, delivered);
    let waited = waited.expect("nobody told it");
    assert_eq!(letters(&alice, &waited.entries).len(), 1);
    here.stop().await;
    there.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_store_the_same_revision_one_is_told_of_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = two(dir.path()).await;
    let alice = here.sign_up("alice").await;
    let mut last = here.pull(&alice, 0, 0).await.until;
    for revision in 1..30 {
        let one = [envelope(alice.account, 1, revision, b"one")];
        let other = [envelope(alice.account, 1, revision, b"other")];
        let (one, other) = tokio::join!(here.push(&alice, &one), there.push(&alice, &other));
        let mut stati = [one.status().as_u16(), other.status().as_u16()];
        stati.sort_unstable();
        assert_eq!(stati, [200, 409]);
        for answer in [one, other] {
            match cbor(answer).await {
                PushResponse::Accepted { generation } => {
                    assert_eq!(generation, Generation(last.0 + 1), "no number is left out");
                    last = generation;
                }
                PushResponse::Conflict { current } => assert_eq!(current.len(), 1),
            }
        }
    }
    here.stop().await;
    there.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_to_the_same_people_in_any_order_waits_for_nobody_in_a_circle() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = two(dir.path()).await;
    let (alice, bob) = (here.sign_up("alice").await, there.sign_up("bob").await);
    let [forth, back] = [
        [alice.address.clone(), bob.address.clone()],
        [bob.address.clone(), alice.address.clone()],
    ];
    let message = b"Subject: x\r\n\r\n";
    let peer = super::world::peer();
    let now = super::world::NOW;
    for _ in 0..20 {
        let (one, other) = tokio::join!(
            here.provider.deliver_all(None, &forth, message, &peer, now),
            there.provider.deliver_all(None, &back, message, &peer, now),
        );
        assert!(
            one.iter().chain(&other).all(Result::is_ok),
            "{one:?} {other:?}"
        );
    }
    let count = here.provider.incoming_count(&bob.address).await.unwrap();
    assert_eq!(count, Some(40));
    here.stop().await;
    there.stop().await;
}

#[tokio::test]
async fn everything_is_there_after_a_restart_and_a_lost_connection() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let before = world.pull(&alice, 0, 0).await;
    backend::execute(
        dir.path(),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    // Each connection that lay idle is found ended once, and replaced.
    assert_eq!(world.pull(&alice, 0, 0).await, before);
    world.stop().await;
    let world = World::start(dir.path()).await;
    assert_eq!(world.pull(&alice, 0, 0).await, before);
    world.stop().await;
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    World::start(dir.path()).await.stop().await;
    backend::execute(dir.path(), "UPDATE letterlock_schema SET version = 99");
    let opened = Provider::open(config(dir.path()), Clock::system()).await;
    let Err(OpenError::Storage(DbError::NewerSchema { path, found, .. })) = opened else {
        panic!("it opened");
    };
    assert_eq!(found, 99);
    let path = path.display().to_string();
    assert!(path.starts_with("PostgreSQL database p_"), "{path}");
}

/// Both databases have the same columns: whoever adds one to one of them hears of the other.
#[tokio::test]
async fn both_databases_have_the_same_columns() {
    let dir = tempfile::tempdir().unwrap();
    World::start(dir.path()).await.stop().await;
    let ours = backend::strings(
        dir.path(),
        "SELECT table_name || '.' || column_name FROM information_schema.columns
         WHERE table_schema = 'public' AND table_name <> 'letterlock_schema' ORDER BY 1",
    );
    let embedded = tempfile::tempdir().unwrap();
    let mut config = config(embedded.path());
    config.records = Records::Embedded;
    World::with(config).await.stop().await;
    let path = embedded.path().join("provider.sqlite");
    let database = rusqlite::Connection::open(path).unwrap();
    let mut columns = database
        .prepare(
            "SELECT t.name || '.' || c.name FROM pragma_table_list AS t, pragma_table_info(t.name) AS c
             WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite_%' ORDER BY 1",
        )
        .unwrap();
    let columns = columns
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap();
    let columns: Vec<String> = columns.map(Result::unwrap).collect();
    assert!(columns.len() > 60);
    assert_eq!(ours, columns);
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named_without_its_password() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    let wanted = "host=127.0.0.1 port=1 user=x password=hush dbname=mail connect_timeout=5";
    let wanted: tokio_postgres::Config = wanted.parse().unwrap();
    config.records = Records::Postgres(Box::new(wanted.into()));
    assert!(!format!("{config:?}").contains("hush"));
    let error = Provider::open(config, Clock::system()).await.err().unwrap();
    let error = error.to_string();
    assert!(
        error.starts_with("PostgreSQL database mail at 127.0.0.1:1: "),
        "{error}"
    );
    assert!(!error.contains("hush"));
}
