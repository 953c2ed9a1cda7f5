//! `letterlock sop`: the stateless OpenPGP command line (draft-dkg-openpgp-stateless-cli) over our
//! policy, so that others can judge it.
//!
//! Reading order: this file (what is offered), `objects` (keys, certificates and signatures as
//! they are read and written), `keys`, `update`, `user_ids`, `sign`, `inline`, `encrypt`, `armor`.
//!
//! Invariant: nothing is decided here; what is good, usable or safe says `letterlock_core`. What
//! mail does not need is refused as unsupported: passwords in place of keys, session keys.
//! Rejected: a parser of arguments of our own; the crate `sop` has the
//! draft's words, exit codes and indirections.

mod armor;
mod encrypt;
mod huge_pages;
mod inline;
mod keys;
mod objects;
mod sign;
mod update;
mod user_ids;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use letterlock_core::id::Timestamp;
use sop::Result;
use sop::ops;

pub use self::huge_pages::HugePages;
use self::objects::{Certs, Keys, Sigs};

/// What the program must be called to be the stateless command line alone.
pub const PROGRAM: &str = "letterlock-sop";

/// Longest document that is signed, verified, encrypted or opened, in octets: they are held in
/// memory.
pub const MAX_DOCUMENT_OCTETS: u64 = 1024 * 1024 * 1024;

/// Whether this process was started under the name of [`PROGRAM`].
pub fn is_called() -> bool {
    let name = std::env::args_os().next().unwrap_or_default();
    Path::new(&name).file_name() == Some(OsStr::new(PROGRAM))
}

/// Becomes [`PROGRAM`]: the crate reads the arguments that a process was started with, so the
/// process starts once more with those that are meant. Comes back only if that fails.
pub fn become_it(words: &[OsString]) -> std::io::Error {
    match std::env::current_exe() {
        Ok(program) => Command::new(program).arg0(PROGRAM).args(words).exec(),
        Err(error) => error,
    }
}

/// Runs the command line that the process was started with, and ends the process.
pub fn main() -> ! {
    sop::cli::main(&mut Sop, sop::cli::Variant::Full)
}

/// The implementation.
#[derive(Debug)]
struct Sop;

impl<'s> sop::SOP<'s> for Sop {
    type Keys = Keys;
    type Certs = Certs;
    type Sigs = Sigs;

    fn version(&self) -> Result<Box<dyn ops::Version<'_>>> {
        Ok(Box::new(Version))
    }

    fn generate_key(&'s self) -> Result<Box<dyn ops::GenerateKey<'s, Self, Keys> + 's>> {
        Ok(Box::new(keys::Generate::default()))
    }

    fn change_key_password(
        &'s self,
    ) -> Result<Box<dyn ops::ChangeKeyPassword<'s, Self, Keys> + 's>> {
        Ok(Box::new(keys::ChangePassword::default()))
    }

    fn revoke_key(&'s self) -> Result<Box<dyn ops::RevokeKey<'s, Self, Certs, Keys> + 's>> {
        Ok(Box::new(keys::Revoke::default()))
    }

    fn extract_cert(&'s self) -> Result<Box<dyn ops::ExtractCert<'s, Self, Certs, Keys> + 's>> {
        Ok(Box::new(keys::Extract))
    }

    fn update_key(&'s self) -> Result<Box<dyn ops::UpdateKey<'s, Self, Certs, Keys> + 's>> {
        Ok(Box::new(update::Update::default()))
    }

    fn merge_certs(&'s self) -> Result<Box<dyn ops::MergeCerts<'s, Self, Certs> + 's>> {
        Ok(Box::new(keys::Merge::default()))
    }

    fn certify_userid(&'s self) -> Result<Box<dyn ops::CertifyUserID<'s, Self, Certs, Keys> + 's>> {
        Ok(Box::new(user_ids::Certify::default()))
    }

    fn validate_userid(&'s self) -> Result<Box<dyn ops::ValidateUserID<'s, Self, Certs> + 's>> {
        Ok(Box::new(user_ids::Validate::default()))
    }

    fn sign(&'s self) -> Result<Box<dyn ops::Sign<'s, Self, Keys, Sigs> + 's>> {
        Ok(Box::new(sign::Sign::default()))
    }

    fn verify(&'s self) -> Result<Box<dyn ops::Verify<'s, Self, Certs, Sigs> + 's>> {
        Ok(Box::new(sign::Verify::default()))
    }

    fn encrypt(&'s self) -> Result<Box<dyn ops::Encrypt<'s, Self, Certs, Keys> + 's>> {
        Ok(Box::new(encrypt::Encrypt::default()))
    }

    fn decrypt(&'s self) -> Result<Box<dyn ops::Decrypt<'s, Self, Certs, Keys> + 's>> {
        Ok(Box::new(encrypt::Decrypt::default()))
    }

    fn armor(&'s self) -> Result<Box<dyn ops::Armor<'s> + 's>> {
        Ok(Box::new(armor::Wrap))
    }

    fn dearmor(&'s self) -> Result<Box<dyn ops::Dearmor<'s> + 's>> {
        Ok(Box::new(armor::Unwrap))
    }

    fn inline_detach(&'s self) -> Result<Box<dyn ops::InlineDetach<'s, Sigs> + 's>> {
        Ok(Box::new(inline::Detach))
    }

    fn inline_verify(&'s self) -> Result<Box<dyn ops::InlineVerify<'s, Self, Certs> + 's>> {
        Ok(Box::new(inline::Verify::default()))
    }

    fn inline_sign(&'s self) -> Result<Box<dyn ops::InlineSign<'s, Self, Keys> + 's>> {
        Ok(Box::new(inline::Sign::default()))
    }
}

struct Version;

impl ops::Version<'_> for Version {
    fn frontend(&self) -> Result<ops::VersionInfo> {
        Ok(ops::VersionInfo {
            name: PROGRAM.into(),
            version: env!("CARGO_PKG_VERSION").into(),
        })
    }

    fn backend(&self) -> Result<ops::VersionInfo> {
        Ok(ops::VersionInfo {
            name: "rPGP".into(),
            version: letterlock_core::openpgp::RPGP_VERSION.into(),
        })
    }

    fn extended(&self) -> Result<String> {
        Ok("policy: letterlock-core\n".into())
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that may, here")]
fn now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// All of a document, up to [`MAX_DOCUMENT_OCTETS`].
fn read_document(source: &mut (dyn Read + Send + Sync)) -> Result<Vec<u8>> {
    // Of a file the length is known: then nothing is copied as it grows.
    let file = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map(File::from);
    let length = file.and_then(|file| file.metadata()).map(|file| file.len());
    let octets = usize::try_from(length.unwrap_or(0).min(MAX_DOCUMENT_OCTETS)).unwrap_or(0);
    let mut octets = Vec::with_capacity(octets.saturating_add(1));
    source
        .take(MAX_DOCUMENT_OCTETS.saturating_add(1))
        .read_to_end(&mut octets)?;
    if u64::try_from(octets.len()).unwrap_or(u64::MAX) > MAX_DOCUMENT_OCTETS {
        let limit = format!("a document of more than {MAX_DOCUMENT_OCTETS} octets");
        return Err(std::io::Error::other(limit).into());
    }
    Ok(octets)
}

#[cfg(test)]
mod tests;
