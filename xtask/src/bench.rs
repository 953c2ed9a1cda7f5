//! `cargo xtask bench core`, `imap`, `openpgp` and `sync`: what is measured, each in a program of
//! `bench/`.
//!
//! A browser's figures come from the same code as a test of `web` in headless Chromium, built as
//! what browsers get is.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::apt;
use crate::arguments::nearest;
use crate::client_libraries;
use crate::paths::Paths;
use crate::step::{cargo, program, step, step_told};
use crate::test::chromedriver;
use crate::wasm_toolchain::WasmToolchain;
use crate::web::{self, Flavour};

/// How long the browser may take, in seconds.
const BROWSER_SECONDS: &str = "1800";

/// What is measured of `core`: a name, what it says, how long it takes.
const CORE: &[(&str, &str, &str)] = &[
    (
        "placements",
        "pages of placements: what changes write, push and take, by how many are in a page",
        "about 5 minutes, the first time 15",
    ),
    (
        "search",
        "the search index: messages a second, octets, queries over 100,000 messages",
        "about 3 minutes, the first time 10",
    ),
    (
        "split",
        "split and structure of messages, beside mail-parser",
        "seconds, the first time 10 minutes",
    ),
    (
        "stored",
        "octets on the disk for each octet of mail",
        "half a minute, the first time 10 minutes",
    ),
];
/// Of these, what a browser measures too.
const BROWSER: &[&str] = &["search"];

/// Where it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    Native,
    Browser,
}

/// Checks the name of a benchmark of `core`.
pub(crate) fn check(name: &str) -> Result<()> {
    let names: Vec<&str> = CORE.iter().map(|(name, ..)| *name).collect();
    if !names.contains(&name) {
        bail!("there is no benchmark `{name}`; {}", nearest(name, &names));
    }
    Ok(())
}

pub(crate) fn bench(paths: &Paths, only: Option<&str>, place: Where) -> Result<()> {
    apt::ensure(apt::BUILD)?;
    let wanted = CORE
        .iter()
        .filter(|(name, ..)| only.is_none_or(|only| only == *name));
    for (name, what, usually) in wanted {
        match place {
            Where::Native => native(paths, name, what, usually)?,
            Where::Browser if BROWSER.contains(name) => browser(paths, name, what)?,
            Where::Browser if only.is_some() => {
                bail!(
                    "`{name}` is not measured in a browser; {}",
                    BROWSER.join(", ")
                );
            }
            Where::Browser => {}
        }
    }
    Ok(())
}

/// Where the table of `bench imap` goes, in the target directory.
const IMAP_TABLE: &str = "bench-imap.md";

/// The IMAP server beside Dovecot.
pub(crate) fn imap(paths: &Paths, messages: u32) -> Result<()> {
    let release = beside_peers(paths)?;
    let mut command = program(paths, release.join("imap"));
    command
        .arg(release.join("letterlock"))
        .arg(paths.target.join(IMAP_TABLE))
        .arg(messages.to_string());
    step(
        "the IMAP server beside Dovecot, plain and with mail_crypt",
        "about 10 minutes",
        &mut command,
    )
}

/// Where the table of `bench openpgp` goes, in the target directory.
const OPENPGP_TABLE: &str = "bench-openpgp.md";

/// OpenPGP beside gpg and sq, or in a browser beside OpenPGP.js.
pub(crate) fn openpgp(paths: &Paths, place: Where) -> Result<()> {
    if place == Where::Browser {
        return openpgp_in_browser(paths);
    }
    let release = beside_peers(paths)?;
    let mut command = program(paths, release.join("openpgp"));
    command
        .arg(release.join("letterlock-sop"))
        .arg(paths.target.join(OPENPGP_TABLE));
    step(
        "sealing, and whole messages beside gpg and sq",
        "about a minute",
        &mut command,
    )
}

/// Where the table of `bench openpgp --wasm` goes, in the target directory.
const OPENPGP_WASM_TABLE: &str = "bench-openpgp-wasm.md";

fn openpgp_in_browser(paths: &Paths) -> Result<()> {
    let mut command = browser_test(paths, "openpgp", "wasm-release")?;
    command.env(
        "LETTERLOCK_OPENPGP_JS",
        client_libraries::openpgp_js(paths)?,
    );
    let said = step_told(
        "whole messages in headless Chromium, beside OpenPGP.js",
        "about 4 minutes, the first time 15",
        &mut command,
    )?;
    keep_table(paths, &said, OPENPGP_WASM_TABLE)
}

/// Where the table of `bench sync` goes, in the target directory.
const SYNC_TABLE: &str = "bench-sync.md";

/// The exchange between devices and provider, beside curl and SQLite.
pub(crate) fn sync(paths: &Paths, messages: u32) -> Result<()> {
    let release = beside_peers(paths)?;
    // A thousand devices at each end of their connections are more than the usual 1024 files.
    let mut command = program(paths, "sh");
    command
        .args(["-c", "ulimit -n 8192 && exec \"$0\" \"$@\""])
        .arg(release.join("sync"))
        .arg(paths.target.join(SYNC_TABLE))
        .arg(messages.to_string());
    step(
        "the exchange between devices, beside curl and SQLite",
        "about 12 minutes for 100,000 messages",
        &mut command,
    )
}

/// Where the table of `bench sync --wasm` goes, in the target directory.
const FIRST_SCREEN_TABLE: &str = "bench-first-screen.md";

/// How soon the webmail shows an account that is new to the browser.
pub(crate) fn first_screen(paths: &Paths, messages: u32) -> Result<()> {
    apt::ensure(apt::BUILD)?;
    apt::ensure(apt::TEST)?;
    web::bundle(paths, Flavour::Release)?;
    let mut build = cargo(paths);
    build.args(["build", "--release", "--package", "letterlock-server"]);
    step("build the server", "the first time 10 minutes", &mut build)?;
    let mut command = cargo(paths);
    command
        .env("LETTERLOCK_BIN", paths.target.join("release/letterlock"))
        .env("LETTERLOCK_FIRST_SCREEN", messages.to_string())
        .env("CHROMEDRIVER", chromedriver()?)
        .args(["test", "--workspace", "--test", "it", "--", "--nocapture"])
        .arg("the_newest_letters_are_shown_before_all_has_come");
    let said = step_told(
        "an account that is new to headless Chromium",
        "about 3 minutes for 10,000 messages",
        &mut command,
    )?;
    keep_table(paths, &said, FIRST_SCREEN_TABLE)
}

/// Keeps the lines of a table in the target directory.
fn keep_table(paths: &Paths, said: &str, name: &str) -> Result<()> {
    let rows = said.lines().map(str::trim);
    let table: Vec<&str> = rows.filter(|line| line.starts_with('|')).collect();
    let place = paths.target.join(name);
    fs::write(&place, table.join("\n") + "\n")
        .with_context(|| format!("write {}", place.display()))?;
    println!("written to {}", place.display());
    Ok(())
}

/// Builds the server and the benchmarks, sees to the peers, and says where the programs are.
fn beside_peers(paths: &Paths) -> Result<PathBuf> {
    apt::ensure(apt::BUILD)?;
    apt::ensure(apt::PEERS)?;
    web::ensure_dist_exists(paths)?;
    let mut build = cargo(paths);
    build.args(["build", "--release", "--package", "letterlock-server"]);
    build.args(["--package", "letterlock-sop"]);
    build.args(["--package", "letterlock-bench", "--bins"]);
    step(
        "build the server and the benchmarks",
        "the first time 10 minutes",
        &mut build,
    )?;
    Ok(paths.target.join("release"))
}

fn native(paths: &Paths, name: &str, what: &str, usually: &str) -> Result<()> {
    let mut command = cargo(paths);
    command.args([
        "run",
        "--release",
        "--package",
        "letterlock-bench",
        "--bin",
        name,
    ]);
    step(what, usually, &mut command)
}

fn browser(paths: &Paths, name: &str, what: &str) -> Result<()> {
    step(
        &format!("{what}, in headless Chromium over IndexedDB"),
        "about 10 minutes",
        &mut browser_test(paths, name, "wasm-ci")?,
    )
}

/// The test of `web` that measures this.
fn browser_test(paths: &Paths, name: &str, profile: &str) -> Result<Command> {
    apt::ensure(apt::TEST)?;
    let mut command = WasmToolchain::ensure(paths)?.program(paths, "cargo")?;
    command
        .env("CHROMEDRIVER", chromedriver()?)
        .env("WASM_BINDGEN_TEST_TIMEOUT", BROWSER_SECONDS)
        .args(["test", "--package", "letterlock-web", "--features", "bench"])
        .args(["--profile", profile, "--target", "wasm32-unknown-unknown"])
        .args(["--test", &format!("bench_{name}"), "--", "--nocapture"]);
    Ok(command)
}
