//! The cleartext signature framework (RFC 9580 7): text that everybody can read, with a signature
//! behind it in the same text.
//!
//! Mail signed so is read and never written; the command line writes it too.
//! Invariant: what is verified is exactly what stands between the header and the signature, and
//! nothing but the framework's own fields stands in the header, because a program that shows the
//! whole block would show a stranger's field as signed. Rejected: rPGP's reader, which takes any
//! armor header, and judges by itself.

use memchr::memmem;
use rand::{CryptoRng, RngCore};

use super::armor;
use super::sign::{self, Mode, SignError};
use super::{PendingSignatures, SecretCertificate};
use crate::id::Timestamp;

const BEGIN: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &[u8] = b"-----BEGIN PGP SIGNATURE-----";
const END: &[u8] = b"-----END PGP SIGNATURE-----";

/// A text and the signatures that stand behind it.
#[derive(Debug, Clone)]
pub struct Cleartext {
    /// The text, dashes unescaped, with the line ends that it came with, white space at line ends
    /// included: it is not signed, and not changed.
    pub text: Vec<u8>,
    /// The block of signatures, armored.
    pub signature: Vec<u8>,
}

impl Cleartext {
    /// Takes octets apart that are one signed text and nothing else, white space around it aside.
    pub fn read(octets: &[u8]) -> Option<Self> {
        let octets = octets.trim_ascii();
        let after = octets.strip_prefix(BEGIN)?;
        if !octets.ends_with(END) || memmem::find_iter(octets, BEGIN).nth(1).is_some() {
            return None;
        }
        let (first, mut rest) = line(after);
        if !first.trim_ascii().is_empty() {
            return None;
        }
        loop {
            let (header, behind) = line(rest);
            if behind.len() == rest.len() {
                return None;
            }
            rest = behind;
            if header.trim_ascii().is_empty() {
                break;
            }
            if !header.starts_with(b"Hash:") {
                return None;
            }
        }
        let mut text = Vec::with_capacity(rest.len());
        loop {
            let (raw, behind) = line(rest);
            if raw.trim_ascii_end() == SIGNATURE {
                break;
            }
            if behind.len() == rest.len() {
                return None;
            }
            let (content, end) = raw_and_end(rest, behind, raw);
            // A line that begins with a dash and is not escaped ends the text (RFC 9580 7.2).
            text.extend_from_slice(match content.strip_prefix(b"- ") {
                Some(unescaped) => unescaped,
                None if content.starts_with(b"-") => return None,
                None => content,
            });
            text.extend_from_slice(end);
            rest = behind;
        }
        // The last line end belongs to the signature.
        let text = match text
            .strip_suffix(b"\r\n")
            .or_else(|| text.strip_suffix(b"\n"))
        {
            Some(text) => text.to_vec(),
            None => text,
        };
        let block = memmem::find_iter(rest, SIGNATURE).nth(1).is_none();
        block.then(|| Self {
            text,
            signature: rest.to_vec(),
        })
    }

    /// The signatures, over the text as it is signed.
    pub fn signatures(&self) -> PendingSignatures {
        sign::read_detached(&canonical(&self.text), &self.signature)
    }

    /// Signs a text with all of these keys; LF line ends become CRLF where CRLF is used before.
    pub fn sign(
        text: &[u8],
        signers: &[SecretCertificate],
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Self, SignError> {
        let signature = sign::packets(&canonical(text), signers, Mode::Text, now, rng)?;
        Ok(Self {
            text: text.to_vec(),
            signature: armor::wrap(&signature).ok_or(SignError::Failed)?,
        })
    }

    /// As it is written.
    pub fn write(&self) -> Vec<u8> {
        let mut out = [BEGIN, b"\nHash: SHA512\n\n"].concat();
        for line in self.text.split_inclusive(|octet| *octet == b'\n') {
            if line.starts_with(b"-") {
                out.extend_from_slice(b"- ");
            }
            out.extend_from_slice(line);
        }
        out.push(b'\n');
        out.extend_from_slice(&self.signature);
        out
    }
}

/// The text as it is signed: CRLF line ends, no white space before them (RFC 9580 7.2).
fn canonical(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 32);
    let mut lines = text.split(|octet| *octet == b'\n').peekable();
    while let Some(line) = lines.next() {
        out.extend_from_slice(line.trim_ascii_end());
        if lines.peek().is_some() {
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

/// The first line without its end, and what follows.
fn line(octets: &[u8]) -> (&[u8], &[u8]) {
    let at = memchr::memchr(b'\n', octets);
    let (first, rest) = match at {
        Some(at) => octets.split_at_checked(at + 1).unwrap_or((octets, &[])),
        None => (octets, octets.get(octets.len()..).unwrap_or_default()),
    };
    let first = first.strip_suffix(b"\n").unwrap_or(first);
    (first.strip_suffix(b"\r").unwrap_or(first), rest)
}

/// A line's content, and the line end that it came with.
fn raw_and_end<'a>(from: &'a [u8], behind: &[u8], content: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let whole = from.get(..from.len() - behind.len()).unwrap_or(from);
    (content, whole.get(content.len()..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::openpgp::protection::SignatureStatus;
    use crate::openpgp::test_support::{NOW, address, later, rng, secret};

    fn signed(text: &[u8]) -> Vec<u8> {
        let signers = [secret("alice")];
        Cleartext::sign(text, &signers, NOW, &mut rng(1))
            .unwrap()
            .write()
    }

    fn judged(octets: &[u8]) -> Option<SignatureStatus> {
        let read = Cleartext::read(octets)?;
        let alices = [secret("alice").certificate().clone()];
        Some(
            read.signatures()
                .judge(&alices, Some(&address("alice")), later(60)),
        )
    }

    fn is_valid(octets: &[u8]) -> bool {
        matches!(judged(octets), Some(SignatureStatus::Valid { .. }))
    }

    #[test]
    fn what_is_signed_is_read_back() {
        for text in [
            "",
            "one",
            "one\ntwo\n",
            "- dash\n-----BEGIN\nFrom\n",
            "a \t\r\nb\r\n",
            "\n\n",
        ] {
            let written = signed(text.as_bytes());
            let read = Cleartext::read(&written).unwrap();
            assert_eq!(read.text, text.as_bytes());
            assert!(is_valid(&written), "{text:?}");
            // Mail programs change line ends, and take white space off their ends.
            let crlf = String::from_utf8(written)
                .unwrap()
                .replace("\r\n", "\n")
                .replace('\n', "\r\n");
            assert!(is_valid(crlf.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn what_stands_in_the_wrong_place_is_no_signed_text() {
        let good = String::from_utf8(signed(b"Yes, I agree.\n")).unwrap();
        for wrong in [
            good.replace("Hash: SHA512\n", "Comment: pay a million\n"),
            good.replace("Hash: SHA512\n\n", "Hash: SHA512\nPay a million.\n\n"),
            good.replace(
                "-----BEGIN PGP SIGNED MESSAGE-----",
                "-----BEGIN PGP SIGNED MESSAGE----- x",
            ),
            format!("Pay a million.\n{good}"),
            format!("{good}\nPay a million."),
            format!("{good}\n{good}"),
            good.replace("Yes", "-Yes"),
            good.replace(
                "-----BEGIN PGP SIGNATURE-----",
                "-----BEGIN PGP SIGNATURES-----",
            ),
        ] {
            assert!(Cleartext::read(wrong.as_bytes()).is_none(), "{wrong}");
        }
        let changed = good.replace("Yes", "No");
        assert!(matches!(
            judged(changed.as_bytes()),
            Some(SignatureStatus::Bad { .. })
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_text_survives(text in "[-a \t\r\n=>]{0,60}") {
            let written = signed(text.as_bytes());
            prop_assert!(is_valid(&written), "{:?}", text);
        }

        #[test]
        fn no_octets_break_the_reader(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let framed = [BEGIN, b"\n\n", octets.as_slice(), b"\n", SIGNATURE, b"\n", END].concat();
            drop(Cleartext::read(&framed));
            drop(Cleartext::read(&octets));
        }
    }
}
