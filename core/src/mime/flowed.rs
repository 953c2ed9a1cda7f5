//! Text whose lines may be put together (`format=flowed`, RFC 3676).
//!
//! Invariant: linear, and no longer than its input but for a space after quote marks. A line that
//! ends in a space goes on in the next if both are quoted equally deep; signature separators stand
//! alone (RFC 3676 4.3). Quoted lines are given back as `>> text`, with all their marks in front.
//! Rejected: giving depth and text apart; those who read, search and reply want plain text.

/// Puts the lines of each paragraph together. `delete_space` is whether the space at the end of a
/// line is no part of the text (`DelSp=yes`, RFC 3676 4.1).
pub(super) fn unflow(text: &str, delete_space: bool) -> String {
    let mut out = String::with_capacity(text.len());
    // Depth of the paragraph that the next line may continue.
    let mut open = None;
    for line in text.lines() {
        let content = line.trim_start_matches('>');
        let depth = line.len().saturating_sub(content.len());
        // RFC 3676 4.4, space-stuffing.
        let content = content.strip_prefix(' ').unwrap_or(content);
        let is_separator = content == "-- ";
        // An empty line is taken as one: programs leave spaces at the ends of paragraphs.
        if open != Some(depth) || is_separator || content.is_empty() {
            if open.is_some() {
                out.push('\n');
            }
            push_marks(depth, content, &mut out);
        }
        let flows = content.ends_with(' ') && !is_separator;
        let kept = match content.strip_suffix(' ') {
            Some(kept) if flows && delete_space => kept,
            _ => content,
        };
        out.push_str(kept);
        open = flows.then_some(depth);
        if open.is_none() {
            out.push('\n');
        }
    }
    if open.is_none() && !text.ends_with('\n') {
        out.pop();
    }
    out
}

/// Quote marks in front of a line. Text that itself begins with such a mark keeps the space that
/// tells it from a quotation.
fn push_marks(depth: usize, content: &str, out: &mut String) {
    out.extend(core::iter::repeat_n('>', depth));
    if depth > 0 && !content.is_empty() || content.starts_with('>') {
        out.push(' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(unflow(text, false), expected, "{text}");
    }

    #[test]
    fn paragraphs_are_put_together() {
        check("a \nb \nc\nd\n", "a b c\nd\n");
        check("a \n\nb\n", "a \n\nb\n");
        check("", "");
        check("\n", "\n");
        check("a", "a");
        check("a ", "a ");
        check("a \nb", "a b");
        // Quotations of two depths (RFC 3676 4.5).
        check(
            "> Who feeds the \n> heron? \n>> Nobody, as far \n>> as I know.\n",
            "> Who feeds the heron? \n>> Nobody, as far as I know.\n",
        );
    }

    #[test]
    fn spaces_that_were_put_in_are_taken_out() {
        check(
            " From me\n  indented\n > no quote\n",
            "From me\n indented\n > no quote\n",
        );
        check(">text\n> text\n>\n", "> text\n> text\n>\n");
        assert_eq!(unflow("日本 \n語 \n\nx y \n z\n", true), "日本語\n\nx yz\n");
    }

    #[test]
    fn signatures_stand_alone() {
        check("bye \n-- \nme \nhere\n", "bye \n-- \nme here\n");
        check("> bye \n> -- \n> me\n-- \n", "> bye \n> -- \n> me\n-- \n");
    }
}
