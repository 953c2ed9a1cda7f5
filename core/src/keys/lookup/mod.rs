//! Looking certificates up: whom to ask for one, in which order, and what an answer is worth.
//!
//! No network here: a [`Lookup`] hands a [`Request`] out and takes an [`Answer`] in, until there is
//! none left. `wkd` and `key_server` know the addresses of what they ask.
//!
//! | source | asked for | level | asked when |
//! |---|---|---|---|
//! | our provider's directory | any address; alone for those of our own domain | provider trust there, else weak chain | always |
//! | Web Key Directory of the address's domain | an address | provider trust | mail is sent, unless it is switched off |
//! | verifying key server (VKS) | an address, a fingerprint | weak chain | only if the account names one |
//! | key server (HKP) | a full fingerprint | none: it adds revocations to what is known | only if the account names one |
//!
//! Invariants: one order, and the first certificate for the address ends it, be it usable or not,
//! so that nobody's silence and no weaker source gives a revoked key a successor; of an answer
//! only the user ids of the address asked for are kept; every answer has a largest size.
//! Nobody but our provider is asked when mail is read: a sender would learn from a question to
//! their domain when it was. Rejected: asking all at once; each would learn of every letter.
//! Rejected for want of a resolver that validates: DANE (RFC 7929).

mod key_server;
mod not_found;
mod wkd;

use std::collections::VecDeque;

use super::keyring::Offer;
use super::level::Level;
use super::published;
use crate::id::{Address, Timestamp};
use crate::openpgp::policy::limits::MAX_CERTIFICATE_OCTETS;
use crate::openpgp::{Certificate, Fingerprint};

pub use not_found::{MAX_NOTED, NOT_FOUND_SECS, NotFound, UNREACHABLE_SECS};

/// Largest answer, in octets; whoever carries out a request stops reading there.
pub const MAX_ANSWER_OCTETS: usize = MAX_CERTIFICATE_OCTETS;
/// Most certificates looked at in one answer: a revoked one may stand beside its successor.
pub const MAX_ANSWER_CERTIFICATES: usize = 8;
/// Seconds that one request may take, from the first octet sent to the last one read.
pub const REQUEST_SECS: u64 = 10;
/// The verifying key server that most people use.
pub const WELL_KNOWN_KEY_SERVER: &str = "keys.openpgp.org";

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
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Directory,
        Self::ForeignDirectory,
        Self::WebKeyDirectory,
        Self::KeyServer,
        Self::Autocrypt,
        Self::Gossip,
        Self::Attachment,
    ];

    /// How well it proves whose a certificate is.
    pub const fn level(self) -> Level {
        match self {
            Self::Directory | Self::WebKeyDirectory => Level::ProviderTrust,
            Self::ForeignDirectory
            | Self::KeyServer
            | Self::Autocrypt
            | Self::Gossip
            | Self::Attachment => Level::WeakChain,
        }
    }
}

/// Whom an account lets be asked, beside its own provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The domain of whom one writes to: it will have the mail anyway.
    pub web_key_directory: bool,
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
            key_server: None,
            revocation_server: None,
        }
    }
}

/// What a lookup is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To encrypt to the address.
    Sending,
    /// To judge a signature of a mail that came: only our provider is asked.
    Verifying,
}

/// A question to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To our provider's directory.
    Directory(Address),
    /// `GET` by HTTPS: no cookies, no redirect to another host, at most [`MAX_ANSWER_OCTETS`] and
    /// [`REQUEST_SECS`].
    Https {
        /// The whole URL.
        url: String,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// These octets.
    Octets(Vec<u8>),
    /// There is nothing.
    Nothing,
    /// The host's name does not resolve.
    NoHost,
    /// Too late, too large, not reached, an error.
    Failed,
}

/// A certificate that a lookup brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The certificate.
    pub certificate: Certificate,
    /// Another of the same owner, by the first one's word, that is preferred by who can use it.
    pub companion: Option<Certificate>,
    /// From where.
    pub source: Source,
}

impl Found {
    /// A certificate of our own provider's directory, as the account of `own` sees it.
    pub fn in_directory(own: &Address, address: &Address, certificate: Certificate) -> Self {
        Self {
            certificate,
            companion: None,
            source: directory(own, address),
        }
    }

    /// What our own provider's directory has answered, to the account of `own`; `None` if nothing
    /// of it is for the address.
    pub fn answered(
        own: &Address,
        address: &Address,
        answer: &[u8],
        now: Timestamp,
    ) -> Option<Self> {
        let (certificate, companion) = pick(answer, address, now)?;
        Some(Self {
            companion,
            ..Self::in_directory(own, address, certificate)
        })
    }

    /// As an offer to the keyring.
    pub fn offer(&self, address: &Address, now: Timestamp) -> Offer {
        Offer {
            address: address.canonical(),
            certificate: self.certificate.clone(),
            level: self.source.level(),
            seen_at: now,
            prefers_encryption: false,
        }
    }
}

/// One address is looked up.
#[derive(Debug, Clone)]
pub struct Lookup {
    address: Address,
    steps: VecDeque<Step>,
    found: Option<Found>,
    strangers: Strangers,
}

/// What strangers have had to say in a lookup, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strangers {
    /// None was asked.
    NotAsked,
    /// They have nothing.
    Nothing,
    /// One did not answer, so nobody knows.
    Unreachable,
    /// One had a certificate.
    Found,
}

#[derive(Debug, Clone)]
struct Step {
    request: Request,
    source: Source,
    /// Only if the host of the step before does not exist.
    only_without_host: bool,
}

impl Lookup {
    /// Begins, for the account of `own`.
    pub fn new(own: &Address, address: &Address, purpose: Purpose, sources: &Sources) -> Self {
        let at_home = own.domain() == address.domain();
        let mut steps = VecDeque::new();
        let mut ask = |url: Option<String>, source, only_without_host| {
            steps.extend(url.map(|url| Step {
                request: Request::Https { url },
                source,
                only_without_host,
            }));
        };
        let strangers = purpose == Purpose::Sending && !at_home;
        if strangers && sources.web_key_directory {
            ask(wkd::advanced(address), Source::WebKeyDirectory, false);
            ask(wkd::direct(address), Source::WebKeyDirectory, true);
        }
        let server = sources.key_server.as_deref().filter(|_| strangers);
        let by_address = server.and_then(|host| key_server::by_address(host, address));
        ask(by_address, Source::KeyServer, false);
        // What our provider says of others is worth less than their own directory, and more than
        // a key server.
        let directory = Step {
            request: Request::Directory(address.clone()),
            source: directory(own, address),
            only_without_host: false,
        };
        let place = steps
            .iter()
            .position(|step| step.source == Source::KeyServer)
            .unwrap_or(steps.len());
        steps.insert(place, directory);
        Self {
            address: address.clone(),
            steps,
            found: None,
            strangers: Strangers::NotAsked,
        }
    }

    /// The next question; `None` at the end.
    pub fn next_request(&self) -> Option<&Request> {
        self.steps.front().map(|step| &step.request)
    }

    /// Takes the answer to it in.
    pub fn handle(&mut self, answer: &Answer, now: Timestamp) {
        let Some(step) = self.steps.pop_front() else {
            return;
        };
        let is_stranger = matches!(step.request, Request::Https { .. });
        if is_stranger {
            self.strangers = match (self.strangers, answer) {
                (Strangers::Unreachable, _) | (_, Answer::Failed) => Strangers::Unreachable,
                _ => Strangers::Nothing,
            };
        }
        if let Answer::Octets(octets) = answer
            && let Some((certificate, companion)) = pick(octets, &self.address, now)
        {
            self.found = Some(Found {
                certificate,
                companion,
                source: step.source,
            });
            if is_stranger {
                self.strangers = Strangers::Found;
            }
            self.steps.clear();
            return;
        }
        if *answer != Answer::NoHost {
            while self
                .steps
                .front()
                .is_some_and(|next| next.only_without_host)
            {
                self.steps.pop_front();
            }
        }
    }

    /// What strangers have said.
    pub const fn strangers(&self) -> Strangers {
        self.strangers
    }

    /// What was found.
    pub fn finish(self) -> Option<Found> {
        self.found
    }
}

/// Our provider's directory, of an address of our own domain or of another.
fn directory(own: &Address, address: &Address) -> Source {
    if own.domain() == address.domain() {
        Source::Directory
    } else {
        Source::ForeignDirectory
    }
}

/// The certificate for the address in an answer: the first that can be used, else the first, for
/// that it is revoked is news, too; and its companion. Other user ids are dropped.
fn pick(
    octets: &[u8],
    address: &Address,
    now: Timestamp,
) -> Option<(Certificate, Option<Certificate>)> {
    if octets.len() > MAX_ANSWER_OCTETS {
        return None;
    }
    let mut named: Vec<Certificate> = Certificate::parse_some(octets, MAX_ANSWER_CERTIFICATES)
        .iter()
        .filter_map(|certificate| certificate.to_published(address, now))
        .filter_map(|octets| Certificate::parse(&octets).ok())
        .collect();
    named.sort_by_key(|certificate| certificate.usable_for_encryption(now).is_err());
    let picked = named.first()?.clone();
    let companion = published::companion(&picked, &named, address, now).cloned();
    Some((picked, companion))
}

/// News of a certificate that is known: revocations above all.
#[derive(Debug, Clone)]
pub struct Refresh {
    known: Certificate,
    requests: VecDeque<Request>,
}

impl Refresh {
    /// Begins. Asks by the whole fingerprint alone: a key id is anybody's.
    pub fn new(known: &Certificate, sources: &Sources) -> Self {
        let fingerprint: Fingerprint = known.fingerprint();
        let verifying = sources.key_server.as_deref();
        let other = sources.revocation_server.as_deref();
        let urls = [
            verifying.and_then(|host| key_server::by_fingerprint(host, &fingerprint)),
            other.and_then(|host| key_server::revocations(host, &fingerprint)),
        ];
        let requests = urls.into_iter().flatten().map(|url| Request::Https { url });
        Self {
            known: known.clone(),
            requests: requests.collect(),
        }
    }

    /// The next question; `None` at the end.
    pub fn next_request(&self) -> Option<&Request> {
        self.requests.front()
    }

    /// Takes the answer to it in. A certificate of another key changes nothing.
    pub fn handle(&mut self, answer: &Answer) {
        self.requests.pop_front();
        let Answer::Octets(octets) = answer else {
            return;
        };
        if octets.len() > MAX_ANSWER_OCTETS {
            return;
        }
        for found in Certificate::parse_some(octets, MAX_ANSWER_CERTIFICATES) {
            self.known = self.known.merge(&found);
        }
    }

    /// The certificate with what was added to it.
    pub fn finish(self) -> Certificate {
        self.known
    }
}

/// Whether a host may be asked at all: a name of the public DNS, in ASCII. Names that resolve
/// nowhere or at home only (RFC 6761, RFC 7686) would tell the resolver whom one writes to.
fn is_public(host: &str) -> bool {
    const NOWHERE: [&str; 9] = [
        "example",
        "invalid",
        "localhost",
        "local",
        "test",
        "onion",
        "internal",
        "home.arpa",
        "alt",
    ];
    let labels: Vec<&str> = host.split('.').collect();
    let is_label = |label: &&str| {
        let octets = label.as_bytes();
        (1..=63).contains(&octets.len())
            && octets
                .iter()
                .all(|o| o.is_ascii_alphanumeric() || *o == b'-')
            && octets.first() != Some(&b'-')
            && octets.last() != Some(&b'-')
    };
    let lower = host.to_ascii_lowercase();
    let nowhere = NOWHERE.iter().any(|name| {
        lower
            .strip_suffix(name)
            .is_some_and(|rest| rest.ends_with('.'))
    });
    let numeric = labels
        .last()
        .is_some_and(|last| last.bytes().all(|octet| octet.is_ascii_digit()));
    labels.len() >= 2 && host.len() <= 253 && labels.iter().all(is_label) && !numeric && !nowhere
}

/// A text as it stands in a path or a query (RFC 3986 2.1).
fn percent_encoded(text: &str) -> String {
    use core::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            let _ = write!(out, "%{octet:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests;
