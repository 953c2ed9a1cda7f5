//! A relay before the real provider that may rewrite its answers: the provider as it lies.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use letterlock_server::bridge::accounts::BridgeAccount;
use letterlock_server::bridge::enrolment::Enrolment;
use letterlock_server::bridge::provider_client::ProviderClient;
use letterlock_server::shutdown::{GRACE, Shutdown};
use reqwest::StatusCode;
use zeroize::Zeroizing;

use super::world::{NOW, address};

/// Of a method and path ("GET /api/v1/devices") and the true answer: what is answered instead.
pub(super) type Lie = Arc<dyn Fn(&str, Vec<u8>) -> Vec<u8> + Send + Sync>;

/// The relay.
pub(super) struct Layer {
    http: reqwest::Client,
    pub(super) url: String,
    target: String,
    pub(super) lie: Mutex<Option<Lie>>,
    shutdown: Shutdown,
}

impl Layer {
    pub(super) async fn start(target: &str) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let layer = Arc::new(Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            url: format!("http://{}", listener.local_addr().unwrap()),
            target: target.to_owned(),
            lie: Mutex::default(),
            shutdown: Shutdown::new(),
        });
        let app = axum::Router::new()
            .fallback(relay)
            .with_state(Arc::clone(&layer))
            .layer(axum::extract::DefaultBodyLimit::disable());
        let token = layer.shutdown.token.clone();
        layer.shutdown.spawn(async move {
            let end = async move { token.cancelled().await };
            let served = axum::serve(listener, app).with_graceful_shutdown(end);
            served.await.unwrap();
        });
        layer
    }

    /// Answers so from now on.
    pub(super) fn lie(&self, lie: impl Fn(&str, Vec<u8>) -> Vec<u8> + Send + Sync + 'static) {
        *self.lie.lock().unwrap() = Some(Arc::new(lie));
    }

    pub(super) fn tell_the_truth(&self) {
        *self.lie.lock().unwrap() = None;
    }

    pub(super) async fn stop(&self) {
        assert!(self.shutdown.finish(GRACE).await);
    }
}

async fn relay(State(layer): State<Arc<Layer>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.uri.path() == "/api/v1/news" {
        // The answers that are lied in are those to questions.
        return StatusCode::NOT_FOUND.into_response();
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let uri = parts.uri.path_and_query().unwrap();
    let asked = format!("{} {}", parts.method, parts.uri.path());
    let target = format!("{}{uri}", layer.target);
    let mut forwarded = layer.http.request(parts.method, target);
    for name in ["authorization", "content-type"] {
        if let Some(value) = parts.headers.get(name) {
            forwarded = forwarded.header(name, value);
        }
    }
    let Ok(answer) = forwarded.body(body).send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let status = answer.status();
    let octets = answer.bytes().await.unwrap_or_default().to_vec();
    let lie = layer.lie.lock().unwrap().clone();
    match lie {
        Some(lie) => (status, lie(&asked, octets)).into_response(),
        None => (status, octets).into_response(),
    }
}

/// Alice's device of this name, whose provider is behind the layer.
pub(super) async fn enrol(dir: &Path, layer: &Layer, device: &str) -> Arc<BridgeAccount> {
    let enrolment = Enrolment {
        address: address("alice"),
        password: Zeroizing::new("correct horse".to_owned()),
        folder: dir.join(device),
        provider: ProviderClient::new(&layer.url).unwrap(),
        device_name: device.to_owned(),
        phrase: None,
        invite: None,
    };
    Arc::new(enrolment.ensure(NOW).await.unwrap())
}
