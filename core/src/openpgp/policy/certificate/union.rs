//! Two certificates of one key as one (check 22).
//!
//! Invariant: nothing that either has is lost, revocations least of all.

use pgp::composed::SignedPublicKey;
use pgp::packet::Signature;

/// All packets of both certificates of one key (check 22).
pub(in crate::openpgp) fn union(
    ours: &SignedPublicKey,
    theirs: &SignedPublicKey,
) -> SignedPublicKey {
    let mut whole = with_revocations(ours, theirs);
    add_missing(
        &mut whole.details.direct_signatures,
        &theirs.details.direct_signatures,
    );
    for user in &theirs.details.users {
        match whole
            .details
            .users
            .iter_mut()
            .find(|known| known.id == user.id)
        {
            Some(known) => add_missing(&mut known.signatures, &user.signatures),
            None => whole.details.users.push(user.clone()),
        }
    }
    for subkey in &theirs.public_subkeys {
        match whole
            .public_subkeys
            .iter_mut()
            .find(|known| known.key == subkey.key)
        {
            Some(known) => add_missing(&mut known.signatures, &subkey.signatures),
            None => whole.public_subkeys.push(subkey.clone()),
        }
    }
    whole
}

/// Our packets and their revocations of the primary key.
pub(in crate::openpgp) fn with_revocations(
    ours: &SignedPublicKey,
    theirs: &SignedPublicKey,
) -> SignedPublicKey {
    let mut revoked = ours.clone();
    let theirs = &theirs.details.revocation_signatures;
    add_missing(&mut revoked.details.revocation_signatures, theirs);
    revoked
}

fn add_missing(known: &mut Vec<Signature>, more: &[Signature]) {
    for signature in more {
        if !known.contains(signature) {
            known.push(signature.clone());
        }
    }
}
