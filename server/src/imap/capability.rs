//! What is announced (RFC 3501 6.1.1, 7.2.1): one table.
//!
//! Invariant: an extension stands here when all of it works, and nowhere else in `imap` is a
//! capability written. Rejected: constant strings for each moment of a session; they disagree
//! after the third edit.

use crate::starttls::Security;

/// When a capability is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Always: programs that never ask again see before login what they can have after it.
    Always,
    /// Until somebody has logged in.
    BeforeLogin,
    /// Until somebody has logged in, where a password may be sent.
    PasswordAllowed,
    /// Until somebody has logged in, where no password may be sent.
    PasswordRefused,
    /// While TLS can be had and is not there yet.
    TlsOffered,
}

const TABLE: &[(When, &str)] = &[
    (When::Always, "IMAP4rev1"),
    (When::TlsOffered, "STARTTLS"),
    (When::PasswordRefused, "LOGINDISABLED"),
    (When::Always, "LITERAL+"),
    (When::BeforeLogin, "SASL-IR"),
    (When::PasswordAllowed, "AUTH=PLAIN"),
    (When::BeforeLogin, "AUTH=SCRAM-SHA-256"),
    (When::Always, "APPENDLIMIT=2147483648"),
    (When::Always, "CATENATE"),
    (When::Always, "CHILDREN"),
    (When::Always, "CREATE-SPECIAL-USE"),
    (When::Always, "ENABLE"),
    (When::Always, "ID"),
    (When::Always, "IDLE"),
    (When::Always, "LIST-EXTENDED"),
    (When::Always, "LIST-MYRIGHTS"),
    (When::Always, "LIST-STATUS"),
    (When::Always, "MOVE"),
    (When::Always, "MULTIAPPEND"),
    (When::Always, "NAMESPACE"),
    (When::Always, "QUOTA"),
    (When::Always, "QUOTA=RES-MESSAGE"),
    (When::Always, "QUOTA=RES-STORAGE"),
    (When::Always, "REPLACE"),
    (When::Always, "SPECIAL-USE"),
    (When::Always, "UIDPLUS"),
    (When::Always, "UNSELECT"),
];

/// The capabilities of a connection, separated by spaces.
pub fn announced(logged_in: bool, security: Security) -> String {
    let tls_can_be_had = matches!(security, Security::Offered | Security::Required);
    let required = security == Security::Required;
    let told = |when| match when {
        When::Always => true,
        When::BeforeLogin => !logged_in,
        When::PasswordAllowed => !logged_in && !required,
        When::PasswordRefused => !logged_in && required,
        When::TlsOffered => !logged_in && tls_can_be_had,
    };
    let names: Vec<&str> = TABLE
        .iter()
        .filter(|(when, _)| told(*when))
        .map(|(_, name)| *name)
        .collect();
    names.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_moment_has_its_capabilities() {
        let has = |logged_in, security, name: &str| {
            let all = announced(logged_in, security);
            all.split(' ').any(|other| other == name)
        };
        for (security, tls, plain) in [
            (Security::Plain, false, true),
            (Security::Offered, true, true),
            (Security::Required, true, false),
            (Security::Tls, false, true),
        ] {
            assert_eq!(has(false, security, "STARTTLS"), tls);
            assert_eq!(has(false, security, "AUTH=PLAIN"), plain);
            assert_eq!(has(false, security, "LOGINDISABLED"), !plain);
            assert!(has(false, security, "SASL-IR"));
            for name in ["STARTTLS", "AUTH=PLAIN", "LOGINDISABLED", "SASL-IR"] {
                assert!(!has(true, security, name), "{name}");
            }
        }
    }
}
