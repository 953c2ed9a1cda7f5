//! Looking certificates up: whom to ask for one, in which order, and what an answer is worth.
//!
//! No network here: a [`Lookup`] hands a [`Request`] out and takes an [`Answer`] in, until there is
//! none left. `wkd`, `dane` and `key_server` know the addresses of what they ask, a mail has said the one of
//! an [`openpgp_field`](super::openpgp_field).
//!
//! | source | asked for | level | asked when |
//! |---|---|---|---|
//! | our provider's directory | any address; alone for those of our own domain | provider trust there, else weak chain | always |
//! | Web Key Directory of the address's domain | an address | provider trust | mail is sent, unless it is switched off |
//! | DNS of the address's domain (DANE) | an address | provider trust | mail is sent, if it is switched on |
//! | what the `OpenPGP` field of their last mail pointed to | an address | weak chain | mail is sent, unless it is switched off |
//! | verifying key server (VKS) | an address, a fingerprint | weak chain | only if the account names one |
//! | key server (HKP) | a full fingerprint | none: it adds revocations to what is known | only if the account names one |
//!
//! Invariants: one order, and the first certificate for the address ends it, be it usable or not,
//! so that nobody's silence and no weaker source gives a revoked key a successor; of an answer
//! only the user ids of the address asked for are kept; every answer has a largest size.
//! Nobody but our provider is asked when mail is read: a sender would learn from a question to
//! their domain when it was. Rejected: asking all at once; each would learn of every letter.

mod dane;
mod key_server;
mod names;
mod not_found;
mod source;
mod wkd;

use std::collections::VecDeque;

use super::keyring::Offer;
use super::openpgp_field::Pointer;
use super::published;
use crate::id::{Address, Timestamp};
use crate::openpgp::policy::limits::MAX_CERTIFICATE_OCTETS;
use crate::openpgp::{Certificate, Fingerprint};

pub(in crate::keys) use names::is_public;
pub use not_found::{MAX_NOTED, NOT_FOUND_SECS, NotFound, UNREACHABLE_SECS};
pub use source::{Source, Sources};

use names::percent_encoded;

/// Largest answer, in octets; whoever carries out a request stops reading there.
pub const MAX_ANSWER_OCTETS: usize = MAX_CERTIFICATE_OCTETS;
/// Most certificates looked at in one answer: a revoked one may stand beside its successor.
pub const MAX_ANSWER_CERTIFICATES: usize = 8;
/// Seconds that one request may take, from the first octet sent to the last one read.
pub const REQUEST_SECS: u64 = 10;
/// The verifying key server that most people use.
pub const WELL_KNOWN_KEY_SERVER: &str = "keys.openpgp.org";

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
    /// The `OPENPGPKEY` records (RFC 7929) of this name, all their octets one behind the other, if
    /// DNSSEC proves every record on the way to them; at most [`MAX_ANSWER_OCTETS`] and
    /// [`REQUEST_SECS`].
    OpenPgpKey {
        /// An absolute owner name.
        name: String,
    },
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
        let (certificate, companion) = pick(answer, address, None, now)?;
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
    follows_pointers: bool,
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
    /// The certificate that it shall be; `None`: any for the address.
    wanted: Option<Fingerprint>,
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
                wanted: None,
                only_without_host,
            }));
        };
        let strangers = purpose == Purpose::Sending && !at_home;
        if strangers && sources.web_key_directory {
            ask(wkd::advanced(address), Source::WebKeyDirectory, false);
            ask(wkd::direct(address), Source::WebKeyDirectory, true);
        }
        let names = if strangers && sources.dane {
            dane::names(address)
        } else {
            Vec::new()
        };
        steps.extend(names.into_iter().map(|name| Step {
            request: Request::OpenPgpKey { name },
            source: Source::Dane,
            wanted: None,
            only_without_host: false,
        }));
        // What our provider says of others is worth less than their own directory, and more than
        // a key server.
        steps.push_back(Step {
            request: Request::Directory(address.clone()),
            source: directory(own, address),
            wanted: None,
            only_without_host: false,
        });
        let server = sources.key_server.as_deref().filter(|_| strangers);
        let by_address = server.and_then(|host| key_server::by_address(host, address));
        steps.extend(by_address.map(|url| Step {
            request: Request::Https { url },
            source: Source::KeyServer,
            wanted: None,
            only_without_host: false,
        }));
        Self {
            address: address.clone(),
            steps,
            found: None,
            strangers: Strangers::NotAsked,
            follows_pointers: strangers && sources.openpgp_field,
        }
    }

    /// The same, with what the last mail of the address said of its certificate: asked before a key
    /// server, and only for mail that is sent.
    #[must_use]
    pub fn with_pointer(mut self, pointer: Option<&Pointer>) -> Self {
        let pointer = pointer.filter(|_| self.follows_pointers);
        let known = pointer.and_then(|pointer| Some((pointer.url_for(&self.address)?, pointer)));
        if let Some((url, pointer)) = known {
            let is_server = |step: &Step| step.source == Source::KeyServer;
            let place = self.steps.iter().position(is_server);
            let step = Step {
                request: Request::Https { url: url.into() },
                source: Source::OpenPgpField,
                wanted: pointer.fingerprint(),
                only_without_host: false,
            };
            self.steps.insert(place.unwrap_or(self.steps.len()), step);
        }
        self
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
        let is_stranger = step.request != Request::Directory(self.address.clone());
        if is_stranger {
            self.strangers = match (self.strangers, answer) {
                (Strangers::Unreachable, _) | (_, Answer::Failed) => Strangers::Unreachable,
                _ => Strangers::Nothing,
            };
        }
        if let Answer::Octets(octets) = answer
            && let Some((certificate, companion)) = pick(octets, &self.address, step.wanted, now)
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
    wanted: Option<Fingerprint>,
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
    let is_wanted = |one: &&Certificate| wanted.is_none_or(|wanted| one.fingerprint() == wanted);
    let picked = named.iter().find(is_wanted)?.clone();
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

#[cfg(test)]
mod tests;
