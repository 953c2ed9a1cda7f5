//! The committed corpus of the IMAP server's fuzz targets, run as ordinary tests: no finding comes
//! back.

use std::path::Path;

#[cfg(test)]
#[expect(
    unreachable_pub,
    reason = "the fuzz targets use them from their own crate"
)]
#[path = "../../fuzz/src/imap.rs"]
mod targets;

/// Runs a target over the files of its corpus.
fn replay(least: usize, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/imap");
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
fn imap_command() {
    replay(20, targets::imap_command);
}

#[test]
fn imap_session() {
    replay(20, targets::imap_session);
}
