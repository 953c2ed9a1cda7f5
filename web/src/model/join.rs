//! An account that comes to this browser by another device of it.

use crate::protocol::JoinCode;

/// One attempt.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Join {
    /// Counts them: what comes of an earlier one is not heard.
    pub attempt: u32,
    /// How far it is.
    pub stage: Stage,
    /// The user has said that the words were taken.
    pub busy: bool,
    /// Why that cannot be sent.
    pub error: Option<String>,
}

/// How far an attempt is.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// The worker makes a code.
    #[default]
    Starting,
    /// The other device has to see this.
    Code(JoinCode),
    /// It has; now the words are compared.
    Words {
        /// Whose account it offers.
        address: String,
        /// What has to be typed there.
        words: String,
    },
    /// It has ended; why.
    Failed(String),
}
