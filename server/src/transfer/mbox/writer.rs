//! Messages into an mbox.

use std::io::{self, Write};

use letterlock_core::id::Timestamp;
use letterlock_core::model::FlagSet;

use super::added::Added;
use super::dialect::Dialect;
use super::from_line;
use super::quoting::{Direction, Quotes, Quoting};
use super::restore::{LineEnds, shorten};
use super::status::fields_for;

/// A message to write.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// Its octets.
    pub raw: &'a [u8],
    /// Its flags and keywords.
    pub flags: &'a FlagSet,
    /// Its INTERNALDATE.
    pub date: Timestamp,
    /// Who sent it, for the separator.
    pub sender: Option<&'a str>,
}

/// Writes a message and the empty line after it. Says whether it comes back as it is: in mboxo
/// and mboxcl, lines that begin with `>From ` do not.
pub fn write_message(
    dialect: Dialect,
    message: &Written<'_>,
    out: &mut impl Write,
) -> io::Result<bool> {
    let shortened = shorten(message.raw);
    let (text, line_ends) = match &shortened {
        Some(short) => (short.as_slice(), LineEnds::Shortened),
        None => (message.raw, LineEnds::Kept),
    };
    let mut stored = Vec::with_capacity(text.len());
    let mut quoting = Quoting::new(dialect.quotes(), Direction::Quote);
    quoting.feed(text, &mut stored);
    quoting.finish(&mut stored);
    let open = !stored.ends_with(b"\n");
    if open {
        stored.push(b'\n');
    }
    let mut fields = fields_for(message.flags);
    if let Some(length) = body_length(&stored).filter(|_| dialect.has_content_length()) {
        fields.push(format!("Content-Length: {length}\n"));
    }
    let added = Added {
        fields: fields.len(),
        length: u64::try_from(stored.len()).unwrap_or(u64::MAX),
        quotes: dialect.quotes(),
        date: message.date,
        line_ends,
        open,
        flags: message.flags.clone(),
    };
    out.write_all(from_line::write(message.sender, message.date).as_bytes())?;
    out.write_all(added.write().as_bytes())?;
    out.write_all(fields.concat().as_bytes())?;
    out.write_all(&stored)?;
    out.write_all(b"\n")?;
    Ok(dialect.quotes() != Quotes::First || !has_quoted_line(text))
}

/// Octets after the header, if there is an end of the header.
fn body_length(stored: &[u8]) -> Option<usize> {
    let mut length = 0_usize;
    for line in stored.split_inclusive(|octet| *octet == b'\n') {
        length = length.saturating_add(line.len());
        if matches!(line, b"\n" | b"\r\n") {
            return stored.len().checked_sub(length);
        }
    }
    None
}

fn has_quoted_line(text: &[u8]) -> bool {
    text.split(|octet| *octet == b'\n')
        .any(|line| line.starts_with(b">From "))
}
