//! Finished web bundles, kept in the user's cache by the fingerprint of their source.
//!
//! **Invariant:** a bundle counts as being in `dist/` only while `dist/` has the content that it
//! had when it was put there; what a hand-run Trunk leaves is never taken for it.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};

use crate::fingerprint::{collect, fingerprint};
use crate::paths::Paths;

/// More than one per flavour, so that going back and forth between two commits builds nothing.
const MAX_BUNDLES: usize = 8;

/// The bundles of one state of the source.
#[derive(Debug)]
pub(crate) struct BundleCache<'a> {
    dist: &'a Path,
    directory: PathBuf,
    /// What this clone's `dist/` holds: the bundle's name and the fingerprint of the content.
    stamp: PathBuf,
    source: String,
}

impl<'a> BundleCache<'a> {
    pub(crate) fn new(paths: &'a Paths, source: String) -> Self {
        let directory = paths.cache.join("bundles");
        let stamp = directory.join(format!("{}.stamp", paths.clone_key()));
        Self {
            dist: &paths.dist,
            directory,
            stamp,
            source,
        }
    }

    /// Whether `dist/` holds this bundle, untouched.
    pub(crate) fn in_place(&self, flavour: &str) -> bool {
        let (Ok(stamp), Ok(content)) = (fs::read_to_string(&self.stamp), self.content()) else {
            return false;
        };
        self.dist.join("index.html").is_file() && stamp == self.stamp_for(flavour, &content)
    }

    /// Copies the bundle from the cache to `dist/`; `false` if there is none.
    pub(crate) fn restore(&self, flavour: &str) -> Result<bool> {
        let bundle = self.bundle(flavour);
        if !bundle.join("index.html").is_file() {
            return Ok(false);
        }
        if self.dist.exists() {
            fs::remove_dir_all(self.dist)
                .with_context(|| format!("remove {}", self.dist.display()))?;
        }
        copy_directory(&bundle, self.dist)?;
        self.write_stamp(flavour)?;
        Ok(true)
    }

    /// Puts what Trunk has just built into the cache.
    pub(crate) fn keep(&self, flavour: &str) -> Result<()> {
        let bundle = self.bundle(flavour);
        let partial = self
            .directory
            .join(format!("partial-{}", std::process::id()));
        copy_directory(self.dist, &partial)?;
        if fs::rename(&partial, &bundle).is_err() {
            // Another clone was first; both are made from the same source.
            fs::remove_dir_all(&partial)
                .with_context(|| format!("remove {}", partial.display()))?;
        }
        self.write_stamp(flavour)?;
        self.prune()
    }

    fn bundle(&self, flavour: &str) -> PathBuf {
        self.directory.join(format!("{flavour}-{}", self.source))
    }

    fn content(&self) -> Result<String> {
        fingerprint(self.dist, &[self.dist.to_path_buf()])
    }

    fn stamp_for(&self, flavour: &str, content: &str) -> String {
        format!("{flavour}-{} {content}\n", self.source)
    }

    fn write_stamp(&self, flavour: &str) -> Result<()> {
        let stamp = self.stamp_for(flavour, &self.content()?);
        fs::write(&self.stamp, stamp).with_context(|| format!("write {}", self.stamp.display()))
    }

    /// Removes the oldest bundles beyond [`MAX_BUNDLES`].
    fn prune(&self) -> Result<()> {
        let mut bundles = Vec::new();
        for entry in fs::read_dir(&self.directory).context("read the bundle cache")? {
            let entry = entry.context("read the bundle cache")?;
            if entry.path().is_dir() {
                let modified = entry.metadata().and_then(|metadata| metadata.modified());
                bundles.push((modified.context("read a bundle's time")?, entry.path()));
            }
        }
        bundles.sort();
        let surplus = bundles.len().saturating_sub(MAX_BUNDLES);
        for (_, bundle) in bundles.into_iter().take(surplus) {
            fs::remove_dir_all(&bundle).with_context(|| format!("remove {}", bundle.display()))?;
        }
        Ok(())
    }
}

fn copy_directory(from: &Path, to: &Path) -> Result<()> {
    let mut files = Vec::new();
    collect(from, &mut files)?;
    for file in files {
        let name = file
            .strip_prefix(from)
            .context("a file outside its directory")?;
        let copy = to.join(name);
        let parent = copy.parent().context("a file without a directory")?;
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        fs::copy(&file, &copy).with_context(|| format!("copy {}", file.display()))?;
    }
    Ok(())
}
