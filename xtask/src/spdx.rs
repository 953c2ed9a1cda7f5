//! Licence expressions, as crates state them: SPDX, or the older `MIT/Apache-2.0`.
//!
//! ```text
//! expression = term *( ("OR" / "/") term )
//! term       = factor *( "AND" factor )
//! factor     = "(" expression ")" / identifier [ "WITH" exception ]
//! ```

use std::collections::VecDeque;

/// Whether some choice that `expression` offers consists of licences in `allowed` alone.
///
/// An expression that can not be read satisfies nothing.
pub(crate) fn satisfied(expression: &str, allowed: &[String]) -> bool {
    let mut tokens = tokens(expression);
    let verdict = any_of(&mut tokens, allowed);
    verdict == Some(true) && tokens.is_empty()
}

fn tokens(expression: &str) -> VecDeque<String> {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    spaced.split_whitespace().map(str::to_owned).collect()
}

fn any_of(tokens: &mut VecDeque<String>, allowed: &[String]) -> Option<bool> {
    let mut verdict = all_of(tokens, allowed)?;
    while next_is(tokens, "OR") {
        // Not `||`, which would leave the right side unread.
        verdict |= all_of(tokens, allowed)?;
    }
    Some(verdict)
}

fn all_of(tokens: &mut VecDeque<String>, allowed: &[String]) -> Option<bool> {
    let mut verdict = factor(tokens, allowed)?;
    while next_is(tokens, "AND") {
        verdict &= factor(tokens, allowed)?;
    }
    Some(verdict)
}

fn factor(tokens: &mut VecDeque<String>, allowed: &[String]) -> Option<bool> {
    let token = tokens.pop_front()?;
    match token.as_str() {
        "(" => {
            let verdict = any_of(tokens, allowed)?;
            next_is(tokens, ")").then_some(verdict)
        }
        ")" | "AND" | "OR" | "WITH" => None,
        identifier => {
            let mut licence = identifier.to_owned();
            if next_is(tokens, "WITH") {
                licence = format!("{licence} WITH {}", tokens.pop_front()?);
            }
            Some(allowed.contains(&licence))
        }
    }
}

fn next_is(tokens: &mut VecDeque<String>, word: &str) -> bool {
    let found = tokens.front().is_some_and(|token| token == word);
    if found {
        tokens.pop_front();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
        let check = |expression, expected| {
            assert_eq!(satisfied(expression, &allowed), expected, "{expression}");
        };
        check("MIT", true);
        check("GPL-3.0-only", false);
        check("MIT OR GPL-3.0-only", true);
        check("GPL-3.0-only OR MIT", true);
        check("GPL-3.0/MIT", true);
        check("MIT AND GPL-3.0-only", false);
        check("MIT AND Zlib", true);
        check("MIT AND (Zlib OR GPL-3.0-only)", true);
        check("(MIT OR Zlib) AND GPL-3.0-only", false);
        check("Apache-2.0 WITH LLVM-exception", true);
        check("Apache-2.0", false);
        check("", false);
        check("MIT Zlib", false);
        check("(MIT", false);
        check("MIT OR", false);
    }
}
