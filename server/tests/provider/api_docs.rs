//! The API's description, as it is served.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use super::world::World;

async fn description(world: &World) -> Value {
    let url = format!("{}/api/docs/openapi.json", world.url);
    let answer = world.http.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

fn references<'a>(value: &'a Value, into: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            into.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, into)),
        _ => {}
    }
}

/// Whoever makes a client from the description finds each type, and each call where it is said.
#[tokio::test]
async fn the_description_is_whole_and_every_call_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let openapi = description(&world).await;
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut named = BTreeSet::new();
    references(&openapi, &mut named);
    assert!(named.contains("#/components/schemas/PullRequest"));
    for reference in named {
        let path = reference.strip_prefix('#').unwrap();
        assert!(openapi.pointer(path).is_some(), "{reference}");
    }
    let mut ids = BTreeSet::new();
    for (path, item) in openapi["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            let id = call["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{id} twice");
            assert!(call["summary"].as_str().is_some(), "{id}");
            assert!(call["responses"]["default"].is_object(), "{id}");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let path = path.replace("{address}", "nobody@letterlock.example");
            let url = format!("{}{}", world.url, path.replace("{id}", "00"));
            let answer = world.http.request(method, url).send().await.unwrap();
            let status = answer.status().as_u16();
            assert_ne!(status, 405, "{id}");
            let body = answer.bytes().await.unwrap();
            assert!(
                !body.windows(12).any(|text| text == b"unknown_call"),
                "{id}"
            );
            // What asks for a token is refused without one, and nothing else is.
            let asks = call["security"][0]["token"].is_array();
            let refused = body.windows(14).any(|text| text == b"\"unauthorized\"");
            assert_eq!((status == 401, refused), (asks, asks), "{id}");
        }
    }
    assert!(ids.len() >= 24, "{ids:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_person_reads_it_as_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let openapi = description(&world).await;
    let url = format!("{}/api/docs", world.url);
    let answer = world.http.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let page = answer.text().await.unwrap();
    for path in openapi["paths"].as_object().unwrap().keys() {
        assert!(page.contains(path.as_str()), "{path}");
    }
    for name in openapi["components"]["schemas"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
    }
    for link in page.split("href=\"#").skip(1) {
        let id = link.split('"').next().unwrap();
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    assert!(!page.contains('`') && !page.contains("crate::"));
    assert!(page.contains("429 with <code>Retry-After</code>"));
    assert!(!page.contains("<script") && !page.contains("http://"));
    world.stop().await;
}
