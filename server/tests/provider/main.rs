//! The provider over a real listener: accounts, sync, mail, storage.
//!
//! These tests stand outside `src/provider`, which must not name anything that decrypts.

#[cfg(test)]
mod backend;
#[cfg(test)]
mod world;
#[cfg(test)]
mod accounts;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod passwords;
#[cfg(test)]
mod upkeep;
#[cfg(test)]
mod sync;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod manifest_attacks;
#[cfg(test)]
mod storage;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod device_list;
#[cfg(test)]
mod rendezvous;
#[cfg(test)]
mod by_device;
#[cfg(test)]
mod layer;
#[cfg(test)]
mod device_attacks;
#[cfg(test)]
mod epochs;
#[cfg(test)]
mod transparency;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod news;
#[cfg(test)]
mod api_docs;
