//! Mail in and out: intake for local accounts, submissions, the relay.
//!
//! Invariant: incoming plaintext is never written anywhere. What cannot be encrypted is not
//! accepted (a temporary failure), never stored as it is.

mod recipient;
mod trace;
mod intake;
mod submission;
mod relay;

pub use intake::DeliverError;
pub use relay::Relay;
pub use submission::SubmitError;
pub use trace::{Peer, Protocol};
