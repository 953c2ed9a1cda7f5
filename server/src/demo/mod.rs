//! `letterlock demo`: provider, bridge, web UI and sample mail in one process.
//!
//! It composes what runs apart in earnest, over the same listeners and the same HTTP. Invariant:
//! killed at any point and started again on the same data directory, it goes on with the same
//! accounts, passwords and mail, and feeds no letter twice. The ready file appears, whole, when
//! everything answers.

mod accounts;
mod error;
mod feed;
mod letters;
mod listeners;
mod ready;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use letterlock_core::auth::wire::Invite;
use letterlock_core::id::Timestamp;
use tokio::net::TcpListener;

use crate::bridge::accounts::{Accounts, SyncStatus};
use crate::bridge::lock::DataDir;
use crate::bridge::provider_client::ProviderClient;
use crate::bridge::running;
use crate::bridge::tls::Tls;
use crate::bridge::web_ui::{self, WebFiles};
use crate::clock::{self, Clock};
use crate::config::{Config, ProviderSection};
use crate::intake::Intake;
use crate::provider::invites::{self, Invited};
use crate::provider::{self, BlobPlace, Provider, ProviderConfig, Records, Relay, SignUp};
use crate::shutdown::{GRACE, Shutdown};
use crate::smtp::{self, Policy, Protocol};
use crate::starttls::Protection;

pub use accounts::note_password;
pub use error::DemoError;
pub use ready::{ReadyAccount, ReadyFile};

use accounts::DemoState;
use listeners::Listeners;

/// The demo's domain.
pub const DOMAIN: &str = "letterlock.example";
/// The folder within the data directory where mail to other domains ends up.
pub const OUTGOING_FOLDER: &str = "outgoing";
/// The folder within the data directory that is the provider's own.
pub const PROVIDER_FOLDER: &str = "provider";
/// How long the invite holds that the demo gives to its own accounts, in milliseconds: 10 minutes.
const INVITE_MS: i64 = 10 * 60 * 1000;
/// Words of a recovery phrase in a line of what is announced.
const PHRASE_WORDS_IN_A_ROW: usize = 8;
/// How long the start waits until the sample letters are in the mailboxes.
const LETTERS_PATIENCE: Duration = Duration::from_mins(1);

/// How long the end waits for requests whose connection was cut; within the 5 s that ending may
/// take, after [`GRACE`].
const LAST_REQUESTS_PATIENCE: Duration = Duration::from_millis(500);
/// How often it looks.
const LAST_REQUESTS_PAUSE: Duration = Duration::from_millis(5);

/// What the command line says.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything is kept.
    pub data_dir: DataPlace,
    /// Written when everything answers.
    pub ready_file: Option<PathBuf>,
    /// Addresses and limits.
    pub config: Config,
    /// The web UI.
    pub web_files: WebFiles,
}

/// Where everything is kept.
#[derive(Debug, Clone)]
pub enum DataPlace {
    /// Here, and it stays.
    Directory(PathBuf),
    /// In a temporary folder that is removed at the end.
    Ephemeral,
}

/// A demo at work.
pub struct Demo {
    /// What the ready file says.
    pub ready: ReadyFile,
    /// Where mail to other domains ends up.
    pub outgoing: PathBuf,
    shutdown: Shutdown,
    provider: Arc<Provider>,
    // In this order: the lock ends before the folder does.
    _lock: DataDir,
    _temporary: Option<tempfile::TempDir>,
}

impl Demo {
    /// Starts everything and waits until it answers.
    pub async fn start(options: &Options) -> Result<Self, DemoError> {
        if let Some(path) = &options.ready_file {
            ready::remove_stale(path)?;
        }
        let (folder, temporary) = options.data_dir.prepare()?;
        let lock = DataDir::lock(&folder)?;
        let listeners = Listeners::bind(&options.config.listen).await?;
        let mut state = DemoState::load_or_create(&folder)?;
        let shutdown = Shutdown::new();
        let outgoing = folder.join(OUTGOING_FOLDER);
        let provider = open_provider(&folder, &outgoing, &options.config.provider).await?;
        let tls = Tls::open(&folder, clock::now())?;
        let ready = ReadyFile::new(&listeners, &folder, &state, &tls);
        let running = Running {
            shutdown: shutdown.clone(),
            provider: Arc::clone(&provider),
            config: options.config.clone(),
            web_files: options.web_files,
            client: ProviderClient::new(&ready.provider)?,
            tls,
        };
        let started = Box::pin(running.start(listeners, &folder, &mut state)).await;
        let demo = Self {
            ready,
            outgoing,
            shutdown,
            provider,
            _lock: lock,
            _temporary: temporary,
        };
        if let Err(error) = started {
            demo.stop().await;
            return Err(error);
        }
        if let Some(path) = &options.ready_file {
            demo.ready.write(path)?;
        }
        Ok(demo)
    }

    /// Tells a person where everything is and who can log in.
    pub fn announce(&self, out: &mut impl Write) -> io::Result<()> {
        let ready = &self.ready;
        writeln!(out, "Letterlock runs. Stop it with Ctrl-C.\n")?;
        writeln!(out, "  web UI      {}", ready.web)?;
        writeln!(out, "  IMAP        {}", ready.imap)?;
        writeln!(out, "  SMTP        {}", ready.smtp)?;
        writeln!(out, "  LMTP        {}", ready.lmtp)?;
        for (label, place) in [
            ("IMAP, TLS ", &ready.imaps),
            ("SMTP, TLS ", &ready.smtps),
            ("IMAP, Unix", &ready.imap_socket),
        ] {
            if let Some(place) = place {
                writeln!(out, "  {label}  {place}")?;
            }
        }
        writeln!(out, "  data        {}", ready.data_dir)?;
        writeln!(out, "  mail out    {}\n", self.outgoing.display())?;
        writeln!(out, "  certificate for IMAP and SMTP with TLS, SHA-256")?;
        // In two halves, as mutt shows it.
        let sha256 = &ready.certificate_sha256;
        let (first, second) = sha256.split_at_checked(48).unwrap_or((sha256, ""));
        writeln!(out, "    {first}\n    {second}\n")?;
        for account in &ready.accounts {
            writeln!(out, "  {}", account.address)?;
            writeln!(out, "    in the browser    {}", account.password)?;
            writeln!(out, "    in mail programs  {}", account.app_password)?;
            if let Some(phrase) = &account.recovery_phrase {
                let words: Vec<&str> = phrase.split(' ').collect();
                for (row, words) in words.chunks(PHRASE_WORDS_IN_A_ROW).enumerate() {
                    let label = if row == 0 { "recovery phrase" } else { "" };
                    writeln!(out, "    {label:<16}  {}", words.join(" "))?;
                }
            }
            writeln!(out)?;
        }
        out.flush()
    }

    /// Ends everything, within the time that a service manager gives.
    pub async fn stop(self) {
        self.provider.close();
        if !self.shutdown.finish(GRACE).await {
            tracing::warn!("some connections did not end in time");
        }
        // A request whose connection was cut may still hold the provider, and with it the lock
        // of its folder, for a moment.
        let freed = async {
            while Arc::strong_count(&self.provider) > 1 {
                tokio::time::sleep(LAST_REQUESTS_PAUSE).await;
            }
        };
        if tokio::time::timeout(LAST_REQUESTS_PATIENCE, freed)
            .await
            .is_err()
        {
            tracing::warn!("a request did not end in time");
        }
    }
}

/// Where the demo is kept if nothing is said: `$XDG_DATA_HOME/letterlock/demo`, else below
/// `~/.local/share`.
pub fn default_data_dir() -> Result<PathBuf, DemoError> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    // The XDG specification: a relative path is to be ignored.
    let data = from("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let data = data.or_else(|| Some(from("HOME")?.join(".local").join("share")));
    Ok(data
        .ok_or(DemoError::NoHome)?
        .join("letterlock")
        .join("demo"))
}

impl DataPlace {
    fn prepare(&self) -> Result<(PathBuf, Option<tempfile::TempDir>), DemoError> {
        match self {
            Self::Directory(path) => {
                let absolute = std::path::absolute(path);
                Ok((absolute.unwrap_or_else(|_| path.clone()), None))
            }
            Self::Ephemeral => {
                let folder = tempfile::Builder::new()
                    .prefix("letterlock-demo-")
                    .tempdir()
                    .map_err(DemoError::Temporary)?;
                Ok((folder.path().to_owned(), Some(folder)))
            }
        }
    }
}

async fn open_provider(
    folder: &Path,
    outgoing: &Path,
    section: &ProviderSection,
) -> Result<Arc<Provider>, DemoError> {
    let config = ProviderConfig {
        domains: vec![DOMAIN.to_owned()],
        data_dir: folder.join(PROVIDER_FOLDER),
        records: Records::Embedded,
        blobs: BlobPlace::Folder,
        relay: Relay::Folder(outgoing.to_owned()),
        sign_up: section.sign_up,
        quota_octets: section.quota_octets,
        sign_ups_per_hour: section.sign_ups_per_hour,
    };
    Ok(Provider::open(config, Clock::system()).await?)
}

/// What the parts share while they start.
struct Running {
    shutdown: Shutdown,
    provider: Arc<Provider>,
    config: Config,
    web_files: WebFiles,
    client: ProviderClient,
    tls: Tls,
}

impl Running {
    async fn start(
        self,
        listeners: Listeners,
        folder: &Path,
        state: &mut DemoState,
    ) -> Result<(), DemoError> {
        let lmtp = listeners.lmtp.local_addr().map_err(DemoError::Listener)?;
        let Listeners {
            web,
            lmtp: intake,
            doors,
        } = listeners;
        self.serve_provider(web, intake);
        let invite = self.invite(folder, state).await?;
        let accounts = state.enrol(folder, &self.client, invite).await?;
        if !state.letters_fed() {
            feed::feed(&self.provider, &self.client, lmtp).await?;
            state.set_letters_fed(folder)?;
        }
        running::show_virtual(&accounts, &self.config).await?;
        let how = (&self.config, &self.tls);
        running::start(&accounts, doors, how, DOMAIN, &self.shutdown);
        Box::pin(wait_for_letters(&accounts)).await;
        Ok(())
    }

    /// A provider that takes invited people only invites the demo's own.
    async fn invite(&self, folder: &Path, state: &DemoState) -> Result<Option<Invite>, DemoError> {
        if self.config.provider.sign_up != SignUp::Invite || state.letters_fed() {
            return Ok(None);
        }
        let now = clock::now();
        let invited = Invited {
            name: "the demo's own accounts".to_owned(),
            uses_left: u32::try_from(state.accounts().len()).unwrap_or(u32::MAX),
            expires_at: Timestamp::from_millis(now.as_millis().saturating_add(INVITE_MS)),
        };
        let folder = folder.join(PROVIDER_FOLDER);
        let made = invites::add(&folder, &Records::Embedded, &invited, now).await;
        Ok(Some(made.map_err(provider::OpenError::from)?))
    }

    fn serve_provider(&self, web: TcpListener, lmtp: TcpListener) {
        let app = web_ui::beside(provider::router(Arc::clone(&self.provider)), self.web_files)
            .into_make_service_with_connect_info::<SocketAddr>();
        let token = self.shutdown.token.clone();
        self.shutdown.spawn(async move {
            let served = axum::serve(web, app)
                .with_graceful_shutdown(token.cancelled_owned())
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "the web listener ended");
            }
        });
        let relaying = Arc::clone(&self.provider).run(self.shutdown.token.clone());
        self.shutdown.spawn(relaying);
        let intake = Arc::new(Intake::new(Arc::clone(&self.provider)));
        let policy = Policy {
            protocol: Protocol::Lmtp,
            host_name: DOMAIN.to_owned(),
            domain: DOMAIN.to_owned(),
            max_message_octets: self.config.limits.message_octets,
            tls: None,
            protection: Protection::Local,
        };
        self.shutdown
            .spawn(smtp::serve(lmtp, policy, intake, self.shutdown.clone()));
    }
}

/// Waits until the bridge has all that the provider had, or for [`LETTERS_PATIENCE`]: a slow
/// machine may go on while it serves.
async fn wait_for_letters(accounts: &Accounts) {
    let current = accounts.iter().map(|account| async {
        // An error says that the account's loops ended: the process is going down.
        let mut status = account.status();
        let _ended = status
            .wait_for(|status| *status == SyncStatus::Current)
            .await
            .is_err();
    });
    let all = futures::future::join_all(current);
    if tokio::time::timeout(LETTERS_PATIENCE, all).await.is_err() {
        tracing::warn!("some letters are still on their way");
    }
}
