//! A compiler for wasm32-unknown-unknown, got in one of two ways.
//!
//! 1. `rustup target add wasm32-unknown-unknown`, the ordinary way.
//! 2. Where its server can not be reached: Debian's compiler (package `rustc-web`) and a
//!    standard library built once from Debian's sources (see [`crate::debian_sysroot`]).
//!
//! `LETTERLOCK_WASM_TOOLCHAIN=rustup|debian` forces one.

use anyhow::{Context as _, Result, bail};
use std::env;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::debian_sysroot::{ensure_overlay, ready_overlay};
use crate::paths::Paths;
use crate::step::{self, find_on_path, output, succeeds_within, together};
use crate::tools;

/// How long rustup may take before its server counts as unreachable.
const RUSTUP_LIMIT: Duration = Duration::from_secs(30);
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// A compiler that can build for the browser, with Trunk and wasm-bindgen beside it.
#[derive(Debug)]
pub(crate) struct WasmToolchain {
    /// Put in front of PATH.
    directories: Vec<PathBuf>,
    /// The overlay, when the compiler is Debian's.
    overlay: Option<PathBuf>,
}

impl WasmToolchain {
    /// Installs whatever is missing.
    pub(crate) fn ensure(paths: &Paths) -> Result<Self> {
        Self::ensure_for(paths, |_| Ok(()))
    }

    /// Installs whatever is missing; `compile` begins as soon as there is a compiler, beside the
    /// tools. What is compiled first does not wait for them, and linking for the browser, which
    /// keeps one core busy and no more, leaves the other to them.
    pub(crate) fn ensure_for(
        paths: &Paths,
        compile: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<Self> {
        let mut ready = None;
        together(
            || {
                let toolchain = Self::of(paths, Self::ensure_compiler(paths)?);
                compile(&toolchain)?;
                ready = Some(toolchain);
                Ok(())
            },
            || tools::ensure_all(paths),
        )?;
        ready.context("the compiler for the browser is missing")
    }

    fn of(paths: &Paths, overlay: Option<PathBuf>) -> Self {
        let mut directories = Vec::new();
        directories.extend(overlay.iter().map(|overlay| overlay.join("bin")));
        directories.push(tools::WASM_BINDGEN.directory(paths));
        directories.push(tools::TRUNK.directory(paths));
        Self {
            directories,
            overlay,
        }
    }

    /// The overlay, if that is what compiles.
    fn ensure_compiler(paths: &Paths) -> Result<Option<PathBuf>> {
        Ok(match forced()? {
            Some(Origin::Rustup) => {
                if !target_installed() && !add_target() {
                    bail!(
                        "`rustup target add {TARGET}` failed; without LETTERLOCK_WASM_TOOLCHAIN=rustup \
                         Debian's compiler would be used"
                    );
                }
                None
            }
            Some(Origin::Debian) => Some(ensure_overlay(paths)?),
            None if target_installed() => None,
            None => match ready_overlay(paths) {
                Some(overlay) => Some(overlay),
                None if add_target() => None,
                None => Some(ensure_overlay(paths)?),
            },
        })
    }

    /// A program that compiles for the browser when it calls `cargo`.
    ///
    /// No RUSTFLAGS and no linker variable: those would override the project's own.
    pub(crate) fn program(&self, paths: &Paths, name: &str) -> Result<Command> {
        let inherited = env::var_os("PATH").unwrap_or_default();
        let directories = self.directories.iter().cloned();
        let path = env::join_paths(directories.chain(env::split_paths(&inherited)))
            .context("a directory on PATH contains a colon")?;
        // The name is looked up here, because a child's PATH does not decide where it is found.
        let found = env::split_paths(&path)
            .map(|directory| directory.join(name))
            .find(|candidate| candidate.is_file())
            .with_context(|| format!("no program `{name}` on PATH"))?;
        let mut command = step::program(paths, found);
        command
            .env("PATH", &path)
            .env("CARGO_TARGET_DIR", &paths.target_wasm);
        if let Some(overlay) = &self.overlay {
            command
                .env("RUSTC", overlay.join("bin/rustc"))
                .env("RUSTDOC", overlay.join("bin/rustdoc"))
                .env_remove("RUSTUP_TOOLCHAIN");
        }
        Ok(command)
    }
}

/// `cargo xtask exec -- COMMAND...`: becomes the command, with the wasm toolchain selected.
pub(crate) fn exec(paths: &Paths, words: &[String]) -> Result<()> {
    let Some((name, arguments)) = words.split_first() else {
        bail!("`exec` needs a command, as in: cargo xtask exec -- trunk build");
    };
    let mut command = WasmToolchain::ensure(paths)?.program(paths, name)?;
    let here = env::current_dir().context("the current directory is gone")?;
    let error = command.args(arguments).current_dir(here).exec();
    Err(error).with_context(|| format!("can not start `{name}`"))
}

#[derive(Debug, Clone, Copy)]
enum Origin {
    Rustup,
    Debian,
}

fn forced() -> Result<Option<Origin>> {
    match env::var("LETTERLOCK_WASM_TOOLCHAIN").as_deref() {
        Err(_) | Ok("") => Ok(None),
        Ok("rustup") => Ok(Some(Origin::Rustup)),
        Ok("debian") => Ok(Some(Origin::Debian)),
        Ok(other) => {
            bail!("LETTERLOCK_WASM_TOOLCHAIN is `{other}`; it can be `rustup` or `debian`")
        }
    }
}

/// Whether the compiler on PATH already has the target.
fn target_installed() -> bool {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]));
    sysroot.is_ok_and(|sysroot| {
        let lib = Path::new(sysroot.trim())
            .join("lib/rustlib")
            .join(TARGET)
            .join("lib");
        fs::read_dir(lib).is_ok_and(|mut entries| entries.next().is_some())
    })
}

fn add_target() -> bool {
    if find_on_path("rustup").is_none() {
        return false;
    }
    println!("==> rustup target add {TARGET} (usually 10 s; given up after 30 s)");
    let added = succeeds_within(
        RUSTUP_LIMIT,
        Command::new("rustup").args(["target", "add", TARGET]),
    );
    if !added {
        println!("    rustup could not fetch it");
    }
    added && target_installed()
}
