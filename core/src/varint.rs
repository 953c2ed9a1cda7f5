//! Numbers in as few octets as they need: seven bits an octet, the lowest first, the high bit set
//! where more follow (LEB128). Shared by the rows of the search index, pages and coded contents.

/// Most octets of a number of 32 bits.
const MAX_OCTETS: usize = 5;
/// Most octets of a number of 64 bits.
const MAX_LONG_OCTETS: usize = 10;

/// Appends a number.
pub(crate) fn put(number: impl Into<u64>, out: &mut Vec<u8>) {
    let mut number: u64 = number.into();
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Appends a length; one beyond 2^32 does not occur, rows are far shorter.
pub(crate) fn put_length(length: usize, out: &mut Vec<u8>) {
    put(u32::try_from(length).unwrap_or(u32::MAX), out);
}

/// Takes a number of 32 bits off the front.
pub(crate) fn take(octets: &mut &[u8]) -> Option<u32> {
    u32::try_from(take_up_to(octets, MAX_OCTETS)?).ok()
}

/// Takes a number of 64 bits off the front. Bits above the 64th are lost; whoever wrote them wrote
/// no number of ours.
pub(crate) fn take_long(octets: &mut &[u8]) -> Option<u64> {
    take_up_to(octets, MAX_LONG_OCTETS)
}

#[inline]
fn take_up_to(octets: &mut &[u8], most: usize) -> Option<u64> {
    let mut number = 0_u64;
    for nth in 0..most {
        let (&octet, rest) = octets.split_first()?;
        *octets = rest;
        number |= u64::from(octet & 0x7f).checked_shl(u32::try_from(nth * 7).ok()?)?;
        if octet & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Takes a length off the front.
pub(crate) fn take_length(octets: &mut &[u8]) -> Option<usize> {
    take(octets).map(|length| length as usize)
}

/// Takes that many octets off the front.
pub(crate) fn take_octets<'a>(octets: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = octets.split_at_checked(length)?;
    *octets = rest;
    Some(taken)
}

/// Takes off the octets of so many numbers, unread.
pub(crate) fn take_numbers<'a>(octets: &mut &'a [u8], count: u32) -> Option<&'a [u8]> {
    if count == 0 {
        return Some(&[]);
    }
    let mut left = count;
    let end = octets.iter().position(|octet| {
        if octet & 0x80 == 0 {
            left = left.saturating_sub(1);
        }
        left == 0
    })?;
    take_octets(octets, end.checked_add(1)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_go_both_ways(numbers in proptest::collection::vec(any::<u32>(), 0..20)) {
            let mut octets = Vec::new();
            for number in &numbers {
                put(*number, &mut octets);
            }
            let mut rest = &octets[..];
            let count = u32::try_from(numbers.len()).unwrap();
            prop_assert_eq!(take_numbers(&mut rest, count), Some(&octets[..]));
            let mut rest = &octets[..];
            for number in numbers {
                prop_assert_eq!(take(&mut rest), Some(number));
            }
            prop_assert_eq!(take(&mut rest), None);
        }

        #[test]
        fn long_numbers_go_both_ways(number in any::<u64>()) {
            let mut octets = Vec::new();
            put(number, &mut octets);
            let mut rest = &octets[..];
            prop_assert_eq!(take_long(&mut rest), Some(number));
            prop_assert!(rest.is_empty());
            let short = take(&mut &octets[..]);
            prop_assert_eq!(short, u32::try_from(number).ok());
        }

        #[test]
        fn anything_is_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..20)) {
            let mut rest = &octets[..];
            while take(&mut rest).is_some() {}
            let mut rest = &octets[..];
            while take_long(&mut rest).is_some() {}
        }
    }
}
