//! One IMAP session (RFC 3501 3, 5, 6). Pure: no socket, no clock, no store.
//!
//! ```text
//! NotAuthenticated --LOGIN, AUTHENTICATE--> Authenticated --SELECT, EXAMINE--> Selected
//!        |                                   |    ^--CLOSE, UNSELECT, failed SELECT--|
//!        +--------------- LOGOUT, three wrong passwords, silence -----------> Closed
//! ```
//!
//! Frames, outcomes and wake-ups go in by `handle_*`, effects come out of [`Session::poll`].
//! One command runs at a time: the shell brings the next frame when there is nothing to poll.
//! Every command in a selected mailbox ends with [`Op::Refresh`], so that what others did is told
//! before the tagged response and nowhere in between.
//!
//! Invariant: each command gets exactly one tagged response, its untagged ones before it.
//! Rejected: async functions per command; a session that can be stepped can be tested by lines.

mod enable;
mod extensions;
mod follow;
mod level;
mod login;
pub mod message_limit;
mod metadata;
mod notify;
mod outcomes;
mod search;
mod select;
mod selected;
mod upload;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use super::capability::Enabled;
use super::command::{Access, Command, Numbering, Secret, Tag};
use super::decoder::{Admits, Frame, Refusal, Syntax};
use super::ops::{Op, Subscription, UploadStep};
use super::response::{Code, Reply, Response};
use super::view::Release;
use crate::scram::{self, ClientFirst};
use crate::starttls::Security;
use letterlock_core::id::{MailboxName, Uid};
use level::Level;
use login::Challenge;
use notify::{Notifying, Stage};
use search::Searching;
use selected::{Fetching, Selected};
use upload::Uploading;

/// Wrong passwords on one connection before it is closed.
pub const MAX_LOGIN_FAILURES: u32 = 3;
/// Commands in a row that are not understood before the connection is closed.
pub const MAX_BAD_COMMANDS: u32 = 50;
/// Silence after which a session ends (RFC 3501 5.4 asks for 30 minutes at least).
pub const IDLE_TIMEOUT: Duration = Duration::from_mins(31);
/// The same in the middle of a message: a client that is there goes on sending.
pub const UPLOAD_TIMEOUT: Duration = Duration::from_mins(5);
/// The same before login.
pub const LOGIN_TIMEOUT: Duration = Duration::from_mins(3);

/// What the shell has to do.
#[derive(Debug)]
pub enum Action {
    /// Write this.
    Send(Response),
    /// Do this and bring the outcome to [`Session::handle_outcome`].
    Run(Op),
    /// Do this with the messages that are coming in, and bring the outcome likewise. Once
    /// [`Session::admits`] no more of them, what has come is to be dropped.
    Upload(UploadStep),
    /// Find the salt of this user's passwords and bring it to [`Session::handle_salt`].
    ScramSalt {
        /// As the client sent it.
        user: String,
    },
    /// Check this and bring the answer to [`Session::handle_proof`].
    ScramProof(scram::Attempt),
    /// Check this and bring the answer to [`Session::handle_login`].
    Authenticate {
        /// As the client sent it.
        user: Secret,
        /// As the client sent it.
        password: Secret,
    },
    /// Write what is left, drop all that was read, and let the client shake hands.
    StartTls,
    /// Write what is left, and compress from here on what is said and heard.
    Compress,
    /// Write what is left and close the connection.
    Close,
}

/// The states of RFC 3501 3.
#[derive(Debug, Default)]
enum State {
    #[default]
    NotAuthenticated,
    Authenticated,
    Selected(Box<Selected>),
    Closed,
}

/// The command that has no tagged response yet, and what it waits for.
#[derive(Debug, Default)]
enum Running {
    #[default]
    Nothing,
    /// AUTHENTICATE waits for a line.
    Sasl(Tag, Challenge),
    /// The bridge looks for a salt.
    ScramSalt(Tag, Box<ClientFirst>),
    /// The bridge checks a proof.
    ScramProof(Tag),
    /// The bridge checks a password.
    Login(Tag),
    /// IDLE waits for `DONE` or for news.
    Idle(Tag),
    Select(Tag, Access),
    List(Tag),
    Lsub(Tag),
    Status(Tag),
    MyRights(Tag, MailboxName),
    Quota(Tag, &'static str),
    Upload(Uploading),
    Fetch(Tag, Fetching),
    /// UID FETCH with VANISHED: what has vanished is told first.
    Vanished(Tag, Fetching),
    Create(Tag),
    /// RFC 5464 4.2.
    GetMetadata(Tag),
    /// RFC 5464 4.3.
    SetMetadata(Tag),
    /// NOTIFY SET, or ENABLE METADATA, looks how things are.
    BeginNotify(Tag, &'static str),
    /// What nobody asked for is told; then this goes on.
    Wake(Box<Running>, Stage),
    Search(Tag, Searching),
    SearchMany(Tag, Searching),
    Thread(Tag, Numbering, Release),
    Store(Tag, Numbering),
    Copy(Tag),
    Move(Tag),
    /// Whatever has only success to tell.
    Simple(Tag, &'static str),
    Expunge(Tag),
    /// CLOSE: expunges without a word.
    Close(Tag),
    /// The last refresh of a command that took messages out of the mailbox.
    FinishGone(Tag, Reply),
    /// The last refresh before the tagged response.
    Finish(Tag, Reply, Release),
}

impl Running {
    /// The tag of a command that keeps the client waiting.
    fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Select(tag, _)
            | Self::List(tag)
            | Self::Lsub(tag)
            | Self::Status(tag)
            | Self::MyRights(tag, _)
            | Self::Quota(tag, _)
            | Self::Fetch(tag, _)
            | Self::Vanished(tag, _)
            | Self::Create(tag)
            | Self::GetMetadata(tag)
            | Self::SetMetadata(tag)
            | Self::BeginNotify(tag, _)
            | Self::Search(tag, _)
            | Self::SearchMany(tag, _)
            | Self::Thread(tag, ..)
            | Self::Store(tag, _)
            | Self::Copy(tag)
            | Self::Move(tag)
            | Self::Simple(tag, _)
            | Self::Expunge(tag)
            | Self::Close(tag)
            | Self::FinishGone(tag, _)
            | Self::Finish(tag, ..) => Some(tag),
            Self::Nothing
            | Self::Sasl(..)
            | Self::ScramSalt(..)
            | Self::ScramProof(_)
            | Self::Login(_)
            | Self::Idle(_)
            | Self::Upload(_)
            | Self::Wake(..) => None,
        }
    }
}

/// A session.
#[derive(Debug, Default)]
pub struct Session {
    state: State,
    security: Security,
    enabled: Enabled,
    running: Running,
    actions: VecDeque<Action>,
    login_failures: u32,
    notifying: Notifying,
    /// DEFLATE is active.
    compressed: bool,
    bad_commands: u32,
    message_limit: usize,
    /// Below this the running command took no message.
    cut: Option<Uid>,
}

impl Session {
    /// A session that greets (RFC 3501 7.1.1).
    pub fn new(security: Security) -> Self {
        let mut session = Self {
            security,
            message_limit: message_limit::MESSAGE_LIMIT,
            ..Self::default()
        };
        let capabilities = Code::Capability(session.capabilities());
        let greeting = Reply::ok("Letterlock is ready").with(capabilities);
        session.send(Response::Untagged(greeting));
        session
    }

    /// The next effect.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether what is to be sent is followed by a step of a FETCH that changes nothing.
    pub fn reads_on(&self) -> bool {
        matches!(self.actions.back(), Some(Action::Run(op)) if op.only_reads())
    }

    /// Whether nobody has logged in yet.
    pub fn is_stranger(&self) -> bool {
        matches!(self.state, State::NotAuthenticated)
    }

    /// What may come in next.
    pub fn admits(&self) -> Admits {
        match &self.running {
            Running::Sasl(..) | Running::Idle(_) => Admits::Line,
            _ if self.uploads() => Admits::Upload,
            _ => Admits::Commands,
        }
    }

    /// How long the client may be silent.
    pub fn timeout(&self) -> Duration {
        match self.state {
            State::NotAuthenticated => LOGIN_TIMEOUT,
            _ if self.uploads() => UPLOAD_TIMEOUT,
            State::Authenticated | State::Selected(_) | State::Closed => IDLE_TIMEOUT,
        }
    }

    /// The client was silent for [`Session::timeout`].
    pub fn handle_timeout(&mut self) {
        self.close("No command for too long");
    }

    /// The bridge is going down.
    pub fn handle_shutdown(&mut self) {
        self.close("Letterlock is shutting down");
    }

    /// Something changed in the account. IDLE and NOTIFY are told at once; a command in progress
    /// learns of it at its end.
    pub fn handle_update(&mut self) {
        self.wake();
    }

    /// What the decoder found.
    pub fn handle_frame(&mut self, frame: Frame) {
        match frame {
            Frame::Command(tag, command) => self.handle_command(tag, command),
            Frame::Append(tag, command) => self.begin_upload(tag, command),
            Frame::Upload(part) => self.handle_upload(part),
            Frame::Continue => self.send(Response::Continue("Ready for the literal".into())),
            Frame::Line(line) => self.handle_line(&line),
            Frame::Refused(refusal) => self.handle_refusal(refusal),
        }
    }

    fn handle_command(&mut self, tag: Tag, command: Command) {
        match self.out_of_place(Level::of(&command)) {
            Some(wrong) => self.bad(Some(tag), Reply::bad(wrong)),
            None if matches!(self.state, State::Closed) => {}
            None => {
                self.bad_commands = 0;
                self.start(tag, command);
            }
        }
    }

    /// Why a command is not legal in this state, if it is not.
    fn out_of_place(&self, level: Level) -> Option<&'static str> {
        match (level, &self.state) {
            (Level::Stranger, State::Authenticated | State::Selected(_)) => {
                Some("Already logged in")
            }
            (Level::User | Level::Reader, State::NotAuthenticated) => Some("Log in first"),
            (Level::Reader, State::Authenticated) => Some("Select a mailbox first"),
            (Level::Any, _)
            | (_, State::Closed)
            | (Level::Stranger, State::NotAuthenticated)
            | (Level::User, State::Authenticated | State::Selected(_))
            | (Level::Reader, State::Selected(_)) => None,
        }
    }

    fn start(&mut self, tag: Tag, command: Command) {
        match command {
            Command::Capability => {
                self.send(Response::Capability(self.capabilities()));
                self.finish(tag, Reply::ok("CAPABILITY done"), Release::All);
            }
            Command::Noop => self.finish(tag, Reply::ok("NOOP done"), Release::All),
            Command::Check => self.finish(tag, Reply::ok("CHECK done"), Release::All),
            Command::Logout => {
                self.send(Response::Untagged(Reply::bye("Until next time")));
                self.tagged(tag, Reply::ok("LOGOUT done"));
                self.state = State::Closed;
                self.actions.push_back(Action::Close);
            }
            Command::Id => {
                self.send(Response::Id);
                self.finish(tag, Reply::ok("ID done"), Release::All);
            }
            Command::Enable(names) => self.enable(tag, &names),
            Command::Namespace => {
                self.send(Response::Namespace);
                self.finish(tag, Reply::ok("NAMESPACE done"), Release::All);
            }
            Command::StartTls => self.start_tls(tag),
            Command::Login { user, password } => self.log_in(tag, user, password),
            Command::Authenticate { mechanism, initial } => {
                self.begin_sasl(tag, &mechanism, initial);
            }
            Command::Idle => {
                self.send(Response::Continue("idling".into()));
                self.running = Running::Idle(tag);
                self.wake();
            }
            command => self.start_on_mailboxes(tag, command),
        }
    }

    /// Commands about mailboxes as wholes.
    fn start_on_mailboxes(&mut self, tag: Tag, command: Command) {
        match command {
            Command::Select {
                mailbox,
                access,
                parameters,
            } => self.select(tag, mailbox, access, parameters),
            Command::Create { mailbox, use_for } => self.create(tag, mailbox, use_for),
            Command::Delete(mailbox) => {
                if let Some(name) = self.existing(&tag, mailbox) {
                    self.run(Op::Delete(name), Running::Simple(tag, "DELETE done"));
                }
            }
            Command::Rename { from, to } => {
                let Some(from) = self.existing(&tag, from) else {
                    return;
                };
                let Some(to) = self.possible(&tag, to) else {
                    return;
                };
                self.run(Op::Rename(from, to), Running::Simple(tag, "RENAME done"));
            }
            Command::Subscribe(mailbox) => {
                if let Some(name) = self.existing(&tag, mailbox) {
                    let op = Op::Subscribe(name, Subscription::On);
                    self.run(op, Running::Simple(tag, "SUBSCRIBE done"));
                }
            }
            Command::Unsubscribe(mailbox) => {
                if let Some(name) = self.existing(&tag, mailbox) {
                    let op = Op::Subscribe(name, Subscription::Off);
                    self.run(op, Running::Simple(tag, "UNSUBSCRIBE done"));
                }
            }
            Command::List(command) => self.run(Op::List(command), Running::List(tag)),
            Command::Lsub { reference, pattern } => {
                self.run(Op::Lsub { reference, pattern }, Running::Lsub(tag));
            }
            Command::Status { mailbox, items } => {
                if let Some(name) = self.existing(&tag, mailbox) {
                    self.run(Op::Status(name, items), Running::Status(tag));
                }
            }
            command => self.start_on_rights(tag, command),
        }
    }

    /// A line in AUTHENTICATE or IDLE.
    fn handle_line(&mut self, line: &Secret) {
        match std::mem::take(&mut self.running) {
            Running::Sasl(tag, challenge) => self.handle_sasl(tag, challenge, line),
            Running::Idle(tag) if line.as_bytes().eq_ignore_ascii_case(b"DONE") => {
                self.finish(tag, Reply::ok("IDLE done"), Release::All);
            }
            Running::Idle(tag) => self.bad(Some(tag), Reply::bad("DONE ends IDLE")),
            running => self.running = running,
        }
    }

    fn handle_refusal(&mut self, refusal: Refusal) {
        let tag = match std::mem::take(&mut self.running) {
            Running::Sasl(tag, _) | Running::Idle(tag) => Some(tag),
            _ => refusal.tag,
        };
        let reply = match refusal.cause {
            Syntax::Bad(reason) => Reply::bad(reason),
            Syntax::BadCharset { saving } => {
                if saving {
                    self.forget_saved();
                }
                Reply::no("The charset is not known").with(Code::BadCharset)
            }
        };
        self.bad(tag, reply);
    }

    fn send(&mut self, response: Response) {
        self.actions.push_back(Action::Send(response));
    }

    fn tagged(&mut self, tag: Tag, reply: Reply) {
        let reply = self.with_limit(reply);
        self.send(Response::Tagged(tag, reply));
    }

    fn run(&mut self, op: Op, running: Running) {
        self.running = running;
        self.actions.push_back(Action::Run(op));
    }

    /// A command that is refused for its form; too many in a row end the connection.
    fn bad(&mut self, tag: Option<Tag>, reply: Reply) {
        match tag {
            Some(tag) => self.tagged(tag, reply),
            None => self.send(Response::Untagged(reply)),
        }
        self.bad_commands = self.bad_commands.saturating_add(1);
        if self.bad_commands >= MAX_BAD_COMMANDS {
            self.close("Too many commands that are none");
        }
    }

    fn close(&mut self, reason: &'static str) {
        if !matches!(self.state, State::Closed) {
            self.state = State::Closed;
            self.running = Running::Nothing;
            self.send(Response::Untagged(Reply::bye(reason)));
            self.actions.push_back(Action::Close);
        }
    }
}
