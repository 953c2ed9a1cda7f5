//! An IMAP client that does little, so that what is timed is the server.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_mins(10);
/// Octets read at once.
const BUFFER: usize = 256 * 1024;

/// Where a server listens and who logs in.
#[derive(Debug, Clone)]
pub struct Door {
    /// Its address.
    pub address: SocketAddr,
    /// Who.
    pub user: String,
    /// With what.
    pub password: String,
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    tag: u32,
    line: Vec<u8>,
    literal: Vec<u8>,
    /// What the server announces after log-in.
    pub capabilities: BTreeSet<String>,
}

/// What a command brought.
#[derive(Debug, Default, Clone)]
pub struct Answer {
    /// Untagged FETCH responses.
    pub fetches: usize,
    /// Octets read.
    pub octets: usize,
    /// The tagged response, without its tag.
    pub tagged: String,
}

impl Client {
    /// Connects and logs in.
    ///
    /// # Errors
    /// The connection, or a refusal.
    pub fn log_in(door: &Door) -> Result<Self> {
        let stream = TcpStream::connect(door.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        let mut client = Self {
            reader: BufReader::with_capacity(BUFFER, stream.try_clone()?),
            writer: stream,
            tag: 0,
            line: Vec::new(),
            literal: Vec::new(),
            capabilities: BTreeSet::new(),
        };
        client.read_response()?;
        client.run(&format!("LOGIN \"{}\" \"{}\"", door.user, door.password))?;
        let mut capabilities = String::new();
        client.each("CAPABILITY", |line, _| {
            capabilities = String::from_utf8_lossy(line).to_uppercase();
        })?;
        let names = capabilities.split_whitespace().skip(2);
        client.capabilities = names.map(str::to_owned).collect();
        Ok(client)
    }

    /// Runs a command whose untagged responses do not matter.
    ///
    /// # Errors
    /// The connection, or any tagged response but `OK`.
    pub fn run(&mut self, command: &str) -> Result<Answer> {
        self.each(command, |_, _| ())
    }

    /// Runs a command; `each` sees every untagged response and its last literal.
    ///
    /// # Errors
    /// The connection, or any tagged response but `OK`.
    pub fn each(&mut self, command: &str, each: impl FnMut(&[u8], &[u8])) -> Result<Answer> {
        let tag = self.send(command)?;
        self.finish(&tag, each)
    }

    /// Sends a command and gives its tag.
    ///
    /// # Errors
    /// The connection.
    pub fn send(&mut self, command: &str) -> Result<String> {
        self.tag += 1;
        let tag = format!("T{}", self.tag);
        self.write(format!("{tag} {command}\r\n").as_bytes())?;
        Ok(tag)
    }

    /// Reads until the tagged response.
    ///
    /// # Errors
    /// The connection, or any tagged response but `OK`.
    pub fn finish(&mut self, tag: &str, mut each: impl FnMut(&[u8], &[u8])) -> Result<Answer> {
        let mut answer = Answer::default();
        loop {
            answer.octets += self.read_response()?;
            if let Some(rest) = self.line.strip_prefix(tag.as_bytes()) {
                let text = String::from_utf8_lossy(rest);
                text.trim().clone_into(&mut answer.tagged);
                if !answer.tagged.starts_with("OK") {
                    bail!("{}", answer.tagged);
                }
                return Ok(answer);
            }
            let head = self.line.get(..self.line.len().min(40)).unwrap_or_default();
            if memchr::memmem::find(head, b" FETCH (").is_some() {
                answer.fetches += 1;
            }
            each(&self.line, &self.literal);
        }
    }

    /// APPEND with a literal that does not wait.
    ///
    /// # Errors
    /// The connection, or a refusal.
    pub fn append(&mut self, mailbox: &str, flags: &str, message: &[u8]) -> Result<()> {
        self.tag += 1;
        let tag = format!("T{}", self.tag);
        let mut command = format!(
            "{tag} APPEND \"{mailbox}\" ({flags}) {{{}+}}\r\n",
            message.len()
        )
        .into_bytes();
        command.extend_from_slice(message);
        command.extend_from_slice(b"\r\n");
        self.write(&command)?;
        self.finish(&tag, |_, _| ())?;
        Ok(())
    }

    /// APPEND of several messages by one command (RFC 3502).
    ///
    /// # Errors
    /// The connection, or a refusal.
    pub fn append_many(
        &mut self,
        mailbox: &str,
        messages: impl Iterator<Item = Vec<u8>>,
    ) -> Result<()> {
        self.tag += 1;
        let tag = format!("T{}", self.tag);
        let mut command = format!("{tag} APPEND \"{mailbox}\"").into_bytes();
        for message in messages {
            command.extend_from_slice(format!(" () {{{}+}}\r\n", message.len()).as_bytes());
            command.extend_from_slice(&message);
        }
        command.extend_from_slice(b"\r\n");
        self.write(&command)?;
        self.finish(&tag, |_, _| ())?;
        Ok(())
    }

    /// A command that ends with a literal: `head` is all before it.
    ///
    /// # Errors
    /// The connection, or a refusal.
    pub fn with_literal(
        &mut self,
        head: &str,
        literal: &str,
        each: impl FnMut(&[u8], &[u8]),
    ) -> Result<Answer> {
        let tag = self.send(&format!("{head}{{{}+}}\r\n{literal}", literal.len()))?;
        self.finish(&tag, each)
    }

    /// Reads one response line, with what its literals hold; it is in `self.line` then, with the
    /// last literal beside it. Gives the octets read.
    ///
    /// # Errors
    /// The connection.
    pub fn read_response(&mut self) -> Result<usize> {
        self.line.clear();
        self.literal.clear();
        let mut octets = 0;
        loop {
            let read = self.reader.read_until(b'\n', &mut self.line)?;
            if read == 0 {
                bail!("the server closed the connection");
            }
            octets += read;
            let Some(length) = literal_length(&self.line) else {
                return Ok(octets);
            };
            self.literal.resize(length, 0);
            self.reader.read_exact(&mut self.literal)?;
            octets += length;
        }
    }

    /// The line that was read last.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// Writes octets as they are.
    ///
    /// # Errors
    /// The connection.
    pub fn write(&mut self, octets: &[u8]) -> Result<()> {
        self.writer
            .write_all(octets)
            .context("writing to the server")
    }
}

/// `{123}` at the end of a line.
fn literal_length(line: &[u8]) -> Option<usize> {
    let head = line.strip_suffix(b"}\r\n")?;
    let open = memchr::memrchr(b'{', head)?;
    std::str::from_utf8(head.get(open + 1..)?)
        .ok()?
        .parse()
        .ok()
}
