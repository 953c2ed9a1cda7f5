//! The session by steps, without a store; whole conversations are in the transcripts.

use std::sync::Arc;

use letterlock_core::account::{Placement, Roster};
use letterlock_core::id::{
    MailboxId, MessageHash, ModSeq, PlacementId, SequenceNumber, Timestamp, Uid, UidValidity,
};
use letterlock_core::model::FlagSet;

use super::*;
use crate::imap::accounts::LoginRefused;
use crate::imap::command::{FetchItem, FetchModifiers, MailboxArgument, SelectParameters};
use crate::imap::encoder::encode;
use crate::imap::ops::{Fetched, FetchedMessage, OpError, Outcome, Refreshed, SelectedMailbox};
use crate::imap::response::{FetchValue, MessageNumber};
use crate::imap::set::{Bound, MessageSet, Range, SequenceSet};
use crate::imap::view::Snapshot;

#[test]
fn silence_ends_a_session() {
    let mut session = Session::new(Security::Plain);
    assert_eq!(session.timeout(), LOGIN_TIMEOUT);
    written(&mut session);
    session.handle_timeout();
    assert_eq!(
        written(&mut session),
        "* BYE No command for too long\r\n(close)"
    );
    session.handle_timeout();
    assert_eq!(written(&mut session), "");
}

#[test]
fn noise_ends_a_session() {
    let mut session = Session::new(Security::Plain);
    written(&mut session);
    for _ in 1..MAX_BAD_COMMANDS {
        session.handle_frame(nonsense());
        assert_eq!(written(&mut session), "* BAD what\r\n");
    }
    session.handle_frame(nonsense());
    assert!(written(&mut session).ends_with("* BYE Too many commands that are none\r\n(close)"));
}

#[test]
fn an_understood_command_ends_the_count() {
    let mut session = Session::new(Security::Plain);
    for _ in 0..3 * MAX_BAD_COMMANDS {
        session.handle_frame(nonsense());
        session.handle_frame(Frame::Command(tag(), Command::Noop));
    }
    assert!(!written(&mut session).contains("BYE"));
}

#[test]
fn a_reason_from_elsewhere_ends_no_line() {
    let mut session = Session::new(Security::Plain);
    written(&mut session);
    let secret = || Secret::new(b"x".to_vec());
    let login = Command::Login {
        user: secret(),
        password: secret(),
    };
    session.handle_frame(Frame::Command(tag(), login));
    assert!(matches!(session.poll(), Some(Action::Authenticate { .. })));
    session.handle_login(Err(LoginRefused::Locked {
        how: "one\r\n* BYE two".into(),
    }));
    assert_eq!(
        written(&mut session),
        "t NO [UNAVAILABLE] one  * BYE two\r\n"
    );
}

#[test]
fn a_large_message_is_refused_before_it_is_sent() {
    use crate::imap::command::{AppendCommand, UploadPart, Waits};
    let mut session = with_two_messages();
    let mailbox = MailboxArgument::Name(MailboxName::inbox());
    let command = AppendCommand {
        mailbox,
        replaces: None,
    };
    session.handle_frame(Frame::Append(tag(), command));
    assert!(matches!(session.poll(), Some(Action::Upload(_))));
    session.handle_outcome(Ok(Outcome::Done));
    assert_eq!(session.admits(), Admits::Upload);
    assert_eq!(session.timeout(), UPLOAD_TIMEOUT);
    let literal = UploadPart::Literal {
        octets: letterlock_core::account::MAX_APPEND_OCTETS + 1,
        waits: Waits::Yes,
    };
    session.handle_frame(Frame::Upload(literal));
    assert_eq!(session.admits(), Admits::Commands);
    assert!(matches!(
        session.poll(),
        Some(Action::Run(Op::Refresh { .. }))
    ));
    session.handle_outcome(Ok(Outcome::Refreshed(Refreshed::Same)));
    assert_eq!(
        written(&mut session),
        "t NO [TOOBIG] The message is too large\r\n"
    );
}

/// Both messages are asked for.
fn fetching(session: &mut Session) -> crate::imap::ops::FetchOp {
    let items = vec![FetchItem::Uid];
    let all = Range {
        from: Bound::Number(1),
        to: Bound::Last,
    };
    let messages = MessageSet::Sequence(SequenceSet(vec![all]));
    let modifiers = FetchModifiers::default();
    let fetch = Command::Fetch {
        messages,
        items,
        modifiers,
    };
    session.handle_frame(Frame::Command(tag(), fetch));
    match session.poll() {
        Some(Action::Run(Op::Fetch(op))) => op,
        other => panic!("no fetch: {other:?}"),
    }
}

#[test]
fn who_asks_for_what_is_still_to_come_is_hung_up_on() {
    let mut session = with_two_messages();
    drop(fetching(&mut session));
    session.handle_outcome(Err(OpError::StillToCome));
    let told = written(&mut session);
    assert!(
        told.starts_with("* BYE ") && told.ends_with("(close)"),
        "{told}"
    );
}

#[test]
fn a_message_that_cannot_be_read_does_not_hide_the_others() {
    let mut session = with_two_messages();
    let op = fetching(&mut session);
    let second = FetchedMessage {
        slot: op.slots[1],
        values: vec![FetchValue::Uid(op.slots[1].uid)],
        told: None,
    };
    session.handle_outcome(Ok(Outcome::Fetched(Fetched {
        messages: vec![second],
        taken: 2,
        gone: false,
        failed: Some(OpError::NotHere),
    })));
    let Some(Action::Send(Response::Fetch(data))) = session.poll() else {
        panic!("no answer")
    };
    let second = SequenceNumber::new(2).unwrap();
    assert_eq!(data.number, MessageNumber::Sequence(second));
    assert!(matches!(
        session.poll(),
        Some(Action::Run(Op::Refresh { .. }))
    ));
    session.handle_outcome(Ok(Outcome::Refreshed(Refreshed::Same)));
    assert!(written(&mut session).starts_with("t NO [UNAVAILABLE] "));
}

#[test]
fn batches_leave_out_no_uid() {
    for (count, size, wanted, expected) in [
        (1000, 500, None, "1000:501,500:1"),
        (1001, 500, None, "1001:502,501:2,1:1"),
        (1500, 600, None, "1500:901,900:301,300:1"),
        (1500, 600, Some((2, 2)), "900:301"),
        (1500, 600, Some((2, 9)), "900:301,300:1"),
        (1500, 4_000_000_000, None, "1500:1"),
    ] {
        let mut session = with_messages(1..=count);
        let command = Command::UidBatches {
            size,
            batches: wanted,
        };
        session.handle_frame(Frame::Command(tag(), command));
        let told = format!("* UIDBATCHES (TAG \"t\") {expected}\r\n");
        assert_eq!(next_line(&mut session), told);
    }
    // With holes: a range goes from a message to the one below the next batch's first.
    let mut session = with_messages((1..=1000).map(|number| number * 3));
    let command = Command::UidBatches {
        size: 500,
        batches: None,
    };
    session.handle_frame(Frame::Command(tag(), command));
    let told = "* UIDBATCHES (TAG \"t\") 3000:1501,1500:1\r\n";
    assert_eq!(next_line(&mut session), told);
}

/// A session that has selected a mailbox of two messages and said so.
fn with_two_messages() -> Session {
    with_messages(1..=2)
}

/// The same, with messages of these UIDs.
fn with_messages(uids: impl Iterator<Item = u32>) -> Session {
    let mut session = Session::new(Security::Plain);
    let secret = || Secret::new(b"x".to_vec());
    let login = Command::Login {
        user: secret(),
        password: secret(),
    };
    session.handle_frame(Frame::Command(tag(), login));
    session.handle_login(Ok(()));
    let mailbox = MailboxArgument::Name(MailboxName::inbox());
    let select = Command::Select {
        mailbox,
        access: Access::ReadWrite,
        parameters: SelectParameters::default(),
    };
    session.handle_frame(Frame::Command(tag(), select));
    let placement = |uid: u32| Placement {
        uid: Uid::new(uid).unwrap(),
        id: PlacementId::new([0; 16]),
        message: MessageHash::new([0; 32]),
        flags: FlagSet::new(),
        internal_date: Timestamp::from_secs(0),
        save_date: Timestamp::from_secs(0),
        mod_seq: ModSeq::ONE,
        size: 0,
    };
    let snapshot = Snapshot {
        roster: Arc::new(Roster::of(&uids.map(placement).collect::<Vec<_>>())),
        recent_from: Uid::ONE,
        tells_flags: true,
    };
    session.handle_outcome(Ok(Outcome::Selected(Box::new(SelectedMailbox {
        id: MailboxId::new([1; 16]),
        name: MailboxName::inbox(),
        uid_validity: UidValidity::ONE,
        uid_next: Uid::ONE,
        unseen: None,
        keywords: std::collections::BTreeSet::new(),
        snapshot,
        resynced: None,
        behind: false,
    }))));
    while session.poll().is_some() {}
    session
}

fn tag() -> Tag {
    Tag("t".to_owned())
}

fn nonsense() -> Frame {
    Frame::Refused(Refusal {
        tag: None,
        cause: Syntax::Bad("what"),
    })
}

/// The next response.
fn next_line(session: &mut Session) -> String {
    let Some(Action::Send(response)) = session.poll() else {
        panic!("nothing is said");
    };
    let mut out = Vec::new();
    assert!(encode(&response, session.names(), &mut out).is_empty());
    String::from_utf8(out).unwrap()
}

/// What the session says, with `(close)` for the end.
fn written(session: &mut Session) -> String {
    let mut out = Vec::new();
    while let Some(action) = session.poll() {
        match action {
            Action::Send(response) => {
                assert!(encode(&response, session.names(), &mut out).is_empty());
            }
            Action::Close => out.extend_from_slice(b"(close)"),
            other => panic!("{other:?}"),
        }
    }
    String::from_utf8(out).unwrap()
}
