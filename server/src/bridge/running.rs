//! A bridge at work: the loops of each account, and the servers for mail programs.

use std::sync::Arc;

use letterlock_core::account::ReplicaError;

use super::accounts::Accounts;
use super::doors::Doors;
use super::key_resolver::KeyResolver;
use super::submission::Submissions;
use super::tls::Tls;
use super::{imap, key_refresh, outgoing, sync_loop};
use crate::clock;
use crate::config::Config;
use crate::shutdown::Shutdown;
use crate::smtp::{self, Policy, Protocol};

/// Shows mail programs the virtual mailboxes that are wanted, and no others.
pub async fn show_virtual(accounts: &Accounts, config: &Config) -> Result<(), ReplicaError> {
    let shown = config.imap.virtual_mailboxes();
    for account in accounts.iter() {
        let account = &account.account;
        account.set_virtual_mailboxes(&shown, clock::now()).await?;
    }
    Ok(())
}

/// Starts everything that a bridge does, until the shutdown. `name` is what the submission server
/// calls itself.
pub fn start(
    accounts: &Accounts,
    doors: Doors,
    (config, tls): (&Config, &Tls),
    name: &str,
    shutdown: &Shutdown,
) {
    for account in accounts.iter() {
        account.account.set_key_sources(config.keys.sources());
        if let Some(resolver) = KeyResolver::configured(&config.keys) {
            account.resolver.set(resolver).ok();
        }
        sync_loop::start(account, shutdown);
        key_refresh::start(account, shutdown);
        outgoing::start(account, shutdown);
    }
    let watching = accounts.clone().watch(shutdown.token.clone());
    shutdown.spawn(watching);
    let submissions = Arc::new(Submissions::new(accounts.clone()));
    let (reading, sending) = doors.split();
    for (listener, protection) in sending {
        let policy = Policy {
            protocol: Protocol::Submission,
            host_name: name.to_owned(),
            domain: name.to_owned(),
            max_message_octets: config.limits.message_octets,
            tls: Some(tls.config()),
            protection,
        };
        let submissions = Arc::clone(&submissions);
        shutdown.spawn(smtp::serve(listener, policy, submissions, shutdown.clone()));
    }
    imap::serve(reading, accounts.clone(), tls, shutdown);
}
