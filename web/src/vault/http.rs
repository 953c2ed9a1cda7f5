//! The provider's calls, by fetch: the only file of the worker that uses the network.
//!
//! Same origin, no cookies, no cache, no redirects. What the provider says is judged by the
//! caller; here is only whether it could be reached.

use js_sys::{Reflect, Uint8Array};
use letterlock_core::auth::wire::Token;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, AbortSignal, ReadableStreamDefaultReader, Request, RequestCache,
    RequestCredentials, RequestInit, RequestRedirect, Response, WorkerGlobalScope,
};

/// How long an ordinary call may take, in milliseconds.
pub const TIMEOUT_MS: u32 = 60_000;

/// One call.
#[derive(Debug)]
pub struct Call<'a> {
    /// GET, POST, PUT or DELETE.
    pub method: &'static str,
    /// Beginning with `/api/`.
    pub path: &'a str,
    /// Proves the log-in.
    pub token: Option<&'a Token>,
    /// Media type and octets.
    pub body: Option<(&'static str, Vec<u8>)>,
    /// After how many milliseconds to give up.
    pub timeout_ms: u32,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// The provider cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the provider cannot be reached")]
pub struct Unreachable;

/// Makes a call.
pub async fn call(call: Call<'_>) -> Result<Reply, Unreachable> {
    let unreachable = |_: JsValue| Unreachable;
    let signal = AbortSignal::timeout_with_u32(call.timeout_ms);
    let request = request(call, &signal).map_err(unreachable)?;
    let response = fetch(&request).await.map_err(unreachable)?;
    let body = response.array_buffer().map_err(unreachable)?;
    let body = JsFuture::from(body).await.map_err(unreachable)?;
    let reply = Reply {
        status: response.status(),
        body: Uint8Array::new(&body).to_vec(),
    };
    // What stands before the provider answers in its place when it is away.
    if matches!(reply.status, 502..=504) {
        Err(Unreachable)
    } else {
        Ok(reply)
    }
}

async fn fetch(request: &Request) -> Result<Response, JsValue> {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    let response = JsFuture::from(scope.fetch_with_request(request)).await?;
    Ok(response.unchecked_into())
}

/// An answer that is read as it comes. Dropping it ends the call.
#[derive(Debug)]
pub struct Stream {
    reader: ReadableStreamDefaultReader,
    controller: AbortController,
    /// A piece that was asked for and has not come.
    pending: Option<JsFuture>,
}

impl Stream {
    /// Begins a call without a body: the status and media type of the answer, and the answer.
    /// `fields` are added to the header.
    pub async fn open(
        path: &str,
        token: &Token,
        fields: &[(&str, &str)],
    ) -> Result<(u16, String, Self), Unreachable> {
        let unreachable = |_: JsValue| Unreachable;
        let controller = AbortController::new().map_err(unreachable)?;
        let call = Call {
            method: "GET",
            path,
            token: Some(token),
            body: None,
            timeout_ms: 0,
        };
        let request = request(call, &controller.signal()).map_err(unreachable)?;
        for (name, value) in fields {
            request.headers().set(name, value).map_err(unreachable)?;
        }
        let response = fetch(&request).await.map_err(unreachable)?;
        let media_type = response.headers().get("Content-Type");
        let media_type = media_type.map_err(unreachable)?.unwrap_or_default();
        let body = response.body().ok_or(Unreachable)?;
        let stream = Self {
            reader: body.get_reader().unchecked_into(),
            controller,
            pending: None,
        };
        Ok((response.status(), media_type, stream))
    }

    /// The next piece; `None` at the end, or if the connection broke. Cancel-safe.
    pub async fn piece(&mut self) -> Option<Vec<u8>> {
        let read = || JsFuture::from(self.reader.read());
        let result = self.pending.get_or_insert_with(read).await;
        self.pending = None;
        let value = Reflect::get(&result.ok()?, &"value".into()).ok()?;
        let octets: Uint8Array = value.dyn_into().ok()?;
        Some(octets.to_vec())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.controller.abort();
    }
}

fn request(call: Call<'_>, signal: &AbortSignal) -> Result<Request, JsValue> {
    let init = RequestInit::new();
    init.set_method(call.method);
    init.set_cache(RequestCache::NoStore);
    init.set_credentials(RequestCredentials::Omit);
    init.set_redirect(RequestRedirect::Error);
    init.set_signal(Some(signal));
    let media_type = call.body.as_ref().map(|(media_type, _)| *media_type);
    if let Some((_, octets)) = call.body {
        init.set_body(&Uint8Array::from(octets.as_slice()));
    }
    let request = Request::new_with_str_and_init(call.path, &init)?;
    if let Some(media_type) = media_type {
        request.headers().set("Content-Type", media_type)?;
    }
    if let Some(token) = call.token {
        request
            .headers()
            .set("Authorization", &format!("Bearer {}", token.as_str()))?;
    }
    Ok(request)
}
