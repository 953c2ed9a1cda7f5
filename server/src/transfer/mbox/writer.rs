//! Messages into an mbox, piece by piece.
//!
//! What stands before a message depends on all of it (its length, whether its line ends can be
//! shortened), so a message is gone through twice: [`Measure`] looks, [`Measured::begin`] writes.
//! Rejected: writing the fields with room for what is known later; their length would then depend
//! on how long a message may become, and a crash in between would leave fields that lie.

use std::io::{self, Write};

use letterlock_core::id::Timestamp;
use letterlock_core::model::FlagSet;

use super::added::Added;
use super::dialect::Dialect;
use super::from_line;
use super::quoting::{Direction, Quotes, Quoting};
use super::restore::{LineEnds, Shorten};
use super::status::fields_for;

/// What is written of a message besides its octets.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// Its flags and keywords.
    pub flags: &'a FlagSet,
    /// Its INTERNALDATE.
    pub date: Timestamp,
    /// Who sent it, for the separator.
    pub sender: Option<&'a str>,
}

/// Looks at a message.
#[derive(Debug)]
pub struct Measure {
    dialect: Dialect,
    shorten: Shorten,
    /// As it would stand there with short line ends, and with its own.
    short: Form,
    whole: Form,
    scratch: Vec<u8>,
}

/// What a message in the file would be.
#[derive(Debug)]
struct Form {
    quoting: Quoting,
    tally: Tally,
    scratch: Vec<u8>,
}

/// What was counted of octets in the file.
#[derive(Debug, Default)]
struct Tally {
    length: u64,
    /// Octets up to the end of the empty line that ends the header.
    header: Option<u64>,
    /// The first octets of the line at hand, as many as tell whether it is empty.
    line: Vec<u8>,
    ends_line: bool,
}

/// A message that was looked at.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    dialect: Dialect,
    line_ends: LineEnds,
    length: u64,
    body: Option<u64>,
    open: bool,
    has_quoted: bool,
}

/// A message of which the separator and the fields are written.
#[derive(Debug)]
pub struct Begun {
    shorten: Option<Shorten>,
    quoting: Quoting,
    open: bool,
    short: Vec<u8>,
    quoted: Vec<u8>,
}

impl Measure {
    /// For this dialect.
    pub fn new(dialect: Dialect) -> Self {
        let form = || Form {
            quoting: Quoting::new(dialect.quotes(), Direction::Quote),
            tally: Tally::default(),
            scratch: Vec::new(),
        };
        Self {
            dialect,
            shorten: Shorten::default(),
            short: form(),
            whole: form(),
            scratch: Vec::new(),
        }
    }

    /// Takes the next octets of the message.
    pub fn feed(&mut self, octets: &[u8]) {
        self.whole.feed(octets);
        self.scratch.clear();
        self.shorten.feed(octets, &mut self.scratch);
        self.short.feed(&self.scratch);
    }

    /// Ends the message.
    pub fn finish(mut self) -> Measured {
        self.scratch.clear();
        self.shorten.finish(&mut self.scratch);
        self.short.feed(&self.scratch);
        let (mut form, line_ends) = if self.shorten.is_reversible() {
            (self.short, LineEnds::Shortened)
        } else {
            (self.whole, LineEnds::Kept)
        };
        form.end();
        let tally = &mut form.tally;
        let open = !tally.ends_line;
        if open {
            tally.feed(b"\n");
        }
        Measured {
            dialect: self.dialect,
            line_ends,
            length: tally.length,
            body: tally
                .header
                .map(|header| tally.length.saturating_sub(header)),
            open,
            has_quoted: form.quoting.has_seen_quoted(),
        }
    }
}

impl Form {
    fn feed(&mut self, octets: &[u8]) {
        self.scratch.clear();
        self.quoting.feed(octets, &mut self.scratch);
        self.tally.feed(&self.scratch);
    }

    fn end(&mut self) {
        self.scratch.clear();
        self.quoting.finish(&mut self.scratch);
        self.tally.feed(&self.scratch);
    }
}

impl Tally {
    fn feed(&mut self, octets: &[u8]) {
        let Some(last) = octets.last() else { return };
        self.ends_line = *last == b'\n';
        let mut at = self.length;
        self.length = at.saturating_add(count(octets));
        if self.header.is_some() {
            return;
        }
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            at = at.saturating_add(count(line));
            let room = b"\r\n"
                .len()
                .saturating_add(1)
                .saturating_sub(self.line.len());
            self.line.extend(line.iter().take(room));
            if line.ends_with(b"\n") {
                if matches!(&*self.line, b"\n" | b"\r\n") {
                    self.header = Some(at);
                    return;
                }
                self.line.clear();
            }
        }
    }
}

impl Measured {
    /// Whether it comes back as it is: in mboxo and mboxcl, lines that begin with `>From ` do not.
    pub fn is_reversible(&self) -> bool {
        self.dialect.quotes() != Quotes::First || !self.has_quoted
    }

    /// Writes what stands before the message; its octets are to follow, the same as before.
    pub fn begin(&self, message: &Written<'_>, out: &mut impl Write) -> io::Result<Begun> {
        let mut fields = fields_for(message.flags);
        if let Some(length) = self.body.filter(|_| self.dialect.has_content_length()) {
            fields.push(format!("Content-Length: {length}\n"));
        }
        let added = Added {
            fields: fields.len(),
            length: self.length,
            quotes: self.dialect.quotes(),
            date: message.date,
            line_ends: self.line_ends,
            open: self.open,
            flags: message.flags.clone(),
        };
        out.write_all(from_line::write(message.sender, message.date).as_bytes())?;
        out.write_all(added.write().as_bytes())?;
        out.write_all(fields.concat().as_bytes())?;
        let is_short = self.line_ends == LineEnds::Shortened;
        Ok(Begun {
            shorten: is_short.then(Shorten::default),
            quoting: Quoting::new(self.dialect.quotes(), Direction::Quote),
            open: self.open,
            short: Vec::new(),
            quoted: Vec::new(),
        })
    }
}

impl Begun {
    /// Writes the next octets of the message.
    pub fn feed(&mut self, octets: &[u8], out: &mut impl Write) -> io::Result<()> {
        self.quoted.clear();
        match &mut self.shorten {
            Some(shorten) => {
                self.short.clear();
                shorten.feed(octets, &mut self.short);
                self.quoting.feed(&self.short, &mut self.quoted);
            }
            None => self.quoting.feed(octets, &mut self.quoted),
        }
        out.write_all(&self.quoted)
    }

    /// Ends the message, and writes the empty line after it.
    pub fn finish(mut self, out: &mut impl Write) -> io::Result<()> {
        self.quoted.clear();
        if let Some(shorten) = &mut self.shorten {
            self.short.clear();
            shorten.finish(&mut self.short);
            self.quoting.feed(&self.short, &mut self.quoted);
        }
        self.quoting.finish(&mut self.quoted);
        out.write_all(&self.quoted)?;
        out.write_all(if self.open { b"\n\n" } else { b"\n" })
    }
}

fn count(octets: &[u8]) -> u64 {
    u64::try_from(octets.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use letterlock_core::model::Flag;

    const DIALECTS: [Dialect; 4] = [
        Dialect::Mboxo,
        Dialect::Mboxrd,
        Dialect::Mboxcl,
        Dialect::Mboxcl2,
    ];

    fn flags() -> FlagSet {
        FlagSet::from([Flag::Seen])
    }

    fn about(flags: &FlagSet) -> Written<'_> {
        Written {
            flags,
            date: Timestamp::from_millis(880_106_106_789),
            sender: Some("a@b.example"),
        }
    }

    fn in_pieces(dialect: Dialect, raw: &[u8], piece: usize) -> (Vec<u8>, bool) {
        let mut out = Vec::new();
        let mut measure = Measure::new(dialect);
        raw.chunks(piece).for_each(|octets| measure.feed(octets));
        let measured = measure.finish();
        let flags = flags();
        let mut begun = measured.begin(&about(&flags), &mut out).unwrap();
        // Other pieces than those that were measured.
        for octets in raw.chunks(piece + 1) {
            begun.feed(octets, &mut out).unwrap();
        }
        begun.finish(&mut out).unwrap();
        (out, measured.is_reversible())
    }

    /// The same by looking at all of it, line by line.
    fn at_once(dialect: Dialect, raw: &[u8]) -> (Vec<u8>, bool) {
        let lines: Vec<&[u8]> = raw.split_inclusive(|octet| *octet == b'\n').collect();
        let ends = lines.iter().filter(|line| line.ends_with(b"\n")).count();
        let long = lines.iter().filter(|line| line.ends_with(b"\r\n")).count();
        let short = ends == long && ends > 0;
        let mut stored = Vec::new();
        let mut ambiguous = false;
        let mut header = None;
        for line in lines {
            let line = match line.strip_suffix(b"\r\n").filter(|_| short) {
                Some(line) => [line, b"\n"].concat(),
                None => line.to_vec(),
            };
            let marks = line.iter().take_while(|octet| **octet == b'>').count();
            let is_from = line[marks..].starts_with(b"From ");
            ambiguous |= is_from && marks == 1;
            let is_quoted = match dialect.quotes() {
                Quotes::None => false,
                Quotes::First => is_from && marks == 0,
                Quotes::Every => is_from,
            };
            stored.extend_from_slice(if is_quoted { b">" } else { b"" });
            stored.extend_from_slice(&line);
        }
        let open = if stored.ends_with(b"\n") {
            ""
        } else {
            " open;"
        };
        if !open.is_empty() {
            stored.push(b'\n');
        }
        let mut at = 0;
        for line in stored.split_inclusive(|octet| *octet == b'\n') {
            at += line.len();
            if header.is_none() && matches!(line, b"\n" | b"\r\n") {
                header = Some(at);
            }
        }
        let header = header.filter(|_| dialect.has_content_length());
        let counted = header.map(|header| format!("Content-Length: {}\n", stored.len() - header));
        let fields = 1 + usize::from(counted.is_some());
        let more = counted.unwrap_or_default();
        let quotes = match dialect.quotes() {
            Quotes::None => "none",
            Quotes::First => "first",
            Quotes::Every => "every",
        };
        let head = format!(
            "From a@b.example Fri Nov 21 09:55:06 1997\n\
             X-Letterlock-Export: v=1; fields={fields}; length={}; quotes={quotes}; \
             date=880106106789;{}{open} flags=\\Seen\nStatus: RO\n{more}",
            stored.len(),
            if short { " ends=crlf;" } else { "" },
        );
        stored.push(b'\n');
        let reversible = dialect.quotes() != Quotes::First || !ambiguous;
        ([head.into_bytes(), stored].concat(), reversible)
    }

    #[test]
    fn the_form_stands() {
        let raw = b"Subject: x\r\n\r\nFrom a\r\n>From b\r\nend";
        let (mboxcl, reversible) = in_pieces(Dialect::Mboxcl, raw, 5);
        let expected = "From a@b.example Fri Nov 21 09:55:06 1997\n\
            X-Letterlock-Export: v=1; fields=2; length=32; quotes=first; date=880106106789; \
            ends=crlf; open; flags=\\Seen\nStatus: RO\nContent-Length: 20\n\
            Subject: x\n\n>From a\n>From b\nend\n\n";
        assert_eq!(String::from_utf8(mboxcl).unwrap(), expected);
        assert!(!reversible);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            lines in prop::collection::vec("(>{0,3}(From |Fro|)?[a\r\0]{0,3}(\r?\n)?)", 0..20),
            piece in 1_usize..20,
        ) {
            let raw = lines.concat().into_bytes();
            for dialect in DIALECTS {
                prop_assert_eq!(in_pieces(dialect, &raw, piece), at_once(dialect, &raw));
            }
        }

        #[test]
        fn pieces_of_clean_lines_make_no_difference(
            lines in prop::collection::vec("(>{0,3}From )?[a\r]{0,3}", 0..20),
            piece in 1_usize..20,
        ) {
            let raw = (lines.join("\r\n") + "\r\n").into_bytes();
            for dialect in DIALECTS {
                prop_assert_eq!(in_pieces(dialect, &raw, piece), at_once(dialect, &raw));
            }
        }
    }
}
