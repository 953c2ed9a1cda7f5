//! The IMAP libraries that the whole-system tests drive, at pinned versions, in the user's cache.
//!
//! Debian's own are years older, or missing; what people build on is what pip and npm bring.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::paths::Paths;
use crate::step::{program, step};

const IMAPCLIENT: &str = "3.0.1";
const IMAPFLOW: &str = "2.10.2";

/// Installs what is missing; the folder that has `python` and `node/node_modules`.
pub(crate) fn ensure(paths: &Paths) -> Result<PathBuf> {
    let versions = format!("imapclient-{IMAPCLIENT}-imapflow-{IMAPFLOW}");
    let folder = paths.cache.join("client-libraries").join(versions);
    let python = folder.join("python");
    let mut pip = program(paths, "pip3");
    pip.args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--target",
    ]);
    pip.arg(&python).arg(format!("imapclient=={IMAPCLIENT}"));
    install(&python, "imapclient", &mut pip)?;
    let node = folder.join("node");
    fs::create_dir_all(&node).with_context(|| format!("create {}", node.display()))?;
    let mut npm = program(paths, "npm");
    npm.args([
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
    ]);
    npm.arg(&node).arg(format!("imapflow@{IMAPFLOW}"));
    install(&node.join("node_modules"), "imapflow", &mut npm)?;
    Ok(folder)
}

/// Runs an installer unless the library is in the folder.
fn install(folder: &Path, library: &str, command: &mut Command) -> Result<()> {
    if folder.join(library).is_dir() {
        return Ok(());
    }
    step(&format!("install {library}"), "once, usually 10 s", command)
}
