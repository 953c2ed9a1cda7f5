//! What the store must survive: reopening, a wrong key, a damaged page, a full disk.

use std::os::unix::fs::{FileExt, PermissionsExt};

use letterlock_core::store::conformance;

use super::*;

const KEY: [u8; 32] = [0x5c; 32];

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, &KEY).unwrap()
}

async fn put_row(store: &SqliteStore, table: Table, key: &[u8], value: &[u8]) {
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
            let octets = std::fs::read(entry.unwrap().path()).unwrap();
            for plain in [
                &b"must not be found"[..],
                b"in the clear",
                b"SQLite format",
                b"WITHOUT",
            ] {
                assert!(!octets.windows(plain.len()).any(|window| window == plain));
            }
        }
    }
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
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
    let store = open(&path);
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
    match store.commit(batch).await {
        Err(StoreError::Damaged { table, .. }) => assert_eq!(table, "documents"),
        other => panic!("damage must be told, got {other:?}"),
    }
    put_row(&store, Table::Meta, b"a", b"2").await;
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica.db");
    let store = open(&path);
    put_row(&store, Table::Meta, b"a", b"1").await;
    let set_limit = |pages: u32| {
        lock(&store.inner.writer)
            .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
            .unwrap();
    };
    set_limit(40);
    let mut batch = Batch::new();
    batch.put(Table::Meta, b"a", b"2");
    batch.put(Table::Documents, b"large", vec![0; 1_000_000]);
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
        }
    };
    let many = futures::future::join_all((0..20).map(|_| store.scan(Table::Meta, KeyRange::all())));
    let ((), (), scans) = futures::join!(write, read, many);
    assert!(scans.into_iter().all(|scan| scan.unwrap().len() == 1));
}
