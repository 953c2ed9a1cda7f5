//! Names of hosts that may be asked, and what is not a name in a URL.

/// Whether a host may be asked at all: a name of the public DNS, in ASCII. Names that resolve
/// nowhere or at home only (RFC 6761, RFC 7686) would tell the resolver whom one writes to.
pub(in crate::keys) fn is_public(host: &str) -> bool {
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
pub(super) fn percent_encoded(text: &str) -> String {
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
