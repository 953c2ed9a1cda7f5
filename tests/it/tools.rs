//! Other people's programs: found by name, run with a deadline, fed through stdin.
//!
//! Invariant: a program that is missing fails the test with the Debian package that has it, and
//! one that hangs is ended and shown. Rejected: skipping such tests, which would make a machine
//! without the programs look as good as one that passes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::world::poll;

/// For a program that hangs; an import on a busy machine needs a good part of it.
const TOOL_DEADLINE: Duration = Duration::from_mins(4);

/// What a program left.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) success: bool,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Output {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Panics with what the program said unless it ended well.
    pub(crate) fn expect_success(self, what: &str) -> Self {
        let said = format!("{}\n{}", self.text(), self.stderr);
        assert!(self.success, "{what} failed:\n{said}");
        self
    }
}

/// A program by its name; panics with the package that has it.
pub(crate) fn program(name: &str, package: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    assert!(
        found,
        "no program `{name}`: install it with `apt-get install {package}`, or run `cargo xtask test`"
    );
    let mut command = Command::new(name);
    command.env("LC_ALL", "C.UTF-8");
    command
}

/// Runs to the end, or to the deadline.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut stdin = scratch_file();
    stdin.write_all(input).expect("write the input");
    stdin.rewind().expect("rewind the input");
    let (mut stdout, mut stderr) = (scratch_file(), scratch_file());
    let handle = |file: &File| file.try_clone().expect("a second handle");
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(stdin)
        .stdout(handle(&stdout))
        .stderr(handle(&stderr))
        .spawn()
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
    let end = crate::world::now() + TOOL_DEADLINE;
    let status = poll(&shown, TOOL_DEADLINE * 2, || {
        if crate::world::now() > end {
            // Ended already, then: the next look finds the status.
            drop(child.kill());
        }
        child.try_wait().expect("the state of a tool")
    });
    Output {
        success: status.success(),
        stdout: content(&mut stdout),
        stderr: String::from_utf8_lossy(&content(&mut stderr)).into_owned(),
    }
}

/// One of `scripts/`.
pub(crate) fn script(name: &str) -> PathBuf {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/scripts");
    scripts.join(name)
}

/// Runs one of `scripts/` with arguments.
pub(crate) fn python(name: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = program("python3", "python3");
    command.arg(script(name)).args(arguments);
    run(&mut command, input)
}

fn scratch_file() -> File {
    tempfile::tempfile().expect("a temporary file")
}

fn content(file: &mut File) -> Vec<u8> {
    let mut octets = Vec::new();
    file.rewind().expect("rewind an output");
    std::io::Read::read_to_end(file, &mut octets).expect("read an output");
    octets
}

/// A `GnuPG` home of its own. The folder's name is short: the agent's socket has to fit in it.
#[derive(Debug)]
pub(crate) struct Gnupg {
    home: TempDir,
}

impl Gnupg {
    pub(crate) fn new() -> Self {
        let home = tempfile::Builder::new()
            .prefix("gpg")
            .tempdir()
            .expect("a folder");
        Self { home }
    }

    /// gpg with these arguments; must succeed.
    pub(crate) fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        let shown = format!("gpg {}", arguments.join(" "));
        self.try_run(arguments, input).expect_success(&shown)
    }

    /// gpg with these arguments; status lines go to stdout where the arguments ask for it.
    pub(crate) fn try_run(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = program("gpg", "gnupg");
        command.arg("--homedir").arg(self.home.path());
        command.args(["--batch", "--yes", "--quiet", "--no-tty"]);
        // A fresh home trusts nobody; what is asked here is whether signatures are good.
        command.args(["--trust-model", "always", "--pinentry-mode", "loopback"]);
        run(command.args(arguments), input)
    }

    /// A new key without a passphrase.
    pub(crate) fn generate(&self, user_id: &str) {
        let arguments = [
            "--passphrase",
            "",
            "--quick-generate-key",
            user_id,
            "default",
            "default",
        ];
        self.run(&arguments, b"");
    }

    /// A file in the home.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.home.path().join(name);
        fs::write(&path, content).expect("write a file for gpg");
        path
    }
}

impl Drop for Gnupg {
    fn drop(&mut self) {
        // The agent would live on without its home; that it never ran is fine, too.
        let mut command = Command::new("gpgconf");
        command
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "all"]);
        drop(command.stdout(Stdio::null()).stderr(Stdio::null()).status());
    }
}

/// Whether `needle` occurs in `haystack`.
pub(crate) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// All files under a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return found;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A path as an argument.
pub(crate) fn argument(path: &(impl AsRef<OsStr> + ?Sized)) -> &str {
    path.as_ref().to_str().expect("a path in UTF-8")
}
