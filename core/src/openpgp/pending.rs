//! Signatures found on a message and not judged yet: the certificate may have to be looked up.
//!
//! Holds digests, not the document, so that the mail can be stored and forgotten meanwhile.

use core::fmt;

use pgp::packet::{PacketTrait as _, Signature};

use super::Certificate;
use super::fingerprint::{Fingerprint, Issuer};
use super::policy::signature::{self, Circumstances};
use super::policy::{self, Proof};
use super::protection::{BadSignature, SignatureStatus};
use crate::id::{Address, Timestamp};

/// One signature and the digest of what it claims to sign.
#[derive(Clone)]
#[cfg_attr(test, derive(PartialEq))]
pub(super) struct PendingSignature {
    signature: Signature,
    digest: Option<Vec<u8>>,
}

impl PendingSignature {
    pub(super) fn new(signature: Signature, document: &[u8]) -> Self {
        let digest = signature::digest(&signature, document);
        Self { signature, digest }
    }

    /// A signature whose document was hashed while it was read, if it was.
    pub(super) fn hashed(signature: Signature, digest: Option<Vec<u8>>, document: &[u8]) -> Self {
        let Some(digest) = digest.filter(|_| signature::is_over_document(&signature)) else {
            return Self::new(signature, document);
        };
        let digest = Some(digest);
        debug_assert_eq!(
            digest,
            signature::digest(&signature, document),
            "hashed alike"
        );
        Self { signature, digest }
    }
}

/// All signatures of one message.
#[derive(Clone, Default)]
#[cfg_attr(test, derive(PartialEq))]
pub struct PendingSignatures {
    signatures: Vec<PendingSignature>,
    /// Our certificate that opened the encryption around them.
    opened_with: Option<Fingerprint>,
    /// There was a signature block that could not be read.
    malformed: bool,
    /// Those of further pieces of the same message, each with content of its own.
    pieces: Vec<Self>,
}

impl PendingSignatures {
    pub(super) fn new(signatures: Vec<PendingSignature>, opened_with: Option<Fingerprint>) -> Self {
        Self {
            signatures,
            opened_with,
            ..Self::default()
        }
    }

    pub(super) fn malformed() -> Self {
        Self {
            malformed: true,
            ..Self::default()
        }
    }

    /// The same signatures, found inside encryption that this certificate of ours opened.
    pub(super) fn opened_with(mut self, fingerprint: Option<Fingerprint>) -> Self {
        self.opened_with = fingerprint;
        self
    }

    /// These and those of a further piece of the message, which has content of its own: the
    /// message is signed as well as the worst of its pieces.
    pub(super) fn with_piece(mut self, piece: Self) -> Self {
        self.pieces.push(piece);
        self
    }

    /// Whether there is nothing to judge.
    pub fn is_empty(&self) -> bool {
        self.signatures.is_empty() && !self.malformed && self.pieces.iter().all(Self::is_empty)
    }

    /// The signatures as they came, binary, one packet behind the other.
    pub fn packets(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        for pending in &self.signatures {
            let before = octets.len();
            let written = pending.signature.to_writer_with_header(&mut octets);
            if written.is_err() {
                octets.truncate(before);
            }
        }
        octets
    }

    /// Whom the signatures name: what to look up, beside the sender's address.
    pub fn issuers(&self) -> Vec<Issuer> {
        let mut issuers: Vec<Issuer> = self
            .signatures
            .iter()
            .filter_map(|pending| signature::issuer(&pending.signature))
            .chain(self.pieces.iter().flat_map(Self::issuers))
            .collect();
        issuers.sort_unstable();
        issuers.dedup();
        issuers
    }

    /// The verdict: the best of the signatures', given the certificates that may be the signer's.
    ///
    /// `from` is the message's one From address, or `None` if it has none or several: then no
    /// signature can be the sender's.
    pub fn judge(
        &self,
        certificates: &[Certificate],
        from: Option<&Address>,
        now: Timestamp,
    ) -> SignatureStatus {
        let first = self.judge_piece(certificates, from, now);
        let others = self.pieces.iter();
        let others = others.map(|piece| piece.judge(certificates, from, now));
        // Of pieces the worst counts, and what is forged is worse than what is not signed.
        let badness = |status: &SignatureStatus| match status {
            SignatureStatus::Bad { .. } => u8::MAX,
            status => rank(status),
        };
        others.fold(first, |worst, other| {
            if badness(&other) > badness(&worst) {
                other
            } else {
                worst
            }
        })
    }

    fn judge_piece(
        &self,
        certificates: &[Certificate],
        from: Option<&Address>,
        now: Timestamp,
    ) -> SignatureStatus {
        let circumstances = Circumstances {
            certificates,
            from,
            opened_with: self.opened_with,
            now: policy::seconds(now),
        };
        let unreadable = self.malformed.then_some(SignatureStatus::Bad {
            reason: BadSignature::Malformed,
        });
        self.signatures
            .iter()
            .map(|pending| {
                signature::judge(
                    &pending.signature,
                    pending.digest.as_deref(),
                    &circumstances,
                )
            })
            .chain(unreadable)
            .min_by_key(rank)
            .unwrap_or(SignatureStatus::None)
    }
}

impl PendingSignatures {
    /// The signatures that are good, whoever sent the document: for documents that are no mail.
    pub fn proofs(&self, certificates: &[Certificate], now: Timestamp) -> Vec<Proof> {
        let circumstances = Circumstances {
            certificates,
            from: None,
            opened_with: self.opened_with,
            now: policy::seconds(now),
        };
        self.signatures
            .iter()
            .filter_map(|pending| {
                let digest = pending.digest.as_deref();
                signature::prove(&pending.signature, digest, &circumstances).ok()
            })
            .collect()
    }
}

impl fmt::Debug for PendingSignatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PendingSignatures({})", self.signatures.len())
    }
}

/// The better, the lower.
fn rank(status: &SignatureStatus) -> u8 {
    match status {
        SignatureStatus::Valid { .. } => 0,
        SignatureStatus::WrongSender { .. } => 1,
        SignatureStatus::Expired { .. } => 2,
        SignatureStatus::Weak { .. } => 3,
        SignatureStatus::UnknownKey { .. } => 4,
        SignatureStatus::Bad { .. } => 5,
        SignatureStatus::None => 6,
    }
}
