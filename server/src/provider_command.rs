//! `letterlock provider`: the provider alone, for people whose devices are elsewhere.
//!
//! It listens for devices (HTTP) and for the mail server in front of it (LMTP), both in the clear:
//! what ends TLS, and Postfix, stand beside it. Invariant: with a database that is shared, it keeps
//! nothing that another process of the same provider would miss, so any number may run.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::intake::Intake;
use crate::provider::{self, OpenError, Provider, ProviderConfig, Relay};
use crate::shutdown::{GRACE, Shutdown};
use crate::smtp::{self, Policy, Protocol};
use crate::starttls::Protection;

/// The folder within the data directory where mail to other domains waits to be fetched.
const OUTGOING_FOLDER: &str = "outgoing";
/// How long the end waits for requests whose connection was cut.
const LAST_REQUESTS_PATIENCE: Duration = Duration::from_millis(500);
/// How often it looks.
const LAST_REQUESTS_PAUSE: Duration = Duration::from_millis(5);

/// What the command line says.
#[derive(Debug, Clone, Args)]
pub struct ProviderArguments {
    /// Sections `provider`, `storage` and `limits` are read from this file (TOML).
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// What is not in a database or an object store is kept here.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where devices call, by HTTP in the clear: for what ends TLS.
    #[arg(long, value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))]
    pub listen: SocketAddr,
    /// Where mail comes in, by LMTP in the clear: for Postfix alone.
    #[arg(long, value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 2424)))]
    pub lmtp: SocketAddr,
}

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum ProviderCommandError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The provider does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An address is taken, or not of this machine.
    #[error("nothing can listen on {address}: {cause}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// Nobody reads what is printed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs a provider until `stop` ends, and says on `out` where it answers.
pub async fn run(
    arguments: &ProviderArguments,
    stop: impl Future<Output = ()>,
    out: &mut impl Write,
) -> Result<(), ProviderCommandError> {
    let config = Config::load(&arguments.config)?;
    let api = bind(arguments.listen).await?;
    let lmtp = bind(arguments.lmtp).await?;
    let addresses = (api.local_addr()?, lmtp.local_addr()?);
    let provider = open(arguments, &config).await?;
    let shutdown = Shutdown::new();
    serve(&provider, &shutdown, api);
    let policy = Policy {
        protocol: Protocol::Lmtp,
        host_name: provider.name().to_owned(),
        domain: provider.name().to_owned(),
        max_message_octets: config.limits.message_octets,
        tls: None,
        protection: Protection::Local,
    };
    let intake = Arc::new(Intake::new(Arc::clone(&provider)));
    shutdown.spawn(smtp::serve(lmtp, policy, intake, shutdown.clone()));
    writeln!(out, "api   http://{}\nlmtp  {}", addresses.0, addresses.1)?;
    out.flush()?;
    stop.await;
    end(provider, &shutdown).await;
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ProviderCommandError> {
    TcpListener::bind(address)
        .await
        .map_err(|cause| ProviderCommandError::Bind { address, cause })
}

async fn open(
    arguments: &ProviderArguments,
    config: &Config,
) -> Result<Arc<Provider>, ProviderCommandError> {
    let section = &config.provider;
    let config = ProviderConfig {
        domains: section.domains.clone(),
        data_dir: arguments.data_dir.clone(),
        records: config.storage.records()?,
        blobs: config.storage.blobs()?,
        relay: Relay::Folder(arguments.data_dir.join(OUTGOING_FOLDER)),
        sign_up: section.sign_up,
        quota_octets: section.quota_octets,
        sign_ups_per_hour: section.sign_ups_per_hour,
    };
    Ok(Provider::open(config, Clock::system()).await?)
}

fn serve(provider: &Arc<Provider>, shutdown: &Shutdown, api: TcpListener) {
    let app =
        provider::router(Arc::clone(provider)).into_make_service_with_connect_info::<SocketAddr>();
    let token = shutdown.token.clone();
    shutdown.spawn(async move {
        let served = axum::serve(api, app).with_graceful_shutdown(token.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the listener for devices ended");
        }
    });
    shutdown.spawn(Arc::clone(provider).run(shutdown.token.clone()));
}

/// Ends everything, within the time that a service manager gives.
async fn end(provider: Arc<Provider>, shutdown: &Shutdown) {
    provider.close();
    if !shutdown.finish(GRACE).await {
        tracing::warn!("some connections did not end in time");
    }
    let freed = async {
        while Arc::strong_count(&provider) > 1 {
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
