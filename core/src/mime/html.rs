//! HTML as plain text: for previews and for those who read mail as text.
//!
//! Invariant: the result has no markup and nothing of `title`, `style` and `script`; linear in the
//! input. This is not a sanitizer: its output is text and must be escaped where HTML is shown.
//! Rejected: a DOM parser; its size would go to every browser for two hundred characters.

/// Elements whose content is not text.
///
/// `head` is not among them: in mail it is often not closed, and what it has are these.
const HIDDEN: [&str; 5] = ["style", "script", "title", "template", "noscript"];
/// Elements that begin a new line.
const BLOCKS: [&str; 20] = [
    "br",
    "p",
    "div",
    "tr",
    "li",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "table",
    "ul",
    "ol",
    "hr",
    "blockquote",
    "pre",
    "section",
    "article",
    "td",
];
/// Longest element name looked at.
const MAX_NAME_OCTETS: usize = 16;
/// Longest character reference, without `&` and `;`.
const MAX_REFERENCE_OCTETS: usize = 10;

/// Takes the text out of HTML; white space is collapsed, blocks are separated by line feeds.
pub fn html_to_text(html: &str) -> String {
    let mut out = String::with_capacity(html.len() / 4);
    let mut rest = html;
    while let Some((text, markup)) = rest.split_once('<') {
        push_text(text, &mut out);
        rest = if let Some(comment) = markup.strip_prefix("!--") {
            comment.split_once("-->").map_or("", |(_, after)| after)
        } else if markup.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c)) {
            let (tag, after) = markup.split_once('>').unwrap_or((markup, ""));
            after_tag(tag, after, &mut out)
        } else {
            push_text("<", &mut out);
            markup
        };
    }
    push_text(rest, &mut out);
    out.trim().to_owned()
}

/// What follows a tag: past the content of hidden elements.
fn after_tag<'a>(tag: &str, after: &'a str, out: &mut String) -> &'a str {
    let name = element_name(tag);
    if name == "td" {
        push_space(out);
    } else if BLOCKS.contains(&name.as_str()) {
        push_line(out);
    }
    if !HIDDEN.contains(&name.as_str()) || tag.starts_with('/') || tag.ends_with('/') {
        return after;
    }
    let mut rest = after;
    while let Some((_, closing)) = rest.split_once("</") {
        if element_name(closing) == name {
            return closing.split_once('>').map_or("", |(_, after)| after);
        }
        rest = closing;
    }
    // Never closed: browsers hide the rest too.
    ""
}

fn element_name(tag: &str) -> String {
    let name = tag.strip_prefix('/').unwrap_or(tag);
    let octets = name.bytes().take(MAX_NAME_OCTETS);
    octets
        .take_while(u8::is_ascii_alphanumeric)
        .map(|o| char::from(o.to_ascii_lowercase()))
        .collect()
}

fn push_space(out: &mut String) {
    if !out.is_empty() && !out.ends_with([' ', '\n']) {
        out.push(' ');
    }
}

fn push_line(out: &mut String) {
    while out.ends_with(' ') {
        out.pop();
    }
    if !out.is_empty() && !out.ends_with("\n\n") {
        out.push('\n');
    }
}

/// Appends text with references decoded and white space collapsed.
fn push_text(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = after;
        let mut c = c;
        if c == '&'
            && let Some((decoded, after)) = reference(after)
        {
            c = decoded;
            rest = after;
        }
        if c.is_whitespace() {
            push_space(out);
        } else if !c.is_control() && !is_invisible(c) {
            out.push(c);
        }
    }
}

/// Characters that newsletters fill their previews with.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
    )
}

/// A character reference after its `&`: the character and what follows.
fn reference(text: &str) -> Option<(char, &str)> {
    let end = text
        .bytes()
        .take(MAX_REFERENCE_OCTETS)
        .position(|o| o == b';')?;
    let name = text.get(..end)?;
    let after = text.get(end.checked_add(1)?..)?;
    let decoded = if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        char::from_u32(code)?
    } else {
        NAMED.iter().find(|(n, _)| *n == name).map(|(_, c)| *c)?
    };
    Some((decoded, after))
}

/// The references that mail uses; others stay as they are.
const NAMED: [(&str, char); 46] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("eacute", 'é'),
    ("egrave", 'è'),
    ("ecirc", 'ê'),
    ("agrave", 'à'),
    ("aacute", 'á'),
    ("acirc", 'â'),
    ("ccedil", 'ç'),
    ("ntilde", 'ñ'),
    ("oacute", 'ó'),
    ("iacute", 'í'),
    ("uacute", 'ú'),
    ("aring", 'å'),
    ("oslash", 'ø'),
    ("aelig", 'æ'),
    ("euro", '€'),
    ("pound", '£'),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("deg", '°'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("hellip", '…'),
    ("bull", '•'),
    ("middot", '·'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("zwnj", '\u{200c}'),
    ("shy", '\u{ad}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(html: &str, expected: &str) {
        assert_eq!(html_to_text(html), expected, "{html}");
    }

    #[test]
    fn text_is_what_is_shown() {
        check("<p>a  b</p><p>c<br>d", "a b\n\nc\nd");
        check(
            "<html><head><title>t</title><style>x{}</style></head><body>hi</body>",
            "hi",
        );
        check(
            "1 &lt; 2 &amp;&#32;&#x41; &unknown; &",
            "1 < 2 & A &unknown; &",
        );
        check("a<!-- <b> -->b<script>if (a</b) x</script>c", "abc");
        check("<table><tr><td>1<td>2<tr><td>3</table>", "1 2\n3");
        check("a < b <3", "a < b <3");
        check("<head>no end", "no end");
        check("open <b", "open");
        check("", "");
    }

    #[test]
    fn hostile_input_costs_no_square() {
        assert_eq!(html_to_text(&"<script></".repeat(20_000)), "");
        assert_eq!(html_to_text(&"<title></x>".repeat(20_000)), "");
    }
}
