//! Stopping, starting again, and storage that fails: nothing is lost, and what is wrong is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::imap::{Imap, Summary};
use crate::talk::{self, Fate, Talk};
use crate::tools::{argument, files};
use crate::world::{START_DEADLINE, World, poll};

/// What a client may rely on of one message.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    uid: u32,
    subject: String,
    flags: BTreeSet<String>,
    message: String,
}

/// UIDVALIDITY and messages of alice's INBOX.
fn state(world: &World) -> (u32, Vec<Kept>) {
    let mut imap = Imap::log_in(world, world.alice());
    let uid_validity = imap.uid_validity();
    let mut all = Vec::new();
    for Summary { uid, subject } in imap.summaries() {
        let flags = imap.flags(uid);
        let flags = flags.split_whitespace().map(str::to_owned);
        all.push(Kept {
            uid,
            subject,
            // The only one that belongs to the session.
            flags: flags.filter(|flag| flag != "\\Recent").collect(),
            message: imap.message(uid).escape_ascii().to_string(),
        });
    }
    (uid_validity, all)
}

fn assert_same(now: &(u32, Vec<Kept>), before: &(u32, Vec<Kept>)) {
    assert_eq!(now.0, before.0, "UIDVALIDITY");
    for (now, before) in now.1.iter().zip(&before.1) {
        assert_eq!(now, before);
    }
    assert_eq!(now.1.len(), before.1.len());
}

/// A message whose arrival shows that everything before it has arrived.
fn fence(world: &World, name: &str) {
    let alice = world.alice();
    let message = format!("Subject: {name}\r\n\r\nx\r\n");
    talk::deliver(&world.ready().lmtp, &alice.address, message.as_bytes());
    Imap::inbox(world, alice).wait_for(name);
}

#[test]
fn a_restart_changes_nothing() {
    let mut world = World::start();
    fence(&world, "before the restart");
    let mut imap = Imap::inbox(&world, world.alice());
    let uid = imap.wait_for("before the restart");
    imap.ok(&format!(
        "UID STORE {uid} +FLAGS (\\Flagged \\Answered Kept)"
    ));
    let first = state(&world);
    let accounts = world.ready().accounts.clone();
    // A client that waits must not hold up the end.
    let tag = imap.send("IDLE").expect("send IDLE");
    assert!(
        imap.response().expect("an answer").text.starts_with('+'),
        "{tag}"
    );
    let _silent = Talk::lmtp(&world.ready().lmtp).expect("connect");
    world.stop();
    world.restart();
    assert_same(&state(&world), &first);
    for (old, new) in accounts.iter().zip(&world.ready().accounts) {
        assert_eq!(old.address, new.address);
        assert!(old.password == new.password, "the password changed");
        assert!(
            old.app_password == new.app_password,
            "the app password changed"
        );
    }
    // UIDs go on where they were.
    fence(&world, "after the restart");
    let mut imap = Imap::inbox(&world, world.alice());
    let next = imap.wait_for("after the restart");
    assert!(next > uid, "{next} after {uid}");
}

#[test]
fn what_was_expunged_stays_away() {
    let mut world = World::start();
    fence(&world, "to be expunged");
    let mut imap = Imap::inbox(&world, world.alice());
    let uid = imap.wait_for("to be expunged");
    imap.ok(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"));
    imap.ok("EXPUNGE");
    drop(imap);
    world.kill();
    world.restart();
    fence(&world, "after it");
    let mut imap = Imap::inbox(&world, world.alice());
    let all = imap.summaries();
    assert!(
        all.iter().all(|summary| summary.uid != uid),
        "UID {uid} is back"
    );
    assert!(
        all.iter()
            .all(|summary| summary.subject != "to be expunged"),
        "it is back"
    );
}

/// The bridge's database files: SQLite by name, outside the provider's folder.
fn bridge_databases(data_dir: &Path) -> Vec<PathBuf> {
    let databases = files(data_dir).into_iter().filter(|file| {
        let inside = file.strip_prefix(data_dir).expect("a file inside");
        let of_provider = inside.starts_with("provider");
        let extension = file.extension().and_then(|extension| extension.to_str());
        !of_provider && matches!(extension, Some("sqlite" | "db" | "sqlite3"))
    });
    databases.collect()
}

#[test]
fn a_damaged_database_is_named_and_a_restored_one_goes_on() {
    const PAGE: usize = 4096;
    let mut world = World::start();
    fence(&world, "before the damage");
    let first = state(&world);
    world.stop();
    let databases = bridge_databases(&world.data_dir());
    assert!(!databases.is_empty(), "{:?}", files(&world.data_dir()));
    let whole: Vec<Vec<u8>> = databases
        .iter()
        .map(|path| fs::read(path).expect("the database"))
        .collect();
    for (path, content) in databases.iter().zip(&whole) {
        let mut damaged = content.clone();
        // Every page but the first, so that it does not matter which of them is read.
        damaged
            .iter_mut()
            .skip(PAGE)
            .for_each(|octet| *octet ^= 0x55);
        fs::write(path, damaged).expect("damage the database");
    }
    world.spawn();
    let names: Vec<String> = databases
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let is_named = |world: &World| {
        let log = world.complaints();
        names.iter().any(|name| log.contains(name))
    };
    poll("the damage is named, with the file", START_DEADLINE, || {
        // It may end at once, or serve what can be served and say what cannot.
        if let Some(status) = world.ended() {
            assert!(!status.success());
            assert!(
                is_named(&world),
                "ended without naming the file: {}",
                world.complaints()
            );
        } else if world.look_ready() {
            let mut imap = Imap::connect(&world.ready().imap).ok()?;
            let alice = world.alice();
            drop(imap.try_log_in(&alice.address, &alice.app_password));
            drop(imap.command("SELECT INBOX"));
        }
        is_named(&world).then_some(())
    });
    world.kill();
    for (path, content) in databases.iter().zip(&whole) {
        fs::write(path, content).expect("restore the database");
    }
    world.restart();
    assert_same(&state(&world), &first);
}

/// A small file system over a folder; `None` where this user may not mount one.
#[derive(Debug)]
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn over(folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).expect("the folder to mount on");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=24m", "tmpfs", argument(folder)]);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a failing test leaves a process that still uses it.
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}

#[test]
fn a_full_disk_refuses_for_now_and_loses_nothing() {
    let mut world = World::prepare();
    let data_dir = world.data_dir();
    let Some(disk) = SmallDisk::over(&data_dir) else {
        println!("skipped: this user may not mount a tmpfs");
        return;
    };
    world.restart();
    fence(&world, "while there was room");
    let filler = disk.0.join("filler");
    fill(&filler);
    let alice = world.alice().clone();
    let message = |subject: &str| {
        let line = "0123456789012345678901234567890123456789012345678901234567890123456789\r\n";
        format!("Subject: {subject}\r\n\r\n{}", line.repeat(20_000)).into_bytes()
    };
    let mut talk = Talk::lmtp(&world.ready().lmtp).expect("connect");
    let fate = talk.deliver(
        "x@elsewhere.example",
        &[&alice.address],
        &message("no room"),
    );
    match fate.expect("the LMTP dialogue") {
        Fate::Answered(replies) => {
            let temporary = replies.iter().all(|reply| (400..500).contains(&reply.code));
            assert!(temporary, "a full disk is a temporary failure: {replies:?}");
        }
        other => panic!("no answer: {other:?}"),
    }
    fs::remove_file(&filler).expect("make room");
    talk::deliver(&world.ready().lmtp, &alice.address, &message("room again"));
    let mut imap = Imap::inbox(&world, &alice);
    imap.wait_for("room again");
    let all = imap.summaries();
    assert!(
        all.iter()
            .any(|summary| summary.subject == "while there was room")
    );
    assert!(
        all.iter().all(|summary| summary.subject != "no room"),
        "refused, and yet there"
    );
    drop(imap);
    world.kill();
    drop(disk);
}

/// Writes until there is no more room.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).expect("the filler");
    for size in [1 << 20, 1 << 12] {
        let block = vec![0x5a; size];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }
}
