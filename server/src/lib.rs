//! Letterlock's server: the provider, the bridge, and the demo that runs both.

pub mod clock;
pub mod shutdown;
pub mod provider;
pub mod imap;
