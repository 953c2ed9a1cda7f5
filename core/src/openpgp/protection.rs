//! What protected a message on its way: typed, stored, and written into two status fields.
//!
//! ```abnf
//! encryption-field = "Letterlock-Encryption:" SP encryption CRLF
//! encryption       = "none"
//!                  / "encrypted; fingerprint=" hex "; cipher=" token
//!                  / "repaired; fingerprint=" hex "; cipher=" token
//!                  / "undecryptable; reason=" token
//! signature-field  = "Letterlock-Signature:" SP signature CRLF
//! signature        = "none"
//!                  / "valid; fingerprint=" hex "; address=" value
//!                  / "wrong-sender; fingerprint=" hex [ "; address=" value ]
//!                  / "expired; fingerprint=" hex
//!                  / "weak; fingerprint=" hex
//!                  / "bad; reason=" token
//!                  / "unknown-key" [ "; issuer=" hex ]
//! hex              = 16HEXDIG / 40HEXDIG / 64HEXDIG        ; upper case
//! token            = 1*( ALPHA / DIGIT / "-" )             ; lower case
//! value            = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "@" / "+" / pct-encoded )
//! ```
//!
//! `fingerprint` in the first field is of our certificate that opened the message, in the second
//! of the signer's; always the primary key's. There is one summary per message (RFC 9787 3):
//! several signatures give the best of them. The address of `valid` is the message's From.
//!
//! `repaired` is what was encrypted to us in a form that something on the way has taken apart: it is
//! shown, but the message as it came has no cryptographic envelope, so nothing of its outside is
//! vouched for (RFC 9787 4). A signature is told only if it stands inside the encryption.
//!
//! Invariant: fields of these names are removed from whatever is received before ours are added.
//! What a mail program appends or a person imports keeps its octets, and with them such fields;
//! its typed status is that of the account's own judgement, [`Protection::NONE`] unless the
//! account has the very same message. Rejected: a field that names the account, or has a secret
//! of it, for mail programs to compare; whoever has seen one message could write the next.
//! Rejected: removing or renaming them there; FETCH must give what APPEND brought, and an import
//! what an export wrote.

use core::fmt::{self, Write as _};
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use super::fingerprint::{Fingerprint, Issuer};
use crate::id::Address;
use crate::mime::has_status_fields;

/// Name of the status field about encryption.
pub const ENCRYPTION_FIELD: &str = "Letterlock-Encryption";
/// Name of the status field about signatures.
pub const SIGNATURE_FIELD: &str = "Letterlock-Signature";

/// The cryptographic summary of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// How it was encrypted.
    pub encryption: Encryption,
    /// Who signed it.
    pub signature: SignatureStatus,
}

impl Protection {
    /// Neither encrypted nor signed.
    pub const NONE: Self = Self {
        encryption: Encryption::None,
        signature: SignatureStatus::None,
    };

    /// The two status fields, each with its CRLF.
    pub fn header_fields(&self) -> String {
        format!(
            "{ENCRYPTION_FIELD}: {}\r\n{SIGNATURE_FIELD}: {}\r\n",
            self.encryption, self.signature
        )
    }

    /// Whether a message begins with status fields that are not these. What was appended or
    /// imported keeps its octets, so it may have fields that somebody else wrote: they prove
    /// nothing, and this is what tells.
    pub fn is_claimed_otherwise(&self, message: &[u8]) -> bool {
        let ours = self.header_fields();
        let rest = if *self == Self::NONE {
            message
        } else {
            message.strip_prefix(ours.as_bytes()).unwrap_or(message)
        };
        has_status_fields(rest)
    }
}

/// How a message was encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encryption {
    /// Not at all.
    None,
    /// To a certificate of ours, and it opened.
    ToUs {
        /// The certificate's.
        fingerprint: Fingerprint,
        /// What the content was encrypted with.
        cipher: Cipher,
    },
    /// Encrypted, and shown as it came.
    Undecryptable {
        /// Why.
        reason: Undecryptable,
    },
    /// To a certificate of ours, in a form that was mangled on the way, and put together again.
    Repaired {
        /// The certificate's.
        fingerprint: Fingerprint,
        /// What the content was encrypted with.
        cipher: Cipher,
    },
}

/// Symmetric cipher and container of an encrypted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cipher {
    /// AES-128 with modification detection (SEIPD version 1).
    Aes128,
    /// AES-192 with modification detection.
    Aes192,
    /// AES-256 with modification detection.
    Aes256,
    /// AES-128, authenticated (SEIPD version 2).
    Aes128Aead,
    /// AES-192, authenticated.
    Aes192Aead,
    /// AES-256, authenticated.
    Aes256Aead,
    /// Camellia, Twofish or another older cipher with 128-bit blocks.
    Other,
    /// 64-bit blocks (3DES, CAST5, Blowfish, IDEA): readable, not good.
    Weak,
}

/// Why an encrypted message did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Undecryptable {
    /// None of our keys is among its recipients.
    NoKey,
    /// Only a password opens it.
    Password,
    /// Changed on the way, cut off, or no OpenPGP message.
    Damaged,
    /// Larger than the limits, or it inflates too much.
    TooLarge,
    /// Its AEAD chunks are larger than this device can open; the bridge can.
    ChunkTooLarge,
    /// Without integrity protection, or in a form that is not spoken here.
    Unsupported,
}

/// What the signatures say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignatureStatus {
    /// Not signed.
    None,
    /// Good, and by the sender.
    Valid {
        /// The signer's certificate.
        fingerprint: Fingerprint,
        /// The From address, which the certificate names.
        address: Address,
    },
    /// Good, but the certificate does not name the From address.
    WrongSender {
        /// The signer's certificate.
        fingerprint: Fingerprint,
        /// An address that the certificate names, if any.
        address: Option<Address>,
    },
    /// The signature has expired, or the key had when it signed.
    Expired {
        /// The signer's certificate.
        fingerprint: Fingerprint,
    },
    /// Mathematically right, but with an algorithm or key too weak to mean anything.
    Weak {
        /// The signer's certificate.
        fingerprint: Fingerprint,
    },
    /// Wrong.
    Bad {
        /// In what.
        reason: BadSignature,
    },
    /// We have no certificate of the signer.
    UnknownKey {
        /// Whom the signature names.
        issuer: Option<Issuer>,
    },
}

impl SignatureStatus {
    /// Whether it may be another once the signer's certificate is known.
    pub const fn is_by_unknown_key(&self) -> bool {
        matches!(self, Self::UnknownKey { .. })
    }
}

/// In what a signature is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BadSignature {
    /// The content is not what was signed.
    Mismatch,
    /// Cannot be parsed, or a version or algorithm that is not spoken here.
    Malformed,
    /// A signature of another type (over a key, a timestamp) passed off as one over a document.
    Type,
    /// Without a creation time, from the future, or older than its key.
    Time,
    /// Marked critical what is not understood.
    Critical,
    /// Names one issuer and is by another.
    Issuer,
    /// The key is revoked.
    Revoked,
    /// The key may not sign, or is not bound to its certificate.
    Key,
    /// Made for other recipients, and re-encrypted to us.
    NotForUs,
}

macro_rules! tokens {
    ($name:ident { $($variant:ident = $token:literal),+ $(,)? }) => {
        impl $name {
            /// As it stands in a status field.
            pub const fn token(self) -> &'static str {
                match self { $(Self::$variant => $token),+ }
            }

            fn from_token(token: &str) -> Option<Self> {
                match token { $($token => Some(Self::$variant),)+ _ => None }
            }

            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$variant),+];
        }
    };
}

// The macro keeps writing and parsing of a token in one place.
tokens!(Cipher {
    Aes128 = "aes128", Aes192 = "aes192", Aes256 = "aes256", Aes128Aead = "aes128-aead",
    Aes192Aead = "aes192-aead", Aes256Aead = "aes256-aead", Other = "other", Weak = "weak",
});
tokens!(Undecryptable {
    NoKey = "no-key", Password = "password", Damaged = "damaged", TooLarge = "too-large",
    ChunkTooLarge = "chunk-too-large", Unsupported = "unsupported",
});
tokens!(BadSignature {
    Mismatch = "mismatch", Malformed = "malformed", Type = "type", Time = "time",
    Critical = "critical", Issuer = "issuer", Revoked = "revoked", Key = "key",
    NotForUs = "not-for-us",
});

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::ToUs {
                fingerprint,
                cipher,
            } => {
                let cipher = cipher.token();
                write!(f, "encrypted; fingerprint={fingerprint}; cipher={cipher}")
            }
            Self::Undecryptable { reason } => write!(f, "undecryptable; reason={}", reason.token()),
            Self::Repaired {
                fingerprint,
                cipher,
            } => {
                let cipher = cipher.token();
                write!(f, "repaired; fingerprint={fingerprint}; cipher={cipher}")
            }
        }
    }
}

impl fmt::Display for SignatureStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Valid {
                fingerprint,
                address,
            } => {
                let address = percent_encode(address.as_str());
                write!(f, "valid; fingerprint={fingerprint}; address={address}")
            }
            Self::WrongSender {
                fingerprint,
                address,
            } => {
                write!(f, "wrong-sender; fingerprint={fingerprint}")?;
                address.as_ref().map_or(Ok(()), |address| {
                    write!(f, "; address={}", percent_encode(address.as_str()))
                })
            }
            Self::Expired { fingerprint } => write!(f, "expired; fingerprint={fingerprint}"),
            Self::Weak { fingerprint } => write!(f, "weak; fingerprint={fingerprint}"),
            Self::Bad { reason } => write!(f, "bad; reason={}", reason.token()),
            Self::UnknownKey { issuer: None } => f.write_str("unknown-key"),
            Self::UnknownKey {
                issuer: Some(issuer),
            } => write!(f, "unknown-key; issuer={issuer}"),
        }
    }
}

/// The text is not a status of this grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a protection status")]
pub struct InvalidStatus;

impl FromStr for Encryption {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        let (word, parameters) = split(text);
        Ok(match word {
            "none" => Self::None,
            "encrypted" | "repaired" => {
                let fingerprint = parsed(parameters, "fingerprint")?;
                let cipher = parameter(parameters, "cipher").and_then(Cipher::from_token);
                let cipher = cipher.ok_or(InvalidStatus)?;
                if word == "encrypted" {
                    Self::ToUs {
                        fingerprint,
                        cipher,
                    }
                } else {
                    Self::Repaired {
                        fingerprint,
                        cipher,
                    }
                }
            }
            "undecryptable" => Self::Undecryptable {
                reason: parameter(parameters, "reason")
                    .and_then(Undecryptable::from_token)
                    .ok_or(InvalidStatus)?,
            },
            _ => return Err(InvalidStatus),
        })
    }
}

impl FromStr for SignatureStatus {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        let (word, parameters) = split(text);
        let fingerprint = || parsed(parameters, "fingerprint");
        let address = || {
            parameter(parameters, "address")
                .map(|value| percent_decode(value).ok_or(InvalidStatus))
                .transpose()
        };
        Ok(match word {
            "none" => Self::None,
            "valid" => Self::Valid {
                fingerprint: fingerprint()?,
                address: address()?.ok_or(InvalidStatus)?,
            },
            "wrong-sender" => Self::WrongSender {
                fingerprint: fingerprint()?,
                address: address()?,
            },
            "expired" => Self::Expired {
                fingerprint: fingerprint()?,
            },
            "weak" => Self::Weak {
                fingerprint: fingerprint()?,
            },
            "bad" => Self::Bad {
                reason: parameter(parameters, "reason")
                    .and_then(BadSignature::from_token)
                    .ok_or(InvalidStatus)?,
            },
            "unknown-key" => Self::UnknownKey {
                issuer: parameter(parameters, "issuer")
                    .map(|value| value.parse().map_err(|_| InvalidStatus))
                    .transpose()?,
            },
            _ => return Err(InvalidStatus),
        })
    }
}

fn split(text: &str) -> (&str, &str) {
    let (word, parameters) = text.split_once(';').unwrap_or((text, ""));
    (word.trim(), parameters)
}

fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

fn parsed<T: FromStr>(parameters: &str, name: &str) -> Result<T, InvalidStatus> {
    parameter(parameters, name)
        .and_then(|value| value.parse().ok())
        .ok_or(InvalidStatus)
}

fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~@+".contains(&octet) {
            out.push(char::from(octet));
        } else {
            let _ = write!(out, "%{octet:02X}");
        }
    }
    out
}

fn percent_decode(text: &str) -> Option<Address> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            octets.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            octets.push(octet);
        }
    }
    Address::new(core::str::from_utf8(&octets).ok()?).ok()
}

#[cfg(test)]
mod tests;
