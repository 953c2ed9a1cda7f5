//! One HTTP/1.1 exchange on a connection of its own (RFC 9112).
//!
//! Enough for a `WebDriver` server and for one look at the provider's API, both on this machine.
//! Rejected: reqwest, which brings an async runtime into tests that have nothing to do meanwhile.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::imap::between;

/// A browser that starts on a busy machine takes the longest.
const SILENCE: Duration = Duration::from_mins(1);

/// A status code and a body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Asks `http://host:port/path`, with a JSON body if there is one.
pub(crate) fn exchange(method: &str, url: &str, body: Option<&str>) -> io::Result<Answer> {
    let malformed = || io::Error::other(format!("not an http URL or answer: {url}"));
    let rest = url.strip_prefix("http://").ok_or_else(malformed)?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(SILENCE))?;
    let content = body.unwrap_or_default();
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\
         Content-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\r\n{content}",
        content.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut stream = BufReader::new(stream);
    let mut header = String::new();
    while !header.ends_with("\r\n\r\n") {
        if stream.read_line(&mut header)? == 0 {
            return Err(malformed());
        }
    }
    let header = header.to_lowercase();
    let status = header
        .split_whitespace()
        .nth(1)
        .and_then(|code| code.parse().ok());
    // Not until the end of the connection: ChromeDriver keeps it open whatever it was asked.
    let length = between(&header, "\r\ncontent-length:", "\r\n");
    let length = length.and_then(|length| length.trim().parse().ok());
    let mut body = vec![0; length.ok_or_else(malformed)?];
    stream.read_exact(&mut body)?;
    Ok(Answer {
        status: status.ok_or_else(malformed)?,
        body,
    })
}

/// The body of a GET that must succeed.
pub(crate) fn get(url: &str) -> Vec<u8> {
    let answer = exchange("GET", url, None).unwrap_or_else(|error| panic!("{url}: {error}"));
    assert_eq!(answer.status, 200, "{url}");
    answer.body
}
