//! `cargo xtask test`: every test there is, in three parts.
//!
//! - *native*: unit, property and documentation tests, built for this machine.
//! - *wasm*: the tests of `web` in headless Chromium.
//! - *system*: `tests/it`, over the real program's real listeners, with real clients.
//!
//! Each cargo call names the whole workspace and then chooses targets: with another set of
//! packages cargo would unify features differently and build the dependencies twice.

use anyhow::{Result, bail};
use std::fs;
use std::process::Command;

use crate::apt;
use crate::arguments::nearest;
use crate::client_libraries;
use crate::paths::Paths;
use crate::prune::prune;
use crate::step::{cargo, step, step_held, together};
use crate::tools;
use crate::vectors;
use crate::wasm_toolchain::WasmToolchain;
use crate::web::{self, Flavour};

/// Rooms with native integration tests, in `<room>/tests/`.
const ROOMS: &[&str] = &["core", "server", "xtask"];
const CHROMEDRIVER: &str = "chromedriver";
/// How long the tests of one program may take in the browser, in seconds: unoptimised crypto on a
/// busy machine takes most of the runner's own 20.
const BROWSER_SECONDS: &str = "240";

/// One of the three parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Native,
    Wasm,
    System,
}

impl Part {
    pub(crate) fn parse(name: &str) -> Result<Self> {
        match name {
            "native" => Ok(Self::Native),
            "wasm" => Ok(Self::Wasm),
            "system" => Ok(Self::System),
            unknown => bail!(
                "there is no part `{unknown}`; {}",
                nearest(unknown, &["native", "wasm", "system"])
            ),
        }
    }
}

pub(crate) fn test(paths: &Paths, only: Option<Part>, filter: Option<&str>) -> Result<()> {
    let wanted = |part| only.is_none_or(|only| only == part);
    apt::ensure(apt::BUILD)?;
    apt::ensure(apt::TEST)?;
    web::ensure_dist_exists(paths)?;
    together(
        || {
            if wanted(Part::System) {
                web::bundle(paths, Flavour::Quick)?;
            }
            if wanted(Part::Wasm) {
                build_wasm_tests(paths)?;
            }
            Ok(())
        },
        || {
            if wanted(Part::Native) || wanted(Part::System) {
                step(
                    "build everything for this machine",
                    "first time 5 minutes, after a change 30 s",
                    cargo(paths).args(["build", "--workspace", "--all-targets"]),
                )?;
            }
            Ok(())
        },
    )?;
    // The whole system waits for its clients most of the time, and leaves a core to the others.
    together(
        || {
            if wanted(Part::System) {
                system(paths, filter)?;
            }
            Ok(())
        },
        || {
            if wanted(Part::Native) {
                native(paths, filter)?;
            }
            if wanted(Part::Wasm) {
                wasm(paths, filter)?;
            }
            Ok(())
        },
    )?;
    prune(paths);
    Ok(())
}

fn native(paths: &Paths, filter: Option<&str>) -> Result<()> {
    let mut units = cargo(paths);
    units
        .env(
            "LETTERLOCK_CLIENT_LIBRARIES",
            client_libraries::ensure(paths)?,
        )
        .env("LETTERLOCK_VECTORS", vectors::ensure(paths)?)
        .env("LETTERLOCK_S3S_FS", tools::ensure_store(paths)?)
        .args(["test", "--workspace", "--no-fail-fast", "--lib", "--bins"]);
    for target in integration_targets(paths) {
        units.args(["--test", &target]);
    }
    step_held("native tests", "usually 4 minutes", units.args(filter))?;
    let mut docs = cargo(paths);
    docs.args(["test", "--workspace", "--doc"]).args(filter);
    step_held("documentation tests", "usually 20 s", &mut docs)
}

/// The names of the integration tests of all rooms but `tests`.
fn integration_targets(paths: &Paths) -> Vec<String> {
    let mut targets = Vec::new();
    for room in ROOMS {
        let Ok(entries) = fs::read_dir(paths.root.join(room).join("tests")) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let is_target = path.extension().is_some_and(|extension| extension == "rs")
                || path.join("main.rs").is_file();
            if let (true, Some(stem)) = (is_target, path.file_stem()) {
                targets.push(stem.to_string_lossy().into_owned());
            }
        }
    }
    targets.sort();
    // Rooms may have targets of one name: cargo runs them all for it.
    targets.dedup();
    targets
}

/// `cargo test` of the webmail in the browser.
fn wasm_tests(paths: &Paths) -> Result<Command> {
    let mut command = WasmToolchain::ensure(paths)?.program(paths, "cargo")?;
    command
        .args(["test", "--package", "letterlock-web", "--tests"])
        .args(["--target", "wasm32-unknown-unknown"]);
    Ok(command)
}

fn build_wasm_tests(paths: &Paths) -> Result<()> {
    step(
        "build the tests of the browser",
        "first time 3 minutes, after a change 30 s",
        wasm_tests(paths)?.arg("--no-run"),
    )
}

fn wasm(paths: &Paths, filter: Option<&str>) -> Result<()> {
    let mut command = wasm_tests(paths)?;
    command
        .env("CHROMEDRIVER", chromedriver()?)
        .env("WASM_BINDGEN_TEST_TIMEOUT", BROWSER_SECONDS)
        .args(filter);
    step_held(
        "tests in headless Chromium",
        "usually 1 minute",
        &mut command,
    )
}

fn system(paths: &Paths, filter: Option<&str>) -> Result<()> {
    let built = paths.target.join("debug/letterlock");
    let letterlock = paths.keep_program(&built, "letterlock-debug")?;
    let libraries = client_libraries::ensure(paths)?;
    let mut command = cargo(paths);
    command
        .env("LETTERLOCK_BIN", &letterlock)
        .env("LETTERLOCK_CLIENT_LIBRARIES", libraries)
        .env("CHROMEDRIVER", chromedriver()?)
        .args(["test", "--workspace", "--test", "it"])
        .args(filter);
    step_held("whole-system tests", "usually 5 minutes", &mut command)
}

/// The driver's path: wasm-bindgen-test-runner and the browser tests take it from CHROMEDRIVER.
pub(crate) fn chromedriver() -> Result<String> {
    if let Ok(path) = std::env::var("CHROMEDRIVER") {
        return Ok(path);
    }
    match crate::step::find_on_path(CHROMEDRIVER) {
        Some(path) => Ok(path.to_string_lossy().into_owned()),
        None => bail!("no program `{CHROMEDRIVER}` on PATH"),
    }
}
