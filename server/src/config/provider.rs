//! `[provider]`: whom the provider takes in, and how much of theirs.
//!
//! Read by whatever runs a provider, `letterlock demo` among them.

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::provider::SignUp;

/// Least that [`ProviderSection::quota_octets`] may be: an account has keys and mailboxes before
/// it has mail.
const MIN_QUOTA_OCTETS: u64 = 1024 * 1024;
/// Accounts that one peer may make in an hour if nothing is said: a family, a class room.
const SIGN_UPS_PER_HOUR: u32 = 30;

/// Whom the provider takes in, and how much of theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderSection {
    /// Domains whose mail is taken in, the provider's own name first. The demo has its own.
    pub domains: Vec<String>,
    /// `"open"`, `"invite"` or `"closed"`.
    pub sign_up: SignUp,
    /// Octets that each account may store; without it, any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_octets: Option<u64>,
    /// Accounts that may be made from one network address (of IPv6, one /64) in an hour.
    pub sign_ups_per_hour: u32,
}

impl Default for ProviderSection {
    fn default() -> Self {
        Self {
            domains: Vec::new(),
            sign_up: SignUp::Open,
            quota_octets: None,
            sign_ups_per_hour: SIGN_UPS_PER_HOUR,
        }
    }
}

impl ProviderSection {
    pub(super) const KEYS: &[&str] = &["domains", "sign_up", "quota_octets", "sign_ups_per_hour"];

    /// Checks the ranges.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self
            .quota_octets
            .is_some_and(|quota| quota < MIN_QUOTA_OCTETS)
        {
            return Err(ConfigError::Value {
                key: "provider.quota_octets",
                must: format!("at least {MIN_QUOTA_OCTETS}"),
            });
        }
        Ok(())
    }
}
