//! What a device and the provider say to each other about the directory.
//!
//! | call | answer |
//! |---|---|
//! | `GET /api/v1/directory/head?seen=N&also=M` | [`HeadAnswer`] |
//! | `GET /api/v1/directory/lookup/{address}?seen=N` | [`LookupAnswer`] |
//! | `GET /api/v1/directory/changes?from=K&seen=N` | [`ChangesAnswer`] |
//! | `GET /api/v1/directory/entry?position=K` | [`EntryAnswer`] |
//!
//! Bodies are CBOR (RFC 8949) and begin with a version. `seen` is the size of the last head that
//! the device has verified, 0 for none: every answer proves that its head extends that one.
//! Invariant: an answer has at most [`MAX_STEPS`] changes, [`super::MAX_LOG_PATH`] hashes of the
//! log in a proof and [`super::MAX_MAP_PATH`] of the map; whoever reads stops at
//! [`MAX_ANSWER_OCTETS`].

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::entry::Step;
use super::map::{Label, MapProof, Value};
use super::merkle::Hash;
use crate::id::Address;
#[cfg(feature = "openapi")]
use crate::openapi::ByteString;

/// The version of answers that this program writes, and the only one that it reads.
pub const ANSWER_VERSION: u8 = 1;
/// Most changes in one answer: with proofs of usual length about 200 KiB.
pub const MAX_STEPS: usize = 256;
/// Largest answer, in octets.
pub const MAX_ANSWER_OCTETS: usize = 1024 * 1024;

/// A question to the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// The head, and that it extends a log of `also` changes too.
    Head {
        /// Size of the last head.
        seen: u64,
        /// Another size, or 0.
        also: u64,
    },
    /// An address's entry.
    Lookup {
        /// Whose.
        address: Address,
        /// Size of the last head.
        seen: u64,
    },
    /// The changes from a position on.
    Changes {
        /// The first one's position.
        from: u64,
        /// Size of the last head.
        seen: u64,
    },
    /// The certificates that a change has published.
    Entry {
        /// The change's position.
        position: u64,
    },
}

impl Call {
    /// The segments of the path behind `/api/v1`, not yet percent-encoded.
    pub fn path(&self) -> Vec<&str> {
        match self {
            Self::Head { .. } => vec!["directory", "head"],
            Self::Lookup { address, .. } => vec!["directory", "lookup", address.as_str()],
            Self::Changes { .. } => vec!["directory", "changes"],
            Self::Entry { .. } => vec!["directory", "entry"],
        }
    }

    /// The query.
    pub fn query(&self) -> Vec<(&'static str, u64)> {
        match *self {
            Self::Head { seen, also } => vec![("seen", seen), ("also", also)],
            Self::Lookup { seen, .. } => vec![("seen", seen)],
            Self::Changes { from, seen } => vec![("from", from), ("seen", seen)],
            Self::Entry { position } => vec![("position", position)],
        }
    }
}

/// A head that extends another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeadAnswer {
    /// [`ANSWER_VERSION`].
    pub version: u8,
    /// A signed head.
    #[cfg_attr(feature = "openapi", schema(value_type = ByteString))]
    pub head: ByteBuf,
    /// Consistency proof from `seen`.
    pub since: Vec<Hash>,
    /// Consistency proof from `also`.
    pub also: Vec<Hash>,
}

/// The log's last change: it has the head's map root, and so ties the map to the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Last {
    /// Whose entry changed.
    pub label: Label,
    /// To what.
    pub value: Value,
    /// Its inclusion proof.
    pub path: Vec<Hash>,
}

/// What an address has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LookupAnswer {
    /// [`ANSWER_VERSION`].
    pub version: u8,
    /// Under which head.
    pub head: HeadAnswer,
    /// The log's last change; `None` if there is none.
    pub last: Option<Last>,
    /// The entry, or that there is none.
    pub proof: MapProof,
    /// The certificates that the entry is of, binary.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<ByteString>))]
    pub certificates: Vec<ByteBuf>,
}

/// The changes of a log from a position on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangesAnswer {
    /// [`ANSWER_VERSION`].
    pub version: u8,
    /// Under which head.
    pub head: HeadAnswer,
    /// The changes, in order; at most [`MAX_STEPS`].
    pub steps: Vec<Step>,
    /// Consistency proof from behind the last of them.
    pub rest: Vec<Hash>,
}

/// What a change has published. It is proven by its hash in the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EntryAnswer {
    /// [`ANSWER_VERSION`].
    pub version: u8,
    /// The certificates, binary.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<ByteString>))]
    pub certificates: Vec<ByteBuf>,
}

/// Why an answer does not read. That is no alarm: another program may have answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Of a version that this program does not know.
    #[error("the directory's answer has version {0}, which this program does not know: update it")]
    Newer(u8),
    /// Not of the form.
    #[error("the directory's answer does not read")]
    Malformed,
}

/// Reads an answer.
pub fn decode<T: DeserializeOwned>(octets: &[u8]) -> Result<T, AnswerError> {
    #[derive(Deserialize)]
    struct Version {
        version: u8,
    }
    if octets.len() > MAX_ANSWER_OCTETS {
        return Err(AnswerError::Malformed);
    }
    let Version { version } = ciborium::from_reader(octets).map_err(|_| AnswerError::Malformed)?;
    if version != ANSWER_VERSION {
        return Err(AnswerError::Newer(version));
    }
    ciborium::from_reader(octets).map_err(|_| AnswerError::Malformed)
}
