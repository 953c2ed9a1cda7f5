//! What the user does with keys, in the settings.

use super::Fields;
use crate::protocol::{KeyReason, Secret};

/// Something is done with keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyAction {
    /// Show what is compared with this correspondent.
    Compare(String),
    /// What is shown matches.
    Match,
    /// Revoke a key of the account.
    Replace {
        /// Its fingerprint.
        fingerprint: String,
        /// Why.
        reason: KeyReason,
        /// More about it.
        explanation: String,
    },
    /// Save a secret key, locked.
    Export {
        /// Its fingerprint.
        fingerprint: String,
        /// What locks it.
        passphrase: Secret,
        /// The same, typed again.
        again: Secret,
    },
    /// Take keys of elsewhere into the account.
    Import {
        /// The armored text.
        text: Secret,
        /// What opens it.
        passphrase: Secret,
        /// Whether they are used from now on.
        take_into_use: bool,
    },
}

impl KeyAction {
    /// Reads what a form or a button of the settings stands for.
    pub(super) fn parse(name: &str, fields: &Fields) -> Option<Self> {
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let secret = |name: &str| Secret(field(name));
        Some(match name {
            "compare-key" => Self::Compare(field("address").trim().to_owned()),
            "keys-match" => Self::Match,
            "replace-key" => Self::Replace {
                fingerprint: field("fingerprint"),
                reason: match field("reason").as_str() {
                    "superseded" => KeyReason::Superseded,
                    "compromised" => KeyReason::Compromised,
                    "retired" => KeyReason::Retired,
                    _ => KeyReason::Unspecified,
                },
                explanation: field("explanation"),
            },
            "export-key" => Self::Export {
                fingerprint: field("fingerprint"),
                passphrase: secret("passphrase"),
                again: secret("again"),
            },
            "import-keys" => Self::Import {
                text: secret("keys"),
                passphrase: secret("passphrase"),
                take_into_use: fields.contains_key("use"),
            },
            _ => return None,
        })
    }
}
