//! Command lines of `letterlock import` and `letterlock export`.

use std::path::PathBuf;

use clap::Args;
use letterlock_core::id::{Address, MailboxName};

use super::mbox::{Dialect, LineEnds};
use super::source::Format;

/// Whose mail, and where it is.
#[derive(Debug, Clone, Args)]
pub struct AccountArguments {
    /// The account; not needed if there is only one.
    #[arg(long, value_name = "ADDRESS")]
    pub account: Option<Address>,
    /// The data directory of the bridge, which must not run [default: the demo's].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Take the account's password from the first line of this file; else it is asked for, or
    /// taken from a line of standard input.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// What lines end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LineEndsArgument {
    /// What they end with in the source.
    #[default]
    Keep,
    /// CR LF, as on the wire: what most mboxes and Maildirs have lost.
    Crlf,
}

/// When what was imported is indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum IndexArgument {
    /// At the end of the import.
    #[default]
    Now,
    /// By the bridge, when it has nothing else to do.
    Later,
}

impl From<LineEndsArgument> for LineEnds {
    fn from(argument: LineEndsArgument) -> Self {
        match argument {
            LineEndsArgument::Keep => Self::Kept,
            LineEndsArgument::Crlf => Self::Bare,
        }
    }
}

/// Bring mail into an account, from files or from an IMAP server.
///
/// Started again after an interruption it goes on where it was, and brings nothing twice.
#[derive(Debug, Clone, Args)]
pub struct ImportArguments {
    /// An mbox, a directory of mboxes, a Maildir, a directory of .eml files, or
    /// `imaps://user@host[/mailbox]`.
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// Whose.
    #[command(flatten)]
    pub account: AccountArguments,
    /// Put it into this mailbox, or mailboxes of the source under it.
    #[arg(long, value_name = "NAME", value_parser = mailbox)]
    pub mailbox: Option<MailboxName>,
    /// How the source is kept; else told by its content.
    #[arg(long)]
    pub format: Option<Format>,
    /// Which dialect an mbox is in; else told by its content.
    #[arg(long)]
    pub dialect: Option<Dialect>,
    /// What lines of messages end with.
    #[arg(long, value_enum, default_value_t)]
    pub line_ends: LineEndsArgument,
    /// Count what there is, and bring nothing; needs no account.
    #[arg(long)]
    pub dry_run: bool,
    /// When the search index is brought up to date.
    #[arg(long, value_enum, default_value_t)]
    pub index: IndexArgument,
    /// Bring what was brought before once more.
    #[arg(long)]
    pub again: bool,
    /// Take the IMAP server's password from the first line of this file; else from
    /// `LETTERLOCK_IMAP_PASSWORD`, or it is asked for.
    #[arg(long, value_name = "FILE")]
    pub source_password_file: Option<PathBuf>,
    /// Trust the certificates in this file (PEM) as well.
    #[arg(long, value_name = "FILE")]
    pub source_ca: Option<PathBuf>,
    /// Send the password to the IMAP server even where others can read it.
    #[arg(long)]
    pub allow_plaintext: bool,
}

/// Write an account's mail into files.
///
/// Started again after an interruption it goes on where it was.
#[derive(Debug, Clone, Args)]
pub struct ExportArguments {
    /// A directory that is new, empty, or has an unfinished export.
    #[arg(value_name = "DIR")]
    pub target: PathBuf,
    /// Whose.
    #[command(flatten)]
    pub account: AccountArguments,
    /// How messages are kept.
    #[arg(long, value_enum, default_value = "mbox")]
    pub format: Format,
    /// Which dialect an mbox is written in; mboxo and mboxcl cannot bring every line back.
    #[arg(long, value_enum, default_value = "mboxrd")]
    pub dialect: Dialect,
    /// Only this mailbox; may be given several times.
    #[arg(long = "mailbox", value_name = "NAME", value_parser = mailbox)]
    pub mailboxes: Vec<MailboxName>,
    /// Replace what an earlier export wrote there.
    #[arg(long)]
    pub overwrite: bool,
}

fn mailbox(text: &str) -> Result<MailboxName, letterlock_core::id::InvalidId> {
    MailboxName::new(text)
}
