//! AES-CFB (RFC 9580 12.9) out of AES as platforms have it.
//!
//! CFB's keystream is the encryption of the ciphertext, a block behind. To open, all of it is at
//! hand, so all blocks are encrypted at once. To seal, each block needs the one before: that is
//! CBC, whose answer to IV and plaintext is just this keystream.

use super::{BLOCK, BulkKey, Deferred, xor};

/// Opens pieces one after the other; all but the last are whole blocks.
pub(super) struct Opening<'a> {
    key: &'a dyn BulkKey,
    /// The last block of ciphertext.
    before: [u8; BLOCK],
    /// Reused.
    stream: Vec<u8>,
}

impl<'a> Opening<'a> {
    pub(super) fn new(key: &'a dyn BulkKey) -> Self {
        Self {
            key,
            before: [0; BLOCK],
            stream: Vec::new(),
        }
    }

    /// The plaintext of the next piece.
    pub(super) fn open(&mut self, piece: &[u8]) -> Option<&mut [u8]> {
        let whole = piece.len().div_ceil(BLOCK) * BLOCK;
        self.stream.clear();
        self.stream.extend_from_slice(&self.before);
        self.stream.extend_from_slice(piece);
        if let Some(last) = piece.last_chunk() {
            self.before = *last;
        }
        self.stream.truncate(whole);
        self.key.encrypt_blocks(&mut self.stream)?;
        self.stream.truncate(piece.len());
        xor(&mut self.stream, piece);
        Some(&mut self.stream)
    }
}

/// A piece to be sealed: a block of room, and the plaintext behind it.
#[derive(Debug, Clone)]
pub(super) struct Piece(Vec<u8>);

impl Piece {
    /// An empty piece with room for so many octets.
    pub(super) fn new(octets: usize) -> Self {
        let mut piece = Vec::with_capacity(BLOCK + octets);
        piece.resize(BLOCK, 0);
        Self(piece)
    }

    /// The plaintext, to be appended to; all pieces but the last have whole blocks.
    pub(super) fn plaintext(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// Octets of plaintext.
    pub(super) fn len(&self) -> usize {
        self.0.len() - BLOCK
    }

    /// Puts it behind the piece before, which has been sealed; the first one has none.
    pub(super) fn follow(&mut self, before: &Self) -> Option<()> {
        let last: &[u8; BLOCK] = before.0.last_chunk()?;
        self.0.first_chunk_mut().map(|room| *room = *last)
    }

    /// Begins to make the keystream.
    pub(super) fn begin(&self, key: &dyn BulkKey) -> Deferred<'static, Option<Vec<u8>>> {
        let whole = self.len().div_ceil(BLOCK) * BLOCK;
        key.chain(self.0.get(..whole).unwrap_or_default())
    }

    /// Ends what was begun: the ciphertext.
    pub(super) fn seal(&mut self, stream: &[u8]) -> Option<&[u8]> {
        let stream = stream.get(..self.len())?;
        let text = self.0.get_mut(BLOCK..)?;
        xor(text, stream);
        Some(text)
    }
}
