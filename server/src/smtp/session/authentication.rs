//! `AUTH` (RFC 4954): PLAIN (RFC 4616) and LOGIN.
//!
//! Both send the password as it is, so they are offered on loopback and within TLS alone. Invariant: what was
//! decoded is zeroized, and a wrong password, an unknown user and a malformed response that
//! decodes all end in the same reply.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use letterlock_core::id::Address;
use zeroize::Zeroizing;

use super::{Action, Session, State};
use crate::smtp::command::Mechanism;
use crate::smtp::reply::{Refusal, Reply};
use crate::smtp::{Credentials, MAX_FAILED_LOGINS, Protocol};
use crate::starttls::Security;

/// Which line of which exchange comes next.
#[derive(Debug)]
pub(super) enum Challenge {
    Plain,
    LoginUsername,
    LoginPassword(String),
}

impl Session {
    pub(super) fn auth(&mut self, mechanism: Mechanism, response: Option<String>) -> State {
        if self.policy.protocol == Protocol::Lmtp {
            return self.reply(
                Reply::new(502, "5.5.1", "AUTH is not offered"),
                State::Ready,
            );
        }
        if self.account.is_some() {
            return self.reply(Reply::new(503, "5.5.1", "Already logged in"), State::Ready);
        }
        if self.security == Security::Required {
            // RFC 4954 6.
            let reply = Reply::new(538, "5.7.11", "Say STARTTLS first");
            return self.reply(reply, State::Ready);
        }
        let challenge = match mechanism {
            Mechanism::Plain => Challenge::Plain,
            Mechanism::Login => Challenge::LoginUsername,
        };
        match response {
            Some(response) => {
                let response = Zeroizing::new(response);
                // RFC 4954 4: a lone `=` is an empty initial response.
                let response = if *response == "=" { "" } else { &response };
                self.handle_response(challenge, response.as_bytes())
            }
            None => self.challenge(challenge),
        }
    }

    /// Takes a line of the exchange.
    pub(super) fn handle_response(&mut self, challenge: Challenge, line: &[u8]) -> State {
        if line == b"*" {
            return self.reply(Reply::new(501, "5.7.0", "Cancelled"), State::Ready);
        }
        let Some(decoded) = decode(line) else {
            return self.reply(Reply::new(501, "5.5.2", "Not base64"), State::Ready);
        };
        let credentials = match challenge {
            Challenge::Plain => plain(&decoded),
            Challenge::LoginUsername => {
                return match text(&decoded) {
                    Some(username) => {
                        self.challenge(Challenge::LoginPassword(username.to_string()))
                    }
                    None => self.authenticated(Ok(None)),
                };
            }
            Challenge::LoginPassword(username) => text(&decoded).map(|password| Credentials {
                peer: None,
                username,
                password,
            }),
        };
        match credentials {
            Some(credentials) => {
                let peer = self.peer;
                let credentials = Credentials {
                    peer,
                    ..credentials
                };
                self.actions.push_back(Action::Authenticate(credentials));
                State::CheckingCredentials
            }
            None => self.authenticated(Ok(None)),
        }
    }

    pub(super) fn authenticated(&mut self, result: Result<Option<Address>, Refusal>) -> State {
        match result {
            Ok(Some(address)) => {
                self.account = Some(address);
                self.reply(Reply::new(235, "2.7.0", "Welcome"), State::Ready)
            }
            Ok(None) => {
                self.failed_logins = self.failed_logins.saturating_add(1);
                let reply = Reply::new(535, "5.7.8", "Wrong user name or password");
                if self.failed_logins < MAX_FAILED_LOGINS {
                    return self.reply(reply, State::Ready);
                }
                self.actions.push_back(Action::Send(reply));
                self.close(Reply::new(421, "4.7.0", "Too many failed log-ins, closing"))
            }
            Err(_) => {
                let reply = Reply::new(454, "4.7.0", "Temporary failure, please try again");
                self.reply(reply, State::Ready)
            }
        }
    }

    fn challenge(&mut self, challenge: Challenge) -> State {
        // The base64 of "Username:" and "Password:"; PLAIN has an empty challenge.
        let prompt = match challenge {
            Challenge::Plain => "",
            Challenge::LoginUsername => "VXNlcm5hbWU6",
            Challenge::LoginPassword(_) => "UGFzc3dvcmQ6",
        };
        self.reply(Reply::plain(334, prompt), State::Challenged(challenge))
    }
}

fn decode(line: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    STANDARD.decode(line).ok().map(Zeroizing::new)
}

fn text(octets: &[u8]) -> Option<Zeroizing<String>> {
    std::str::from_utf8(octets)
        .ok()
        .map(|text| Zeroizing::new(text.to_owned()))
}

/// ```text
/// message = [authzid] UTF8NUL authcid UTF8NUL passwd      ; RFC 4616 2
/// ```
/// Acting for somebody else is not offered: an `authzid` must be the `authcid`, the user name.
fn plain(octets: &[u8]) -> Option<Credentials> {
    let mut parts = octets.splitn(3, |octet| *octet == 0);
    let (acting_for, username, password) = (parts.next()?, parts.next()?, parts.next()?);
    if password.contains(&0) || !(acting_for.is_empty() || acting_for == username) {
        return None;
    }
    Some(Credentials {
        peer: None,
        username: text(username)?.to_string(),
        password: text(password)?,
    })
}
