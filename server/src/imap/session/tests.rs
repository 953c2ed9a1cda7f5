//! The session by steps, without a store; whole conversations are in the transcripts.

use super::*;
use crate::imap::accounts::LoginRefused;
use crate::imap::encoder::encode;

#[test]
fn silence_ends_a_session() {
    let mut session = Session::new();
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
    let mut session = Session::new();
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
    let mut session = Session::new();
    for _ in 0..3 * MAX_BAD_COMMANDS {
        session.handle_frame(nonsense());
        session.handle_frame(Frame::Command(tag(), Command::Noop));
    }
    assert!(!written(&mut session).contains("BYE"));
}

#[test]
fn a_reason_from_elsewhere_ends_no_line() {
    let mut session = Session::new();
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
fn a_large_message_is_refused_by_name() {
    let mut session = Session::new();
    written(&mut session);
    let refusal = Refusal {
        tag: Some(tag()),
        cause: Syntax::TooBig,
    };
    session.handle_frame(Frame::Refused(refusal));
    assert_eq!(
        written(&mut session),
        "t NO [TOOBIG] The message is too large\r\n"
    );
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

/// What the session says, with `(close)` for the end.
fn written(session: &mut Session) -> String {
    let mut out = Vec::new();
    while let Some(action) = session.poll() {
        match action {
            Action::Send(response) => encode(&response, &mut out),
            Action::Close => out.extend_from_slice(b"(close)"),
            other => panic!("{other:?}"),
        }
    }
    String::from_utf8(out).unwrap()
}
