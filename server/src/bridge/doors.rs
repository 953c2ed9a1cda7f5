//! Where mail programs come in, bound before anything else is done: a taken port is told at once.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;

use super::imap::Door;
use super::unix_socket::{PrivateSocket, SocketError};
use crate::config::Listen;
use crate::starttls::Protection;

/// Why nobody can come in.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A port is taken, or not allowed.
    #[error(
        "cannot listen for {service} on {address}: {cause} (another address: --{service} ADDR, port 0 picks a free one)"
    )]
    Port {
        /// The flag's name.
        service: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// See there.
    #[error("cannot listen for imap on a Unix socket")]
    Socket(#[from] SocketError),
}

/// Bound, not yet served.
pub struct Doors {
    /// IMAP.
    pub imap: TcpListener,
    /// Submission.
    pub smtp: TcpListener,
    /// IMAP with TLS from the first octet.
    pub imaps: Option<TcpListener>,
    /// Submission with TLS from the first octet.
    pub smtps: Option<TcpListener>,
    /// IMAP on a Unix socket, and where that is.
    pub imap_socket: Option<(PrivateSocket, PathBuf)>,
    /// What protects the connections of `imap` and `smtp`.
    pub protection: Protection,
}

impl Doors {
    /// Binds all that are wanted.
    pub async fn bind(listen: &Listen) -> Result<Self, BindError> {
        let imap_socket = match &listen.imap_socket {
            Some(path) => Some((PrivateSocket::bind(path)?, path.clone())),
            None => None,
        };
        Ok(Self {
            imap: bind("imap", listen.imap).await?,
            smtp: bind("smtp", listen.smtp).await?,
            imaps: bind_if("imaps", listen.imaps).await?,
            smtps: bind_if("smtps", listen.smtps).await?,
            imap_socket,
            protection: listen.protection(),
        })
    }

    /// Those for reading mail, and those for sending it.
    pub(super) fn split(self) -> (Vec<Door>, Vec<(TcpListener, Protection)>) {
        let mut reading = vec![Door::Tcp(self.imap, self.protection)];
        reading.extend(self.imaps.map(|imaps| Door::Tcp(imaps, Protection::Tls)));
        reading.extend(self.imap_socket.map(|(socket, _)| Door::Unix(socket)));
        let mut sending = vec![(self.smtp, self.protection)];
        sending.extend(self.smtps.map(|smtps| (smtps, Protection::Tls)));
        (reading, sending)
    }
}

async fn bind_if(
    service: &'static str,
    address: Option<SocketAddr>,
) -> Result<Option<TcpListener>, BindError> {
    match address {
        Some(address) => bind(service, address).await.map(Some),
        None => Ok(None),
    }
}

/// Listens for `service`, which is also the name of its flag.
pub async fn bind(service: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|cause| BindError::Port {
            service,
            address,
            cause,
        })
}

/// Where a listener is; nothing, should the system not say.
pub fn address_of(listener: &TcpListener) -> String {
    listener
        .local_addr()
        .map_or_else(|_| String::new(), |address| address.to_string())
}
