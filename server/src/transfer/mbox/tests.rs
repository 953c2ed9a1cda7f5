//! Round trips of every dialect, and mboxes as other programs write them.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use letterlock_core::id::Timestamp;
use letterlock_core::model::{Flag, FlagSet};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{Dialect, LineEnds, MboxMessage, MboxReader, Measure, Written};
use crate::transfer::message::{MAX_IN_MEMORY_OCTETS, Octets};

const DIALECTS: [Dialect; 4] = [
    Dialect::Mboxo,
    Dialect::Mboxrd,
    Dialect::Mboxcl,
    Dialect::Mboxcl2,
];
/// Dialects that bring every message back.
const REVERSIBLE: [Dialect; 2] = [Dialect::Mboxrd, Dialect::Mboxcl2];

struct Specimen {
    folder: TempDir,
}

impl Specimen {
    fn new(octets: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mbox"), octets).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("mbox")
    }

    fn read(&self, dialect: Dialect) -> Vec<MboxMessage> {
        read(&self.path(), dialect, 0)
    }
}

fn read(path: &Path, dialect: Dialect, offset: u64) -> Vec<MboxMessage> {
    let mut reader = MboxReader::open(path, dialect, LineEnds::Kept, offset).unwrap();
    let mut all = Vec::new();
    while let Some(message) = reader.next_message().unwrap() {
        all.push(message);
    }
    all
}

fn octets(message: &MboxMessage) -> Vec<u8> {
    match &message.octets {
        Octets::Memory(octets) => octets.clone(),
        Octets::Large(large) => {
            let mut octets = Vec::new();
            large.reader().unwrap().read_to_end(&mut octets).unwrap();
            assert_eq!(octets.len() as u64, large.length);
            assert!(octets.starts_with(&large.head));
            octets
        }
    }
}

fn texts(messages: &[MboxMessage]) -> Vec<String> {
    let text = |message| String::from_utf8_lossy(&octets(message)).into_owned();
    messages.iter().map(text).collect()
}

fn flag_set(flags: &[&str]) -> FlagSet {
    flags
        .iter()
        .map(|text| Flag::parse(text).unwrap())
        .collect()
}

fn write(dialect: Dialect, messages: &[(Vec<u8>, FlagSet, i64)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (raw, flags, millis) in messages {
        let message = Written {
            flags,
            date: Timestamp::from_millis(*millis),
            sender: Some("a@b.example"),
        };
        let mut measure = Measure::new(dialect);
        measure.feed(raw);
        let mut begun = measure.finish().begin(&message, &mut out).unwrap();
        begun.feed(raw, &mut out).unwrap();
        begun.finish(&mut out).unwrap();
    }
    out
}

const SEPARATOR: &str = "From a@b Fri Nov 21 09:55:06 1997\n";

#[test]
fn mboxrd_is_unquoted_once() {
    let text = format!(
        "{SEPARATOR}Subject: 1\n\n>From x\n>>From y\n > From z\n\n{SEPARATOR}Subject: 2\n\nend"
    );
    let messages = Specimen::new(text.as_bytes()).read(Dialect::Mboxrd);
    assert_eq!(
        texts(&messages),
        [
            "Subject: 1\n\nFrom x\n>From y\n > From z\n",
            "Subject: 2\n\nend"
        ]
    );
    assert_eq!(messages[0].date, Some(Timestamp::from_secs(880_106_106)));
    assert_eq!(messages[1].end, text.len() as u64);
}

#[test]
fn mboxo_keeps_what_was_quoted_twice() {
    let text = format!("{SEPARATOR}A: b\r\n\r\n>From x\r\n>>From y\r\n\r\n");
    let messages = Specimen::new(text.as_bytes()).read(Dialect::Mboxo);
    assert_eq!(texts(&messages), ["A: b\r\n\r\nFrom x\r\n>>From y\r\n"]);
}

#[test]
fn a_content_length_counts_where_it_leads_to_a_separator() {
    let body = format!("one\n\n{SEPARATOR}two\n>From three\n");
    let length = body.len();
    let text = format!(
        "{SEPARATOR}Content-Length: {length}\n\n{body}\n\
         {SEPARATOR}Content-Length: 3\n\nfour\n\n\
         {SEPARATOR}Content-Length: 5\n\nfive\n"
    );
    let specimen = Specimen::new(text.as_bytes());
    assert_eq!(Dialect::detect(&specimen.path()).unwrap(), Dialect::Mboxcl2);
    let messages = specimen.read(Dialect::Mboxcl2);
    assert_eq!(
        texts(&messages),
        [
            format!("Content-Length: {length}\n\n{body}"),
            "Content-Length: 3\n\nfour\n".to_owned(),
            "Content-Length: 5\n\nfive\n".to_owned(),
        ]
    );
    let wrong: Vec<bool> = messages.iter().map(|m| m.wrong_length).collect();
    assert_eq!(wrong, [false, true, false]);
    // The same in mboxcl, whose quoted lines are unquoted; and without lengths, cut in two.
    assert!(texts(&specimen.read(Dialect::Mboxcl))[0].contains("\nFrom three\n"));
    assert_eq!(specimen.read(Dialect::Mboxrd).len(), 4);
}

#[test]
fn dialects_are_told_apart() {
    for dialect in [Dialect::Mboxrd, Dialect::Mboxcl, Dialect::Mboxcl2] {
        let body = b"A: b\n\nFrom here\nmore\n".to_vec();
        let messages = vec![(body, FlagSet::new(), 0); 5];
        let specimen = Specimen::new(&write(dialect, &messages));
        assert_eq!(Dialect::detect(&specimen.path()).unwrap(), dialect);
    }
    assert_eq!(
        Dialect::detect(&Specimen::new(b"").path()).unwrap(),
        Dialect::Mboxrd
    );
}

#[test]
fn sloppy_files_are_read() {
    for (text, expected) in [
        // No empty line before the separator; CR LF; none at the end.
        (
            format!("{SEPARATOR}A: 1\n\nx\n{SEPARATOR}A: 2\n\ny"),
            &["A: 1\n\nx\n", "A: 2\n\ny"][..],
        ),
        (
            SEPARATOR.replace('\n', "\r\n") + "A: 1\r\n\r\nx\r\n\r\n" + SEPARATOR + "A: 2\r\n",
            &["A: 1\r\n\r\nx\r\n", "A: 2\r\n"],
        ),
        // Empty lines at the beginning and between messages.
        (
            format!("\n\n{SEPARATOR}A: 1\n\nx\n\n\n{SEPARATOR}A: 2\n"),
            &["A: 1\n\nx\n\n", "A: 2\n"],
        ),
        // Thunderbird without dates.
        (
            "From \nA: 1\n\nx\n\nFrom \nA: 2\n\nFrom now on\nit rains\n".to_owned(),
            &["A: 1\n\nx\n", "A: 2\n\nFrom now on\nit rains\n"],
        ),
        // No header at all, and nothing at all.
        (
            format!("{SEPARATOR}\nx\n\n{SEPARATOR}{SEPARATOR}\n"),
            &["\nx\n", "", ""],
        ),
    ] {
        let messages = Specimen::new(text.as_bytes()).read(Dialect::Mboxrd);
        assert_eq!(texts(&messages), expected, "{text}");
        assert_eq!(messages.last().unwrap().end, text.len() as u64);
    }
}

#[test]
fn text_before_the_first_separator_is_counted() {
    let specimen = Specimen::new(format!("hello\n{SEPARATOR}A: 1\n").as_bytes());
    let mut reader =
        MboxReader::open(&specimen.path(), Dialect::Mboxrd, LineEnds::Kept, 0).unwrap();
    assert!(reader.next_message().unwrap().is_some());
    assert_eq!(reader.stray(), 6);
}

#[test]
fn flags_of_other_programs_are_read_and_the_header_stays() {
    let message = "Status: RO\nX-Status: F\nX-Keywords: Work\n\nx\n";
    let specimen = Specimen::new(format!("{SEPARATOR}{message}\n").as_bytes());
    let messages = specimen.read(Dialect::Mboxrd);
    assert_eq!(texts(&messages), [message]);
    assert_eq!(
        messages[0].flags.flags,
        flag_set(&["\\Seen", "\\Flagged", "Work"])
    );
}

#[test]
fn reading_goes_on_behind_any_message() {
    let messages: Vec<_> = (0..10_u8)
        .map(|n| (vec![b'a' + n; usize::from(n)], FlagSet::new(), i64::from(n)))
        .collect();
    for dialect in DIALECTS {
        let specimen = Specimen::new(&write(dialect, &messages));
        let all = specimen.read(dialect);
        for (at, message) in all.iter().enumerate() {
            let rest = read(&specimen.path(), dialect, message.end);
            assert_eq!(texts(&rest), texts(&all[at + 1..]));
        }
    }
}

#[test]
fn a_long_message_stays_in_its_file() {
    let mut long = b"Subject: long\r\n\r\n".to_vec();
    while long.len() <= MAX_IN_MEMORY_OCTETS {
        long.extend_from_slice(b">From somewhere\r\nFrom here\r\nand on\r\n");
    }
    let messages = [
        (long, flag_set(&["\\Seen"]), 1),
        (b"A: b\n".to_vec(), FlagSet::new(), 2),
    ];
    for dialect in REVERSIBLE {
        let specimen = Specimen::new(&write(dialect, &messages));
        let back = specimen.read(dialect);
        assert!(matches!(back[0].octets, Octets::Large(_)));
        for (message, (raw, ..)) in back.iter().zip(&messages) {
            assert!(octets(message) == *raw);
        }
        assert_eq!(back.len(), 2);
    }
}

#[test]
fn a_changed_file_is_read_as_far_as_possible() {
    // Another program took a field away and added one: the rest is the message.
    let raw = b"Subject: x\r\n\r\ntext\r\n".to_vec();
    let written = write(Dialect::Mboxrd, &[(raw, flag_set(&["\\Seen"]), 0)]);
    let text = String::from_utf8(written).unwrap();
    let text = text
        .replace("Status: RO\n", "")
        .replace("text\n", "text\nX\n");
    let messages = Specimen::new(text.as_bytes()).read(Dialect::Mboxrd);
    assert_eq!(texts(&messages), ["Subject: x\r\n\r\ntext\r\nX\r\n"]);
    assert_eq!(messages[0].flags.flags, flag_set(&["\\Seen"]));
}

/// Messages that try to be taken for more than one, or less.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        "(>{0,3}From )[a-z ]{0,6}",
        Just(SEPARATOR.trim_end().to_owned()),
        "(Status|Content-Length|X-Keywords|Subject): ?[0-9R]{0,3}",
        Just("X-Letterlock-Export: v=1; fields=1; length=3; date=1; open; flags=".to_owned()),
        "[\\x00-\\x09\\x0b-\\xff]{0,4}",
        Just(String::new()),
    ];
    let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r"), Just(""), Just("\n\n")];
    let mixed = prop::collection::vec((line.clone(), end), 0..8).prop_map(|lines| {
        let lines = lines.into_iter().map(|(line, end)| line + end);
        lines.collect::<String>().into_bytes()
    });
    let clean = prop::collection::vec(line, 0..8)
        .prop_map(|lines| (lines.join("\r\n") + "\r\n").into_bytes());
    prop_oneof![mixed, clean]
}

fn flags() -> impl Strategy<Value = FlagSet> {
    let flag = prop_oneof![
        Just("\\Seen".to_owned()),
        Just("\\Answered".to_owned()),
        Just("\\Draft".to_owned()),
        Just("\\Deleted".to_owned()),
        Just("\\Flagged".to_owned()),
        "[$A-Za-z;=,.]{1,8}",
    ];
    prop::collection::vec(flag, 0..5).prop_map(|flags| {
        flags
            .iter()
            .map(|text| Flag::parse(text).unwrap())
            .collect()
    })
}

proptest! {
    #[test]
    fn what_is_written_comes_back(
        messages in prop::collection::vec((hostile(), flags(), -1_000..4_000_000_000_000_i64), 0..6)
    ) {
        for dialect in DIALECTS {
            let specimen = Specimen::new(&write(dialect, &messages));
            let back = specimen.read(dialect);
            prop_assert_eq!(back.len(), messages.len(), "{:?}", dialect);
            for (message, (raw, flags, millis)) in back.iter().zip(&messages) {
                let ambiguous = raw.split(|o| *o == b'\n').any(|l| l.starts_with(b">From "));
                if REVERSIBLE.contains(&dialect) || !ambiguous {
                    prop_assert_eq!(octets(message), raw.clone(), "{:?}", dialect);
                }
                prop_assert_eq!(&message.flags.flags, flags);
                prop_assert_eq!(message.date, Some(Timestamp::from_millis(*millis)));
            }
        }
    }

    #[test]
    fn no_file_makes_it_panic(text in hostile(), start in any::<bool>()) {
        let text = if start { [SEPARATOR.as_bytes(), &text].concat() } else { text };
        let specimen = Specimen::new(&text);
        for dialect in DIALECTS {
            let total: usize = specimen.read(dialect).iter().map(|m| octets(m).len()).sum();
            // Line ends of a message that claims to be an export's may grow.
            prop_assert!(total <= text.len() * 2);
        }
        Dialect::detect(&specimen.path()).unwrap();
    }
}

/// Python's `mailbox` counts the same messages, and sees the same text but for line ends.
#[test]
fn python_reads_what_is_written() {
    let messages: Vec<_> = (0..20)
        .map(|n| {
            let raw = format!("Subject: message {n}\r\n\r\nFrom here\r\n\r\n>From there\r\n");
            (
                raw.into_bytes(),
                flag_set(&["\\Seen", "\\Flagged", "Work"]),
                n * 1000,
            )
        })
        .collect();
    let specimen = Specimen::new(&write(Dialect::Mboxrd, &messages));
    let script = "import mailbox, sys\n\
        for m in mailbox.mbox(sys.argv[1]):\n\
        \x20   print(m['Subject'], m.get_flags(), m['X-Keywords'], repr(m.get_payload()))\n";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(specimen.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 20, "{text}");
    for (n, line) in text.lines().enumerate() {
        let body = "'>From here\\n\\n>>From there\\n'";
        assert_eq!(line, format!("message {n} ROF Work {body}"));
    }
}

/// As many as Python's `mailbox` counts in them.
const PUBLIC_ARCHIVES: [(&str, usize); 3] = [
    ("2001-November.mbox", 164),
    ("3GPP_TSG_RAN_WG4_NR-MIMO-OTA.mbox", 59),
    ("3GPP_TSG_SA_WG4_EVS.mbox", 50),
];

#[test]
fn public_archives_are_counted() {
    let folder = std::env::var_os("LETTERLOCK_CORPORA")
        .map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora"),
            PathBuf::from,
        )
        .join("lists");
    if !folder.is_dir() {
        println!("no corpora here: nothing was counted");
        return;
    }
    for (name, count) in PUBLIC_ARCHIVES {
        let path = folder.join(name);
        let dialect = Dialect::detect(&path).unwrap();
        let messages = read(&path, dialect, 0);
        assert_eq!(messages.len(), count, "{name}");
        for message in &messages {
            let mut fields = letterlock_core::mime::header::fields(message.octets.head());
            assert!(fields.next().is_some_and(|field| !field.name.is_empty()));
            assert!(message.date.is_some());
        }
        println!("{name}: {count} messages, {dialect:?}");
    }
}
