//! Import and export together, over replicas in memory.

mod long;
mod status;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use letterlock_core::account::{MAX_APPEND_OCTETS, Replica};
use letterlock_core::id::{AccountId, MailboxName, Timestamp};
use letterlock_core::model::{Flag, FlagSet, VirtualMailbox};
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_core::store::MemoryStore;
use tokio_util::sync::CancellationToken;

use super::checkpoint::ResumeError;
use super::export::{self, ExportError, Exporter};
use super::import::{self, Importer};
use super::local::{self, Wanted};
use super::mbox::{Dialect, LineEnds};
use super::notes::{Note, SkipReason};
use super::progress::{Progress, Total};
use super::source::{Format, Source};
use crate::clock::Clock;

type Memory = Replica<MemoryStore>;

fn now() -> Timestamp {
    Timestamp::from_secs(1_700_000_000)
}

fn clock() -> Clock {
    Clock::from_fn(now)
}

async fn replica() -> Memory {
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::from_octets([2; 32]));
    let replica = Replica::open(MemoryStore::default(), keys, [3; 32], now())
        .await
        .unwrap();
    replica.create_default_mailboxes(now()).await.unwrap();
    replica
}

fn flag_set(flags: &[&str]) -> FlagSet {
    flags
        .iter()
        .map(|text| Flag::parse(text).unwrap())
        .collect()
}

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

/// What a round trip must keep: octets, flags and date of each message, in order, by mailbox.
type Content = BTreeMap<String, Vec<(Vec<u8>, FlagSet, i64)>>;

async fn content(replica: &Memory) -> Content {
    let mut content = Content::new();
    for mailbox in replica.mailboxes() {
        let mut messages = Vec::new();
        for placement in replica.placements(mailbox.id) {
            let message = replica.message(placement.message).await.unwrap().unwrap();
            let raw = replica.raw(&message).await.unwrap();
            messages.push((raw, placement.flags, placement.internal_date.as_millis()));
        }
        // Maildirs are in the order of their dates.
        messages.sort();
        content.insert(mailbox.name.to_string(), messages);
    }
    content
}

async fn filled() -> Memory {
    let replica = replica().await;
    let mut id = 0;
    for mailbox in [
        "INBOX",
        "Sent",
        "Grüße/日本",
        "a.b/c%d",
        "x.mbox/y.eml",
        ".odd",
        "Empty",
    ] {
        let mailbox = name(mailbox);
        let known = replica.mailbox(&mailbox).map(|mailbox| mailbox.id);
        let into = match known {
            Some(id) => id,
            None => replica.create_mailbox(&mailbox, now()).await.unwrap(),
        };
        if mailbox.as_str() == "Empty" {
            continue;
        }
        for (raw, flags) in [
            (
                &b"Subject: one\r\n\r\nFrom me\r\n>From you\r\n"[..],
                &["\\Seen", "$Forwarded"][..],
            ),
            (
                b"Subject: two\n\nno end",
                &["\\Flagged", "\\Answered", "Work", "work2"],
            ),
            (b"\0\xff\r\rFrom \n\n", &["\\Draft", "\\Deleted"]),
            (b"", &[]),
        ] {
            id += 1;
            let date = Timestamp::from_millis(1_600_000_000_000 + id * 1_001);
            replica
                .append(into, raw, flag_set(flags), date, now())
                .await
                .unwrap();
        }
    }
    replica
}

async fn import(
    replica: &Memory,
    path: &Path,
    options: import::Options,
) -> Result<import::Summary, import::ImportError> {
    import_up_to(MAX_APPEND_OCTETS, replica, path, options).await
}

/// No message of more octets than `limit`.
async fn import_up_to(
    limit: u64,
    replica: &Memory,
    path: &Path,
    options: import::Options,
) -> Result<import::Summary, import::ImportError> {
    let mut source = Source::Local(local::units(path, Wanted::default()).unwrap());
    let units = source.units().await.unwrap();
    let mut progress = Progress::start(Total::Unknown, now());
    let stop = CancellationToken::new();
    let importer = Importer::new(replica, options, &mut progress, stop, clock());
    importer.limited_to(limit).run(&mut source, &units).await
}

async fn export(
    replica: &Memory,
    target: &Path,
    format: Format,
    overwrite: bool,
) -> Result<export::Summary, ExportError> {
    let mut progress = Progress::start(Total::Unknown, now());
    let exporter = Exporter {
        replica,
        address: "ann@a.example",
        options: export::Options {
            format,
            dialect: Dialect::Mboxrd,
            mailboxes: Vec::new(),
            overwrite,
        },
        progress: &mut progress,
        stop: CancellationToken::new(),
        clock: clock(),
    };
    exporter.run(target).await
}

#[tokio::test]
async fn every_format_brings_back_what_was_exported() {
    let original = filled().await;
    let expected = content(&original).await;
    for format in [Format::Mbox, Format::Maildir, Format::Eml] {
        let target = tempfile::tempdir().unwrap();
        let written = export(&original, target.path(), format, false)
            .await
            .unwrap();
        assert_eq!(written.messages, 24);
        assert!(written.unnamed.is_empty());
        let other = replica().await;
        let read = import(&other, target.path(), import::Options::default())
            .await
            .unwrap();
        assert_eq!(read.messages, 24, "{format:?}: {}", read.notes);
        assert_eq!(content(&other).await, expected, "{format:?}");
        // A second time there is nothing to do, and `--again` does it all.
        let second = import(&other, target.path(), import::Options::default())
            .await
            .unwrap();
        assert_eq!(second.messages, 0);
        assert!(!second.before.is_empty());
        let again = import::Options {
            again: true,
            ..import::Options::default()
        };
        let third = import(&other, target.path(), again).await.unwrap();
        assert_eq!(third.messages, 24);
        let fourth = import(&other, target.path(), import::Options::default())
            .await
            .unwrap();
        assert_eq!(fourth.messages, 0);
    }
}

#[tokio::test]
async fn a_finished_export_is_not_touched_unless_asked() {
    let original = filled().await;
    for format in [Format::Mbox, Format::Maildir, Format::Eml] {
        let target = tempfile::tempdir().unwrap();
        export(&original, target.path(), format, false)
            .await
            .unwrap();
        let error = export(&original, target.path(), format, false)
            .await
            .unwrap_err();
        assert!(matches!(error, ExportError::Finished { .. }), "{error}");
        let written = export(&original, target.path(), format, true)
            .await
            .unwrap();
        assert_eq!(written.messages, 24);
        let other = replica().await;
        let read = import(&other, target.path(), import::Options::default()).await;
        assert_eq!(read.unwrap().messages, 24, "{format:?}");
    }
    let foreign = tempfile::tempdir().unwrap();
    fs::write(foreign.path().join("file"), "").unwrap();
    let error = export(&original, foreign.path(), Format::Eml, true)
        .await
        .unwrap_err();
    assert!(matches!(error, ExportError::NotEmpty { .. }), "{error}");
}

#[tokio::test]
async fn an_interrupted_export_goes_on() {
    let original = filled().await;
    let expected = content(&original).await;
    for format in [Format::Mbox, Format::Maildir, Format::Eml] {
        let target = tempfile::tempdir().unwrap();
        export(&original, target.path(), format, false)
            .await
            .unwrap();
        // As if it had been killed: the state is of an earlier moment than the files.
        let state = target.path().join("letterlock-export.json");
        let text = fs::read_to_string(&state).unwrap();
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json["finished"] = false.into();
        json["mailboxes"].as_object_mut().unwrap().remove("Sent");
        let inbox = &mut json["mailboxes"]["INBOX"];
        (inbox["last_uid"], inbox["octets"]) = (0.into(), 0.into());
        fs::write(&state, json.to_string()).unwrap();
        let written = export(&original, target.path(), format, false)
            .await
            .unwrap();
        assert_eq!(written.messages, 8, "{format:?}");
        let other = replica().await;
        import(&other, target.path(), import::Options::default())
            .await
            .unwrap();
        assert_eq!(content(&other).await, expected, "{format:?}");
    }
}

fn mbox(count: usize) -> String {
    let message = |n| format!("From a@b Fri Nov 21 09:55:06 1997\nSubject: {n}\n\ntext {n}\n\n");
    (0..count).map(message).collect()
}

#[tokio::test]
async fn a_file_goes_into_the_mailbox_that_is_named_or_that_it_is_named_after() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Lists.mbox");
    fs::write(&path, mbox(1200)).unwrap();
    let replica = replica().await;
    let summary = import(&replica, &path, import::Options::default())
        .await
        .unwrap();
    assert_eq!(summary.messages, 1200);
    let into = |prefix: &str| import::Options {
        prefix: Some(name(prefix)),
        ..import::Options::default()
    };
    // Another mailbox is another import.
    let summary = import(&replica, &path, into("A/B")).await.unwrap();
    assert_eq!(summary.messages, 1200);
    import(&replica, folder.path(), into("Under"))
        .await
        .unwrap();
    for mailbox in ["Lists", "A/B", "Under/Lists"] {
        assert_eq!(
            replica.mailbox(&name(mailbox)).unwrap().messages,
            1200,
            "{mailbox}"
        );
    }
}

#[tokio::test]
async fn an_mbox_that_grew_is_gone_on_with_and_one_that_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.mbox");
    let replica = replica().await;
    let options = import::Options::default;
    fs::write(&path, mbox(10)).unwrap();
    assert_eq!(
        import(&replica, &path, options()).await.unwrap().messages,
        10
    );
    fs::write(&path, mbox(15)).unwrap();
    let grown = import(&replica, &path, options()).await.unwrap();
    assert_eq!(grown.messages, 5);
    assert_eq!(
        grown.resumed,
        [(fs::canonicalize(&path).unwrap().display().to_string(), 10)]
    );
    fs::write(&path, mbox(15).replace("text 3", "TEXT 3")).unwrap();
    let changed = import(&replica, &path, options()).await.unwrap();
    assert_eq!(changed.messages, 0);
    assert!(matches!(changed.refused[0].1, ResumeError::Changed));
    fs::write(&path, mbox(5)).unwrap();
    let shorter = import(&replica, &path, options()).await.unwrap();
    assert!(matches!(shorter.refused[0].1, ResumeError::Shorter));
    let again = import::Options {
        again: true,
        ..options()
    };
    assert_eq!(import(&replica, &path, again).await.unwrap().messages, 5);
    assert_eq!(replica.mailbox(&name("x")).unwrap().messages, 20);
}

#[tokio::test]
async fn a_maildir_brings_what_is_new_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("cur")).unwrap();
    let put =
        |name: &str, text: &str| fs::write(folder.path().join("cur").join(name), text).unwrap();
    put("500.a:2,S", "Subject: a\n\n");
    put("600.b:2,", "Subject: b\n\n");
    put("700.z:2,", "\u{1f}\u{8b}");
    fs::write(folder.path().join("cur/800.gz:2,"), [0x1f, 0x8b, 8]).unwrap();
    let replica = replica().await;
    let first = import(&replica, folder.path(), import::Options::default())
        .await
        .unwrap();
    assert_eq!((first.messages, first.notes.skipped()), (3, 1));
    assert!(
        first
            .notes
            .to_string()
            .contains(&SkipReason::Compressed.to_string())
    );
    // One that is older than all the others, and one that was read meanwhile.
    put("100.c:2,", "Subject: c\n\n");
    let cur = folder.path().join("cur");
    fs::rename(cur.join("600.b:2,"), cur.join("600.b:2,S")).unwrap();
    let second = import(&replica, folder.path(), import::Options::default())
        .await
        .unwrap();
    assert_eq!(second.messages, 1);
    assert_eq!(replica.mailbox(&MailboxName::inbox()).unwrap().messages, 4);
}

#[tokio::test]
async fn what_is_too_large_is_passed_over_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.mbox");
    let separator = "From a@b Fri Nov 21 09:55:06 1997\n";
    let line = "x".repeat(999) + "\n";
    let long = line.repeat(9_000);
    let huge = line.repeat(10_000);
    let text =
        format!("{separator}A: 1\n\n{huge}\n{separator}A: 2\n\n{long}\n{separator}A: 3\n\nshort\n");
    fs::write(&path, &text).unwrap();
    let replica = replica().await;
    let summary = import_up_to(9_500_000, &replica, &path, import::Options::default())
        .await
        .unwrap();
    assert_eq!((summary.messages, summary.notes.skipped()), (2, 1));
    let stored = replica.mailbox(&name("x")).unwrap();
    assert_eq!(stored.size, (6 + long.len() + 6 + "short\n".len()) as u64);
    let second = import(&replica, &path, import::Options::default())
        .await
        .unwrap();
    assert_eq!((second.messages, second.notes.skipped()), (0, 0));
}

#[tokio::test]
async fn a_stop_ends_after_the_batch_and_the_next_import_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.mbox");
    fs::write(&path, mbox(3000)).unwrap();
    let replica = replica().await;
    let mut runs = 0;
    loop {
        let mut source = Source::Local(local::units(&path, Wanted::default()).unwrap());
        let units = source.units().await.unwrap();
        let mut progress = Progress::start(Total::Unknown, now());
        let stop = CancellationToken::new();
        let options = import::Options::default();
        let importer = Importer::new(&replica, options, &mut progress, stop.clone(), clock());
        let mut changes = replica.subscribe();
        let stopping = async {
            changes.changed().await;
            changes.changed().await;
            stop.cancel();
        };
        let running = Box::pin(importer.run(&mut source, &units));
        let (summary, ()) = match futures::future::select(running, Box::pin(stopping)).await {
            futures::future::Either::Left((summary, _)) => (summary, ()),
            futures::future::Either::Right(((), running)) => (running.await, ()),
        };
        runs += 1;
        if !summary.unwrap().stopped {
            break;
        }
    }
    assert!(runs > 1, "it was never stopped");
    let mailbox = replica.mailbox(&name("x")).unwrap();
    assert_eq!(mailbox.messages, 3000);
    let mut raws: Vec<Vec<u8>> = Vec::new();
    for (raw, ..) in &content(&replica).await["x"] {
        raws.push(raw.clone());
    }
    raws.dedup();
    assert_eq!(raws.len(), 3000);
}

#[tokio::test]
async fn what_is_called_as_a_virtual_mailbox_goes_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("All Mail.mbox");
    fs::write(&path, mbox(2)).unwrap();
    let replica = replica().await;
    let all = [VirtualMailbox::All];
    replica.set_virtual_mailboxes(&all, now()).await.unwrap();
    let options = import::Options::default();
    let summary = import(&replica, &path, options).await.unwrap();
    assert_eq!(summary.notes.count(Note::ChangedName), 1);
    let beside = replica.mailbox(&name("All Mail (imported)")).unwrap();
    assert_eq!(beside.messages, 2);
    assert_eq!(replica.mailbox(&name("All Mail")).unwrap().messages, 2);
}

#[tokio::test]
async fn line_ends_are_lengthened_when_asked_and_names_are_made_valid() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a\tb.mbox");
    fs::write(&path, mbox(1)).unwrap();
    let replica = replica().await;
    let options = import::Options {
        line_ends: LineEnds::Bare,
        ..import::Options::default()
    };
    let summary = import(&replica, &path, options).await.unwrap();
    assert_eq!(summary.notes.count(Note::ChangedName), 1);
    let content = content(&replica).await;
    assert_eq!(content["a_b"][0].0, b"Subject: 0\r\n\r\ntext 0\r\n");
    assert_eq!(content["a_b"][0].2, 880_106_106_000);
}

#[test]
fn sources_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("thunderbird/Inbox", &mbox(1));
    put("thunderbird/Inbox.msf", "index");
    put("thunderbird/Inbox.sbd/Deep", &mbox(1));
    put("kmail/inbox", &mbox(1));
    put("kmail/.inbox.index", "index");
    put("kmail/.inbox.directory/Work", &mbox(1));
    put("maildir/.Sub/cur/1.a", "x");
    put("eml/a/1.EML", "x");
    put("text", "hello");
    let names = |name: &str| {
        local::units(&folder.path().join(name), Wanted::default()).map(|units| {
            units
                .iter()
                .map(|unit| unit.levels.join("/"))
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(names("thunderbird").unwrap(), ["Inbox", "Inbox/Deep"]);
    assert_eq!(names("kmail").unwrap(), ["inbox", "inbox/Work"]);
    assert_eq!(names("maildir").unwrap(), ["Sub"]);
    assert_eq!(names("eml").unwrap(), ["a"]);
    for (missing, what) in [("text", "no mbox"), ("none", "No such file")] {
        let error = names(missing).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains(missing), "{error}");
    }
}
