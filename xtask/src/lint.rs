//! `cargo xtask lint`: format, clippy, documentation, the wasm32 build, tidy, licences.

use anyhow::Result;

use crate::paths::Paths;
use crate::step::{cargo, find_on_path, step};
use crate::wasm_toolchain::WasmToolchain;
use crate::{apt, licenses, tidy, web};

pub(crate) fn lint(paths: &Paths) -> Result<()> {
    // The quick ones first, so that a slip is told at once.
    step(
        "format",
        "usually 2 s",
        cargo(paths).args(["fmt", "--all", "--check"]),
    )?;
    step(
        "format of the fuzz targets",
        "usually 1 s",
        cargo(paths).args(["fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"]),
    )?;
    println!("==> tidy (usually 1 s)");
    tidy::tidy(&paths.root)?;
    println!("==> licences, sources and bans (usually 1 s)");
    licenses::check(paths)?;
    deny(paths)?;
    apt::ensure(apt::BUILD)?;
    web::ensure_dist_exists(paths)?;
    step(
        "clippy",
        "first time 3 minutes, after a change 20 s",
        cargo(paths)
            .args(["clippy", "--workspace", "--all-targets"])
            .args(["--", "-D", "warnings"]),
    )?;
    step(
        "documentation",
        "first time 2 minutes, after a change 10 s",
        cargo(paths).env("RUSTDOCFLAGS", "-D warnings").args([
            "doc",
            "--no-deps",
            "--workspace",
            "--document-private-items",
        ]),
    )?;
    let mut wasm = WasmToolchain::ensure(paths)?.program(paths, "cargo")?;
    step(
        "check core and web for wasm32",
        "first time 2 minutes, after a change 10 s",
        wasm.args(["check", "--target", "wasm32-unknown-unknown"])
            .args([
                "--package",
                "letterlock-core",
                "--package",
                "letterlock-web",
            ]),
    )
}

/// cargo-deny where it is installed; what of it needs no tool is in [`licenses`].
fn deny(paths: &Paths) -> Result<()> {
    if find_on_path("cargo-deny").is_none() {
        println!("    cargo-deny is not installed: xtask's own check of deny.toml must do");
        return Ok(());
    }
    step(
        "cargo deny",
        "usually 5 s",
        cargo(paths).args(["deny", "--offline", "check", "licenses", "bans", "sources"]),
    )
}
