//! Rust source as tidy reads it: code without comments, strings and tests, and every `use`
//! written out in full.
//!
//! A lexer of the few tokens that matter, not a parser: `syn` would be the largest dependency of
//! the first thing that is compiled in a fresh clone.

/// One source file.
#[derive(Debug)]
pub(crate) struct RustSource {
    /// Relative to the top of the clone, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// `text` with comments and the content of strings blanked; lines stay where they are.
    pub(crate) code: String,
    /// `code` with everything under `#[cfg(test)]` blanked too; empty for a file of tests.
    pub(crate) shipped: String,
}

impl RustSource {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = without_comments(text);
        let of_tests = path.starts_with("tests/")
            || path.contains("/tests/")
            || path.contains("_tests/")
            || path.ends_with("/tests.rs")
            || path.ends_with("_tests.rs");
        let shipped = if of_tests {
            String::new()
        } else {
            without_tests(&code)
        };
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            shipped,
        }
    }
}

/// The number of the line on which the byte at `offset` stands.
pub(crate) fn line_of(code: &str, offset: usize) -> usize {
    code.bytes()
        .take(offset)
        .filter(|&byte| byte == b'\n')
        .count()
        + 1
}

/// Every path that a `use` of `code` brings in, groups written out, with its offset.
pub(crate) fn used_paths(code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for (offset, _) in code.match_indices("use ") {
        if code
            .get(..offset)
            .is_some_and(|before| before.ends_with(is_name))
        {
            continue;
        }
        let statement = code.get(offset + 4..).and_then(|rest| rest.split_once(';'));
        if let Some((tree, _)) = statement {
            let packed: String = tree.split_whitespace().collect::<Vec<_>>().join(" ");
            expand("", &packed, &mut |path| paths.push((offset, path)));
        }
    }
    paths
}

/// Writes out one use tree: `a::{b, c::{d}}` is `a::b` and `a::c::d`.
fn expand(prefix: &str, tree: &str, found: &mut impl FnMut(String)) {
    let tree = tree.trim();
    let Some((head, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        if !path.is_empty() {
            found(format!("{prefix}{path}"));
        }
        return;
    };
    let group = group.strip_suffix('}').unwrap_or(group);
    let prefix = format!("{prefix}{}", head.trim());
    let mut depth = 0_usize;
    let mut start = 0;
    for (offset, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                expand(&prefix, group.get(start..offset).unwrap_or_default(), found);
                start = offset + 1;
            }
            _ => {}
        }
    }
    expand(&prefix, group.get(start..).unwrap_or_default(), found);
}

pub(crate) fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Blanks comments and the content of string and character literals.
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_name = code.ends_with(is_name);
        let (kept, blanked) = token(rest, first, after_name);
        let (token, tail) = rest.split_at(kept + blanked);
        let (head, content) = token.split_at(kept);
        code.push_str(head);
        code.extend(content.chars().map(blank));
        rest = tail;
    }
    code
}

/// How many bytes of the next token stay, and how many after them are blanked.
fn token(rest: &str, first: char, after_name: bool) -> (usize, usize) {
    if rest.starts_with("//") {
        return (0, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (0, block_comment(rest));
    }
    if !after_name && let Some(length) = raw_string(rest) {
        return (0, length);
    }
    match first {
        '"' => (1, quoted(rest, '"')),
        '\'' if is_character(rest) => (1, quoted(rest, '\'')),
        other => (other.len_utf8(), 0),
    }
}

/// The length of a block comment, which may contain others.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut offset = 0;
    while let Some(tail) = rest.get(offset..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            depth += 1;
            offset += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            offset += 2;
        } else {
            offset += tail.chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            return offset;
        }
    }
    rest.len()
}

/// The length of a raw string (`r"..."`, `br#"..."#`), if one begins here.
fn raw_string(rest: &str) -> Option<usize> {
    let start = rest.strip_prefix("br").or_else(|| rest.strip_prefix("r"))?;
    let hashes: String = start
        .chars()
        .take_while(|&character| character == '#')
        .collect();
    let content = start.strip_prefix(&hashes)?.strip_prefix('"')?;
    let end = format!("\"{hashes}");
    let length = content
        .find(&end)
        .map_or(content.len(), |position| position + end.len());
    Some(rest.len() - content.len() + length)
}

/// The length of what follows the opening quote, the closing one included.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return offset,
            _ => {}
        }
    }
    rest.len() - 1
}

/// Whether the quote begins a character (`'a'`, `'\n'`) and not a lifetime (`'a`).
fn is_character(rest: &str) -> bool {
    let mut following = rest.chars().skip(1);
    match following.next() {
        Some('\\') => true,
        Some(_) => following.next() == Some('\''),
        None => false,
    }
}

/// Blanks every item under `#[cfg(test)]`: up to its closing brace, or its semicolon.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut shipped = String::with_capacity(code.len());
    let mut rest = code;
    while let Some((before, after)) = rest.split_once(MARK) {
        shipped.push_str(before);
        let length = item(after);
        let (tests, tail) = after.split_at(length);
        shipped.extend(MARK.chars().chain(tests.chars()).map(blank));
        rest = tail;
    }
    shipped.push_str(rest);
    shipped
}

/// The length of the item that begins here; attributes belong to it.
fn item(code: &str) -> usize {
    let mut depth = 0_usize;
    for (offset, character) in code.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ';' => {}
            _ => continue,
        }
        if depth == 0 {
            return offset + 1;
        }
    }
    code.len()
}

fn blank(character: char) -> char {
    if character == '\n' { '\n' } else { ' ' }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(code: &str) -> Vec<&str> {
        code.split_whitespace().collect()
    }

    #[test]
    fn comments_and_strings_are_blanked() {
        let check = |text: &str, expected: &[&str]| {
            let code = without_comments(text);
            assert_eq!(words(&code), expected, "{text}");
            assert_eq!(code.lines().count(), text.lines().count(), "{text}");
        };
        check("a // b\nc", &["a", "c"]);
        check("a /* b /* c */ d */ e", &["a", "e"]);
        check("a(\"b // c\") d", &["a(\"", ")", "d"]);
        check(r#"a "b \" c" d"#, &["a", "\"", "d"]);
        check("a r#\"b \" c\"# d", &["a", "d"]);
        check("a br\"b\" d", &["a", "d"]);
        check(
            "for x in r { '\"' } y",
            &["for", "x", "in", "r", "{", "'", "}", "y"],
        );
        check("f::<'a>(b)", &["f::<'a>(b)"]);
        check("'\\'' a", &["'", "a"]);
        check("a \"b\n c\" d", &["a", "\"", "d"]);
    }

    #[test]
    fn tests_are_blanked() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(
                words(&RustSource::new("core/src/a.rs", text).shipped),
                expected,
                "{text}"
            );
        };
        check(
            "a\n#[cfg(test)]\nmod tests { fn b() { c } }\nd",
            &["a", "d"],
        );
        check("#[cfg(test)] use b::c; d", &["d"]);
        check("#[cfg(test)]\n#[expect(x)]\nfn b() {} d", &["d"]);
        check("#[cfg(test)] mod tests;", &[]);
        assert_eq!(RustSource::new("core/src/a/tests.rs", "a").shipped, "");
        assert_eq!(RustSource::new("core/src/a/gpg_tests.rs", "a").shipped, "");
        assert_eq!(RustSource::new("core/tests/a.rs", "a").shipped, "");
    }

    #[test]
    fn uses_are_written_out() {
        let check = |code: &str, expected: &[&str]| {
            let paths: Vec<String> = used_paths(code).into_iter().map(|(_, path)| path).collect();
            assert_eq!(paths, expected, "{code}");
        };
        check("use a::b;", &["a::b"]);
        check("pub(crate) use a::b as c;", &["a::b"]);
        check(
            "use a::{b, c::{d, e as f}, self};",
            &["a::b", "a::c::d", "a::c::e", "a::self"],
        );
        check("use {\n    a::b,\n    c,\n};", &["a::b", "c"]);
        check("let reuse = 1;", &[]);
        check("fn f() { use a::*; }", &["a::*"]);
    }

    #[test]
    fn lines_are_counted_from_one() {
        assert_eq!(line_of("a\nb\nc", 0), 1);
        assert_eq!(line_of("a\nb\nc", 4), 3);
    }
}
