//! The other judges: a folder of numbered files in, a line for each out.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that is gone when this is dropped.
pub(super) struct Desk(PathBuf);

impl Desk {
    pub(super) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("lldiff-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(super) fn write(&self, name: &str, octets: &[u8]) {
        std::fs::write(self.0.join(name), octets).unwrap();
    }

    /// What a program says of everything here: the numbers of what it takes.
    pub(super) fn judge(&self, program: &str, word: &str) -> Vec<usize> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/it/scripts/compare.py");
        let libraries = std::env::var_os("LETTERLOCK_CLIENT_LIBRARIES").unwrap();
        let output = Command::new("python3")
            .env("PYTHONPATH", PathBuf::from(libraries).join("python"))
            .arg(script)
            .args([program, word])
            .arg(&self.0)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said.lines().map(|line| line.parse().unwrap()).collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Whether `cargo xtask test` has installed the judges and the vectors.
pub(super) fn are_here() -> bool {
    let here = ["LETTERLOCK_CLIENT_LIBRARIES", "LETTERLOCK_VECTORS"]
        .iter()
        .all(|name| std::env::var_os(name).is_some());
    if !here {
        println!("skipped: run `cargo xtask test`, which installs the judges");
    }
    here
}
