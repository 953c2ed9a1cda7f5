//! The key manager: whose certificate is whose, how well we know it, and when a new one may take
//! its place.
//!
//! Pure: contacts and offers come in, decisions go out; who stores and who asks the network is
//! elsewhere. Reading order: [`level`] (how well a certificate is known), [`keyring`] (contacts and
//! the rules of replacement), [`autocrypt`] and [`attached`] (certificates that come with mail),
//! [`openpgp_field`] (where mail says that one is), [`silence`] (mail without the one that is known), [`lookup`] (whom to ask for one), [`published`] (what a directory has of an address), [`own`] (the account's
//! own keys), [`wkd`] (where domains publish certificates), [`verification`] (what two people
//! compare).
//!
//! Invariant: no sequence of weaker events replaces a key that is in use.

pub mod attached;
pub mod autocrypt;
pub mod keyring;
pub mod level;
pub mod lookup;
pub mod openpgp_field;
pub mod own;
pub mod published;
pub mod silence;
pub mod transparency;
pub mod verification;
pub mod wkd;

pub use keyring::{Contact, Decision, Offer};
pub use level::Level;
pub use lookup::{Found, Source};
pub use own::{OwnKeys, Role};
pub use published::Published;
