//! The sending policy: whether a mail is encrypted, only signed, or refused. A pure decision.
//!
//! All recipients or none: a mail that one recipient gets in the clear was not encrypted
//! (RFC 9787 6.4), so one missing certificate makes it signed only, or refused where the account
//! requires encryption. A hidden recipient (Bcc) gets a message of their own, so that nobody
//! finds their key among the session keys.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::Address;

/// What an account wants for mail that cannot be encrypted to everyone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SendingPolicy {
    /// Encrypt where every recipient's certificate is known, else sign only.
    #[default]
    WherePossible,
    /// Encrypt, or refuse to send.
    RequireEncryption,
}

/// What is to be done with a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Sign and encrypt, one message for each group of recipients.
    Encrypt(Vec<Vec<Address>>),
    /// Sign; these recipients have no certificate.
    SignOnly {
        /// Who has none.
        missing: Vec<Address>,
    },
    /// Do not send; these recipients have no certificate.
    Refuse {
        /// Who has none.
        missing: Vec<Address>,
    },
}

/// Decides. `visible` are the addresses of To and Cc; `has_certificate` says whether a usable
/// certificate is known.
pub fn decide(
    policy: SendingPolicy,
    forward_paths: &[Address],
    visible: &[Address],
    has_certificate: impl Fn(&Address) -> bool,
) -> Decision {
    let missing: Vec<Address> = forward_paths
        .iter()
        .filter(|path| !has_certificate(path))
        .cloned()
        .collect();
    if !missing.is_empty() || forward_paths.is_empty() {
        return match policy {
            SendingPolicy::WherePossible => Decision::SignOnly { missing },
            SendingPolicy::RequireEncryption => Decision::Refuse { missing },
        };
    }
    let named: BTreeSet<Address> = visible.iter().map(Address::canonical).collect();
    let (shown, hidden): (Vec<_>, Vec<_>) = forward_paths
        .iter()
        .cloned()
        .partition(|path| named.contains(&path.canonical()));
    let shown = (!shown.is_empty()).then_some(shown);
    Decision::Encrypt(
        shown
            .into_iter()
            .chain(hidden.into_iter().map(|one| vec![one]))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<Address> {
        list.iter()
            .map(|text| Address::new(text).unwrap())
            .collect()
    }

    #[test]
    fn all_recipients_or_none() {
        let paths = addresses(&["a@x", "b@x"]);
        let knows_a = |address: &Address| address.as_str() == "a@x";
        let missing = addresses(&["b@x"]);
        assert_eq!(
            decide(SendingPolicy::WherePossible, &paths, &paths, knows_a),
            Decision::SignOnly {
                missing: missing.clone()
            }
        );
        assert_eq!(
            decide(SendingPolicy::RequireEncryption, &paths, &paths, knows_a),
            Decision::Refuse { missing }
        );
        assert_eq!(
            decide(SendingPolicy::RequireEncryption, &paths, &paths, |_| true),
            Decision::Encrypt(vec![paths])
        );
    }

    #[test]
    fn hidden_recipients_are_apart() {
        let paths = addresses(&["a@x", "b@x", "c@x", "d@x"]);
        let visible = addresses(&["A@X", "c@x"]);
        assert_eq!(
            decide(SendingPolicy::WherePossible, &paths, &visible, |_| true),
            Decision::Encrypt(vec![
                addresses(&["a@x", "c@x"]),
                addresses(&["b@x"]),
                addresses(&["d@x"])
            ])
        );
    }
}
