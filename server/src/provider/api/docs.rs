//! The API's description, made from the code: for programs as OpenAPI 3.1, for people as a page.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse as _};
use axum::routing::get;
use letterlock_core::sync::wire::ErrorBody;
use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, Modify};

use super::error::ApiError;

/// What every call has in common.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Letterlock provider",
        description = "What a device asks of its provider. The provider stores sealed documents and \
            can open none of them: how they are sealed is the device's business. Whoever writes a \
            client begins with `letterlock_core`, which has both sides of every call."
    ),
    components(schemas(ErrorBody)),
    tags(
        (name = "accounts", description = "Sign-up, with OPAQUE (RFC 9807)."),
        (name = "sessions", description = "Log-in and log-out of a device."),
        (name = "account", description = "Password, recovery phrase, devices and the end."),
        (name = "sync", description = "Sealed documents, incoming and outgoing mail; bodies are \
            CBOR (RFC 8949)."),
        (name = "keys", description = "The certificates of addresses."),
        (name = "directory", description = "The same, as a log that proves its answers; for \
            everybody."),
        (name = "health", description = "For whoever runs the provider.")
    ),
    modifiers(&BearerToken)
)]
pub(super) struct ApiDocs;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, openapi: &mut OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "The token of a log-in; each speaks about its account alone.",
            ));
        let components = openapi.components.get_or_insert_with(Default::default);
        components.add_security_scheme("token", SecurityScheme::Http(scheme.build()));
    }
}

/// Every call may fail with an [`ErrorBody`].
impl IntoResponses for ApiError {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let content = utoipa::openapi::ContentBuilder::new()
            .schema(Some(utoipa::openapi::Ref::from_schema_name("ErrorBody")))
            .build();
        let response = ResponseBuilder::new()
            .description("An error, with a stable code.")
            .content("application/json", content);
        BTreeMap::from([("default".to_owned(), response.build().into())])
    }
}

/// `/api/docs` and `/api/docs/openapi.json`.
pub(super) fn router<S: Clone + Send + Sync + 'static>(description: &OpenApi) -> Router<S> {
    // Neither fails: the description is made of strings, and both are tested.
    let json = description.to_json().unwrap_or_default();
    let page = Page::of(&serde_json::from_str(&json).unwrap_or_default());
    let page = page.render().unwrap_or_default();
    let json = async move || ([(header::CONTENT_TYPE, "application/json")], json).into_response();
    Router::new()
        .route("/api/docs", get(async move || Html(page)))
        .route("/api/docs/openapi.json", get(json))
}

/// The description as a page.
#[derive(Template)]
#[template(path = "api_docs.html")]
struct Page {
    title: String,
    version: String,
    description: Prose,
    groups: Vec<Group>,
    schemas: Vec<Schema>,
}

struct Group {
    name: String,
    description: Prose,
    calls: Vec<Call>,
}

struct Call {
    id: String,
    method: String,
    path: String,
    summary: Prose,
    description: Prose,
    needs_token: bool,
    parameters: Vec<Field>,
    request: Option<Body>,
    responses: Vec<Answer>,
}

struct Body {
    media_type: String,
    schema: Type,
}

struct Answer {
    status: String,
    description: Prose,
    body: Option<Body>,
}

struct Schema {
    name: String,
    description: Prose,
    /// What it is, if it is no object with fields.
    is: Option<Type>,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    schema: Type,
    required: bool,
    description: Prose,
}

/// A doc comment as HTML.
type Prose = String;

/// A type in words, with the schema that it links to.
struct Type {
    text: String,
    link: Option<String>,
}

impl Page {
    fn of(openapi: &Value) -> Self {
        let tags = items(&openapi["tags"]);
        Self {
            title: text(at(openapi, "/info/title")),
            version: text(at(openapi, "/info/version")),
            description: prose(at(openapi, "/info/description")),
            groups: tags.map(|tag| Group::of(tag, &openapi["paths"])).collect(),
            schemas: entries(at(openapi, "/components/schemas"))
                .map(|(name, schema)| Schema::of(name, schema))
                .collect(),
        }
    }
}

impl Group {
    fn of(tag: &Value, paths: &Value) -> Self {
        let calls = entries(paths).flat_map(|(path, item)| {
            let methods = entries(item);
            methods.map(move |(method, call)| (path, method, call))
        });
        let ours =
            calls.filter(|(_, _, call)| items(&call["tags"]).any(|name| *name == tag["name"]));
        Self {
            name: text(&tag["name"]),
            description: prose(&tag["description"]),
            calls: ours
                .map(|(path, method, call)| Call::of(path, method, call))
                .collect(),
        }
    }
}

impl Call {
    fn of(path: &str, method: &str, call: &Value) -> Self {
        let answer = |(status, response): (&str, &Value)| Answer {
            status: status.to_owned(),
            description: prose(&response["description"]),
            body: Body::of(&response["content"]),
        };
        Self {
            id: text(&call["operationId"]),
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: prose(&call["summary"]),
            description: prose(&call["description"]),
            needs_token: items(&call["security"]).next().is_some(),
            parameters: items(&call["parameters"]).map(Field::parameter).collect(),
            request: Body::of(at(call, "/requestBody/content")),
            responses: entries(&call["responses"]).map(answer).collect(),
        }
    }
}

impl Body {
    fn of(content: &Value) -> Option<Self> {
        let (media_type, content) = entries(content).next()?;
        Some(Self {
            media_type: media_type.to_owned(),
            schema: Type::of(&content["schema"]),
        })
    }
}

impl Schema {
    fn of(name: &str, schema: &Value) -> Self {
        let required = |field: &str| items(&schema["required"]).any(|name| name == field);
        let fields = entries(&schema["properties"]);
        let fields: Vec<Field> = fields
            .map(|(name, field)| Field {
                name: name.to_owned(),
                schema: Type::of(field),
                required: required(name),
                description: prose(&field["description"]),
            })
            .collect();
        Self {
            name: name.to_owned(),
            description: prose(&schema["description"]),
            is: fields.is_empty().then(|| Type::of(schema)),
            fields,
        }
    }
}

impl Field {
    fn parameter(parameter: &Value) -> Self {
        Self {
            name: text(&parameter["name"]),
            schema: Type::of(&parameter["schema"]),
            required: parameter["required"] == true,
            description: prose(&parameter["description"]),
        }
    }
}

impl Type {
    fn of(schema: &Value) -> Self {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or(reference);
            return Self {
                text: name.to_owned(),
                link: Some(name.to_owned()),
            };
        }
        for (choice, word) in [("oneOf", " or "), ("allOf", " and ")] {
            let choices: Vec<Self> = items(&schema[choice]).map(Self::of).collect();
            if !choices.is_empty() {
                let texts: Vec<&str> = choices.iter().map(|one| one.text.as_str()).collect();
                return Self {
                    text: texts.join(word),
                    link: choices.iter().find_map(|one| one.link.clone()),
                };
            }
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
            kind => text(kind),
        };
        match kind.as_str() {
            "array" => {
                let item = Self::of(&schema["items"]);
                Self {
                    text: format!("array of {}", item.text),
                    link: item.link,
                }
            }
            "object" => Self::object(schema),
            _ => Self {
                text: match (schema["format"].as_str(), enumerated(schema)) {
                    (_, Some(values)) => values,
                    (Some(format), None) => format!("{kind} ({format})"),
                    (None, None) => kind,
                },
                link: None,
            },
        }
    }

    fn object(schema: &Value) -> Self {
        let fields: Vec<(String, Self)> = entries(&schema["properties"])
            .map(|(name, field)| (name.to_owned(), Self::of(field)))
            .collect();
        let texts = fields
            .iter()
            .map(|(name, kind)| format!("{name}: {}", kind.text));
        Self {
            text: format!("{{ {} }}", texts.collect::<Vec<_>>().join(", ")),
            link: fields.into_iter().find_map(|(_, kind)| kind.link),
        }
    }
}

fn enumerated(schema: &Value) -> Option<String> {
    let values: Vec<String> = items(&schema["enum"])
        .map(|value| format!("\"{}\"", text(value)))
        .collect();
    (!values.is_empty()).then(|| values.join(" or "))
}

/// What stands at a JSON pointer (RFC 6901), or null.
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Markdown as our doc comments have it: code between backticks, of which a link to an item of the
/// program keeps the item's name.
fn prose(value: &Value) -> Prose {
    let escaped = text(value)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let mut pieces = escaped.split("`](");
    let mut unlinked = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece.split_once(')').map_or("", |(_, rest)| rest);
        unlinked.push('`');
        unlinked.push_str(rest);
    }
    let unlinked = unlinked.replace("[`", "`").replace("`]", "`");
    let mut html = String::new();
    for (index, piece) in unlinked.split('`').enumerate() {
        if index % 2 == 0 {
            html.push_str(piece);
        } else {
            let name = piece.rsplit("::").next().unwrap_or(piece);
            html.push_str("<code>");
            html.push_str(name);
            html.push_str("</code>");
        }
    }
    html
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.as_str(), value))
}
