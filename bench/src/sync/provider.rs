//! A provider in a process of its own: this program again, with another first word.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use letterlock_server::clock::Clock;
use letterlock_server::provider::{
    BlobPlace, Provider, ProviderConfig, Records, Relay, SignUp, router,
};
use letterlock_server::shutdown::{GRACE, Shutdown};
use tokio::net::TcpListener;

/// The domain of everybody.
pub const DOMAIN: &str = "letterlock.example";
/// The first word on the command line of a provider.
pub const WORD: &str = "--provider";

/// A provider that runs; it ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Where it listens.
    pub url: String,
}

impl Running {
    /// Starts one on a folder.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(folder: &Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(WORD)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start a provider")?;
        let said = child.stdout.take().context("the provider has no output")?;
        let mut url = String::new();
        BufReader::new(said).read_line(&mut url)?;
        let url = url.trim().to_owned();
        anyhow::ensure!(!url.is_empty(), "the provider did not start");
        Ok(Self { child, url })
    }

    /// What it has in memory now, in octets.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn resident(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).context(path)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let line = line.context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kib * 1024)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// Serves until the input ends: what the child does.
///
/// # Errors
/// It cannot be opened, or the port not be bound.
#[expect(
    clippy::print_stdout,
    reason = "the parent reads the address from there"
)]
pub async fn serve(folder: &Path) -> Result<()> {
    let config = ProviderConfig {
        domains: vec![DOMAIN.to_owned()],
        data_dir: folder.to_owned(),
        records: Records::Embedded,
        blobs: BlobPlace::Folder,
        relay: Relay::Folder(folder.join("outgoing")),
        sign_up: SignUp::Open,
        quota_octets: None,
        sign_ups_per_hour: u32::MAX,
    };
    let provider = Provider::open(config, Clock::system()).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let shutdown = Shutdown::new();
    let app = router(Arc::clone(&provider)).into_make_service_with_connect_info::<SocketAddr>();
    let token = shutdown.token.clone();
    shutdown.spawn(async move {
        let end = token.cancelled_owned();
        axum::serve(listener, app).with_graceful_shutdown(end).await
    });
    shutdown.spawn(Arc::clone(&provider).run(shutdown.token.clone()));
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    provider.close();
    shutdown.finish(GRACE).await;
    Ok(())
}
