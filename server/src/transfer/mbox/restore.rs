//! From the octets of a message as they stand in an mbox to the message, piece by piece.

use super::quoting::{Direction, Quotes, Quoting};

/// What makes the message of the octets that stand in the file. The default changes nothing.
#[derive(Debug, Clone)]
pub struct Restore {
    unquoting: Quoting,
    line_ends: LineEnds,
    /// The last octet was CR.
    after_cr: bool,
    scratch: Vec<u8>,
}

/// How the lines of a message end where it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineEnds {
    /// As in the message.
    #[default]
    Kept,
    /// Each LF stands for CR LF.
    Shortened,
    /// A LF stands for CR LF unless it has its CR: what a person may ask for when a message was
    /// kept by a system that writes LF.
    Bare,
}

impl Default for Restore {
    fn default() -> Self {
        Self::new(Quotes::None, LineEnds::Kept)
    }
}

impl Restore {
    /// For a message that was quoted and whose line ends were shortened so.
    pub fn new(quotes: Quotes, line_ends: LineEnds) -> Self {
        Self {
            unquoting: Quoting::new(quotes, Direction::Unquote),
            line_ends,
            after_cr: false,
            scratch: Vec::new(),
        }
    }

    /// Takes the next octets of the file.
    pub fn feed(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        match self.line_ends {
            LineEnds::Kept => self.unquoting.feed(octets, out),
            LineEnds::Shortened => {
                self.scratch.clear();
                self.unquoting.feed(octets, &mut self.scratch);
                lengthen(&self.scratch, out);
            }
            LineEnds::Bare => {
                self.scratch.clear();
                self.unquoting.feed(octets, &mut self.scratch);
                for octet in &self.scratch {
                    if *octet == b'\n' && !self.after_cr {
                        out.push(b'\r');
                    }
                    self.after_cr = *octet == b'\r';
                    out.push(*octet);
                }
            }
        }
    }

    /// Ends the message.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        // What is held back has no line end.
        self.unquoting.finish(out);
    }
}

/// Writes CR LF for each LF.
pub(super) fn lengthen(octets: &[u8], out: &mut Vec<u8>) {
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => {
                out.extend_from_slice(line);
                out.extend_from_slice(b"\r\n");
            }
            None => out.extend_from_slice(line),
        }
    }
}

/// The message with LF for CR LF, if every LF of it follows a CR, so that it can be undone.
pub(super) fn shorten(message: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(message.len());
    let mut shortened = false;
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if let Some(line) = line.strip_suffix(b"\r\n") {
            out.extend_from_slice(line);
            out.push(b'\n');
            shortened = true;
        } else if line.ends_with(b"\n") {
            return None;
        } else {
            out.extend_from_slice(line);
        }
    }
    shortened.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_can_be_undone_is_shortened() {
        assert_eq!(shorten(b"a\r\nb\r\n").as_deref(), Some(&b"a\nb\n"[..]));
        assert_eq!(shorten(b"a\r\r\nb").as_deref(), Some(&b"a\r\nb"[..]));
        for kept in [&b""[..], b"a", b"a\nb\r\n", b"\r"] {
            assert_eq!(shorten(kept), None);
        }
    }

    #[test]
    fn bare_line_feeds_get_their_cr_wherever_pieces_end() {
        for piece in 1..6 {
            let mut restore = Restore::new(Quotes::None, LineEnds::Bare);
            let mut out = Vec::new();
            for piece in b"a\nb\r\n\n\rc\n".chunks(piece) {
                restore.feed(piece, &mut out);
            }
            restore.finish(&mut out);
            assert_eq!(out, b"a\r\nb\r\n\r\n\rc\r\n");
        }
    }

    proptest! {
        #[test]
        fn shortened_lines_come_back(message in "[a\r\n>]{0,30}") {
            if let Some(short) = shorten(message.as_bytes()) {
                let mut back = Vec::new();
                lengthen(&short, &mut back);
                prop_assert_eq!(back, message.into_bytes());
            }
        }
    }
}
