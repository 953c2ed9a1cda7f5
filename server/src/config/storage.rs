//! `[storage]`: where a provider keeps what it has.
//!
//! Without it, all is in the data directory. Passwords and secret keys are in files of their own,
//! never in this one.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio_postgres::config::Host;

use super::ConfigError;
use crate::provider::{BlobPlace, BucketConfig, Databases, Records};

/// The region of stores that have none.
const REGION: &str = "us-east-1";
/// What the first database is called among the shards.
const MAIN: &str = "main";

/// Where a provider keeps what it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Storage {
    /// A PostgreSQL database as a URL or as keywords (libpq's); without it, a file of SQLite's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// More databases, by name: accounts are spread over all, and the first one says where each is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub shards: BTreeMap<String, Database>,
    /// The databases that new accounts come into, by name, `"main"` for the first one; none for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub new_accounts: Vec<String>,
    /// A file whose first line is the databases' password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_password_file: Option<PathBuf>,
    /// A bucket of an S3-compatible store for large values; without it, a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// What names in the bucket begin with, without a slash at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket_prefix: Option<String>,
    /// The store's URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_endpoint: Option<Endpoint>,
    /// The store's region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_region: Option<String>,
    /// A file whose first line is the access key's id and whose second line is its secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_key_file: Option<PathBuf>,
}

/// An URL of HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint(String);

impl TryFrom<String> for Endpoint {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let url = reqwest::Url::parse(&text).map_err(|_| "not the URL of a store")?;
        match url.scheme() {
            "http" | "https" if url.has_host() && url.username().is_empty() => Ok(Self(text)),
            _ => Err("not the URL of a store: https://HOST"),
        }
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.0
    }
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

impl Database {
    /// The first host's name, or the folder of its socket.
    pub fn host(&self) -> String {
        match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(folder)) => folder.display().to_string(),
            None => String::new(),
        }
    }
}

impl From<Database> for String {
    fn from(database: Database) -> Self {
        database.text
    }
}

impl Storage {
    pub(super) const KEYS: &[&str] = &[
        "database",
        "shards",
        "new_accounts",
        "database_password_file",
        "bucket",
        "bucket_prefix",
        "s3_endpoint",
        "s3_region",
        "s3_key_file",
    ];

    /// Checks what belongs together.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.database.is_none() && self.database_password_file.is_some() {
            return Err(ConfigError::Value {
                key: "storage.database_password_file",
                must: "left out where there is no `storage.database`".to_owned(),
            });
        }
        if self.database.is_none() && !self.shards.is_empty() {
            return Err(ConfigError::Value {
                key: "storage.shards",
                must: "left out where there is no `storage.database`".to_owned(),
            });
        }
        if let Some(wrong) = self.shards.keys().find(|name| !is_name(name)) {
            return Err(ConfigError::Value {
                key: "storage.shards",
                must: format!("named in a-z, 0-9 and -, and none `{MAIN}`; `{wrong}` is not"),
            });
        }
        let is_shard = |name: &&String| name.as_str() == MAIN || self.shards.contains_key(*name);
        if let Some(unknown) = self.new_accounts.iter().find(|name| !is_shard(name)) {
            return Err(ConfigError::Value {
                key: "storage.new_accounts",
                must: format!("`{MAIN}` or names of `storage.shards`; `{unknown}` is neither"),
            });
        }
        let needed = [
            ("storage.s3_endpoint", self.s3_endpoint.is_some()),
            ("storage.s3_key_file", self.s3_key_file.is_some()),
        ];
        match needed
            .iter()
            .find(|(_, given)| *given != self.bucket.is_some())
        {
            None => Ok(()),
            Some((key, _)) => Err(ConfigError::Value {
                key,
                must: "there with `storage.bucket`, and only with it".to_owned(),
            }),
        }
    }

    /// Where large values are kept. Reads the key.
    pub fn blobs(&self) -> Result<BlobPlace, ConfigError> {
        let (Some(bucket), Some(endpoint), Some(key_file)) =
            (&self.bucket, &self.s3_endpoint, &self.s3_key_file)
        else {
            return Ok(BlobPlace::Folder);
        };
        let [key_id, secret] = lines(key_file)?;
        Ok(BlobPlace::Bucket(Box::new(BucketConfig {
            endpoint: endpoint.0.clone(),
            region: self.s3_region.clone().unwrap_or_else(|| REGION.to_owned()),
            bucket: bucket.clone(),
            prefix: self.bucket_prefix.clone().unwrap_or_default(),
            key_id,
            secret,
        })))
    }

    /// Where records are kept. Reads the password.
    pub fn records(&self) -> Result<Records, ConfigError> {
        let Some(database) = &self.database else {
            return Ok(Records::Embedded);
        };
        let password = match &self.database_password_file {
            Some(path) => Some(lines::<1>(path)?),
            None => None,
        };
        let ready = |database: &Database| {
            let mut config = database.config.clone();
            config.application_name("letterlock");
            if let Some([password]) = &password {
                config.password(password);
            }
            config
        };
        let shards = self.shards.iter();
        Ok(Records::Postgres(Box::new(Databases {
            main: ready(database),
            shards: shards
                .map(|(name, database)| (name.clone(), ready(database)))
                .collect(),
            new_accounts: self.new_accounts.clone(),
        })))
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '-');
    name != MAIN && !name.is_empty() && name.chars().all(is_plain)
}

/// The first lines of a file.
fn lines<const COUNT: usize>(path: &Path) -> Result<[String; COUNT], ConfigError> {
    let wanted = || format!("its first {COUNT} lines must not be empty");
    let read = std::fs::read_to_string(path).and_then(|text| {
        let lines = text.lines().filter(|line| !line.is_empty());
        let lines: Vec<String> = lines.take(COUNT).map(str::to_owned).collect();
        lines
            .try_into()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, wanted()))
    });
    read.map_err(|cause| ConfigError::Unreadable {
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
        let Records::Postgres(databases) = records else {
            panic!("{records:?}");
        };
        assert_eq!(databases.main.get_password(), Some(&b"hush"[..]));
        let embedded = Config::parse("").unwrap().storage.records().unwrap();
        assert!(matches!(embedded, Records::Embedded));
    }

    #[test]
    fn shards_are_named() {
        let text = "[storage]\ndatabase = \"host=a\"\nnew_accounts = [\"main\", \"north-2\"]\n\
                    [storage.shards]\nnorth-2 = \"host=b\"\nsouth = \"host=c\"\n";
        let config = Config::parse(text).unwrap();
        let written = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(&written).unwrap(), config);
        let Records::Postgres(databases) = config.storage.records().unwrap() else {
            panic!("no database");
        };
        assert!(databases.shards.keys().eq(["north-2", "south"]));
        assert_eq!(databases.new_accounts, ["main", "north-2"]);
        for (wrong, told) in [
            ("[storage.shards]\nnorth = \"host=b\"", "left out"),
            (
                "[storage]\ndatabase = \"host=a\"\nshards = { main = \"host=b\" }",
                "none `main`",
            ),
            (
                "[storage]\ndatabase = \"host=a\"\nshards = { North = \"host=b\" }",
                "`North` is not",
            ),
            (
                "[storage]\ndatabase = \"host=a\"\nnew_accounts = [\"x\"]",
                "`x` is neither",
            ),
            (
                "[storage]\ndatabase = \"host=a\"\nshards = { b = \"x\" }",
                "line 3, column ",
            ),
        ] {
            let said = said(wrong);
            assert!(said.contains(told), "{said}");
        }
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

    #[test]
    fn a_bucket_is_named_with_its_store_and_its_key_is_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "GK1\nhush\n").unwrap();
        let text = format!(
            "[storage]\nbucket = \"mail\"\ns3_endpoint = \"https://s3.example.org\"\n\
             s3_key_file = \"{}\"",
            path.display()
        );
        let config = Config::parse(&text).unwrap();
        let place = config.storage.blobs().unwrap();
        assert!(!format!("{place:?}{config:?}").contains("hush"));
        let BlobPlace::Bucket(bucket) = place else {
            panic!("{place:?}");
        };
        assert_eq!((&*bucket.key_id, &*bucket.secret), ("GK1", "hush"));
        assert_eq!((&*bucket.region, &*bucket.prefix), (REGION, ""));
        std::fs::write(&path, "GK1\n").unwrap();
        assert!(config.storage.blobs().is_err());
        let told = said("[storage]\nbucket = \"mail\"");
        assert!(
            told.starts_with("`storage.s3_endpoint` must be there"),
            "{told}"
        );
        let told = said("[storage]\ns3_endpoint = \"ftp://x\"");
        assert!(told.starts_with("line 2, column 15: not the URL"), "{told}");
    }
}
