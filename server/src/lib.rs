//! Letterlock's server: the provider that cannot read mail, the bridge for mail programs, and
//! both together as a demo.
//!
//! Invariant: provider and bridge never share a code path to secrets; `demo` alone runs both.
//!
//! Suggested reading order is the order of the modules below.

pub mod clock;
pub mod heap;
mod background;
pub mod shutdown;
pub mod config;
pub mod starttls;
pub mod scram;
pub mod smtp;
pub mod provider;
mod intake;
pub mod provider_command;
pub mod imap;
pub mod bridge;
pub mod transfer;
pub mod upkeep;
pub mod demo;
pub mod bridge_command;
pub mod account_command;
pub mod invite_command;
pub mod shard_command;
pub mod contact_command;
