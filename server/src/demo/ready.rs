//! The ready file: where everything is, for scripts. A contract: it only ever grows.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::DemoError;
use super::accounts::DemoState;
use super::listeners::Listeners;
use crate::bridge::doors::address_of;
use crate::bridge::tls::Tls;
use crate::bridge::unlock::write_private;

/// The form of the file.
const VERSION: u32 = 1;

/// The file's content.
#[derive(Clone, Serialize, Deserialize)]
pub struct ReadyFile {
    /// 1.
    pub version: u32,
    /// URL of the web UI.
    pub web: String,
    /// URL of the provider.
    pub provider: String,
    /// Address and port of the IMAP server.
    pub imap: String,
    /// Address and port of the submission server.
    pub smtp: String,
    /// Address and port of the mail intake.
    pub lmtp: String,
    /// Address and port of the IMAP server with TLS from the first octet, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imaps: Option<String>,
    /// Address and port of the submission server with TLS from the first octet, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtps: Option<String>,
    /// The IMAP server's Unix socket, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imap_socket: Option<String>,
    /// SHA-256 of the certificate that IMAP and SMTP show after STARTTLS, in hexadecimal.
    pub certificate_sha256: String,
    /// Where everything is kept.
    pub data_dir: String,
    /// Who can log in.
    pub accounts: Vec<ReadyAccount>,
}

/// One account of the demo.
#[derive(Clone, Serialize, Deserialize)]
pub struct ReadyAccount {
    /// Its address, and the user name for IMAP and SMTP.
    pub address: String,
    /// Unlocks it in the browser.
    pub password: String,
    /// Logs in to IMAP and SMTP.
    pub app_password: String,
    /// Repairs a lost password: 24 words. Only if the demo has made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_phrase: Option<String>,
}

impl ReadyFile {
    pub(super) fn new(
        listeners: &Listeners,
        data_dir: &Path,
        state: &DemoState,
        tls: &Tls,
    ) -> Self {
        let doors = &listeners.doors;
        let web = format!("http://{}", address_of(&listeners.web));
        Self {
            version: VERSION,
            provider: web.clone(),
            web,
            imap: address_of(&doors.imap),
            smtp: address_of(&doors.smtp),
            lmtp: address_of(&listeners.lmtp),
            imaps: doors.imaps.as_ref().map(address_of),
            smtps: doors.smtps.as_ref().map(address_of),
            imap_socket: doors
                .imap_socket
                .as_ref()
                .map(|(_, path)| path.display().to_string()),
            certificate_sha256: tls.fingerprint().to_owned(),
            data_dir: data_dir.display().to_string(),
            accounts: state.accounts().to_vec(),
        }
    }

    /// Writes the file in one atomic step; it holds passwords, so for its owner alone.
    pub fn write(&self, path: &Path) -> Result<(), DemoError> {
        write_private(path, self).map_err(|cause| DemoError::File {
            path: path.to_owned(),
            cause,
        })
    }
}

/// Removes what an earlier run left: who waits for the file must not find the old one.
pub(super) fn remove_stale(path: &Path) -> Result<(), DemoError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(DemoError::File {
            path: path.to_owned(),
            cause,
        }),
    }
}
