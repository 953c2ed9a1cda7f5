//! The exchange between devices and provider, beside the plain cost of moving and writing as many
//! octets.
//!
//! The provider is a process of its own, so that its memory can be told from the devices'; the
//! devices are bridges' accounts in this process, with their real loops over HTTP on loopback.

pub mod device;
pub mod plain;
pub mod provider;
pub mod steps;
