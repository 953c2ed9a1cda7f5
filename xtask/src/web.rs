//! The web UI: Trunk builds `web/` into `dist/`, which the release binary embeds.
//!
//! Bundles are kept in the user's cache by the fingerprint of what they are made from, so that
//! a second start, or a fresh clone of the same commit, builds nothing.

use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;
use std::process::Command;

use crate::bundle_cache::BundleCache;
use crate::fingerprint::fingerprint;
use crate::paths::Paths;
use crate::step::{behind, step};
use crate::tools;
use crate::wasm_toolchain::{TARGET, WasmToolchain};

/// How much the compiler optimises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// For tests: links in seconds. The cargo profile `wasm-ci`.
    Quick,
    /// What users get: fat LTO. The cargo profile `wasm-release`.
    Release,
}

/// The cargo profile that web/index.html names.
const PROFILE: &str = "wasm-release";

/// What decides the bundle's content.
const INPUTS: &[&str] = &[
    "core/Cargo.toml",
    "core/src",
    "web",
    "static",
    "Cargo.toml",
    "Cargo.lock",
    "Trunk.toml",
    ".cargo/config.toml",
];

/// Sees to it that `dist/` holds the web UI of this source. For tests a release bundle will do.
pub(crate) fn bundle(paths: &Paths, flavour: Flavour) -> Result<()> {
    if !paths.root.join("web/index.html").is_file() {
        bail!("web/index.html is missing: there is no web UI to build");
    }
    let inputs: Vec<PathBuf> = INPUTS.iter().map(|input| paths.root.join(input)).collect();
    let source = fingerprint(&paths.root, &inputs)?;
    let versions = format!(
        "{}-{}",
        tools::TRUNK.version(),
        tools::WASM_BINDGEN.version()
    );
    let cache = BundleCache::new(paths, format!("{source}-{versions}"));
    let acceptable: &[Flavour] = match flavour {
        Flavour::Quick => &[Flavour::Quick, Flavour::Release],
        Flavour::Release => &[Flavour::Release],
    };
    for candidate in acceptable {
        if cache.in_place(candidate.name()) {
            println!("==> web UI: dist/ is up to date");
            return Ok(());
        }
    }
    for candidate in acceptable {
        if cache.restore(candidate.name())? {
            println!("==> web UI: dist/ restored from the cache");
            return Ok(());
        }
    }
    build(paths, flavour)?;
    cache.keep(flavour.name())
}

/// Cargo compiles both programs at once; Trunk, which would call it for one after the other, finds
/// them made.
fn build(paths: &Paths, flavour: Flavour) -> Result<()> {
    let toolchain = WasmToolchain::ensure_for(paths, |toolchain| {
        let mut cargo = toolchain.program(paths, "cargo")?;
        cargo
            .args(["build", "--locked", "--bins", "--profile", PROFILE])
            .args(["--target", TARGET, "--manifest-path", "web/Cargo.toml"]);
        flavour.set_profile(&mut cargo);
        step("compile the web UI", flavour.usually(), &mut behind(&cargo))
    })?;
    let mut trunk = toolchain.program(paths, "trunk")?;
    // Trunk understands NO_COLOR=true only, while the convention is any value.
    trunk.env_remove("NO_COLOR").args(["build", "--release"]);
    flavour.set_profile(&mut trunk);
    step("bundle the web UI", "usually 10 s", &mut trunk)?;
    if !paths.dist.join("index.html").is_file() {
        bail!("Trunk left no {}", paths.dist.join("index.html").display());
    }
    Ok(())
}

/// `dist/` must exist for the server to compile, even before there is anything in it.
pub(crate) fn ensure_dist_exists(paths: &Paths) -> Result<()> {
    std::fs::create_dir_all(&paths.dist).with_context(|| format!("create {}", paths.dist.display()))
}

impl Flavour {
    /// web/index.html names [`PROFILE`], and Trunk lets nothing else overrule that: so for tests it
    /// is given the settings of `wasm-ci`.
    fn set_profile(self, command: &mut Command) {
        if self == Self::Quick {
            command
                .env("CARGO_PROFILE_WASM_RELEASE_LTO", "false")
                .env("CARGO_PROFILE_WASM_RELEASE_CODEGEN_UNITS", "16")
                .env("CARGO_PROFILE_WASM_RELEASE_INCREMENTAL", "true");
        }
    }

    fn usually(self) -> &'static str {
        match self {
            Self::Quick => "first time 4 minutes, after a change 20 s",
            Self::Release => "first time 5 minutes, after a change 1 to 2",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Release => "release",
        }
    }
}
