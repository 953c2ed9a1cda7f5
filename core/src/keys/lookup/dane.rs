//! Where a domain publishes certificates in the DNS (DANE, RFC 7929 3): at a hash of the local part
//! below `_openpgpkey` of the domain.
//!
//! A record counts only with a proof by DNSSEC, which is for whoever carries the question out.

use sha2::{Digest as _, Sha256};

use super::is_public;
use crate::id::Address;

/// The part of the hash that the name has, in octets.
const HASH_OCTETS: usize = 28;

/// The owner names to ask, in this order: for the local part as it is, and, since few domains tell
/// letters apart by case, for the same in lower case. Nothing for a domain that has no public name.
pub(super) fn names(address: &Address) -> Vec<String> {
    let (local, domain) = (unquoted(address.local_part()), address.domain());
    if !is_public(domain) {
        return Vec::new();
    }
    let mut names = vec![name(&local, domain)];
    let lower = local.to_lowercase();
    if lower != local {
        names.push(name(&lower, domain));
    }
    names
}

fn name(local: &str, domain: &str) -> String {
    use core::fmt::Write as _;
    let mut name = String::new();
    for octet in Sha256::digest(local).iter().take(HASH_OCTETS) {
        let _ = write!(name, "{octet:02x}");
    }
    name + "._openpgpkey." + domain + "."
}

/// A local part without the quotes around it and the backslashes within.
fn unquoted(local: &str) -> String {
    let inner = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else {
        return local.to_owned();
    };
    let mut characters = inner.chars();
    let mut out = String::with_capacity(inner.len());
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.extend(characters.next()),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_rfc_7929() {
        let of = |address: &str| names(&Address::new(address).unwrap());
        // The example of its section 3.
        let hugh =
            "c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._openpgpkey.example.com.";
        assert_eq!(of("hugh@example.com"), [hugh]);
        assert_eq!(of("\"hugh\"@example.com"), [hugh]);
        assert_eq!(of("\"h\\ugh\"@example.com"), [hugh]);
        let [as_it_is, lower] = &of("Hugh@example.com")[..] else {
            panic!("two names");
        };
        assert_eq!(lower, hugh);
        assert_ne!(as_it_is, hugh);
        for nowhere in ["hugh@localhost", "hugh@box.local", "hugh@a.example"] {
            assert_eq!(of(nowhere), [""; 0]);
        }
    }
}
