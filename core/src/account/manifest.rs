//! Telling the user that the provider does not show what the devices have stored.
//!
//! The replica finds it out and begins anew ([`crate::replica`]); here it becomes one message in
//! INBOX, which all devices have, once for all that begin anew together.

use super::Account;
use crate::id::Timestamp;
use crate::manifest::ManifestAlarm;
use crate::replica::ReplicaError;
use crate::replica::directory::DirectoryUpdate;
use crate::store::Store;

impl<S: Store> Account<S> {
    /// Tells the user of what was found since this was asked last: to be called after each pull.
    pub async fn tell_of_manifest(
        &self,
        now: Timestamp,
    ) -> Result<Option<ManifestAlarm>, ReplicaError> {
        let Some((epoch, alarm)) = self.manifest_alarm().await? else {
            return Ok(None);
        };
        let letter = alarm.letter(epoch, self.address(), now);
        let update = DirectoryUpdate {
            alarm: Some((alarm.digest(epoch), letter)),
            ..DirectoryUpdate::default()
        };
        self.update_directory(update, now).await?;
        self.manifest_alarm_told(now).await?;
        Ok(Some(alarm))
    }
}
