//! All automation of Letterlock: `cargo xtask run`, `test`, `lint`, `bench`, `fuzz`, `web`, `setup`,
//! `exec`.
//!
//! This is the first thing that runs in a fresh clone, so it depends on `anyhow` alone and
//! installs everything else: Debian packages, the wasm32 target, Trunk, wasm-bindgen.
//!
//! **Invariant:** what it installs goes into the user's cache directory or comes from the
//! system's package manager; the clone holds `target/` and `dist/`, nothing more.
#![expect(clippy::print_stdout, reason = "a command line tool talks on stdout")]

mod apt;
mod arguments;
mod bench;
mod bundle_cache;
mod client_libraries;
mod debian_sysroot;
mod fingerprint;
mod fuzz;
mod licenses;
mod lint;
mod paths;
mod prune;
mod run;
mod rust_source;
mod spdx;
mod step;
mod test;
mod tidy;
mod tools;
mod vectors;
mod wasm_toolchain;
mod web;

use anyhow::Result;
use std::process::ExitCode;

use arguments::Task;

fn main() -> ExitCode {
    match perform() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform() -> Result<()> {
    let task = Task::parse(std::env::args().skip(1))?;
    let paths = paths::Paths::find()?;
    match task {
        Task::Help => {
            print!("{}", arguments::HELP);
            Ok(())
        }
        Task::Run { arguments } => run::run(&paths, &arguments),
        Task::Test { part, filter } => test::test(&paths, part, filter.as_deref()),
        Task::Lint => lint::lint(&paths),
        Task::Bench { name, place } => bench::bench(&paths, name.as_deref(), place),
        Task::BenchImap { messages } => bench::imap(&paths, messages),
        Task::BenchOpenpgp(place) => bench::openpgp(&paths, place),
        Task::BenchSync { messages } => bench::sync(&paths, messages),
        Task::BenchFirstScreen { messages } => bench::first_screen(&paths, messages),
        Task::Fuzz { target, seconds } => fuzz::fuzz(&paths, target.as_deref(), seconds),
        Task::Web { flavour } => web::bundle(&paths, flavour),
        Task::Setup => setup(&paths),
        Task::Exec { command } => wasm_toolchain::exec(&paths, &command),
    }
}

/// Installs everything that the other commands would install on the way.
fn setup(paths: &paths::Paths) -> Result<()> {
    apt::ensure(apt::BUILD)?;
    wasm_toolchain::WasmToolchain::ensure(paths)?;
    apt::ensure(apt::TEST)
}
