//! One HTTP/1.1 exchange on a connection of its own (RFC 9112).
//!
//! Enough for a `WebDriver` server and for one look at the provider's API, both on this machine.
//! Rejected: reqwest, which brings an async runtime into tests that have nothing to do meanwhile.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

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
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets)?;
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n");
    let (header, body) = octets.split_at(end.ok_or_else(malformed)? + 4);
    let header = String::from_utf8_lossy(header).to_lowercase();
    let status = header
        .split_whitespace()
        .nth(1)
        .and_then(|code| code.parse().ok());
    assert!(
        !header.contains("\r\ntransfer-encoding:"),
        "chunked answers are not read here"
    );
    Ok(Answer {
        status: status.ok_or_else(malformed)?,
        body: body.to_vec(),
    })
}

/// The body of a GET that must succeed.
pub(crate) fn get(url: &str) -> Vec<u8> {
    let answer = exchange("GET", url, None).unwrap_or_else(|error| panic!("{url}: {error}"));
    assert_eq!(answer.status, 200, "{url}");
    answer.body
}
