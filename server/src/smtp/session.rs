//! One SMTP session (RFC 5321 4). Pure: no socket, no clock, no storage.
//!
//! ```text
//! Greeted --EHLO--> Ready --MAIL--> Mail <--RCPT/answer--> CheckingRecipient
//!                    ^ |             |
//!                    | AUTH          DATA --> Data --message--> Delivering --answer--> Ready
//!                    | v
//!                 Challenged <-> CheckingCredentials
//! ```
//!
//! The shell drains [`Session::poll`], then asks [`Session::wants`] what to read next: a line, the
//! message, or nothing before an answer. Invariant: a `250` after the message is sent only for an
//! answer that says the message is stored. Rejected: an async session; every test would need a
//! socket and every rule would hide among awaits.

mod authentication;
mod encryption;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::IpAddr;

use letterlock_core::id::Address;

use super::command::{Command, CommandError, ForwardPath, Mail, Text};
use super::data::{DataError, Message};
use super::reply::{self, Refusal, Reply};
use super::{Credentials, Envelope, MAX_ERRORS, MAX_RECIPIENTS, Policy, Protocol, ReversePath};
use crate::starttls::Security;
use authentication::Challenge;

/// Where the session stands.
#[derive(Debug, Default)]
enum State {
    #[default]
    Greeted,
    Ready,
    /// Waiting for a line of a SASL exchange.
    Challenged(Challenge),
    CheckingCredentials,
    /// `MAIL` accepted, collecting `RCPT`.
    Mail(Transaction),
    CheckingRecipient(Transaction, Address),
    /// `DATA` accepted, reading the message.
    Data(Transaction),
    Delivering(Transaction),
    Closed,
}

/// A mail transaction (RFC 5321 3.3).
#[derive(Debug)]
struct Transaction {
    envelope: Envelope,
    /// For each `RCPT` accepted, which of the envelope's forward paths it named: LMTP answers
    /// each of them (RFC 2033 4.2), also if one was named twice.
    accepted: Vec<usize>,
    text: Text,
}

/// What the shell is to do.
#[derive(Debug)]
pub enum Action {
    /// Send a reply.
    Send(Reply),
    /// Check a log-in; answer with [`Answer::Authenticated`].
    Authenticate(Credentials),
    /// Say whether mail for this recipient is taken; answer with [`Answer::Recipient`].
    CheckRecipient(Address),
    /// Store the message durably; answer with [`Answer::Delivered`].
    Deliver(Envelope, Message),
    /// Send what is left, drop all that was read, and let the client shake hands.
    StartTls,
    /// Send what is left and close.
    Close,
}

/// What the shell found out.
#[derive(Debug)]
pub enum Answer {
    /// The address of the account that logged in; `None` for wrong credentials.
    Authenticated(Result<Option<Address>, Refusal>),
    /// Whether the recipient is taken.
    Recipient(Result<(), Refusal>),
    /// For each forward path of the envelope, in order, whether the message is stored.
    Delivered(Vec<Result<(), Refusal>>),
}

/// What the session takes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// [`Session::handle_line`] with a line of at most so many octets, CRLF included.
    Line(usize),
    /// [`Session::handle_message`] with the message.
    Message,
    /// [`Session::handle_answer`].
    Answer,
    /// Nothing more.
    Nothing,
}

/// One client's session.
#[derive(Debug)]
pub struct Session {
    policy: Policy,
    peer: Option<IpAddr>,
    state: State,
    security: Security,
    client_name: String,
    account: Option<Address>,
    errors: usize,
    failed_logins: usize,
    actions: VecDeque<Action>,
}

impl Session {
    /// Begins with the greeting.
    pub fn new(policy: Policy, peer: Option<IpAddr>) -> Self {
        let service = match policy.protocol {
            Protocol::Lmtp => "LMTP",
            Protocol::Submission => "ESMTP",
        };
        let greeting = Reply::plain(220, format!("{} {service} Letterlock", policy.host_name));
        Self {
            security: encryption::offered(&policy),
            policy,
            peer,
            state: State::Greeted,
            client_name: String::new(),
            account: None,
            errors: 0,
            failed_logins: 0,
            actions: VecDeque::from([Action::Send(greeting)]),
        }
    }

    /// What to read next; ask after [`Session::poll`] is empty.
    pub fn wants(&self) -> Wants {
        match self.state {
            State::Challenged(_) => Wants::Line(super::MAX_AUTH_LINE_OCTETS),
            State::Data(_) => Wants::Message,
            State::CheckingCredentials | State::CheckingRecipient(..) | State::Delivering(_) => {
                Wants::Answer
            }
            State::Closed => Wants::Nothing,
            State::Greeted | State::Ready | State::Mail(_) => Wants::Line(super::MAX_LINE_OCTETS),
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Takes a line without its CRLF.
    pub fn handle_line(&mut self, line: &[u8]) {
        match std::mem::take(&mut self.state) {
            State::Challenged(challenge) => self.state = self.handle_response(challenge, line),
            state => {
                self.state = state;
                match Command::parse(line) {
                    Ok(command) => self.handle_command(command),
                    Err(error) => self.reject(error),
                }
            }
        }
    }

    /// Takes a command.
    pub fn handle_command(&mut self, command: Command) {
        self.state = match (std::mem::take(&mut self.state), command) {
            (State::Closed, _) => State::Closed,
            (_, Command::Quit) => self.close(Reply::new(221, "2.0.0", "Goodbye")),
            (state, Command::Noop) => self.reply(Reply::new(250, "2.0.0", "OK"), state),
            (state, Command::Help) => self.reply(Reply::new(214, "2.0.0", "See RFC 5321"), state),
            (state, Command::Vrfy) => {
                let reply = Reply::new(252, "2.5.2", "Send mail and see");
                self.reply(reply, state)
            }
            (State::Greeted, Command::Rset) => {
                self.reply(Reply::new(250, "2.0.0", "OK"), State::Greeted)
            }
            (_, Command::Rset) => self.reply(Reply::new(250, "2.0.0", "OK"), State::Ready),
            (state, Command::Lhlo(name)) => self.hello(state, Protocol::Lmtp, name),
            (state, Command::Ehlo(name)) => self.hello(state, Protocol::Submission, name),
            (state, Command::Helo(name)) => self.plain_hello(state, name),
            (State::Ready, Command::Auth(mechanism, response)) => self.auth(mechanism, response),
            (State::Ready, Command::Mail(mail)) => self.begin_transaction(mail),
            (State::Mail(transaction), Command::Rcpt(to)) => self.ask_about(transaction, to),
            (State::Mail(transaction), Command::Data) => self.begin_message(transaction),
            (State::Ready, Command::StartTls) => self.start_tls(),
            (
                state,
                Command::Auth(..)
                | Command::StartTls
                | Command::Mail(_)
                | Command::Rcpt(_)
                | Command::Data,
            ) => self.reply(Reply::new(503, "5.5.1", "Bad sequence of commands"), state),
        };
    }

    /// Takes what the shell found out.
    pub fn handle_answer(&mut self, answer: Answer) {
        self.state = match (std::mem::take(&mut self.state), answer) {
            (State::CheckingCredentials, Answer::Authenticated(result)) => {
                self.authenticated(result)
            }
            (State::CheckingRecipient(transaction, address), Answer::Recipient(result)) => {
                self.recipient_checked(transaction, address, &result)
            }
            (State::Delivering(transaction), Answer::Delivered(results)) => {
                self.delivered(&transaction, &results)
            }
            // The shell answers only what it was asked; what was not asked changes nothing.
            (state, _) => state,
        };
    }

    /// Takes the message that followed `DATA`.
    pub fn handle_message(&mut self, message: Result<Message, DataError>) {
        self.state = match (std::mem::take(&mut self.state), message) {
            (State::Data(transaction), Ok(message)) => {
                let envelope = transaction.envelope.clone();
                self.actions.push_back(Action::Deliver(envelope, message));
                State::Delivering(transaction)
            }
            (State::Data(transaction), Err(error)) => {
                let reply = match error {
                    DataError::BareLineEnd => {
                        Reply::new(554, "5.6.0", "A line ends with a bare CR or LF")
                    }
                    DataError::TooLarge => too_large(),
                };
                self.for_each_recipient(&transaction, |_| reply.clone());
                State::Ready
            }
            (state, _) => state,
        };
    }

    /// The peer was silent for too long (RFC 5321 4.5.3.2.7).
    pub fn handle_timeout(&mut self) {
        self.state = self.close(Reply::new(421, "4.4.2", "Too long silent, closing"));
    }

    /// The server is going down (RFC 5321 3.8).
    pub fn handle_shutdown(&mut self) {
        self.state = self.close(Reply::new(421, "4.3.2", "Shutting down"));
    }

    /// The password that was logged in with is no longer one.
    pub fn handle_revocation(&mut self) {
        self.state = self.close(Reply::new(421, "4.7.0", "The password was taken back"));
    }

    /// A line is over its limit, or does not end with CRLF; what follows it cannot be trusted.
    pub fn handle_bad_line(&mut self) {
        let reply = Reply::new(500, "5.5.2", "A line is too long or does not end with CRLF");
        self.state = self.close(reply);
    }

    fn hello(&mut self, state: State, protocol: Protocol, name: String) -> State {
        if protocol != self.policy.protocol {
            let wanted = match self.policy.protocol {
                Protocol::Lmtp => "LMTP: say LHLO",
                Protocol::Submission => "SMTP: say EHLO",
            };
            return self.reply(Reply::new(500, "5.5.1", format!("This is {wanted}")), state);
        }
        self.client_name = name;
        let mut reply = Reply::plain(250, self.policy.host_name.clone())
            .and("PIPELINING")
            .and(format!("SIZE {}", self.policy.max_message_octets))
            .and("8BITMIME")
            .and("ENHANCEDSTATUSCODES");
        reply = match protocol {
            Protocol::Lmtp => reply.and("SMTPUTF8"),
            Protocol::Submission if self.security == Security::Required => reply,
            Protocol::Submission => reply.and("AUTH PLAIN LOGIN"),
        };
        if matches!(self.security, Security::Offered | Security::Required) {
            reply = reply.and("STARTTLS");
        }
        self.reply(reply, State::Ready)
    }

    fn plain_hello(&mut self, state: State, name: String) -> State {
        if self.policy.protocol == Protocol::Lmtp {
            // RFC 2033 4.1: LMTP has neither HELO nor EHLO.
            return self.hello(state, Protocol::Submission, name);
        }
        self.client_name = name;
        self.reply(
            Reply::plain(250, self.policy.host_name.clone()),
            State::Ready,
        )
    }

    fn begin_transaction(&mut self, mail: Mail) -> State {
        if let Err(reply) = self.check_sender(&mail) {
            return self.reply(reply, State::Ready);
        }
        let transaction = Transaction {
            envelope: Envelope {
                client_name: self.client_name.clone(),
                peer: self.peer,
                submitter: self.account.clone(),
                reverse_path: mail.reverse_path,
                forward_paths: Vec::new(),
            },
            accepted: Vec::new(),
            text: mail.text,
        };
        self.reply(
            Reply::new(250, "2.1.0", "Sender OK"),
            State::Mail(transaction),
        )
    }

    fn check_sender(&self, mail: &Mail) -> Result<(), Reply> {
        let max = u64::try_from(self.policy.max_message_octets).unwrap_or(u64::MAX);
        if mail.size.is_some_and(|size| size > max) {
            return Err(too_large());
        }
        if mail.text == Text::Utf8 && self.policy.protocol == Protocol::Submission {
            return Err(Reply::new(555, "5.5.4", "SMTPUTF8 is not offered"));
        }
        if mail.text == Text::Ascii
            && matches!(&mail.reverse_path, ReversePath::Address(a) if !a.as_str().is_ascii())
        {
            return Err(not_ascii());
        }
        if self.policy.protocol == Protocol::Lmtp {
            return Ok(());
        }
        // RFC 6409 6.1: a submission server may insist on the sender.
        let Some(account) = &self.account else {
            return Err(Reply::new(530, "5.7.0", "Log in first"));
        };
        match &mail.reverse_path {
            ReversePath::Address(sender) if sender.canonical() == account.canonical() => Ok(()),
            ReversePath::Address(_) | ReversePath::Null => Err(Reply::new(
                553,
                "5.7.1",
                "The sender must be the address of the account that logged in",
            )),
        }
    }

    fn ask_about(&mut self, transaction: Transaction, to: ForwardPath) -> State {
        if transaction.accepted.len() >= MAX_RECIPIENTS {
            let reply = Reply::new(452, "4.5.3", "Too many recipients");
            return self.reply(reply, State::Mail(transaction));
        }
        let address = match to {
            ForwardPath::Address(address) => address,
            ForwardPath::Postmaster => {
                match Address::new(&format!("postmaster@{}", self.policy.domain)) {
                    Ok(address) => address,
                    Err(_) => return self.bad_address(State::Mail(transaction)),
                }
            }
        };
        if transaction.text == Text::Ascii && !address.as_str().is_ascii() {
            return self.reply(not_ascii(), State::Mail(transaction));
        }
        self.actions
            .push_back(Action::CheckRecipient(address.clone()));
        State::CheckingRecipient(transaction, address)
    }

    fn recipient_checked(
        &mut self,
        mut transaction: Transaction,
        address: Address,
        result: &Result<(), Refusal>,
    ) -> State {
        if let Err(refusal) = result {
            return self.reply(reply::reply_for(refusal), State::Mail(transaction));
        }
        let paths = &mut transaction.envelope.forward_paths;
        let canonical = address.canonical();
        let known = paths.iter().position(|path| path.canonical() == canonical);
        let index = known.unwrap_or_else(|| {
            paths.push(address);
            paths.len().saturating_sub(1)
        });
        transaction.accepted.push(index);
        self.reply(
            Reply::new(250, "2.1.5", "Recipient OK"),
            State::Mail(transaction),
        )
    }

    fn begin_message(&mut self, transaction: Transaction) -> State {
        if transaction.accepted.is_empty() {
            // RFC 2033 4.2 and RFC 2920 3.1 ask for 503.
            let reply = Reply::new(503, "5.5.1", "No recipient was accepted");
            return self.reply(reply, State::Mail(transaction));
        }
        let reply = Reply::plain(354, "End the message with <CRLF>.<CRLF>");
        self.reply(reply, State::Data(transaction))
    }

    fn delivered(&mut self, transaction: &Transaction, results: &[Result<(), Refusal>]) -> State {
        let outcome = |index: usize| match results.get(index) {
            Some(Ok(())) => Reply::new(250, "2.0.0", "Stored"),
            Some(Err(refusal)) => reply::reply_for(refusal),
            None => reply::reply_for(&Refusal::Unavailable),
        };
        self.for_each_recipient(transaction, outcome);
        State::Ready
    }

    /// One reply for each accepted `RCPT` in LMTP (RFC 2033 4.2); one for all in SMTP, where the
    /// handler takes all or nothing and any failure is the message's.
    fn for_each_recipient(
        &mut self,
        transaction: &Transaction,
        mut outcome: impl FnMut(usize) -> Reply,
    ) {
        match self.policy.protocol {
            Protocol::Lmtp => {
                let replies = transaction.accepted.iter().map(|&index| outcome(index));
                self.actions.extend(replies.map(Action::Send));
            }
            Protocol::Submission => {
                let mut replies = (0..transaction.envelope.forward_paths.len()).map(outcome);
                let first = replies.next();
                let reply = match first {
                    Some(reply) if !reply.is_failure() => {
                        replies.find(Reply::is_failure).unwrap_or(reply)
                    }
                    Some(reply) => reply,
                    None => reply::reply_for(&Refusal::Unavailable),
                };
                self.actions.push_back(Action::Send(reply));
            }
        }
    }

    fn reject(&mut self, error: CommandError) {
        let reply = match error {
            CommandError::UnknownCommand => Reply::new(500, "5.5.1", "Unknown command"),
            CommandError::Arguments => Reply::new(501, "5.5.4", "Syntax error in arguments"),
            CommandError::UnknownParameter => Reply::new(555, "5.5.4", "Unknown parameter"),
            CommandError::UnknownMechanism => Reply::new(504, "5.5.4", "Unknown mechanism"),
            CommandError::Address => bad_address(),
        };
        let state = std::mem::take(&mut self.state);
        self.state = self.reply(reply, state);
    }

    fn bad_address(&mut self, state: State) -> State {
        self.reply(bad_address(), state)
    }

    /// Sends a reply and goes to `next`, or closes if too much has failed.
    fn reply(&mut self, reply: Reply, next: State) -> State {
        if reply.is_failure() {
            self.errors = self.errors.saturating_add(1);
        }
        self.actions.push_back(Action::Send(reply));
        if self.errors >= MAX_ERRORS {
            return self.close(Reply::new(421, "4.7.0", "Too many errors, closing"));
        }
        next
    }

    fn close(&mut self, reply: Reply) -> State {
        self.actions.push_back(Action::Send(reply));
        self.actions.push_back(Action::Close);
        State::Closed
    }
}

fn too_large() -> Reply {
    Reply::new(552, "5.3.4", "The message is too large")
}

fn not_ascii() -> Reply {
    Reply::new(553, "5.6.7", "A non-ASCII address needs SMTPUTF8")
}

fn bad_address() -> Reply {
    Reply::new(553, "5.1.3", "Not an address")
}
