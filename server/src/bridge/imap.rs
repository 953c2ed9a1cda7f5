//! The IMAP listeners: they accept connections and hand them to the IMAP server.
//!
//! Invariant: all doors share the seats, so a bridge has at most [`MAX_CONNECTIONS`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::accounts::{Accounts, BridgeAccount, Refused};
use super::app_passwords::{Admitted, Scope};
use super::sqlite_store::SqliteStore;
use super::tls::Tls;
use super::unix_socket::PrivateSocket;
use crate::clock;
use crate::imap::{self, Grant, LoginRefused, Origin, Peer, Salt, Server};
use crate::scram::{Attempt, Hash};
use crate::shutdown::Shutdown;
use crate::starttls::{self, Protection};

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
        peer: Peer,
    ) -> Result<Grant<SqliteStore>, LoginRefused> {
        // Octets that are no text are nobody's; the check is made all the same.
        let user = std::str::from_utf8(user).unwrap_or_default();
        let password = std::str::from_utf8(password).unwrap_or_default();
        let (account, admitted) = Self::log_in(self, user, password, Scope::Imap, peer)?;
        Ok(grant(account, admitted))
    }

    fn salt(&self, user: &str) -> Salt {
        Self::salt(self, user)
    }

    async fn prove(
        &self,
        attempt: &Attempt,
        peer: Peer,
    ) -> Result<(Grant<SqliteStore>, Hash), LoginRefused> {
        let (account, admitted, signature) = Self::prove(self, attempt, Scope::Imap, peer)?;
        Ok((grant(account, admitted), signature))
    }
}

fn grant(account: &BridgeAccount, admitted: Admitted) -> Grant<SqliteStore> {
    Grant {
        account: Arc::clone(&account.account),
        revoked: admitted.revoked,
        behind: account.behind(),
        room: account.room(),
    }
}

impl From<Refused> for LoginRefused {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Wrong => Self::Wrong,
            Refused::Locked { how } => Self::Locked { how },
            Refused::Busy => Self::Busy,
        }
    }
}

/// Where connections come from.
#[derive(Debug)]
pub enum Door {
    /// A port.
    Tcp(TcpListener, Protection),
    /// A Unix socket.
    Unix(PrivateSocket),
}

/// A connection, and where it comes from.
enum Visitor {
    Tcp(TcpStream, Origin),
    Unix(UnixStream),
}

impl Door {
    /// The next connection. Cancel-safe.
    async fn accept(&self) -> io::Result<Visitor> {
        match self {
            Self::Tcp(listener, protection) => {
                let (stream, peer) = listener.accept().await?;
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "small answers to this connection may be late");
                }
                let origin = Origin {
                    peer: Some(peer.ip()),
                    protection: *protection,
                };
                Ok(Visitor::Tcp(stream, origin))
            }
            Self::Unix(socket) => Ok(Visitor::Unix(socket.accept().await?)),
        }
    }
}

impl Visitor {
    /// Says that there is no seat left.
    fn turn_away(&self) {
        const WORDS: &[u8] = b"* BYE Too many connections\r\n";
        // The peer learns it from the closed connection if this fails.
        let _sent = match self {
            // Within TLS nothing can be said before the handshake.
            Self::Tcp(_, origin) if origin.protection == Protection::Tls => Ok(0),
            Self::Tcp(stream, _) => stream.try_write(WORDS),
            Self::Unix(stream) => stream.try_write(WORDS),
        };
    }

    async fn serve(
        self,
        server: &Server<Accounts>,
        tls: &Tls,
        shutdown: &CancellationToken,
    ) -> io::Result<()> {
        match self {
            Self::Tcp(stream, origin) if origin.protection == Protection::Tls => {
                let config = tls.config();
                let accepted = starttls::accept(&config, stream, shutdown);
                let stream = Box::pin(accepted).await?;
                Box::pin(imap::serve_from(server, stream, origin, shutdown)).await
            }
            Self::Tcp(stream, origin) => {
                Box::pin(imap::serve_from(server, stream, origin, shutdown)).await
            }
            Self::Unix(stream) => Box::pin(imap::serve(server, stream, shutdown)).await,
        }
    }
}

/// Accepts connections at all doors until the shutdown, each served in a task of its own.
pub fn serve(doors: Vec<Door>, accounts: Accounts, tls: &Tls, shutdown: &Shutdown) {
    let server = Arc::new(Server::new(accounts, clock::now).with_tls(tls.config()));
    let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    for door in doors {
        let (server, seats) = (Arc::clone(&server), Arc::clone(&seats));
        shutdown.spawn(serve_door(
            door,
            server,
            seats,
            tls.clone(),
            shutdown.clone(),
        ));
    }
}

async fn serve_door(
    door: Door,
    server: Arc<Server<Accounts>>,
    seats: Arc<Semaphore>,
    tls: Tls,
    shutdown: Shutdown,
) {
    loop {
        let accepted = tokio::select! {
            () = shutdown.token.cancelled() => return,
            accepted = door.accept() => accepted,
        };
        let visitor = match accepted {
            Ok(visitor) => visitor,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                continue;
            }
        };
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
            visitor.turn_away();
            continue;
        };
        let (server, tls, token) = (Arc::clone(&server), tls.clone(), shutdown.token.clone());
        shutdown.spawn(async move {
            let _seat = seat;
            if let Err(error) = visitor.serve(&server, &tls, &token).await {
                tracing::debug!(%error, "an IMAP connection broke");
            }
        });
    }
}
