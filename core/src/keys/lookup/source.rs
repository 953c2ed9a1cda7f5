//! Where certificates come from, how well each source proves whose they are, and which of them an
//! account lets be asked.

use crate::keys::level::Level;

/// Where a certificate came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Our provider's directory, of an address of our own domain.
    Directory,
    /// Our provider's directory, of another address.
    ForeignDirectory,
    /// The Web Key Directory of the address's domain.
    WebKeyDirectory,
    /// A key server that has verified the address.
    KeyServer,
    /// The `Autocrypt` field of a mail.
    Autocrypt,
    /// An `Autocrypt-Gossip` field of an encrypted mail.
    Gossip,
    /// A mail's attachment.
    Attachment,
    /// Where the `OpenPGP` field of a mail pointed to.
    OpenPgpField,
    /// The DNS of the address's domain, proven by DNSSEC.
    Dane,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Directory,
        Self::ForeignDirectory,
        Self::WebKeyDirectory,
        Self::KeyServer,
        Self::Autocrypt,
        Self::Gossip,
        Self::Attachment,
        Self::OpenPgpField,
        Self::Dane,
    ];

    /// How well it proves whose a certificate is.
    pub const fn level(self) -> Level {
        match self {
            Self::Directory | Self::WebKeyDirectory | Self::Dane => Level::ProviderTrust,
            Self::ForeignDirectory
            | Self::KeyServer
            | Self::Autocrypt
            | Self::Gossip
            | Self::Attachment
            | Self::OpenPgpField => Level::WeakChain,
        }
    }
}

/// Whom an account lets be asked, beside its own provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The domain of whom one writes to: it will have the mail anyway.
    pub web_key_directory: bool,
    /// The DNS of their domain. Whoever is between here and there sees a hash of whom one writes
    /// to, which is easily undone, so it is not asked unless that is wanted.
    pub dane: bool,
    /// Their domain again, at the address that the `OpenPGP` field of their last mail named.
    pub openpgp_field: bool,
    /// The host of a verifying key server. It learns whom one writes to, so there is none unless
    /// it is named.
    pub key_server: Option<String>,
    /// The host of a key server that is asked for revocations by fingerprint; the same holds.
    pub revocation_server: Option<String>,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            web_key_directory: true,
            dane: false,
            openpgp_field: true,
            key_server: None,
            revocation_server: None,
        }
    }
}
