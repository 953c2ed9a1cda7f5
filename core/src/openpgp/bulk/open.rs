//! Opening: the container's octets through the platform's AES to what is inside.

use std::borrow::Cow;
use std::collections::VecDeque;

use pgp::composed::PlainSessionKey;
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use sha1::{Digest as _, Sha1};

use super::chunks::{self, Chunks, GCM, HEAD_OCTETS};
use super::document::{Document, Inside};
use super::{BLOCK, BulkCipher, MDC_OCTETS, OPENED_AT_ONCE, Purpose, cfb};
use crate::openpgp::frame::{Frame, Length};

/// The container's packet type (RFC 9580 5.13).
const CONTAINER: u8 = 18;

/// The body of the container that ends a message, part by part.
pub(in crate::openpgp) struct Body<'a> {
    parts: VecDeque<&'a [u8]>,
    len: usize,
}

impl<'a> Body<'a> {
    /// Finds it; `None` if the message is of another form.
    pub(in crate::openpgp) fn find(message: &'a [u8]) -> Option<Self> {
        let mut rest = message;
        loop {
            let frame = Frame::read(rest)?;
            let after = rest.get(frame.head..)?;
            if frame.tag == CONTAINER {
                return Self::gather(frame.length, after);
            }
            let Length::Fixed(octets) = frame.length else {
                return None;
            };
            rest = after.get(octets..)?;
        }
    }

    fn gather(mut length: Length, mut rest: &'a [u8]) -> Option<Self> {
        let (mut parts, mut len) = (VecDeque::new(), 0);
        loop {
            let (octets, last) = match length {
                Length::Fixed(octets) => (octets, true),
                Length::Partial(octets) => (octets, false),
                Length::Indeterminate => (rest.len(), true),
            };
            let (part, after) = rest.split_at_checked(octets)?;
            len += part.len();
            parts.push_back(part);
            if last {
                return after.is_empty().then_some(Self { parts, len });
            }
            let (next, head) = Length::read(after)?;
            (length, rest) = (next, after.get(head..)?);
        }
    }

    /// The next octets, as many as there are and no more than asked for; they are put together if
    /// they come in parts.
    fn take(&mut self, most: usize) -> Cow<'a, [u8]> {
        let wanted = most.min(self.len);
        self.len -= wanted;
        let mut taken = Cow::Borrowed(&[][..]);
        while taken.len() < wanted {
            let Some(part) = self.parts.front_mut() else {
                break;
            };
            let (now, later) = part.split_at((wanted - taken.len()).min(part.len()));
            *part = later;
            if later.is_empty() {
                self.parts.pop_front();
            }
            if taken.is_empty() {
                taken = Cow::Borrowed(now);
            } else {
                taken.to_mut().extend_from_slice(now);
            }
        }
        taken
    }
}

/// What is inside, once all of it has been authenticated; at most so many octets.
pub(in crate::openpgp) async fn inside(
    body: Body<'_>,
    session_key: &PlainSessionKey,
    bulk: &dyn BulkCipher,
    most: usize,
) -> Option<Inside> {
    match session_key {
        PlainSessionKey::V3_4 { sym_alg, key } if is_aes(*sym_alg, key.len()) => {
            version1(body, key.as_ref(), bulk, most).await
        }
        PlainSessionKey::V6 { key } => version2(body, key.as_ref(), bulk, most).await,
        _ => None,
    }
}

fn is_aes(cipher: SymmetricKeyAlgorithm, key_octets: usize) -> bool {
    let is_aes = matches!(
        cipher,
        SymmetricKeyAlgorithm::AES128
            | SymmetricKeyAlgorithm::AES192
            | SymmetricKeyAlgorithm::AES256
    );
    is_aes && cipher.key_size() == key_octets
}

/// SEIPD version 1: AES-CFB, and the digest of all inside it (RFC 9580 5.13.1).
async fn version1(
    mut body: Body<'_>,
    session_key: &[u8],
    bulk: &dyn BulkCipher,
    most: usize,
) -> Option<Inside> {
    if *body.take(1) != [1] {
        return None;
    }
    // A block of random octets, two of which come again.
    let mut prefix_left = BLOCK + 2;
    let mut text_left = body.len.checked_sub(MDC_OCTETS)?;
    text_left.checked_sub(prefix_left)?;
    let key = bulk.key(session_key, Purpose::Blocks).await?;
    let mut opening = cfb::Opening::new(&*key);
    let mut document = Document::new(text_left, most);
    let mut hasher = bulk.beside(Box::new(Sha1::new()));
    let mut mdc = Vec::with_capacity(MDC_OCTETS);
    while body.len > 0 {
        let piece = opening.open(&body.take(OPENED_AT_ONCE))?;
        let (text, end) = piece.split_at_checked(text_left.min(piece.len()))?;
        text_left -= text.len();
        hasher.update(text);
        let (prefix, text) = text.split_at(prefix_left.min(text.len()));
        prefix_left -= prefix.len();
        document.feed(text)?;
        mdc.extend_from_slice(end);
    }
    // The head of the packet of type 19 is hashed too; its digest is nothing secret.
    let (head, digest) = mdc.split_at_checked(2)?;
    hasher.update(head);
    if head != [0xd3, 0x14] || hasher.finish().await? != digest {
        return None;
    }
    document.finish()
}

/// SEIPD version 2 with GCM: chunks, each with a tag, and a last tag over their number of octets
/// (RFC 9580 5.13.2).
async fn version2(
    mut body: Body<'_>,
    session_key: &[u8],
    bulk: &dyn BulkCipher,
    most: usize,
) -> Option<Inside> {
    let head = body.take(HEAD_OCTETS);
    let [2, cipher, GCM, size_octet, salt @ ..] = &*head else {
        return None;
    };
    if !is_aes(SymmetricKeyAlgorithm::from(*cipher), session_key.len())
        || salt.len() != chunks::SALT_OCTETS
    {
        return None;
    }
    let (chunks, key) = Chunks::new(*cipher, *size_octet, salt, session_key)?;
    let key = bulk.key(&key, Purpose::Gcm).await?;
    let mut sealed_left = body.len.checked_sub(BLOCK)?;
    let mut document = Document::new(sealed_left, most);
    let mut under_way = VecDeque::new();
    let (mut index, mut octets) = (0_u64, 0_u64);
    loop {
        while sealed_left > 0 && under_way.len() < chunks.under_way() {
            let sealed = body.take(sealed_left.min(chunks.size + BLOCK));
            sealed_left -= sealed.len();
            under_way.push_back(key.open_gcm(&chunks.nonce(index), chunks.associated(), &sealed));
            index += 1;
        }
        let Some(chunk) = under_way.pop_front() else {
            break;
        };
        let text = chunk.await?;
        octets += u64::try_from(text.len()).ok()?;
        document.feed(&text)?;
    }
    let end = chunks.associated_at_end(octets);
    let tag = body.take(BLOCK);
    let nothing = key.open_gcm(&chunks.nonce(index), &end, &tag).await?;
    nothing.is_empty().then_some(())?;
    document.finish()
}
