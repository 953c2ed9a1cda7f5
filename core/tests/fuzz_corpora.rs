//! The committed corpora of the fuzz targets, run as ordinary tests: no finding comes back.

use std::path::Path;

#[cfg(test)]
#[expect(
    unreachable_pub,
    reason = "the fuzz targets use them from their own crate"
)]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// Runs a target over the files of its corpus.
fn replay(corpus: &str, least: usize, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(corpus);
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus is committed") {
        let path = entry.expect("the folder can be read").path();
        let octets = std::fs::read(&path).expect("the file can be read");
        let run = std::panic::catch_unwind(|| target(&octets));
        assert!(run.is_ok(), "a finding with {}", path.display());
        files += 1;
    }
    assert!(files >= least, "only {files} files in {}", folder.display());
}

#[test]
fn mime_split_join() {
    replay("mail", 30, targets::mime_split_join);
}

#[test]
fn mime_structure() {
    replay("mail", 30, targets::mime_structure);
}

#[test]
fn header_decoding() {
    replay("header_decoding", 20, targets::header_decoding);
}

#[test]
fn search_query() {
    replay("search_query", 20, targets::search_query);
}

#[test]
fn openpgp_message() {
    replay("openpgp_message", 7, targets::openpgp::openpgp_message);
}

#[test]
fn openpgp_certificate() {
    replay(
        "openpgp_certificate",
        7,
        targets::openpgp::openpgp_certificate,
    );
}

#[test]
fn autocrypt_header() {
    replay("autocrypt_header", 8, targets::openpgp::autocrypt_header);
}

#[test]
fn pgp_mime() {
    replay("pgp_mime", 11, targets::openpgp::pgp_mime);
}
