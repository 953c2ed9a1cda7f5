//! The local IMAP listener: accepts connections and hands them to the IMAP server.

use std::sync::Arc;
use std::time::Duration;

use letterlock_core::account::Account;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::accounts::Accounts;
use super::sqlite_store::SqliteStore;
use super::tls::Tls;
use crate::clock;
use crate::imap::{self, LoginRefused, Server};
use crate::shutdown::Shutdown;

/// Most connections at a time. Mail programs keep one for each mailbox that they watch.
pub const MAX_CONNECTIONS: usize = 256;
/// How long to wait after an accept that failed (no file descriptors left), in milliseconds.
const ACCEPT_PAUSE_MS: u64 = 100;

impl imap::Accounts for Accounts {
    type Store = SqliteStore;

    async fn log_in(
        &self,
        user: &[u8],
        password: &[u8],
    ) -> Result<Arc<Account<SqliteStore>>, LoginRefused> {
        // Octets that are no text are nobody's; the check is made all the same.
        let user = std::str::from_utf8(user).unwrap_or_default();
        let password = std::str::from_utf8(password).unwrap_or_default();
        let account = Self::log_in(self, user, password);
        account
            .map(|account| Arc::clone(&account.account))
            .ok_or(LoginRefused::Wrong)
    }
}

/// Accepts connections until the shutdown, each served in a task of its own.
pub async fn serve(listener: TcpListener, accounts: Accounts, tls: Tls, shutdown: Shutdown) {
    let server = Arc::new(Server::new(accounts, clock::now).with_tls(tls.config()));
    let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = shutdown.token.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let mut stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                continue;
            }
        };
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
            // The peer learns it from the closed connection if this fails.
            let _sent = stream.try_write(b"* BYE Too many connections\r\n");
            let _closed = stream.shutdown().await;
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "small answers to this connection may be late");
        }
        let (server, token) = (Arc::clone(&server), shutdown.token.clone());
        shutdown.spawn(async move {
            let _seat = seat;
            if let Err(error) = imap::serve(&server, stream, &token).await {
                tracing::debug!(%error, "an IMAP connection broke");
            }
        });
    }
}
