//! The provider's calls with their types: what was asked and answered, or why not.
//!
//! One place maps HTTP to outcomes: 401 means that the log-in has ended, other refusals carry the
//! provider's words ([`ErrorBody`]).

use letterlock_core::auth::wire::{
    AccountDelete, AccountDeleted, AccountState, ChallengeProve, ChallengeProved, ChallengeStart,
    ChallengeStarted, DevicesPut, DevicesShown, LogInFinish, LogInFinished, LogInStart,
    LogInStarted, PasswordFinish, PasswordFinished, PasswordStart, PasswordStarted, Publish,
    RecoveryProve, RecoveryProved, RecoverySet, RecoveryStart, RecoveryStarted, RendezvousAnswer,
    RendezvousPut, RendezvousShown, Token,
};
use letterlock_core::id::{Address, Generation, RendezvousId, ReplicaId};
use letterlock_core::keys::transparency::answer::Call as DirectoryCall;
use letterlock_core::sync::engine::{OLD_KEYS, REVISION_GAP};
use letterlock_core::sync::news::{EVENT_STREAM, LAST_EVENT_ID};
use letterlock_core::sync::wire::{
    self, CBOR, DocumentsRequest, DocumentsResponse, ErrorBody, PullRequest, PullResponse,
    PushRequest, PushResponse, Submission,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::http::{Call, Reply, Stream, TIMEOUT_MS, Unreachable, call};

const JSON: &str = "application/json";

/// Why a call brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It cannot be reached.
    #[error("the provider cannot be reached")]
    Unreachable,
    /// The token is not valid (any more), or the password was wrong.
    #[error("the provider asks for a new log-in")]
    Unauthorized,
    /// It refused; the text is the provider's, for people.
    #[error("the provider answered {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// It lacks what it had: its storage was set back. All is offered to it again.
    #[error("the provider has lost documents; they are pushed again")]
    SetBack,
    /// The account has given up the keys under which something new was pushed.
    #[error("the account has new keys")]
    OldKeys,
    /// Its answer is not understood.
    #[error("the provider's answer is not understood")]
    Nonsense,
}

impl From<Unreachable> for ProviderError {
    fn from(_: Unreachable) -> Self {
        Self::Unreachable
    }
}

impl ProviderError {
    /// Whether the same call may well succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable
            | Self::Unauthorized
            | Self::SetBack
            | Self::OldKeys
            | Self::Nonsense => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
        }
    }
}

/// Begins a log-in.
pub async fn log_in_start(start: &LogInStart) -> Result<LogInStarted, ProviderError> {
    json("/api/v1/sessions/start", start).await
}

/// Proves the password.
pub async fn log_in_finish(finish: &LogInFinish) -> Result<LogInFinished, ProviderError> {
    json("/api/v1/sessions/finish", finish).await
}

/// Ends the log-in of this device.
pub async fn log_out(token: &Token) -> Result<(), ProviderError> {
    delete("/api/v1/sessions", token).await
}

/// Logs a device out.
pub async fn remove_device(token: &Token, device: ReplicaId) -> Result<(), ProviderError> {
    delete(&format!("/api/v1/devices/{device}"), token).await
}

async fn delete(path: &str, token: &Token) -> Result<(), ProviderError> {
    let token = Some(token);
    let reply = call(Call {
        method: "DELETE",
        path,
        token,
        body: None,
        timeout_ms: 5000,
    })
    .await?;
    accepted(reply).map(|_| ())
}

/// What the provider knows of the account.
pub async fn account(token: &Token) -> Result<AccountState, ProviderError> {
    read(&get("/api/v1/account", token).await?)
}

async fn get(path: &str, token: impl Into<Option<&Token>>) -> Result<Vec<u8>, ProviderError> {
    let reply = call(Call {
        method: "GET",
        path,
        token: token.into(),
        body: None,
        timeout_ms: TIMEOUT_MS,
    })
    .await?;
    accepted(reply)
}

/// What came of a list of devices that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is the account's.
    Done,
    /// Another device was first: build on its list.
    Changed,
}

/// The account's list of devices, as the provider has it.
pub async fn devices(token: &Token) -> Result<DevicesShown, ProviderError> {
    read(&get("/api/v1/devices", token).await?)
}

/// Replaces it.
pub async fn put_devices(token: &Token, put: &DevicesPut) -> Result<Put, ProviderError> {
    match with_token("PUT", "/api/v1/devices", token, put).await {
        Ok(_) => Ok(Put::Done),
        Err(ProviderError::Refused { status: 409, .. }) => Ok(Put::Changed),
        Err(error) => Err(error),
    }
}

/// Asks for a challenge for this device's key.
pub async fn start_challenge(start: &ChallengeStart) -> Result<ChallengeStarted, ProviderError> {
    json("/api/v1/sessions/challenge", start).await
}

/// Proves this device's key.
pub async fn prove_challenge(prove: &ChallengeProve) -> Result<ChallengeProved, ProviderError> {
    json("/api/v1/sessions/prove", prove).await
}

/// What two devices have left each other.
pub async fn rendezvous(id: RendezvousId) -> Result<RendezvousShown, ProviderError> {
    read(&get(&format!("/api/v1/rendezvous/{id}"), None).await?)
}

/// Leaves a message of the device that is in.
pub async fn put_rendezvous(
    token: &Token,
    id: RendezvousId,
    put: &RendezvousPut,
) -> Result<(), ProviderError> {
    let path = format!("/api/v1/rendezvous/{id}");
    with_token("PUT", &path, token, put).await.map(drop)
}

/// Leaves the message of the device that comes.
pub async fn answer_rendezvous(
    id: RendezvousId,
    answer: &RendezvousAnswer,
) -> Result<(), ProviderError> {
    let octets = serde_json::to_vec(answer).map_err(|_| ProviderError::Nonsense)?;
    let reply = call(Call {
        method: "POST",
        path: &format!("/api/v1/rendezvous/{id}"),
        token: None,
        body: Some((JSON, octets)),
        timeout_ms: TIMEOUT_MS,
    })
    .await?;
    accepted(reply).map(drop)
}

/// Ends the account.
pub async fn delete_account(
    token: &Token,
    delete: &AccountDelete,
) -> Result<AccountDeleted, ProviderError> {
    read(&with_token("POST", "/api/v1/account/delete", token, delete).await?)
}

/// Begins a change of the password.
pub async fn start_password(
    token: &Token,
    start: &PasswordStart,
) -> Result<PasswordStarted, ProviderError> {
    read(&with_token("POST", "/api/v1/password/start", token, start).await?)
}

/// Sets the new password.
pub async fn finish_password(finish: &PasswordFinish) -> Result<PasswordFinished, ProviderError> {
    json("/api/v1/password/finish", finish).await
}

/// Asks for a challenge for the recovery phrase.
pub async fn start_recovery(start: &RecoveryStart) -> Result<RecoveryStarted, ProviderError> {
    json("/api/v1/recovery/start", start).await
}

/// Proves the recovery phrase.
pub async fn prove_recovery(prove: &RecoveryProve) -> Result<RecoveryProved, ProviderError> {
    json("/api/v1/recovery/prove", prove).await
}

/// Sets a new recovery phrase.
pub async fn set_recovery(token: &Token, set: &RecoverySet) -> Result<(), ProviderError> {
    with_token("PUT", "/api/v1/recovery", token, set)
        .await
        .map(drop)
}

async fn with_token<Q: Serialize>(
    method: &'static str,
    path: &str,
    token: &Token,
    body: &Q,
) -> Result<Vec<u8>, ProviderError> {
    let octets = serde_json::to_vec(body).map_err(|_| ProviderError::Nonsense)?;
    let (token, body, timeout_ms) = (Some(token), Some((JSON, octets)), TIMEOUT_MS);
    let reply = call(Call {
        method,
        path,
        token,
        body,
        timeout_ms,
    })
    .await?;
    accepted(reply)
}

fn read<A: DeserializeOwned>(octets: &[u8]) -> Result<A, ProviderError> {
    serde_json::from_slice(octets).map_err(|_| ProviderError::Nonsense)
}

/// Asks what changed; waits for news as the request says.
pub async fn pull(token: &Token, request: &PullRequest) -> Result<PullResponse, ProviderError> {
    let timeout_ms = TIMEOUT_MS.saturating_add(request.wait_ms);
    let reply = cbor("/api/v1/sync/pull", token, request, timeout_ms).await?;
    wire::decode(&accepted(reply)?).map_err(|_| ProviderError::Nonsense)
}

/// Asks for documents by their ids.
pub async fn documents(
    token: &Token,
    request: &DocumentsRequest,
) -> Result<DocumentsResponse, ProviderError> {
    let reply = cbor("/api/v1/sync/documents", token, request, TIMEOUT_MS).await?;
    wire::decode(&accepted(reply)?).map_err(|_| ProviderError::Nonsense)
}

/// What came of listening.
#[derive(Debug)]
pub enum Opened {
    /// A stream of news.
    Stream(Stream),
    /// There is none to be had: an older provider, or something on the way.
    None,
}

/// Begins to listen to what comes after `since`.
pub async fn news(token: &Token, since: Generation) -> Result<Opened, ProviderError> {
    let since = since.0.to_string();
    let fields = [("Accept", EVENT_STREAM), (LAST_EVENT_ID, since.as_str())];
    let (status, media_type, stream) = Stream::open("/api/v1/news", token, &fields).await?;
    match status {
        200 if media_type.starts_with(EVENT_STREAM) => Ok(Opened::Stream(stream)),
        401 => Err(ProviderError::Unauthorized),
        502..=504 => Err(ProviderError::Unreachable),
        _ => Ok(Opened::None),
    }
}

/// Hands over what changed here. A conflict is an answer, not an error.
pub async fn push(token: &Token, request: &PushRequest) -> Result<PushResponse, ProviderError> {
    let reply = cbor("/api/v1/sync/push", token, request, TIMEOUT_MS).await?;
    let body = if reply.status == 409 {
        reply.body
    } else {
        accepted(reply)?
    };
    wire::decode(&body).map_err(|_| ProviderError::Nonsense)
}

/// Hands over a mail.
pub async fn submit(token: &Token, submission: &Submission) -> Result<(), ProviderError> {
    let reply = cbor("/api/v1/outbox", token, submission, TIMEOUT_MS).await?;
    accepted(reply).map(|_| ())
}

/// Tells the directory of the account's certificates.
pub async fn publish(token: &Token, publish: &Publish) -> Result<(), ProviderError> {
    with_token("PUT", "/api/v1/keys", token, publish)
        .await
        .map(drop)
}

/// What the directory has for an address: certificates, binary, one after the other.
pub async fn certificates(
    token: &Token,
    address: &Address,
) -> Result<Option<Vec<u8>>, ProviderError> {
    let name = js_sys::encode_uri_component(address.canonical().as_str());
    let path = format!("/api/v1/keys/{}", String::from(name));
    let token = Some(token);
    let (method, body, timeout_ms) = ("GET", None, TIMEOUT_MS);
    let reply = call(Call {
        method,
        path: &path,
        token,
        body,
        timeout_ms,
    })
    .await?;
    if reply.status == 404 {
        return Ok(None);
    }
    accepted(reply).map(Some)
}

/// Asks the key directory; the answer's octets.
pub async fn directory(token: &Token, call: &DirectoryCall) -> Result<Vec<u8>, ProviderError> {
    let mut path = "/api/v1".to_owned();
    for segment in call.path() {
        path.push('/');
        path.push_str(&String::from(js_sys::encode_uri_component(segment)));
    }
    for (mark, (name, number)) in ["?", "&"].into_iter().zip(call.query()) {
        path = format!("{path}{mark}{name}={number}");
    }
    let (method, token, body, timeout_ms) = ("GET", Some(token), None, TIMEOUT_MS);
    let reply = self::call(Call {
        method,
        path: &path,
        token,
        body,
        timeout_ms,
    })
    .await?;
    accepted(reply)
}

async fn json<Q: Serialize, A: DeserializeOwned>(path: &str, body: &Q) -> Result<A, ProviderError> {
    let octets = serde_json::to_vec(body).map_err(|_| ProviderError::Nonsense)?;
    let (method, body, timeout_ms) = ("POST", Some((JSON, octets)), TIMEOUT_MS);
    let reply = call(Call {
        method,
        path,
        token: None,
        body,
        timeout_ms,
    })
    .await?;
    serde_json::from_slice(&accepted(reply)?).map_err(|_| ProviderError::Nonsense)
}

async fn cbor<Q: Serialize>(
    path: &str,
    token: &Token,
    body: &Q,
    timeout_ms: u32,
) -> Result<Reply, ProviderError> {
    let body = Some((CBOR, wire::encode(body)));
    Ok(call(Call {
        method: "POST",
        path,
        token: Some(token),
        body,
        timeout_ms,
    })
    .await?)
}

fn accepted(reply: Reply) -> Result<Vec<u8>, ProviderError> {
    match reply.status {
        200..=299 => Ok(reply.body),
        401 => Err(ProviderError::Unauthorized),
        status => {
            let body = serde_json::from_slice::<ErrorBody>(&reply.body);
            if body.as_ref().is_ok_and(|body| body.code == REVISION_GAP) {
                return Err(ProviderError::SetBack);
            }
            if body.as_ref().is_ok_and(|body| body.code == OLD_KEYS) {
                return Err(ProviderError::OldKeys);
            }
            let message = body.map(|body| body.message).unwrap_or_default();
            Err(ProviderError::Refused { status, message })
        }
    }
}
