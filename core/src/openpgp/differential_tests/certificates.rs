//! Certificates: may mail be encrypted to them now?

use std::collections::BTreeMap;

use super::expected::CERTIFICATES;
use super::judges::{self, Desk};
use super::{Verdict, compare, files, now, vectors};
use crate::openpgp::Certificate;
use crate::openpgp::armor;
use crate::openpgp::attack_tests::certificates::{WAYS, alice};
use crate::openpgp::policy::limits::MAX_CERTIFICATE_OCTETS;

/// Fewest certificates that are judged.
const FEWEST: usize = 400;

/// The packets of a key file: tag, octets with their header, and the header's length; old and new
/// forms (RFC 9580 4.2).
fn packets(mut octets: &[u8]) -> Vec<(u8, &[u8], usize)> {
    let mut found = Vec::new();
    while let [first, rest @ ..] = octets {
        let number = |octets: &[u8]| octets.iter().fold(0, |sum, o| (sum << 8) | usize::from(*o));
        let (tag, head, length) = match (first, rest) {
            (0xc0.., [length @ 0..=191, ..]) => (first & 0x3f, 2, usize::from(*length)),
            (0xc0.., [high @ 192..=223, low, ..]) => {
                let length = (usize::from(*high) - 192) * 256 + usize::from(*low) + 192;
                (first & 0x3f, 3, length)
            }
            (0xc0.., [255, length @ ..]) if length.len() >= 4 => {
                (first & 0x3f, 6, number(&length[..4]))
            }
            (0x80..=0xbf, _) if first & 3 < 3 => {
                let width = 1 << (first & 3);
                let Some(length) = rest.get(..width) else {
                    break;
                };
                ((first & 0x3f) >> 2, 1 + width, number(length))
            }
            _ => break,
        };
        let Some((packet, after)) = octets.split_at_checked(head + length) else {
            break;
        };
        found.push((tag, packet, head));
        octets = after;
    }
    found
}

/// The certificates of a file, each by itself; secret keys are none.
fn taken_apart(octets: &[u8]) -> Vec<Vec<u8>> {
    let binary = if octets.first().is_some_and(|first| first & 0x80 != 0) {
        octets.to_vec()
    } else {
        armor::unwrap(octets, MAX_CERTIFICATE_OCTETS).unwrap_or_default()
    };
    let mut found: Vec<(u8, Vec<u8>)> = Vec::new();
    for (tag, packet, _) in packets(&binary) {
        match (tag, found.last_mut()) {
            (5 | 6, _) => found.push((tag, packet.to_vec())),
            (_, Some((_, certificate))) => certificate.extend_from_slice(packet),
            // Something else than a key comes first.
            (_, None) => return vec![],
        }
    }
    let public = found.into_iter().filter(|(tag, _)| *tag == 6);
    public.map(|(_, octets)| octets).collect()
}

/// All certificates, by name; what occurs twice is judged once.
fn certificates() -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for package in ["pgp", "sequoia-openpgp"] {
        let folder = vectors(package).expect("cargo xtask test fetches the vectors");
        for path in files(&folder) {
            let octets = std::fs::read(&path).unwrap();
            if octets.len() > 2 * MAX_CERTIFICATE_OCTETS {
                continue;
            }
            let name = path
                .strip_prefix(&folder)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let package = package.split('-').next().unwrap_or_default();
            for (number, certificate) in taken_apart(&octets).into_iter().enumerate() {
                if seen.insert(certificate.clone()) {
                    found.insert(format!("{package}/{name}#{number}"), certificate);
                }
            }
        }
    }
    for own in WAYS {
        for binding in WAYS {
            use pgp::ser::Serialize as _;
            let octets = alice(own, binding).to_public_key().to_bytes().unwrap();
            found.insert(format!("forged/{own:?}-{binding:?}"), octets);
        }
    }
    found
}

/// Version 4 alone: gpg 2.2 knows no other that we know.
fn is_version_4(certificate: &[u8]) -> bool {
    let first = packets(certificate).first().copied();
    first.is_some_and(|(_, packet, head)| packet.get(head) == Some(&4))
}

#[test]
fn others_encrypt_to_the_same_certificates() {
    if !judges::are_here() {
        return;
    }
    let certificates = certificates();
    assert!(
        certificates.len() >= FEWEST,
        "{} certificates",
        certificates.len()
    );
    let desk = Desk::new("certificates");
    for (number, octets) in certificates.values().enumerate() {
        desk.write(&format!("{number}.cert"), octets);
    }
    let ours: Vec<Result<(), String>> = certificates
        .values()
        .map(|octets| {
            let certificate = Certificate::parse(octets).map_err(|defect| defect.to_string())?;
            let usable = certificate.usable_for_encryption(now());
            usable.map_err(|reason| reason.to_string())
        })
        .collect();
    let mut wrong = Vec::new();
    for judge in ["pysequoia", "gpg"] {
        let good = desk.judge(judge, "certificates");
        let verdicts: Vec<Verdict> = certificates
            .iter()
            .enumerate()
            .filter(|(_, (_, octets))| judge != "gpg" || is_version_4(octets))
            .map(|(number, (name, _))| Verdict {
                name: name.clone(),
                ours: ours[number].is_ok(),
                why: ours[number].clone().err().unwrap_or_default(),
                theirs: good.contains(&number),
            })
            .collect();
        wrong.extend(compare(judge, &verdicts, CERTIFICATES));
    }
    assert!(
        wrong.is_empty(),
        "not as in the table:\n{}",
        wrong.join("\n")
    );
}
