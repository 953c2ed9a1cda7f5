//! Packages of the system: what is missing is installed by root on Debian, and otherwise named
//! together with the command that installs it.
//!
//! A requirement is probed by what it provides (a program, a header), not by the package
//! database: what a developer installed another way is as good.

use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

use crate::step::{find_on_path, step};

/// One thing that must be on the machine, and the Debian package that brings it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Requirement {
    package: &'static str,
    probe: Probe,
}

#[derive(Debug, Clone, Copy)]
enum Probe {
    Program(&'static str),
    File(&'static str),
    /// A library by its pkg-config name.
    Library(&'static str),
}

const fn program(package: &'static str, name: &'static str) -> Requirement {
    Requirement {
        package,
        probe: Probe::Program(name),
    }
}

/// What compiling needs: SQLCipher is compiled from C against the system's OpenSSL.
pub(crate) const BUILD: &[Requirement] = &[
    program("build-essential", "cc"),
    program("build-essential", "c++"),
    program("pkg-config", "pkg-config"),
    Requirement {
        package: "libssl-dev",
        probe: Probe::Library("libcrypto"),
    },
];

/// What the tests drive: a browser, mail programs, an independent OpenPGP implementation, a database.
pub(crate) const TEST: &[Requirement] = &[
    program("chromium", "chromium"),
    program("chromium-driver", "chromedriver"),
    program("isync", "mbsync"),
    program("mutt", "mutt"),
    program("tmux", "tmux"),
    program("gnupg", "gpg"),
    program("sqop", "sqop"),
    program("rnp", "rnp"),
    program("curl", "curl"),
    program("fetchmail", "fetchmail"),
    program("getmail6", "getmail"),
    program("offlineimap3", "offlineimap"),
    program("neomutt", "neomutt"),
    program("alpine", "alpine"),
    program("thunderbird", "thunderbird"),
    program("xvfb", "Xvfb"),
    program("python3", "python3"),
    program("python3-pip", "pip3"),
    Requirement {
        package: "postgresql-15",
        probe: Probe::File("/usr/lib/postgresql/15/bin/initdb"),
    },
    program("nodejs", "node"),
    program("npm", "npm"),
];

/// What is measured beside us.
pub(crate) const PEERS: &[Requirement] = &[
    Requirement {
        package: "dovecot-imapd",
        probe: Probe::File("/usr/lib/dovecot/imap"),
    },
    program("openssl", "openssl"),
    program("gnupg", "gpg"),
    program("sq", "sq"),
    program("curl", "curl"),
    program("python3", "python3"),
];

/// Debian's own compiler (probed by package: /usr/bin/rustc may be an older one) with its sources, from which the wasm32 standard library is built.
pub(crate) const WASM: &[Requirement] = &[
    Requirement {
        package: "rustc-web",
        probe: Probe::File("/usr/share/doc/rustc-web"),
    },
    Requirement {
        package: "cargo-web",
        probe: Probe::File("/usr/share/doc/cargo-web"),
    },
    Requirement {
        package: "rust-web-src",
        probe: Probe::File("/usr/lib/rustlib/src/rust/library/std/Cargo.toml"),
    },
    Requirement {
        package: "libstd-rust-web-dev",
        probe: Probe::File("/usr/lib/rustlib/x86_64-unknown-linux-gnu/lib"),
    },
    Requirement {
        package: "lld-22",
        probe: Probe::File("/usr/lib/llvm-22/bin/lld"),
    },
];

/// Installs what is missing of `requirements`, or says how.
pub(crate) fn ensure(requirements: &[Requirement]) -> Result<()> {
    let missing: Vec<&str> = requirements
        .iter()
        .filter(|requirement| !requirement.probe.present())
        .map(|requirement| requirement.package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)?;
    for requirement in requirements {
        if !requirement.probe.present() {
            bail!(
                "package `{}` is installed, yet {} is not there",
                requirement.package,
                requirement.probe.shown()
            );
        }
    }
    Ok(())
}

/// Installs Debian packages by name.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if find_on_path("apt-get").is_none() {
        bail!(
            "missing: {names} (Debian's package names); install them with your package manager, \
             on Debian with: sudo apt-get install {names}"
        );
    }
    if !is_root() {
        bail!("missing packages: {names}; run: sudo apt-get install {names}");
    }
    let title = format!("install {names}");
    if step(&title, "usually under a minute", &mut apt_install(packages)).is_ok() {
        return Ok(());
    }
    let mut update = Command::new("apt-get");
    step(
        "refresh the package lists",
        "usually 10 s",
        update.args(["-q", "update"]),
    )?;
    step(&title, "usually under a minute", &mut apt_install(packages))
}

fn apt_install(packages: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Debian's compiler conflicts with other packages of Rust: rather fail than remove those.
        .args([
            "-qq",
            "install",
            "-y",
            "--no-install-recommends",
            "--no-remove",
        ])
        .args(packages);
    command
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

impl Probe {
    fn present(self) -> bool {
        match self {
            Self::Program(name) => find_on_path(name).is_some(),
            Self::File(path) => Path::new(path).exists(),
            Self::Library(name) => Command::new("pkg-config")
                .args(["--exists", name])
                .status()
                .is_ok_and(|status| status.success()),
        }
    }

    fn shown(self) -> String {
        match self {
            Self::Program(name) => format!("program `{name}`"),
            Self::File(path) => format!("file {path}"),
            Self::Library(name) => format!("library `{name}`"),
        }
    }
}
