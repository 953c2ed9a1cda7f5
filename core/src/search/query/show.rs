//! A query in the form in which it would be typed.

use core::fmt::{self, Display, Formatter, Write as _};

use super::parse::{filter_name, is_quote, show_size};
use super::{Date, Node, Query};
use crate::search::document::Field;

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.root {
            Node::And(nodes) => joined(nodes, " ", f, clause),
            node => clause(node, f),
        }
    }
}

fn joined(
    nodes: &[Node],
    between: &str,
    f: &mut Formatter<'_>,
    each: impl Fn(&Node, &mut Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    for (nth, node) in nodes.iter().enumerate() {
        if nth > 0 {
            f.write_str(between)?;
        }
        each(node, f)?;
    }
    Ok(())
}

fn clause(node: &Node, f: &mut Formatter<'_>) -> fmt::Result {
    match node {
        Node::Or(nodes) => joined(nodes, " OR ", f, term),
        node => term(node, f),
    }
}

fn term(node: &Node, f: &mut Formatter<'_>) -> fmt::Result {
    match node {
        Node::And(nodes) => {
            f.write_char('(')?;
            joined(nodes, " ", f, clause)?;
            f.write_char(')')
        }
        Node::Or(_) => {
            f.write_char('(')?;
            clause(node, f)?;
            f.write_char(')')
        }
        Node::Not(inner) => {
            f.write_char('-')?;
            term(inner, f)
        }
        Node::Words {
            field,
            text,
            prefix,
        } => {
            if let Some(field) = field {
                write!(f, "{}:", name(*field))?;
            }
            value(text, field.is_none(), f)?;
            f.write_str(if *prefix { "*" } else { "" })
        }
        Node::Attachment => f.write_str("has:attachment"),
        Node::Before(date) => write!(f, "before:{date}"),
        Node::Since(date) => write!(f, "since:{date}"),
        Node::On(date) => write!(f, "on:{date}"),
        Node::In(mailbox) => {
            f.write_str("in:")?;
            value(mailbox, false, f)
        }
        Node::Is(state) => write!(f, "is:{}", state.name()),
        Node::Larger(size) => write!(f, "larger:{}", show_size(*size)),
        Node::Smaller(size) => write!(f, "smaller:{}", show_size(*size)),
    }
}

/// As a word where it reads as one, else in quotes.
fn value(text: &str, alone: bool, f: &mut Formatter<'_>) -> fmt::Result {
    let breaks = |c: char| c.is_whitespace() || is_quote(c) || "()".contains(c);
    let special = alone && (text.starts_with('-') || text == "OR" || filter_name(text).is_some());
    if !special && !text.is_empty() && !text.contains(breaks) && !text.ends_with('*') {
        return f.write_str(text);
    }
    f.write_char('"')?;
    for c in text.chars() {
        if is_quote(c) || c == '\\' {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}

impl Display for Date {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        if let Some(month) = self.month {
            write!(f, "-{month:02}")?;
        }
        if let Some(day) = self.day {
            write!(f, "-{day:02}")?;
        }
        Ok(())
    }
}

const fn name(field: Field) -> &'static str {
    match field {
        Field::From => "from",
        Field::To => "to",
        Field::Cc => "cc",
        Field::Bcc => "bcc",
        Field::Subject => "subject",
        // Queries do not look at the rest.
        Field::Body | Field::Rest => "body",
        Field::FileName => "filename",
    }
}
