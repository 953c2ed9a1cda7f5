//! `letterlock`: arguments, logging, signals. What runs is in the library.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use letterlock_server::account_command::{self, arguments::AccountCommand};
use letterlock_server::bridge::app_password_command::{self, AppPasswordCommand};
use letterlock_server::bridge_command::{self, BridgeArguments, DoorArguments};
use letterlock_server::clock;
use letterlock_server::config::Config;
use letterlock_server::contact_command::{self, ContactCommand};
use letterlock_server::demo::{self, DataPlace, Demo};
use letterlock_server::heap;
use letterlock_server::invite_command::{self, InviteCommand};
use letterlock_server::provider_command::{self, ProviderArguments};
use letterlock_server::shard_command::{self, ShardCommand};
use letterlock_server::transfer::arguments::{ExportArguments, ImportArguments};
use letterlock_server::transfer::command::{export, import};
use letterlock_server::upkeep::{self, Upkeep};
use letterlock_sop as sop;
use rust_embed::RustEmbed;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What the web build left: part of the program in a release build, else read from the folder.
#[derive(RustEmbed)]
#[folder = "../dist"]
#[allow_missing = true]
struct WebUi;

/// End-to-end encrypted mail for the mail program you already have.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run provider, bridge, web UI and two accounts with sample mail in one process.
    Demo(Box<DemoArguments>),
    /// Run the provider alone: accounts, mail intake and the key directory, without a key to any mail.
    Provider(ProviderArguments),
    /// Run the bridge alone: IMAP and SMTP for the accounts on this machine.
    Bridge(Box<BridgeArguments>),
    /// Bring mail into an account, from files or from an IMAP server.
    Import(Box<ImportArguments>),
    /// Write an account's mail into files.
    Export(Box<ExportArguments>),
    #[command(flatten)]
    Upkeep(Upkeep),
    /// Passwords for mail programs.
    #[command(subcommand)]
    AppPassword(AppPasswordCommand),
    /// An account as such: make it, recover it, its password, devices and end.
    #[command(subcommand)]
    Account(Box<AccountCommand>),
    /// Whose keys are known, and comparing them with their owners.
    #[command(subcommand)]
    Contact(Box<ContactCommand>),
    /// Invite codes of a provider that takes invited people only.
    #[command(subcommand)]
    Invite(InviteCommand),
    /// The databases that a provider's accounts are spread over.
    #[command(subcommand)]
    Shard(ShardCommand),
    /// Stateless OpenPGP on files, for tools and tests: `letterlock sop help`.
    #[command(disable_help_flag = true)]
    Sop(SopArguments),
}

#[derive(Args)]
struct SopArguments {
    /// A command of draft-dkg-openpgp-stateless-cli with its options.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    words: Vec<OsString>,
}

#[derive(Args)]
struct DemoArguments {
    /// Keep everything in this folder [default: ~/.local/share/letterlock/demo].
    #[arg(long, value_name = "DIR", conflicts_with = "ephemeral")]
    data_dir: Option<PathBuf>,
    /// Keep everything in a temporary folder that is removed at the end.
    #[arg(long)]
    ephemeral: bool,
    /// Write addresses and accounts to this file (JSON) when everything answers.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Read listen addresses and limits from this file (TOML); flags win over it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Web UI and provider [default: 127.0.0.1:8080]; port 0 picks a free one.
    #[arg(long, value_name = "ADDR")]
    web: Option<SocketAddr>,
    /// Where mail programs come in.
    #[command(flatten)]
    doors: DoorArguments,
    /// Mail intake, LMTP [default: 127.0.0.1:2424].
    #[arg(long, value_name = "ADDR")]
    lmtp: Option<SocketAddr>,
}

fn main() -> ExitCode {
    // Before there is a second thread.
    heap::keep_small();
    if sop::is_called() {
        sop::main();
    }
    let Arguments { command } = Arguments::parse();
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(io::stderr))
        .with(log_filter())
        .init();
    match run(command) {
        Ok(code) => code,
        Err(error) => {
            // There is nobody left to tell if this fails.
            let _told = writeln!(io::stderr(), "letterlock: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What is logged: `LETTERLOCK_LOG=debug`, or by module, `letterlock_server::imap=debug,warn`.
fn log_filter() -> Targets {
    let asked = std::env::var("LETTERLOCK_LOG").ok();
    asked
        .and_then(|asked| asked.parse().ok())
        .unwrap_or_else(|| Targets::new().with_default(LevelFilter::WARN))
}

#[tokio::main]
async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(arguments) => run_demo(*arguments).await.map(|()| ExitCode::SUCCESS),
        Command::Provider(arguments) => {
            let stop = stop_signal()?;
            Box::pin(provider_command::run(&arguments, stop, &mut io::stdout())).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Bridge(arguments) => {
            let stop = stop_signal()?;
            Box::pin(bridge_command::run(*arguments, stop, &mut io::stdout())).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Import(arguments) => Ok(Box::pin(import(*arguments)).await?),
        Command::Export(arguments) => Ok(Box::pin(export(*arguments)).await?),
        Command::Sop(arguments) => Err(sop::become_it(&arguments.words).into()),
        Command::Upkeep(upkeep) => Ok(Box::pin(upkeep::run(upkeep)).await?),
        Command::Account(command) => {
            Box::pin(account_command::run(*command, &mut io::stdout())).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Contact(command) => {
            Box::pin(contact_command::run(*command, &mut io::stdout())).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Invite(command) => {
            let otherwise = demo::default_data_dir().ok();
            let now = clock::now();
            invite_command::run(&command, otherwise.as_deref(), now, &mut io::stdout()).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Shard(command) => {
            shard_command::run(&command, &mut io::stdout()).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::AppPassword(command) => {
            let otherwise = demo::default_data_dir().ok();
            let now = clock::now();
            app_password_command::run(&command, otherwise.as_deref(), now, &mut io::stdout())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Ends when the process is asked to.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be watched")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be watched")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

async fn run_demo(arguments: DemoArguments) -> anyhow::Result<()> {
    // From the first moment: a signal during the start ends it cleanly, too.
    let stop = stop_signal()?;
    tokio::pin!(stop);
    let options = options(arguments)?;
    let demo = tokio::select! {
        () = &mut stop => return Ok(()),
        demo = Box::pin(Demo::start(&options)) => demo?,
    };
    demo.announce(&mut io::stdout())?;
    stop.await;
    demo.stop().await;
    Ok(())
}

fn options(arguments: DemoArguments) -> anyhow::Result<demo::Options> {
    let mut config = match &arguments.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    let listen = &mut config.listen;
    listen.web = arguments.web.unwrap_or(listen.web);
    listen.lmtp = arguments.lmtp.unwrap_or(listen.lmtp);
    arguments.doors.apply(&mut config)?;
    let data_dir = match (arguments.ephemeral, arguments.data_dir) {
        (true, _) => DataPlace::Ephemeral,
        (false, Some(path)) => DataPlace::Directory(path),
        (false, None) => DataPlace::Directory(demo::default_data_dir()?),
    };
    Ok(demo::Options {
        data_dir,
        ready_file: arguments.ready_file,
        config,
        web_files: WebUi::get,
    })
}
