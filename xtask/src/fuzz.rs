//! `cargo xtask fuzz`: runs the fuzz targets of `fuzz/` with libFuzzer, on the stable compiler.
//!
//! libFuzzer needs the coverage counters that LLVM puts in, and those have stable switches; the
//! address sanitizer has not, and would find little in code without `unsafe`. So neither nightly
//! nor cargo-fuzz is needed; whoever has them can use `cargo fuzz` in the same folder.
//!
//! What is found on the way stays in the cache directory; the committed corpora are only read.

use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

use crate::apt;
use crate::arguments::nearest;
use crate::paths::Paths;
use crate::step::{cargo, output, program, step};

/// Counters for every edge of the control flow, and what is compared with what.
const COVERAGE: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];
/// Longest input, in octets: longer ones make the search slow.
const MAX_INPUT_OCTETS: u32 = 16 * 1024;
/// Seconds that one input may take.
const TIMEOUT_SECONDS: u32 = 10;

/// A target and the folder of its corpus below `fuzz/corpus`.
const TARGETS: &[(&str, &str)] = &[
    ("mime_split_join", "mail"),
    ("mime_structure", "mail"),
    ("header_decoding", "header_decoding"),
    ("search_query", "search_query"),
    ("openpgp_message", "openpgp_message"),
    ("openpgp_certificate", "openpgp_certificate"),
    ("autocrypt_header", "autocrypt_header"),
    ("pgp_mime", "pgp_mime"),
    ("imap_command", "imap"),
    ("imap_session", "imap"),
];

/// Names of all targets.
pub(crate) fn targets() -> Vec<&'static str> {
    TARGETS.iter().map(|(target, _)| *target).collect()
}

/// Runs one target, or each, for this many seconds.
pub(crate) fn fuzz(paths: &Paths, only: Option<&str>, seconds: u32) -> Result<()> {
    if let Some(unknown) = only.filter(|name| !targets().contains(name)) {
        bail!(
            "there is no fuzz target `{unknown}`; {}",
            nearest(unknown, &targets())
        );
    }
    apt::ensure(apt::BUILD)?;
    let directory = build(paths)?;
    for (target, corpus) in TARGETS {
        if only.is_none_or(|only| only == *target) {
            run(paths, &directory.join(target), corpus, seconds)?;
        }
    }
    Ok(())
}

/// Builds all targets; the directory with their programs.
fn build(paths: &Paths) -> Result<PathBuf> {
    let host = host(paths)?;
    let target = paths.cache.join("target-fuzz");
    step(
        "build the fuzz targets",
        "first time 3 minutes, after a change 1 minute",
        cargo(paths)
            .env("CARGO_TARGET_DIR", &target)
            .env("RUSTFLAGS", COVERAGE.join(" "))
            .args(["build", "--release", "--locked", "--bins"])
            .args(["--manifest-path", "fuzz/Cargo.toml"])
            // With a target named, build scripts and macros are built without the counters.
            .args(["--target", &host]),
    )?;
    Ok(target.join(host).join("release"))
}

/// The machine's own target triple.
fn host(paths: &Paths) -> Result<String> {
    let version = output(program(paths, "rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say its host")?.to_owned())
}

fn run(paths: &Paths, target: &Path, corpus: &str, seconds: u32) -> Result<()> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let found = paths.cache.join("fuzz").join(&*name);
    let findings = found.join("findings");
    let inputs = found.join("inputs");
    for directory in [&findings, &inputs] {
        fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    }
    println!("    findings go to {}", findings.display());
    step(
        &format!("fuzz {name}"),
        &format!("{seconds} s"),
        program(paths, target)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={MAX_INPUT_OCTETS}"))
            .arg(format!("-timeout={TIMEOUT_SECONDS}"))
            .arg(format!("-artifact_prefix={}/", findings.display()))
            .args(["-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1"])
            .arg(inputs)
            .arg(paths.root.join("fuzz/corpus").join(corpus)),
    )
}
