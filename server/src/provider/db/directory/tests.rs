//! The directory in SQLite, followed by the core.

use std::path::Path;

use letterlock_core::keys::transparency::Follower;
use rusqlite::Connection;

use super::super::{Both, Effects, accounts::NewAccount, deletion, keys, places, schema};
use super::*;
use letterlock_core::id::AccountId;

const NOW: Timestamp = Timestamp::from_secs(1_780_272_000);

fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

fn sign_up(transaction: &Transaction<'_>, id: u8, local: &str) -> AccountId {
    let account = AccountId::new([id; 16]);
    let new = NewAccount {
        account,
        address: address(&format!("{local}@x.example")),
        record: vec![],
        root_key_wrap: vec![],
        recovery: None,
    };
    let both = Both::one(transaction);
    assert!(places::insert(&both, account, &new.address).unwrap());
    assert!(accounts::insert(transaction, &new, NOW).unwrap());
    keys::put(transaction, account, &[id; 40], NOW).unwrap();
    account
}

fn database() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection, Path::new("memory")).unwrap();
    connection
}

#[test]
fn accounts_that_are_there_are_entered_once_and_each_change_is_appended() {
    let mut connection = database();
    let transaction = Transaction::Sqlite(connection.transaction().unwrap());
    let alice = sign_up(&transaction, 1, "alice");
    sign_up(&transaction, 2, "bob");
    assert!(head(&transaction, 0, 0).unwrap().is_none());
    assert!(establish(&transaction, "x.example", NOW).unwrap());
    assert!(!establish(&transaction, "other.example", NOW).unwrap());
    let of = address("alice@x.example");
    let first = lookup(&transaction, &of, 0).unwrap().unwrap();
    let (mut device, entry) = Follower::begin(&of, &first).unwrap();
    assert_eq!(entry.certificates, [[1; 40]]);
    assert_eq!(
        (device.seen(), device.identity().domain.as_str()),
        (2, "x.example")
    );
    for id in 3..90 {
        sign_up(&transaction, id, &format!("u{id}"));
    }
    // The same again is no change.
    keys::put(&transaction, alice, &[1; 40], NOW).unwrap();
    keys::put(&transaction, alice, &[7; 40], NOW).unwrap();
    let told = changes(&transaction, 2, 2).unwrap().unwrap();
    let followed = device.follow(&told, &device.label(&of)).unwrap();
    assert_eq!((device.seen(), device.followed()), (90, 90));
    let [(position, value)] = followed.own[..] else {
        panic!("{followed:?}")
    };
    assert_eq!((position, value.version), (89, 2));
    let published = super::entry(&transaction, position).unwrap().unwrap();
    assert_eq!(published.certificates, [[7; 40]]);
    assert!(super::entry(&transaction, 90).unwrap().is_none());
    assert!(super::entry(&transaction, u64::MAX).unwrap().is_none());
    for (local, octets) in [
        ("alice", Some([7; 40])),
        ("u50+x", Some([50; 40])),
        ("nobody", None),
    ] {
        let of = address(&format!("{local}@x.example"));
        let answer = lookup(&transaction, &of, 90).unwrap().unwrap();
        let entry = device.lookup(&of, &answer).unwrap();
        assert_eq!(
            entry.certificates.first().map(Vec::as_slice),
            octets.as_ref().map(|o| &o[..])
        );
    }
}

#[test]
fn an_account_that_ends_leaves_hashes_and_its_address_goes_on_counting() {
    let mut connection = database();
    let transaction = Transaction::Sqlite(connection.transaction().unwrap());
    establish(&transaction, "x.example", NOW).unwrap();
    let of = address("alice@x.example");
    let first = lookup(&transaction, &of, 0).unwrap().unwrap();
    let (mut device, entry) = Follower::begin(&of, &first).unwrap();
    assert_eq!((entry.value, device.seen()), (None, 0));
    let alice = sign_up(&transaction, 1, "alice");
    let mut effects = Effects::default();
    deletion::begin(&Both::one(&transaction), &mut effects, alice, NOW).unwrap();
    assert_eq!(deletion::ended(&transaction).unwrap(), Some(alice));
    while deletion::step(&transaction, &mut effects, alice, 10).unwrap() {}
    let answer = lookup(&transaction, &of, 0).unwrap().unwrap();
    let entry = device.lookup(&of, &answer).unwrap();
    assert_eq!(entry.value.unwrap().version, 2);
    assert!(entry.certificates.is_empty());
    let kept: i64 = transaction
        .query_row("SELECT count(entry) FROM directory_log", params![], |row| {
            row.get(0)
        })
        .unwrap()
        .unwrap();
    assert_eq!(kept, 0);
    sign_up(&transaction, 2, "alice");
    let answer = lookup(&transaction, &of, 2).unwrap().unwrap();
    assert_eq!(
        device.lookup(&of, &answer).unwrap().value.unwrap().version,
        3
    );
}

#[test]
fn a_row_of_a_newer_version_is_refused() {
    let mut connection = database();
    let transaction = Transaction::Sqlite(connection.transaction().unwrap());
    establish(&transaction, "x.example", NOW).unwrap();
    sign_up(&transaction, 1, "alice");
    let step: Vec<u8> = transaction
        .query_row("SELECT step FROM directory_log", params![], |row| {
            row.get(0)
        })
        .unwrap()
        .unwrap();
    // Version, label, entry's version, set, nothing beside, nothing at the end.
    assert_eq!(step.len(), 1 + 33 + 1 + 33 + 1 + 1);
    assert_eq!((step[0], step[34], &step[68..]), (1, 1, &[0, 0][..]));
    transaction
        .execute("UPDATE directory_log SET step = x'02'", params![])
        .unwrap();
    let error = changes(&transaction, 0, 0).unwrap_err();
    assert!(error.to_string().contains("newer"), "{error}");
}
