//! The address of an IMAP source: `imaps://user@host[:port][/mailbox]` (RFC 5092, a part of it).
//!
//! Invariant: a password in it is refused, because command lines are there for all to read.

use reqwest::Url;

use super::names;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first octet (RFC 8314 3.2): `imaps:`.
    Implicit,
    /// STARTTLS before the password: `imap:`.
    Upgraded,
}

/// Where a server is, and who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImapUrl {
    /// How the connection is protected.
    pub security: Security,
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// The only mailbox that is wanted.
    pub mailbox: Option<String>,
}

/// Why an address cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImapUrlError {
    /// It does not parse.
    #[error("it is no address of the form imaps://user@host/mailbox (an @ in the user is %40)")]
    Form,
    /// It has no user.
    #[error("it names no user: imaps://user@host (an @ in the user is %40)")]
    NoUser,
    /// It has a password.
    #[error(
        "a password on the command line can be read by everyone on this machine: leave it out, \
         you will be asked for it"
    )]
    Password,
}

impl ImapUrl {
    /// Whether a source is meant as an address of a server.
    pub fn is_meant(text: &str) -> bool {
        let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
        lower.starts_with("imap://") || lower.starts_with("imaps://")
    }

    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self, ImapUrlError> {
        let url = Url::parse(text).map_err(|_| ImapUrlError::Form)?;
        let (security, port) = match url.scheme() {
            "imaps" => (Security::Implicit, 993),
            "imap" => (Security::Upgraded, 143),
            _ => return Err(ImapUrlError::Form),
        };
        if url.password().is_some() {
            return Err(ImapUrlError::Password);
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let user = names::level(url.username());
        if user.is_empty() {
            return Err(ImapUrlError::NoUser);
        }
        let mailbox = names::level(url.path().trim_start_matches('/'));
        Ok(Self {
            security,
            host: host.ok_or(ImapUrlError::Form)?.to_owned(),
            port: url.port().unwrap_or(port),
            user,
            mailbox: Some(mailbox).filter(|mailbox| !mailbox.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let url = ImapUrl::parse("imaps://ann%40a.example@mail.example/Lists/R%C3%BCst").unwrap();
        assert_eq!(url.security, Security::Implicit);
        assert_eq!((url.host.as_str(), url.port), ("mail.example", 993));
        assert_eq!(url.user, "ann@a.example");
        assert_eq!(url.mailbox.as_deref(), Some("Lists/Rüst"));
        let url = ImapUrl::parse("imap://ann@127.0.0.1:1984").unwrap();
        assert_eq!((url.security, url.port), (Security::Upgraded, 1984));
        assert_eq!(url.mailbox, None);
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for (text, error) in [
            ("imaps://ann:secret@mail.example", ImapUrlError::Password),
            ("imaps://mail.example", ImapUrlError::NoUser),
            ("http://ann@mail.example", ImapUrlError::Form),
            ("imaps//x", ImapUrlError::Form),
        ] {
            assert_eq!(ImapUrl::parse(text), Err(error), "{text}");
        }
        assert!(ImapUrl::is_meant("IMAPS://x") && !ImapUrl::is_meant("./imap"));
    }
}
