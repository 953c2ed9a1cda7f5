//! Attack 5 of the project's list: a letter that draws what the program says of it (Johnny, you
//! are fired: U1). What a letter brings stays in a frame of its own; what the page says of its
//! protection stands outside, once, and is not the letter's.

use super::*;
use crate::html::sanitize;

/// What a letter may try to draw: the seal and the words of a good signature.
const IMITATIONS: [&str; 6] = [
    "<details class=\"protection protection-sealed\"><summary data-testid=\"protection\" \
     data-seal=\"sealed\">Encrypted, and signed by alice</summary></details>",
    "<div id=\"reader-head\"><h1 data-testid=\"message-subject\">Signed</h1></div>",
    "<dialog open>Signed by alice</dialog>",
    "<svg class=\"seal\"><text>Signed by alice</text></svg>",
    "<div role=\"status\" aria-live=\"assertive\">Signed by alice</div>",
    "<button popovertarget=x>Signed</button><div id=x popover>by alice</div>",
];

/// How it may try to put that where the page draws.
const WAYS: [(&str, &str); 12] = [
    (
        "<div style=\"position:fixed;top:0;left:0;z-index:9999\">",
        "</div>",
    ),
    ("<div style=\"position:absolute;top:-300px\">", "</div>"),
    ("<div style=\"transform:translateY(-300px)\">", "</div>"),
    ("<div style=\"inset:0;position:sticky\">", "</div>"),
    ("</body></html>\"></iframe>", ""),
    ("&quot;&gt;&lt;/iframe&gt;", ""),
    (
        "<base target=\"_top\"><meta http-equiv=\"refresh\" content=\"0;url=/\">",
        "",
    ),
    ("<style>body{position:fixed;inset:0}</style>", ""),
    ("<link rel=stylesheet href=/app.css>", ""),
    ("<iframe srcdoc=\"", "\"></iframe>"),
    ("<template shadowrootmode=open>", "</template>"),
    ("<form action=/ target=_parent>", "</form>"),
];

/// What would draw elsewhere, borrow the page's looks, or load.
const FORBIDDEN: [&str; 21] = [
    "position",
    "z-index",
    "transform",
    "inset",
    "<style",
    "<link",
    "<iframe",
    "<base",
    "<meta",
    "<form",
    "<dialog",
    "<svg",
    "<template",
    "popover",
    " class=",
    " id=",
    "data-testid",
    "role=",
    "<button",
    "<details class",
    "<script",
];

/// The tags of the letter, without the head that is ours and without text.
fn tags(document: &str) -> String {
    let (_, body) = document.split_once("<body").expect("a body");
    let mut tags = String::new();
    for piece in body.split('<').skip(1) {
        tags.push('<');
        tags.push_str(piece.split('>').next().unwrap_or_default());
        tags.push('>');
    }
    tags
}

/// The page without what stands in the letter's frame.
fn outside(page: &str) -> String {
    let (before, frame) = page.split_once("<iframe").expect("a frame");
    let (_, after) = frame.split_once("</iframe>").expect("its end");
    [before, after].concat()
}

#[test]
fn attack_05_a_letter_cannot_draw_the_pages_words() {
    let mut members = 0;
    let mut quiet = None;
    for imitation in IMITATIONS {
        for (before, after) in WAYS {
            let clean = sanitize(&[before, imitation, after].concat(), Vec::new());
            let tags = tags(&clean.document);
            for forbidden in FORBIDDEN {
                assert!(!tags.contains(forbidden), "{forbidden}: {tags}");
            }
            let mut mail = sample_mail();
            let Reader::Open(message) = &mut mail.reader else {
                panic!("the sample has an open letter");
            };
            message.body = Body::Html {
                document: clean.document,
                blocked: 0,
                text: String::new(),
            };
            let page = html(&model(Screen::Mail(Box::new(mail))));
            assert_eq!(page.matches("<iframe").count(), 1);
            assert_eq!(page.matches("allow-top-navigation").count(), 0);
            // Whatever the letter says, the page around it is the same.
            let around = outside(&page);
            assert_eq!(around.matches("data-testid=\"protection\"").count(), 1);
            assert_eq!(quiet.get_or_insert_with(|| around.clone()), &around);
            members += 1;
        }
    }
    assert_eq!(members, 6 * 12);
}
