//! The provider's tests once more, where accounts are in another cluster than what is the provider's own;
//! and accounts on the move between the two.

mod backend;
mod moving;
mod mixed;
mod refused;
#[path = "../shared.rs"]
mod shared;
#[path = "../../provider/world.rs"]
mod world;
#[path = "../../provider/accounts.rs"]
mod accounts;
#[path = "../../provider/certificates.rs"]
mod certificates;
#[path = "../../provider/passwords.rs"]
mod passwords;
#[path = "../../provider/upkeep.rs"]
mod upkeep;
#[path = "../../provider/sync.rs"]
mod sync;
#[path = "../../provider/mail.rs"]
mod mail;
#[path = "../../provider/devices.rs"]
mod devices;
#[path = "../../provider/device_list.rs"]
mod device_list;
#[path = "../../provider/rendezvous.rs"]
mod rendezvous;
#[path = "../../provider/transparency.rs"]
mod transparency;
#[path = "../../provider/proxy.rs"]
mod proxy;
#[path = "../../provider/news.rs"]
mod news;
