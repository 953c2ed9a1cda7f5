//! Running other programs: each slow step says what it does, how long it usually takes, and
//! by which name it failed.

use anyhow::{Context as _, Result, bail};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Seek as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::paths::Paths;

/// Variables that `cargo run` sets for xtask and that would mislead the programs it starts.
const INHERITED_FROM_CARGO: &[&str] = &["CARGO", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH"];

/// A program, working in the top of the clone, without the traces of the cargo that runs xtask.
pub(crate) fn program(paths: &Paths, name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(&paths.root);
    clean_environment(&mut command);
    command
}

/// `cargo` for this machine's own target.
pub(crate) fn cargo(paths: &Paths) -> Command {
    let mut command = program(paths, "cargo");
    command.env("CARGO_TARGET_DIR", &paths.target);
    command
}

/// The same command with less right to the processor: what it makes is needed last. The server is
/// the longest chain of crates, and whatever else takes its turn makes everything later.
pub(crate) fn behind(command: &Command) -> Command {
    let mut behind = Command::new("nice");
    behind
        .args(["-n", "5"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => behind.env(name, value),
            None => behind.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        behind.current_dir(directory);
    }
    behind
}

/// Removes what `cargo run` adds to the environment.
pub(crate) fn clean_environment(command: &mut Command) {
    for name in INHERITED_FROM_CARGO {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    match library_path() {
        Some(path) => command.env("LD_LIBRARY_PATH", path),
        None => command.env_remove("LD_LIBRARY_PATH"),
    };
}

/// `LD_LIBRARY_PATH` as it was before cargo put xtask's and the compiler's directories into it.
fn library_path() -> Option<OsString> {
    let inherited = std::env::var_os("LD_LIBRARY_PATH")?;
    let own = std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.to_path_buf()));
    let rustup = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let added = [own, rustup];
    let kept: Vec<PathBuf> = std::env::split_paths(&inherited)
        .filter(|entry| {
            !added
                .iter()
                .flatten()
                .any(|directory| entry.starts_with(directory))
        })
        .collect();
    std::env::join_paths(kept)
        .ok()
        .filter(|path| !path.is_empty())
}

/// Runs one step with its output shown; `usually` says how long it takes when it has work to do.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask is a shell, and shells measure time"
)]
pub(crate) fn step(name: &str, usually: &str, command: &mut Command) -> Result<()> {
    println!("==> {name} ({usually})");
    let start = Instant::now();
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("step `{name}`: can not start `{program}`"))?;
    if !status.success() {
        bail!(
            "step `{name}` failed: `{}` ended with {status}",
            shown(command)
        );
    }
    println!("    {name}: {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// As [`step`], and gives what the program wrote to its standard output, which is shown line by
/// line.
pub(crate) fn step_told(name: &str, usually: &str, command: &mut Command) -> Result<String> {
    println!("==> {name} ({usually})");
    let failed = |command: &Command| format!("step `{name}`: can not start `{}`", shown(command));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| failed(command))?;
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.with_context(|| format!("step `{name}`: read its output"))?;
            println!("{line}");
            said.push_str(&line);
            said.push('\n');
        }
    }
    let status = child.wait().with_context(|| failed(command))?;
    if !status.success() {
        bail!(
            "step `{name}` failed: `{}` ended with {status}",
            shown(command)
        );
    }
    Ok(said)
}

/// As [`step`], beside other steps: the output is shown in one piece when the step has ended.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask is a shell, and shells measure time"
)]
pub(crate) fn step_held(name: &str, usually: &str, command: &mut Command) -> Result<()> {
    println!("==> {name} ({usually}; shown at its end)");
    let start = Instant::now();
    let mut held = unnamed_file()?;
    let shares = "share the file for the output of a step";
    let status = command
        .stdout(held.try_clone().context(shares)?)
        .stderr(held.try_clone().context(shares)?)
        .status()
        .with_context(|| format!("step `{name}`: can not start `{}`", shown(command)))?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "==> {name} said:")?;
    held.rewind().context("read the output of a step")?;
    io::copy(&mut held, &mut stdout).context("show the output of a step")?;
    if !status.success() {
        bail!(
            "step `{name}` failed: `{}` ended with {status}",
            shown(command)
        );
    }
    writeln!(stdout, "    {name}: {:.1} s", start.elapsed().as_secs_f32())?;
    Ok(())
}

/// A file that is gone when it is closed. Not a pipe: a program that a test leaves behind would
/// hold its other end.
fn unnamed_file() -> Result<File> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("xtask-{}-{count}", std::process::id()));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .with_context(|| format!("create {}", path.display()))?;
    fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
    Ok(file)
}

/// Does two things at the same time; both are ended before an error of either is reported.
pub(crate) fn together(
    one: impl FnOnce() -> Result<()>,
    other: impl FnOnce() -> Result<()> + Send,
) -> Result<()> {
    std::thread::scope(|scope| {
        let other = scope.spawn(other);
        let one = one();
        let other = other
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        one.and(other)
    })
}

/// Runs a program quietly and returns what it wrote, or why it failed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .with_context(|| format!("can not start `{}`", shown(command)))?;
    if !status.success() {
        let reason = String::from_utf8_lossy(&stderr);
        bail!(
            "`{}` ended with {status}: {}",
            shown(command),
            reason.trim()
        );
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// Runs a program that may hang (one that asks the network); `false` if it failed or took longer.
pub(crate) fn succeeds_within(limit: Duration, command: &mut Command) -> bool {
    const TICK: Duration = Duration::from_millis(100);
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    let mut waited = Duration::ZERO;
    while waited < limit {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(TICK),
            Err(_) => return false,
        }
        waited += TICK;
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

/// Where PATH finds the program `name`.
pub(crate) fn find_on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}
