//! Hexadecimal digits, as ids and codes are written.

use super::InvalidId;

/// Reads as many octets as there is room for: two digits each, in either case, and no more.
pub(crate) fn decode_hex(text: &str, into: &mut [u8]) -> Result<(), InvalidId> {
    let digits = text.as_bytes();
    if digits.len() != into.len().saturating_mul(2) {
        return Err(InvalidId::Form);
    }
    let digit = |octet: u8| {
        char::from(octet)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    for (slot, pair) in into.iter_mut().zip(digits.chunks_exact(2)) {
        let &[high, low] = pair else {
            return Err(InvalidId::Form);
        };
        let (Some(high), Some(low)) = (digit(high), digit(low)) else {
            return Err(InvalidId::Character);
        };
        *slot = (high << 4) | low;
    }
    Ok(())
}
