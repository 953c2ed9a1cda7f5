//! What is announced (RFC 3501 6.1.1, 7.2.1) and what ENABLE turns on (RFC 5161): one table.
//!
//! Invariant: an extension stands here when all of it works, and nowhere else in `imap` is a
//! capability written. Rejected: constant strings for each moment of a session; they disagree
//! after the third edit.

use std::collections::BTreeSet;

use crate::starttls::Security;

/// When a capability is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Always: programs that never ask again see before login what they can have after it.
    Always,
    /// Until somebody has logged in.
    BeforeLogin,
    /// From then on.
    AfterLogin,
    /// Until somebody has logged in, where a password may be sent.
    PasswordAllowed,
    /// Until somebody has logged in, where no password may be sent.
    PasswordRefused,
    /// While TLS can be had and is not there yet.
    TlsOffered,
}

/// What a client turns on for its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extension {
    /// RFC 7162 3.1: mod-sequences in FETCH responses that nobody asked for.
    Condstore,
    /// RFC 9051: the protocol's second revision.
    Imap4rev2,
    /// RFC 7162 3.2: VANISHED in place of EXPUNGE.
    Qresync,
    /// RFC 5464: which annotations others have changed.
    Metadata,
    /// RFC 9586: no sequence numbers.
    UidOnly,
    /// RFC 6855: mailbox names in UTF-8, and messages with UTF-8 in their headers.
    Utf8Accept,
}

/// A line of the table.
struct Capability {
    name: &'static str,
    when: When,
    /// What `ENABLE` with this name turns on.
    enables: Option<Extension>,
}

const fn always(name: &'static str) -> Capability {
    Capability {
        name,
        when: When::Always,
        enables: None,
    }
}

const fn at(when: When, name: &'static str) -> Capability {
    Capability {
        name,
        when,
        enables: None,
    }
}

const fn enabled_by(name: &'static str, extension: Extension) -> Capability {
    Capability {
        name,
        when: When::Always,
        enables: Some(extension),
    }
}

const TABLE: &[Capability] = &[
    always("IMAP4rev1"),
    at(When::TlsOffered, "STARTTLS"),
    at(When::PasswordRefused, "LOGINDISABLED"),
    // Strangers have nothing to say that is long; never both at once (RFC 7888 5).
    at(When::BeforeLogin, "LITERAL-"),
    at(When::AfterLogin, "LITERAL+"),
    at(When::BeforeLogin, "SASL-IR"),
    at(When::PasswordAllowed, "AUTH=PLAIN"),
    at(When::BeforeLogin, "AUTH=SCRAM-SHA-256"),
    enabled_by("IMAP4rev2", Extension::Imap4rev2),
    always("APPENDLIMIT=2147483648"),
    always("BINARY"),
    always("CATENATE"),
    always("CHILDREN"),
    always("COMPRESS=DEFLATE"),
    enabled_by("CONDSTORE", Extension::Condstore),
    always("CONTEXT=SEARCH"),
    always("CREATE-SPECIAL-USE"),
    always("ENABLE"),
    always("ESEARCH"),
    always("ESORT"),
    always("I18NLEVEL=1"),
    always("ID"),
    always("IDLE"),
    always("INPROGRESS"),
    always("LIST-EXTENDED"),
    always("LIST-METADATA"),
    always("LIST-MYRIGHTS"),
    always("LIST-STATUS"),
    // `session::message_limit` has the number, and why SAVELIMIT is not here.
    always("MESSAGELIMIT=1000000"),
    enabled_by("METADATA", Extension::Metadata),
    always("MOVE"),
    always("MULTIAPPEND"),
    always("MULTISEARCH"),
    always("NAMESPACE"),
    always("NOTIFY"),
    always("OBJECTID"),
    always("PARTIAL"),
    always("PREVIEW"),
    enabled_by("QRESYNC", Extension::Qresync),
    always("QUOTA"),
    always("QUOTA=RES-MESSAGE"),
    always("QUOTA=RES-STORAGE"),
    always("REPLACE"),
    always("SAVEDATE"),
    always("SEARCH=FUZZY"),
    always("SEARCHRES"),
    always("SORT"),
    always("SORT=DISPLAY"),
    always("SPECIAL-USE"),
    always("STATUS=SIZE"),
    always("THREAD=ORDEREDSUBJECT"),
    always("THREAD=REFERENCES"),
    always("UIDBATCHES"),
    enabled_by("UIDONLY", Extension::UidOnly),
    always("UIDPLUS"),
    always("UNSELECT"),
    enabled_by("UTF8=ACCEPT", Extension::Utf8Accept),
    always("WITHIN"),
];

/// The capabilities of a connection, separated by spaces.
pub fn announced(logged_in: bool, security: Security) -> String {
    let tls_can_be_had = matches!(security, Security::Offered | Security::Required);
    let required = security == Security::Required;
    let told = |when| match when {
        When::Always => true,
        When::BeforeLogin => !logged_in,
        When::AfterLogin => logged_in,
        When::PasswordAllowed => !logged_in && !required,
        When::PasswordRefused => !logged_in && required,
        When::TlsOffered => !logged_in && tls_can_be_had,
    };
    let names: Vec<&str> = TABLE
        .iter()
        .filter(|capability| told(capability.when))
        .map(|capability| capability.name)
        .collect();
    names.join(" ")
}

/// What has been turned on in a connection; it stays on (RFC 5161 3.1).
#[derive(Debug, Default)]
pub struct Enabled(BTreeSet<Extension>);

impl Enabled {
    /// Whether it is on.
    pub fn has(&self, extension: Extension) -> bool {
        self.0.contains(&extension)
    }

    /// Turns it on and what it includes; `false` if it was on.
    pub fn turn_on(&mut self, extension: Extension) -> bool {
        if extension == Extension::Qresync {
            // "Identical results" with and without CONDSTORE (RFC 7162 3.2.3).
            self.0.insert(Extension::Condstore);
        }
        self.0.insert(extension)
    }
}

/// What ENABLE with these names, in upper case, turns on, and the names to answer with. Names
/// that are not known or need no enabling are passed over (RFC 5161 3.1).
pub fn enabled_by_names(names: &[String]) -> Vec<(&'static str, Extension)> {
    let find = |name: &String| {
        let mut table = TABLE.iter();
        let capability = table.find(|c| c.name.eq_ignore_ascii_case(name))?;
        Some((capability.name, capability.enables?))
    };
    let mut found: Vec<_> = names.iter().filter_map(find).collect();
    found.sort_unstable();
    found.dedup();
    found
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
            for logged_in in [false, true] {
                assert_eq!(has(logged_in, security, "LITERAL-"), !logged_in);
                assert_eq!(has(logged_in, security, "LITERAL+"), logged_in);
            }
        }
    }

    #[test]
    fn a_name_stands_once_and_is_an_atom() {
        let mut names = BTreeSet::new();
        for capability in TABLE {
            assert!(names.insert(capability.name), "{}", capability.name);
            let atom = |octet: u8| octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(&octet);
            assert!(capability.name.bytes().all(atom), "{}", capability.name);
        }
    }

    #[test]
    fn the_limit_is_the_one_that_holds() {
        let limit = crate::imap::session::message_limit::MESSAGE_LIMIT;
        let announced = format!("MESSAGELIMIT={limit}");
        assert!(TABLE.iter().any(|line| line.name == announced));
    }

    #[test]
    fn enable_answers_what_can_be_enabled() {
        let names: Vec<String> = ["QRESYNC", "X-GOOD-IDEA", "IDLE", "CONDSTORE", "QRESYNC"]
            .map(str::to_owned)
            .to_vec();
        let found: Vec<&str> = enabled_by_names(&names).iter().map(|(n, _)| *n).collect();
        assert_eq!(found, ["CONDSTORE", "QRESYNC"]);
        let mut enabled = Enabled::default();
        assert!(enabled.turn_on(Extension::Qresync));
        assert!(enabled.has(Extension::Condstore));
        assert!(!enabled.turn_on(Extension::Condstore));
    }
}
