//! Test vectors of OpenPGP that ship with other crates: rPGP's, which is built anyway, and those of
//! `sequoia-openpgp`, which is fetched and never built.
//!
//! Rejected: it as a dependency of a test; it would be compiled, and it is under another licence.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};

use crate::paths::Paths;
use crate::step::{cargo, output, step};

const SEQUOIA: &str = "2.4.2";

/// Fetches what is missing; the folder of cargo's sources that has both crates.
pub(crate) fn ensure(paths: &Paths) -> Result<PathBuf> {
    let package = paths.cache.join("vectors").join(SEQUOIA);
    let manifest = package.join("Cargo.toml");
    if !manifest.is_file() {
        fs::create_dir_all(package.join("src"))
            .with_context(|| format!("create {}", package.display()))?;
        let text = format!(
            "[package]\nname = \"vectors\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [workspace]\n[dependencies.sequoia-openpgp]\nversion = \"={SEQUOIA}\"\n\
             default-features = false\n"
        );
        fs::write(package.join("src/lib.rs"), "")
            .and_then(|()| fs::write(&manifest, text))
            .with_context(|| format!("write {}", manifest.display()))?;
        let fetched = step(
            "fetch the vectors of sequoia-openpgp",
            "once, usually 10 s",
            cargo(paths)
                .arg("fetch")
                .arg("--manifest-path")
                .arg(&manifest),
        );
        if fetched.is_err() {
            // The next run tries again.
            fs::remove_file(&manifest).ok();
        }
        fetched?;
    }
    let said = output(
        cargo(paths)
            .args(["metadata", "--format-version", "1", "--manifest-path"])
            .arg(&manifest),
    )?;
    sources(&said).context("cargo does not say where sequoia-openpgp is")
}

/// The folder that the package's own folder is in, from what `cargo metadata` says.
fn sources(metadata: &str) -> Option<PathBuf> {
    let end = metadata.find(&format!("/sequoia-openpgp-{SEQUOIA}/Cargo.toml\""))?;
    let start = metadata.get(..end)?.rfind('"')?;
    Some(Path::new(metadata.get(start + 1..end)?).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_are_found_in_metadata() {
        let said = format!(
            "{{\"packages\":[{{\"manifest_path\":\"/r/src/x/sequoia-openpgp-{SEQUOIA}/Cargo.toml\"}}]}}"
        );
        assert_eq!(sources(&said), Some(PathBuf::from("/r/src/x")));
        assert_eq!(sources("{}"), None);
    }
}
