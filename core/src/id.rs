//! Newtypes for everything that identifies something: ids, numbers, addresses, names.
//!
//! Invariant: a value that exists is valid. Private fields, checked constructors, no `From<u32>`;
//! a UID and a sequence number are different types, so mixing them does not compile.
//! Rejected: one generic `Id<T>` with a marker; error messages and `Debug` read worse.

mod hex;

use core::fmt;
use core::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};

pub(crate) use hex::decode_hex;

/// Longest address accepted, in octets: 64 of local part, `@`, 255 of domain (RFC 5321 4.5.3.1).
pub const MAX_ADDRESS_OCTETS: usize = 320;
/// Longest mailbox name accepted, in octets of UTF-8.
pub const MAX_MAILBOX_NAME_OCTETS: usize = 1000;
/// Deepest mailbox hierarchy accepted.
pub const MAX_MAILBOX_DEPTH: usize = 64;

/// Why a string or number is no valid id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The value is empty or zero.
    #[error("is empty")]
    Empty,
    /// The value is longer than its limit.
    #[error("is longer than {0} octets")]
    TooLong(usize),
    /// The value has a character that does not belong there.
    #[error("has a character that is not allowed")]
    Character,
    /// The value does not have the form of its kind.
    #[error("does not have the right form")]
    Form,
}

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in octets.
            pub const LEN: usize = $len;

            /// Takes the octets as they are.
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The octets.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = InvalidId;

            fn try_from(bytes: &[u8]) -> Result<Self, InvalidId> {
                <[u8; $len]>::try_from(bytes).map(Self).map_err(|_| InvalidId::Form)
            }
        }

        impl core::str::FromStr for $name {
            type Err = InvalidId;

            /// Parses lower- or upper-case hexadecimal.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let mut bytes = [0; $len];
                decode_hex(text, &mut bytes)?;
                Ok(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}(", stringify!($name))?;
                self.0.iter().take(4).try_for_each(|octet| write!(f, "{octet:02x}"))?;
                f.write_str("…)")
            }
        }
    };
}

// The macro saves eight copies of the same five trait implementations.
bytes_id!(
    /// One account at a provider; random, given at sign-up.
    AccountId, 16
);
bytes_id!(
    /// One device's copy of an account; random, given when the device is enrolled.
    ReplicaId, 16
);
bytes_id!(
    /// Where two devices leave each other messages while one enrols the other; it follows from a
    /// secret of theirs.
    RendezvousId, 16
);
bytes_id!(
    /// A sealed document, blinded: a keyed hash of what it is about, so that it tells nothing.
    DocId, 16
);
bytes_id!(
    /// A collection of sealed documents, blinded.
    CollectionId, 16
);
bytes_id!(
    /// A mailbox (folder); random, stable across renames. OBJECTID's MAILBOXID (RFC 8474 4).
    MailboxId, 16
);
bytes_id!(
    /// One message in one mailbox: the page that it is in, then its entry there; random, or
    /// derived from the incoming id it came from.
    PlacementId, 16
);
bytes_id!(
    /// A page of placements: random, or derived from when what is in it was received.
    PageId, 8
);
bytes_id!(
    /// A placement within its page.
    EntryId, 8
);
bytes_id!(
    /// One message as the MX sealed and queued it, before a device has taken it in; random.
    IncomingId, 16
);
bytes_id!(
    /// A mail waiting to be sent; random, and the idempotency key of the submission.
    OutboxId, 16
);
bytes_id!(
    /// Keyed hash of a whole message as it came. OBJECTID's EMAILID (RFC 8474 5.1).
    MessageHash, 32
);
bytes_id!(
    /// Keyed hash of one leaf's octets as they stood on the wire.
    ContentHash, 32
);

impl PlacementId {
    /// The id of an entry of a page.
    pub const fn of(page: PageId, entry: EntryId) -> Self {
        let page = (u64::from_be_bytes(page.0) as u128) << 64;
        Self((page | u64::from_be_bytes(entry.0) as u128).to_be_bytes())
    }

    /// The page that it is in, for life.
    pub const fn page(&self) -> PageId {
        let [page, _] = self.halves();
        PageId(page)
    }

    /// Its entry there.
    pub const fn entry(&self) -> EntryId {
        let [_, entry] = self.halves();
        EntryId(entry)
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "each half of 16 octets has 8"
    )]
    const fn halves(&self) -> [[u8; 8]; 2] {
        let both = u128::from_be_bytes(self.0);
        [
            ((both >> 64) as u64).to_be_bytes(),
            (both as u64).to_be_bytes(),
        ]
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $raw:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name($inner);

        impl $name {
            /// The smallest value, 1.
            pub const ONE: Self = Self(<$inner>::MIN);

            /// The largest value.
            pub const LAST: Self = Self(<$inner>::MAX);

            /// `None` for zero.
            pub const fn new(value: $raw) -> Option<Self> {
                match <$inner>::new(value) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// The number.
            pub const fn get(self) -> $raw {
                self.0.get()
            }

            /// The next number; `None` when there is none left.
            pub const fn next(self) -> Option<Self> {
                match self.0.checked_add(1) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

number_id!(
    /// Unique identifier of a message in a mailbox on this device (RFC 9051 2.3.1.1).
    Uid, NonZeroU32, u32
);
number_id!(
    /// Says which generation of UIDs a mailbox has (RFC 9051 2.3.1.1).
    UidValidity, NonZeroU32, u32
);
number_id!(
    /// Position of a message in a session's view of a mailbox (RFC 9051 2.3.1.2).
    SequenceNumber, NonZeroU32, u32
);
number_id!(
    /// Mod-sequence (RFC 7162 3.1): one counter per account and device.
    ModSeq, NonZeroU64, u64
);
number_id!(
    /// Revision of a sealed document; the first is 1.
    Revision, NonZeroU64, u64
);

/// Position in the provider's log of changes of one account; 0 is before the first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Generation(pub u64);

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From seconds since the epoch; saturates.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// A mail address, `local@domain`, without display name or brackets (RFC 5321 4.1.2 `Mailbox`).
///
/// The domain is kept in lower case; the local part as given. Comparison for "the same person"
/// is [`Address::canonical`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);

impl Address {
    /// Checks and takes an address.
    ///
    /// # Examples
    /// ```
    /// use letterlock_core::id::Address;
    /// let address = Address::new("Alice@Letterlock.Example").unwrap();
    /// assert_eq!(address.as_str(), "Alice@letterlock.example");
    /// assert!(Address::new("alice").is_err());
    /// ```
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() {
            return Err(InvalidId::Empty);
        }
        if text.len() > MAX_ADDRESS_OCTETS {
            return Err(InvalidId::TooLong(MAX_ADDRESS_OCTETS));
        }
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidId::Form)?;
        if local.is_empty() || domain.is_empty() || local.len() > 64 {
            return Err(InvalidId::Form);
        }
        let quoted = is_quoted_string(local);
        let bad_local = |c: char| c.is_control() || (!quoted && " ()<>[]:;@\\,\"".contains(c));
        let bad_domain = |c: char| c.is_control() || " ()<>;@\\,\"".contains(c);
        if local.chars().any(bad_local) || domain.chars().any(bad_domain) {
            return Err(InvalidId::Character);
        }
        if domain.starts_with('.') || domain.ends_with('.') || domain.contains("..") {
            return Err(InvalidId::Form);
        }
        Ok(Self(format!("{local}@{}", domain.to_lowercase())))
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is left of the last `@`.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// What is right of the last `@`, in lower case.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// All in lower case: the form in which two addresses are the same person.
    #[must_use]
    pub fn canonical(&self) -> Self {
        Self(self.0.to_lowercase())
    }
}

impl TryFrom<String> for Address {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::new(&text)
    }
}

impl core::str::FromStr for Address {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Addresses stay out of logs: `Debug` shows the domain alone.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address(…@{})", self.domain())
    }
}

/// The separator of mailbox names on every surface (RFC 9051 5.1.1).
pub const HIERARCHY_SEPARATOR: char = '/';

/// A mailbox name in UTF-8, hierarchy separated by `/`; any case of `INBOX` is `INBOX`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailboxName(String);

impl MailboxName {
    /// Checks and takes a name. Control characters, empty levels and over-long names are refused.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() {
            return Err(InvalidId::Empty);
        }
        if text.len() > MAX_MAILBOX_NAME_OCTETS {
            return Err(InvalidId::TooLong(MAX_MAILBOX_NAME_OCTETS));
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidId::Character);
        }
        let levels = text.split(HIERARCHY_SEPARATOR);
        if levels.clone().any(str::is_empty) || levels.count() > MAX_MAILBOX_DEPTH {
            return Err(InvalidId::Form);
        }
        let (first, rest) = match text.split_once(HIERARCHY_SEPARATOR) {
            Some((first, rest)) => (first, Some(rest)),
            None => (text, None),
        };
        Ok(Self(match rest {
            _ if !first.eq_ignore_ascii_case("INBOX") => text.to_owned(),
            None => "INBOX".to_owned(),
            Some(rest) => format!("INBOX{HIERARCHY_SEPARATOR}{rest}"),
        }))
    }

    /// The user's primary mailbox (RFC 9051 5.1).
    pub fn inbox() -> Self {
        Self("INBOX".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `INBOX`.
    pub fn is_inbox(&self) -> bool {
        self.0 == "INBOX"
    }

    /// The name one level up, if there is one.
    pub fn parent(&self) -> Option<Self> {
        self.0
            .rsplit_once(HIERARCHY_SEPARATOR)
            .map(|(parent, _)| Self(parent.to_owned()))
    }
}

impl TryFrom<String> for MailboxName {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::new(&text)
    }
}

impl From<MailboxName> for String {
    fn from(name: MailboxName) -> Self {
        name.0
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `DQUOTE *QcontentSMTP DQUOTE` (RFC 5321 4.1.2): inner quotes and backslashes are escaped, so
/// that the address cannot end before it seems to.
fn is_quoted_string(text: &str) -> bool {
    let inner = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else { return false };
    let mut escaped = false;
    for c in inner.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return false,
            _ => {}
        }
    }
    !escaped
}

#[cfg(test)]
mod tests;
