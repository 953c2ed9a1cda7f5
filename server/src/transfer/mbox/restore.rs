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

/// Writes LF for CR LF, piece by piece, and notices whether that can be undone.
#[derive(Debug, Default)]
pub(super) struct Shorten {
    /// The last octet was CR: what becomes of it depends on the next.
    held: bool,
    shortened: bool,
    bare: bool,
}

impl Shorten {
    /// Takes the next octets of the message.
    pub(super) fn feed(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            if std::mem::take(&mut self.held) {
                if line == b"\n" {
                    out.push(b'\n');
                    self.shortened = true;
                    continue;
                }
                out.push(b'\r');
            }
            if let Some(line) = line.strip_suffix(b"\r\n") {
                out.extend_from_slice(line);
                out.push(b'\n');
                self.shortened = true;
            } else if let Some(line) = line.strip_suffix(b"\r") {
                out.extend_from_slice(line);
                self.held = true;
            } else {
                out.extend_from_slice(line);
                self.bare |= line.ends_with(b"\n");
            }
        }
    }

    /// Ends the message.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.held) {
            out.push(b'\r');
        }
    }

    /// Whether anything got shorter and [`lengthen`] brings all of it back: every LF had its CR.
    pub(super) const fn is_reversible(&self) -> bool {
        self.shortened && !self.bare
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shorten(message: &[u8], piece: usize) -> Option<Vec<u8>> {
        let mut shorten = Shorten::default();
        let mut out = Vec::new();
        for piece in message.chunks(piece) {
            shorten.feed(piece, &mut out);
        }
        shorten.finish(&mut out);
        shorten.is_reversible().then_some(out)
    }

    #[test]
    fn only_what_can_be_undone_is_shortened() {
        for piece in 1..6 {
            for (long, short) in [
                (&b"a\r\nb\r\n"[..], Some(&b"a\nb\n"[..])),
                (b"a\r\r\nb", Some(b"a\r\nb")),
                (b"\r\n\r", Some(b"\n\r")),
                (b"", None),
                (b"a", None),
                (b"a\nb\r\n", None),
                (b"\r", None),
            ] {
                assert_eq!(shorten(long, piece).as_deref(), short);
            }
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
        fn shortened_lines_come_back(message in "[a\r\n>]{0,30}", piece in 1_usize..9) {
            if let Some(short) = shorten(message.as_bytes(), piece) {
                let mut back = Vec::new();
                lengthen(&short, &mut back);
                prop_assert_eq!(back, message.into_bytes());
            }
        }
    }
}
