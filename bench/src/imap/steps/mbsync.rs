//! mbsync (isync) itself, over many mailboxes in which nothing is new: what users of Proton's bridge
//! complain of most, per mailbox. Without mbsync on this machine there is no such row.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Run, seconds};

/// Runs with nothing new; the median counts.
const RUNS: usize = 5;

impl Run<'_> {
    /// The first run fetches everything, the second may note what the first has done to flags.
    pub(super) fn mbsync(&mut self, mailboxes: u32) -> Result<()> {
        if Command::new("mbsync").arg("--version").output().is_err() {
            return Ok(());
        }
        (self.say)("mbsync");
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("mail"))?;
        let configuration = folder.path().join("mbsyncrc");
        fs::write(&configuration, self.configuration(folder.path()))?;
        for _ in 0..2 {
            run(&configuration)?;
        }
        self.peer.settle()?;
        let mut times = Vec::new();
        for _ in 0..RUNS {
            times.push(seconds(|| run(&configuration))?);
        }
        let found = fs::read_dir(folder.path().join("mail"))?.count();
        self.report
            .expect("mbsync", found, usize::try_from(mailboxes)?);
        self.report.times(
            [
                "mbsync, 800 mailboxes, nothing new, median",
                "mbsync, 800 mailboxes, nothing new, 95 %",
            ],
            &mut times,
        );
        Ok(())
    }

    fn configuration(&self, folder: &Path) -> String {
        let door = self.door();
        let (host, port) = (door.address.ip(), door.address.port());
        let (user, password, folder) = (door.user, door.password, folder.display());
        format!(
            "IMAPAccount peer\nHost {host}\nPort {port}\nUser {user}\nPass \"{password}\"\n\
             SSLType None\nAuthMechs LOGIN\n\n\
             IMAPStore far\nAccount peer\n\n\
             MaildirStore near\nPath {folder}/mail/\nInbox {folder}/inbox\nSubFolders Verbatim\n\n\
             Channel all\nFar :far:\nNear :near:\nPatterns folder*\nCreate Near\nExpunge Both\n\
             SyncState *\n"
        )
    }
}

fn run(configuration: &Path) -> Result<()> {
    let mut command = Command::new("mbsync");
    command.arg("--config").arg(configuration).arg("all");
    let output = command.output().context("mbsync")?;
    if !output.status.success() {
        bail!("mbsync: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
