//! Carries out what `letterlock_core::keys::lookup` asks of strangers: one `GET` by HTTPS.
//!
//! Invariants: nothing but HTTPS, with a certificate for the host; no redirect to another host; no
//! cookies, no name of ours; a largest answer and a longest time, and an answer that exceeds one
//! is none. Nothing of the URL is logged: it names whom one writes to.
//! Rejected: one client for the provider and for strangers; a redirect, a cookie or a pooled
//! connection would tell one of the other.

use std::error::Error;
use std::time::Duration;

use letterlock_core::keys::lookup::{Answer, MAX_ANSWER_OCTETS, REQUEST_SECS};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, ClientBuilder, Response, StatusCode};

/// Most redirects that are followed, all at one host.
const MAX_REDIRECTS: usize = 2;
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks strangers for certificates.
#[derive(Debug, Clone)]
pub struct KeyFetcher {
    /// `None` if TLS does not start on this machine: then nobody answers.
    http: Option<Client>,
    patience: Duration,
}

impl Default for KeyFetcher {
    fn default() -> Self {
        Self::with(Client::builder(), Duration::from_secs(REQUEST_SECS))
    }
}

impl KeyFetcher {
    fn with(builder: ClientBuilder, patience: Duration) -> Self {
        let http = builder
            .https_only(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Policy::custom(at_one_host))
            .referer(false)
            .build();
        Self {
            http: http.ok(),
            patience,
        }
    }

    /// Asks once.
    pub async fn fetch(&self, url: &str) -> Answer {
        let Some(http) = &self.http else {
            return Answer::Failed;
        };
        match http.get(url).timeout(self.patience).send().await {
            Ok(response) => read(response).await,
            Err(error) if has_no_host(&error) => Answer::NoHost,
            Err(_) => Answer::Failed,
        }
    }
}

fn at_one_host(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let first = attempt.previous().first();
    let same = first.is_some_and(|first| {
        (
            first.scheme(),
            first.host_str(),
            first.port_or_known_default(),
        ) == (
            attempt.url().scheme(),
            attempt.url().host_str(),
            attempt.url().port_or_known_default(),
        )
    });
    if same && attempt.previous().len() <= MAX_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

async fn read(mut response: Response) -> Answer {
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Answer::Nothing,
        _ => return Answer::Failed,
    }
    let mut octets = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if octets.len().saturating_add(chunk.len()) > MAX_ANSWER_OCTETS => {
                return Answer::Failed;
            }
            Ok(Some(chunk)) => octets.extend_from_slice(&chunk),
            Ok(None) => return Answer::Octets(octets),
            Err(_) => return Answer::Failed,
        }
    }
}

/// Whether the name of the host resolves to nothing; a resolver that does not answer proves that
/// it does not.
fn has_no_host(error: &reqwest::Error) -> bool {
    let mut is_dns = false;
    let mut is_temporary = false;
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        is_dns |= text.starts_with("dns error");
        is_temporary |= text.contains("Temporary failure");
        cause = error.source();
    }
    is_dns && !is_temporary
}

#[cfg(test)]
mod tests;
