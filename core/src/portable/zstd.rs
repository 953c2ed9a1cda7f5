//! Zstandard (RFC 8878) by its reference library: where C is compiled.
//!
//! What it reads was sealed by a device of the account and has proven so before.

use zstd_safe::{CCtx, DCtx, compress_bound, find_frame_compressed_size};

/// Level 3 takes half as long again, and takes away one octet in thirty more from letters.
const LEVEL: i32 = 1;

/// The value as one frame, without a checksum; `None` if there is no room for it.
pub(crate) fn compress(value: &[u8]) -> Option<Vec<u8>> {
    let mut frame = Vec::with_capacity(compress_bound(value.len()));
    let mut context = CCtx::try_create()?;
    context.compress(&mut frame, value, LEVEL).ok()?;
    Some(frame)
}

/// Reads frames. Whoever reads many keeps one: its tables are 150 kB.
#[derive(Default)]
pub(crate) struct Decoder(Option<DCtx<'static>>);

impl Decoder {
    /// The value of one frame, if it has this many octets; never room for more.
    pub(crate) fn decode(&mut self, frame: &[u8], length: usize) -> Option<Vec<u8>> {
        // The library reads frame after frame.
        if find_frame_compressed_size(frame).ok()? != frame.len() {
            return None;
        }
        if self.0.is_none() {
            self.0 = DCtx::try_create();
        }
        let mut value = Vec::with_capacity(length);
        let context = self.0.as_mut()?;
        let decoded = context.decompress(&mut value, frame);
        (decoded.ok()? == length).then_some(value)
    }
}
