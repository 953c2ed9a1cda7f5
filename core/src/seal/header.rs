//! The clear header of an envelope: what the provider sees of a document.
//!
//! ```text
//! octets   0  4  magic "LLS1"         64  8  revision, big-endian, from 1
//!          4  1  suite, 1             72 32  hash of the previous envelope, zero for revision 1
//!          5  1  flags, 0            104 16  replica that sealed it
//!          6  2  reserved, 0         120     nonce (24), ciphertext, tag (16)
//!          8  4  epoch, big-endian
//!         12  4  reserved, 0
//!         16 16  account
//!         32 16  collection
//!         48 16  document
//! ```

use crate::id::{AccountId, CollectionId, DocId, ReplicaId, Revision};

/// First octets of every envelope; the digit is the version of the format.
pub const MAGIC: [u8; 4] = *b"LLS1";
/// XChaCha20-Poly1305 with a key per document.
pub const SUITE_XCHACHA20_POLY1305: u8 = 1;
/// Length of the header in octets.
pub const HEADER_LEN: usize = 120;

/// What stands in the clear in front of a sealed document, authenticated with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Whose document it is.
    pub account: AccountId,
    /// Blinded collection.
    pub collection: CollectionId,
    /// Blinded document.
    pub document: DocId,
    /// Revision, counted from 1.
    pub revision: Revision,
    /// BLAKE3 of the previous revision's envelope; zero for the first.
    pub previous: [u8; 32],
    /// The replica that sealed this revision.
    pub replica: ReplicaId,
    /// Key epoch of the account.
    pub epoch: u32,
}

/// Why octets are no envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Too short to be one.
    #[error("is too short to be a sealed document")]
    Short,
    /// Not our magic.
    #[error("is not a sealed document")]
    Magic,
    /// A later version than this program knows.
    #[error("was sealed by a newer version of Letterlock: update this device")]
    Newer,
    /// A field has a value that it cannot have.
    #[error("has a damaged header")]
    Field,
}

impl Header {
    /// Reads the header of an envelope.
    pub fn parse(envelope: &[u8]) -> Result<Self, HeaderError> {
        let octets = envelope
            .first_chunk::<HEADER_LEN>()
            .ok_or(HeaderError::Short)?;
        let (magic, rest) = octets.split_at(4);
        match magic {
            magic if magic == MAGIC => {}
            [b'L', b'L', b'S', version] if *version > b'1' => return Err(HeaderError::Newer),
            _ => return Err(HeaderError::Magic),
        }
        let mut rest = Reader(rest);
        let [suite] = rest.take::<1>()?;
        if suite != SUITE_XCHACHA20_POLY1305 {
            return Err(HeaderError::Newer);
        }
        if rest.take::<3>()? != [0; 3] {
            return Err(HeaderError::Newer);
        }
        let epoch = u32::from_be_bytes(rest.take()?);
        if rest.take::<4>()? != [0; 4] {
            return Err(HeaderError::Newer);
        }
        Ok(Self {
            epoch,
            account: AccountId::new(rest.take()?),
            collection: CollectionId::new(rest.take()?),
            document: DocId::new(rest.take()?),
            revision: Revision::new(u64::from_be_bytes(rest.take()?)).ok_or(HeaderError::Field)?,
            previous: rest.take()?,
            replica: ReplicaId::new(rest.take()?),
        })
    }

    /// Writes the header.
    pub fn to_octets(&self) -> [u8; HEADER_LEN] {
        let mut octets = [0; HEADER_LEN];
        let fields: [&[u8]; 9] = [
            &MAGIC,
            &[SUITE_XCHACHA20_POLY1305, 0, 0, 0],
            &self.epoch.to_be_bytes(),
            &[0; 4],
            self.account.as_bytes(),
            self.collection.as_bytes(),
            self.document.as_bytes(),
            &self.revision.get().to_be_bytes(),
            &self.previous,
        ];
        let all = fields
            .into_iter()
            .chain([&self.replica.as_bytes()[..]])
            .flatten();
        for (slot, octet) in octets.iter_mut().zip(all) {
            *slot = *octet;
        }
        octets
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(HeaderError::Short)?;
        self.0 = rest;
        Ok(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        Header {
            account: AccountId::new([1; 16]),
            collection: CollectionId::new([2; 16]),
            document: DocId::new([3; 16]),
            revision: Revision::new(0x0102).unwrap(),
            previous: [4; 32],
            replica: ReplicaId::new([5; 16]),
            epoch: 7,
        }
    }

    #[test]
    fn the_layout_stands() {
        let octets = sample().to_octets();
        assert_eq!(Header::parse(&octets), Ok(sample()));
        let mut golden = b"LLS1\x01\0\0\0\0\0\0\x07\0\0\0\0".to_vec();
        golden.extend([1; 16]);
        golden.extend([2; 16]);
        golden.extend([3; 16]);
        golden.extend([0, 0, 0, 0, 0, 0, 1, 2]);
        golden.extend([4; 32]);
        golden.extend([5; 16]);
        assert_eq!(octets[..], golden[..]);
    }

    #[test]
    fn strange_headers_are_told_apart() {
        let mut octets = sample().to_octets();
        assert_eq!(Header::parse(&octets[..119]), Err(HeaderError::Short));
        octets[3] = b'2';
        assert_eq!(Header::parse(&octets), Err(HeaderError::Newer));
        octets[0] = b'X';
        assert_eq!(Header::parse(&octets), Err(HeaderError::Magic));
        let mut octets = sample().to_octets();
        octets[64..72].fill(0);
        assert_eq!(Header::parse(&octets), Err(HeaderError::Field));
    }
}
