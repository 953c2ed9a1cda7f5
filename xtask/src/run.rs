//! `cargo xtask run`: set up, build the web UI and the server in release mode, then become
//! `letterlock demo`, so that signals reach it and its exit status is ours.

use anyhow::{Context as _, Result};
use std::os::unix::process::CommandExt as _;

use crate::apt;
use crate::paths::Paths;
use crate::step::{cargo, program, step, together};
use crate::web::{self, Flavour};

const SERVER: [&str; 4] = ["build", "--release", "--package", "letterlock-server"];

pub(crate) fn run(paths: &Paths, arguments: &[String]) -> Result<()> {
    apt::ensure(apt::BUILD)?;
    web::ensure_dist_exists(paths)?;
    // Only the program embeds the web UI, its library does not: both are built at once, because
    // linking for the browser keeps one core busy and no more.
    together(
        || web::bundle(paths, Flavour::Release),
        || {
            step(
                "build the server's library",
                "first time 5 minutes, after a change 1",
                cargo(paths).args(SERVER).arg("--lib"),
            )
        },
    )?;
    step(
        "build the server",
        "usually 10 s",
        cargo(paths).args(SERVER),
    )?;
    let built = paths.target.join("release/letterlock");
    let letterlock = paths.keep_program(&built, "letterlock-release")?;
    let mut command = program(paths, &letterlock);
    command.arg("demo").args(arguments);
    command.current_dir(std::env::current_dir().context("the current directory is gone")?);
    println!("==> letterlock demo {}", arguments.join(" "));
    Err(command.exec()).with_context(|| format!("can not start {}", letterlock.display()))
}
