//! Why the demo does not start.

use std::io;
use std::path::PathBuf;

use letterlock_core::account::ReplicaError;
use letterlock_core::id::Address;

use crate::bridge::doors::BindError;
use crate::bridge::enrolment::EnrolError;
use crate::bridge::lock::LockError;
use crate::bridge::provider_client::ProviderError;
use crate::bridge::tls::TlsError;
use crate::bridge::unlock::UnlockFileError;
use crate::provider::{DbError, OpenError};

/// Why the demo does not start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// See there.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Neither a data directory nor a home is known.
    #[error("no place to keep data is known: set HOME, or use --data-dir DIR or --ephemeral")]
    NoHome,
    /// There is no place for temporary files.
    #[error("no temporary folder can be made: {0}")]
    Temporary(io::Error),
    /// A file of the demo's own cannot be read or written.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// `demo.json` is not what this version writes.
    #[error("{path} is damaged, or of a version that this program does not know")]
    State {
        /// The file.
        path: PathBuf,
    },
    /// See there.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// An account's mail is not what it should be.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// A listener does not say where it is.
    #[error("a listener failed: {0}")]
    Listener(io::Error),
    /// See there.
    #[error("the provider does not start: {0}")]
    Provider(#[from] OpenError),
    /// See there.
    #[error("the provider's storage failed: {0}")]
    Storage(#[from] DbError),
    /// See there.
    #[error(transparent)]
    Call(#[from] ProviderError),
    /// See there.
    #[error(transparent)]
    UnlockFile(#[from] UnlockFileError),
    /// See there.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An account does not open.
    #[error("the account {address} does not open: {cause}")]
    Enrol {
        /// Which: an address of the demo's own domain.
        address: Address,
        /// Why.
        cause: Box<EnrolError>,
    },
    /// The sample letters could not be fed.
    #[error("the sample letter {letter} was not taken in: {detail}")]
    Feed {
        /// Its name.
        letter: &'static str,
        /// What was answered.
        detail: String,
    },
}
