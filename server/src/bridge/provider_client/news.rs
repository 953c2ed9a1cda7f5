//! The provider's news as a stream.

use std::collections::VecDeque;
use std::time::Duration;

use letterlock_core::auth::wire::Token;
use letterlock_core::id::Generation;
use letterlock_core::sync::news::{EVENT_STREAM, End, FIRST_MS, LAST_EVENT_ID, Reader, SILENCE_MS};
use letterlock_core::sync::wire::News;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Response, StatusCode};
use tokio::time::timeout;

use super::{ProviderClient, ProviderError, away, failure};

/// The longest that a stream is read: a token ends before.
const LONGEST: Duration = Duration::from_hours(24);

/// Why there is no stream, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum NewsError {
    /// The stream itself.
    #[error("no news are pushed: {0:?}")]
    Ended(End),
    /// The provider is away, or does not take the token.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// A stream through which something has come.
#[derive(Debug)]
pub struct NewsStream {
    response: Response,
    reader: Reader,
    read: VecDeque<News>,
}

impl ProviderClient {
    /// Begins to listen to what comes after `since`.
    pub async fn news(&self, token: &Token, since: Generation) -> Result<NewsStream, NewsError> {
        let request = self.request(Method::GET, &["news"])?;
        let request = request
            .timeout(LONGEST)
            .bearer_auth(token.as_str())
            .header(ACCEPT, EVENT_STREAM)
            .header(LAST_EVENT_ID, since.0);
        let Ok(response) = timeout(millis(FIRST_MS), request.send()).await else {
            return Err(NewsError::Ended(End::Silent));
        };
        let response = response.map_err(|error| away(&error))?;
        match response.status() {
            StatusCode::OK if is_event_stream(&response) => {}
            StatusCode::UNAUTHORIZED
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => return Err(failure(response).await.into()),
            // An older provider, or something on the way that does not let it through.
            _ => return Err(NewsError::Ended(End::Refused)),
        }
        let mut stream = NewsStream {
            response,
            reader: Reader::default(),
            read: VecDeque::new(),
        };
        stream.more(FIRST_MS).await.map_err(NewsError::Ended)?;
        Ok(stream)
    }
}

impl NewsStream {
    /// The next news. Nothing is lost if this is dropped before it has ended.
    pub async fn next(&mut self) -> Result<News, End> {
        loop {
            if let Some(news) = self.read.pop_front() {
                return Ok(news);
            }
            self.more(SILENCE_MS).await?;
        }
    }

    async fn more(&mut self, limit_ms: u32) -> Result<(), End> {
        let chunk = timeout(millis(limit_ms), self.response.chunk());
        let chunk = chunk.await.map_err(|_| End::Silent)?;
        let chunk = chunk.ok().flatten().ok_or(End::Cut)?;
        let read = self.reader.push(&chunk).map_err(|_| End::Refused)?;
        self.read.extend(read);
        Ok(())
    }
}

fn is_event_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with(EVENT_STREAM))
}

fn millis(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}
