//! Round trips of Maildir++, and Maildirs as other programs write them.

use std::fs;
use std::path::Path;
use std::process::Command;

use letterlock_core::id::{MailboxName, Timestamp, Uid, UidValidity};
use letterlock_core::model::{Flag, FlagSet};

use super::{MaildirWriter, folders, messages};
use crate::transfer::files::modified;

fn flag_set(flags: &[&str]) -> FlagSet {
    flags
        .iter()
        .map(|text| Flag::parse(text).unwrap())
        .collect()
}

fn put(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn open(root: &Path, name: &str) -> MaildirWriter {
    let name = MailboxName::new(name).unwrap();
    MaildirWriter::open(root, &name, UidValidity::ONE).unwrap()
}

fn write(writer: &mut MaildirWriter, uid: Uid, raw: &[u8], flags: &FlagSet, date: Timestamp) {
    let mut message = writer.begin(uid, raw.len() as u64, date).unwrap();
    message.file.write(raw).unwrap();
    writer.finish(message, flags).unwrap();
}

#[test]
fn folders_of_both_layouts_are_found() {
    let root = tempfile::tempdir().unwrap();
    for name in [
        "cur/x",
        ".Sent.2024/new/x",
        "Lists/Rust/cur/x",
        ".hidden/x",
        "plain/x",
    ] {
        put(root.path(), name, "");
    }
    let found = folders(root.path()).unwrap();
    let names: Vec<String> = found.iter().map(|folder| folder.levels.join("/")).collect();
    assert_eq!(names, ["", "Lists/Rust", "Sent/2024"]);
}

#[test]
fn flags_keywords_and_order_are_read() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "dovecot-keywords", "0 Work\n1 $Label1\n");
    put(root.path(), "courierimapkeywords/:list", "Old\n\n300.c:0\n");
    put(root.path(), "cur/1000.b:2,FRSab", "b");
    put(root.path(), "new/300.c", "c");
    put(root.path(), "cur/20.a,S=1:2,DPTc", "a");
    put(root.path(), "cur/.lock", "");
    put(root.path(), "tmp/1.z", "unfinished");
    let found = messages(root.path()).unwrap();
    let flags: Vec<&FlagSet> = found.iter().map(|file| &file.flags.flags).collect();
    assert_eq!(
        flags,
        [
            &flag_set(&["\\Draft", "$Forwarded", "\\Deleted"]),
            &flag_set(&["Old"]),
            &flag_set(&["\\Flagged", "\\Answered", "\\Seen", "Work", "$Label1"]),
        ]
    );
    // A letter without a keyword cannot be kept.
    assert_eq!(found[0].flags.refused, 1);
    // Another program sets a flag: it is the same message.
    let key = found[2].key;
    fs::rename(
        root.path().join("cur/1000.b:2,FRSab"),
        root.path().join("cur/1000.b:2,"),
    )
    .unwrap();
    assert_eq!(messages(root.path()).unwrap()[2].key, key);
}

#[test]
fn what_is_written_comes_back() {
    let root = tempfile::tempdir().unwrap();
    let name = "Grüße v1.2/R&D";
    let mut writer = open(root.path(), name);
    // More keywords than Dovecot has letters.
    let many: Vec<String> = (0..40).map(|n| format!("keyword{n}")).collect();
    let many: FlagSet = many.iter().map(|text| Flag::parse(text).unwrap()).collect();
    let specimens = [
        (
            b"one\r\n".to_vec(),
            flag_set(&["\\Seen", "$Forwarded", "Work"]),
            1_700_000_000_123,
        ),
        (b"\0\xff".to_vec(), many, 1_600_000_000_000),
        (Vec::new(), FlagSet::new(), -5),
    ];
    for (uid, (raw, flags, millis)) in (1..).zip(&specimens) {
        let uid = Uid::new(uid).unwrap();
        let date = Timestamp::from_millis(*millis);
        write(&mut writer, uid, raw, flags, date);
    }
    writer.sync().unwrap();
    let found = folders(root.path()).unwrap();
    assert_eq!(found[0].levels, ["Grüße v1.2", "R&D"]);
    let mut back = messages(&found[0].path).unwrap();
    back.sort_by_key(|file| file.size.abs_diff(5));
    for (file, (raw, flags, millis)) in back.iter().zip(&specimens) {
        assert_eq!(fs::read(&file.path).unwrap(), *raw);
        assert_eq!(file.flags.flags, *flags);
        let metadata = fs::metadata(&file.path).unwrap();
        assert_eq!(modified(&metadata).unwrap().as_millis(), *millis);
    }
    assert_eq!(back.len(), 3);
}

#[test]
fn what_was_written_after_a_state_is_discarded_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let mut writer = open(root.path(), "INBOX");
    put(root.path(), "cur/1.foreign:2,S", "not ours");
    for uid in 1..=3 {
        let uid = Uid::new(uid).unwrap();
        let date = Timestamp::from_secs(1);
        write(&mut writer, uid, b"x", &FlagSet::new(), date);
    }
    writer.discard_after(Uid::new(2)).unwrap();
    assert_eq!(messages(root.path()).unwrap().len(), 3);
    MaildirWriter::discard_all(root.path()).unwrap();
    assert_eq!(messages(root.path()).unwrap().len(), 1);
}

#[test]
fn python_reads_what_is_written() {
    let root = tempfile::tempdir().unwrap();
    for name in ["INBOX", "Archive/2024"] {
        let mut writer = open(root.path(), name);
        let raw = b"Subject: hello\r\n\r\ntext\r\n";
        let flags = flag_set(&["\\Seen", "\\Flagged"]);
        let date = Timestamp::from_secs(1_700_000_000);
        write(&mut writer, Uid::ONE, raw, &flags, date);
        writer.sync().unwrap();
    }
    let script = "import mailbox, sys\n\
        box = mailbox.Maildir(sys.argv[1], create=False)\n\
        for b in [box] + [box.get_folder(n) for n in box.list_folders()]:\n\
        \x20   for m in b: print(m['Subject'], m.get_flags(), m.get_subdir(), int(m.get_date()))\n\
        print(box.list_folders())\n";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(root.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = "hello FS cur 1700000000\n";
    assert_eq!(text, format!("{line}{line}['Archive.2024']\n"));
}
