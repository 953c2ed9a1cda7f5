//! What strangers say (RFC 3501 6.2): STARTTLS, LOGIN, and AUTHENTICATE PLAIN (RFC 4616, RFC 4959).
//!
//! Invariant: what is told of a refusal does not depend on whether the user exists.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Action, MAX_LOGIN_FAILURES, Running, Session, State};
use crate::imap::accounts::LoginRefused;
use crate::imap::command::{Secret, Tag};
use crate::imap::response::{Code, Reply, Response};
use crate::starttls::Security;

impl Session {
    /// RFC 3501 6.2.1. No greeting follows: the client asks for the capabilities anew.
    pub(super) fn start_tls(&mut self, tag: Tag) {
        match self.security {
            Security::Offered => {
                self.tagged(tag, Reply::ok("Shake hands"));
                self.actions.push_back(Action::StartTls);
                self.security = Security::Tls;
            }
            Security::Plain => self.bad(Some(tag), Reply::bad("STARTTLS is not offered")),
            Security::Tls => self.bad(Some(tag), Reply::bad("TLS protects this already")),
        }
    }

    /// RFC 3501 6.2.2, RFC 4616.
    pub(super) fn begin_sasl(&mut self, tag: Tag, mechanism: &str, initial: Option<Secret>) {
        if mechanism != "PLAIN" {
            return self.tagged(tag, Reply::no("Only PLAIN is known").with(Code::Cannot));
        }
        if let Some(initial) = initial {
            self.handle_sasl(tag, &initial);
        } else {
            self.send(Response::Continue(""));
            self.running = Running::Sasl(tag);
        }
    }

    pub(super) fn handle_sasl(&mut self, tag: Tag, line: &Secret) {
        if line.as_bytes() == b"*" {
            return self.tagged(tag, Reply::bad("AUTHENTICATE was cancelled"));
        }
        let decoded = STANDARD.decode(line.as_bytes()).map(Secret::new);
        let message = decoded.as_ref().map_or(&b""[..], Secret::as_bytes);
        // message = [authzid] UTF8NUL authcid UTF8NUL passwd (RFC 4616 2)
        let mut fields = message.splitn(3, |octet| *octet == 0);
        let (Some(authorize), Some(user), Some(password)) =
            (fields.next(), fields.next(), fields.next())
        else {
            return self.bad(Some(tag), Reply::bad("That is no PLAIN message in base64"));
        };
        if !authorize.is_empty() && authorize != user {
            let reply = Reply::no("Nobody acts for somebody else here");
            return self.tagged(tag, reply.with(Code::AuthenticationFailed));
        }
        let (user, password) = (Secret::new(user.to_vec()), Secret::new(password.to_vec()));
        self.authenticate(tag, user, password);
    }

    pub(super) fn authenticate(&mut self, tag: Tag, user: Secret, password: Secret) {
        self.running = Running::Login(tag);
        self.actions
            .push_back(Action::Authenticate { user, password });
    }

    /// The bridge's answer to [`Action::Authenticate`].
    pub fn handle_login(&mut self, answer: Result<(), LoginRefused>) {
        let Running::Login(tag) = std::mem::take(&mut self.running) else {
            return;
        };
        let reply = match answer {
            Ok(()) => {
                self.state = State::Authenticated;
                Reply::ok("Logged in").with(Code::Capability(self.capabilities()))
            }
            Err(LoginRefused::Wrong) => {
                self.login_failures = self.login_failures.saturating_add(1);
                Reply::no("User name or password is wrong").with(Code::AuthenticationFailed)
            }
            Err(LoginRefused::Locked { how }) => Reply {
                text: Cow::Owned(how),
                ..Reply::no("")
            }
            .with(Code::Unavailable),
            Err(LoginRefused::Busy) => {
                Reply::no("Too many log-ins, try again in a moment").with(Code::Unavailable)
            }
        };
        self.tagged(tag, reply);
        if self.login_failures >= MAX_LOGIN_FAILURES {
            self.close("Too many wrong passwords");
        }
    }
}
