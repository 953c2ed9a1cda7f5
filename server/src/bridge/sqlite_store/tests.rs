//! What the store must survive: reopening, a wrong key, a damaged page, a full disk, an end
//! between the two files.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, PermissionsExt};

use letterlock_core::store::conformance;

use super::*;

const KEY: [u8; 32] = [0x5c; 32];

pub(super) fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, &KEY).unwrap()
}

/// Does something with the connections that write.
pub(super) fn with_writer<T>(store: &SqliteStore, work: impl FnOnce(&mut Writer) -> T) -> T {
    store.inner().fold().unwrap();
    work(lock(&store.inner().writer).as_mut().unwrap())
}

pub(super) async fn put_row(store: &SqliteStore, table: Table, key: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(table, key, value);
    store.commit(batch).await.unwrap();
}

#[tokio::test]
async fn conforms() {
    let folder = tempfile::tempdir().unwrap();
    conformance::run(open(&folder.path().join("replica.db"))).await;
}

#[tokio::test]
async fn survives_reopening_and_tells_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica.db");
    let secret = b"a sentence that must not be found in the file".repeat(50);
    {
        let store = open(&path);
        put_row(&store, Table::Meta, b"a name in the clear", &secret).await;
        put_row(&store, Table::Documents, b"doc", &secret).await;
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            let octets = std::fs::read(entry.path()).unwrap();
            let mut secrets = vec![&b"must not be found"[..], b"in the clear"];
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with("replica-contents.db") {
                secrets.extend([&b"SQLite format"[..], b"WITHOUT"]);
            }
            for plain in secrets {
                assert!(!octets.windows(plain.len()).any(|window| window == plain));
            }
        }
    }
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let store = open(&path);
    let value = store.get(Table::Documents, b"doc").await.unwrap();
    assert_eq!(value, Some(secret));
}

#[tokio::test]
async fn a_wrong_key_is_said_clearly_and_shows_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica.db");
    put_row(&open(&path), Table::Meta, b"a", b"1").await;
    let wrong = [0xab; 32];
    let Err(error) = SqliteStore::open(&path, &wrong) else {
        panic!("the wrong key opened the store")
    };
    let shown = format!("{error} {error:?}");
    assert!(matches!(error, OpenStoreError::WrongKey { .. }), "{shown}");
    assert!(
        shown.contains("replica.db") && !shown.contains("abab"),
        "{shown}"
    );
    let value = open(&path).get(Table::Meta, b"a").await.unwrap();
    assert_eq!(
        value.as_deref(),
        Some(&b"1"[..]),
        "nothing was changed by the attempt"
    );
}

#[tokio::test]
async fn a_damaged_page_is_named_and_takes_only_its_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica.db");
    {
        let store = open(&path);
        put_row(&store, Table::Meta, b"a", b"1").await;
        for number in 0..200_u8 {
            put_row(&store, Table::Documents, &[number], &[number; 3000]).await;
        }
    }
    // The last pages of the file were taken last: by documents.
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    file.write_all_at(&[0x33; 8192], length - 8 * 4096).unwrap();
    drop(file);
    let mut store = open(&path);
    match store.scan(Table::Documents, KeyRange::all()).await {
        Err(StoreError::Damaged { place, table, .. }) => {
            assert!(place.ends_with("replica.db"));
            assert_eq!(table, "documents");
        }
        other => panic!(
            "damage must be told, got {:?}",
            other.map(|rows| rows.len())
        ),
    }
    let value = store.get(Table::Meta, b"a").await.unwrap();
    assert_eq!(value.as_deref(), Some(&b"1"[..]));
    assert!(store.get(Table::Documents, &[0]).await.unwrap().is_some());
    let mut batch = Batch::new();
    for number in 0..200_u8 {
        batch.put(Table::Documents, [number], b"anew");
    }
    // It is kept, and told when it does not go into the file.
    store.commit(batch).await.unwrap();
    let is_damaged = |done: Result<(), StoreError>| match done {
        Err(StoreError::Damaged { table, .. }) => assert_eq!(table, "documents"),
        other => panic!("damage must be told, got {other:?}"),
    };
    is_damaged(store.inner().fold());
    put_row(&store, Table::Meta, b"a", b"2").await;
    for reopens in [false, true] {
        if reopens {
            drop(std::mem::replace(
                &mut store,
                open(&folder.path().join("else.db")),
            ));
            store = open(&path);
            let mut batch = Batch::new();
            batch.put(Table::Meta, b"a", b"3");
            is_damaged(store.commit(batch).await);
        }
        let value = store.get(Table::Meta, b"a").await.unwrap();
        assert_eq!(value.as_deref(), Some(&b"2"[..]));
        let value = store.get(Table::Documents, &[7]).await.unwrap();
        assert_eq!(value.as_deref(), Some(&b"anew"[..]));
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica.db");
    let store = open(&path);
    put_row(&store, Table::Meta, b"a", b"1").await;
    let set_limit = |pages: u32| {
        with_writer(&store, |writer| {
            let sql = format!("PRAGMA max_page_count = {pages}");
            writer
                .rows
                .connection
                .query_row(&sql, [], |_| Ok(()))
                .unwrap();
        });
    };
    set_limit(40);
    let mut batch = Batch::new();
    batch.put(Table::Meta, b"a", b"2");
    batch.put(Table::Documents, b"large", vec![0; 5_000_000]);
    match store.commit(batch.clone()).await {
        Err(StoreError::Full { place }) => assert!(place.ends_with("replica.db")),
        other => panic!("expected no room, got {other:?}"),
    }
    let value = store.get(Table::Meta, b"a").await.unwrap();
    assert_eq!(value.as_deref(), Some(&b"1"[..]), "all or nothing");
    set_limit(1_000_000);
    store.commit(batch).await.unwrap();
    let value = store.get(Table::Meta, b"a").await.unwrap();
    assert_eq!(value.as_deref(), Some(&b"2"[..]));
}

#[tokio::test]
async fn readers_and_the_writer_do_not_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("replica.db"));
    put_row(&store, Table::Meta, b"n", &[0]).await;
    let write = async {
        for number in 1..=50_u8 {
            put_row(&store, Table::Meta, b"n", &[number]).await;
        }
    };
    let read = async {
        let mut last = 0;
        while last < 50 {
            let value = store.get(Table::Meta, b"n").await.unwrap().unwrap()[0];
            assert!(value >= last, "a commit that was seen stays seen");
            last = value;
            // What is in memory is there at once, and the writer is on this thread.
            tokio::task::yield_now().await;
        }
    };
    let many = futures::future::join_all((0..20).map(|_| store.scan(Table::Meta, KeyRange::all())));
    let ((), (), scans) = futures::join!(write, read, many);
    assert!(scans.into_iter().all(|scan| scan.unwrap().len() == 1));
}

pub(super) async fn content(store: &SqliteStore, key: &[u8]) -> Option<Vec<u8>> {
    store.get(Table::Contents, key).await.unwrap()
}

pub(super) async fn write_contents(
    store: &SqliteStore,
    contents: &[(&[u8], Option<&[u8]>)],
    row: &[u8],
) {
    let mut batch = Batch::new();
    for (key, value) in contents {
        match value {
            Some(value) => batch.put(Table::Contents, *key, *value),
            None => batch.delete(Table::Contents, *key),
        }
    }
    batch.put(Table::Meta, b"row", row);
    store.commit(batch).await.unwrap();
}

/// Does step 2 of a batch and no more.
fn only_contents(store: &SqliteStore, contents: &[(&[u8], Option<&[u8]>)]) {
    let path = store.inner().contents.file.path.clone();
    let changes: BTreeMap<_, _> = contents.iter().copied().collect();
    with_writer(store, |writer| {
        let number = writer::number_of(&writer.contents.connection, &path).unwrap() + 1;
        writer::write_contents(&mut writer.contents, &changes, number).unwrap();
        writer.is_even = false;
    });
}

#[tokio::test]
async fn a_batch_that_ended_between_the_files_never_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica.db");
    for reopens in [true, false] {
        let mut store = open(&path);
        write_contents(&store, &[(b"old", Some(b"1"))], b"1").await;
        only_contents(&store, &[(b"old", Some(b"2")), (b"fresh", Some(b"2"))]);
        if reopens {
            drop(store);
            store = open(&path);
        } else {
            // The program goes on: the commit failed, and the next batch comes.
            put_row(&store, Table::Meta, b"next", b"1").await;
            with_writer(&store, |_| ());
        }
        assert_eq!(content(&store, b"old").await.as_deref(), Some(&b"1"[..]));
        assert_eq!(content(&store, b"fresh").await, None);
        let row = store.get(Table::Meta, b"row").await.unwrap();
        assert_eq!(row.as_deref(), Some(&b"1"[..]));
        write_contents(&store, &[(b"old", Some(b"3"))], b"3").await;
        drop(store);
        let store = open(&path);
        assert_eq!(content(&store, b"old").await.as_deref(), Some(&b"3"[..]));
    }
}

#[tokio::test]
async fn a_content_whose_deletion_was_committed_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica.db");
    let store = open(&path);
    write_contents(&store, &[(b"a", Some(b"1")), (b"b", Some(b"1"))], b"1").await;
    // The program ends between steps 3 and 4.
    with_writer(&store, |writer| {
        let sql = "INSERT INTO doomed VALUES (?1)";
        writer.rows.connection.execute(sql, [b"a"]).unwrap();
    });
    drop(store);
    let store = open(&path);
    assert_eq!(content(&store, b"a").await, None);
    assert_eq!(content(&store, b"b").await.as_deref(), Some(&b"1"[..]));
    // Deleted and written again: what was doomed once is not doomed for ever.
    write_contents(&store, &[(b"b", None)], b"2").await;
    assert_eq!(content(&store, b"b").await, None);
    write_contents(&store, &[(b"a", Some(b"3")), (b"b", Some(b"3"))], b"3").await;
    drop(store);
    let store = open(&path);
    assert_eq!(content(&store, b"a").await.as_deref(), Some(&b"3"[..]));
    assert_eq!(content(&store, b"b").await.as_deref(), Some(&b"3"[..]));
}

#[tokio::test]
async fn a_refused_batch_writes_no_contents() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("replica.db"));
    let mut batch = Batch::new();
    batch.put(Table::Contents, b"a", b"1");
    batch.expect(Table::Meta, b"absent", Some(b"x".to_vec()));
    let refused = store.commit(batch).await;
    assert!(matches!(refused, Err(StoreError::Conflict)));
    assert_eq!(content(&store, b"a").await, None);
}

#[tokio::test]
async fn a_batch_without_contents_does_not_touch_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica.db");
    let store = open(&path);
    write_contents(&store, &[(b"a", Some(b"1"))], b"1").await;
    with_writer(&store, |_| ());
    let log = folder.path().join("replica-contents.db-wal");
    let before = std::fs::metadata(&log).unwrap();
    for number in 0..20 {
        put_row(&store, Table::Meta, b"row", &[number]).await;
        with_writer(&store, |_| ());
    }
    let after = std::fs::metadata(&log).unwrap();
    assert_eq!(
        (before.len(), before.modified().unwrap()),
        (after.len(), after.modified().unwrap())
    );
}

#[tokio::test]
async fn deleted_contents_are_given_back_to_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica.db");
    let value = vec![7; 1_000_000];
    {
        let store = open(&path);
        for key in [b"a", b"b", b"c"] {
            put_row(&store, Table::Contents, key, &value).await;
        }
        let mut batch = Batch::new();
        for key in [b"a", b"b", b"c"] {
            batch.delete(Table::Contents, key);
        }
        store.commit(batch).await.unwrap();
        // What they replaced is forgotten with the next contents.
        put_row(&store, Table::Contents, b"d", b"small").await;
    }
    let store = open(&path);
    assert_eq!(content(&store, b"d").await.as_deref(), Some(&b"small"[..]));
    drop(store);
    let file = folder.path().join("replica-contents.db");
    assert!(std::fs::metadata(file).unwrap().len() < 1_000_000);
}

fn in_redo(store: &SqliteStore) -> i64 {
    with_writer(store, |writer| {
        let rows = &writer.rows.connection;
        rows.query_row("SELECT count(*) FROM redo", [], |row| row.get(0))
            .unwrap()
    })
}

#[tokio::test]
async fn short_contents_that_the_power_took_are_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica.db");
    let long = vec![7; 100_000];
    let store = open(&path);
    write_contents(
        &store,
        &[(b"long", Some(&long)), (b"old", Some(b"1"))],
        b"1",
    )
    .await;
    assert_eq!(in_redo(&store), 0);
    write_contents(&store, &[(b"a", Some(b"1")), (b"gone", Some(b"1"))], b"2").await;
    write_contents(&store, &[(b"a", Some(b"2")), (b"b", Some(b""))], b"3").await;
    write_contents(&store, &[(b"gone", None)], b"4").await;
    assert_eq!(in_redo(&store), 2);
    // The machine lost its power: the second file is as it was after the first batch.
    let lose = "DELETE FROM undo; PRAGMA user_version = 1;
        DELETE FROM contents WHERE key NOT IN (CAST('long' AS BLOB), CAST('old' AS BLOB))";
    with_writer(&store, |writer| {
        writer.contents.connection.execute_batch(lose).unwrap();
    });
    drop(store);
    let store = open(&path);
    assert_eq!(content(&store, b"a").await.as_deref(), Some(&b"2"[..]));
    assert_eq!(content(&store, b"b").await.as_deref(), Some(&b""[..]));
    assert_eq!(content(&store, b"gone").await, None);
    assert_eq!(content(&store, b"old").await.as_deref(), Some(&b"1"[..]));
    // What waits for the disk takes them along.
    write_contents(&store, &[(b"long", Some(&long))], b"5").await;
    assert_eq!(in_redo(&store), 0);
}

#[tokio::test]
async fn short_contents_wait_for_the_disk_now_and_then() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica.db");
    let mut store = open(&path);
    let value = vec![7; 4000];
    let mut most = 0;
    for number in 0..40_u8 {
        write_contents(&store, &[(&[number], Some(&value))], b"row").await;
        most = most.max(in_redo(&store));
        if number == 5 {
            // How much there is, is known again.
            drop(store);
            store = open(&path);
        }
    }
    assert_eq!(most, 128 * 1024 / 4000);
    for number in 0..40_u8 {
        assert_eq!(content(&store, &[number]).await.as_ref(), Some(&value));
    }
}
