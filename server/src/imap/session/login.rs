//! What strangers say (RFC 3501 6.2): STARTTLS, LOGIN, and AUTHENTICATE with PLAIN (RFC 4616) or
//! SCRAM-SHA-256 (RFC 5802, RFC 7677), with an initial response if need be (RFC 4959).
//!
//! Invariant: what is told of a refusal does not depend on whether the user exists; nobody sends
//! a password before TLS where the connection may come from another machine.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Action, MAX_LOGIN_FAILURES, Running, Session, State};
use crate::imap::accounts::{LoginRefused, Salt};
use crate::imap::command::{Secret, Tag};
use crate::imap::response::{Code, Reply, Response};
use crate::scram::{self, ClientFirst, Exchange, Hash, ScramError};
use crate::starttls::Security;

/// Which line of which exchange comes next.
#[derive(Debug)]
pub(super) enum Challenge {
    Plain,
    ScramFirst,
    ScramFinal(Box<Exchange>),
    /// The client has seen the server's signature and says nothing more.
    ScramEnd,
}

impl Session {
    /// RFC 3501 6.2.1. No greeting follows: the client asks for the capabilities anew.
    pub(super) fn start_tls(&mut self, tag: Tag) {
        match self.security {
            Security::Offered | Security::Required => {
                self.tagged(tag, Reply::ok("Shake hands"));
                self.actions.push_back(Action::StartTls);
                self.security = Security::Tls;
            }
            Security::Plain => self.bad(Some(tag), Reply::bad("STARTTLS is not offered")),
            Security::Tls => self.bad(Some(tag), Reply::bad("TLS protects this already")),
        }
    }

    /// RFC 3501 6.2.3.
    pub(super) fn log_in(&mut self, tag: Tag, user: Secret, password: Secret) {
        if self.needs_tls() {
            return self.tagged(tag, privacy_required());
        }
        self.authenticate(tag, user, password);
    }

    /// RFC 3501 6.2.2.
    pub(super) fn begin_sasl(&mut self, tag: Tag, mechanism: &str, initial: Option<Secret>) {
        let challenge = match mechanism {
            "PLAIN" if self.needs_tls() => return self.tagged(tag, privacy_required()),
            "PLAIN" => Challenge::Plain,
            scram::MECHANISM => Challenge::ScramFirst,
            _ => {
                let reply = Reply::no("Only PLAIN and SCRAM-SHA-256 are known");
                return self.tagged(tag, reply.with(Code::Cannot));
            }
        };
        if let Some(initial) = initial {
            self.handle_sasl(tag, challenge, &initial);
        } else {
            self.challenge(tag, challenge, "");
        }
    }

    /// Sends a challenge in base64 and waits for the answer.
    fn challenge(&mut self, tag: Tag, challenge: Challenge, text: &str) {
        let text = STANDARD.encode(text);
        self.send(Response::Continue(Cow::Owned(text)));
        self.running = Running::Sasl(tag, challenge);
    }

    pub(super) fn handle_sasl(&mut self, tag: Tag, challenge: Challenge, line: &Secret) {
        if line.as_bytes() == b"*" {
            return self.tagged(tag, Reply::bad("AUTHENTICATE was cancelled"));
        }
        // A lone `=` is an empty initial response (RFC 4959 3).
        let line = match line.as_bytes() {
            b"=" => b"",
            line => line,
        };
        let Ok(message) = STANDARD.decode(line).map(Secret::new) else {
            return self.bad(Some(tag), Reply::bad("That is not base64"));
        };
        match challenge {
            Challenge::Plain => self.handle_plain(tag, &message),
            Challenge::ScramFirst => match ClientFirst::parse(message.as_bytes()) {
                Ok(first) => {
                    let user = first.user.clone();
                    self.actions.push_back(Action::ScramSalt { user });
                    self.running = Running::ScramSalt(tag, Box::new(first));
                }
                Err(error) => self.scram_failed(tag, error),
            },
            Challenge::ScramFinal(exchange) => match exchange.finish(message.as_bytes()) {
                Ok(attempt) => {
                    self.actions.push_back(Action::ScramProof(attempt));
                    self.running = Running::ScramProof(tag);
                }
                Err(error) => self.scram_failed(tag, error),
            },
            Challenge::ScramEnd => self.logged_in(tag),
        }
    }

    fn handle_plain(&mut self, tag: Tag, message: &Secret) {
        // message = [authzid] UTF8NUL authcid UTF8NUL passwd (RFC 4616 2)
        let mut fields = message.as_bytes().splitn(3, |octet| *octet == 0);
        let (Some(authorize), Some(user), Some(password)) =
            (fields.next(), fields.next(), fields.next())
        else {
            return self.bad(Some(tag), Reply::bad("That is no PLAIN message"));
        };
        if !authorize.is_empty() && authorize != user {
            return self.scram_failed(tag, ScramError::Authorization);
        }
        let (user, password) = (Secret::new(user.to_vec()), Secret::new(password.to_vec()));
        self.authenticate(tag, user, password);
    }

    fn scram_failed(&mut self, tag: Tag, error: ScramError) {
        let reply = match error {
            ScramError::Form => {
                return self.bad(Some(tag), Reply::bad("That is no SCRAM message"));
            }
            ScramError::ChannelBinding => Reply::no("Channel binding is not offered"),
            ScramError::Authorization => Reply::no("Nobody acts for somebody else here"),
        };
        self.tagged(tag, reply.with(Code::AuthenticationFailed));
    }

    fn authenticate(&mut self, tag: Tag, user: Secret, password: Secret) {
        self.running = Running::Login(tag);
        self.actions
            .push_back(Action::Authenticate { user, password });
    }

    /// The answer to [`Action::ScramSalt`]; `nonce` is printable and has never been used.
    pub fn handle_salt(&mut self, salt: &Salt, nonce: &str) {
        let (tag, first) = match std::mem::take(&mut self.running) {
            Running::ScramSalt(tag, first) => (tag, first),
            running => {
                self.running = running;
                return;
            }
        };
        let (exchange, said) = first.answer(nonce, &salt.salt, salt.iterations);
        self.challenge(tag, Challenge::ScramFinal(Box::new(exchange)), &said);
    }

    /// The answer to [`Action::ScramProof`].
    pub fn handle_proof(&mut self, answer: Result<Hash, LoginRefused>) {
        let tag = match std::mem::take(&mut self.running) {
            Running::ScramProof(tag) => tag,
            running => {
                self.running = running;
                return;
            }
        };
        match answer {
            Ok(signature) => {
                self.challenge(tag, Challenge::ScramEnd, &scram::server_final(&signature));
            }
            Err(refused) => self.refused(tag, refused),
        }
    }

    /// The answer to [`Action::Authenticate`].
    pub fn handle_login(&mut self, answer: Result<(), LoginRefused>) {
        let tag = match std::mem::take(&mut self.running) {
            Running::Login(tag) => tag,
            running => {
                self.running = running;
                return;
            }
        };
        match answer {
            Ok(()) => self.logged_in(tag),
            Err(refused) => self.refused(tag, refused),
        }
    }

    fn logged_in(&mut self, tag: Tag) {
        self.state = State::Authenticated;
        let capabilities = Code::Capability(self.capabilities());
        self.tagged(tag, Reply::ok("Logged in").with(capabilities));
    }

    fn refused(&mut self, tag: Tag, refused: LoginRefused) {
        let reply = match refused {
            LoginRefused::Wrong => {
                self.login_failures = self.login_failures.saturating_add(1);
                Reply::no("User name or password is wrong").with(Code::AuthenticationFailed)
            }
            LoginRefused::Locked { how } => Reply {
                text: Cow::Owned(how),
                ..Reply::no("")
            }
            .with(Code::Unavailable),
            LoginRefused::Busy => {
                Reply::no("Too many log-ins failed, try again in a minute").with(Code::Unavailable)
            }
        };
        self.tagged(tag, reply);
        if self.login_failures >= MAX_LOGIN_FAILURES {
            self.close("Too many wrong passwords");
        }
    }

    /// What the user logged in with was taken back.
    pub fn handle_revocation(&mut self) {
        self.close("This app password was removed");
    }

    fn needs_tls(&self) -> bool {
        self.security == Security::Required
    }
}

/// RFC 5530 3.
fn privacy_required() -> Reply {
    Reply::no("Say STARTTLS first").with(Code::PrivacyRequired)
}
