//! Mail HTML made safe: an allow-list of elements and attributes, and no remote loads.
//!
//! Runs in the worker. What comes out is a whole document for a sandboxed frame (no scripts, no
//! forms, an origin of its own) that also forbids by its own policy what the list should have
//! dropped. So three things would have to fail for a message to run a script or to tell its
//! sender that it was opened: this list, the frame's sandbox and the policy.
//!
//! - Images are shown only if they are part of the message (`cid:`, RFC 2392) or inside it
//!   (`data:`); everything that would be fetched is left out and counted.
//! - Inline styles keep a list of harmless properties without `url()`; style sheets are dropped.
//! - Links keep `http`, `https` and `mailto` and open a window that knows nothing of this one.
//!
//! Rejected: "show images" as a choice. Loading them from here tells the sender when, where and
//! by whom the message was read, and the page's policy allows no request to strangers.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use ammonia::{Builder, UrlRelative};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Largest HTML that is sanitised, in octets; what is longer is cut.
pub const MAX_HTML_OCTETS: usize = 4 * 1024 * 1024;
/// Most octets of inline images that one document carries.
pub const MAX_INLINE_OCTETS: usize = 16 * 1024 * 1024;

/// A part of the message that its HTML may show.
#[derive(Debug, Clone)]
pub struct InlineImage {
    /// The Content-ID without angle brackets.
    pub content_id: String,
    /// The media type; shown only if it is one of [`IMAGE_TYPES`].
    pub media_type: String,
    /// The decoded image.
    pub octets: Vec<u8>,
}

/// Image types that are shown; SVG is not one of them, since it is a document.
pub const IMAGE_TYPES: [&str; 5] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/bmp",
];

/// A sanitised document.
#[derive(Debug, PartialEq, Eq)]
pub struct Clean {
    /// A whole document.
    pub document: String,
    /// How many remote images and the like were left out.
    pub blocked: u32,
}

const HEAD: &str = "<!doctype html><html><head><meta charset=\"utf-8\">\
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
style-src 'unsafe-inline'\"><meta name=\"referrer\" content=\"no-referrer\">\
<base target=\"_blank\"></head><body style=\"margin:0;padding:4px 2px 24px;background:#fff;\
color:#221e19;color-scheme:light;font:16px/1.55 system-ui,sans-serif;overflow-wrap:anywhere\">";
const TAIL: &str = "</body></html>";

/// Makes a message's HTML safe to show in a sandboxed frame.
pub fn sanitize(html: &str, images: Vec<InlineImage>) -> Clean {
    let mut end = html.len().min(MAX_HTML_OCTETS);
    while !html.is_char_boundary(end) {
        end -= 1;
    }
    let blocked = Arc::new(AtomicU32::new(0));
    let budget = AtomicUsize::new(MAX_INLINE_OCTETS);
    let gate = Gate {
        images,
        budget,
        blocked: Arc::clone(&blocked),
    };
    let body = clean(html.get(..end).unwrap_or_default(), gate);
    Clean {
        document: [HEAD, &body, TAIL].concat(),
        blocked: blocked.load(Ordering::Relaxed),
    }
}

/// Style properties that cannot load anything nor leave their place.
const STYLE_PROPERTIES: [&str; 46] = [
    "background-color",
    "border",
    "border-bottom",
    "border-bottom-color",
    "border-bottom-style",
    "border-bottom-width",
    "border-collapse",
    "border-color",
    "border-left",
    "border-radius",
    "border-right",
    "border-spacing",
    "border-style",
    "border-top",
    "border-width",
    "clear",
    "color",
    "direction",
    "display",
    "float",
    "font",
    "font-family",
    "font-size",
    "font-style",
    "font-variant",
    "font-weight",
    "height",
    "letter-spacing",
    "line-height",
    "list-style-type",
    "margin",
    "margin-bottom",
    "margin-left",
    "margin-right",
    "margin-top",
    "max-width",
    "padding",
    "padding-bottom",
    "padding-left",
    "padding-right",
    "padding-top",
    "text-align",
    "text-decoration",
    "vertical-align",
    "white-space",
    "width",
];

/// Decides over the attributes that name something to load, link to, or style with.
struct Gate {
    images: Vec<InlineImage>,
    budget: AtomicUsize,
    blocked: Arc<AtomicU32>,
}

impl Gate {
    fn attribute(&self, element: &str, name: &str, value: &str) -> Option<String> {
        match name {
            "src" if element == "img" => self.image(value),
            "src" | "srcset" | "background" | "poster" => self.block(),
            "href" | "cite" => link(value),
            "style" => self.style(value),
            _ => Some(value.to_owned()),
        }
    }

    fn image(&self, value: &str) -> Option<String> {
        let value = value.trim();
        let lower = value
            .get(..value.len().min(64))
            .unwrap_or(value)
            .to_ascii_lowercase();
        if lower.starts_with("data:") {
            let shown = |kind: &str| lower.starts_with(&format!("data:{kind};base64,"));
            return IMAGE_TYPES.into_iter().any(shown).then(|| value.to_owned());
        }
        if !lower.starts_with("cid:") {
            return self.block();
        }
        let id = percent_decode(value.get(4..)?);
        let image = self.images.iter().find(|image| image.content_id == id)?;
        let kind = IMAGE_TYPES
            .iter()
            .find(|kind| kind.eq_ignore_ascii_case(&image.media_type))?;
        let left = self
            .budget
            .load(Ordering::Relaxed)
            .checked_sub(image.octets.len())?;
        self.budget.store(left, Ordering::Relaxed);
        Some(format!(
            "data:{kind};base64,{}",
            STANDARD.encode(&image.octets)
        ))
    }

    fn style(&self, value: &str) -> Option<String> {
        let lower = value.to_ascii_lowercase();
        // A backslash could spell a name that is looked for here in another way.
        let loads = ["url(", "image-set(", "expression(", "\\"];
        if loads.iter().any(|name| lower.contains(name)) {
            return self.block();
        }
        Some(value.to_owned())
    }

    fn block<T>(&self) -> Option<T> {
        self.blocked.fetch_add(1, Ordering::Relaxed);
        None
    }
}

fn link(value: &str) -> Option<String> {
    let scheme = value
        .split(':')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    ["http", "https", "mailto"]
        .contains(&scheme.as_str())
        .then(|| value.to_owned())
}

/// RFC 3986 2.1; what is no escape stays.
fn percent_decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = (first == b'%').then(|| tail.get(..2)).flatten();
        let octet = hex
            .and_then(|digits| core::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(octet) = octet {
            out.push(octet);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            out.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn clean(html: &str, gate: Gate) -> String {
    let mut builder = Builder::default();
    builder
        .add_tags([
            "font", "center", "big", "tt", "address", "section", "article", "main",
        ])
        .add_generic_attributes([
            "style", "align", "valign", "bgcolor", "width", "height", "dir",
        ])
        .add_tag_attributes("font", ["color", "face", "size"])
        .add_tag_attributes(
            "table",
            ["border", "cellpadding", "cellspacing", "background"],
        )
        .add_tag_attributes("td", ["background"])
        .add_tag_attributes("img", ["srcset"])
        .set_tag_attribute_value("img", "style", "max-width:100%;height:auto")
        .url_schemes(HashSet::from(["http", "https", "mailto", "cid", "data"]))
        .url_relative(UrlRelative::Deny)
        .filter_style_properties(STYLE_PROPERTIES.into_iter().collect())
        .attribute_filter(move |element, name, value| {
            gate.attribute(element, name, value).map(Cow::Owned)
        });
    builder.clean(html).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(html: &str) -> String {
        let clean = sanitize(html, Vec::new()).document;
        clean
            .strip_prefix(HEAD)
            .unwrap()
            .strip_suffix(TAIL)
            .unwrap()
            .to_owned()
    }

    #[test]
    fn nothing_runs() {
        for payload in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "<svg onload=alert(1)><script>alert(1)</script></svg>",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<a href=\"  JaVaScRiPt:alert(1)\">x</a>",
            "<a href=\"java\nscript:alert(1)\">x</a>",
            "<a href=\"data:text/html,<script>alert(1)</script>\">x</a>",
            "<iframe src=\"https://evil.example\"></iframe>",
            "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>",
            "<object data=\"evil.swf\"></object><embed src=\"evil.swf\">",
            "<form action=\"https://evil.example\"><input name=password></form>",
            "<meta http-equiv=refresh content=\"0;url=https://evil.example\">",
            "<base href=\"https://evil.example/\">",
            "<link rel=stylesheet href=\"https://evil.example/x.css\">",
            "<style>@import 'https://evil.example/x.css';</style>",
            "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style>",
            "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
            "<div style=\"background:url(javascript:alert(1))\">x</div>",
            "<div style=\"width:expression(alert(1))\">x</div>",
            "</body></html><script>alert(1)</script>",
        ] {
            let out = body(payload).to_ascii_lowercase();
            // Text that only looks like code may stay, escaped: tags and attributes may not.
            for bad in [
                "<script",
                " onerror=",
                " onload=",
                "href=\"javascript",
                "href=\"java",
                "<iframe",
                "<object",
                "<embed",
                "<form",
                "<input",
                "<meta",
                "<base",
                "<link",
                "<style",
                "<svg",
                "url(",
                "expression(",
                "href=\"data",
            ] {
                let tags = out.split_once('<').map(|(_, tags)| format!("<{tags}"));
                assert!(
                    !tags.unwrap_or_default().contains(bad),
                    "{payload} gave {out}"
                );
            }
        }
    }

    #[test]
    fn nothing_is_fetched_and_what_is_left_out_is_counted() {
        for (html, blocked) in [
            ("<img src=\"https://tracker.example/1.gif\">", 1),
            (
                "<img src=\"http://a.example/a\" srcset=\"https://a.example/b 2x\">",
                2,
            ),
            (
                "<table background=\"https://a.example/b\"><tr><td>x</td></tr></table>",
                1,
            ),
            ("<p style=\"background:url(https://a.example/b)\">x</p>", 1),
            (
                "<p style=\"background:u\\72l(https://a.example/b)\">x</p>",
                1,
            ),
            ("<p style=\"color:red\">x</p>", 0),
        ] {
            let clean = sanitize(html, Vec::new());
            assert_eq!(clean.blocked, blocked, "{html}");
            assert!(
                !clean.document.contains("a.example"),
                "{html}: {}",
                clean.document
            );
            assert!(!clean.document.contains("tracker"), "{html}");
        }
    }

    #[test]
    fn what_is_harmless_stays() {
        let html = "<h1>Hello</h1><p style=\"color:#ff0000;position:fixed\">you</p>\
                    <a href=\"https://letterlock.example/\">there</a>";
        assert_eq!(
            body(html),
            "<h1>Hello</h1><p style=\"color:#ff0000\">you</p>\
             <a href=\"https://letterlock.example/\" rel=\"noopener noreferrer\">there</a>"
        );
    }

    #[test]
    fn an_image_of_the_message_is_shown() {
        let image = |media_type: &str| InlineImage {
            content_id: "a b@letterlock.example".to_owned(),
            media_type: media_type.to_owned(),
            octets: b"PNG".to_vec(),
        };
        let html = "<img src=\"cid:a%20b@letterlock.example\">";
        let shown = sanitize(html, vec![image("image/png")]);
        assert!(
            shown
                .document
                .contains("src=\"data:image/png;base64,UE5H\""),
            "{shown:?}"
        );
        assert_eq!(shown.blocked, 0);
        for (kind, html) in [
            ("image/svg+xml", html),
            ("text/html", html),
            ("image/png", "<img src=\"cid:other\">"),
            (
                "image/png",
                "<img src=\"data:image/svg+xml;base64,PHN2Zz4=\">",
            ),
        ] {
            let clean = sanitize(html, vec![image(kind)]);
            assert!(!clean.document.contains("src="), "{kind} {html}");
        }
    }
}
