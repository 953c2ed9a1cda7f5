//! Where a domain publishes certificates in its Web Key Directory (section 3.1 of
//! draft-koch-openpgp-webkey-service): at the host `openpgpkey` of the domain, or at the domain
//! itself if that host does not exist.

use super::{is_public, percent_encoded};
use crate::id::Address;
use crate::keys::wkd::name_of;

/// The URL of the advanced method; `None` for a domain that has no public name.
pub(super) fn advanced(address: &Address) -> Option<String> {
    let domain = address.domain();
    let prefix = format!("https://openpgpkey.{domain}/.well-known/openpgpkey/{domain}/hu/");
    is_public(domain).then(|| prefix + &rest(address))
}

/// The URL of the direct method.
pub(super) fn direct(address: &Address) -> Option<String> {
    let domain = address.domain();
    let prefix = format!("https://{domain}/.well-known/openpgpkey/hu/");
    is_public(domain).then(|| prefix + &rest(address))
}

fn rest(address: &Address) -> String {
    let local = address.local_part();
    format!("{}?l={}", name_of(local), percent_encoded(local))
}
