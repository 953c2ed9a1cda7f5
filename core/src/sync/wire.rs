//! What devices and the provider say to each other, as values.
//!
//! Bodies of the sync calls are CBOR (RFC 8949), `application/cbor`; of the account calls, JSON
//! with octets in unpadded base64url. Every call but sign-up, log-in and the key directory needs
//! `Authorization: Bearer <token>` and speaks about the token's account alone.
//!
//! | call | request | response |
//! |---|---|---|
//! | `POST /api/v1/sync/pull` | [`PullRequest`] | [`PullResponse`] |
//! | `GET /api/v1/news` | | a stream of [`News`] ([`crate::sync::news`]) |
//! | `POST /api/v1/sync/push` | [`PushRequest`] | [`PushResponse`] (200 accepted, 409 conflict) |
//! | `POST /api/v1/sync/documents` | [`DocumentsRequest`] | [`DocumentsResponse`] |
//! | `POST /api/v1/outbox` | [`Submission`] | 202, empty; the same id again changes nothing |
//! | `GET /api/v1/keys/{address}` | | binary certificate, or 404 |
//! | `GET /api/v1/directory/…` | | see [`crate::keys::transparency::answer`] |
//!
//! Invariant: replaying any request changes nothing. Documents are keyed by id and revision,
//! submissions by their id, removals are sets.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::id::{Address, CollectionId, DocId, Generation, IncomingId, OutboxId, Timestamp};
#[cfg(feature = "openapi")]
use crate::openapi::ByteString;

/// Largest message accepted anywhere, in octets: intake, append, submission.
pub const MAX_MESSAGE_OCTETS: usize = 50 * 1024 * 1024;
/// Largest body of a sync or outbox request, in octets: a largest message, sealed, and its frame.
pub const MAX_REQUEST_OCTETS: usize = 80 * 1024 * 1024;
/// Largest value of a document, in octets: sealed and padded (at most 3 % at this size) it fits
/// into a request. The contents of messages are cut into pieces of
/// [`crate::replica::document::CONTENT_OCTETS`]; what may be long is a message's header, of which
/// the structure repeats parts.
pub const MAX_DOCUMENT_OCTETS: usize = 40 * 1024 * 1024;
/// Where a push or pull batch is cut, in octets; a single larger document goes alone.
pub const BATCH_OCTETS: usize = 4 * 1024 * 1024;
/// Most documents in one push or documents request.
pub const MAX_BATCH_DOCUMENTS: usize = 1000;
/// Longest that a pull may wait for news, in milliseconds.
pub const MAX_WAIT_MS: u32 = 55_000;
/// Most recipients of one submission.
pub const MAX_FORWARD_PATHS: usize = 1000;

/// The media type of the sync calls' bodies.
pub const CBOR: &str = "application/cbor";

/// Asks for what changed after `since`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PullRequest {
    /// The last generation seen; 0 for everything.
    pub since: Generation,
    /// Only these collections (incoming mail always comes); empty for all.
    pub collections: Vec<CollectionId>,
    /// Of these collections, too, what is stored under a later revision than the first. Whoever keeps
    /// only some of the contents must hear of those that are removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewritten: Vec<CollectionId>,
    /// Answer at once if there is news, else after so many milliseconds, at most [`MAX_WAIT_MS`].
    pub wait_ms: u32,
}

/// What changed, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PullResponse {
    /// Changes with ascending generations, cut near [`BATCH_OCTETS`].
    pub entries: Vec<Entry>,
    /// Everything up to here has been told; the next `since`.
    pub until: Generation,
    /// There is more: ask again at once.
    pub more: bool,
}

/// What changed after `since`, told without being asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct News {
    /// Up to here the device was told before, or had heard when it began to listen.
    pub since: Generation,
    /// As a pull of everything would be answered. `more` if not all of it has room, and then
    /// perhaps without entries: the device asks for the rest.
    pub changes: PullResponse,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Entry {
    /// A sealed document's newest revision.
    Document {
        /// The envelope, as [`crate::seal`] writes it.
        #[cfg_attr(feature = "openapi", schema(value_type = ByteString))]
        envelope: ByteBuf,
    },
    /// A message that the MX has sealed.
    Incoming {
        /// Its id.
        id: IncomingId,
        /// Position in the log; incoming mail is taken in by this order.
        generation: Generation,
        /// When the MX accepted it.
        received_at: Timestamp,
        /// An OpenPGP message, binary, encrypted to the account's certificate.
        #[cfg_attr(feature = "openapi", schema(value_type = ByteString))]
        message: ByteBuf,
    },
    /// A device has taken in this message and stored what it became.
    IncomingRemoved {
        /// Its id.
        id: IncomingId,
    },
}

/// Stores documents and removes incoming messages, all or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushRequest {
    /// Envelopes; each must carry the revision after the stored one (1 if there is none), or be
    /// the stored one itself, octet for octet.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<ByteString>))]
    pub documents: Vec<ByteBuf>,
    /// Incoming messages that have been taken in; unknown ids are no error.
    pub remove_incoming: Vec<IncomingId>,
}

/// The answer to a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PushResponse {
    /// Everything is stored, durably.
    Accepted {
        /// Generation of the last change made.
        generation: Generation,
    },
    /// Nothing was stored: these documents have another revision at the provider.
    Conflict {
        /// The stored envelopes of the documents in question.
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<ByteString>))]
        current: Vec<ByteBuf>,
    },
}

/// Asks for documents by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DocumentsRequest {
    /// At most [`MAX_BATCH_DOCUMENTS`].
    pub ids: Vec<DocId>,
}

/// The documents that exist, in the order asked, cut near [`BATCH_OCTETS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DocumentsResponse {
    /// Envelopes.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<ByteString>))]
    pub envelopes: Vec<ByteBuf>,
}

/// A mail for the provider to deliver or relay, already signed and encrypted as it shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Submission {
    /// Idempotency key.
    pub id: OutboxId,
    /// Must be the account's own address.
    pub reverse_path: Address,
    /// Recipients, at most [`MAX_FORWARD_PATHS`].
    pub forward_paths: Vec<Address>,
    /// The message, CRLF line ends.
    #[cfg_attr(feature = "openapi", schema(value_type = ByteString))]
    pub message: ByteBuf,
}

/// The stable part of an error answer; HTTP status beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// Stable, for programs: `unauthorized`, `too_large`, `not_local`, `wrong_sender`, …
    pub code: String,
    /// For people.
    pub message: String,
}

/// The octets do not decode to what was expected.
#[derive(Debug, thiserror::Error)]
#[error("a {expected} does not decode: {detail}")]
pub struct WireError {
    /// The type's name.
    pub expected: &'static str,
    /// Where and why; no content.
    pub detail: String,
}

/// Encodes a value as CBOR.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut octets = Vec::new();
    // Writing to memory does not fail, and no type here has a value that CBOR cannot carry.
    drop(ciborium::into_writer(value, &mut octets));
    octets
}

/// Decodes a value from CBOR.
pub fn decode<T: DeserializeOwned>(octets: &[u8]) -> Result<T, WireError> {
    ciborium::from_reader(octets).map_err(|error| WireError {
        expected: core::any::type_name::<T>()
            .rsplit("::")
            .next()
            .unwrap_or("value"),
        detail: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_both_ways() {
        let push = PushRequest {
            documents: vec![ByteBuf::from(vec![1, 2, 3])],
            remove_incoming: vec![IncomingId::new([9; 16])],
        };
        assert_eq!(decode::<PushRequest>(&encode(&push)).unwrap(), push);
        let error = decode::<PullRequest>(&encode(&push)).unwrap_err();
        assert_eq!(error.expected, "PullRequest");
    }
}
