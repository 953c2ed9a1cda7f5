//! A sysroot for wasm32 over Debian's compiler (package `rustc-web`), which comes without one.
//!
//! The standard library is built once from Debian's sources and put into a *sysroot overlay* in
//! the user's cache: the host's part is symbolic links into /usr, the wasm32 part is ours.
//!
//! Rejected: `-Zbuild-std` in every build (unlocks nightly features in every dependency's
//! probes), libraries in /usr/lib/rustlib (needs root, stale after an upgrade),
//! `RUSTFLAGS=--sysroot` (overrides the project's own flags).

use anyhow::{Context as _, Result, bail};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt;
use crate::paths::Paths;
use crate::step::{output, step};
use crate::wasm_toolchain::TARGET;

const HOST: &str = "x86_64-unknown-linux-gnu";
const DEBIAN_RUSTLIB: &str = "/usr/lib/rustlib";

/// The overlay for the compiler that Debian has installed, if it was built before.
pub(crate) fn ready_overlay(paths: &Paths) -> Option<PathBuf> {
    let compiler = DebianCompiler::find().ok()?;
    let overlay = compiler.overlay(paths);
    overlay.is_dir().then_some(overlay)
}

pub(crate) fn ensure_overlay(paths: &Paths) -> Result<PathBuf> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("Debian's wasm32 way is for x86_64 Linux; run: rustup target add {TARGET}");
    }
    apt::ensure(apt::WASM)?;
    let compiler = DebianCompiler::find()?;
    if !compiler.lld().is_file() {
        apt::install(&[&format!("lld-{}", compiler.llvm)])?;
    }
    let overlay = compiler.overlay(paths);
    if overlay.is_dir() {
        return Ok(overlay);
    }
    let directory = paths.cache.join("toolchain");
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    let lock = fs::File::create(directory.join("lock")).context("create the toolchain's lock")?;
    lock.lock()
        .context("wait for another set-up of the toolchain")?;
    if !overlay.is_dir() {
        compiler.build_overlay(&directory, &overlay)?;
    }
    Ok(overlay)
}

/// Debian's compiler as `rustc -vV` describes it.
#[derive(Debug)]
struct DebianCompiler {
    release: String,
    commit: String,
    /// The major version of its LLVM, which its linker must share.
    llvm: String,
}

impl DebianCompiler {
    fn find() -> Result<Self> {
        let mut command = Command::new("/usr/bin/rustc");
        let description = output(command.arg("-vV").env_remove("LD_LIBRARY_PATH"))?;
        let field = |name: &str| {
            description
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .with_context(|| format!("/usr/bin/rustc -vV names no {name}"))
        };
        Ok(Self {
            release: field("release")?.to_owned(),
            commit: field("commit-hash")?.chars().take(9).collect(),
            llvm: field("LLVM version")?
                .chars()
                .take_while(char::is_ascii_digit)
                .collect(),
        })
    }

    /// Keyed by the compiler, so that an upgrade of the package makes a new one.
    fn overlay(&self, paths: &Paths) -> PathBuf {
        let name = format!("debian-{}-{}", self.release, self.commit);
        paths.cache.join("toolchain").join(name)
    }

    fn lld(&self) -> PathBuf {
        PathBuf::from(format!("/usr/lib/llvm-{}/bin/lld", self.llvm))
    }

    fn build_overlay(&self, directory: &Path, overlay: &Path) -> Result<()> {
        // Kept until the end, so that an interrupted build is taken up again.
        let seed = directory.join(format!("seed-{}-{}", self.release, self.commit));
        write_seed(&seed)?;
        let mut command = Command::new("/usr/bin/cargo");
        build_std_environment(&mut command, &seed);
        command.current_dir(&seed).args([
            "build",
            "--quiet",
            "--offline",
            "--release",
            "--target",
            TARGET,
            // libtest is for the tests that run in the browser.
            "-Zbuild-std=std,panic_abort,test",
            "--config",
            "source.crates-io.replace-with='debian'",
            "--config",
            "source.debian.directory='/usr/lib/rustlib/src/rust/library/vendor'",
        ]);
        step(
            &format!(
                "compile Rust {}'s standard library for {TARGET}",
                self.release
            ),
            "once, usually 1 minute",
            &mut command,
        )?;
        let partial = directory.join("partial");
        remove_directory(&partial)?;
        self.fill_overlay(&seed, &partial, overlay)
            .context("put the sysroot overlay together")?;
        fs::rename(&partial, overlay)
            .with_context(|| format!("rename {} to {}", partial.display(), overlay.display()))?;
        remove_directory(&seed)?;
        Ok(())
    }

    fn fill_overlay(&self, seed: &Path, partial: &Path, overlay: &Path) -> Result<()> {
        let rustlib = partial.join("lib/rustlib");
        let wasm_lib = rustlib.join(TARGET).join("lib");
        let host_bin = rustlib.join(HOST).join("bin");
        let bin = partial.join("bin");
        for directory in [&wasm_lib, &host_bin, &bin] {
            fs::create_dir_all(directory)?;
        }
        for entry in fs::read_dir(seed.join("target").join(TARGET).join("release/deps"))? {
            let entry = entry?;
            let name = entry.file_name();
            let shown = name.to_string_lossy();
            if shown.ends_with(".rlib") && !shown.starts_with("libstd_seed") {
                fs::copy(entry.path(), wasm_lib.join(name))?;
            }
        }
        let debian = Path::new(DEBIAN_RUSTLIB);
        symlink(
            debian.join(HOST).join("lib"),
            rustlib.join(HOST).join("lib"),
        )?;
        symlink(debian.join("etc"), rustlib.join("etc"))?;
        symlink(debian.join("src"), rustlib.join("src"))?;
        // Absent unless package rust-web-llvm is installed; nothing in it is needed for wasm32.
        for entry in fs::read_dir(debian.join(HOST).join("bin"))
            .into_iter()
            .flatten()
        {
            let entry = entry?;
            symlink(entry.path(), host_bin.join(entry.file_name()))?;
        }
        // The linker, where the compiler looks for it.
        symlink(self.lld(), host_bin.join("rust-lld"))?;
        symlink("/usr/bin/cargo", bin.join("cargo"))?;
        for name in ["rustc", "rustdoc"] {
            write_wrapper(&bin.join(name), name, overlay)?;
        }
        Ok(())
    }
}

/// A program that calls Debian's with our sysroot. (A symbolic link would not do: the compiler
/// finds its sysroot by resolving its own path.)
fn write_wrapper(path: &Path, name: &str, overlay: &Path) -> Result<()> {
    let sysroot = overlay.display();
    fs::write(
        path,
        format!("#!/bin/sh\nexec /usr/bin/{name} --sysroot '{sysroot}' \"$@\"\n"),
    )?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// An empty crate, whose only purpose is that cargo builds the standard library under it.
fn write_seed(seed: &Path) -> Result<()> {
    const MANIFEST: &str = "[package]\nname = \"std-seed\"\nversion = \"0.0.0\"\n\
                            edition = \"2021\"\n[workspace]\n";
    fs::create_dir_all(seed.join("src"))
        .and_then(|()| fs::write(seed.join("Cargo.toml"), MANIFEST))
        .and_then(|()| fs::write(seed.join("src/lib.rs"), "#![no_std]\n"))
        .with_context(|| format!("write {}", seed.display()))
}

/// Nothing of the user's cargo configuration may reach this one build.
fn build_std_environment(command: &mut Command, seed: &Path) {
    let home = env::var_os("HOME").unwrap_or_else(|| OsString::from("/"));
    command
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/bin:/bin")
        .env("CARGO_HOME", seed.join("cargo-home"))
        .env("CARGO_TARGET_DIR", seed.join("target"))
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_BOOTSTRAP", "1")
        // Fat LTO later needs the bitcode.
        .env(
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
            "-Cembed-bitcode=yes",
        );
}

fn remove_directory(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", directory.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
