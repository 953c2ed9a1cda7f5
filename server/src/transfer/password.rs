//! Passwords: from a file, a prompt without echo, or lines of standard input.
//!
//! Invariant: never from the command line, which everyone on the machine can read. The account's
//! is not taken from the environment either, which programs pass on; a server's may be, as other
//! tools for moving mail do.

use std::fs;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use letterlock_core::auth::{PhraseError, RecoveryPhrase};
use letterlock_core::id::Address;
use zeroize::Zeroizing;

/// The variable that a source's password is taken from.
pub const SOURCE_VARIABLE: &str = "LETTERLOCK_IMAP_PASSWORD";
/// Longest password, in octets.
const MAX_OCTETS: usize = 4096;

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Its file cannot be read.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// There is none.
    #[error("no password was given for {0}: use a file, a terminal, or a line of standard input")]
    None(String),
    /// The new password was not the same the second time.
    #[error("the two passwords are not the same")]
    Differ,
    /// What was given is no recovery phrase.
    #[error(transparent)]
    Phrase(#[from] PhraseError),
    /// It is no text.
    #[error("the password for {0} is not text")]
    NotText(String),
}

/// Where passwords come from.
#[derive(Debug, Default)]
pub struct Passwords {
    /// The file of the account's.
    pub account_file: Option<PathBuf>,
    /// The file of a source's.
    pub source_file: Option<PathBuf>,
}

impl Passwords {
    /// The password of the account.
    pub fn account(&mut self, address: &Address) -> Result<Zeroizing<String>, PasswordError> {
        match &self.account_file {
            Some(path) => from_file(path, address.as_str()),
            None => ask(address.as_str()),
        }
    }

    /// A new password of the account: from a file, else asked for twice, or the next line of
    /// standard input.
    pub fn new_account(
        &mut self,
        address: &Address,
        file: Option<&Path>,
    ) -> Result<Zeroizing<String>, PasswordError> {
        if let Some(path) = file {
            return from_file(path, address.as_str());
        }
        let first = ask_for("New password", address.as_str())?;
        if io::stdin().is_terminal() && ask_for("The same again", address.as_str())? != first {
            return Err(PasswordError::Differ);
        }
        Ok(first)
    }

    /// A recovery phrase: from a file (on however many lines), else asked for, or the next line of
    /// standard input.
    pub fn phrase(
        &mut self,
        address: &Address,
        file: Option<&Path>,
    ) -> Result<RecoveryPhrase, PasswordError> {
        let text = match file {
            Some(path) => {
                let octets = fs::read(path).map_err(|cause| PasswordError::File {
                    path: path.to_owned(),
                    cause,
                })?;
                let text = String::from_utf8(octets)
                    .map_err(|_| PasswordError::NotText(address.as_str().to_owned()))?;
                Zeroizing::new(text)
            }
            None => ask_for("Recovery phrase", address.as_str())?,
        };
        Ok(RecoveryPhrase::parse(&text)?)
    }

    /// What stands in the first line of a file; `whom` it is for is told if there is nothing.
    pub fn from_file(path: &Path, whom: &str) -> Result<Zeroizing<String>, PasswordError> {
        from_file(path, whom)
    }

    /// The password of a user at a server.
    pub fn source(&mut self, user: &str, host: &str) -> Result<Zeroizing<String>, PasswordError> {
        let whom = format!("{user} at {host}");
        if let Some(path) = &self.source_file {
            return from_file(path, &whom);
        }
        match std::env::var(SOURCE_VARIABLE) {
            Ok(password) => Ok(Zeroizing::new(password)),
            Err(_) => ask(&whom),
        }
    }
}

fn from_file(path: &Path, whom: &str) -> Result<Zeroizing<String>, PasswordError> {
    let octets = fs::read(path).map_err(|cause| PasswordError::File {
        path: path.to_owned(),
        cause,
    })?;
    let octets = Zeroizing::new(octets);
    first_line(&mut &octets[..], whom)
}

fn ask(whom: &str) -> Result<Zeroizing<String>, PasswordError> {
    ask_for("Password", whom)
}

fn ask_for(what: &str, whom: &str) -> Result<Zeroizing<String>, PasswordError> {
    if io::stdin().is_terminal() {
        let answer = rpassword::prompt_password(format!("{what} of {whom}: "));
        return match answer {
            Ok(password) if !password.is_empty() => Ok(Zeroizing::new(password)),
            _ => Err(PasswordError::None(whom.to_owned())),
        };
    }
    // Octet by octet: a second password may stand on the next line.
    first_line(&mut io::stdin().lock(), whom)
}

/// The first line, without its end.
fn first_line(source: &mut impl Read, whom: &str) -> Result<Zeroizing<String>, PasswordError> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_OCTETS));
    let mut octet = [0];
    while line.len() < MAX_OCTETS {
        match source.read(&mut octet) {
            Ok(1) if octet != *b"\n" => line.extend(octet),
            _ => break,
        }
    }
    let line = line.strip_suffix(b"\r").unwrap_or(&line);
    if line.is_empty() {
        return Err(PasswordError::None(whom.to_owned()));
    }
    let text = std::str::from_utf8(line).map_err(|_| PasswordError::NotText(whom.to_owned()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_one_by_one() {
        let mut input = &b"first one\r\nsecond\n"[..];
        assert_eq!(&**first_line(&mut input, "x").unwrap(), "first one");
        assert_eq!(&**first_line(&mut input, "x").unwrap(), "second");
        let error = first_line(&mut input, "ann at host").unwrap_err();
        assert!(error.to_string().contains("ann at host"), "{error}");
    }

    #[test]
    fn a_file_gives_its_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, "sesame\n").unwrap();
        assert_eq!(&**from_file(&path, "x").unwrap(), "sesame");
        fs::write(&path, [0xff]).unwrap();
        assert!(matches!(
            from_file(&path, "x"),
            Err(PasswordError::NotText(_))
        ));
        let missing = folder.path().join("missing");
        let error = from_file(&missing, "x").unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }
}
