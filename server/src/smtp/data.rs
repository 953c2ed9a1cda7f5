//! The message after `DATA` (RFC 5321 4.1.1.4) and its transparency (4.5.2).
//!
//! Invariant: CRLF.CRLF and nothing else ends the message. A bare CR or LF makes it a rejected
//! one, but it is still read up to its true end, so that nothing in it is ever taken for a
//! command (SMTP smuggling). Octets of the message are zeroized wherever they lay.
//! Rejected: answering at the first bare LF and closing; the peer is still writing, and the reset
//! of the connection hides the reason from it.

use core::fmt;

use zeroize::Zeroize;

/// First allocation for a message, in octets.
const FIRST_OCTETS: usize = 16 * 1024;

/// A message in memory: zeroized when dropped, never shown by `Debug`.
#[derive(Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// The octets, dots unstuffed, with the CRLF of the last line.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Appends; what the old allocation held is zeroized when the buffer has to grow, which
    /// `Vec` by itself would not do.
    fn extend(&mut self, octets: &[u8]) {
        let needed = self.0.len().saturating_add(octets.len());
        if needed > self.0.capacity() {
            let room = needed
                .max(self.0.capacity().saturating_mul(2))
                .max(FIRST_OCTETS);
            let mut grown = Vec::with_capacity(room);
            grown.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = grown;
        }
        self.0.extend_from_slice(octets);
    }
}

impl From<&[u8]> for Message {
    fn from(octets: &[u8]) -> Self {
        Self(octets.to_vec())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} octets)", self.0.len())
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Why a message that was read to its end is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// A CR without LF or a LF without CR.
    #[error("a line ends with a bare CR or LF")]
    BareLineEnd,
    /// Over the limit.
    #[error("the message is too large")]
    TooLarge,
}

/// Where the next octet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    /// After the first dot of a line.
    Dot,
    /// After a dot that began a line, and CR.
    DotCr,
    Middle,
    /// After CR.
    Cr,
}

/// How far a [`DataDecoder::feed`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All octets are taken and the message goes on.
    More,
    /// The message is over; so many of the octets given belong to it.
    Done(usize),
}

/// Reads a message piece by piece.
#[derive(Debug)]
pub struct DataDecoder {
    at: At,
    message: Message,
    error: Option<DataError>,
    max_octets: usize,
}

impl DataDecoder {
    /// For a message of at most `max_octets`.
    pub fn new(max_octets: usize) -> Self {
        Self {
            at: At::LineStart,
            message: Message::default(),
            error: None,
            max_octets,
        }
    }

    /// Takes octets as they come, in pieces of any size.
    pub fn feed(&mut self, octets: &[u8]) -> Progress {
        let mut rest = octets;
        while let Some((&octet, after)) = rest.split_first() {
            rest = match (self.at, octet) {
                (At::LineStart, b'.') => self.go(At::Dot, after),
                (At::LineStart | At::Middle, b'\r') => self.go(At::Cr, after),
                (At::LineStart | At::Middle, b'\n') => self.bare(after),
                (At::LineStart | At::Middle, _) => self.run(rest),
                (At::Dot, b'\r') => self.go(At::DotCr, after),
                // The dot was stuffing; this octet is the line's first.
                (At::Dot, _) => self.go(At::Middle, rest),
                (At::DotCr, b'\n') => {
                    return Progress::Done(octets.len().saturating_sub(after.len()));
                }
                (At::Cr, b'\n') => {
                    self.store(b"\r\n");
                    self.go(At::LineStart, after)
                }
                // A bare CR: the octet after it does not begin a line.
                (At::Cr | At::DotCr, _) => self.bare(rest),
            };
        }
        Progress::More
    }

    /// The message; call after [`Progress::Done`].
    pub fn finish(self) -> Result<Message, DataError> {
        match self.error {
            None => Ok(self.message),
            Some(error) => Err(error),
        }
    }

    fn go<'a>(&mut self, at: At, rest: &'a [u8]) -> &'a [u8] {
        self.at = at;
        rest
    }

    fn bare<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        self.fail(DataError::BareLineEnd);
        self.go(At::Middle, rest)
    }

    /// Takes all up to the next CR or LF.
    fn run<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let end = rest
            .iter()
            .position(|octet| matches!(octet, b'\r' | b'\n'))
            .unwrap_or(rest.len());
        let (line, rest) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        self.store(line);
        self.go(At::Middle, rest)
    }

    fn store(&mut self, octets: &[u8]) {
        let len = self.message.0.len().saturating_add(octets.len());
        if len > self.max_octets {
            self.fail(DataError::TooLarge);
        } else if self.error.is_none() {
            self.message.extend(octets);
        }
    }

    /// Remembers the first error and forgets the message.
    fn fail(&mut self, error: DataError) {
        if self.error.is_none() {
            self.error = Some(error);
            self.message = Message::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes in every split into two pieces; all must agree.
    fn decode(octets: &[u8], max: usize) -> (Progress, Result<Vec<u8>, DataError>) {
        let mut results = (0..=octets.len()).map(|split| {
            let mut decoder = DataDecoder::new(max);
            let mut progress = decoder.feed(&octets[..split]);
            if progress == Progress::More {
                progress = match decoder.feed(&octets[split..]) {
                    Progress::Done(taken) => Progress::Done(taken + split),
                    Progress::More => Progress::More,
                };
            }
            (progress, decoder.finish().map(|m| m.as_bytes().to_vec()))
        });
        let first = results.next().unwrap();
        assert!(results.all(|result| result == first));
        first
    }

    #[test]
    fn dots_are_unstuffed() {
        let check = |octets: &[u8], expected: &[u8]| {
            let (progress, message) = decode(octets, 1000);
            assert_eq!(progress, Progress::Done(octets.len()));
            assert_eq!(message.unwrap(), expected);
        };
        check(b".\r\n", b"");
        check(b"a\r\n.\r\n", b"a\r\n");
        check(b"a\r\n..\r\n.\r\n", b"a\r\n.\r\n");
        check(b"..a\r\n.b\r\n.\r\n", b".a\r\nb\r\n");
        check(b"\r\n.\r\n", b"\r\n");
        check(b"a\0\xff\r\n.\r\n", b"a\0\xff\r\n");
    }

    #[test]
    fn what_follows_the_end_is_left() {
        let (progress, _) = decode(b"a\r\n.\r\nQUIT\r\n", 1000);
        assert_eq!(progress, Progress::Done(6));
    }

    #[test]
    fn only_crlf_dot_crlf_ends() {
        for false_end in [
            "\n.\n",
            "\n.\r\n",
            "\r\n.\n",
            "\r.\r",
            "\r\n.\r",
            "\r.\r\n",
            "\n.\r",
            "\r\r\n.\r\r\n",
            "\r\n.\r\r\n",
            "\n\n.\r\n",
        ] {
            let octets = format!("a{false_end}MAIL FROM:<evil@x>\r\n.\r\n");
            let (progress, message) = decode(octets.as_bytes(), 1000);
            assert_eq!(progress, Progress::Done(octets.len()), "{false_end:?}");
            assert_eq!(message, Err(DataError::BareLineEnd), "{false_end:?}");
        }
    }

    #[test]
    fn the_limit_is_exact_and_the_rest_is_skipped() {
        assert!(decode(b"12345678\r\n.\r\n", 10).1.is_ok());
        let (progress, message) = decode(b"123456789\r\n.\r\n", 10);
        assert_eq!(progress, Progress::Done(14));
        assert_eq!(message, Err(DataError::TooLarge));
    }

    proptest::proptest! {
        #[test]
        fn stuffed_messages_come_back(lines in proptest::collection::vec("[.a\\t]{0,6}", 0..12)) {
            let raw = lines.iter().map(|line| [line, "\r\n"].concat()).collect::<Vec<_>>().concat();
            let stuffed = raw.replace("\n.", "\n..");
            let stuffed = if stuffed.starts_with('.') { format!(".{stuffed}") } else { stuffed };
            let (_, message) = decode(format!("{stuffed}.\r\n").as_bytes(), 1000);
            assert_eq!(message.unwrap(), raw.as_bytes());
        }
    }
}
