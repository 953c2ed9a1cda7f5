//! `STARTTLS` (RFC 3207), for mail programs that insist on it.
//!
//! Invariant: nothing said before the handshake counts after it (RFC 3207 4.2): the session is as
//! after the greeting, and the shell drops what was pipelined. LMTP never offers it.

use super::{Action, Session, State};
use crate::smtp::reply::Reply;
use crate::smtp::{Policy, Protocol};
use crate::starttls::Security;

/// What a new connection to such a listener can have.
pub(super) const fn offered(policy: &Policy) -> Security {
    match policy.protocol {
        Protocol::Submission => policy.protection.security(policy.tls.is_some()),
        Protocol::Lmtp => Security::Plain,
    }
}

impl Session {
    pub(super) fn start_tls(&mut self) -> State {
        let refusal = match (self.security, &self.account) {
            (Security::Offered | Security::Required, None) => {
                let go = Reply::new(220, "2.0.0", "Shake hands");
                let state = self.reply(go, State::Greeted);
                self.actions.push_back(Action::StartTls);
                self.security = Security::Tls;
                self.client_name.clear();
                return state;
            }
            (Security::Offered | Security::Required, Some(_)) => {
                Reply::new(503, "5.5.1", "Already logged in")
            }
            (Security::Plain, _) => Reply::new(502, "5.5.1", "STARTTLS is not offered"),
            (Security::Tls, _) => Reply::new(503, "5.5.1", "TLS protects this already"),
        };
        self.reply(refusal, State::Ready)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use letterlock_core::id::Address;
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, duplex};
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::smtp::conn::{Admitted, Handler, run};
    use crate::smtp::session::Answer;
    use crate::smtp::{Credentials, Envelope, Message, Refusal};
    use crate::starttls::Protection;
    use crate::starttls::testing::{localhost, pair};

    /// Everybody is Alice.
    struct Anybody;

    impl Handler for Anybody {
        async fn authenticate(&self, _: Credentials) -> Result<Option<Admitted>, Refusal> {
            Ok(Some(Admitted {
                address: Address::new("alice@letterlock.example").unwrap(),
                revoked: CancellationToken::new(),
            }))
        }

        async fn check_recipient(&self, _: &Address) -> Result<(), Refusal> {
            Ok(())
        }

        async fn deliver(&self, envelope: Envelope, _: Message) -> Vec<Result<(), Refusal>> {
            vec![Ok(()); envelope.forward_paths.len()]
        }
    }

    fn policy(protocol: Protocol) -> Policy {
        Policy {
            protocol,
            host_name: "mx.letterlock.example".to_owned(),
            domain: "letterlock.example".to_owned(),
            max_message_octets: 1000,
            tls: Some(pair().0),
            protection: Protection::Local,
        }
    }

    /// What the session says to lines; the lines behind a handshake count as said within TLS.
    fn answers(protocol: Protocol, lines: &[&str]) -> String {
        let mut session = Session::new(policy(protocol), None);
        let mut out = Vec::new();
        for line in lines.iter().map(Some).chain([None]) {
            while let Some(action) = session.poll() {
                match action {
                    Action::Send(reply) => reply.write_to(&mut out),
                    Action::StartTls => out.extend_from_slice(b"(handshake)\r\n"),
                    Action::Authenticate(_) => {
                        let alice = Address::new("alice@letterlock.example").unwrap();
                        session.handle_answer(Answer::Authenticated(Ok(Some(alice))));
                    }
                    _ => {}
                }
            }
            if let Some(line) = line {
                session.handle_line(line.as_bytes());
            }
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_session_begins_anew() {
        let lines = ["EHLO a", "STARTTLS", "MAIL FROM:<>", "EHLO a", "STARTTLS"];
        let said = answers(Protocol::Submission, &lines);
        let (before, after) = said.split_once("(handshake)\r\n").unwrap();
        assert!(
            before.ends_with("250 STARTTLS\r\n220 2.0.0 Shake hands\r\n"),
            "{said}"
        );
        assert!(
            after.starts_with("503 5.5.1 Bad sequence of commands\r\n"),
            "{said}"
        );
        assert!(
            after.ends_with("\r\n503 5.5.1 TLS protects this already\r\n"),
            "{said}"
        );
        assert!(!after.contains("STARTTLS"), "{said}");
    }

    #[test]
    fn it_is_refused_where_it_does_not_belong() {
        for (protocol, lines, expected) in [
            (
                Protocol::Submission,
                &["STARTTLS"][..],
                "503 5.5.1 Bad sequence of commands",
            ),
            (
                Protocol::Submission,
                &["EHLO a", "STARTTLS x"],
                "501 5.5.4 Syntax error in arguments",
            ),
            (
                Protocol::Submission,
                &["EHLO a", "AUTH PLAIN AGEAYg==", "STARTTLS"],
                "503 5.5.1 Already logged in",
            ),
            (
                Protocol::Lmtp,
                &["LHLO a", "STARTTLS"],
                "502 5.5.1 STARTTLS is not offered",
            ),
        ] {
            let said = answers(protocol, lines);
            assert!(said.ends_with(&format!("{expected}\r\n")), "{said}");
            assert!(!said.contains("(handshake)"), "{said}");
        }
        assert!(!answers(Protocol::Lmtp, &["LHLO a"]).contains("STARTTLS"));
    }

    #[tokio::test]
    async fn nothing_said_before_the_handshake_counts_after_it() {
        let (config, connector) = pair();
        let policy = Policy {
            tls: Some(config),
            ..policy(Protocol::Submission)
        };
        let (near, far) = duplex(4096);
        TaskTracker::new().spawn(async move {
            let _gone = run(far, None, policy, &Anybody, &CancellationToken::new()).await;
        });
        let mut plain = BufReader::new(near);
        let injected = b"EHLO a\r\nSTARTTLS\r\nAUTH PLAIN AGEAYg==\r\nMAIL FROM:<alice@";
        plain.write_all(injected).await.unwrap();
        let mut heard = String::new();
        while !heard.ends_with("220 2.0.0 Shake hands\r\n") {
            plain.read_line(&mut heard).await.unwrap();
        }
        let stream = connector.connect(localhost(), plain.into_inner()).await;
        let mut tls = stream.unwrap();
        let said = b"EHLO b\r\nMAIL FROM:<alice@letterlock.example>\r\n\
            AUTH PLAIN AGEAYg==\r\nMAIL FROM:<alice@letterlock.example>\r\nQUIT\r\n";
        tls.write_all(said).await.unwrap();
        tls.flush().await.unwrap();
        let mut heard = String::new();
        let read = tls.read_to_string(&mut heard);
        let read = tokio::time::timeout(Duration::from_secs(10), read).await;
        read.expect("the server is silent").unwrap();
        let (hello, rest) = heard.split_once("250 AUTH PLAIN LOGIN\r\n").unwrap();
        assert!(
            hello.starts_with("250-mx.letterlock.example\r\n"),
            "{heard}"
        );
        assert_eq!(
            rest,
            "530 5.7.0 Log in first\r\n235 2.7.0 Welcome\r\n250 2.1.0 Sender OK\r\n\
             221 2.0.0 Goodbye\r\n"
        );
    }
}
