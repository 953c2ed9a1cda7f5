//! A small client for SMTP (RFC 5321) and LMTP (RFC 2033) that sends exactly what it is told.
//!
//! smtplib repairs line ends and hides what was answered to whom; here every octet and every
//! reply is the test's own. Invariant: a connection that breaks is an error, never a panic, since
//! the kill tests break it all the time.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::world::Account;

/// A server that says nothing for so long will say nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// A reply: its code and all its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) text: String,
}

impl Reply {
    /// 2xx.
    pub(crate) fn accepted(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

/// What became of one message over LMTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// One reply to each recipient.
    Answered(Vec<Reply>),
    /// The connection broke before the end of the message was sent.
    NotSent,
    /// It broke after that, so that some or all recipients may have the message.
    Unknown,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Talk {
    stream: BufReader<TcpStream>,
}

impl Talk {
    /// Connects and reads the greeting.
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        stream.set_nodelay(true)?;
        let mut talk = Self {
            stream: BufReader::new(stream),
        };
        expect(220, &talk.reply()?)?;
        Ok(talk)
    }

    /// Connects to an LMTP server and says LHLO.
    pub(crate) fn lmtp(address: &str) -> io::Result<Self> {
        let mut talk = Self::connect(address)?;
        expect(250, &talk.command("LHLO mx.test.example")?)?;
        Ok(talk)
    }

    /// Connects to a submission server, says EHLO and logs in.
    pub(crate) fn submission(address: &str, account: &Account) -> io::Result<Self> {
        let mut talk = Self::connect(address)?;
        expect(250, &talk.command("EHLO [127.0.0.1]")?)?;
        let reply = talk.authenticate(&account.address, &account.app_password)?;
        expect(235, &reply)?;
        Ok(talk)
    }

    /// AUTH PLAIN (RFC 4616).
    pub(crate) fn authenticate(&mut self, user: &str, password: &str) -> io::Result<Reply> {
        let response = BASE64.encode(format!("\0{user}\0{password}"));
        self.command(&format!("AUTH PLAIN {response}"))
    }

    /// Sends a line and reads the reply.
    pub(crate) fn command(&mut self, line: &str) -> io::Result<Reply> {
        self.send(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// One message in one LMTP transaction. `Err` is a protocol error before DATA.
    pub(crate) fn deliver(&mut self, from: &str, to: &[&str], message: &[u8]) -> io::Result<Fate> {
        match self.begin(from, to) {
            Ok(()) => {}
            Err(error) if is_broken(&error) => return Ok(Fate::NotSent),
            Err(error) => return Err(error),
        }
        let (last, body) = stuffed(message);
        if self.send(&body).is_err() {
            return Ok(Fate::NotSent);
        }
        // The end mark may arrive although the send fails.
        if self.send(last).is_err() {
            return Ok(Fate::Unknown);
        }
        let replies: io::Result<Vec<Reply>> = to.iter().map(|_| self.reply()).collect();
        Ok(replies.map_or(Fate::Unknown, Fate::Answered))
    }

    /// MAIL, RCPT for each, DATA; all must be accepted.
    fn begin(&mut self, from: &str, to: &[&str]) -> io::Result<()> {
        expect(250, &self.command(&format!("MAIL FROM:<{from}>"))?)?;
        for recipient in to {
            expect(250, &self.command(&format!("RCPT TO:<{recipient}>"))?)?;
        }
        expect(354, &self.command("DATA")?)
    }

    /// One message over SMTP, where a message gets one reply for all its recipients.
    pub(crate) fn submit(&mut self, from: &str, to: &[&str], message: &[u8]) -> io::Result<Reply> {
        self.begin(from, to)?;
        let (last, body) = stuffed(message);
        self.send(&body)?;
        self.send(last)?;
        self.reply()
    }

    fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(octets)
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut text = String::new();
        loop {
            let mut line = Vec::new();
            self.stream.read_until(b'\n', &mut line)?;
            let line = String::from_utf8_lossy(&line).into_owned();
            if !line.ends_with("\r\n") {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            text.push_str(line.get(4..).unwrap_or_default());
            text.push('\n');
            if line.as_bytes().get(3) != Some(&b'-') {
                let code = line.get(..3).and_then(|code| code.parse().ok());
                let code = code.ok_or_else(|| io::Error::other(format!("no reply: {line}")))?;
                return Ok(Reply { code, text });
            }
        }
    }
}

/// Takes a message in over LMTP for one recipient; anything but acceptance is a failure.
pub(crate) fn deliver(lmtp: &str, to: &str, message: &[u8]) {
    let mut talk = Talk::lmtp(lmtp).expect("connect to LMTP");
    let fate = talk.deliver("sender@elsewhere.example", &[to], message);
    match fate.expect("the LMTP dialogue") {
        Fate::Answered(replies) if replies.iter().all(Reply::accepted) => {}
        other => panic!("LMTP did not take the message: {other:?}"),
    }
}

/// Dot-stuffed (RFC 5321 4.5.2), and the end mark. The message must end with CRLF.
fn stuffed(message: &[u8]) -> (&'static [u8], Vec<u8>) {
    assert!(message.ends_with(b"\r\n"), "DATA consists of whole lines");
    let mut body = Vec::with_capacity(message.len() + 16);
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line.first() == Some(&b'.') {
            body.push(b'.');
        }
        body.extend_from_slice(line);
    }
    (b".\r\n", body)
}

fn expect(code: u16, reply: &Reply) -> io::Result<()> {
    if reply.code == code {
        return Ok(());
    }
    Err(io::Error::other(format!("expected {code}: {reply:?}")))
}

fn is_broken(error: &io::Error) -> bool {
    error.kind() != ErrorKind::Other
}
