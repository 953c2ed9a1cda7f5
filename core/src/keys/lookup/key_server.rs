//! What is asked of key servers: certificates by address or fingerprint of those that verify
//! addresses (VKS, as `keys.openpgp.org` speaks it), and revocations by fingerprint of those that
//! do not (HKP, draft-gallagher-openpgp-hkp 3.1). Never by address from the latter: anybody can
//! upload for anybody there.

use super::{is_public, percent_encoded};
use crate::id::Address;
use crate::openpgp::Fingerprint;

/// VKS by address.
pub(super) fn by_address(host: &str, address: &Address) -> Option<String> {
    let address = percent_encoded(address.as_str());
    is_public(host).then(|| format!("https://{host}/vks/v1/by-email/{address}"))
}

/// VKS by fingerprint.
pub(super) fn by_fingerprint(host: &str, fingerprint: &Fingerprint) -> Option<String> {
    is_public(host).then(|| format!("https://{host}/vks/v1/by-fingerprint/{fingerprint}"))
}

/// HKP by fingerprint.
pub(super) fn revocations(host: &str, fingerprint: &Fingerprint) -> Option<String> {
    is_public(host)
        .then(|| format!("https://{host}/pks/lookup?op=get&options=mr&search=0x{fingerprint}"))
}
