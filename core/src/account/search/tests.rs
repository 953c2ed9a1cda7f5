//! Whole messages in, answers out: what is read of a message, and when.

use super::*;
use crate::id::{AccountId, Address, Timestamp, Uid};
use crate::model::{FlagChange, FlagSet};
use crate::replica::document::content_doc_id;
use crate::seal::{AccountKeys, RootKey};
use crate::store::{Batch, KeyRange, MemoryStore, SealedStore, Table};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const ALL: Page = Page {
    offset: 0,
    limit: 100,
};

async fn open<S: Store>(store: S) -> Account<S> {
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::from_octets([2; 32]));
    let address = Address::new("alice@letterlock.example").unwrap();
    Account::open(store, address, keys, [3; 32], NOW)
        .await
        .unwrap()
}

async fn append<S: Store>(account: &Account<S>, raw: &str, day: i64) -> Uid {
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
    let raw = raw.replace('\n', "\r\n");
    let came = Timestamp::from_secs(1_700_000_000 + day * 86_400);
    let appended = account.append(inbox, raw.as_bytes(), FlagSet::new(), came, NOW);
    appended.await.unwrap().uid
}

async fn total<S: Store>(account: &Account<S>, query: &str) -> usize {
    let found = account.search(&Query::parse(query), ALL).await.unwrap();
    assert_eq!(found.hits.len(), found.total);
    found.total
}

async fn check<S: Store>(account: &Account<S>, expected: &[(&str, usize)]) {
    for (query, expected) in expected {
        assert_eq!(total(account, query).await, *expected, "{query}");
    }
}

const LETTER: &str = "From: Inés Hügel <ines@mail.example.org>\nTo: alice@letterlock.example\n\
    Cc: =?utf-8?q?J=C3=BCrgen?= <juergen@x.example>\nSubject: =?utf-8?b?R2FydGVucGxhbg==?=\n for\n May\n\
    MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\
    Content-Type: multipart/alternative; boundary=c\n\n--c\n\
    Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n\
    Sch=F6ne Gr=FC=DFe, the seeds are sown.\n--c\nContent-Type: text/html\n\n\
    <p class=\"fancy\">Sch&ouml;ne Gr&uuml;&szlig;e, the seeds are sown. Really.</p>\n--c--\n--b\n\
    Content-Type: application/pdf; name=\"plan-2023.pdf\"\nContent-Disposition: attachment\n\
    Content-Transfer-Encoding: base64\n\nAAAA\n--b\nContent-Type: message/rfc822\n\n\
    Subject: Within\nX-Trace: hidden\n\nThe lighthouse keeper.\n--b--\n";

#[tokio::test]
async fn a_message_is_found_by_what_people_read_of_it() {
    let account = open(MemoryStore::new()).await;
    append(&account, LETTER, 0).await;
    check(
        &account,
        &[
            ("ines", 1),
            ("from:HUGEL", 1),
            ("from:ines@mail.example.org", 1),
            ("mail.example", 1),
            ("cc:jurgen", 1),
            ("subject:\"gartenplan for may\"", 1),
            ("\"schöne grüsse\"", 1),
            ("body:seeds -body:weeds", 1),
            ("really", 1),
            ("filename:plan", 1),
            ("2023.pdf", 1),
            ("within lighthouse", 1),
            ("has:attachment", 1),
            ("seed*", 1),
            ("fancy", 0),
            ("hidden", 0),
            ("to:ines", 0),
            ("is:encrypted OR is:signed", 0),
            ("in:inbox is:unread smaller:1M", 1),
            ("in:archive", 0),
        ],
    )
    .await;
    let found = account.search(&Query::parse("in:nowhere"), ALL).await;
    assert_eq!(found.unwrap().notes.len(), 1);
}

#[tokio::test]
async fn answers_follow_the_mail() {
    let account = open(SealedStore::new(MemoryStore::new(), &[9; 32])).await;
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
    for day in 0..20 {
        append(&account, &format!("Subject: seeds {day}\n\nx\n"), day).await;
    }
    let page = Page {
        offset: 2,
        limit: 3,
    };
    let found = account.search(&Query::parse("seeds"), page).await.unwrap();
    assert_eq!((found.total, found.hits.len()), (20, 3));
    assert!(found.hits.is_sorted_by(|a, b| a.date > b.date));
    check(
        &account,
        &[
            ("since:2023-11-15 before:2023-11-17", 2),
            ("on:2023-11", 17),
        ],
    )
    .await;
    let uid = Uid::new(3).unwrap();
    let seen = [Flag::Seen].into();
    account
        .store_flags(inbox, &[uid], FlagChange::Add, &seen, NOW)
        .await
        .unwrap();
    check(&account, &[("is:read", 1), ("is:unread", 19)]).await;
    let trash = account.mailbox_for(Role::Trash).unwrap();
    account
        .move_messages(inbox, &[uid], trash.id, NOW)
        .await
        .unwrap();
    check(&account, &[("in:bin", 1), ("in:inbox", 19), ("seeds", 20)]).await;
    let moved = account.placements(trash.id)[0].uid;
    account.expunge(trash.id, &[moved], NOW).await.unwrap();
    check(&account, &[("seeds", 19), ("seeds in:trash", 0)]).await;
    while account.index_step(5).await.unwrap().more {}
    let queued = account
        .store()
        .scan(Table::Unindexed, KeyRange::all())
        .await;
    assert_eq!(queued.unwrap(), []);
}

#[tokio::test]
async fn a_store_from_before_the_index_and_a_rebuilt_one_answer_alike() {
    let account = open(MemoryStore::new()).await;
    for day in 0..5 {
        append(&account, &format!("Subject: seeds {day}\n\nx\n"), day).await;
    }
    // As if no message had ever been queued.
    let mut batch = Batch::new();
    for (key, _) in account
        .store()
        .scan(Table::Unindexed, KeyRange::all())
        .await
        .unwrap()
    {
        batch.delete(Table::Unindexed, key);
    }
    account.store().commit(batch).await.unwrap();
    assert_eq!(total(&account, "seeds").await, 5);
    account.rebuild_index().await.unwrap();
    assert_eq!(total(&account, "seeds").await, 5);
    while account.index_step(2).await.unwrap().more {}
    assert_eq!(account.index_size().await.unwrap().messages, 5);
}

/// Takes the octets of the message's first leaf off this device.
async fn take_away(account: &Account<MemoryStore>) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
    let hash = account.placements(inbox)[0].message;
    let message = account.message(hash).await.unwrap().unwrap();
    let id = content_doc_id(account.keys(), message.leaves[0].pieces[0]);
    let mut batch = Batch::new();
    let mut rows = Vec::new();
    for table in [Table::Documents, Table::Contents] {
        if let Some(row) = account.store().get(table, id.as_bytes()).await.unwrap() {
            batch.delete(table, *id.as_bytes());
            rows.push((table, id.as_bytes().to_vec(), row));
        }
    }
    assert!(!rows.is_empty());
    account.store().commit(batch).await.unwrap();
    rows
}

#[tokio::test]
async fn a_message_that_is_not_all_here_is_indexed_again_when_it_is() {
    let account = open(MemoryStore::new()).await;
    append(&account, "Subject: seeds\n\nlighthouse\n", 0).await;
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
    let hash = account.placements(inbox)[0].message;
    let rows = take_away(&account).await;
    while account.index_step(9).await.unwrap().more {}
    check(&account, &[("seeds", 1), ("lighthouse", 0)]).await;
    let candidates = account.candidates(CandidatePlace::Body, "lighthouse").await;
    let candidates = candidates.unwrap().unwrap();
    assert!(candidates.may_have(&hash), "the index must not say no");
    let mut batch = Batch::new();
    for (table, key, row) in rows {
        batch.put(table, key, row);
    }
    account.store().commit(batch).await.unwrap();
    while account.index_step(9).await.unwrap().more {}
    check(&account, &[("seeds", 1), ("lighthouse", 1)]).await;
    let candidates = account.candidates(CandidatePlace::Body, "windmill").await;
    assert!(!candidates.unwrap().unwrap().may_have(&hash));
}
