//! How wire types without named fields stand in the OpenAPI description of the provider's calls.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::auth::wire::{Invite, Octets, Token};
use crate::id::Address;
use crate::keys::transparency::merkle::Hash;

/// A byte string of CBOR (RFC 8949 3.1, major type 2).
pub(crate) struct ByteString;

macro_rules! string {
    ($name:ty, $title:literal, $format:expr, $description:literal) => {
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let object = ObjectBuilder::new()
                    .schema_type(Type::String)
                    .format(Some($format))
                    .description(Some($description));
                RefOr::T(object.build().into())
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                $title.into()
            }
        }
    };
}

string!(
    ByteString,
    "ByteString",
    SchemaFormat::KnownFormat(KnownFormat::Binary),
    "A byte string of CBOR (RFC 8949 3.1, major type 2)."
);
string!(
    Hash,
    "Hash",
    SchemaFormat::KnownFormat(KnownFormat::Binary),
    "SHA-256: a byte string of CBOR with 32 octets."
);
string!(
    Octets,
    "Octets",
    SchemaFormat::Custom("base64url".to_owned()),
    "Octets in base64url without padding (RFC 4648 5)."
);
string!(
    Address,
    "Address",
    SchemaFormat::Custom("email".to_owned()),
    "A mail address, `local@domain` (RFC 5321 4.1.2)."
);
string!(
    Token,
    "Token",
    SchemaFormat::KnownFormat(KnownFormat::Password),
    "What follows `Authorization: Bearer` from now on."
);
string!(
    Invite,
    "Invite",
    SchemaFormat::KnownFormat(KnownFormat::Password),
    "An invite code; case does not matter."
);
