//! What the user does to bring an account from one device to another.

use super::Fields;
use crate::protocol::Secret;

/// Something is done on either of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinAction {
    /// Show the code of this browser.
    Begin,
    /// Back to the log-in.
    End,
    /// The other device has taken the words.
    Finish {
        /// What opens the account in this browser.
        password: Secret,
        /// The same, typed again.
        again: Secret,
    },
    /// A new device shows this code.
    Add(Secret),
    /// It shows these words.
    Admit(String),
    /// It stays outside.
    Refuse,
}

impl JoinAction {
    /// Reads what a form or a button stands for.
    pub(super) fn parse(name: &str, fields: &Fields) -> Option<Self> {
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        Some(match name {
            "join" => Self::Begin,
            "join-end" => Self::End,
            "join-finish" => Self::Finish {
                password: Secret(field("password")),
                again: Secret(field("again")),
            },
            "add-device" => Self::Add(Secret(field("code"))),
            "admit-device" => Self::Admit(field("words")),
            "refuse-device" => Self::Refuse,
            _ => return None,
        })
    }
}
