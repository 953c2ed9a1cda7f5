//! Messages that cost: they inflate (9), ask for costly keys (10), or break a parser (11).
//!
//! What is measured is a whole process: each group runs alone, as a child of its test, and is
//! asked for its peak of memory and its processor time, in a build without optimisation.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use flate2::Compression;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use rand::RngCore as _;

use super::*;
use crate::keys::autocrypt;
use crate::openpgp::decrypt::{self, DecryptError};

/// Most memory that a refusal may take, in KiB.
const MOST_KIB: u64 = 64 * 1024;
/// Most processor time that a refusal may take, in hundredths of a second.
const MOST_TICKS: u64 = 100;
/// The same where nothing inflates.
const MOST_TICKS_AT_ONCE: u64 = 20;
/// How much a bomb would give, in octets.
const BOMB_OCTETS: usize = 128 << 20;

/// A figure of this process, in KiB; `None` where the system does not tell.
fn memory(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Processor time of this process, in hundredths of a second.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let times = fields.split_ascii_whitespace().skip(11).take(2);
    times.filter_map(|time| time.parse::<u64>().ok()).sum()
}

/// Runs the work in a process of its own, which this test is started in again.
fn alone(test: &str, work: impl FnOnce()) {
    const CHILD: &str = "LETTERLOCK_ALONE";
    if std::env::var_os(CHILD).is_some() {
        work();
        return;
    }
    let name = format!("openpgp::attack_tests::exhaustion::{test}");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = text(&child.stdout) + &text(&child.stderr);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said}"
    );
    print!("{said}");
}

/// That none of these messages opens, within memory and time.
fn all_refused(messages: &[(&str, Vec<u8>)], most_ticks: u64) {
    let keys = [secret("bob")];
    let peak = memory("VmHWM");
    for (name, message) in messages {
        let start = ticks();
        let refused = decrypt::message(message, &keys, &Limits::default()).unwrap_err();
        let spent = ticks().saturating_sub(start);
        println!("{name}, {} octets: {refused}, {spent}0 ms", message.len());
        assert!(
            spent <= most_ticks,
            "{name}: {spent} hundredths of a second"
        );
    }
    if let (Some(before), Some(after)) = (peak, memory("VmHWM")) {
        let above = after.saturating_sub(before);
        println!("{above} KiB more than before");
        assert!(above < MOST_KIB, "{above} KiB");
    }
}

/// Zeros without end, as a literal packet; into a compressor.
fn zeros(mut out: impl std::io::Write) {
    let length = u32::try_from(BOMB_OCTETS + 6).unwrap().to_be_bytes();
    out.write_all(&[0xcb, 0xff]).unwrap();
    out.write_all(&length).unwrap();
    out.write_all(b"b\0\0\0\0\0").unwrap();
    for _ in 0..BOMB_OCTETS >> 13 {
        out.write_all(&[0; 1 << 13]).unwrap();
    }
}

fn zlib(octets: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(vec![2], Compression::new(6));
    encoder.write_all(octets).unwrap();
    packet(8, &encoder.finish().unwrap())
}

fn nested(layers: usize) -> Vec<u8> {
    let literal = packet(11, &[b"b\0\0\0\0\0", CANARY.as_bytes()].concat());
    (0..layers).fold(literal, |inner, _| zlib(&inner))
}

#[test]
fn attack_09_what_inflates() {
    alone("attack_09_what_inflates", || {
        let mut by_zlib = ZlibEncoder::new(vec![2], Compression::new(6));
        zeros(&mut by_zlib);
        let by_zlib = packet(8, &by_zlib.finish().unwrap());
        let mut by_deflate = DeflateEncoder::new(vec![1], Compression::new(6));
        zeros(&mut by_deflate);
        let by_deflate = packet(8, &by_deflate.finish().unwrap());
        assert!(
            BOMB_OCTETS / by_zlib.len() > 900,
            "a bomb, {} octets",
            by_zlib.len()
        );
        let mut bombs = vec![
            ("zlib, 1000 to 1", around(&by_zlib, "bob")),
            ("deflate, 1000 to 1", around(&by_deflate, "bob")),
            ("twice zlib", around(&zlib(&by_zlib), "bob")),
            ("ten layers", around(&nested(10), "bob")),
            ("a hundred layers", around(&nested(100), "bob")),
            (
                "one layer more than the limit",
                around(&nested(policy::limits::MAX_LAYERS + 1), "bob"),
            ),
        ];
        if let Some(vectors) = vectors() {
            let quine = std::fs::read(vectors.join("quine.out")).unwrap();
            bombs.push(("a quine", around(&quine, "bob")));
        }
        drop((by_zlib, by_deflate));
        all_refused(&bombs, MOST_TICKS);
        // What is within the limits opens.
        let layers = around(&nested(policy::limits::MAX_LAYERS), "bob");
        let opened = decrypt::message(&layers, &[secret("bob")], &Limits::default());
        assert_eq!(&*opened.unwrap().plaintext, CANARY.as_bytes());
    });
}

/// A session key under a password: Argon2 (RFC 9580 3.7.1.4) over 2 GiB, 255 times.
fn argon2() -> Vec<u8> {
    packet(3, &[&[4, 9, 4][..], &[7; 16], &[255, 4, 21]].concat())
}

/// The same, iterated and salted, over 65 MB (RFC 9580 3.7.1.3).
fn iterated() -> Vec<u8> {
    packet(3, &[&[4, 9, 3, 10][..], &[7; 8], &[255]].concat())
}

#[test]
fn attack_10_what_costs() {
    alone("attack_10_what_costs", || {
        let parts = packets(&around(&nested(0), "bob"));
        let [(1, session), (18, data)] = &parts[..] else {
            panic!("a session key and a container");
        };
        let container = packet(18, data);
        // For a key that is not bob's, and for nobody by name.
        let mut stranger = session.clone();
        stranger[1] ^= 1;
        let mut hidden = session.clone();
        hidden[1..9].fill(0);
        let last = hidden.len() - 1;
        hidden[last] ^= 1;
        let with = |packets: Vec<u8>| [packets, container.clone()].concat();
        let signatures = packet(4, &[3, 0, 8, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0]).repeat(10_000);
        all_refused(
            &[
                ("100 Argon2 of 2 GiB", with(argon2().repeat(100))),
                ("8 Argon2 of 2 GiB", with(argon2().repeat(8))),
                ("100 iterated", with(iterated().repeat(100))),
                ("8 iterated", with(iterated().repeat(8))),
                (
                    "Argon2 and a stranger",
                    with([argon2(), packet(1, &stranger)].concat()),
                ),
                (
                    "10,000 recipients",
                    with(packet(1, &stranger).repeat(10_000)),
                ),
                ("100 strangers", with(packet(1, &stranger).repeat(100))),
                (
                    "100 hidden recipients",
                    with(packet(1, &hidden).repeat(100)),
                ),
                ("10,000 markers", packet(10, b"PGP").repeat(10_000)),
                ("10,000 paddings", packet(21, &[0; 64]).repeat(10_000)),
                ("10,000 signatures to come", around(&signatures, "bob")),
                (
                    "a container in containers",
                    around(&with(packet(1, session)), "bob"),
                ),
            ],
            MOST_TICKS_AT_ONCE,
        );
        // Beside costly session keys, one of ours opens at once.
        let ours = with([argon2().repeat(8), packet(1, session)].concat());
        let opened = decrypt::message(&ours, &[secret("bob")], &Limits::default());
        assert!(
            !matches!(opened, Err(DecryptError::PasswordOnly)),
            "{opened:?}"
        );
    });
}

/// The test vectors that ship with rPGP, where cargo has put it; `None`, and a printed line, where
/// it has not.
fn vectors() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let name = format!("pgp-{}/tests", crate::openpgp::RPGP_VERSION);
    let sources = std::fs::read_dir(home.join("registry/src"));
    let found = sources
        .into_iter()
        .flatten()
        .flatten()
        .map(|registry| registry.path().join(&name))
        .find(|folder| folder.is_dir());
    if found.is_none() {
        println!("skipped: cargo's registry has no {name}");
    }
    found
}

fn files(folder: &std::path::Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Everything that octets of strangers go through.
fn taken_in(octets: &[u8], keys: &[SecretCertificate]) {
    let small = Limits {
        ciphertext_octets: 1 << 20,
        plaintext_octets: 1 << 20,
    };
    drop(decrypt::message(octets, keys, &small));
    drop(Certificate::parse_all(octets));
    drop(SecretCertificate::parse(octets, None));
    let signatures = sign::read_detached(CANARY.as_bytes(), octets);
    signatures.judge(&[public("alice")], Some(&address("alice")), READ_AT);
    drop(autocrypt::read(octets, &address("alice")));
    open(octets, keys, &small).judge(&[], READ_AT);
}

#[test]
fn attack_11_octets_that_break_a_parser() {
    let Some(vectors) = vectors() else { return };
    let mut found = Vec::new();
    files(&vectors, &mut found);
    found.sort();
    assert!(found.len() > 400, "{} vectors", found.len());
    let keys = [secret("bob")];
    let mut random = rng(11);
    for path in found {
        let octets = std::fs::read(&path).unwrap();
        if octets.len() > 4096 {
            continue;
        }
        taken_in(&octets, &keys);
        let binary = crate::openpgp::armor::unwrap(&octets, 1 << 16);
        let binary = binary.unwrap_or_else(|| octets.clone());
        for _ in 0..4 {
            let mut changed = binary.clone();
            for _ in 0..=random.next_u32() % 4 {
                if !changed.is_empty() {
                    let place = random.next_u32() as usize % changed.len();
                    changed[place] = random.next_u32().to_le_bytes()[0];
                }
            }
            if random.next_u32().is_multiple_of(4) {
                changed.truncate(random.next_u32() as usize % (changed.len() + 1));
            }
            taken_in(&changed, &keys);
        }
    }
}
