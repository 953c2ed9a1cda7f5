//! What programs note about an account and its mailboxes (RFC 5464 3).

use serde::{Deserialize, Serialize};

use crate::id::MailboxId;

/// Longest value of an annotation, in octets.
pub const MAX_ANNOTATION_OCTETS: usize = 32 * 1024;
/// Most annotations of the account, and of each mailbox.
pub const MAX_ANNOTATIONS: usize = 256;
/// Most names that the account or a mailbox has ever had annotations under: what was removed
/// stays known, so that devices that were away learn of it.
pub const MAX_ANNOTATION_NAMES: usize = 1024;
/// Most octets of values in an account.
pub const MAX_ANNOTATIONS_OCTETS: u64 = 16 * 1024 * 1024;
/// Longest name of an annotation, in octets.
const MAX_NAME_OCTETS: usize = 512;

/// Whose annotation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AnnotationOwner {
    /// The account's as a whole: what IMAP calls the server's.
    Account,
    /// A mailbox's.
    Mailbox(MailboxId),
}

/// The name of an annotation, such as `/private/comment` (RFC 5464 3.2). It has no case; here it
/// is in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AnnotationName(String);

/// The text names no annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no name of an annotation, such as /private/comment")]
pub struct InvalidAnnotationName;

impl AnnotationName {
    /// Checks and takes a name. `/private` and `/shared` by themselves are names too: they have
    /// others below them.
    pub fn new(text: &str) -> Result<Self, InvalidAnnotationName> {
        let name = text.to_ascii_lowercase();
        let mut levels = name.split('/');
        let rooted = levels.next() == Some("");
        let scoped = matches!(levels.next(), Some("private" | "shared"));
        let whole = levels.all(|level| !level.is_empty());
        let plain = |octet: u8| matches!(octet, b' '..=b'~') && !b"*%".contains(&octet);
        if rooted && scoped && whole && name.bytes().all(plain) && name.len() <= MAX_NAME_OCTETS {
            Ok(Self(name))
        } else {
            Err(InvalidAnnotationName)
        }
    }

    /// What a mailbox is for (RFC 6154 4): its value is the attribute of a role.
    pub fn special_use() -> Self {
        Self("/private/specialuse".to_owned())
    }

    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it can have a value of its own.
    pub fn can_have_value(&self) -> bool {
        self.0.bytes().filter(|octet| *octet == b'/').count() > 1
    }

    /// How many levels it is below another, 0 for the same; `None` if it is not below it.
    pub fn levels_below(&self, top: &Self) -> Option<usize> {
        let rest = self.0.strip_prefix(top.as_str())?;
        (rest.is_empty() || rest.starts_with('/'))
            .then(|| rest.bytes().filter(|octet| *octet == b'/').count())
    }
}

impl TryFrom<String> for AnnotationName {
    type Error = InvalidAnnotationName;

    fn try_from(text: String) -> Result<Self, InvalidAnnotationName> {
        Self::new(&text)
    }
}

impl From<AnnotationName> for String {
    fn from(name: AnnotationName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paths_below_private_and_shared() {
        for good in [
            "/private/comment",
            "/SHARED/Comment",
            "/shared/vendor/a b/c",
            "/private",
        ] {
            let name = AnnotationName::new(good).unwrap();
            assert_eq!(name.as_str(), good.to_ascii_lowercase());
            assert_eq!(name.can_have_value(), good != "/private");
        }
        let long = format!("/private/{}", "x".repeat(MAX_NAME_OCTETS));
        for bad in [
            "",
            "/",
            "comment",
            "/comment",
            "/privateer",
            "private/comment",
            "/private/",
            "/private//a",
            "/private/*",
            "/shared/%",
            "/shared/ü",
            "/shared/\u{1}",
            &long,
        ] {
            assert!(AnnotationName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn levels_are_counted() {
        let name = |text| AnnotationName::new(text).unwrap();
        let top = name("/private/filters");
        for (text, levels) in [
            ("/private/filters", Some(0)),
            ("/private/filters/a", Some(1)),
            ("/private/filters/a/b", Some(2)),
            ("/private/filtersx", None),
            ("/private", None),
        ] {
            assert_eq!(name(text).levels_below(&top), levels, "{text}");
        }
    }
}
