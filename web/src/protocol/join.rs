//! What the page and the worker say while another device brings an account to this browser.

use serde::{Deserialize, Serialize};

use super::Secret;

/// Something is asked of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Counts the attempts of the page: what comes of an earlier one is not heard.
    pub attempt: u32,
    /// What is asked.
    pub step: JoinStep,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinStep {
    /// Begin, and say what the other device has to see.
    Code,
    /// Wait until it has seen it.
    Words,
    /// The user has seen that it took the words: wait for the account, and unlock.
    Finish {
        /// What opens the account in this browser.
        password: Secret,
        /// The tab's secret, by which a reload unlocks.
        tab: Secret,
    },
    /// Begin nothing any more.
    End,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Joined {
    /// What the other device has to see.
    Code(JoinCode),
    /// It has seen it.
    Words {
        /// Whose account it offers.
        address: String,
        /// What has to be typed there.
        words: String,
    },
}

/// A code, as text and drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinCode {
    /// To be pasted.
    pub text: Secret,
    /// Modules on a side of the QR code.
    pub code_side: u32,
    /// Its dark modules, as the path of an SVG.
    pub code_path: String,
}
