//! Whether one key has vouched for another (RFC 9580 5.2.1.4 to 5.2.1.8).
//!
//! Invariant: a third party's word counts only here, and only when it is asked for by name.

use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails as _, Tag};

use super::{Verified, acceptable, created, key_flags, names, newest};
use crate::openpgp::policy::algorithm;

impl Verified {
    /// Whether the other certificate's primary key has certified, by `at`, that this one belongs
    /// to an address; `is_meant` tells the user ids that do. The certification must be the newest
    /// that key has made of the user id, of a type that certifies, strong, understood and within
    /// both keys' lives.
    #[expect(clippy::disallowed_methods, reason = "the policy itself")]
    pub(in crate::openpgp) fn certified_by(
        &self,
        other: &Self,
        at: u32,
        is_meant: impl Fn(&str) -> bool,
    ) -> bool {
        let signer = other.primary();
        let born = signer.created_at().as_secs();
        let standing = self.user_ids(at);
        self.0.details.users.iter().any(|user| {
            let meant = user
                .id
                .as_str()
                .is_some_and(|id| standing.contains(&id) && is_meant(id));
            if !meant {
                return false;
            }
            let by_them = user.signatures.iter().filter(|signature| {
                names(signature, signer)
                    && has_issuer(signature)
                    && acceptable(signature, born)
                    && signature
                        .verify_third_party_certification(
                            self.primary(),
                            signer,
                            Tag::UserId,
                            &user.id,
                        )
                        .is_ok()
            });
            newest(by_them, at).is_some_and(|word| {
                word.typ() != Some(SignatureType::CertRevocation)
                    && word.hash_alg().is_some_and(algorithm::hash_is_strong)
                    && other.certifies(created(word))
            })
        })
    }

    /// Whether the primary key may certify others at `at`.
    fn certifies(&self, at: u32) -> bool {
        let flags = self.self_signatures(at).into_iter().find_map(key_flags);
        self.check(at).is_ok() && flags.is_none_or(|flags| flags.certify())
    }
}

/// Whether a signature says at all who made it.
fn has_issuer(signature: &Signature) -> bool {
    !signature.issuer_fingerprint().is_empty() || !signature.issuer_key_id().is_empty()
}
