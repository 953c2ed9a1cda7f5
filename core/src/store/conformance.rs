//! What every backend must do. A backend is done when [`run`] passes on an empty store of it.

#![expect(clippy::panic, reason = "a test suite fails by panicking")]

use super::{Batch, KeyRange, Store, StoreError, Table};

/// Runs the whole suite on an empty store.
pub async fn run<S: Store>(store: S) {
    puts_and_gets(&store).await;
    scans_in_order(&store).await;
    keeps_tables_apart(&store).await;
    writes_all_or_nothing(&store).await;
    holds_large_values(&store).await;
    applies_in_order(&store).await;
}

async fn puts_and_gets<S: Store>(store: &S) {
    assert_eq!(get(store, Table::Meta, b"a").await, None);
    put(store, Table::Meta, b"a", b"1").await;
    put(store, Table::Meta, b"empty", b"").await;
    assert_eq!(
        get(store, Table::Meta, b"a").await.as_deref(),
        Some(&b"1"[..])
    );
    assert_eq!(
        get(store, Table::Meta, b"empty").await.as_deref(),
        Some(&b""[..])
    );
    put(store, Table::Meta, b"a", b"2").await;
    assert_eq!(
        get(store, Table::Meta, b"a").await.as_deref(),
        Some(&b"2"[..])
    );
    let mut batch = Batch::new();
    batch.delete(Table::Meta, b"a");
    batch.delete(Table::Meta, b"never there");
    commit(store, batch).await;
    assert_eq!(get(store, Table::Meta, b"a").await, None);
    put(store, Table::Meta, b"b", b"3").await;
    let keys = [&b"b"[..], b"a", b"empty", b"b"].map(<[u8]>::to_vec);
    let values = match store.get_many(Table::Meta, keys.to_vec()).await {
        Ok(values) => values,
        Err(error) => panic!("get_many: {error}"),
    };
    let three = Some(b"3".to_vec());
    assert_eq!(values, [three.clone(), None, Some(Vec::new()), three]);
}

async fn scans_in_order<S: Store>(store: &S) {
    // 0x00, 0x7f, 0x80 and 0xff sort as octets, not as signed numbers or text.
    let keys: [&[u8]; 6] = [&[0], &[0, 0], &[0x7f], &[0x80], &[0xff], &[0xff, 0xff]];
    for key in keys.iter().rev() {
        put(store, Table::Placements, key, key).await;
    }
    let all = scan(store, Table::Placements, KeyRange::all()).await;
    assert_eq!(all, keys.iter().map(|k| k.to_vec()).collect::<Vec<_>>());
    let prefixed = scan(store, Table::Placements, KeyRange::prefix(&[0xff])).await;
    assert_eq!(prefixed, vec![vec![0xff], vec![0xff, 0xff]]);
    let prefixed = scan(store, Table::Placements, KeyRange::prefix(&[0])).await;
    assert_eq!(prefixed, vec![vec![0], vec![0, 0]]);
    let range = KeyRange {
        start: vec![0, 0],
        end: Some(vec![0x80]),
        limit: usize::MAX,
    };
    assert_eq!(
        scan(store, Table::Placements, range).await,
        vec![vec![0, 0], vec![0x7f]]
    );
    let two = scan(store, Table::Placements, KeyRange::all().limit(2)).await;
    assert_eq!(two, vec![vec![0], vec![0, 0]]);
}

async fn keeps_tables_apart<S: Store>(store: &S) {
    for table in Table::ALL {
        put(store, table, b"same key", table.name().as_bytes()).await;
    }
    for table in Table::ALL {
        assert_eq!(
            get(store, table, b"same key").await.as_deref(),
            Some(table.name().as_bytes())
        );
    }
}

async fn writes_all_or_nothing<S: Store>(store: &S) {
    put(store, Table::Meta, b"counter", b"1").await;
    let mut batch = Batch::new();
    batch.expect(Table::Meta, b"counter", Some(b"1".to_vec()));
    batch.expect(Table::Meta, b"absent", None);
    batch.put(Table::Meta, b"counter", b"2");
    batch.put(Table::Mailboxes, b"m", b"x");
    commit(store, batch.clone()).await;
    assert_eq!(
        get(store, Table::Meta, b"counter").await.as_deref(),
        Some(&b"2"[..])
    );
    batch.put(Table::Mailboxes, b"n", b"y");
    match store.commit(batch).await {
        Err(StoreError::Conflict) => {}
        other => panic!("a stale expectation must conflict, got {other:?}"),
    }
    assert_eq!(get(store, Table::Mailboxes, b"n").await, None);
}

async fn holds_large_values<S: Store>(store: &S) {
    let large: Vec<u8> = (0..3_000_000_u32)
        .map(|n| n.to_le_bytes()[0] ^ 0x5a)
        .collect();
    put(store, Table::Documents, b"large", &large).await;
    assert!(get(store, Table::Documents, b"large").await.as_ref() == Some(&large));
}

async fn applies_in_order<S: Store>(store: &S) {
    let mut batch = Batch::new();
    batch.put(Table::Outbox, b"k", b"1");
    batch.delete(Table::Outbox, b"k");
    batch.put(Table::Outbox, b"l", b"1");
    batch.put(Table::Outbox, b"l", b"2");
    commit(store, batch).await;
    assert_eq!(get(store, Table::Outbox, b"k").await, None);
    assert_eq!(
        get(store, Table::Outbox, b"l").await.as_deref(),
        Some(&b"2"[..])
    );
}

async fn get<S: Store>(store: &S, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    match store.get(table, key).await {
        Ok(value) => value,
        Err(error) => panic!("get: {error}"),
    }
}

async fn scan<S: Store>(store: &S, table: Table, range: KeyRange) -> Vec<Vec<u8>> {
    match store.scan(table, range).await {
        Ok(rows) => rows.into_iter().map(|(key, _)| key).collect(),
        Err(error) => panic!("scan: {error}"),
    }
}

async fn put<S: Store>(store: &S, table: Table, key: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(table, key, value);
    commit(store, batch).await;
}

async fn commit<S: Store>(store: &S, batch: Batch) {
    if let Err(error) = store.commit(batch).await {
        panic!("commit: {error}");
    }
}
