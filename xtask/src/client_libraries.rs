//! The libraries that the whole-system tests drive (IMAP and OpenPGP, for Python and Node), at
//! pinned versions, in the user's cache.
//!
//! Debian's own are years older, or missing; what people build on is what pip and npm bring.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::paths::Paths;
use crate::step::{program, step};

const IMAPCLIENT: &str = "3.0.1";
const IMAPFLOW: &str = "2.10.2";
const PYSEQUOIA: &str = "0.1.35";
const OPENPGP_JS: &str = "6.3.2";

/// Parts of the tests run beside each other: one installs, and the other finds it.
static TURN: Mutex<()> = Mutex::new(());

/// Installs what is missing; the folder that has `python` and `node/node_modules`.
pub(crate) fn ensure(paths: &Paths) -> Result<PathBuf> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let versions = [IMAPCLIENT, IMAPFLOW, PYSEQUOIA, OPENPGP_JS].join("-");
    let folder = paths.cache.join("client-libraries").join(versions);
    let python = folder.join("python");
    for (library, version) in [("imapclient", IMAPCLIENT), ("pysequoia", PYSEQUOIA)] {
        let mut pip = program(paths, "pip3");
        pip.args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
        ]);
        pip.arg(&python).arg(format!("{library}=={version}"));
        install(&python, library, &mut pip)?;
    }
    let node = folder.join("node");
    fs::create_dir_all(&node).with_context(|| format!("create {}", node.display()))?;
    for (library, version) in [("imapflow", IMAPFLOW), ("openpgp", OPENPGP_JS)] {
        let mut npm = program(paths, "npm");
        npm.args([
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
        ]);
        npm.arg(&node).arg(format!("{library}@{version}"));
        install(&node.join("node_modules"), library, &mut npm)?;
    }
    Ok(folder)
}

/// OpenPGP.js as one file for browsers.
pub(crate) fn openpgp_js(paths: &Paths) -> Result<PathBuf> {
    let file = "node/node_modules/openpgp/dist/openpgp.min.mjs";
    Ok(ensure(paths)?.join(file))
}

/// Runs an installer unless the library is in the folder.
fn install(folder: &Path, library: &str, command: &mut Command) -> Result<()> {
    if folder.join(library).is_dir() {
        return Ok(());
    }
    step(&format!("install {library}"), "once, usually 10 s", command)
}
