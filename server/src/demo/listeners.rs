//! The listeners, bound before anything else is done: a taken port is told at once.

use tokio::net::TcpListener;

use super::DemoError;
use crate::bridge::doors::{Doors, bind};
use crate::config::Listen;

/// Bound, not yet served.
pub(super) struct Listeners {
    pub(super) web: TcpListener,
    pub(super) lmtp: TcpListener,
    pub(super) doors: Doors,
}

impl Listeners {
    pub(super) async fn bind(listen: &Listen) -> Result<Self, DemoError> {
        Ok(Self {
            doors: Doors::bind(listen).await?,
            web: bind("web", listen.web).await?,
            lmtp: bind("lmtp", listen.lmtp).await?,
        })
    }
}
