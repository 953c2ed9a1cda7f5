//! A file read through a bounded buffer, with a look ahead.
//!
//! Invariant: no more than the look ahead asked for and one [`FILL_OCTETS`] are held, however
//! long a line is.

use std::io::{self, Read};

/// Octets read in one step.
const FILL_OCTETS: usize = 64 * 1024;

/// Reads a file and knows where lines begin.
#[derive(Debug)]
pub(super) struct Lines<R> {
    source: R,
    buffer: Vec<u8>,
    start: usize,
    offset: u64,
    ended: bool,
    begins_line: bool,
}

impl<R: Read> Lines<R> {
    /// Reads a source that stands at `offset`, where a line begins.
    pub(super) fn new(source: R, offset: u64) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            start: 0,
            offset,
            ended: false,
            begins_line: true,
        }
    }

    /// Where the next octet stands in the file.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the next octet begins a line.
    pub(super) const fn begins_line(&self) -> bool {
        self.begins_line
    }

    /// The next octets: `most` of them, fewer only at the end of the file.
    pub(super) fn peek(&mut self, most: usize) -> io::Result<&[u8]> {
        while self.available().len() < most && !self.ended {
            self.fill()?;
        }
        let available = self.available();
        Ok(available.get(..most).unwrap_or(available))
    }

    /// Length of the rest of this line with its line break, or of what is known of it, at most
    /// `most`; 0 at the end of the file.
    pub(super) fn line_length(&mut self, most: u64) -> io::Result<usize> {
        self.peek(1)?;
        let available = self.available();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let line =
            memchr::memchr(b'\n', available).map_or(available.len(), |at| at.saturating_add(1));
        Ok(line.min(most))
    }

    /// Passes over octets that were peeked at.
    pub(super) fn consume(&mut self, octets: usize) {
        let passed = self.available().get(..octets).unwrap_or_default();
        let Some(begins_line) = passed.last().map(|last| *last == b'\n') else {
            return;
        };
        let passed = passed.len();
        self.begins_line = begins_line;
        self.start = self.start.saturating_add(passed);
        self.offset = self
            .offset
            .saturating_add(u64::try_from(passed).unwrap_or(u64::MAX));
    }

    fn available(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start.min(self.buffer.len()));
        self.start = 0;
        let held = self.buffer.len();
        self.buffer.resize(held.saturating_add(FILL_OCTETS), 0);
        let room = self.buffer.get_mut(held..).unwrap_or_default();
        let read = loop {
            match self.source.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let kept = *read.as_ref().unwrap_or(&0);
        self.buffer.truncate(held.saturating_add(kept));
        self.ended = read? == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_longer_than_the_buffer_come_in_parts() {
        let long = vec![b'x'; 3 * FILL_OCTETS];
        let text = [&long[..], b"\nshort\n\nlast"].concat();
        let mut lines = Lines::new(&text[..], 7);
        let mut back = Vec::new();
        let mut begun = 0;
        loop {
            let length = lines.line_length(u64::MAX).unwrap();
            if length == 0 {
                break;
            }
            begun += usize::from(lines.begins_line());
            back.extend_from_slice(lines.peek(length).unwrap());
            lines.consume(length);
            assert!(lines.buffer.len() <= 2 * FILL_OCTETS);
        }
        assert!(back == text);
        assert_eq!(begun, 4);
        assert_eq!(lines.offset(), 7 + text.len() as u64);
    }
}
