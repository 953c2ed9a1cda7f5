//! Trunk, wasm-bindgen and an S3-compatible store for tests, at pinned versions, in the user's cache.
//!
//! They are compiled with a cheap profile: they run for seconds, and with their own profiles
//! (fat LTO) would take three times as long to build.

use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;

use crate::paths::Paths;
use crate::step::{behind, program, step};

/// A program from crates.io.
#[derive(Debug)]
pub(crate) struct Tool {
    package: &'static str,
    version: &'static str,
    program: &'static str,
    features: &'static str,
    usually: &'static str,
}

/// Must be the version of the crate `wasm-bindgen` in `Cargo.lock`: the two speak a private format.
pub(crate) const WASM_BINDGEN: Tool = Tool {
    package: "wasm-bindgen-cli",
    version: "0.2.129",
    program: "wasm-bindgen",
    features: "",
    usually: "once, usually 1 minute",
};

pub(crate) const TRUNK: Tool = Tool {
    package: "trunk",
    version: "0.21.14",
    program: "trunk",
    features: "",
    usually: "once, usually 2 minutes",
};

/// What the provider's tests keep large values in.
pub(crate) const S3S_FS: Tool = Tool {
    package: "s3s-fs",
    version: "0.14.1",
    program: "s3s-fs",
    features: "binary",
    usually: "once, usually 2 minutes",
};

/// Compiles and installs the tools that are missing.
pub(crate) fn ensure_all(paths: &Paths) -> Result<()> {
    WASM_BINDGEN.ensure(paths)?;
    TRUNK.ensure(paths)?;
    remove_build_directory(paths)
}

/// The store for tests; its program.
pub(crate) fn ensure_store(paths: &Paths) -> Result<PathBuf> {
    S3S_FS.ensure(paths)?;
    remove_build_directory(paths)?;
    Ok(S3S_FS.directory(paths).join(S3S_FS.program))
}

fn remove_build_directory(paths: &Paths) -> Result<()> {
    let built = build_directory(paths);
    if built.exists() {
        std::fs::remove_dir_all(&built).with_context(|| format!("remove {}", built.display()))?;
    }
    Ok(())
}

fn build_directory(paths: &Paths) -> PathBuf {
    paths.cache.join("tools").join("build")
}

impl Tool {
    pub(crate) fn version(&self) -> &'static str {
        self.version
    }

    /// The directory of the tool's programs.
    pub(crate) fn directory(&self, paths: &Paths) -> PathBuf {
        self.prefix(paths).join("bin")
    }

    /// Compiles and installs the tool unless it is there at this version.
    fn ensure(&self, paths: &Paths) -> Result<()> {
        if self.directory(paths).join(self.program).is_file() {
            return Ok(());
        }
        let prefix = self.prefix(paths);
        std::fs::create_dir_all(&prefix).with_context(|| format!("create {}", prefix.display()))?;
        let mut command = program(paths, "cargo");
        command
            // One for all tools: what they share is compiled once.
            .env("CARGO_TARGET_DIR", build_directory(paths))
            .env_remove("RUSTFLAGS")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
            .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .args([
                "install",
                "--quiet",
                "--locked",
                "--no-default-features",
                "--features",
                self.features,
                "--root",
            ])
            .arg(&prefix)
            .args([self.package, "--version", self.version]);
        step(
            &format!("compile {} {}", self.package, self.version),
            self.usually,
            &mut behind(&command),
        )?;
        if !self.directory(paths).join(self.program).is_file() {
            bail!("{} installed no program `{}`", self.package, self.program);
        }
        Ok(())
    }

    fn prefix(&self, paths: &Paths) -> PathBuf {
        paths
            .cache
            .join("tools")
            .join(format!("{}-{}", self.package, self.version))
    }
}
