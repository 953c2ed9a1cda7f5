//! Fingerprints of files by name and content, to know whether something must be built again.
//!
//! Content, not modification time: a fresh clone has new times and the same content.
//! Not cryptographic: nobody gains from a collision with their own files.

use anyhow::{Context as _, Result};
use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};

/// A fingerprint of everything under `inputs`; names are taken relative to `base`.
pub(crate) fn fingerprint(base: &Path, inputs: &[PathBuf]) -> Result<String> {
    let mut files = Vec::new();
    for input in inputs {
        collect(input, &mut files)?;
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in &files {
        let name = file.strip_prefix(base).unwrap_or(file);
        hasher.write(name.as_os_str().as_encoded_bytes());
        let content = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        hasher.write_usize(content.len());
        hasher.write(&content);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// All files under `path`, which may be missing; hidden ones (editors', Trunk's) do not count.
pub(crate) fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_file() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    if !path.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("read {}", path.display()))? {
        let entry = entry.with_context(|| format!("read {}", path.display()))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            collect(&entry.path(), files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_with_content_and_name_only() {
        let base = std::env::temp_dir().join(format!("letterlock-xtask-{}", std::process::id()));
        fs::create_dir_all(base.join("inner")).unwrap();
        fs::write(base.join("inner/a"), "1").unwrap();
        let of = || fingerprint(&base, std::slice::from_ref(&base)).unwrap();
        let first = of();
        fs::write(base.join("inner/a"), "1").unwrap();
        fs::write(base.join(".hidden"), "1").unwrap();
        assert_eq!(of(), first, "written again, and a hidden file");
        fs::write(base.join("inner/a"), "2").unwrap();
        let second = of();
        assert_ne!(second, first, "other content");
        fs::rename(base.join("inner/a"), base.join("inner/b")).unwrap();
        assert_ne!(of(), second, "other name");
        fs::remove_dir_all(&base).unwrap();
    }
}
