//! A proxy before the real provider: passes answers on as they come, cuts them, or collects them.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures::stream;
use letterlock_server::shutdown::{GRACE, Shutdown};
use reqwest::StatusCode;
use tokio_util::sync::CancellationToken;

/// What is done to streams of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// They are passed on.
    Passes,
    /// The next event is passed on by half, and then the connection is cut.
    Halves,
    /// They are collected to their end, which does not come.
    Collects,
}

pub(super) struct Proxy {
    http: reqwest::Client,
    pub(super) url: String,
    target: String,
    manner: Mutex<Manner>,
    asked: Mutex<BTreeMap<String, usize>>,
    cut: Mutex<CancellationToken>,
    shutdown: Shutdown,
}

impl Proxy {
    pub(super) async fn start(target: &str, manner: Manner) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Arc::new(Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            url: format!("http://{}", listener.local_addr().unwrap()),
            target: target.to_owned(),
            manner: Mutex::new(manner),
            asked: Mutex::default(),
            cut: Mutex::default(),
            shutdown: Shutdown::new(),
        });
        let app = axum::Router::new()
            .fallback(relay)
            .with_state(Arc::clone(&proxy))
            .layer(axum::extract::DefaultBodyLimit::disable());
        let token = proxy.shutdown.token.clone();
        proxy.shutdown.spawn(async move {
            let end = async move { token.cancelled().await };
            let served = axum::serve(listener, app).with_graceful_shutdown(end);
            served.await.unwrap();
        });
        proxy
    }

    /// Cuts all streams that are open now.
    pub(super) fn cut(&self) {
        let open = std::mem::take(&mut *self.cut.lock().unwrap());
        open.cancel();
    }

    pub(super) fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    pub(super) fn manner(&self) -> Manner {
        *self.manner.lock().unwrap()
    }

    /// How often the last part of a path was asked for.
    pub(super) fn asked(&self, name: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.get(name).copied().unwrap_or_default()
    }

    pub(super) async fn stop(&self) {
        self.cut();
        assert!(self.shutdown.finish(GRACE).await);
    }
}

async fn relay(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let uri = parts.uri.path_and_query().unwrap();
    let name = parts.uri.path().rsplit('/').next().unwrap().to_owned();
    *proxy.asked.lock().unwrap().entry(name.clone()).or_default() += 1;
    let mut forwarded = proxy
        .http
        .request(parts.method, format!("{}{uri}", proxy.target));
    for name in ["authorization", "content-type", "last-event-id"] {
        if let Some(value) = parts.headers.get(name) {
            forwarded = forwarded.header(name, value);
        }
    }
    let Ok(answer) = forwarded.body(body).send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    if let Some(kind) = answer.headers().get("content-type") {
        response.headers_mut().insert("content-type", kind.clone());
    }
    let cut = proxy.cut.lock().unwrap().clone();
    *response.body_mut() = if name == "news" && proxy.manner() == Manner::Collects {
        tokio::select! {
            octets = answer.bytes() => Body::from(octets.unwrap_or_default()),
            () = cut.cancelled() => Body::empty(),
        }
    } else if name == "news" {
        passed_on(answer, cut, proxy)
    } else {
        Body::from(answer.bytes().await.unwrap_or_default())
    };
    response
}

fn passed_on(answer: reqwest::Response, cut: CancellationToken, proxy: Arc<Proxy>) -> Body {
    let pieces = stream::unfold(Some((answer, cut, proxy)), async |state| {
        let (mut answer, cut, proxy) = state?;
        let chunk = tokio::select! {
            chunk = answer.chunk() => chunk.ok()??,
            () = cut.cancelled() => return Some((Err(io::Error::other("cut")), None)),
        };
        if proxy.manner() == Manner::Halves && chunk.starts_with(b"event") {
            proxy.set(Manner::Passes);
            cut.cancel();
            *proxy.cut.lock().unwrap() = CancellationToken::new();
            return Some((
                Ok(chunk.slice(..chunk.len() / 2)),
                Some((answer, cut, proxy)),
            ));
        }
        Some((Ok::<Bytes, io::Error>(chunk), Some((answer, cut, proxy))))
    });
    Body::from_stream(Box::pin(pieces))
}
