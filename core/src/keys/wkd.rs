//! The Web Key Directory (draft-koch-openpgp-webkey-service): where a domain publishes the
//! certificates of its addresses.
//!
//! Invariant: a published certificate names one address. Rejected: publishing certificates as they
//! are; whoever asks for one address would learn the owner's others.

use sha1::{Digest as _, Sha1};

/// The digits of z-base-32.
const DIGITS: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";

/// The name of a local part in the directory: z-base-32 of its SHA-1, with ASCII letters in lower
/// case (section 3.1 of the draft).
///
/// ```
/// use letterlock_core::keys::wkd;
/// assert_eq!(wkd::name_of("Joe.Doe"), "iy9q119eutrkn8s1mk4r39qejnbu3n5q");
/// ```
pub fn name_of(local_part: &str) -> String {
    let digest = Sha1::digest(local_part.to_ascii_lowercase());
    // 160 bits are 32 digits of 5 exactly: 5 octets at a time.
    digest.chunks_exact(5).flat_map(digits).collect()
}

fn digits(octets: &[u8]) -> impl Iterator<Item = char> {
    let bits = octets
        .iter()
        .fold(0_u64, |bits, octet| (bits << 8) | u64::from(*octet));
    (0..8).rev().filter_map(move |place| {
        let digit = usize::try_from((bits >> (place * 5)) & 31).ok()?;
        DIGITS.get(digit).copied().map(char::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_32_digits_of_the_alphabet() {
        for local in ["", "a", "alice", "ÄÖ", &"x".repeat(64)] {
            let name = name_of(local);
            assert_eq!(name.len(), 32);
            assert!(name.bytes().all(|digit| DIGITS.contains(&digit)), "{name}");
        }
        // Only ASCII letters are folded.
        assert_eq!(name_of("ALICE"), name_of("alice"));
        assert_ne!(name_of("Ä"), name_of("ä"));
    }
}
