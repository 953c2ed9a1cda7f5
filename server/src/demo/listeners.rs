//! The listeners, bound before anything else is done: a taken port is told at once.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;

use super::DemoError;
use crate::bridge::unix_socket::PrivateSocket;
use crate::config::Listen;

/// Bound, not yet served.
pub(super) struct Listeners {
    pub(super) web: TcpListener,
    pub(super) imap: TcpListener,
    pub(super) smtp: TcpListener,
    pub(super) lmtp: TcpListener,
    pub(super) imaps: Option<TcpListener>,
    pub(super) smtps: Option<TcpListener>,
    pub(super) imap_socket: Option<(PrivateSocket, PathBuf)>,
}

impl Listeners {
    pub(super) async fn bind(listen: &Listen) -> Result<Self, DemoError> {
        let imap_socket = match &listen.imap_socket {
            Some(path) => Some((PrivateSocket::bind(path)?, path.clone())),
            None => None,
        };
        Ok(Self {
            web: bind("web", listen.web).await?,
            imap: bind("imap", listen.imap).await?,
            smtp: bind("smtp", listen.smtp).await?,
            lmtp: bind("lmtp", listen.lmtp).await?,
            imaps: bind_if("imaps", listen.imaps).await?,
            smtps: bind_if("smtps", listen.smtps).await?,
            imap_socket,
        })
    }
}

async fn bind_if(
    service: &'static str,
    address: Option<SocketAddr>,
) -> Result<Option<TcpListener>, DemoError> {
    match address {
        Some(address) => bind(service, address).await.map(Some),
        None => Ok(None),
    }
}

async fn bind(service: &'static str, address: SocketAddr) -> Result<TcpListener, DemoError> {
    TcpListener::bind(address)
        .await
        .map_err(|cause| DemoError::Bind {
            service,
            address,
            cause,
        })
}

/// Where a listener is; what was asked for, should the system not say.
pub(super) fn address_of(listener: &TcpListener) -> String {
    listener
        .local_addr()
        .map_or_else(|_| String::new(), |address| address.to_string())
}
