//! The provider's tests once more, over PostgreSQL; and what only it can do.
#![expect(
    clippy::duplicate_mod,
    reason = "the same tests run over one database and over two"
)]

#[cfg(test)]
mod backend;
#[cfg(test)]
mod sharded;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod store;
#[cfg(test)]
mod objects;
#[cfg(test)]
#[path = "../provider/world.rs"]
mod world;
#[cfg(test)]
#[path = "../provider/accounts.rs"]
mod accounts;
#[cfg(test)]
#[path = "../provider/certificates.rs"]
mod certificates;
#[cfg(test)]
#[path = "../provider/passwords.rs"]
mod passwords;
#[cfg(test)]
#[path = "../provider/upkeep.rs"]
mod upkeep;
#[cfg(test)]
#[path = "../provider/sync.rs"]
mod sync;
#[cfg(test)]
#[path = "../provider/mail.rs"]
mod mail;
#[cfg(test)]
#[path = "../provider/devices.rs"]
mod devices;
#[cfg(test)]
#[path = "../provider/device_list.rs"]
mod device_list;
#[cfg(test)]
#[path = "../provider/rendezvous.rs"]
mod rendezvous;
#[cfg(test)]
#[path = "../provider/transparency.rs"]
mod transparency;
#[cfg(test)]
#[path = "../provider/proxy.rs"]
mod proxy;
#[cfg(test)]
#[path = "../provider/news.rs"]
mod news;
