//! In which states a command is legal (RFC 3501 6).

use crate::imap::command::Command;

/// Who may say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Anybody.
    Any,
    /// Who has not logged in.
    Stranger,
    /// Who has.
    User,
    /// Who has selected a mailbox.
    Reader,
}

impl Level {
    pub(super) fn of(command: &Command) -> Self {
        match command {
            Command::Capability | Command::Noop | Command::Logout | Command::Id => Self::Any,
            Command::StartTls | Command::Login { .. } | Command::Authenticate { .. } => {
                Self::Stranger
            }
            Command::Enable(_)
            | Command::Select { .. }
            | Command::Create { .. }
            | Command::Delete(_)
            | Command::Rename { .. }
            | Command::Subscribe(_)
            | Command::Unsubscribe(_)
            | Command::List(_)
            | Command::Lsub { .. }
            | Command::Namespace
            | Command::Compress
            | Command::Notify(_)
            | Command::GetMetadata(_)
            | Command::SetMetadata(_)
            | Command::MyRights(_)
            | Command::GetQuota(_)
            | Command::GetQuotaRoot(_)
            | Command::Status { .. }
            | Command::Esearch(..)
            | Command::Idle => Self::User,
            Command::Check
            | Command::Close
            | Command::Unselect
            | Command::Expunge(_)
            | Command::Search(_)
            | Command::CancelUpdate(_)
            | Command::UidBatches { .. }
            | Command::Sort(_)
            | Command::Thread(_)
            | Command::Fetch { .. }
            | Command::Store(_)
            | Command::Copy { .. }
            | Command::Move { .. } => Self::Reader,
        }
    }
}
