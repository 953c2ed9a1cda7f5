//! What is inside the encryption, read as it comes: a literal packet alone, or between a one-pass
//! signature and its signature (RFC 9580 10.3), hashed while it passes by.
//!
//! Invariant: this is no parser of all messages. Whatever is not exactly one of these, with a
//! strong hash and signature and announcement in agreement, is `None`, and rPGP reads it. A
//! compressed packet is gathered as it is, for rPGP.

use pgp::packet::{OnePassSignature, OpsVersionSpecific, PacketHeader, Signature, SignatureType};
use pgp::ser::Serialize as _;
use sha2::digest::DynDigest;
use zeroize::Zeroizing;

use crate::openpgp::frame::{Frame, Length};
use crate::openpgp::pending::PendingSignature;
use crate::openpgp::policy::algorithm;
use crate::openpgp::policy::limits::MAX_SIGNATURE_OCTETS;

/// Everything before the document is within so many octets.
const HEAD_OCTETS: usize = 1024;
/// Packet types (RFC 9580 5).
const SIGNATURE: u8 = 2;
const ONE_PASS_SIGNATURE: u8 = 4;
const COMPRESSED: u8 = 8;
const LITERAL: u8 = 11;
/// A first part of a packet that comes in parts has at least so many octets (RFC 9580 4.2.1.4).
const FIRST_PART_OCTETS: usize = 512;

/// What was inside.
pub(in crate::openpgp) enum Inside {
    /// A document and its signatures.
    Document(Zeroizing<Vec<u8>>, Vec<PendingSignature>),
    /// A compressed message.
    Compressed(Zeroizing<Vec<u8>>),
}

/// Reads it.
pub(super) struct Document {
    state: State,
    announced: Option<Announced>,
    text: Zeroizing<Vec<u8>>,
    /// What stands before the text, between its parts or behind it, as far as it has come.
    aside: Zeroizing<Vec<u8>>,
    most: usize,
}

/// A signature that is to come, and what is hashed for it.
struct Announced {
    packet: OnePassSignature,
    hasher: Box<dyn DynDigest + Send>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Up to the first octet of the document.
    Head,
    /// So many octets of the document, and whether that is all of it.
    Text { left: usize, last: bool },
    /// The length of its next part.
    NextLength,
    /// Behind it.
    Tail,
    /// Compressed: as it is.
    Raw,
}

impl Document {
    /// Of `usual` octets, and never of more than `most`.
    pub(super) fn new(usual: usize, most: usize) -> Self {
        Self {
            state: State::Head,
            announced: None,
            text: Zeroizing::new(Vec::with_capacity(usual.min(most))),
            aside: Zeroizing::default(),
            most,
        }
    }

    /// Reads on.
    pub(super) fn feed(&mut self, mut octets: &[u8]) -> Option<()> {
        while !octets.is_empty() {
            octets = match self.state {
                State::Head => {
                    let room = HEAD_OCTETS - self.aside.len();
                    let (now, later) = octets.split_at(room.min(octets.len()));
                    self.aside.extend_from_slice(now);
                    if self.aside.len() == HEAD_OCTETS {
                        self.begin()?;
                    }
                    later
                }
                State::Text { left: 0, last } => {
                    self.state = if last { State::Tail } else { State::NextLength };
                    octets
                }
                State::Text { left, last } => {
                    let (now, later) = octets.split_at(left.min(octets.len()));
                    self.take(now)?;
                    let left = left - now.len();
                    self.state = State::Text { left, last };
                    later
                }
                State::NextLength => self.next_length(octets)?,
                State::Tail => {
                    self.aside.extend_from_slice(octets);
                    if self.aside.len() > MAX_SIGNATURE_OCTETS {
                        return None;
                    }
                    &[]
                }
                State::Raw => {
                    self.take(octets)?;
                    &[]
                }
            };
        }
        Some(())
    }

    /// What it was, at its end.
    pub(super) fn finish(mut self) -> Option<Inside> {
        if self.state == State::Head {
            self.begin()?;
        }
        match self.state {
            State::Raw => return Some(Inside::Compressed(self.text)),
            State::Tail
            | State::Text {
                left: 0,
                last: true,
            } => {}
            _ => return None,
        }
        let signatures = match self.announced {
            Some(announced) => vec![announced.come(&self.aside, &self.text)?],
            None if self.aside.is_empty() => vec![],
            None => return None,
        };
        Some(Inside::Document(self.text, signatures))
    }

    /// Reads what stands before the document, and what of it came with that.
    fn begin(&mut self) -> Option<()> {
        let head = core::mem::take(&mut self.aside);
        let mut rest: &[u8] = &head;
        let mut frame = Frame::read(rest)?;
        if frame.tag == COMPRESSED {
            self.state = State::Raw;
            return self.take(&head);
        }
        if let (ONE_PASS_SIGNATURE, Length::Fixed(octets)) = (frame.tag, frame.length) {
            let (body, after) = rest.get(frame.head..)?.split_at_checked(octets)?;
            let packet_octets = frame.head + octets;
            self.announced = Some(Announced::read(rest.get(..packet_octets)?, body.len())?);
            rest = after;
            frame = Frame::read(rest)?;
        }
        let (left, last) = match frame.length {
            Length::Fixed(octets) => (octets, true),
            Length::Partial(octets) if octets >= FIRST_PART_OCTETS => (octets, false),
            Length::Partial(_) | Length::Indeterminate => return None,
        };
        let body = rest.get(frame.head..)?;
        // The format, a name, a date (RFC 9580 5.9).
        let (LITERAL, [b'b' | b't' | b'u', name_octets, ..]) = (frame.tag, body) else {
            return None;
        };
        let (fields, text) = body.split_at_checked(2 + usize::from(*name_octets) + 4)?;
        let left = left.checked_sub(fields.len())?;
        self.state = State::Text { left, last };
        self.feed(text)
    }

    fn next_length<'a>(&mut self, octets: &'a [u8]) -> Option<&'a [u8]> {
        let (first, later) = octets.split_first()?;
        self.aside.push(*first);
        if let Some((length, _)) = Length::read(&self.aside) {
            self.aside.clear();
            self.state = match length {
                Length::Fixed(left) => State::Text { left, last: true },
                Length::Partial(left) => State::Text { left, last: false },
                Length::Indeterminate => return None,
            };
        }
        Some(later)
    }

    fn take(&mut self, octets: &[u8]) -> Option<()> {
        if self.text.len() + octets.len() > self.most {
            return None;
        }
        if let Some(announced) = &mut self.announced {
            announced.hasher.update(octets);
        }
        self.text.extend_from_slice(octets);
        Some(())
    }
}

impl Announced {
    /// Reads a one-pass signature packet with a body of so many octets.
    fn read(mut octets: &[u8], body_octets: usize) -> Option<Self> {
        let header = PacketHeader::try_from_reader(&mut octets).ok()?;
        let packet = OnePassSignature::try_from_reader(header, octets).ok()?;
        let hash = packet.hash_algorithm();
        if packet.is_nested()
            || packet.typ() != SignatureType::Binary
            || packet.write_len() != body_octets
            || !algorithm::hash_is_strong(hash)
        {
            return None;
        }
        let mut hasher = hash.new_hasher().ok()?;
        match packet.version_specific() {
            OpsVersionSpecific::V3 { .. } => {}
            OpsVersionSpecific::V6 { salt, .. } if hash.salt_len() == Some(salt.len()) => {
                hasher.update(salt);
            }
            _ => return None,
        }
        Some(Self { packet, hasher })
    }

    /// The signature that was announced, and nothing else, over this document.
    fn come(mut self, mut octets: &[u8], document: &[u8]) -> Option<PendingSignature> {
        let frame = Frame::read(octets)?;
        let body_octets = octets.len().checked_sub(frame.head)?;
        if (frame.tag, frame.length) != (SIGNATURE, Length::Fixed(body_octets)) {
            return None;
        }
        let header = PacketHeader::try_from_reader(&mut octets).ok()?;
        let signature = Signature::try_from_reader(header, octets).ok()?;
        if signature.write_len() != body_octets || !self.packet.matches(&signature) {
            return None;
        }
        let config = signature.config()?;
        let length = config.hash_signature_data(&mut self.hasher).ok()?;
        self.hasher.update(&config.trailer(length).ok()?);
        let digest = self.hasher.finalize().into_vec();
        Some(PendingSignature::hashed(signature, Some(digest), document))
    }
}
