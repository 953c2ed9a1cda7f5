//! A provider on port 0 and people with accounts there.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use letterlock_core::auth::wire::{
    Device, Invite, LogInFinish, LogInFinished, LogInStart, LogInStarted, PasswordProof,
    SignUpFinish, SignUpFinished, SignUpStart, SignUpStarted, Token,
};
use letterlock_core::auth::{
    ClientLogIn, ClientSignUp, LogInError, WrapKind, unwrap_root_key, wrap_root_key,
};
use letterlock_core::id::{
    AccountId, Address, CollectionId, DocId, Generation, ReplicaId, Revision, Timestamp,
};
use letterlock_core::openpgp::{SecretCertificate, decrypt};
use letterlock_core::seal::Header;
use letterlock_core::sync::wire::{self, Entry, ErrorBody, PullRequest, PullResponse, PushRequest};
use letterlock_server::clock::Clock;
use letterlock_server::provider::{
    BlobPlace, Peer, Protocol, Provider, ProviderConfig, Relay, SignUp, router,
};
use letterlock_server::shutdown::{GRACE, Shutdown};
use rand::rngs::OsRng;
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

/// 2026-06-01T00:00:00Z, after the keys were made.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_780_272_000);
const KEYS_MADE: Timestamp = Timestamp::from_secs(1_767_225_600);
pub(crate) const ROOT_KEY: [u8; 32] = [0x5a; 32];
pub(crate) const PASSWORD: &str = "correct horse battery staple";

pub(crate) struct World {
    pub(crate) provider: Arc<Provider>,
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    pub(crate) clock: Arc<AtomicI64>,
    shutdown: Shutdown,
}

pub(crate) struct User {
    pub(crate) address: Address,
    pub(crate) account: AccountId,
    pub(crate) token: Token,
    pub(crate) secret: SecretCertificate,
}

pub(crate) fn config(data_dir: &Path) -> ProviderConfig {
    ProviderConfig {
        domains: vec!["Letterlock.Example".to_owned()],
        data_dir: data_dir.to_owned(),
        records: super::backend::records(data_dir),
        blobs: BlobPlace::Folder,
        relay: Relay::Folder(data_dir.join("outgoing")),
        sign_up: SignUp::Open,
        quota_octets: None,
        sign_ups_per_hour: 1000,
    }
}

pub(crate) fn peer() -> Peer {
    Peer {
        name: "mx.example.org".to_owned(),
        ip: "192.0.2.1".parse().ok(),
        protocol: Protocol::Lmtp,
    }
}

pub(crate) fn address(local: &str) -> Address {
    Address::new(&format!("{local}@letterlock.example")).unwrap()
}

impl World {
    pub(crate) async fn start(data_dir: &Path) -> Self {
        Self::with(config(data_dir)).await
    }

    pub(crate) async fn with(config: ProviderConfig) -> Self {
        let clock = Arc::new(AtomicI64::new(NOW.as_millis()));
        let read = Arc::clone(&clock);
        let read = move || Timestamp::from_millis(read.load(Ordering::SeqCst));
        let provider = Provider::open(config, Clock::from_fn(read)).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = Shutdown::new();
        let app = router(Arc::clone(&provider)).into_make_service_with_connect_info::<SocketAddr>();
        let token = shutdown.token.clone();
        let end = async move { token.cancelled().await };
        let serve = async move {
            let served = axum::serve(listener, app).with_graceful_shutdown(end);
            served.await.unwrap();
        };
        shutdown.spawn(serve);
        shutdown.spawn(Arc::clone(&provider).run(shutdown.token.clone()));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            provider,
            url,
            http,
            clock,
            shutdown,
        }
    }

    /// Ends everything, so that another provider can open the folder.
    pub(crate) async fn stop(self) {
        drop(self.http);
        assert!(self.shutdown.finish(GRACE).await, "a task does not end");
        // A connection says that it has ended a moment before it lets go of the provider.
        let alone = async {
            while Arc::strong_count(&self.provider) > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let alone = tokio::time::timeout(GRACE, alone).await;
        assert!(alone.is_ok(), "somebody holds on");
    }

    pub(crate) async fn post_json<T: Serialize>(&self, path: &str, body: &T) -> Response {
        let body = serde_json::to_vec(body).unwrap();
        let request = self.http.post(format!("{}{path}", self.url)).body(body);
        request.send().await.unwrap()
    }

    pub(crate) async fn post<T: Serialize>(&self, user: &User, path: &str, body: &T) -> Response {
        self.http
            .post(format!("{}{path}", self.url))
            .bearer_auth(user.token.as_str())
            .header("content-type", wire::CBOR)
            .body(wire::encode(body))
            .send()
            .await
            .unwrap()
    }

    /// A call with a token and a body in JSON.
    pub(crate) async fn post_with<T: Serialize>(
        &self,
        path: &str,
        token: &Token,
        body: &T,
    ) -> Response {
        self.call(Method::POST, path, token, body).await
    }

    pub(crate) async fn put_json<T: Serialize>(
        &self,
        path: &str,
        token: &Token,
        body: &T,
    ) -> Response {
        self.call(Method::PUT, path, token, body).await
    }

    async fn call<T: Serialize>(
        &self,
        method: Method,
        path: &str,
        token: &Token,
        body: &T,
    ) -> Response {
        let url = format!("{}{path}", self.url);
        let request = self.http.request(method, url).bearer_auth(token.as_str());
        let body = serde_json::to_vec(body).unwrap();
        request.body(body).send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str, token: &Token) -> Response {
        let url = format!("{}{path}", self.url);
        let request = self.http.get(url).bearer_auth(token.as_str());
        request.send().await.unwrap()
    }

    pub(crate) async fn sign_up(&self, local: &str) -> User {
        let (request, secret) = self.sign_up_request(local).await;
        self.finish_sign_up(request, secret).await
    }

    pub(crate) async fn finish_sign_up(
        &self,
        request: SignUpFinish,
        secret: SecretCertificate,
    ) -> User {
        let response = self.post_json("/api/v1/accounts/finish", &request).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        let finished: SignUpFinished = json(response).await;
        User {
            address: request.address,
            account: request.account_id,
            token: finished.token,
            secret,
        }
    }

    /// Everything up to the last call.
    pub(crate) async fn sign_up_request(&self, local: &str) -> (SignUpFinish, SecretCertificate) {
        self.sign_up_request_with(local, None).await
    }

    pub(crate) async fn sign_up_request_with(
        &self,
        local: &str,
        invite: Option<Invite>,
    ) -> (SignUpFinish, SecretCertificate) {
        let address = address(local);
        let secret =
            SecretCertificate::generate(&address, Some(local), KEYS_MADE, &mut OsRng).unwrap();
        let account: AccountId = AccountId::new(rand::random());
        let (client, request) = ClientSignUp::start(PASSWORD, &mut OsRng).unwrap();
        let start = SignUpStart {
            address: address.clone(),
            request: request.into(),
            invite: invite.clone(),
        };
        let response = self.post_json("/api/v1/accounts/start", &start).await;
        assert_eq!(response.status(), StatusCode::OK);
        let started: SignUpStarted = json(response).await;
        let signed_up = client
            .finish(&address, &started.response.0, &mut OsRng)
            .unwrap();
        let material = signed_up.export_key.as_bytes();
        let wrap = wrap_root_key(
            material,
            account,
            1,
            WrapKind::Password,
            &ROOT_KEY,
            &mut OsRng,
        );
        let request = SignUpFinish {
            address,
            account_id: account,
            record: signed_up.record.into(),
            root_key_wrap: wrap.as_bytes().to_vec().into(),
            certificate: secret.certificate().to_bytes().into(),
            more_certificates: Vec::new(),
            documents: vec![envelope(account, 0xff, 1, b"the sealed secret key").into()],
            device: device(),
            devices: None,
            recovery: None,
            invite,
        };
        (request, secret)
    }

    /// A log-in as a device does it; the inner error is the device's own.
    pub(crate) async fn log_in(
        &self,
        address: &Address,
        password: &str,
    ) -> Result<LogInFinished, LogInError> {
        self.log_in_as(address, password, device()).await
    }

    /// The second half of a log-in, for another call.
    pub(crate) async fn prove(
        &self,
        address: &Address,
        password: &str,
    ) -> Result<PasswordProof, LogInError> {
        let (client, started) = self.start_log_in(address, password).await;
        let logged_in = client.finish(address, &started.response.0, &mut OsRng)?;
        Ok(PasswordProof {
            session: started.session,
            finalization: logged_in.finalization.into(),
        })
    }

    pub(crate) async fn log_in_as(
        &self,
        address: &Address,
        password: &str,
        device: Device,
    ) -> Result<LogInFinished, LogInError> {
        let (client, started) = self.start_log_in(address, password).await;
        let logged_in = client.finish(address, &started.response.0, &mut OsRng)?;
        let finish = LogInFinish {
            session: started.session,
            finalization: logged_in.finalization.into(),
            device,
        };
        let response = self.post_json("/api/v1/sessions/finish", &finish).await;
        assert_eq!(response.status(), StatusCode::OK);
        let finished: LogInFinished = json(response).await;
        let wrap = letterlock_core::auth::RootKeyWrap::from_octets(&finished.root_key_wrap.0);
        let material = logged_in.export_key.as_bytes();
        let kind = WrapKind::Password;
        let opened = unwrap_root_key(material, finished.account_id, kind, &wrap.unwrap()).unwrap();
        assert_eq!(*opened.root_key, ROOT_KEY);
        Ok(finished)
    }

    pub(crate) async fn start_log_in(
        &self,
        address: &Address,
        password: &str,
    ) -> (ClientLogIn, LogInStarted) {
        let (client, request) = ClientLogIn::start(password, &mut OsRng).unwrap();
        let start = LogInStart {
            address: address.clone(),
            request: request.into(),
        };
        let response = self.post_json("/api/v1/sessions/start", &start).await;
        assert_eq!(response.status(), StatusCode::OK);
        (client, json(response).await)
    }

    pub(crate) async fn pull(&self, user: &User, since: u64, wait_ms: u32) -> PullResponse {
        let request = PullRequest {
            since: Generation(since),
            collections: Vec::new(),
            rewritten: Vec::new(),
            wait_ms,
        };
        let response = self.post(user, "/api/v1/sync/pull", &request).await;
        assert_eq!(response.status(), StatusCode::OK);
        cbor(response).await
    }

    pub(crate) async fn push(&self, user: &User, documents: &[Vec<u8>]) -> Response {
        let request = PushRequest {
            documents: documents.iter().cloned().map(ByteBuf::from).collect(),
            remove_incoming: Vec::new(),
        };
        self.post(user, "/api/v1/sync/push", &request).await
    }

    pub(crate) async fn deliver(&self, to: &Address, message: &[u8]) {
        let from = Address::new("bob@example.org").ok();
        let delivered = self.provider.deliver(from, to, message, &peer(), NOW).await;
        delivered.unwrap();
    }
}

/// A first call that nobody goes on with.
pub(crate) fn sign_up_start(local: &str, invite: Option<Invite>) -> SignUpStart {
    let (_, request) = ClientSignUp::start(PASSWORD, &mut OsRng).unwrap();
    SignUpStart {
        address: address(local),
        request: request.into(),
        invite,
    }
}

/// An envelope as the provider sees it: a clear header and octets that it cannot read.
pub(crate) fn envelope(account: AccountId, document: u8, revision: u64, sealed: &[u8]) -> Vec<u8> {
    let header = Header {
        account,
        collection: CollectionId::new([document >> 4; 16]),
        document: DocId::new([document; 16]),
        revision: Revision::new(revision).unwrap(),
        previous: [0; 32],
        replica: ReplicaId::new([9; 16]),
        epoch: 1,
    };
    [&header.to_octets()[..], sealed].concat()
}

pub(crate) fn device() -> Device {
    device_named(9, "test")
}

pub(crate) fn device_named(id: u8, name: &str) -> Device {
    Device {
        id: ReplicaId::new([id; 16]),
        name: name.to_owned(),
    }
}

pub(crate) fn envelopes(entries: &[Entry]) -> Vec<Vec<u8>> {
    let envelope = |entry: &Entry| match entry {
        Entry::Document { envelope } => Some(envelope.to_vec()),
        Entry::Incoming { .. } | Entry::IncomingRemoved { .. } => None,
    };
    entries.iter().filter_map(envelope).collect()
}

/// The incoming messages in a pull, opened.
pub(crate) fn letters(user: &User, entries: &[Entry]) -> Vec<Vec<u8>> {
    let open = |entry: &Entry| match entry {
        Entry::Incoming { message, .. } => {
            let keys = std::slice::from_ref(&user.secret);
            let limits = decrypt::Limits::default();
            let opened = decrypt::message(message, keys, &limits).unwrap();
            Some(opened.plaintext.into_vec())
        }
        Entry::Document { .. } | Entry::IncomingRemoved { .. } => None,
    };
    entries.iter().filter_map(open).collect()
}

pub(crate) async fn json<T: DeserializeOwned>(response: Response) -> T {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

pub(crate) async fn cbor<T: DeserializeOwned>(response: Response) -> T {
    assert_eq!(response.headers()["content-type"], wire::CBOR);
    wire::decode(&response.bytes().await.unwrap()).unwrap()
}

/// Checks an error's status and code.
pub(crate) async fn assert_error(response: Response, status: u16, code: &str) {
    let found = response.status().as_u16();
    let body: ErrorBody = json(response).await;
    assert_eq!(
        (found, body.code.as_str()),
        (status, code),
        "{}",
        body.message
    );
    assert!(!body.message.is_empty() && !body.message.contains('@'));
}
