//! Padmé (PURBs, Nikitin and others 2019): lengths are rounded up so that they tell O(log log n)
//! bits, at a cost of at most 12 %; nothing is shorter than [`FLOOR`].

/// Shortest padded payload in octets.
pub(super) const FLOOR: usize = 192;
const LENGTH_OCTETS: usize = 4;

/// Longest payload, in octets.
pub(super) const MAX_PAYLOAD: usize = 0x7fff_ffff;

/// Length prefix, payload, zeros up to the padded length. `None` over [`MAX_PAYLOAD`].
pub(super) fn pad(payload: &[u8]) -> Option<Vec<u8>> {
    if payload.len() > MAX_PAYLOAD {
        return None;
    }
    let length = u32::try_from(payload.len()).ok()?;
    let mut padded = Vec::new();
    padded.reserve_exact(padme(payload.len().checked_add(LENGTH_OCTETS)?));
    padded.extend_from_slice(&length.to_be_bytes());
    padded.extend_from_slice(payload);
    padded.resize(padme(padded.len()), 0);
    Some(padded)
}

/// The payload of a padded one; `None` if the padding is not what [`pad`] writes.
pub(super) fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let (length, rest) = padded.split_first_chunk::<LENGTH_OCTETS>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (payload, zeros) = rest.split_at_checked(length)?;
    zeros.iter().all(|octet| *octet == 0).then_some(payload)
}

fn padme(length: usize) -> usize {
    if length <= FLOOR {
        return FLOOR;
    }
    let exponent = length.ilog2();
    let precision = exponent.ilog2().saturating_add(1);
    let mask = (1_usize << exponent.saturating_sub(precision)).saturating_sub(1);
    length.saturating_add(mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_goes_both_ways_and_costs_little() {
        for length in [0, 1, 187, 188, 189, 1000, 4093, 70_000, 1_000_001] {
            let payload = vec![0xa5; length];
            let padded = pad(&payload).unwrap();
            assert!(padded.len() >= FLOOR);
            assert!(
                padded.len() <= FLOOR.max((length + 4) * 112 / 100 + 1),
                "{length}"
            );
            assert_eq!(unpad(&padded), Some(&payload[..]));
        }
    }

    #[test]
    fn foreign_padding_is_refused() {
        assert_eq!(unpad(&[0, 0]), None);
        assert_eq!(unpad(&[0, 0, 0, 9, 1]), None);
        assert_eq!(unpad(&[0, 0, 0, 1, 1, 1]), None);
    }
}
