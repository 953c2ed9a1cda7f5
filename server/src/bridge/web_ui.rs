//! The web UI, served from this machine: the files that the web build left in `dist/`.
//!
//! They are part of the program in a release build. Invariant: no page of it runs a script from
//! elsewhere or talks to elsewhere, and no other site can frame it or reach it by DNS rebinding.
//! Rejected: `tower_http::services::ServeDir`; the program would need its files beside it.

use std::borrow::Cow;
use std::future::ready;

use askama::Template;
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use rust_embed::EmbeddedFile;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

/// What a page may load and do. Mail in HTML is shown in a sandboxed `srcdoc` frame, which
/// inherits this policy on top of its own: inline styles and images within the mail
/// (`data:`, `blob:`) are allowed for it, scripts and remote images are not.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
    script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; \
    manifest-src 'self'; frame-src 'self' blob:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Fewest hexadecimal digits that make a part of a name a hash of the content.
const HASH_DIGITS: usize = 8;

/// Names by which this machine calls itself.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Pages of the UI that all are `index.html`: it finds out by itself which one is asked for.
const PAGES: [&str; 2] = ["", "decrypt"];

/// Where the files are: the program that serves them embeds them, so that this library builds
/// without them.
pub type WebFiles = fn(&str) -> Option<EmbeddedFile>;

/// `api` with the UI beside it, behind the headers and the check of the `Host` field.
pub fn beside(api: Router, files: WebFiles) -> Router {
    // Sealed documents and mail do not shrink, and compressing beside secrets can leak them.
    let worth_it = DefaultPredicate::new()
        .and(NotForContentType::new("application/cbor"))
        .and(NotForContentType::new("application/octet-stream"))
        .and(NotForContentType::new("application/json"));
    let answer = move |method: Method, uri: Uri, headers: HeaderMap| {
        ready(serve(files, &method, &uri, &headers))
    };
    api.fallback(answer)
        .layer(CompressionLayer::new().compress_when(worth_it))
        .layer(middleware::from_fn(guard))
}

/// Refuses foreign `Host` fields (DNS rebinding) and puts the headers on every answer.
async fn guard(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|value| value.to_str().ok());
    let mut response = if host.is_some_and(is_this_machine) {
        next.run(request).await
    } else {
        let text = "This server answers for localhost, 127.0.0.1 and [::1] only.\n";
        (StatusCode::MISDIRECTED_REQUEST, text).into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => name,
        _ => host,
    };
    HOSTS.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn serve(files: WebFiles, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return (
            StatusCode::METHOD_NOT_ALLOWED,
            [(header::ALLOW, "GET, HEAD")],
        )
            .into_response();
    }
    let path = uri.path().trim_start_matches('/');
    let name = if PAGES.contains(&path.trim_end_matches('/')) {
        "index.html"
    } else {
        path
    };
    match files(name) {
        Some(file) => answer(name, file, headers),
        None if name == "index.html" => not_built(),
        None => (StatusCode::NOT_FOUND, "There is no such page.\n").into_response(),
    }
}

fn answer(name: &str, file: EmbeddedFile, asked: &HeaderMap) -> Response {
    // Weak (RFC 9110 8.8.1): the same tag stands for the compressed forms.
    let tag = format!("W/\"{}\"", hex::encode(file.metadata.sha256_hash()));
    let caching = if is_hashed(name) {
        "public, max-age=31536000, immutable"
    } else {
        // Kept, but asked for each time: an update must not leave half of the old UI.
        "no-cache"
    };
    let known = asked.get(header::IF_NONE_MATCH);
    let unchanged = known
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|known| known.trim() == tag));
    let headers = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, caching.to_owned()),
        (header::CONTENT_TYPE, content_type(name, &file)),
    ];
    if unchanged {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let octets = match file.data {
        Cow::Borrowed(octets) => octets.into_response(),
        Cow::Owned(octets) => octets.into_response(),
    };
    (headers, octets).into_response()
}

fn content_type(name: &str, file: &EmbeddedFile) -> String {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8".to_owned(),
        "css" => "text/css; charset=utf-8".to_owned(),
        "js" => "text/javascript; charset=utf-8".to_owned(),
        // Needed for compiling while it loads.
        "wasm" => "application/wasm".to_owned(),
        _ => file.metadata.mimetype().to_owned(),
    }
}

/// Whether a part of the name between dashes, dots and underscores is a hash of the content.
fn is_hashed(name: &str) -> bool {
    name.split(['-', '.', '_']).skip(1).any(|part| {
        part.len() >= HASH_DIGITS && part.bytes().all(|octet| octet.is_ascii_hexdigit())
    })
}

/// What a build without the web UI shows instead of it.
#[derive(Template)]
#[template(path = "not_built.html")]
struct NotBuilt {
    command: &'static str,
}

fn not_built() -> Response {
    let page = NotBuilt {
        command: "cargo xtask run",
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    match page.render() {
        Ok(page) => (headers, page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_this_machine_or_refused() {
        for good in [
            "localhost",
            "localhost:8080",
            "127.0.0.1:1",
            "[::1]:8080",
            "[::1]",
            "LOCALHOST",
        ] {
            assert!(is_this_machine(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "localhost.evil.example:80",
            "127.0.0.1.evil",
            "[::2]:80",
            "localhost:x",
        ] {
            assert!(!is_this_machine(bad), "{bad}");
        }
    }

    #[test]
    fn hashed_names_are_kept_for_ever() {
        assert!(is_hashed("letterlock-web-6c1d2f0a9b8e7d65.js"));
        assert!(is_hashed("worker-6c1d2f0a9b8e7d65_bg.wasm"));
        assert!(!is_hashed("index.html"));
        assert!(!is_hashed("deadbeef.html"), "the first part is a name");
        assert!(!is_hashed("worker_loader.js"));
    }
}
