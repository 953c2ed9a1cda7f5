//! The frames of packets: type, length, where the body begins (RFC 9580 4.2).
//!
//! For looks at messages that rPGP does not give: before it reads them, and piece by piece.

/// The head of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// The packet type.
    pub(super) tag: u8,
    /// Octets of the head: the body begins behind them.
    pub(super) head: usize,
    /// How long the body is.
    pub(super) length: Length,
}

/// How long a body is, or the part of it that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// So many octets, and then it ends.
    Fixed(usize),
    /// So many octets, and then another length (RFC 9580 4.2.1.4).
    Partial(usize),
    /// Up to the end of everything.
    Indeterminate,
}

impl Frame {
    /// The frame at the beginning of these octets; `None` if they are no packet or too few.
    pub(super) fn read(octets: &[u8]) -> Option<Self> {
        let (first, after) = octets.split_first()?;
        if first & 0x80 == 0 {
            return None;
        }
        if first & 0x40 == 0 {
            return Self::read_legacy(*first, after);
        }
        let (length, size) = Length::read(after)?;
        Some(Self {
            tag: first & 0x3f,
            head: 1 + size,
            length,
        })
    }

    fn read_legacy(first: u8, after: &[u8]) -> Option<Self> {
        let (size, length) = match (first & 3, after) {
            (0, [length, ..]) => (1, Length::Fixed(usize::from(*length))),
            (1, [high, low, ..]) => {
                let length = u16::from_be_bytes([*high, *low]);
                (2, Length::Fixed(usize::from(length)))
            }
            (2, [a, b, c, d, ..]) => (4, Length::Fixed(four(*a, *b, *c, *d)?)),
            (3, _) => (0, Length::Indeterminate),
            _ => return None,
        };
        Some(Self {
            tag: (first >> 2) & 0x0f,
            head: 1 + size,
            length,
        })
    }
}

impl Length {
    /// A length of the new format, and in how many octets it stands.
    pub(super) fn read(octets: &[u8]) -> Option<(Self, usize)> {
        match octets {
            [length @ 0..=191, ..] => Some((Self::Fixed(usize::from(*length)), 1)),
            [high @ 192..=223, low, ..] => {
                let length = (usize::from(*high) - 192) * 256 + usize::from(*low) + 192;
                Some((Self::Fixed(length), 2))
            }
            [255, a, b, c, d, ..] => Some((Self::Fixed(four(*a, *b, *c, *d)?), 5)),
            [partial @ 224..=254, ..] => Some((Self::Partial(1 << (partial & 0x1f)), 1)),
            _ => None,
        }
    }
}

fn four(a: u8, b: u8, c: u8, d: u8) -> Option<usize> {
    usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()
}
