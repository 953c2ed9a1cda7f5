//! Sealing: a document, signed or not, through the platform's AES into a container.
//!
//! While the platform encrypts one piece, the next is put together and hashed.

use std::collections::VecDeque;
use std::io::Write as _;

use pgp::packet::SignatureHasher;
use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

use super::chunks::{CONTAINER, Chunks, GCM, SALT_OCTETS};
use super::{BLOCK, BulkCipher, BulkKey, MDC_OCTETS, Purpose, SEALED_AT_ONCE, cfb};

/// How the container is made.
pub(in crate::openpgp) enum Scheme {
    /// SEIPD version 1 behind these random octets.
    Version1([u8; BLOCK]),
    /// SEIPD version 2: GCM with this cipher, chunks of this size octet, this salt.
    Version2 {
        cipher: u8,
        size_octet: u8,
        salt: [u8; SALT_OCTETS],
    },
}

/// What goes into the container.
pub(in crate::openpgp) struct Contents<'a> {
    /// The packets before the document, up to its first octet.
    pub(in crate::openpgp) head: Vec<u8>,
    /// The document.
    pub(in crate::openpgp) document: &'a [u8],
    /// What hashes it, for the signatures behind it.
    pub(in crate::openpgp) hashers: Vec<SignatureHasher>,
    /// Makes these signatures.
    pub(in crate::openpgp) sign: &'a (dyn Fn(Vec<SignatureHasher>) -> Option<Vec<u8>> + Sync),
}

impl Contents<'_> {
    /// Appends the next octets, as many as there are and no more than these.
    fn read(&mut self, out: &mut Vec<u8>, most: usize) -> Option<()> {
        let mut room = most;
        while room > 0 {
            if !self.head.is_empty() {
                let now = room.min(self.head.len());
                out.extend(self.head.drain(..now));
                room -= now;
            } else if !self.document.is_empty() {
                let (now, later) = self.document.split_at(room.min(self.document.len()));
                for hasher in &mut self.hashers {
                    hasher.write_all(now).ok()?;
                }
                out.extend_from_slice(now);
                room -= now.len();
                self.document = later;
            } else if self.hashers.is_empty() {
                break;
            } else {
                // What is behind the document is read as what is before it was.
                self.head = (self.sign)(core::mem::take(&mut self.hashers))?;
            }
        }
        Some(())
    }
}

/// Appends a container with these contents to a message.
pub(in crate::openpgp) async fn container(
    message: &mut Vec<u8>,
    contents: Contents<'_>,
    scheme: &Scheme,
    session_key: &[u8],
    bulk: &dyn BulkCipher,
) -> Option<()> {
    // A length of five octets, known at the end.
    message.extend_from_slice(&[CONTAINER, 0xff, 0, 0, 0, 0]);
    let start = message.len();
    match scheme {
        Scheme::Version1(random) => {
            message.push(1);
            let key = bulk.key(session_key, Purpose::Chain).await?;
            version1(message, contents, random, &*key).await?;
        }
        Scheme::Version2 {
            cipher,
            size_octet,
            salt,
        } => {
            message.extend_from_slice(&[2, *cipher, GCM, *size_octet]);
            message.extend_from_slice(salt);
            let (chunks, key) = Chunks::new(*cipher, *size_octet, salt, session_key)?;
            let key = bulk.key(&key, Purpose::Gcm).await?;
            version2(message, contents, &chunks, &*key).await?;
        }
    }
    let length = u32::try_from(message.len().checked_sub(start)?).ok()?;
    let place = message.get_mut(..start)?.last_chunk_mut()?;
    *place = length.to_be_bytes();
    Some(())
}

async fn version1(
    out: &mut Vec<u8>,
    mut contents: Contents<'_>,
    random: &[u8; BLOCK],
    key: &dyn BulkKey,
) -> Option<()> {
    let mut hasher = Sha1::new();
    let mut next = |first: &[u8]| -> Option<(cfb::Piece, bool)> {
        let mut piece = cfb::Piece::new(SEALED_AT_ONCE + MDC_OCTETS);
        let text = piece.plaintext();
        text.extend_from_slice(first);
        contents.read(text, SEALED_AT_ONCE - first.len())?;
        hasher.update(text.get(BLOCK..)?);
        let last = piece.len() < SEALED_AT_ONCE;
        if last {
            let head = [0xd3, 0x14];
            hasher.update(head);
            let text = piece.plaintext();
            text.extend_from_slice(&head);
            text.extend_from_slice(&hasher.finalize_reset());
        }
        Some((piece, last))
    };
    let [.., a, b] = *random;
    let (mut piece, mut last) = next(&[&random[..], &[a, b]].concat())?;
    loop {
        let stream = piece.begin(key);
        let following = if last { None } else { Some(next(&[])?) };
        out.extend_from_slice(piece.seal(&stream.await?)?);
        let Some((mut later, is_last)) = following else {
            return Some(());
        };
        later.follow(&piece)?;
        (piece, last) = (later, is_last);
    }
}

async fn version2(
    out: &mut Vec<u8>,
    mut contents: Contents<'_>,
    chunks: &Chunks,
    key: &dyn BulkKey,
) -> Option<()> {
    let mut under_way = VecDeque::new();
    let (mut index, mut octets) = (0_u64, 0_u64);
    let mut chunk = Zeroizing::new(Vec::with_capacity(chunks.size));
    loop {
        chunk.clear();
        contents.read(&mut chunk, chunks.size)?;
        if chunk.is_empty() {
            break;
        }
        under_way.push_back(key.seal_gcm(&chunks.nonce(index), chunks.associated(), &chunk));
        index += 1;
        octets += u64::try_from(chunk.len()).ok()?;
        if under_way.len() >= chunks.under_way()
            && let Some(sealed) = under_way.pop_front()
        {
            out.extend_from_slice(&sealed.await?);
        }
    }
    for sealed in under_way {
        out.extend_from_slice(&sealed.await?);
    }
    let end = chunks.associated_at_end(octets);
    out.extend_from_slice(&key.seal_gcm(&chunks.nonce(index), &end, &[]).await?);
    Some(())
}
