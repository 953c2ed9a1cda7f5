//! Waiting for what is new: pushed by the provider, or asked for by a pull that waits there.
//!
//! [`letterlock_core::sync::news`] says which. Invariant: whatever ends a stream, the next call is a
//! pull that says what came meanwhile, and what is wrong.

use std::time::Duration;

use letterlock_core::sync::news::Line;
use letterlock_core::sync::wire::{MAX_WAIT_MS, News};
use rand::rngs::OsRng;

use super::accounts::BridgeAccount;
use super::provider_client::ProviderError;
use super::provider_client::news::{NewsError, NewsStream};
use crate::clock;

/// What is to be done.
#[derive(Debug)]
pub(super) enum Heard {
    /// The provider has pushed this.
    News(News),
    /// Ask, and let the provider wait so many milliseconds.
    Ask(u32),
}

/// A device that waits.
#[derive(Debug)]
pub(super) struct Listening {
    line: Line,
    stream: Option<NewsStream>,
}

impl Listening {
    /// Nothing was asked yet.
    pub(super) const fn new() -> Self {
        Self {
            line: Line::new(),
            stream: None,
        }
    }

    /// Waits until there is something to do.
    pub(super) async fn wait(&mut self, account: &BridgeAccount) -> Result<Heard, ProviderError> {
        if !self.line.listens(clock::now()) {
            return Ok(Heard::Ask(MAX_WAIT_MS));
        }
        let end = match self.next(account).await {
            Ok(heard) => return Ok(heard),
            Err(NewsError::Provider(error)) => return Err(error),
            Err(NewsError::Ended(end)) => end,
        };
        self.stream = None;
        let pause_ms = self.line.ended(end, clock::now(), &mut OsRng);
        tracing::debug!(?end, pause_ms, "no news are pushed now");
        tokio::time::sleep(Duration::from_millis(pause_ms.into())).await;
        Ok(Heard::Ask(0))
    }

    async fn next(&mut self, account: &BridgeAccount) -> Result<Heard, NewsError> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let since = account.account.pulled();
                let opened = account.provider.news(&account.token(), since).await?;
                self.line.opened(clock::now());
                none.insert(opened)
            }
        };
        let left = Duration::from_millis(self.line.asks_in(clock::now()).into());
        if let Ok(news) = tokio::time::timeout(left, stream.next()).await {
            let news = news.map_err(NewsError::Ended)?;
            self.line.heard(clock::now());
            return Ok(Heard::News(news));
        }
        self.line.asked(clock::now());
        Ok(Heard::Ask(0))
    }
}
