//! Zstandard (RFC 8878) where no C is compiled: reading alone.

use ruzstd::decoding::FrameDecoder;

/// Largest window that a frame may ask for, in octets: what is written here is one segment.
const MAX_WINDOW: u64 = 8 * 1024 * 1024;

/// Nothing: what is written here is deflated.
pub(crate) const fn compress(_value: &[u8]) -> Option<Vec<u8>> {
    None
}

/// Reads frames.
#[derive(Default)]
pub(crate) struct Decoder(Option<FrameDecoder>);

impl Decoder {
    /// The value of one frame, if it has this many octets; never room for more than that and a
    /// window.
    pub(crate) fn decode(&mut self, frame: &[u8], length: usize) -> Option<Vec<u8>> {
        let decoder = self.0.get_or_insert_with(|| {
            let mut decoder = FrameDecoder::new();
            decoder.set_max_window_size(MAX_WINDOW);
            decoder
        });
        let mut value = vec![0; length];
        let written = decoder.decode_all(frame, &mut value).ok()?;
        // The decoder reads frame after frame, and counts the octets of the last.
        let is_one = decoder.bytes_read_from_source() == frame.len() as u64;
        (is_one && written == length).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::zstd;
    use super::*;

    #[test]
    fn both_read_what_the_library_writes() {
        assert_eq!(compress(b"x"), None);
        let mut noise = vec![0; 5000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        let words = b"A line of a letter, and another line of a letter.\r\n".repeat(20_000);
        for value in [&noise[..], &words, &words[..2000], b"x"] {
            let frame = zstd::compress(value).unwrap();
            let (mut theirs, mut ours) = (zstd::Decoder::default(), Decoder::default());
            for _ in 0..2 {
                assert!(theirs.decode(&frame, value.len()).unwrap() == value);
                assert!(ours.decode(&frame, value.len()).unwrap() == value);
            }
            let (shorter, longer) = (value.len() - 1, value.len() + 1);
            let twice = frame.repeat(2);
            let skipped = [&frame[..], b"\x50\x2a\x4d\x18\x01\0\0\0x"].concat();
            for (octets, length) in [
                (&frame[..], shorter),
                (&frame, longer),
                (&frame[..frame.len() - 1], value.len()),
                (&twice, 2 * value.len()),
                (&twice, value.len()),
                (&skipped, value.len()),
                (b"", 0),
                (b"no frame", 8),
            ] {
                assert!(theirs.decode(octets, length).is_none(), "{length}");
                assert!(ours.decode(octets, length).is_none(), "{length}");
            }
        }
    }
}
