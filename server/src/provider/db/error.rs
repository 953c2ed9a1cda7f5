//! What can go wrong below the provider: errors that name the place and the cause.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use tokio_postgres::error::SqlState;

/// Why the provider's storage did not do what it was asked. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No space left; goes away when there is some.
    #[error("the disk is full: {}", path.display())]
    Full {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// A file does not hold what was written to it.
    #[error("{} is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong; no content.
        detail: String,
    },
    /// A later version of this program has written the database.
    #[error(
        "{} has schema {found}, this version knows up to {known}: use a newer letterlock",
        path.display()
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest known here.
        known: i64,
    },
    /// Another failure of the file system.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another failure of the database.
    #[error("{}: {source}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// The cause.
        source: rusqlite::Error,
    },
    /// Another failure of PostgreSQL.
    #[error("{}: {}", database.display(), told(source))]
    Postgres {
        /// The database.
        database: PathBuf,
        /// The cause.
        source: tokio_postgres::Error,
    },
    /// The object store failed.
    #[error("{}: {}", store.display(), told_by_store(source))]
    Object {
        /// The bucket.
        store: PathBuf,
        /// The cause.
        source: Box<object_store::Error>,
    },
    /// The account was ended since the call began.
    #[error("the account is gone")]
    NoAccount,
    /// The account is being moved to another database: it is there in a moment.
    #[error("the account is being moved: try again")]
    Moving,
    /// The databases are not those of this provider, or not all.
    #[error("{}: {detail}", database.display())]
    WrongShard {
        /// The database.
        database: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The process is ending.
    #[error("the provider is shutting down")]
    Stopped,
}

impl DbError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { path, source },
        }
    }

    pub(crate) fn database(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged {
                path,
                detail: source.to_string(),
            },
            _ => Self::Database { path, source },
        }
    }

    pub(crate) fn postgres(database: &Path, source: tokio_postgres::Error) -> Self {
        let database = database.to_owned();
        match source.code() {
            Some(&SqlState::DISK_FULL) => Self::Full { path: database },
            Some(&(SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED)) => Self::Damaged {
                path: database,
                detail: told(&source),
            },
            _ => Self::Postgres { database, source },
        }
    }
}

/// What PostgreSQL says, without rows' contents, which it may add as a detail.
fn told(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(told) => format!("{} ({})", told.message(), told.code().code()),
        None => std::error::Error::source(error)
            .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")),
    }
}

/// The whole chain: what matters stands at its end.
fn told_by_store(error: &object_store::Error) -> String {
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !told.contains(&more) {
            told = format!("{told}: {more}");
        }
        cause = error.source();
    }
    told
}

/// What a function over a transaction fails with; [`super::Db`] adds the path.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TxError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
    #[error(transparent)]
    File(#[from] DbError),
    /// The row's file went away between reading the row and the file: read again.
    #[error("the file {} is gone", .0.display())]
    FileGone(PathBuf),
    #[error("{0}")]
    Damaged(&'static str),
    /// The account was ended meanwhile.
    #[error("the account is gone")]
    NoAccount,
    /// The account is not here any more, or not yet.
    #[error("the account is being moved")]
    Moving,
}

impl TxError {
    pub(crate) fn at(self, path: &Path) -> DbError {
        match self {
            Self::Sqlite(source) => DbError::database(path, source),
            Self::Postgres(source) => DbError::postgres(path, source),
            Self::NoAccount => DbError::NoAccount,
            Self::Moving => DbError::Moving,
            Self::File(error) => error,
            Self::FileGone(path) => DbError::Damaged {
                path,
                detail: "the file is missing".to_owned(),
            },
            Self::Damaged(detail) => DbError::Damaged {
                path: path.to_owned(),
                detail: detail.to_owned(),
            },
        }
    }
}
