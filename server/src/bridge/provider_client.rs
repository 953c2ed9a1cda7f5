//! The bridge's side of the provider's HTTP API.
//!
//! Invariant: every call has a time limit and every answer a size limit; errors say what failed
//! and whether trying again can help, and hold no address, token or content. Rejected: retrying
//! in here; the loops know better when.

pub mod devices;
pub mod news;
pub mod rendezvous;

use std::net::IpAddr;
use std::time::Duration;

use letterlock_core::auth::wire::{
    AccountDelete, AccountDeleted, AccountState, LogInFinish, LogInFinished, LogInStart,
    LogInStarted, PasswordFinish, PasswordFinished, PasswordStart, PasswordStarted, Publish,
    RecoveryProve, RecoveryProved, RecoverySet, RecoveryStart, RecoveryStarted, SignUpFinish,
    SignUpFinished, SignUpStart, SignUpStarted, Token,
};
use letterlock_core::id::Address;
use letterlock_core::keys::transparency::answer::{Call, MAX_ANSWER_OCTETS};
use letterlock_core::sync::wire::{
    self, CBOR, DocumentsRequest, DocumentsResponse, ErrorBody, MAX_REQUEST_OCTETS, PullRequest,
    PullResponse, PushRequest, PushResponse, Submission,
};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How long a connection may take to come about.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a small call may take.
pub const CALL_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a call that carries messages may take: the largest over a slow line.
pub const TRANSFER_TIMEOUT: Duration = Duration::from_mins(15);
/// Largest answer of an account call, error or certificate, in octets.
const MAX_SMALL_ANSWER_OCTETS: usize = 1024 * 1024;

/// Why a call did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The URL of the provider cannot be used.
    #[error("the provider's address is not an http or https URL")]
    Url,
    /// It does not answer, or not in time.
    #[error("the provider is away: {detail}")]
    Away {
        /// What kind of failure.
        detail: &'static str,
    },
    /// It asks to be called later.
    #[error("the provider asks to wait")]
    Busy {
        /// So long.
        wait: Option<Duration>,
    },
    /// It failed (5xx).
    #[error("the provider has a problem (HTTP {status})")]
    Failed {
        /// HTTP status.
        status: u16,
    },
    /// It has no more room for this account.
    #[error("the account has used up its room at the provider")]
    OverQuota,
    /// The token is unknown or was ended.
    #[error("the provider does not know this device: log in again")]
    Unauthorized,
    /// It refuses, and would again.
    #[error("the provider refuses: {code} (HTTP {status})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Stable code of [`ErrorBody`].
        code: String,
    },
    /// It lacks what it had: its storage was set back. All is offered to it again.
    #[error("the provider has lost documents; they are pushed again")]
    SetBack,
    /// The answer makes no sense.
    #[error("the provider's answer does not read")]
    Malformed,
}

impl ProviderError {
    /// Whether the same call can succeed later without anybody doing anything.
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Away { .. }
            | Self::Busy { .. }
            | Self::Failed { .. }
            | Self::OverQuota
            | Self::SetBack
            | Self::Malformed => true,
            Self::Url | Self::Unauthorized | Self::Refused { .. } => false,
        }
    }
}

/// A provider, as seen from a device.
#[derive(Debug, Clone)]
pub struct ProviderClient {
    http: Client,
    base: Url,
}

impl ProviderClient {
    /// For the provider at this URL, such as `https://mail.example.org`.
    pub fn new(base: &str) -> Result<Self, ProviderError> {
        let base = Url::parse(base).map_err(|_| ProviderError::Url)?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(ProviderError::Url);
        }
        let mut builder = Client::builder().connect_timeout(CONNECT_TIMEOUT);
        if is_loopback(&base) {
            // A proxy of the environment cannot reach this machine's loopback.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|_| ProviderError::Away {
            detail: "the HTTP client does not start",
        })?;
        Ok(Self { http, base })
    }

    /// Begins a sign-up.
    pub async fn start_sign_up(&self, body: &SignUpStart) -> Result<SignUpStarted, ProviderError> {
        self.post_json(&["accounts", "start"], body).await
    }

    /// Creates the account.
    pub async fn finish_sign_up(
        &self,
        body: &SignUpFinish,
    ) -> Result<SignUpFinished, ProviderError> {
        self.post_json(&["accounts", "finish"], body).await
    }

    /// Begins a log-in.
    pub async fn start_log_in(&self, body: &LogInStart) -> Result<LogInStarted, ProviderError> {
        self.post_json(&["sessions", "start"], body).await
    }

    /// Proves the password.
    pub async fn finish_log_in(&self, body: &LogInFinish) -> Result<LogInFinished, ProviderError> {
        self.post_json(&["sessions", "finish"], body).await
    }

    /// Where the calls go.
    pub fn base(&self) -> &str {
        self.base.as_str()
    }

    /// Ends the log-in of a token.
    pub async fn log_out(&self, token: &Token) -> Result<(), ProviderError> {
        let request = self.request(Method::DELETE, &["sessions"])?;
        call(request.bearer_auth(token.as_str())).await.map(drop)
    }

    /// What the provider knows of the account.
    pub async fn account(&self, token: &Token) -> Result<AccountState, ProviderError> {
        let request = self.request(Method::GET, &["account"])?;
        json(&call(request.bearer_auth(token.as_str())).await?)
    }

    /// Ends the account.
    pub async fn delete_account(
        &self,
        token: &Token,
        body: &AccountDelete,
    ) -> Result<AccountDeleted, ProviderError> {
        let path = &["account", "delete"];
        let request = self.json_request(Method::POST, path, body)?;
        // Much mail takes a while.
        let request = request.timeout(TRANSFER_TIMEOUT);
        json(&call(request.bearer_auth(token.as_str())).await?)
    }

    /// Begins a change of the password.
    pub async fn start_password(
        &self,
        token: &Token,
        body: &PasswordStart,
    ) -> Result<PasswordStarted, ProviderError> {
        let request = self.json_request(Method::POST, &["password", "start"], body)?;
        json(&call(request.bearer_auth(token.as_str())).await?)
    }

    /// Sets the new password.
    pub async fn finish_password(
        &self,
        body: &PasswordFinish,
    ) -> Result<PasswordFinished, ProviderError> {
        self.post_json(&["password", "finish"], body).await
    }

    /// Asks for a challenge for the recovery phrase.
    pub async fn start_recovery(
        &self,
        body: &RecoveryStart,
    ) -> Result<RecoveryStarted, ProviderError> {
        self.post_json(&["recovery", "start"], body).await
    }

    /// Proves the recovery phrase.
    pub async fn prove_recovery(
        &self,
        body: &RecoveryProve,
    ) -> Result<RecoveryProved, ProviderError> {
        self.post_json(&["recovery", "prove"], body).await
    }

    /// Sets a new recovery phrase.
    pub async fn set_recovery(
        &self,
        token: &Token,
        body: &RecoverySet,
    ) -> Result<(), ProviderError> {
        let request = self.json_request(Method::PUT, &["recovery"], body)?;
        call(request.bearer_auth(token.as_str())).await.map(drop)
    }

    /// Asks for what changed; waits as long as the request says.
    pub async fn pull(
        &self,
        token: &Token,
        body: &PullRequest,
    ) -> Result<PullResponse, ProviderError> {
        let wait = Duration::from_millis(u64::from(body.wait_ms));
        let request = self
            .post_cbor(token, &["sync", "pull"], body)?
            .timeout(wait.saturating_add(TRANSFER_TIMEOUT));
        cbor(&accepted(request, MAX_REQUEST_OCTETS).await?)
    }

    /// Stores documents and removes incoming messages.
    pub async fn push(
        &self,
        token: &Token,
        body: &PushRequest,
    ) -> Result<PushResponse, ProviderError> {
        let request = self.post_cbor(token, &["sync", "push"], body)?;
        let response = send(request).await?;
        match response.status() {
            StatusCode::OK | StatusCode::CONFLICT => {
                cbor(&read(response, MAX_REQUEST_OCTETS).await?)
            }
            _ => Err(failure(response).await),
        }
    }

    /// Fetches documents by id.
    pub async fn documents(
        &self,
        token: &Token,
        body: &DocumentsRequest,
    ) -> Result<DocumentsResponse, ProviderError> {
        let request = self.post_cbor(token, &["sync", "documents"], body)?;
        cbor(&accepted(request, MAX_REQUEST_OCTETS).await?)
    }

    /// Hands in a mail; the same id again changes nothing.
    pub async fn submit(&self, token: &Token, body: &Submission) -> Result<(), ProviderError> {
        let request = self.post_cbor(token, &["outbox"], body)?;
        accepted(request, MAX_SMALL_ANSWER_OCTETS).await.map(drop)
    }

    /// Tells the directory of the account's certificates.
    pub async fn publish(&self, token: &Token, body: &Publish) -> Result<(), ProviderError> {
        let request = self.json_request(Method::PUT, &["keys"], body)?;
        call(request.bearer_auth(token.as_str())).await.map(drop)
    }

    /// The certificates of an address in the provider's directory, binary, one after the other.
    pub async fn certificate(&self, address: &Address) -> Result<Option<Vec<u8>>, ProviderError> {
        let request = self.request(Method::GET, &["keys", address.as_str()])?;
        match accepted(request, MAX_SMALL_ANSWER_OCTETS).await {
            Ok(octets) => Ok(Some(octets)),
            Err(ProviderError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks the key directory; the answer's octets.
    pub async fn directory(&self, call: &Call) -> Result<Vec<u8>, ProviderError> {
        let request = self.request(Method::GET, &call.path())?;
        accepted(request.query(&call.query()), MAX_ANSWER_OCTETS).await
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, ProviderError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| ProviderError::Url)?
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(path);
        Ok(self.http.request(method, url).timeout(CALL_TIMEOUT))
    }

    async fn post_json<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, ProviderError> {
        json(&call(self.json_request(Method::POST, path, body)?).await?)
    }

    fn json_request(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<RequestBuilder, ProviderError> {
        let octets = serde_json::to_vec(body).map_err(|_| ProviderError::Malformed)?;
        let request = self.request(method, path)?;
        Ok(request
            .header(CONTENT_TYPE, "application/json")
            .body(octets))
    }

    fn post_cbor(
        &self,
        token: &Token,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<RequestBuilder, ProviderError> {
        Ok(self
            .request(Method::POST, path)?
            .timeout(TRANSFER_TIMEOUT)
            .bearer_auth(token.as_str())
            .header(CONTENT_TYPE, CBOR)
            .body(wire::encode(body)))
    }
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let bare = host.trim_matches(['[', ']']);
        host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

/// The body of a 2xx answer to a small call.
async fn call(request: RequestBuilder) -> Result<Vec<u8>, ProviderError> {
    accepted(request, MAX_SMALL_ANSWER_OCTETS).await
}

/// The body of a 2xx answer.
async fn accepted(request: RequestBuilder, limit: usize) -> Result<Vec<u8>, ProviderError> {
    let response = send(request).await?;
    if response.status().is_success() {
        read(response, limit).await
    } else {
        Err(failure(response).await)
    }
}

async fn send(request: RequestBuilder) -> Result<Response, ProviderError> {
    request.send().await.map_err(|error| away(&error))
}

async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>, ProviderError> {
    let mut octets = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| away(&error))? {
        if octets.len().saturating_add(chunk.len()) > limit {
            return Err(ProviderError::Malformed);
        }
        octets.extend_from_slice(&chunk);
    }
    Ok(octets)
}

/// reqwest's own text would name the URL, which holds an address in a key lookup.
fn away(error: &reqwest::Error) -> ProviderError {
    let detail = if error.is_timeout() {
        "it does not answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    ProviderError::Away { detail }
}

async fn failure(response: Response) -> ProviderError {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    match status {
        StatusCode::UNAUTHORIZED => {
            let body = read(response, MAX_SMALL_ANSWER_OCTETS).await;
            match body.ok().and_then(|octets| code(&octets)) {
                // The token was not what was wrong.
                Some(code) if code != "unauthorized" => ProviderError::Refused {
                    status: status.as_u16(),
                    code,
                },
                _ => ProviderError::Unauthorized,
            }
        }
        StatusCode::INSUFFICIENT_STORAGE => {
            let body = read(response, MAX_SMALL_ANSWER_OCTETS).await;
            match body.ok().and_then(|octets| code(&octets)) {
                Some(code) if code == "over_quota" => ProviderError::OverQuota,
                _ => ProviderError::Failed {
                    status: status.as_u16(),
                },
            }
        }
        StatusCode::TOO_MANY_REQUESTS => ProviderError::Busy { wait: retry_after },
        _ if status.is_server_error() => ProviderError::Failed {
            status: status.as_u16(),
        },
        _ => {
            let body = read(response, MAX_SMALL_ANSWER_OCTETS).await;
            let code = body.ok().and_then(|octets| code(&octets));
            ProviderError::Refused {
                status: status.as_u16(),
                code: code.unwrap_or_else(|| "unknown".to_owned()),
            }
        }
    }
}

fn code(octets: &[u8]) -> Option<String> {
    let body = serde_json::from_slice::<ErrorBody>(octets);
    body.ok().map(|body| body.code)
}

fn json<T: DeserializeOwned>(octets: &[u8]) -> Result<T, ProviderError> {
    serde_json::from_slice(octets).map_err(|_| ProviderError::Malformed)
}

fn cbor<T: DeserializeOwned>(octets: &[u8]) -> Result<T, ProviderError> {
    wire::decode(octets).map_err(|_| ProviderError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked() {
        assert!(ProviderClient::new("https://mail.example/base/").is_ok());
        for bad in ["", "mail.example", "ftp://mail.example", "data:,x"] {
            assert!(
                matches!(ProviderClient::new(bad), Err(ProviderError::Url)),
                "{bad}"
            );
        }
        assert!(is_loopback(&Url::parse("http://[::1]:80/").unwrap()));
        assert!(is_loopback(&Url::parse("http://127.0.0.1/").unwrap()));
        assert!(!is_loopback(&Url::parse("http://192.0.2.1/").unwrap()));
    }

    #[tokio::test]
    async fn a_provider_that_is_away_is_temporary() {
        // Port 1 of loopback: nobody listens there.
        let client = ProviderClient::new("http://127.0.0.1:1").unwrap();
        let address = Address::new("alice@letterlock.example").unwrap();
        let error = client.certificate(&address).await.unwrap_err();
        assert!(error.is_temporary());
        assert!(!error.to_string().contains("alice"), "{error}");
    }
}
