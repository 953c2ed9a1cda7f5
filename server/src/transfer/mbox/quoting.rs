//! `>From ` quoting of lines (RFC 4155, and the variants mboxo, mboxrd and mboxcl).
//!
//! Invariant: fed in pieces of any size the result is the same, and nothing but a count is kept
//! between them: a line may begin with any number of `>`. For [`Quotes::Every`],
//! `unquote(quote(x)) == x` for every `x`; for [`Quotes::First`] it is so unless a line of `x`
//! begins with `>From `.

/// The word that a separator begins with.
pub(super) const FROM: &[u8] = b"From ";

/// Which lines are quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quotes {
    /// None: mboxcl2, and whatever is no mbox.
    #[default]
    None,
    /// Those that begin with `From `: mboxo and mboxcl. What was quoted before cannot be told
    /// from what was not.
    First,
    /// Those that begin with any number of `>` and `From `: mboxrd.
    Every,
}

/// Quotes or unquotes, piece by piece.
#[derive(Debug, Clone)]
pub(super) struct Quoting {
    quotes: Quotes,
    direction: Direction,
    state: State,
    seen_quoted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Quote,
    Unquote,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// At the beginning of a line: so many `>`, then so many octets of `From `, held back.
    Beginning {
        marks: usize,
        matched: usize,
    },
    Within,
}

const LINE_START: State = State::Beginning {
    marks: 0,
    matched: 0,
};

impl Quoting {
    pub(super) const fn new(quotes: Quotes, direction: Direction) -> Self {
        Self {
            quotes,
            direction,
            state: LINE_START,
            seen_quoted: false,
        }
    }

    /// Whether a line began with `>From `; not looked for with [`Quotes::None`].
    pub(super) const fn has_seen_quoted(&self) -> bool {
        self.seen_quoted
    }

    /// Takes the next octets.
    pub(super) fn feed(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        if self.quotes == Quotes::None {
            out.extend_from_slice(octets);
            return;
        }
        let mut rest = octets;
        while let Some((&octet, after)) = rest.split_first() {
            match self.state {
                State::Within => {
                    let line = memchr(rest).map_or(rest.len(), |at| at.saturating_add(1));
                    let (line, after) = rest.split_at_checked(line).unwrap_or((rest, &[]));
                    out.extend_from_slice(line);
                    if line.ends_with(b"\n") {
                        self.state = LINE_START;
                    }
                    rest = after;
                }
                State::Beginning { marks, matched: 0 } if octet == b'>' => {
                    self.state = State::Beginning {
                        marks: marks.saturating_add(1),
                        matched: 0,
                    };
                    rest = after;
                }
                State::Beginning { marks, matched } if FROM.get(matched) == Some(&octet) => {
                    let matched = matched.saturating_add(1);
                    self.state = State::Beginning { marks, matched };
                    if matched == FROM.len() {
                        self.release(out);
                    }
                    rest = after;
                }
                // The octet itself is looked at again, within the line.
                State::Beginning { .. } => self.release(out),
            }
        }
    }

    /// Ends the message.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.quotes != Quotes::None {
            self.release(out);
        }
        self.state = LINE_START;
    }

    /// Writes what was held back.
    fn release(&mut self, out: &mut Vec<u8>) {
        let State::Beginning { marks, matched } = self.state else {
            return;
        };
        let is_from = matched == FROM.len();
        self.seen_quoted |= is_from && marks == 1;
        let written = match (self.direction, self.quotes) {
            (Direction::Quote, Quotes::Every) if is_from => marks.saturating_add(1),
            (Direction::Quote, Quotes::First) if is_from && marks == 0 => 1,
            (Direction::Unquote, Quotes::Every) if is_from => marks.saturating_sub(1),
            (Direction::Unquote, Quotes::First) if is_from && marks == 1 => 0,
            _ => marks,
        };
        out.extend(std::iter::repeat_n(b'>', written));
        out.extend_from_slice(FROM.get(..matched).unwrap_or_default());
        self.state = State::Within;
    }
}

fn memchr(octets: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(quotes: Quotes, direction: Direction, octets: &[u8], piece: usize) -> Vec<u8> {
        let mut quoting = Quoting::new(quotes, direction);
        let mut out = Vec::new();
        for piece in octets.chunks(piece.max(1)) {
            quoting.feed(piece, &mut out);
        }
        quoting.finish(&mut out);
        out
    }

    #[test]
    fn each_variant_quotes_its_lines() {
        let text = b"From a\n>From b\n>>From c\nFromage\n From d\n>Fro\n>";
        for (quotes, quoted) in [
            (Quotes::None, &text[..]),
            (
                Quotes::First,
                b">From a\n>From b\n>>From c\nFromage\n From d\n>Fro\n>",
            ),
            (
                Quotes::Every,
                b">From a\n>>From b\n>>>From c\nFromage\n From d\n>Fro\n>",
            ),
        ] {
            for piece in 1..12 {
                assert_eq!(run(quotes, Direction::Quote, text, piece), quoted);
            }
        }
        let back = run(Quotes::First, Direction::Unquote, b">From a\n>>From c\n", 3);
        assert_eq!(back, b"From a\n>>From c\n");
    }

    proptest! {
        #[test]
        fn every_line_comes_back(
            lines in prop::collection::vec("(>{0,3}(From |Fro|)?[a\r\0]{0,3}\n?)", 0..20),
            piece in 1_usize..9,
        ) {
            let text = lines.concat().into_bytes();
            let quoted = run(Quotes::Every, Direction::Quote, &text, piece);
            let separators = quoted
                .split(|octet| *octet == b'\n')
                .filter(|line| line.starts_with(FROM));
            prop_assert_eq!(separators.count(), 0);
            prop_assert_eq!(run(Quotes::Every, Direction::Unquote, &quoted, piece), text);
        }
    }
}
