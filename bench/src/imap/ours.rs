//! Our side: a bridge, and a provider that stands for one on another machine. It keeps its data in
//! memory and gets the processor when nobody else wants it: what is measured is the device.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

/// Whose mail it is.
pub const USER: &str = "alice@letterlock.example";
/// The account's own password.
const PASSWORD: &str = "a password for measuring\n";

/// The provider and the account.
#[derive(Debug)]
pub struct Ours {
    program: PathBuf,
    data: PathBuf,
    provider: Child,
    _elsewhere: TempDir,
}

impl Ours {
    /// Starts a provider, makes the account, and gives the password for the mail program.
    ///
    /// # Errors
    /// A command fails.
    pub fn prepare(program: &Path, folder: &Path) -> Result<(Self, String)> {
        let memory = Path::new("/dev/shm");
        let elsewhere = if memory.is_dir() {
            TempDir::new_in(memory)?
        } else {
            TempDir::new()?
        };
        let config = folder.join("provider.toml");
        fs::write(&config, "[provider]\ndomains = [\"letterlock.example\"]\n")?;
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(program).arg("provider");
        command.arg("--config").arg(&config);
        command.arg("--data-dir").arg(elsewhere.path());
        command.args(["--listen", "127.0.0.1:0", "--lmtp", "127.0.0.1:0"]);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let mut provider = command.stdout(Stdio::piped()).spawn()?;
        let said = provider.stdout.take().context("the provider is silent")?;
        // Both lines: it ends if nobody reads the second.
        let mut lines = BufReader::new(said).lines();
        let line = lines.next().context("the provider ended")??;
        lines.next().context("the provider ended")??;
        let ours = Self {
            program: program.to_owned(),
            data: folder.join("data"),
            provider,
            _elsewhere: elsewhere,
        };
        let url = line.strip_prefix("api").map(str::trim);
        let url = url.context("the provider does not say where it is")?;
        ours.command(&["account", "create", USER, "--provider", url])?;
        let told = ours.command(&["app-password", "add", "benchmark"])?;
        let longest = told.split_whitespace().max_by_key(|word| word.len());
        let password = longest.context("there is no app password")?.to_owned();
        Ok((ours, password))
    }

    /// Starts the bridge.
    ///
    /// # Errors
    /// It does not start.
    pub fn bridge(&self, address: SocketAddr) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command.arg("bridge").arg("--data-dir").arg(&self.data);
        command.args(["--imap", &address.to_string(), "--smtp", "127.0.0.1:0"]);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut bridge = command.spawn().context("start the bridge")?;
        let mut stdin = bridge.stdin.take().context("it has no input")?;
        stdin.write_all(PASSWORD.as_bytes())?;
        Ok(bridge)
    }

    /// The provider's process.
    pub fn provider(&self) -> u32 {
        self.provider.id()
    }

    /// Where the device keeps its mail.
    pub fn mail(&self) -> PathBuf {
        self.data.join("bridge")
    }

    fn command(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--data-dir").arg(&self.data);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().context("it has no input")?;
        stdin.write_all(PASSWORD.as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "letterlock {} fails",
            arguments.join(" ")
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        // It keeps nothing that anybody needs.
        drop(self.provider.kill());
        drop(self.provider.wait());
    }
}
