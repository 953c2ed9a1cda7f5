//! COMPRESS=DEFLATE (RFC 4978): the conversation as raw DEFLATE (RFC 1951) in both directions.
//!
//! Invariant: what a client compressed comes out at most [`STEP_OCTETS`] at a time and is dealt
//! with before more does, so that a small input that stands for gigabytes fills no memory. Only
//! somebody who has logged in can ask for it. Rejected: a stream around the connection; it would
//! read ahead without knowing what the session lets in.

use std::io;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Most octets that are inflated at a time.
pub const STEP_OCTETS: usize = 16 * 1024;

/// Both directions of a compressed connection.
#[derive(Debug)]
pub struct Deflate {
    out: Compress,
    inflow: Decompress,
    /// Compressed octets that were read and not inflated yet.
    pending: Vec<u8>,
    /// How many of them are dealt with.
    taken: usize,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            out: Compress::new(Compression::fast(), false),
            inflow: Decompress::new(false),
            pending: Vec::new(),
            taken: 0,
        }
    }
}

impl Deflate {
    /// Takes what was read from the connection. Call [`Deflate::inflate`] until it gives nothing
    /// before the next read.
    pub fn feed(&mut self, octets: &[u8]) {
        self.pending.extend_from_slice(octets);
    }

    /// The next octets that the client meant; none if more has to be read.
    ///
    /// # Errors
    /// What came is not DEFLATE, or the client has ended its stream.
    pub fn inflate(&mut self) -> io::Result<Vec<u8>> {
        let mut plain = Vec::with_capacity(STEP_OCTETS);
        let input = self.pending.get(self.taken..).unwrap_or_default();
        let before = self.inflow.total_in();
        let status = self
            .inflow
            .decompress_vec(input, &mut plain, FlushDecompress::Sync)
            .map_err(io::Error::other)?;
        let used = self.inflow.total_in().saturating_sub(before);
        self.taken = self
            .taken
            .saturating_add(usize::try_from(used).unwrap_or(usize::MAX));
        if self.taken >= self.pending.len() {
            self.pending.clear();
            self.taken = 0;
        }
        if status == Status::StreamEnd && plain.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(plain)
    }

    /// What stands on the wire for these octets; whoever reads it has all of them.
    ///
    /// # Errors
    /// Never, as far as is known.
    pub fn deflate(&mut self, octets: &[u8]) -> io::Result<Vec<u8>> {
        let mut packed = Vec::with_capacity(octets.len() / 2 + 64);
        let mut rest = octets;
        loop {
            let before = self.out.total_in();
            self.out
                .compress_vec(rest, &mut packed, FlushCompress::Sync)
                .map_err(io::Error::other)?;
            let used = self.out.total_in().saturating_sub(before);
            rest = usize::try_from(used)
                .ok()
                .and_then(|used| rest.get(used..))
                .unwrap_or_default();
            // Room that is left says that the flush is whole.
            if rest.is_empty() && packed.len() < packed.capacity() {
                return Ok(packed);
            }
            packed.reserve(STEP_OCTETS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_little_that_stands_for_much_comes_in_steps() {
        let mut client = Deflate::default();
        let packed = client.deflate(&vec![0; 50_000_000]).unwrap();
        assert!(packed.len() < 5_000_000);
        let mut server = Deflate::default();
        server.feed(&packed);
        let mut whole = 0;
        loop {
            let plain = server.inflate().unwrap();
            assert!(plain.len() <= STEP_OCTETS);
            if plain.is_empty() {
                break;
            }
            whole += plain.len();
        }
        assert_eq!(whole, 50_000_000);
    }

    #[test]
    fn noise_is_an_error_and_no_endless_loop() {
        let mut server = Deflate::default();
        server.feed(&[0xff; 100]);
        assert!(server.inflate().is_err());
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_piece_by_piece(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 1..8),
            cut in 1_usize..500,
        ) {
            let (mut client, mut server) = (Deflate::default(), Deflate::default());
            for text in texts {
                let packed = client.deflate(&text).unwrap();
                let mut plain = Vec::new();
                for piece in packed.chunks(cut) {
                    server.feed(piece);
                    loop {
                        let some = server.inflate().unwrap();
                        if some.is_empty() {
                            break;
                        }
                        plain.extend(some);
                    }
                }
                // Nothing of it waits for what comes later.
                prop_assert_eq!(plain, text);
            }
        }
    }
}
