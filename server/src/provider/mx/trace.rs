//! The trace fields that the last hop puts on top of a message (RFC 5321 4.4).
//!
//! ```text
//! Return-Path: <bob@example.org>
//! Delivered-To: alice@letterlock.example
//! Received: from mx.example.org ([192.0.2.1]) by letterlock.example with LMTP id 0a1b…
//!  for <alice@letterlock.example>; Sun, 22 Nov 2026 13:17:57 +0000
//! ```
//!
//! The message itself is not touched, so that signatures over it still verify.

use std::net::IpAddr;

use letterlock_core::id::{Address, IncomingId, Timestamp};
use letterlock_core::mime;

/// Longest name of a peer that is repeated in a trace field, in octets.
const MAX_PEER_NAME_OCTETS: usize = 255;

/// By which protocol a message came (RFC 5321 4.4 `With`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 2033.
    Lmtp,
    /// RFC 5321 with extensions.
    Esmtp,
    /// A device's submission through the API.
    Http,
}

impl Protocol {
    const fn name(self) -> &'static str {
        match self {
            Self::Lmtp => "LMTP",
            Self::Esmtp => "ESMTP",
            Self::Http => "HTTP",
        }
    }
}

/// Who handed a message to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// What it called itself in LHLO or EHLO; empty if it did not.
    pub name: String,
    /// Its address; `None` keeps it out of the message.
    pub ip: Option<IpAddr>,
    /// The protocol.
    pub protocol: Protocol,
}

/// The fields, CRLF line ends.
pub(crate) fn fields(
    peer: &Peer,
    host: &str,
    reverse_path: Option<&Address>,
    recipient: &Address,
    id: IncomingId,
    now: Timestamp,
) -> String {
    let from = origin(peer);
    let protocol = peer.protocol.name();
    let reverse_path = reverse_path.map_or("", Address::as_str);
    let date = date_time(now);
    format!(
        "Return-Path: <{reverse_path}>\r\n\
         Delivered-To: {recipient}\r\n\
         Received: {from}by {host} with {protocol} id {id}\r\n for <{recipient}>; {date}\r\n"
    )
}

fn origin(peer: &Peer) -> String {
    // A name from a stranger must not become a field of its own.
    let tame = |c: &char| c.is_ascii_alphanumeric() || "-._:[]".contains(*c);
    let name: String = peer
        .name
        .chars()
        .filter(tame)
        .take(MAX_PEER_NAME_OCTETS)
        .collect();
    let name = if name.is_empty() { "unknown" } else { &name };
    match peer.ip {
        Some(IpAddr::V4(ip)) => format!("from {name} ([{ip}]) "),
        Some(IpAddr::V6(ip)) => format!("from {name} ([IPv6:{ip}]) "),
        None if peer.name.is_empty() => String::new(),
        None => format!("from {name} "),
    }
}

/// RFC 5322 3.3 `date-time` in UTC.
fn date_time(now: Timestamp) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let days = now.as_secs().div_euclid(86_400);
    let second = now.as_secs().rem_euclid(86_400);
    let (year, month, day) = mime::civil_from_days(days);
    let name = |names: &[&'static str], at: i64| {
        usize::try_from(at)
            .ok()
            .and_then(|at| names.get(at).copied())
            .unwrap_or("Jan")
    };
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} +0000",
        name(&WEEKDAYS, days.rem_euclid(7)),
        name(&MONTHS, month - 1),
        second / 3600,
        second / 60 % 60,
        second % 60,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        for (secs, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_795_353_477, "Sun, 22 Nov 2026 13:17:57 +0000"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 +0000"),
        ] {
            assert_eq!(date_time(Timestamp::from_secs(secs)), expected);
        }
    }

    #[test]
    fn a_peer_cannot_write_fields() {
        let peer = Peer {
            name: "x\r\nSubject: hi (".to_owned(),
            ip: "192.0.2.1".parse().ok(),
            protocol: Protocol::Lmtp,
        };
        let recipient = Address::new("alice@letterlock.example").unwrap();
        let id = IncomingId::new([7; 16]);
        let now = Timestamp::from_secs(0);
        let fields = fields(&peer, "letterlock.example", None, &recipient, id, now);
        assert_eq!(
            fields,
            "Return-Path: <>\r\nDelivered-To: alice@letterlock.example\r\n\
             Received: from xSubject:hi ([192.0.2.1]) by letterlock.example with LMTP id \
             07070707070707070707070707070707\r\n \
             for <alice@letterlock.example>; Thu, 01 Jan 1970 00:00:00 +0000\r\n"
        );
    }
}
