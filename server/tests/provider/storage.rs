//! Restart, locks, schema versions, damage, a full disk.

use std::fs;
use std::path::Path;
use std::process::Command;

use letterlock_server::clock::Clock;
use letterlock_server::provider::{DbError, DeliverError, OpenError, Provider};

use super::world::{NOW, PASSWORD, World, address, config, envelope, envelopes, letters, peer};

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let large = envelope(alice.account, 1, 1, &vec![1; 200_000]);
    assert_eq!(
        world
            .push(&alice, std::slice::from_ref(&large))
            .await
            .status(),
        200
    );
    let message = [&b"Subject: x\r\n\r\n"[..], &vec![b'y'; 100_000]].concat();
    world.deliver(&alice.address, &message).await;
    let before = world.pull(&alice, 0, 0).await;
    assert_eq!(fs::read_dir(dir.path().join("blobs")).unwrap().count(), 2);
    world.stop().await;
    // What a crash left behind is collected; foreign files are let alone.
    let orphan = dir.path().join("blobs").join("00".repeat(16));
    let foreign = dir.path().join("blobs").join("README");
    fs::write(&orphan, b"x").unwrap();
    fs::write(&foreign, b"x").unwrap();
    let world = World::start(dir.path()).await;
    assert_eq!((orphan.exists(), foreign.exists()), (false, true));
    let after = world.pull(&alice, 0, 0).await;
    assert_eq!(after, before);
    assert!(envelopes(&after.entries).contains(&large));
    assert!(letters(&alice, &after.entries)[0].ends_with(&message));
    world.log_in(&alice.address, PASSWORD).await.unwrap();
    assert_eq!(
        world.provider.incoming_count(&alice.address).await.unwrap(),
        Some(1)
    );
    // A file goes with the revision that named it.
    let small = envelope(alice.account, 1, 2, b"small");
    assert_eq!(world.push(&alice, &[small]).await.status(), 200);
    assert_eq!(fs::read_dir(dir.path().join("blobs")).unwrap().count(), 2);
}

#[tokio::test]
async fn a_second_provider_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let error = open(dir.path()).await.err().unwrap();
    assert!(matches!(error, OpenError::InUse { .. }));
    let told = error.to_string();
    assert!(told.contains(&*dir.path().to_string_lossy()) && told.contains("another provider"));
    world.stop().await;
    assert!(open(dir.path()).await.is_ok());
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    World::start(dir.path()).await.stop().await;
    let path = dir.path().join("provider.sqlite");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let error = open(dir.path()).await.err().unwrap();
    let OpenError::Storage(DbError::NewerSchema {
        path: named, found, ..
    }) = error
    else {
        panic!("{error}");
    };
    assert_eq!((named, found), (path, 99));
}

#[tokio::test]
async fn damage_is_told_with_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let large = envelope(alice.account, 1, 1, &vec![1; 200_000]);
    assert_eq!(world.push(&alice, &[large]).await.status(), 200);
    let blobs = dir.path().join("blobs");
    let blob = fs::read_dir(&blobs)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    fs::write(&blob, b"cut").unwrap();
    let request = letterlock_core::sync::wire::DocumentsRequest {
        ids: vec![letterlock_core::id::DocId::new([1; 16])],
    };
    for _ in 0..2 {
        let response = world.post(&alice, "/api/v1/sync/documents", &request).await;
        super::world::assert_error(response, 500, "internal").await;
        // The second time the file is missing altogether.
        let _ = fs::remove_file(&blob);
    }
    world.stop().await;
    let path = dir.path().join("provider.sqlite");
    fs::write(
        &path,
        b"this is no database, not at all, not a bit of one".repeat(100),
    )
    .unwrap();
    let error = open(dir.path()).await.err().unwrap();
    let OpenError::Storage(DbError::Damaged { path: named, .. }) = error else {
        panic!("{error}");
    };
    assert_eq!(named, path);
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path()) else {
        println!("skipped: mounting a small disk needs root");
        return;
    };
    let world = World::start(disk.0).await;
    let alice = world.sign_up("alice").await;
    let filler = disk.0.join("filler");
    fs::write(&filler, vec![0; 1024 * 1024]).unwrap();
    let mut accepted = 0;
    let mut refused = 0;
    // Some in rows, some in files, until neither finds room.
    for round in 0..4000 {
        let size = if round % 2 == 0 { 3_000 } else { 150_000 };
        let message = [
            format!("Subject: {round}\r\n\r\n").as_bytes(),
            &vec![b'x'; size],
        ]
        .concat();
        let to = &alice.address;
        match world
            .provider
            .deliver(None, to, &message, &peer(), NOW)
            .await
        {
            Ok(()) => {
                accepted += 1;
                refused = 0;
            }
            Err(error) => {
                assert!(!error.is_permanent());
                assert!(matches!(error, DeliverError::Storage(_)), "{error}");
                refused += 1;
            }
        }
        if refused == 6 {
            break;
        }
    }
    assert!(
        accepted > 10 && refused == 6,
        "{accepted} accepted, {refused} refused"
    );
    let count = world.provider.incoming_count(&alice.address).await.unwrap();
    assert_eq!(count, Some(accepted));
    // The cause goes away, and mail flows.
    fs::remove_file(&filler).unwrap();
    world
        .deliver(&alice.address, b"Subject: at last\r\n\r\n")
        .await;
    world.stop().await;
    let world = World::start(disk.0).await;
    let (mut since, mut found) = (0, Vec::new());
    loop {
        let pulled = world.pull(&alice, since, 0).await;
        found.extend(letters(&alice, &pulled.entries));
        since = pulled.until.0;
        if !pulled.more {
            break;
        }
    }
    assert_eq!(found.len() as u64, accepted + 1);
    assert!(found.pop().unwrap().ends_with(b"Subject: at last\r\n\r\n"));
    assert_eq!(
        world
            .provider
            .incoming_count(&address("bob"))
            .await
            .unwrap(),
        None
    );
    world.stop().await;
}

async fn open(data_dir: &Path) -> Result<std::sync::Arc<Provider>, OpenError> {
    Provider::open(config(data_dir), Clock::system()).await
}

/// A file system of 8 MiB in memory; unmounted on drop.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(at)
            .output()
            .ok()?;
        mount.status.success().then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily: a failed test may still have files open.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_it_keeps_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("provider");
    World::start(&data_dir).await.stop().await;
    for folder in [
        &data_dir,
        &data_dir.join("blobs"),
        &data_dir.join("outgoing"),
    ] {
        let mode = fs::metadata(folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
    }
}
