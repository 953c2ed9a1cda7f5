//! Real mail of other people, where a folder with it stands beside the project.
//!
//! The project ships messages of its own; these may not be shipped. An empty folder cannot pass:
//! the messages are counted.

use std::path::{Path, PathBuf};

use super::pieces::check_pieces;
use super::round_trip;
use crate::mime::text::{body_to_show, decode_text};

/// How many messages the folder has at least.
const LEAST_MESSAGES: usize = 500;
/// At how many places a small message is cut off.
const TRUNCATIONS: usize = 30;
/// What a small message is.
const SMALL_OCTETS: usize = 16 * 1024;

#[test]
fn every_message_of_the_corpora_joins_to_itself() {
    let Some(folder) = corpora() else { return };
    let mut messages = 0;
    for file in files(&folder) {
        let octets = std::fs::read(&file).unwrap();
        let shown = file.display().to_string();
        messages += 1;
        check(&octets, &shown);
        if file.extension().is_some_and(|e| e == "mbox") {
            for (number, message) in mbox(&octets).into_iter().enumerate() {
                messages += 1;
                check(message, &format!("{shown} #{number}"));
            }
        }
    }
    println!("{messages} messages");
    assert!(
        messages >= LEAST_MESSAGES,
        "only {messages} messages in {}",
        folder.display()
    );
}

fn check(raw: &[u8], name: &str) {
    let structure = std::panic::catch_unwind(|| round_trip(raw))
        .unwrap_or_else(|_| panic!("{name} does not join to itself"));
    for shown in body_to_show(&structure).html {
        let part = structure.part(&shown.path).unwrap();
        decode_text(part, structure.leaves[shown.leaf].of(raw));
    }
    let small = if raw.len() < SMALL_OCTETS { 1 } else { 11 };
    for size in [small, 1000] {
        check_pieces(raw, raw.chunks(size), &format!("{name} by {size}"));
    }
    check_truncations(raw, name);
    let unix: Vec<u8> = raw.iter().copied().filter(|&o| o != b'\r').collect();
    assert_eq!(
        round_trip(&unix).root.children().len(),
        structure.root.children().len(),
        "{name} has other parts with bare line feeds"
    );
}

/// Cuts the end off: anywhere in a small message, at some places in a large one.
fn check_truncations(raw: &[u8], name: &str) {
    let places = if raw.len() < SMALL_OCTETS {
        TRUNCATIONS
    } else {
        3
    };
    let step = (raw.len() / places).max(1);
    for end in (0..raw.len()).step_by(step) {
        let start = &raw[..end];
        check_pieces(start, start.chunks(97), &format!("{name} up to {end}"));
    }
}

/// The folder with the corpora; says so if there is none.
pub(super) fn corpora() -> Option<PathBuf> {
    let folder = std::env::var_os("LETTERLOCK_CORPORA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora"),
        PathBuf::from,
    );
    if !folder.is_dir() {
        println!("skipped: there is no folder {}", folder.display());
        return None;
    }
    Some(folder)
}

pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut to_do = vec![folder.to_owned()];
    while let Some(folder) = to_do.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                to_do.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The messages of an mbox file, without their separator lines.
fn mbox(octets: &[u8]) -> Vec<&[u8]> {
    let mut starts = Vec::new();
    let mut at = 0;
    for line in octets.split_inclusive(|&o| o == b'\n') {
        if line.starts_with(b"From ") {
            starts.push((at, at + line.len()));
        }
        at += line.len();
    }
    let ends = starts
        .iter()
        .skip(1)
        .map(|(start, _)| *start)
        .chain([octets.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|((_, start), end)| &octets[*start..end])
        .collect()
}
