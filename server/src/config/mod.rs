//! Configuration files: TOML, one struct for each section.
//!
//! Every value has a default, so an empty file is a good one. Invariant: an unknown key is an
//! error that names it, its line and the nearest valid key; a value that is read is valid.
//! Rejected: serde's `deny_unknown_fields` alone; its message lists all keys and leaves the
//! nearest to the reader.

mod keys;
mod listen;
mod imap;
mod limits;
mod provider;
mod storage;
mod error;

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

pub use error::ConfigError;
pub use imap::{Imap, Virtual};
pub use keys::Keys;
pub use limits::Limits;
pub use listen::Listen;
pub use provider::ProviderSection;
pub use storage::{Database, Endpoint, Storage};

use error::Place;

/// What `letterlock demo --config FILE` and `letterlock provider --config FILE` read.
///
/// # Examples
/// ```
/// use letterlock_server::config::Config;
/// let config = Config::parse("[listen]\nimap = \"127.0.0.1:1430\"").unwrap();
/// assert_eq!(config.listen.imap.port(), 1430);
/// assert_eq!(config.listen.smtp.port(), 2013);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where to listen.
    pub listen: Listen,
    /// What mail programs are shown.
    pub imap: Imap,
    /// How much is too much.
    pub limits: Limits,
    /// Who is asked for certificates.
    pub keys: Keys,
    /// Whom the provider takes in, and how much of theirs.
    pub provider: ProviderSection,
    /// Where a provider keeps what it has.
    pub storage: Storage,
}

/// The keys of each section, in the order of its struct.
const SECTIONS: [(&str, &[&str]); 6] = [
    ("listen", Listen::KEYS),
    ("imap", Imap::KEYS),
    ("limits", Limits::KEYS),
    ("keys", Keys::KEYS),
    ("provider", ProviderSection::KEYS),
    ("storage", Storage::KEYS),
];

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable {
            path: path.to_owned(),
            cause,
        })?;
        Self::parse(&text).map_err(|error| error.in_file(path))
    }

    /// Reads and checks a text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        check_keys(text)?;
        let config: Self = toml::from_str(text).map_err(|error| invalid(text, &error))?;
        config.listen.validate()?;
        config.limits.validate()?;
        config.provider.validate()?;
        config.storage.validate()?;
        Ok(config)
    }
}

fn check_keys(text: &str) -> Result<(), ConfigError> {
    let document = DeTable::parse(text).map_err(|error| invalid(text, &error))?;
    let names = SECTIONS.map(|(name, _)| name);
    for (name, value) in document.get_ref() {
        let place = Place::at(text, name.span().start);
        let section = SECTIONS.iter().find(|(known, _)| known == name.get_ref());
        let Some((section, keys)) = section else {
            return Err(ConfigError::unknown(name.get_ref(), None, place, &names));
        };
        let DeValue::Table(table) = value.get_ref() else {
            // The deserializer says what is wrong with a section that is no table.
            continue;
        };
        for key in table.keys() {
            if !keys.contains(&key.get_ref().as_ref()) {
                let place = Place::at(text, key.span().start);
                return Err(ConfigError::unknown(
                    key.get_ref(),
                    Some(section),
                    place,
                    keys,
                ));
            }
        }
    }
    Ok(())
}

fn invalid(text: &str, error: &toml::de::Error) -> ConfigError {
    ConfigError::Invalid {
        place: Place::at(text, error.span().map_or(0, |span| span.start)),
        reason: error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        Config::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
        assert_eq!(Config::parse("[limits]\n").unwrap(), Config::default());
    }

    #[test]
    fn the_default_written_out_is_the_default() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(Config::parse(&text).unwrap(), Config::default());
        // The lists of keys are those of the structs.
        let written = text.parse::<toml::Table>().unwrap();
        for (section, keys) in SECTIONS {
            let mut known = keys.to_vec();
            known.sort_unstable();
            let fields = written[section].as_table().unwrap();
            // Those that have no default are not written.
            let without = [
                "imaps",
                "smtps",
                "imap_socket",
                "quota_octets",
                "database",
                "shards",
                "new_accounts",
                "database_password_file",
                "bucket",
                "bucket_prefix",
                "s3_endpoint",
                "s3_region",
                "s3_key_file",
                "resolver",
                "trust_anchor",
            ];
            known.retain(|key| !without.contains(key));
            assert_eq!(fields.keys().collect::<Vec<_>>(), known, "{section}");
        }
    }

    #[test]
    fn unknown_keys_are_named_with_place_and_nearest() {
        assert_eq!(
            said("[listen]\nweb = \"127.0.0.1:1\"\nimpa = \"127.0.0.1:2\"\n"),
            "line 3, column 1: unknown key `impa` in [listen]; the nearest is `imap`"
        );
        assert_eq!(
            said("\n[limit]\n"),
            "line 2, column 2: unknown section `limit`; the nearest is `limits`"
        );
        assert_eq!(
            said("[listen]\nxyzzy = 1"),
            "line 2, column 1: unknown key `xyzzy` in [listen]; known are `web`, `imap`, `smtp`, `lmtp`, \
             `imaps`, `smtps`, `imap_socket`, `starttls_required`"
        );
    }

    #[test]
    fn wrong_values_are_named_with_their_place() {
        assert!(said("[listen]\nimap = 143").starts_with("line 2, column 8: "));
        assert!(said("[listen]\nimap = \"nowhere\"").starts_with("line 2, column 8: "));
        assert!(said("[listen\n").starts_with("line 1, column "));
        assert!(said("listen = 3").starts_with("line 1, column 10: "));
        assert_eq!(
            said("[listen]\nimap = \"192.0.2.1:143\""),
            "`listen.imap` must be on this machine (127.0.0.1 or [::1]): the log-in is not \
             encrypted (set `listen.starttls_required`, or use `listen.imaps` and `listen.smtps`)"
        );
        // TLS may leave the machine; mail in the clear may not.
        let encrypted = "[listen]\nimap = \"0.0.0.0:143\"\nstarttls_required = true\n\
                         imaps = \"[::]:993\"\nimap_socket = \"/run/user/1000/letterlock.imap\"";
        assert_eq!(
            Config::parse(encrypted)
                .unwrap()
                .listen
                .imaps
                .unwrap()
                .port(),
            993
        );
        assert!(
            said("[listen]\nstarttls_required = true\nlmtp = \"192.0.2.1:24\"")
                .starts_with("`listen.lmtp` must be on this machine")
        );
        assert_eq!(
            said("[limits]\nmessage_octets = 5"),
            "`limits.message_octets` must be from 65536 to 52428800"
        );
        assert_eq!(
            said("[provider]\nquota_octets = 5"),
            "`provider.quota_octets` must be at least 1048576"
        );
        assert!(said("[provider]\nsign_up = \"friends\"").starts_with("line 2, column 11: "));
        let text = "[provider]\nsign_up = \"invite\"\nquota_octets = 1073741824\n";
        let provider = Config::parse(text).unwrap().provider;
        assert_eq!(provider.quota_octets, Some(1 << 30));
    }

    #[test]
    fn virtual_mailboxes_are_named() {
        let config = Config::parse("[imap]\nvirtual_mailboxes = [\"flagged\"]").unwrap();
        assert_eq!(config.imap.virtual_mailboxes, [Virtual::Flagged]);
        let error = said("[imap]\nvirtual_mailboxes = [\"sent\"]");
        assert!(error.starts_with("line 2, column "), "{error}");
    }

    /// The example that `docs/provider.md` names: its parts know one another.
    #[test]
    fn the_example_for_a_provider_of_several_processes_is_one() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/provider");
        let storage = Config::load(&folder.join("letterlock.toml"))
            .unwrap()
            .storage;
        let compose = std::fs::read_to_string(folder.join("compose.yaml")).unwrap();
        let hosts = storage.database.iter().chain(storage.shards.values());
        let hosts: Vec<_> = hosts.map(Database::host).collect();
        assert_eq!(hosts, ["database-main", "database-second"]);
        let others = ["garage", "provider-1", "provider-2", "front", "postfix"];
        for service in hosts.iter().map(String::as_str).chain(others) {
            assert!(compose.contains(&format!("\n  {service}:")), "{service}");
        }
        // What it brings into the containers is here, but for the program and the secrets.
        let named = compose.split("./").skip(1);
        let named = named.filter_map(|rest| rest.split([':', ' ', '\n']).next());
        let named: Vec<_> = named.filter(|name| *name != "letterlock").collect();
        for name in named.iter().filter(|name| !name.starts_with("secrets/")) {
            assert!(folder.join(name).exists(), "{name}");
        }
        assert!(named.len() >= 6, "{named:?}");
        let garage = std::fs::read_to_string(folder.join("garage.toml")).unwrap();
        let garage: toml::Table = garage.parse().unwrap();
        let region = garage["s3_api"]["s3_region"].as_str();
        assert_eq!(region, storage.s3_region.as_deref());
    }

    #[test]
    fn a_file_is_named() {
        let missing = Path::new("/nonexistent/letterlock.toml");
        let error = Config::load(missing).unwrap_err().to_string();
        assert!(
            error.starts_with("/nonexistent/letterlock.toml: "),
            "{error}"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, "[lisen]").unwrap();
        let error = Config::load(&path).unwrap_err().to_string();
        assert!(
            error.contains("c.toml: line 1, column 2: unknown section"),
            "{error}"
        );
    }
}
