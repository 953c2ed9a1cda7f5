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

/// Files of a store as its program's documentation has them, and the folders in it; stores of
/// programs that the whole-system tests have are made there.
const LAYOUTS: [(&str, &[&str], &[&str]); 6] = [
    (
        "Dovecot",
        &[
            "cur/1.a:2,S",
            "subscriptions",
            "dovecot-uidlist",
            "dovecot.index.cache",
            ".Sent/cur/1.a",
            ".Sent/maildirfolder",
            ".Lists.Rust/new/1.a",
            ".Lists.Rust/dovecot-keywords",
            ".imap/x/y",
        ],
        &["", "Lists/Rust", "Sent"],
    ),
    (
        "Courier",
        &[
            "new/1.a",
            "courierimapsubscribed",
            "courierimapkeywords/:list",
            "courierimaphieracl/x",
            ".Trash/cur/1.a",
            ".Trash/courierimapkeywords/.1.1.a",
            ".v1&AC4-2.sub/cur/1.a",
        ],
        &["", "Trash", "v1.2/sub"],
    ),
    (
        "mbsync, Legacy",
        &[
            "INBOX/cur/1.a,U=1:2,S",
            "INBOX/.mbsyncstate",
            "INBOX/.uidvalidity",
            "INBOX/.sub/.deep/new/1.a",
            "INBOX/.sub/cur/.keep",
            "top/.sub/.deep/cur/1.a",
            "top/.sub/tmp/.keep",
            "top/.sub/cur/.keep",
            "top/cur/.keep",
        ],
        &[
            "INBOX",
            "INBOX/sub",
            "INBOX/sub/deep",
            "top",
            "top/sub",
            "top/sub/deep",
        ],
    ),
    (
        "KMail",
        &[
            "inbox/cur/1.a:2,S",
            ".inbox.index",
            ".inbox.directory/Work/new/1.a",
            ".inbox.directory/.Work.directory/2024/cur/1.a",
            ".empty.directory/x",
        ],
        &["inbox", "inbox/Work", "inbox/Work/2024"],
    ),
    (
        "Thunderbird",
        &[
            "Inbox/cur/1.eml",
            "Inbox.msf",
            "Inbox.sbd/Sub/cur/1.eml",
            "Archives.sbd/2024/tmp/x",
            "Archives.sbd/2024/cur/1.eml",
        ],
        &["Archives/2024", "Inbox", "Inbox/Sub"],
    ),
    (
        "mutt",
        &[
            "in/cur/1.a",
            "lists/rust/new/1.a",
            ".muttrc/x",
            "cache/hash",
        ],
        &["in", "lists/rust"],
    ),
];

#[test]
fn folders_of_every_layout_are_found() {
    for (program, files, expected) in LAYOUTS {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            put(root.path(), file, "");
        }
        let found = folders(root.path()).unwrap();
        let names: Vec<String> = found.iter().map(|folder| folder.levels.join("/")).collect();
        assert_eq!(names, expected, "{program}");
    }
}

#[cfg(unix)]
#[test]
fn links_that_lead_back_end() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "a/cur/1.x", "");
    std::os::unix::fs::symlink(root.path(), root.path().join("a/back")).unwrap();
    std::os::unix::fs::symlink(root.path().join("a"), root.path().join("b")).unwrap();
    assert_eq!(folders(root.path()).unwrap().len(), 1);
}

#[test]
fn flags_are_read_behind_every_mark() {
    let root = tempfile::tempdir().unwrap();
    for name in [
        "1.a:2,FS",
        "2.b!2,FS",
        "3.c;2,FS",
        "4.d",
        "5.e:1,odd",
        "6.f:2,",
    ] {
        put(root.path(), &format!("cur/{name}"), "");
    }
    // A delivery that has not ended, or never will.
    put(root.path(), "tmp/7.g", "half");
    let found = messages(root.path()).unwrap();
    let flags: Vec<usize> = found.iter().map(|file| file.flags.flags.len()).collect();
    assert_eq!(flags, [2, 2, 2, 0, 0, 0]);
}

/// Python's `mailbox` makes the specimen.
#[test]
fn what_python_writes_is_read() {
    let root = tempfile::tempdir().unwrap();
    let script = "import mailbox, sys\n\
        top = mailbox.Maildir(sys.argv[1], create=True)\n\
        for box in [top, top.add_folder('Lists.Rust')]:\n\
        \x20   for flags, sub in [('FRS', 'cur'), ('', 'new')]:\n\
        \x20       m = mailbox.MaildirMessage('Subject: x\\n\\ntext\\n')\n\
        \x20       m.set_subdir(sub); m.set_flags(flags); m.set_date(1700000000)\n\
        \x20       box.add(m)\n";
    let target = root.path().join("box");
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(&target)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let found = folders(&target).unwrap();
    let names: Vec<String> = found.iter().map(|folder| folder.levels.join("/")).collect();
    assert_eq!(names, ["", "Lists/Rust"]);
    for folder in found {
        let messages = messages(&folder.path).unwrap();
        let mut flags: Vec<FlagSet> = messages.iter().map(|m| m.flags.flags.clone()).collect();
        flags.sort();
        assert_eq!(
            flags,
            [
                FlagSet::new(),
                flag_set(&["\\Flagged", "\\Answered", "\\Seen"])
            ]
        );
        let metadata = fs::metadata(&messages[0].path).unwrap();
        assert_eq!(modified(&metadata).unwrap().as_secs(), 1_700_000_000);
    }
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
