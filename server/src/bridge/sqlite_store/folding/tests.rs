//! What was committed is there, wherever it is on its way into the files.

use std::path::Path;

use letterlock_core::store::{KeyRange, Store as _, Table};

use super::super::tests::{content, open, put_row, with_writer, write_contents};
use super::*;

/// As if the process were killed: the files as they are, in another folder.
fn killed(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

#[tokio::test]
async fn what_was_committed_outlives_the_process_before_it_is_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("replica.db"));
    write_contents(&store, &[(b"a", Some(b"1")), (b"b", Some(b"1"))], b"1").await;
    with_writer(&store, |_| ());
    write_contents(&store, &[(b"a", Some(b"2")), (b"b", None)], b"2").await;
    let mut batch = Batch::new();
    batch.put(Table::Meta, b"flags", b"3");
    batch.durability = Durability::Process;
    store.commit(batch).await.unwrap();
    let copy = killed(folder.path());
    let path = copy.path().join("replica.db");
    for _ in 0..2 {
        let store = open(&path);
        assert_eq!(content(&store, b"a").await.as_deref(), Some(&b"2"[..]));
        assert_eq!(content(&store, b"b").await, None);
        for (key, value) in [(&b"row"[..], b"2"), (b"flags", b"3")] {
            let row = store.get(Table::Meta, key).await.unwrap();
            assert_eq!(row.as_deref(), Some(&value[..]));
        }
    }
    // Closed, nothing is left beside the files.
    let names = std::fs::read_dir(copy.path()).unwrap();
    assert!(names.map(|entry| entry.unwrap().file_name()).all(|name| {
        let name = name.to_string_lossy().into_owned();
        !name.contains("journal")
    }));
}

#[tokio::test]
async fn an_older_journal_is_not_written_over_what_came_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("replica.db"));
    put_row(&store, Table::Meta, b"a", b"1").await;
    put_row(&store, Table::Meta, b"b", b"1").await;
    with_writer(&store, |_| ());
    // The first journal is still there, of a generation that the files have.
    let mut batch = Batch::new();
    batch.put(Table::Meta, b"a", b"2");
    batch.put(Table::Documents, b"long", vec![7; 5_000_000]);
    store.commit(batch).await.unwrap();
    let copy = killed(folder.path());
    let store = open(&copy.path().join("replica.db"));
    let row = store.get(Table::Meta, b"a").await.unwrap();
    assert_eq!(row.as_deref(), Some(&b"2"[..]));
}

#[tokio::test]
async fn what_is_committed_is_folded_soon_and_when_it_is_much() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("replica.db"));
    let in_files = async |key: &[u8]| {
        for _ in 0..300 {
            let is_above = store.inner().layers.find(Table::Documents, key).is_some();
            if !is_above && store.inner().layers.folding().is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it is not folded");
    };
    for number in 0..20_u8 {
        put_row(
            &store,
            Table::Documents,
            &[number],
            &vec![number; 1_000_000],
        )
        .await;
    }
    put_row(&store, Table::Documents, b"short", b"1").await;
    in_files(b"short").await;
    for number in 0..20_u8 {
        let value = store.get(Table::Documents, &[number]).await.unwrap();
        assert!(value.unwrap() == vec![number; 1_000_000]);
    }
}

#[tokio::test]
async fn scans_show_one_moment_while_rows_go_into_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("replica.db"));
    let write = async {
        for number in 1..=100_u8 {
            let mut batch = Batch::new();
            for key in 0..4_u8 {
                batch.put(Table::Meta, [key], [number]);
            }
            batch.durability = if number % 2 == 0 {
                Durability::Process
            } else {
                Durability::Machine
            };
            store.commit(batch).await.unwrap();
            let inner = Arc::clone(store.inner());
            let fold = tokio::task::spawn_blocking(move || inner.fold());
            if number % 3 == 0 {
                fold.await.unwrap().unwrap();
            }
        }
    };
    let read = async {
        let mut last = 0;
        while last < 100 {
            let rows = store.scan(Table::Meta, KeyRange::all()).await.unwrap();
            let values: Vec<u8> = rows.iter().map(|(_, value)| value[0]).collect();
            let first = values.first().copied().unwrap_or(0);
            assert!(values.iter().all(|value| *value == first), "{values:?}");
            assert!(first >= last);
            last = first;
        }
    };
    futures::join!(write, read);
}
