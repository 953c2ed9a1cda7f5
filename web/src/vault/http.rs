//! The provider's calls, by fetch: the only file of the worker that uses the network.
//!
//! Same origin, no cookies, no cache, no redirects. What the provider says is judged by the
//! caller; here is only whether it could be reached.

use js_sys::Uint8Array;
use letterlock_core::auth::wire::Token;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortSignal, Request, RequestCache, RequestCredentials, RequestInit, RequestRedirect, Response,
    WorkerGlobalScope,
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
    let request = request(call).map_err(unreachable)?;
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    let response = JsFuture::from(scope.fetch_with_request(&request)).await;
    let response: Response = response.map_err(unreachable)?.unchecked_into();
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

fn request(call: Call<'_>) -> Result<Request, JsValue> {
    let init = RequestInit::new();
    init.set_method(call.method);
    init.set_cache(RequestCache::NoStore);
    init.set_credentials(RequestCredentials::Omit);
    init.set_redirect(RequestRedirect::Error);
    init.set_signal(Some(&AbortSignal::timeout_with_u32(call.timeout_ms)));
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
