//! `[limits]`: how much is too much.

use letterlock_core::sync::wire::MAX_MESSAGE_OCTETS;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Least that [`Limits::message_octets`] may be (RFC 5321 4.5.3.1.7).
const MIN_MESSAGE_OCTETS: usize = 64 * 1024;

/// Limits that an administrator may lower.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Largest message that is taken in or submitted, in octets.
    pub message_octets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_octets: MAX_MESSAGE_OCTETS,
        }
    }
}

impl Limits {
    pub(super) const KEYS: &[&str] = &["message_octets"];

    /// Checks the ranges.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if (MIN_MESSAGE_OCTETS..=MAX_MESSAGE_OCTETS).contains(&self.message_octets) {
            return Ok(());
        }
        Err(ConfigError::Value {
            key: "limits.message_octets",
            must: format!("from {MIN_MESSAGE_OCTETS} to {MAX_MESSAGE_OCTETS}"),
        })
    }
}
