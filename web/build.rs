//! Gathers the mail that the browser's round trip test reads.
//!
//! A page cannot read the folder of messages that may stand beside the project, so they are put
//! into one file here: for each message its length (four octets, big-endian) and its octets.
//! Without the folder the file is empty, and the test says that it was skipped.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=LETTERLOCK_CORPORA");
    println!("cargo::rerun-if-changed=build.rs");
    let folder = env::var_os("LETTERLOCK_CORPORA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora"),
        PathBuf::from,
    );
    let mut archive = Vec::new();
    if folder.is_dir() {
        println!("cargo::rerun-if-changed={}", folder.display());
        gather(&folder, &mut archive)?;
    }
    let out = env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .unwrap_or_default();
    fs::write(out.join("corpora.bin"), archive)
}

fn gather(folder: &Path, archive: &mut Vec<u8>) -> io::Result<()> {
    let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            gather(&path, archive)?;
            continue;
        }
        let octets = fs::read(&path)?;
        if path
            .extension()
            .is_some_and(|extension| extension == "mbox")
        {
            for message in mbox(&octets) {
                add(&message, archive);
            }
        }
        add(&octets, archive);
    }
    Ok(())
}

fn add(message: &[u8], archive: &mut Vec<u8>) {
    if let Ok(length) = u32::try_from(message.len()) {
        archive.extend_from_slice(&length.to_be_bytes());
        archive.extend_from_slice(message);
    }
}

/// The messages of an mbox file, without their separator lines.
fn mbox(octets: &[u8]) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b"From ") {
            messages.push(Vec::new());
        } else if let Some(message) = messages.last_mut() {
            message.extend_from_slice(line);
        }
    }
    messages
}
