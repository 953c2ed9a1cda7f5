//! Records of a journal, for a store that writes what a batch changes to its place later: sealed,
//! one behind the other.
//!
//! ```abnf
//! record = length nonce sealed        ; length: 4OCTET, of what follows, the lowest first
//! nonce  = 24OCTET
//! sealed = *OCTET                     ; XChaCha20-Poly1305 of the changes, bound to the place
//! changes = *change
//! change = text text %x00             ; table, key: the row is deleted
//!        / text text %x01 text        ; table, key, value: the row is written
//! text   = 4OCTET *OCTET              ; its length, the lowest first, then its octets
//! ```
//!
//! Invariant: a record opens only in its place, the generation of its journal and its number in
//! it, so that one cannot be moved, and what an earlier generation left in the file is no record.

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::{Op, Table};

const LENGTH_OCTETS: usize = 4;
const NONCE_OCTETS: usize = 24;
const TAG_OCTETS: usize = 16;
const DELETE: u8 = 0;
const PUT: u8 = 1;

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    /// Which journal: each that is begun has a higher one.
    pub generation: u64,
    /// How many records stand before it.
    pub number: u64,
}

/// A record is of a later version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal was written by a later version of this program")]
pub struct UnknownChange;

/// Seals and opens records.
pub struct JournalKey(XChaCha20Poly1305);

impl JournalKey {
    /// From the key of the store.
    pub fn new(store_key: &[u8; 32]) -> Self {
        let key = Zeroizing::new(blake3::derive_key("letterlock/seal/1/journal", store_key));
        Self(XChaCha20Poly1305::new((&*key).into()))
    }

    /// A record of these changes; `None` if they are longer than 4 GiB.
    pub fn seal(
        &self,
        place: RecordPlace,
        ops: &[Op],
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Option<Vec<u8>> {
        let octets = ops.iter().map(|op| match op {
            Op::Put(_, key, value) => key.len().saturating_add(value.len()),
            Op::Delete(_, key) => key.len(),
        });
        let octets = octets.fold(0, usize::saturating_add);
        let overhead = ops.len().saturating_mul(40).saturating_add(64);
        let mut record = Vec::with_capacity(octets.saturating_add(overhead));
        let mut nonce = [0; NONCE_OCTETS];
        rng.fill_bytes(&mut nonce);
        record.extend_from_slice(&[0; LENGTH_OCTETS]);
        record.extend_from_slice(&nonce);
        for op in ops {
            put_op(&mut record, op)?;
        }
        let text = record.get_mut(LENGTH_OCTETS.saturating_add(NONCE_OCTETS)..)?;
        let nonce = XNonce::from_slice(&nonce);
        let tag = self
            .0
            .encrypt_in_place_detached(nonce, &bound(place), text)
            .ok()?;
        record.extend_from_slice(&tag);
        let length = u32::try_from(record.len().checked_sub(LENGTH_OCTETS)?).ok()?;
        let place = record.first_chunk_mut::<LENGTH_OCTETS>()?;
        *place = length.to_le_bytes();
        Some(record)
    }

    /// The changes of the record that octets begin with, and how long it is; `None` if none of
    /// this place is there.
    ///
    /// # Errors
    /// [`UnknownChange`]: a later version of this program has written it.
    pub fn open(
        &self,
        place: RecordPlace,
        octets: &[u8],
    ) -> Result<Option<(Vec<Op>, usize)>, UnknownChange> {
        let Some((text, length)) = self.text(place, octets) else {
            return Ok(None);
        };
        let mut rest = text.as_slice();
        let mut ops = Vec::new();
        while !rest.is_empty() {
            ops.push(take_op(&mut rest).ok_or(UnknownChange)?);
        }
        Ok(Some((ops, length)))
    }

    fn text(&self, place: RecordPlace, octets: &[u8]) -> Option<(Vec<u8>, usize)> {
        let (length, rest) = octets.split_first_chunk::<LENGTH_OCTETS>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let sealed = rest.get(..length)?;
        let (nonce, rest) = sealed.split_at_checked(NONCE_OCTETS)?;
        let (text, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_OCTETS)?)?;
        let mut text = text.to_vec();
        let tag = Tag::from_slice(tag);
        self.0
            .decrypt_in_place_detached(XNonce::from_slice(nonce), &bound(place), &mut text, tag)
            .ok()?;
        Some((text, LENGTH_OCTETS.checked_add(length)?))
    }
}

fn bound(place: RecordPlace) -> [u8; 16] {
    let both = u128::from(place.generation) << 64 | u128::from(place.number);
    both.to_be_bytes()
}

fn put_op(out: &mut Vec<u8>, op: &Op) -> Option<()> {
    let (table, key) = match op {
        Op::Put(table, key, _) | Op::Delete(table, key) => (table, key),
    };
    // A name, since a later version may count tables otherwise.
    put_text(out, table.name().as_bytes())?;
    put_text(out, key)?;
    match op {
        Op::Put(_, _, value) => {
            out.push(PUT);
            put_text(out, value)
        }
        Op::Delete(..) => {
            out.push(DELETE);
            Some(())
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    let length = u32::try_from(text.len()).ok()?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text);
    Some(())
}

fn take_op(rest: &mut &[u8]) -> Option<Op> {
    let name = take_text(rest)?;
    let mut tables = Table::ALL.into_iter();
    let table = tables.find(|table| table.name().as_bytes() == name)?;
    let key = take_text(rest)?.to_vec();
    let (kind, after) = rest.split_first()?;
    *rest = after;
    match *kind {
        DELETE => Some(Op::Delete(table, key)),
        PUT => Some(Op::Put(table, key, take_text(rest)?.to_vec())),
        _ => None,
    }
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (text, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(text)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    const PLACE: RecordPlace = RecordPlace {
        generation: 3,
        number: 1,
    };

    fn record(ops: &[Op]) -> Vec<u8> {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let key = JournalKey::new(&[7; 32]);
        key.seal(PLACE, ops, &mut rng).unwrap()
    }

    #[test]
    fn records_open_in_their_place_alone() {
        let mut ops = Vec::new();
        for table in Table::ALL {
            ops.push(Op::Put(table, b"key".to_vec(), table.name().into()));
            ops.push(Op::Delete(table, b"gone".to_vec()));
        }
        ops.push(Op::Put(Table::Contents, Vec::new(), vec![7; 70_000]));
        let key = JournalKey::new(&[7; 32]);
        for ops in [&ops[..], &[]] {
            let record = record(ops);
            let behind = [&record[..], b"more"].concat();
            assert_eq!(
                key.open(PLACE, &behind),
                Ok(Some((ops.to_vec(), record.len())))
            );
            for (generation, number) in [(3, 0), (2, 1), (4, 1), (1, 3)] {
                let place = RecordPlace { generation, number };
                assert_eq!(key.open(place, &record), Ok(None));
            }
            assert_eq!(JournalKey::new(&[8; 32]).open(PLACE, &record), Ok(None));
        }
    }

    #[test]
    fn what_is_torn_or_altered_is_no_record() {
        let key = JournalKey::new(&[7; 32]);
        let record = record(&[Op::Put(Table::Meta, b"a".to_vec(), b"1".to_vec())]);
        for at in 0..record.len() {
            assert_eq!(key.open(PLACE, &record[..at]), Ok(None));
            let mut altered = record.clone();
            altered[at] ^= 1;
            assert_eq!(key.open(PLACE, &altered), Ok(None), "octet {at}");
        }
        assert_eq!(key.open(PLACE, &[0; 5000]), Ok(None));
        assert_eq!(key.open(PLACE, b""), Ok(None));
    }

    #[test]
    fn what_is_not_known_is_not_passed_over() {
        let sealed = |text: &[u8]| {
            let key = JournalKey::new(&[7; 32]);
            let nonce = [9; NONCE_OCTETS];
            let mut text = text.to_vec();
            let sealing =
                key.0
                    .encrypt_in_place_detached((&nonce).into(), &bound(PLACE), &mut text);
            let tag = sealing.unwrap();
            let length = u32::try_from(nonce.len() + text.len() + tag.len()).unwrap();
            let record = [&length.to_le_bytes()[..], &nonce, &text, &tag].concat();
            key.open(PLACE, &record)
        };
        let known = b"\x04\0\0\0meta\x01\0\0\0a\0";
        assert!(matches!(sealed(known), Ok(Some(_))));
        for text in [
            &b"\x04\0\0\0mete\x01\0\0\0a\0"[..],
            b"\x04\0\0\0meta\x01\0\0\0a\x02",
            b"\x04\0\0\0meta\x01\0\0\0a",
            b"\x04\0\0\0meta\x01\0\0\0a\x01\x02\0\0\0b",
            b"\x05",
        ] {
            assert_eq!(sealed(text), Err(UnknownChange));
        }
    }

    #[test]
    fn the_format_stands() {
        let record = record(&[Op::Delete(Table::Meta, b"a".to_vec())]);
        assert_eq!(record.len(), 4 + 24 + (4 + 4 + 4 + 1 + 1) + 16);
        let hex = format!("{:02x?}", &blake3::hash(&record).as_bytes()[..8]);
        assert_eq!(hex, "[8a, 20, df, af, 98, 6c, 45, 3a]");
    }
}
