//! `[storage]`: where a provider keeps what it has.
//!
//! Without it, all is in the data directory. Passwords and secret keys are in files of their own,
//! never in this one.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::provider::Records;

/// Where a provider keeps what it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Storage {
    /// A PostgreSQL database as a URL or as keywords (libpq's); without it, a file of SQLite's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// A file whose first line is the database's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_password_file: Option<PathBuf>,
}

/// How to reach a PostgreSQL database; without a password.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Database {
    text: String,
    config: tokio_postgres::Config,
}

impl Eq for Database {}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.text).finish()
    }
}

impl TryFrom<String> for Database {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let config: tokio_postgres::Config =
            text.parse().map_err(|error: tokio_postgres::Error| {
                // What is wrong, without the text.
                let cause = std::error::Error::source(&error);
                format!("not a PostgreSQL database: {}", cause.unwrap_or(&error))
            })?;
        if config.get_password().is_some() {
            return Err(
                "a password does not belong here: `storage.database_password_file` names \
                 the file that has it"
                    .to_owned(),
            );
        }
        if config.get_hosts().is_empty() {
            return Err("not a PostgreSQL database: it names no host".to_owned());
        }
        Ok(Self { text, config })
    }
}

impl From<Database> for String {
    fn from(database: Database) -> Self {
        database.text
    }
}

impl Storage {
    pub(super) const KEYS: &[&str] = &["database", "database_password_file"];

    /// Checks what belongs together.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.database.is_none() && self.database_password_file.is_some() {
            return Err(ConfigError::Value {
                key: "storage.database_password_file",
                must: "left out where there is no `storage.database`".to_owned(),
            });
        }
        Ok(())
    }

    /// Where records are kept. Reads the password.
    pub fn records(&self) -> Result<Records, ConfigError> {
        let Some(database) = &self.database else {
            return Ok(Records::Embedded);
        };
        let mut config = database.config.clone();
        config.application_name("letterlock");
        if let Some(path) = &self.database_password_file {
            config.password(secret(path)?);
        }
        Ok(Records::Postgres(Box::new(config)))
    }
}

/// The first line of a file.
fn secret(path: &Path) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path).and_then(|text| match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "its first line is empty",
        )),
    });
    text.map_err(|cause| ConfigError::Unreadable {
        path: path.to_owned(),
        cause,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn said(text: &str) -> String {
        Config::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_database_is_named_and_its_password_is_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let text = format!(
            "[storage]\ndatabase = \"postgresql://letterlock@db.example/mail\"\n\
             database_password_file = \"{}\"",
            path.display()
        );
        let config = Config::parse(&text).unwrap();
        assert_eq!(
            Config::parse(&toml::to_string(&config).unwrap()).unwrap(),
            config
        );
        let missing = config.storage.records().unwrap_err().to_string();
        assert!(missing.starts_with(&*path.to_string_lossy()), "{missing}");
        std::fs::write(&path, "\n").unwrap();
        assert!(config.storage.records().is_err());
        std::fs::write(&path, "hush\n").unwrap();
        let records = config.storage.records().unwrap();
        assert!(!format!("{records:?}{config:?}").contains("hush"));
        let Records::Postgres(database) = records else {
            panic!("{records:?}");
        };
        assert_eq!(database.get_password(), Some(&b"hush"[..]));
        let embedded = Config::parse("").unwrap().storage.records().unwrap();
        assert!(matches!(embedded, Records::Embedded));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let told = said("[storage]\ndatabase = \"postgresql://x:hush@db/mail\"");
        assert!(told.starts_with("line 2, column 12: a password does not belong here"));
        assert!(!told.contains("hush"));
        for wrong in ["mysql://db/mail", "dbname=mail", "host=db port=many"] {
            let told = said(&format!("[storage]\ndatabase = \"{wrong}\""));
            let place = "line 2, column 12: not a PostgreSQL database: ";
            assert!(told.starts_with(place), "{told}");
        }
        assert_eq!(
            said("[storage]\ndatabse = \"x\""),
            "line 2, column 1: unknown key `databse` in [storage]; the nearest is `database`"
        );
        assert!(said("[storage]\ndatabase_password_file = \"x\"").contains("left out"));
    }
}
