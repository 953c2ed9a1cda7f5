//! The decoder against RFC examples, limits and noise.

use proptest::prelude::*;

use super::*;
use crate::imap::command::{
    Access, Echo, FetchItem, MailboxArgument, Numbering, SearchKey, SectionText, SelectParameters,
    SetsSeen,
};
use crate::imap::set::{MessageSet, write_set};
use letterlock_core::id::MailboxName;
use letterlock_core::model::{Flag, FlagChange, FlagSet};

#[test]
fn literals_are_waited_for_or_not() {
    let mut decoder = Decoder::default();
    decoder.feed(b"a LOGIN {5}\r\n");
    assert_eq!(decoder.next(Admits::Commands), Some(Frame::Continue));
    assert_eq!(decoder.next(Admits::Commands), None);
    decoder.feed(b"alice {6+}\r\nse{1}\r\r\n");
    let Some(Frame::Command(tag, Command::Login { user, password })) =
        decoder.next(Admits::Commands)
    else {
        panic!("no LOGIN");
    };
    assert_eq!((tag.as_str(), user.as_bytes()), ("a", &b"alice"[..]));
    assert_eq!(password.as_bytes(), b"se{1}\r");
    assert_eq!(decoder.next(Admits::Commands), None);
}

#[test]
fn a_command_may_come_octet_by_octet() {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    for octet in b"a APPEND x (\\Seen) {3}\r\nabc\r\nb NOOP\r\n" {
        decoder.feed(&[*octet]);
        frames.extend(std::iter::from_fn(|| decoder.next(Admits::Upload)));
    }
    let [
        Frame::Append(_, _),
        Frame::Upload(UploadPart::Message { flags, .. }),
        Frame::Upload(UploadPart::Literal {
            octets: 3,
            waits: Waits::Yes,
        }),
        Frame::Upload(UploadPart::Octets(_)),
        Frame::Upload(UploadPart::Octets(_)),
        Frame::Upload(UploadPart::Octets(last)),
        Frame::Upload(UploadPart::MessageEnd),
        Frame::Upload(UploadPart::End),
        Frame::Command(_, Command::Noop),
    ] = frames.as_slice()
    else {
        panic!("{frames:?}");
    };
    assert_eq!(last.0, b"c");
    assert_eq!(*flags, FlagSet::from([Flag::Seen]));
}

#[test]
fn names_and_urls_in_literals_are_arguments() {
    let text = "a APPEND {1+}\r\nx () \" 1-Jan-2000 00:00:00 +0000\" {2+}\r\nhi CATENATE \
                (URL {7+}\r\n/x/;UID TEXT {3+}\r\nabc URL /y)\r\nb NOOP\r\n";
    let frames = frames(text, Admits::Upload);
    let kinds: Vec<String> = frames
        .iter()
        .map(|frame| match frame {
            Frame::Append(..) => "append".into(),
            Frame::Upload(UploadPart::Octets(octets)) => {
                String::from_utf8_lossy(&octets.0).into_owned()
            }
            Frame::Upload(UploadPart::Url(url)) => String::from_utf8_lossy(url).into_owned(),
            Frame::Upload(UploadPart::Message { .. }) => "message".into(),
            Frame::Upload(UploadPart::MessageEnd) => "message end".into(),
            Frame::Upload(UploadPart::End) => "end".into(),
            Frame::Upload(UploadPart::Literal { octets, .. }) => octets.to_string(),
            Frame::Command(..) => "command".into(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "append",
            "message",
            "2",
            "hi",
            "message end",
            "message",
            "/x/;UID",
            "3",
            "abc",
            "/y",
            "message end",
            "end",
            "command"
        ]
    );
}

#[test]
fn what_is_left_of_a_refused_append_is_dropped() {
    for (rest, held) in [
        ("{5+}\r\nb OOP {3+}\r\nabc\r\n", "sent unasked"),
        ("{5}\r\n", "not sent"),
        ("CATENATE (URL x TEXT {2+}\r\nhi)\r\n", "in parts"),
        ("CATENATE (URL {2+}\r\nhi)\r\n", "without a message"),
        ("UTF8 (~{2+}\r\nhi)\r\n", "in UTF-8"),
    ] {
        let frames = frames(&format!("a APPEND x {rest}c NOOP\r\n"), Admits::Commands);
        assert!(
            matches!(
                frames.as_slice(),
                [Frame::Append(_, _), Frame::Command(tag, Command::Noop)] if tag.as_str() == "c"
            ),
            "{held}: {frames:?}"
        );
    }
}

#[test]
fn what_is_too_large_is_refused_and_the_next_command_runs() {
    let long_line = format!("b NOOP {}\r\n", "x".repeat(2 * MAX_LINE));
    let big_message = format!("b RENAME x {{{}+}}\r\n", 1_000_000);
    let big_argument = format!("b LOGIN {{{}+}}\r\n", MAX_ARGUMENT_LITERAL + 1);
    let many = "b SEARCH OR {1+}\r\n".to_owned() + &"x {1+}\r\n".repeat(MAX_LITERALS) + "x\r\n";
    for (first, rest, cause) in [
        (long_line, String::new(), "line is too long"),
        (
            big_message,
            "m".repeat(1_000_000) + " {3+}\r\nabc\r\n",
            "literal is too long",
        ),
        (
            big_argument,
            "m".repeat(MAX_ARGUMENT_LITERAL + 1) + "\r\n",
            "literal is too long",
        ),
        (many, String::new(), "too many literals"),
    ] {
        let mut decoder = Decoder::default();
        let mut frames = Vec::new();
        for piece in format!("{first}{rest}c NOOP\r\n").as_bytes().chunks(1000) {
            decoder.feed(piece);
            frames.extend(std::iter::from_fn(|| decoder.next(Admits::Commands)));
            assert!(decoder.buffer.len() <= MAX_LINE + 1000);
        }
        let [Frame::Refused(refusal), Frame::Command(tag, Command::Noop)] = frames.as_slice()
        else {
            panic!("{cause}: {frames:?}");
        };
        assert_eq!(refusal.cause, Syntax::Bad(cause));
        assert_eq!(refusal.tag.as_ref().map(Tag::as_str), Some("b"));
        assert_eq!(tag.as_str(), "c");
    }
}

#[test]
fn bare_line_feeds_end_no_command() {
    let frames = frames("a NOOP\nb NOOP\r\n", Admits::Commands);
    let [Frame::Refused(refusal), Frame::Command(tag, _)] = frames.as_slice() else {
        panic!("{frames:?}");
    };
    assert_eq!(refusal.cause, Syntax::Bad("lines end with CR LF"));
    assert_eq!(tag.as_str(), "b");
}

#[test]
fn commands_of_the_rfc() {
    // RFC 3501 6.4.5.
    let Command::Fetch {
        messages, items, ..
    } = command("A654 FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])")
    else {
        panic!();
    };
    let MessageSet::Sequence(set) = messages else {
        panic!()
    };
    assert_eq!(set.0.first().map(|range| range.resolve(9)), Some((2, 4)));
    let [FetchItem::Flags, FetchItem::Section(section)] = items.as_slice() else {
        panic!()
    };
    assert_eq!(
        section.text,
        SectionText::HeaderFields(vec!["DATE".into(), "FROM".into()])
    );
    assert_eq!(section.seen, SetsSeen::Yes);
    // RFC 3501 6.4.6.
    let Command::Store(store) = command("A003 STORE 2:4 +FLAGS (\\Deleted)") else {
        panic!()
    };
    assert_eq!((store.change, store.echo), (FlagChange::Add, Echo::Flags));
    let Command::Store(store) = command("x UID STORE 1 FLAGS.SILENT \\Seen $Work") else {
        panic!()
    };
    assert_eq!(
        (store.change, store.echo, store.flags.len()),
        (FlagChange::Replace, Echo::Silent, 2)
    );
    // RFC 3501 6.4.4.
    let Command::Search(search) =
        command("A282 SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"")
    else {
        panic!();
    };
    assert_eq!(search.by, Numbering::Sequence);
    assert_eq!(search.keys.first(), Some(&SearchKey::Flag(Flag::Flagged)));
    assert!(matches!(search.keys.get(2), Some(SearchKey::Not(_))));
    // RFC 2971 3.1, RFC 4959 3.
    assert_eq!(
        command("a023 ID (\"name\" \"sodr\" \"version\" NIL)"),
        Command::Id
    );
    assert!(matches!(
        command("C01 AUTHENTICATE PLAIN dGVzdAB0ZXN0AHRlc3Q="),
        Command::Authenticate {
            initial: Some(_),
            ..
        }
    ));
    let name = MailboxArgument::Name(MailboxName::new("Entwürfe/Ä").unwrap());
    let select = Command::Select {
        mailbox: name,
        access: Access::ReadWrite,
        parameters: SelectParameters::default(),
    };
    assert_eq!(command("a SELECT \"Entw&APw-rfe/&AMQ-\""), select);
    assert_eq!(
        command("a SELECT &&"),
        Command::Select {
            mailbox: MailboxArgument::Impossible,
            access: Access::ReadWrite,
            parameters: SelectParameters::default()
        }
    );
}

#[test]
fn the_uid_comes_first() {
    let Command::Fetch { items, .. } = command("a UID FETCH 1 (FLAGS UID RFC822.SIZE)") else {
        panic!();
    };
    assert_eq!(items, [FetchItem::Uid, FetchItem::Flags, FetchItem::Size]);
    let Command::Fetch { items, .. } = command("a UID FETCH 1 FLAGS (CHANGEDSINCE 1)") else {
        panic!();
    };
    let expected = [FetchItem::ImpliedUid, FetchItem::ModSeq, FetchItem::Flags];
    assert_eq!(items, expected);
}

#[test]
fn search_texts_are_read_in_their_charset() {
    let text = |line: &[u8]| {
        let mut decoder = Decoder::default();
        decoder.feed(line);
        decoder.next(Admits::Commands)
    };
    let frame = text(b"a SEARCH CHARSET ISO-8859-1 BODY {2+}\r\n\xfc\xe9\r\n");
    let Some(Frame::Command(_, Command::Search(search))) = frame else {
        panic!("{frame:?}")
    };
    assert_eq!(search.keys, [SearchKey::Body("üé".into())]);
    let frame = text(b"a SEARCH CHARSET KLINGON BODY x\r\n");
    assert!(matches!(
        frame,
        Some(Frame::Refused(Refusal {
            cause: Syntax::BadCharset { saving: false },
            ..
        }))
    ));
}

#[test]
fn wrong_commands_are_refused_with_their_tag() {
    for line in [
        "a",
        "a ",
        "a NONSENSE",
        "a NOOP x",
        "a SELECT",
        "a SELECT \"x",
        "a SELECT \"x\\y\"",
        "a FETCH 0 FLAGS",
        "a FETCH 1 BODY[",
        "a FETCH 1 BODY[0]",
        "a FETCH 1 BODY[MIME]",
        "a FETCH 1 BODY[]<1.0>",
        "a FETCH 1 ()",
        "a FETCH 1 (ALL)",
        "a FETCH 4294967296 FLAGS",
        "a STORE 1 FLAGS (\\Nonsense)",
        "a SEARCH",
        "a SEARCH NOT",
        "a SEARCH ON 30-Feb-2000",
        "a SEARCH ((((((((((((((((((((((((((((((((((ALL))))))))))))))))))))))))))))))))))",
        "a LIST (NONSENSE) \"\" *",
        "a LIST (RECURSIVEMATCH) \"\" *",
        "a STATUS x ()",
        "a APPEND x \"1-Jan-2000\" {1+}\r\nx",
        "a APPEND x",
        "a APPEND x {1}y",
        "a APPEND x {x+}",
        "a APPEND x CATENATE ()",
        "a APPEND x CATENATE (TEXT \"x\")",
        "a APPEND x CATENATE (URL x",
        "a APPEND x UTF8 ({1+}\r\nx)",
        "a REPLACE x x {1+}\r\nx",
        "a UID APPEND x {1+}\r\nx",
        "a LOGIN x\u{0}y z",
        "a LOGIN x\ry z",
    ] {
        let frames = frames(&format!("{line}\r\n"), Admits::Commands);
        assert!(
            matches!(frames.as_slice(), [Frame::Refused(_)]),
            "{line}: {frames:?}"
        );
    }
}

#[test]
fn passwords_and_messages_do_not_show() {
    let login = format!("{:?}", frames("a LOGIN alice sesame\r\n", Admits::Commands));
    assert!(
        !login.contains("alice") && !login.contains("sesame"),
        "{login}"
    );
    let append = format!(
        "{:?}",
        frames("a APPEND x {6+}\r\nsecret\r\n", Admits::Upload)
    );
    assert!(
        !append.contains("secret") && append.contains("Octets(6)"),
        "{append}"
    );
}

fn frames(text: &str, admits: Admits) -> Vec<Frame> {
    let mut decoder = Decoder::default();
    decoder.feed(text.as_bytes());
    std::iter::from_fn(|| decoder.next(admits)).collect()
}

fn command(line: &str) -> Command {
    match frames(&format!("{line}\r\n"), Admits::Commands).pop() {
        Some(Frame::Command(_, command)) => command,
        other => panic!("{line}: {other:?}"),
    }
}

proptest! {
    #[test]
    fn no_octets_panic(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..20)) {
        let mut decoder = Decoder::default();
        for piece in pieces {
            decoder.feed(&piece);
            while decoder.next(Admits::Upload).is_some() {}
        }
    }

    #[test]
    fn words_in_any_order_do_not_panic(
        words in prop::collection::vec(prop::sample::select(vec![
            "a", " ", "(", ")", "\"", "{3}", "{3+}\r\n", "FETCH", "UID", "SEARCH", "BODY", "[", "]",
            "HEADER.FIELDS", "1:*", ",", "<", ".", "STORE", "+FLAGS", "\\Seen", "LIST", "OR", "NOT",
            "APPEND", "1", "*", "%", "\r\n", "\n", "&", "-", "}", "REPLACE", "CATENATE", "TEXT",
            "URL", "UTF8", "~",
        ]), 0..40)
    ) {
        let mut decoder = Decoder::default();
        for admits in [Admits::Commands, Admits::Upload] {
            decoder.feed(words.concat().as_bytes());
            while decoder.next(admits).is_some() {}
        }
    }

    #[test]
    fn sets_are_read_as_they_are_written(numbers in prop::collection::btree_set(1_u32.., 1..50)) {
        let set = write_set(numbers.iter().copied());
        let Command::Fetch { messages: MessageSet::Sequence(read), .. } =
            command(&format!("a FETCH {set} FLAGS"))
        else {
            panic!();
        };
        let again: Vec<u32> = read
            .0
            .iter()
            .flat_map(|range| {
                let (from, to) = range.resolve(1);
                from..=to
            })
            .collect();
        prop_assert_eq!(again, numbers.into_iter().collect::<Vec<_>>());
    }
}
