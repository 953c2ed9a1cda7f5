//! One running `letterlock demo`: its process, its folder, its accounts.
//!
//! The program is found by `LETTERLOCK_BIN`, else beside the test executable's target directory.
//! It gets port 0 for every listener and tells the real ones in its ready file, so that worlds do
//! not meet. Invariant: a [`World`] that is dropped leaves no process and no folder behind; one
//! that is dropped by a failing test prints the program's log first.
//!
//! Rejected: fixed ports chosen by the test, which another process can take in between.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tempfile::TempDir;

/// The only domain of the demo.
pub(crate) const DOMAIN: &str = "letterlock.example";
/// A first start makes keys and takes in the sample mail; a development build on a busy machine
/// needs a good part of this.
pub(crate) const START_DEADLINE: Duration = Duration::from_mins(3);
/// For anything that the program does by itself: syncing, relaying, noticing.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);
/// After SIGTERM (the contract of `letterlock demo`).
pub(crate) const STOP_DEADLINE: Duration = Duration::from_secs(5);
/// Between two looks of a poll.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// What the program prints: among it the passwords, which the demo is there to tell.
const LOG: &str = "letterlock.stdout";
/// What the program logs.
const COMPLAINTS: &str = "letterlock.stderr";
/// Lines of each that a failing test prints.
const LOG_LINES: usize = 80;

/// Held shared by every world, exclusively by a test that measures time or loads the machine.
static QUIET: RwLock<()> = RwLock::new(());

/// Now, for deadlines and measurements.
#[expect(
    clippy::disallowed_methods,
    reason = "tests of a running program wait and measure in real time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Looks until there is something; panics with `what` after the deadline.
pub(crate) fn poll<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = now() + deadline;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < end, "{what}: not within {deadline:?}");
        thread::sleep(LOOK_AGAIN);
    }
}

/// What `--ready-file` says, version 1.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Ready {
    pub(crate) version: u32,
    pub(crate) web: String,
    pub(crate) provider: String,
    pub(crate) imap: String,
    pub(crate) smtp: String,
    pub(crate) lmtp: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) accounts: Vec<Account>,
}

/// One of the demo's accounts.
#[derive(Clone, Deserialize)]
pub(crate) struct Account {
    pub(crate) address: String,
    /// Unlocks the account in the browser.
    pub(crate) password: String,
    /// Logs in to IMAP and SMTP.
    pub(crate) app_password: String,
}

impl core::fmt::Debug for Account {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Account({})", self.address)
    }
}

/// Who else may run while a world lives.
#[derive(Debug)]
enum Company {
    Shared(#[expect(dead_code, reason = "held")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>),
}

/// A running program and everything that belongs to it.
#[derive(Debug)]
pub(crate) struct World {
    process: Option<Child>,
    ready: Option<Ready>,
    folder: TempDir,
    _company: Company,
}

impl World {
    /// Starts on an empty data directory.
    pub(crate) fn start() -> Self {
        let mut world = Self::prepare();
        world.restart();
        world
    }

    /// Everything but the process.
    pub(crate) fn prepare() -> Self {
        // A test that failed while it was alone has harmed nobody.
        let shared = QUIET.read().unwrap_or_else(PoisonError::into_inner);
        Self::with_company(Company::Shared(shared))
    }

    /// As [`World::prepare`], while no other world lives.
    pub(crate) fn prepare_alone() -> Self {
        let alone = QUIET.write().unwrap_or_else(PoisonError::into_inner);
        Self::with_company(Company::Alone(alone))
    }

    fn with_company(company: Company) -> Self {
        Self {
            process: None,
            ready: None,
            folder: tempfile::tempdir().expect("a temporary folder"),
            _company: company,
        }
    }

    /// Starts the program on the same data directory and waits until it is ready.
    pub(crate) fn restart(&mut self) {
        self.spawn();
        self.wait_until_ready();
    }

    /// Starts the program and does not wait.
    pub(crate) fn spawn(&mut self) {
        self.spawn_with(&[]);
    }

    /// The same, with more arguments.
    pub(crate) fn spawn_with(&mut self, arguments: &[&str]) {
        assert!(self.process.is_none(), "the program already runs");
        let ready_file = self.ready_file();
        if ready_file.exists() {
            fs::remove_file(&ready_file).expect("remove the old ready file");
        }
        self.ready = None;
        let (log, complaints) = (self.open(LOG), self.open(COMPLAINTS));
        let mut command = demo(&self.data_dir(), &ready_file);
        command.stdin(Stdio::null()).stdout(log).stderr(complaints);
        command.args(arguments);
        self.process = Some(command.spawn().expect("start letterlock"));
    }

    /// Waits for the ready file of a spawned program.
    pub(crate) fn wait_until_ready(&mut self) {
        poll("letterlock is ready", START_DEADLINE, || {
            if let Some(status) = self.ended() {
                panic!("letterlock ended before it was ready: {status}");
            }
            self.look_ready().then_some(())
        });
        let ready = self.ready();
        assert_eq!(ready.version, 1);
        assert_eq!(ready.data_dir, self.data_dir());
    }

    /// Whether the ready file is there; reads it.
    pub(crate) fn look_ready(&mut self) -> bool {
        if let Ok(text) = fs::read_to_string(self.ready_file()) {
            // Written in one atomic step: what is there is whole.
            self.ready = Some(serde_json::from_str(&text).expect("the ready file's JSON"));
        }
        self.ready.is_some()
    }

    /// The exit status, if the program ended by itself.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let process = self.process.as_mut()?;
        process.try_wait().expect("the state of letterlock")
    }

    /// SIGTERM; panics unless the program ends with success in time.
    pub(crate) fn stop(&mut self) {
        let pid = self.process.as_ref().expect("a running program").id();
        let status = Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &pid.to_string()])
            .status()
            .expect("run sh");
        assert!(status.success(), "SIGTERM");
        let status = poll("letterlock ends after SIGTERM", STOP_DEADLINE, || {
            self.ended()
        });
        self.process = None;
        assert!(status.success(), "letterlock ended with {status}");
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("kill letterlock");
            process.wait().expect("wait for letterlock");
        }
    }

    /// What the ready file said.
    pub(crate) fn ready(&self) -> &Ready {
        self.ready.as_ref().expect("a ready program")
    }

    /// The first account.
    pub(crate) fn alice(&self) -> &Account {
        self.account("alice")
    }

    /// The second account.
    pub(crate) fn bob(&self) -> &Account {
        self.account("bob")
    }

    fn account(&self, local_part: &str) -> &Account {
        let address = format!("{local_part}@{DOMAIN}");
        let accounts = &self.ready().accounts;
        let found = accounts.iter().find(|account| account.address == address);
        found.expect("the account is in the ready file")
    }

    /// Where the program keeps everything.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder for the test's own files, outside the data directory.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).expect("a folder for the test");
        path
    }

    /// What the program has written to stderr, over all its starts.
    pub(crate) fn complaints(&self) -> String {
        self.text(COMPLAINTS)
    }

    /// A file of the world's folder, as far as it is there and is text.
    fn text(&self, name: &str) -> String {
        let octets = fs::read(self.folder.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&octets).into_owned()
    }

    fn ready_file(&self) -> PathBuf {
        self.folder.path().join("ready.json")
    }

    fn open(&self, name: &str) -> File {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        options
            .open(self.folder.path().join(name))
            .expect("open an output of letterlock")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended already: there is nothing to do about an error here.
            drop(process.kill());
            drop(process.wait());
        }
        if thread::panicking() {
            for name in [LOG, COMPLAINTS] {
                let text = self.text(name);
                let lines: Vec<&str> = text.lines().collect();
                let last = lines.iter().skip(lines.len().saturating_sub(LOG_LINES));
                println!("--- {name}, last {LOG_LINES} lines ---");
                last.for_each(|line| println!("{line}"));
            }
        }
    }
}

/// `letterlock demo` on a data directory, all listeners on free ports.
pub(crate) fn demo(data_dir: &Path, ready_file: &Path) -> Command {
    let mut command = Command::new(letterlock());
    command.arg("demo").arg("--data-dir").arg(data_dir);
    command.arg("--ready-file").arg(ready_file);
    for listener in ["--web", "--imap", "--smtp", "--lmtp"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    command
}

/// The program under test.
pub(crate) fn letterlock() -> PathBuf {
    if let Some(path) = std::env::var_os("LETTERLOCK_BIN") {
        return PathBuf::from(path);
    }
    // target/debug/deps/it-0123 -> target/debug/letterlock
    let test = std::env::current_exe().expect("the path of this test");
    let beside = test
        .ancestors()
        .nth(2)
        .map(|target| target.join("letterlock"));
    match beside {
        Some(path) if path.is_file() => path,
        _ => panic!("no program to test: run `cargo xtask test`, or set LETTERLOCK_BIN"),
    }
}
