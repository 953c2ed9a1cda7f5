//! A small IMAP client (RFC 9051) that keeps literals as the octets they are.
//!
//! imaplib and the mail programs are used where their behaviour is the point; this one is for
//! looking: what is in a mailbox, under which UID, byte for byte.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::world::{Account, DEADLINE, World, poll};

/// A server that says nothing for so long will say nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// One response line; a literal leaves its `{n}` in the text and its octets beside it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Response {
    pub(crate) text: String,
    pub(crate) literals: Vec<Vec<u8>>,
}

/// What came of a command.
#[derive(Debug, Clone)]
pub(crate) struct Completion {
    /// From the status word on: `OK [READ-WRITE] ...`.
    pub(crate) status: String,
    pub(crate) untagged: Vec<Response>,
}

/// One message as FETCH shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Summary {
    pub(crate) uid: u32,
    pub(crate) subject: String,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Imap {
    stream: BufReader<TcpStream>,
    tag: u32,
}

impl Imap {
    /// Connects and reads the greeting.
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_nodelay(true)?;
        let mut imap = Self {
            stream: BufReader::new(stream),
            tag: 0,
        };
        let greeting = imap.response()?;
        if greeting.text.starts_with("* OK") {
            return Ok(imap);
        }
        Err(io::Error::other(format!("greeting: {}", greeting.text)))
    }

    /// Connects and logs in.
    pub(crate) fn log_in(world: &World, account: &Account) -> Self {
        let mut imap = Self::connect(&world.ready().imap).expect("connect to IMAP");
        let completion = imap.try_log_in(&account.address, &account.app_password);
        let status = completion.expect("LOGIN is answered").status;
        assert!(status.starts_with("OK"), "LOGIN: {status}");
        imap
    }

    /// Connects, logs in and selects INBOX.
    pub(crate) fn inbox(world: &World, account: &Account) -> Self {
        let mut imap = Self::log_in(world, account);
        imap.ok("SELECT INBOX");
        imap
    }

    /// LOGIN, whatever comes of it.
    pub(crate) fn try_log_in(&mut self, user: &str, password: &str) -> io::Result<Completion> {
        self.command(&format!("LOGIN \"{user}\" \"{password}\""))
    }

    /// Sends a command and reads up to its completion.
    pub(crate) fn command(&mut self, line: &str) -> io::Result<Completion> {
        let tag = self.send(line)?;
        self.completion(&tag)
    }

    /// A command that must succeed.
    pub(crate) fn ok(&mut self, line: &str) -> Completion {
        let completion = self.command(line).expect("the command is answered");
        assert!(
            completion.status.starts_with("OK"),
            "{line}: {}",
            completion.status
        );
        completion
    }

    /// Sends a command and does not wait; returns its tag.
    pub(crate) fn send(&mut self, line: &str) -> io::Result<String> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        let stream = self.stream.get_mut();
        stream.write_all(format!("{tag} {line}\r\n").as_bytes())?;
        Ok(tag)
    }

    /// Reads up to the completion of a sent command.
    pub(crate) fn completion(&mut self, tag: &str) -> io::Result<Completion> {
        let mut untagged = Vec::new();
        loop {
            let response = self.response()?;
            match response.text.strip_prefix(&format!("{tag} ")) {
                Some(status) => {
                    let status = status.to_owned();
                    return Ok(Completion { status, untagged });
                }
                None => untagged.push(response),
            }
        }
    }

    /// APPEND with a synchronising literal.
    pub(crate) fn append(&mut self, mailbox: &str, flags: &str, message: &[u8]) -> Completion {
        let line = format!("APPEND {mailbox} ({flags}) {{{}}}", message.len());
        let tag = self.send(&line).expect("send APPEND");
        let invitation = self.response().expect("APPEND is answered");
        assert!(invitation.text.starts_with('+'), "{}", invitation.text);
        let stream = self.stream.get_mut();
        stream.write_all(message).expect("send the literal");
        stream.write_all(b"\r\n").expect("end the command");
        let completion = self.completion(&tag).expect("APPEND completes");
        assert!(completion.status.starts_with("OK"), "{}", completion.status);
        completion
    }

    /// One response; lines and literals as they come.
    pub(crate) fn response(&mut self) -> io::Result<Response> {
        let mut response = Response::default();
        loop {
            let mut line = Vec::new();
            self.stream.read_until(b'\n', &mut line)?;
            let Some(line) = line.strip_suffix(b"\r\n") else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            response.text.push_str(&String::from_utf8_lossy(line));
            let Some(length) = literal_length(line) else {
                return Ok(response);
            };
            let mut literal = vec![0; length];
            self.stream.read_exact(&mut literal)?;
            response.literals.push(literal);
        }
    }

    /// All UIDs of the selected mailbox, in the order in which the server gives them.
    pub(crate) fn uids(&mut self) -> Vec<u32> {
        let untagged = self.ok("UID FETCH 1:* (UID)").untagged;
        untagged
            .iter()
            .filter_map(|line| uid_of(&line.text))
            .collect()
    }

    /// UID and subject (raw, one line) of all messages of the selected mailbox.
    pub(crate) fn summaries(&mut self) -> Vec<Summary> {
        let completion = self.ok("UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
        let summary = |response: &Response| {
            let field = String::from_utf8_lossy(response.literals.first()?).into_owned();
            let value = field.trim().split_once(':').map_or("", |(_, value)| value);
            Some(Summary {
                uid: uid_of(&response.text)?,
                subject: value.trim().to_owned(),
            })
        };
        completion.untagged.iter().filter_map(summary).collect()
    }

    /// The whole message under a UID.
    pub(crate) fn message(&mut self, uid: u32) -> Vec<u8> {
        let completion = self.ok(&format!("UID FETCH {uid} (UID BODY.PEEK[])"));
        let found = completion
            .untagged
            .into_iter()
            .filter(|response| uid_of(&response.text) == Some(uid))
            .find_map(|response| response.literals.into_iter().next());
        found.expect("the message under this UID")
    }

    /// The flags under a UID, as FETCH writes them.
    pub(crate) fn flags(&mut self, uid: u32) -> String {
        let completion = self.ok(&format!("UID FETCH {uid} (UID FLAGS)"));
        let found = completion
            .untagged
            .iter()
            .filter(|response| uid_of(&response.text) == Some(uid))
            .find_map(|response| between(&response.text, "FLAGS (", ")"));
        found.expect("the flags under this UID").to_owned()
    }

    /// Waits until a message with this subject is in the selected mailbox.
    pub(crate) fn wait_for(&mut self, subject: &str) -> u32 {
        poll(&format!("`{subject}` arrives"), DEADLINE, || {
            self.ok("NOOP");
            let all = self.summaries();
            all.iter()
                .find(|summary| summary.subject == subject)
                .map(|summary| summary.uid)
        })
    }

    /// UIDVALIDITY of INBOX, which becomes selected.
    pub(crate) fn uid_validity(&mut self) -> u32 {
        let completion = self.ok("SELECT INBOX");
        let value = completion
            .untagged
            .iter()
            .find_map(|response| between(&response.text, "[UIDVALIDITY ", "]"));
        value
            .and_then(|value| value.parse().ok())
            .expect("SELECT tells UIDVALIDITY")
    }
}

/// `... {123}` at the end of a line.
fn literal_length(line: &[u8]) -> Option<usize> {
    let text = str::from_utf8(line.strip_suffix(b"}")?).ok()?;
    text.rsplit_once('{')?.1.parse().ok()
}

fn uid_of(text: &str) -> Option<u32> {
    if !text.contains(" FETCH (") {
        return None;
    }
    let rest = text.split_once("UID ")?.1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// What stands between two marks.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}
