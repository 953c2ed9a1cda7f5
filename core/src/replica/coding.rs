//! How the value in a payload is coded: as it is, deflated (RFC 1951) from a dictionary of what
//! mail is full of, as a block of LZ4 that continues the same, as a frame of Zstandard (RFC 8878),
//! or, if it is lines of base64, as the octets that they stand for; not as it is only if that is
//! shorter.
//!
//! A content is a frame of Zstandard: it is most of what is stored and sent, and comes back three to
//! four times as fast as what is deflated, no longer than that. Short ones are deflated, since the dictionary is most
//! of their gain, and so is what a browser writes. A message's structure is a block
//! of LZ4: a mail program reads those of a whole mailbox at once, LZ4 opens one in a tenth of the
//! time, and a letter's is some 50 octets longer for it.
//!
//! Invariant: reading is bounded by a limit that the caller names, whatever the octets say, and
//! a value has one reading: what follows the coded octets is damage. Rejected: brotli (a dictionary
//! of 120 KB in the browser's bundle) for a tenth less. Rejected: a dictionary for Zstandard; the
//! decoder in Rust takes none but of its format, with tables for which ours is too short. Rejected:
//! LZ4 for contents; text would be read three to six times as fast, and be a half longer for ever.

mod base64;

use std::borrow::Cow;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flate2::write::ZlibEncoder;
use flate2::{Compress, Compression, Decompress, FlushDecompress, Status};

use super::dictionary::DICTIONARY;
use super::document::DocumentError;
use crate::portable::zstd;
use crate::varint;

const PLAIN: u8 = 0;
const DEFLATED: u8 = 1;
/// How [`base64`] is broken into lines, then its octets as a coded value that is one of the above.
const BASE64: u8 = 2;
/// The value's length, then a block of LZ4 that continues the dictionary.
const LZ4: u8 = 3;
/// The value's length, then one frame of Zstandard.
const ZSTD: u8 = 4;

/// What is shorter than this, in octets, is deflated.
const LEAST_ZSTD: usize = 4096;

/// zlib's level for contents. Level 6 takes twice the time, and takes away one octet in a hundred
/// more from letters, five from random words; level 1 writes a quarter to a half more.
const LEVEL: u32 = 3;

/// Room for a value that is inflated: so many times its deflated octets. Most are done with that.
const USUAL_GAIN: usize = 4;
/// Least room that is added, in octets.
const LEAST_ROOM: usize = 4096;

/// Appends the octet that says how the value is coded, then the value as it is.
pub(super) fn plain(out: &mut Vec<u8>, value: &[u8]) {
    out.push(PLAIN);
    out.extend_from_slice(value);
}

/// What base64 stands for is compressed if that takes away so much of it: one eighth. It is pictures
/// and archives mostly, and to inflate them takes longer than all the rest of reading them.
const WORTH_INFLATING: usize = 8;
/// So many octets from the middle say whether deflating all is tried at all: it is the longest part
/// of storing a picture, and finds nothing.
const TRIED_OCTETS: usize = 4096;

/// Appends the octet that says how the value is coded, then the value, compressed or made of base64
/// if that is shorter.
pub(super) fn shortest(out: &mut Vec<u8>, value: &[u8]) {
    if let Some(base64::Coded { head, octets }) = base64::take_apart(value) {
        out.push(BASE64);
        out.extend_from_slice(&head);
        match compress_if_worth(&octets) {
            Some(compressed) => out.extend_from_slice(&compressed),
            None => plain(out, &octets),
        }
        return;
    }
    match compress(value) {
        Some(compressed) if compressed.len() <= value.len() => out.extend_from_slice(&compressed),
        _ => plain(out, value),
    }
}

/// The value by Zstandard or deflated, with the octet that says so.
fn compress(value: &[u8]) -> Option<Vec<u8>> {
    if value.len() < LEAST_ZSTD {
        return deflate(value);
    }
    let Some(frame) = zstd::compress(value) else {
        return deflate(value);
    };
    let mut out = vec![ZSTD];
    varint::put_length(value.len(), &mut out);
    out.extend_from_slice(&frame);
    Some(out)
}

/// The octets compressed, if that takes enough of them away.
fn compress_if_worth(octets: &[u8]) -> Option<Vec<u8>> {
    let worth = |octets: &[u8]| {
        let most = octets.len().saturating_sub(octets.len() / WORTH_INFLATING);
        compress(octets).filter(|compressed| compressed.len() <= most)
    };
    let from = octets.len().saturating_sub(TRIED_OCTETS) / 2;
    let middle = octets.get(from..from.saturating_add(TRIED_OCTETS));
    middle
        .is_none_or(|middle| worth(middle).is_some())
        .then(|| worth(octets))?
}

/// Appends the octet that says how the value is coded, then the value, as a block of LZ4 if
/// that is shorter.
pub(super) fn lz4(out: &mut Vec<u8>, value: &[u8]) {
    let block = lz4_flex::block::compress_with_dict(value, DICTIONARY);
    let mut length = Vec::new();
    varint::put_length(value.len(), &mut length);
    if length.len().saturating_add(block.len()) < value.len() {
        out.push(LZ4);
        out.extend_from_slice(&length);
        out.extend_from_slice(&block);
    } else {
        plain(out, value);
    }
}

/// Decoders that nobody uses now, as many as read at the same time.
#[derive(Default)]
pub(super) struct Decoders(Mutex<Vec<Decoder>>);

/// Most decoders that are kept, each with 200 kB.
const MOST_DECODERS: usize = 2;

impl Decoders {
    /// One that was used before, if there is one.
    pub(super) fn take(&self) -> Decoder {
        self.kept().pop().unwrap_or_default()
    }

    /// Keeps one for the next.
    pub(super) fn give(&self, decoder: Decoder) {
        let mut kept = self.kept();
        if kept.len() < MOST_DECODERS {
            kept.push(decoder);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Decoder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads coded values. Whoever reads many keeps one: its tables and windows are 200 kB, and making
/// them takes as long as reading a small value.
#[derive(Default)]
pub(super) struct Decoder {
    inflate: Option<Decompress>,
    zstd: zstd::Decoder,
}

impl Decoder {
    /// Reads a coded value of at most `limit` octets.
    pub(super) fn decode<'a>(
        &mut self,
        coded: &'a [u8],
        limit: usize,
    ) -> Result<Cow<'a, [u8]>, DocumentError> {
        let (&coding, rest) = coded.split_first().ok_or(DocumentError::Damaged)?;
        if coding != BASE64 {
            return self.decode_octets(coding, rest, limit);
        }
        let head = base64::Head::read(rest).ok_or(DocumentError::Damaged)?;
        let (&coding, rest) = head.coded.split_first().ok_or(DocumentError::Damaged)?;
        let octets = self.decode_octets(coding, rest, limit)?;
        let lines = head.put_together(&octets, limit);
        lines.map(Cow::Owned).ok_or(DocumentError::Damaged)
    }

    fn decode_octets<'a>(
        &mut self,
        coding: u8,
        rest: &'a [u8],
        limit: usize,
    ) -> Result<Cow<'a, [u8]>, DocumentError> {
        match coding {
            PLAIN if rest.len() <= limit => Ok(Cow::Borrowed(rest)),
            PLAIN => Err(DocumentError::Damaged),
            DEFLATED => inflate(self.begin()?, rest, limit).map(Cow::Owned),
            LZ4 => from_lz4(rest, limit).map(Cow::Owned),
            ZSTD => self.read_frame(rest, limit).map(Cow::Owned),
            _ => Err(DocumentError::Newer),
        }
    }

    fn read_frame(&mut self, mut octets: &[u8], limit: usize) -> Result<Vec<u8>, DocumentError> {
        let length = varint::take_length(&mut octets);
        let length = length.filter(|length| *length <= limit);
        let value = self
            .zstd
            .decode(octets, length.ok_or(DocumentError::Damaged)?);
        value.ok_or(DocumentError::Damaged)
    }

    fn begin(&mut self) -> Result<&mut Decompress, DocumentError> {
        let begun = self.inflate.is_some();
        let inflate = self.inflate.get_or_insert_with(|| Decompress::new(false));
        if begun {
            inflate.reset(false);
        }
        inflate
            .set_dictionary(DICTIONARY)
            .map_err(|_| DocumentError::Damaged)?;
        Ok(inflate)
    }
}

/// The value deflated, with the octet that says so.
fn deflate(value: &[u8]) -> Option<Vec<u8>> {
    // Without zlib's header, in spite of the encoder's name.
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    compress.set_dictionary(DICTIONARY).ok()?;
    let mut encoder = ZlibEncoder::new_with_compress(vec![DEFLATED], compress);
    // Writing to memory does not fail; if it did, the value is kept as it is.
    encoder.write_all(value).ok()?;
    encoder.finish().ok()
}

fn from_lz4(mut octets: &[u8], limit: usize) -> Result<Vec<u8>, DocumentError> {
    let length = varint::take_length(&mut octets);
    let length = length.filter(|length| *length <= limit);
    let length = length.ok_or(DocumentError::Damaged)?;
    let value = lz4_flex::block::decompress_with_dict(octets, length, DICTIONARY);
    let value = value.map_err(|_| DocumentError::Damaged)?;
    if value.len() == length {
        Ok(value)
    } else {
        Err(DocumentError::Damaged)
    }
}

fn inflate(
    decompress: &mut Decompress,
    deflated: &[u8],
    limit: usize,
) -> Result<Vec<u8>, DocumentError> {
    // One octet more than may be shows that there is more.
    let most = limit.saturating_add(1);
    let mut value = Vec::with_capacity(deflated.len().saturating_mul(USUAL_GAIN).min(most));
    let mut rest = deflated;
    loop {
        let before = (rest.len(), value.len());
        let read = decompress.total_in();
        let status = decompress
            .decompress_vec(rest, &mut value, FlushDecompress::None)
            .map_err(|_| DocumentError::Damaged)?;
        let taken = decompress.total_in().saturating_sub(read);
        rest = usize::try_from(taken)
            .ok()
            .and_then(|taken| rest.get(taken..))
            .ok_or(DocumentError::Damaged)?;
        match status {
            Status::StreamEnd if rest.is_empty() && value.len() <= limit => return Ok(value),
            Status::StreamEnd => return Err(DocumentError::Damaged),
            Status::Ok | Status::BufError => {}
        }
        if value.len() == value.capacity() && value.len() < most {
            let room = most.saturating_sub(value.len());
            value.reserve_exact(room.min(value.len().max(LEAST_ROOM)));
        } else if before == (rest.len(), value.len()) || value.len() >= most {
            return Err(DocumentError::Damaged);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(octets: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, DocumentError> {
        let mut decoder = Decoder::default();
        // What was read before, and failed before, leaves nothing behind.
        let damaged = decoder.decode(b"\x01\xff\xff", 9);
        assert_eq!(damaged, Err(DocumentError::Damaged));
        let long = coded(&[b'x'; 1000]);
        assert_eq!(decoder.decode(&long, 999), Err(DocumentError::Damaged));
        decoder.decode(octets, limit)
    }

    fn coded(value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        shortest(&mut out, value);
        out
    }

    fn lz4(value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        super::lz4(&mut out, value);
        out
    }

    #[test]
    fn a_block_of_lz4_comes_back_within_its_limit() {
        let text = b"From: Alice <alice@example.org>\r\nSubject: lines and lines\r\n".repeat(20);
        let block = lz4(&text);
        assert_eq!(block[0], LZ4);
        assert!(block.len() < text.len() / 4);
        assert_eq!(decode(&block, text.len()).unwrap(), text);
        assert_eq!(decode(&block, text.len() - 1), Err(DocumentError::Damaged));
        let longer = [&block[..], b"\0"].concat();
        assert_eq!(decode(&longer, text.len()), Err(DocumentError::Damaged));
        let cut = block.get(..block.len() - 1).unwrap();
        assert_eq!(decode(cut, text.len()), Err(DocumentError::Damaged));
        // A length that is not the block's.
        let mut lies = block.clone();
        lies[1] ^= 1;
        assert_eq!(decode(&lies, 10_000), Err(DocumentError::Damaged));
        let noise = *blake3::hash(b"noise").as_bytes();
        assert_eq!(lz4(&noise).len(), noise.len() + 1);
    }

    #[test]
    fn long_values_are_frames_of_zstandard_within_their_limit() {
        let line = "A line of a letter, and another: Grüße.\r\n";
        let text = line.repeat(300).into_bytes();
        let frame = coded(&text);
        assert_eq!(frame[0], ZSTD);
        assert!(frame.len() < text.len() / 20);
        assert_eq!(decode(&frame, text.len()).unwrap(), text);
        assert_eq!(decode(&frame, text.len() - 1), Err(DocumentError::Damaged));
        for wrong in [
            &[&frame[..], b"\0"].concat()[..],
            &frame[..frame.len() - 1],
            &frame[..1],
        ] {
            assert_eq!(decode(wrong, 1_000_000), Err(DocumentError::Damaged));
        }
        // A length that is not the frame's.
        let mut lies = frame.clone();
        lies[1] ^= 1;
        assert_eq!(decode(&lies, 1_000_000), Err(DocumentError::Damaged));
    }

    #[test]
    fn what_was_written_before_opens() {
        // As version 0.1 of this program wrote long contents: deflated, not a frame.
        let text = b"A line of a letter, and another line of a letter.\r\n".repeat(200);
        let deflated = deflate(&text).unwrap();
        assert_eq!(deflated[0], DEFLATED);
        assert_eq!(decode(&deflated, text.len()).unwrap(), text);
    }

    #[test]
    fn decoders_are_kept_and_few() {
        let decoders = Decoders::default();
        for _ in 0..5 {
            decoders.give(Decoder::default());
        }
        assert_eq!(decoders.kept().len(), MOST_DECODERS);
        let text = b"A line of a letter.\r\n".repeat(500);
        for _ in 0..3 {
            let mut decoder = decoders.take();
            assert_eq!(decoder.decode(&coded(&text), text.len()).unwrap(), text);
            decoders.give(decoder);
        }
    }

    #[test]
    fn text_gets_shorter_and_noise_does_not_grow() {
        let text = b"A line of a letter, and another line of a letter.\r\n".repeat(50);
        assert!(coded(&text).len() < text.len() / 5);
        assert_eq!(decode(&coded(&text), text.len()).unwrap(), text);
        let noise = *blake3::hash(b"noise").as_bytes();
        assert_eq!(coded(&noise).len(), noise.len() + 1);
        assert_eq!(coded(b""), [PLAIN]);
    }

    #[test]
    fn base64_is_kept_as_what_it_stands_for() {
        let engine = ::base64::engine::general_purpose::STANDARD;
        let lines = |octets: &[u8]| {
            let characters = ::base64::Engine::encode(&engine, octets);
            let lines: Vec<&[u8]> = characters.as_bytes().chunks(76).collect();
            lines.join(&b"\r\n"[..])
        };
        let mut reader = blake3::Hasher::new().finalize_xof();
        let mut random = vec![0; 30_000];
        reader.fill(&mut random);
        let picture = lines(&random);
        let coded_picture = coded(&picture);
        assert_eq!(coded_picture[0], BASE64);
        assert!(coded_picture.len() < random.len() + 20);
        assert_eq!(decode(&coded_picture, picture.len()).unwrap(), picture);
        assert!(decode(&coded_picture, picture.len() - 1).is_err());
        let text = lines(&b"A line of a letter in base64, and another.\r\n".repeat(500));
        assert!(coded(&text).len() < text.len() / 50);
        assert_eq!(decode(&coded(&text), text.len()).unwrap(), text);
        // Too short to be looked at.
        assert_ne!(coded(&picture[..200])[0], BASE64);
        // Lines are not made of lines.
        let twice = [&coded_picture[..5], &coded_picture].concat();
        assert_eq!(decode(&twice, picture.len()), Err(DocumentError::Newer));
    }

    #[test]
    fn what_is_longer_than_its_limit_is_not_read() {
        let zeros = vec![0; 1_000_000];
        let bomb = coded(&zeros);
        assert!(bomb.len() < 10_000);
        assert_eq!(decode(&bomb, 999_999), Err(DocumentError::Damaged));
        assert_eq!(decode(&bomb, 1_000_000).unwrap(), zeros);
        assert_eq!(decode(b"\0abc", 2), Err(DocumentError::Damaged));
    }

    #[test]
    fn foreign_codings_are_told_apart() {
        assert_eq!(decode(b"", 9), Err(DocumentError::Damaged));
        assert_eq!(decode(b"\x07abc", 9), Err(DocumentError::Newer));
        assert_eq!(decode(b"\x01\xff\xff", 9), Err(DocumentError::Damaged));
        let mut longer = coded(&[b'a'; 1000]);
        longer.push(0);
        assert_eq!(decode(&longer, 1000), Err(DocumentError::Damaged));
        let cut = coded(&[b'a'; 1000]);
        let cut = cut.get(..cut.len() - 1).unwrap();
        assert_eq!(decode(cut, 1000), Err(DocumentError::Damaged));
    }

    proptest! {
        #[test]
        fn coding_goes_both_ways(value in proptest::collection::vec(0..4_u8, 0..3000)) {
            let coded = coded(&value);
            prop_assert!(coded.len() <= value.len() + 1);
            prop_assert_eq!(&*decode(&coded, value.len()).unwrap(), &value[..]);
            let block = lz4(&value);
            prop_assert!(block.len() <= value.len() + 1);
            prop_assert_eq!(&*decode(&block, value.len()).unwrap(), &value[..]);
        }

        #[test]
        fn no_octets_do_harm(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            for coding in [None, Some(LZ4)] {
                let octets: Vec<u8> = coding.into_iter().chain(octets.iter().copied()).collect();
                let _ = decode(&octets, 1000).map(|value| assert!(value.len() <= 1000));
            }
        }
    }
}
