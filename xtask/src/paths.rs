//! Where things are: the clone, the user's cache, the target directories.
//!
//! Target directories and tools lie outside the clone, so that a fresh clone finds them warm.

use anyhow::{Context as _, Result, bail};
use std::env;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

/// The directories that every command works in.
#[derive(Debug)]
pub(crate) struct Paths {
    /// The top of the clone.
    pub(crate) root: PathBuf,
    /// `${XDG_CACHE_HOME:-~/.cache}/letterlock`.
    pub(crate) cache: PathBuf,
    /// What cargo builds for this machine.
    pub(crate) target: PathBuf,
    /// What cargo builds for the browser; apart, so that both can build at the same time.
    pub(crate) target_wasm: PathBuf,
    /// The web UI as Trunk leaves it; the release binary embeds it.
    pub(crate) dist: PathBuf,
}

impl Paths {
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask lies in no directory")?
            .to_path_buf();
        if !root.join("Cargo.toml").is_file() {
            bail!(
                "{} is gone: the clone was moved; run `cargo clean -p xtask` in it",
                root.display()
            );
        }
        let cache = user_cache()?.join("letterlock");
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(directory) => root.join(directory),
            None => cache.join("target"),
        };
        let target_wasm = match env::var_os("CARGO_TARGET_DIR") {
            Some(_) if target != cache.join("target") => target.join("wasm"),
            Some(_) | None => cache.join("target-wasm"),
        };
        Ok(Self {
            dist: root.join("dist"),
            root,
            cache,
            target,
            target_wasm,
        })
    }

    /// A short name for this clone among all that share the cache.
    pub(crate) fn clone_key(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.root.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// Copies a built program to a place that belongs to this clone alone.
    ///
    /// The target directory is shared: another clone may replace the program in it at any moment.
    pub(crate) fn keep_program(&self, built: &Path, name: &str) -> Result<PathBuf> {
        let directory = self.cache.join("programs").join(self.clone_key());
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("create {}", directory.display()))?;
        let kept = directory.join(name);
        let partial = directory.join(format!("{name}.{}", std::process::id()));
        std::fs::copy(built, &partial)
            .with_context(|| format!("copy {} to {}", built.display(), partial.display()))?;
        std::fs::rename(&partial, &kept)
            .with_context(|| format!("rename {} to {}", partial.display(), kept.display()))?;
        Ok(kept)
    }
}

fn user_cache() -> Result<PathBuf> {
    if let Some(directory) = env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        return Ok(PathBuf::from(directory));
    }
    let home = env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(Path::new(&home).join(".cache"))
}
