//! Accounts in both databases, and what passes between them.

use letterlock_core::auth::wire::AccountDelete;
use letterlock_core::id::{Address, OutboxId};
use letterlock_core::sync::wire::Submission;
use letterlock_server::provider::{MoveError, Records, shards};
use serde_bytes::ByteBuf;

use super::backend;
use super::world::{NOW, PASSWORD, User, World, address, config, envelope, letters, peer};

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nx\r\n";

fn submission(from: &User, to: &[&str]) -> Submission {
    Submission {
        id: OutboxId::new([9; 16]),
        reverse_path: from.address.clone(),
        forward_paths: to.iter().map(|to| Address::new(to).unwrap()).collect(),
        message: ByteBuf::from(MESSAGE),
    }
}

async fn received(world: &World, user: &User) -> usize {
    letters(user, &world.pull(user, 0, 0).await.entries).len()
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_reaches_accounts_wherever_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let records = backend::records(dir.path());
    let world = World::start(dir.path()).await;
    let (alice, bob) = (world.sign_up("alice").await, world.sign_up("bob").await);
    let moved = shards::move_account(&records, &alice.address, "main").await;
    assert_eq!(moved.unwrap().from, "north");
    let there = |name| shards::addresses(&records, name);
    assert_eq!(there("main").await.unwrap(), [alice.address.as_str()]);
    assert_eq!(there("north").await.unwrap(), [bob.address.as_str()]);
    let listed = shards::list(&records).await.unwrap();
    let accounts: Vec<_> = listed
        .iter()
        .map(|shard| (&*shard.name, shard.accounts))
        .collect();
    assert_eq!(accounts, [("main", 1), ("north", 1)]);
    let recipients = [
        alice.address.clone(),
        address("nobody"),
        bob.address.clone(),
    ];
    let peer = peer();
    let delivered = world
        .provider
        .deliver_all(None, &recipients, MESSAGE, &peer, NOW);
    let delivered: Vec<bool> = delivered.await.iter().map(Result::is_ok).collect();
    assert_eq!(delivered, [true, false, true]);
    let all = [
        "alice@letterlock.example",
        "bob@letterlock.example",
        "carol@example.org",
    ];
    for from in [&alice, &bob] {
        for _ in 0..2 {
            let handed = world
                .post(from, "/api/v1/outbox", &submission(from, &all))
                .await;
            assert_eq!(handed.status(), 202);
        }
    }
    for user in [&alice, &bob] {
        assert_eq!(received(&world, user).await, 3);
    }
    // As if the provider had been killed before the sender's own transaction.
    for sql in ["DELETE FROM submissions", "DELETE FROM queue"] {
        backend::execute(dir.path(), sql);
    }
    let again = world
        .post(&alice, "/api/v1/outbox", &submission(&alice, &all))
        .await;
    assert_eq!(again.status(), 202);
    for user in [&alice, &bob] {
        assert_eq!(received(&world, user).await, 3);
    }
    world.stop().await;
}

/// What is left by who was killed is nobody's: a copy of what is elsewhere goes, and what may be all that
/// there is of an account gives its address away.
#[tokio::test]
async fn rows_that_are_nobodys_are_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    world.stop().await;
    // A sign-up of bob's that was killed between its two commits, and a copy of alice's.
    let stray = backend::literal(&[5; 16]);
    let account = backend::literal(alice.account.as_bytes());
    let [main, north] = backend::clusters();
    for (cluster, account, address, epoch) in [
        (north, &stray, "bob@letterlock.example", 1),
        (main, &account, alice.address.as_str(), 2),
    ] {
        let sql = format!(
            "INSERT INTO accounts (account, address, record, root_key_wrap, created_at, epoch)
             VALUES ({account}, '{address}', '', '', 0, {epoch})"
        );
        crate::backend::execute_in(cluster, dir.path(), &sql);
    }
    let world = World::start(dir.path()).await;
    let bob = world.sign_up("bob").await;
    for _ in 0..400 {
        if backend::number(dir.path(), "SELECT count(*) FROM accounts") == 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    let count = |cluster| {
        let rows = backend::rows(cluster, dir.path(), "SELECT count(*) FROM accounts");
        rows[0].get::<_, i64>(0)
    };
    assert_eq!((count(main), count(north)), (0, 3));
    for user in [&alice, &bob] {
        let envelope = envelope(user.account, 1, 1, b"x");
        assert_eq!(world.push(user, &[envelope]).await.status(), 200);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_deleted_account_goes_from_both_databases() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let proof = world.prove(&alice.address, PASSWORD).await.unwrap();
    let path = "/api/v1/account/delete";
    let body = AccountDelete { proof };
    let deleted = world.post_with(path, &alice.token, &body);
    assert_eq!(deleted.await.status(), 200);
    for table in ["places", "keys", "accounts", "documents", "sessions"] {
        let sql = format!("SELECT count(*) FROM {table}");
        assert_eq!(backend::number(dir.path(), &sql), 0, "{table}");
    }
    let kept = backend::number(dir.path(), "SELECT count(*) FROM reserved_addresses");
    assert_eq!(kept, 1);
    world.stop().await;
}

/// A main database that was set back to a backup is believed nothing that would cost anything.
#[tokio::test]
async fn an_account_that_main_has_lost_sight_of_stays_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let records = backend::records(dir.path());
    let world = World::start(dir.path()).await;
    let (alice, bob) = (world.sign_up("alice").await, world.sign_up("bob").await);
    world.stop().await;
    let [main, north] = backend::clusters();
    // As if alice had come from `main`, and bob had signed up, since the backup.
    let address = &alice.address;
    let set_back = format!(
        "UPDATE places SET shard = 'main', epoch = 7 WHERE address = '{address}';
         DELETE FROM places WHERE address = '{}'",
        bob.address
    );
    crate::backend::execute_in(main, dir.path(), &set_back);
    let world = World::start(dir.path()).await;
    for to in ["north", "main"] {
        let moved = shards::move_account(&records, address, to).await;
        assert!(matches!(moved, Err(MoveError::NotThere)), "{moved:?}");
    }
    let sql = "SELECT count(*) FROM accounts WHERE epoch = 1";
    let kept: i64 = backend::rows(north, dir.path(), sql)[0].get(0);
    assert_eq!(kept, 2);
    world.stop().await;
    // What the keeper of the provider does then.
    let found = format!("UPDATE places SET shard = 'north', epoch = 1 WHERE address = '{address}'");
    crate::backend::execute_in(main, dir.path(), &found);
    let world = World::start(dir.path()).await;
    let envelope = envelope(alice.account, 1, 1, b"x");
    assert_eq!(world.push(&alice, &[envelope]).await.status(), 200);
    world.stop().await;
}

#[tokio::test]
async fn a_provider_of_one_database_gets_another() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    let both = backend::databases(dir.path());
    config.records = Records::Postgres(Box::new(both.main.into()));
    let world = World::with(config).await;
    let alice = world.sign_up("alice").await;
    let one = [envelope(alice.account, 1, 1, b"x")];
    assert_eq!(world.push(&alice, &one).await.status(), 200);
    let before = world.pull(&alice, 0, 0).await;
    world.stop().await;
    let world = World::start(dir.path()).await;
    assert_eq!(world.pull(&alice, 0, 0).await, before);
    let records = backend::records(dir.path());
    let moved = shards::move_account(&records, &alice.address, "north").await;
    let moved = moved.unwrap();
    assert_eq!((&*moved.from, moved.documents), ("main", 2));
    assert_eq!(world.pull(&alice, 0, 0).await, before);
    world.stop().await;
}

#[tokio::test]
async fn accounts_of_the_first_schema_have_places_and_keys() {
    let dir = tempfile::tempdir().unwrap();
    let databases = backend::databases(dir.path());
    let schema = include_str!("../../../src/provider/db/migrations/postgres/0001.sql");
    let [id, other] = [7, 8].map(|octet| backend::literal(&[octet; 16]));
    let rows = format!(
        "CREATE TABLE letterlock_schema (version BIGINT NOT NULL);
         INSERT INTO letterlock_schema VALUES (1);
         INSERT INTO accounts
             (account, address, wkd_name, record, root_key_wrap, created_at, deleting)
         VALUES ({id}, 'joe.doe@letterlock.example', 'iy9q1', '', '', 1, 0),
             ({other}, 'deleted', NULL, '', '', 1, 1);
         INSERT INTO keys VALUES ({id}, 'x', 1), ({other}, 'y', 1);"
    );
    let main = backend::clusters()[0];
    crate::backend::execute_in(main, dir.path(), &format!("{schema};{rows}"));
    let mut config = config(dir.path());
    config.records = Records::Postgres(Box::new(databases.main.into()));
    World::with(config).await.stop().await;
    let found = backend::strings(
        dir.path(),
        "SELECT concat_ws(' ', address, wkd_name, shard, epoch, convert_from(certificate, 'UTF8'))
         FROM places JOIN keys USING (account)",
    );
    assert_eq!(found, ["joe.doe@letterlock.example iy9q1 main 1 x"]);
}
