//! Reads queries. Every text is one; see the grammar above.

use super::{Date, MAX_DEPTH, MAX_QUERY_OCTETS, MAX_TERMS, Node, Note, Query, State};
use crate::search::document::Field;
use crate::search::lookup::has_words;

/// Octets of the units of sizes.
const UNITS: [(&str, u64); 3] = [("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)];

pub(super) fn parse(text: &str) -> Query {
    let cut = text.floor_char_boundary(MAX_QUERY_OCTETS);
    let mut parser = Parser {
        rest: text.get(..cut).unwrap_or_default(),
        notes: Vec::new(),
        terms: 0,
        depth: 0,
    };
    if cut < text.len() {
        parser.note(Note::TooLong);
    }
    let mut clauses = vec![parser.clauses()];
    while parser.rest.starts_with(')') {
        parser.note(Note::Parenthesis);
        parser.skip(1);
        clauses.push(parser.clauses());
    }
    Query {
        root: Node::and(clauses),
        notes: parser.notes,
    }
}

struct Parser<'a> {
    rest: &'a str,
    notes: Vec<Note>,
    terms: usize,
    depth: usize,
}

/// A word or a quoted text.
struct Value {
    text: String,
    /// Whether a `*` follows.
    prefix: bool,
}

impl<'a> Parser<'a> {
    fn note(&mut self, note: Note) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn skip(&mut self, octets: usize) {
        self.rest = self.rest.get(octets..).unwrap_or_default();
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// `*(clause)`, up to a closing parenthesis or the end.
    fn clauses(&mut self) -> Node {
        let mut all = Vec::new();
        loop {
            self.skip_space();
            if self.rest.is_empty() || self.rest.starts_with(')') {
                return Node::and(all);
            }
            all.extend(self.clause());
        }
    }

    /// `term *("OR" term)`
    fn clause(&mut self) -> Option<Node> {
        let mut any = Vec::new();
        if self.after_or().is_some() {
            self.note(Note::Or);
        }
        any.extend(self.term());
        loop {
            self.skip_space();
            let Some(after) = self.after_or() else {
                return Node::or(any);
            };
            let after = after.trim_start();
            if after.is_empty() || after.starts_with(')') {
                // Nothing follows: it is a word, which the next call of `term` takes.
                self.note(Note::Or);
                return Node::or(any);
            }
            self.rest = after;
            any.extend(self.term());
        }
    }

    /// What follows an `OR` here.
    fn after_or(&self) -> Option<&'a str> {
        let after = self.rest.strip_prefix("OR")?;
        let ends =
            after.is_empty() || after.starts_with(|c: char| c.is_whitespace() || "()".contains(c));
        ends.then_some(after)
    }

    /// `["-"] (group / filter / words)`
    fn term(&mut self) -> Option<Node> {
        self.terms = self.terms.saturating_add(1);
        if self.terms > MAX_TERMS || self.depth > MAX_DEPTH {
            self.note(Note::TooLong);
            self.rest = "";
            return None;
        }
        let negated = self
            .rest
            .strip_prefix('-')
            .filter(|after| after.starts_with(|c: char| !c.is_whitespace() && c != ')'));
        if let Some(after) = negated {
            self.rest = after;
            self.depth = self.depth.saturating_add(1);
            let inner = self.term();
            self.depth = self.depth.saturating_sub(1);
            // Nothing was asked, so nothing is ruled out.
            return inner
                .filter(|node| *node != Node::And(Vec::new()))
                .map(|node| Node::Not(Box::new(node)));
        }
        if self.rest.starts_with('(') {
            return Some(self.group());
        }
        if let Some((name, after)) = filter_name(self.rest) {
            let name = name.to_ascii_lowercase();
            self.rest = after;
            return self.filter(&name);
        }
        let value = self.value();
        self.words(None, value)
    }

    fn group(&mut self) -> Node {
        self.skip(1);
        self.depth = self.depth.saturating_add(1);
        let inner = self.clauses();
        self.depth = self.depth.saturating_sub(1);
        if self.rest.starts_with(')') {
            self.skip(1);
        } else {
            self.note(Note::Parenthesis);
        }
        inner
    }

    fn filter(&mut self, name: &str) -> Option<Node> {
        let value = self.value();
        if value.text.is_empty() {
            self.note(Note::NoValue(name.to_owned()));
            return None;
        }
        if let Some(field) = text_field(name) {
            return self.words(Some(field), value);
        }
        let text = value.text.to_lowercase();
        let found = match name {
            "has" => matches!(text.as_str(), "attachment" | "attachments")
                .then_some(Node::Attachment)
                .ok_or_else(|| Note::Thing(value.text.clone())),
            "is" => State::parse(&text)
                .map(Node::Is)
                .ok_or_else(|| Note::State(value.text.clone())),
            "in" => Ok(Node::In(value.text.clone())),
            "larger" => size(&text)
                .map(Node::Larger)
                .ok_or_else(|| Note::Size(value.text.clone())),
            "smaller" => size(&text)
                .map(Node::Smaller)
                .ok_or_else(|| Note::Size(value.text.clone())),
            _ => date(&text)
                .map(|date| match name {
                    "before" => Node::Before(date),
                    "on" => Node::On(date),
                    _ => Node::Since(date),
                })
                .ok_or_else(|| Note::Date(value.text.clone())),
        };
        match found {
            Ok(node) => Some(node),
            Err(note) => {
                self.note(note);
                let text = format!("{name}:{}", value.text);
                self.words(None, Value { text, ..value })
            }
        }
    }

    fn words(&mut self, field: Option<Field>, value: Value) -> Option<Node> {
        if !has_words(&value.text) {
            if !value.text.is_empty() {
                self.note(Note::NoWords(value.text));
            }
            return None;
        }
        Some(Node::Words {
            field,
            text: value.text,
            prefix: value.prefix,
        })
    }

    /// A quoted text, or what stands up to a space, quote or parenthesis.
    fn value(&mut self) -> Value {
        let mut chars = self.rest.chars();
        if chars.next().is_some_and(is_quote) {
            self.rest = chars.as_str();
            return self.quoted();
        }
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || is_quote(c) || "()".contains(c))
            .unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        let without = text.trim_end_matches('*');
        Value {
            prefix: without.len() < text.len(),
            text: without.to_owned(),
        }
    }

    /// Up to the closing quote; a backslash takes the next character as it is.
    fn quoted(&mut self) -> Value {
        let mut text = String::new();
        let mut chars = self.rest.chars();
        let mut closed = false;
        while let Some(c) = chars.next() {
            if is_quote(c) {
                closed = true;
                break;
            }
            match c {
                '\\' => text.extend(chars.next()),
                c => text.push(c),
            }
        }
        self.rest = chars.as_str();
        if !closed {
            self.note(Note::OpenQuote);
        }
        let after = self.rest.trim_start_matches('*');
        let prefix = after.len() < self.rest.len();
        self.rest = after;
        Value { text, prefix }
    }
}

/// Quotes as keyboards and phones write them.
pub(super) const fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\u{201c}' | '\u{201d}' | '\u{201e}')
}

/// The name of a filter, and what follows its colon.
pub(super) fn filter_name(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphabetic())?;
    let (name, rest) = text.split_at_checked(end)?;
    let after = rest.strip_prefix(':')?;
    let lower = name.to_ascii_lowercase();
    let known = text_field(&lower).is_some()
        || matches!(
            lower.as_str(),
            "has" | "is" | "in" | "larger" | "smaller" | "before" | "after" | "since" | "on"
        );
    known.then_some((name, after))
}

fn text_field(name: &str) -> Option<Field> {
    Some(match name {
        "from" => Field::From,
        "to" => Field::To,
        "cc" => Field::Cc,
        "bcc" => Field::Bcc,
        "subject" => Field::Subject,
        "body" => Field::Body,
        "filename" => Field::FileName,
        _ => return None,
    })
}

/// `2024`, `2024-05`, `2024-05-17`; slashes and points do as well.
fn date(text: &str) -> Option<Date> {
    let mut parts = text.split(['-', '/', '.']);
    let digits = |part: &str, lengths: core::ops::RangeInclusive<usize>| {
        let fine = lengths.contains(&part.len()) && part.bytes().all(|o| o.is_ascii_digit());
        fine.then(|| part.parse::<u16>().ok()).flatten()
    };
    let year = digits(parts.next()?, 4..=4)?;
    let month = parts
        .next()
        .map(|part| digits(part, 1..=2))
        .map_or(Some(None), |m| m.map(Some))?;
    let day = parts
        .next()
        .map(|part| digits(part, 1..=2))
        .map_or(Some(None), |d| d.map(Some))?;
    if parts.next().is_some() {
        return None;
    }
    let small = |number: Option<u16>| number.map(u8::try_from).transpose().ok();
    let date = Date {
        year,
        month: small(month)?,
        day: small(day)?,
    };
    let exists = match (date.month, date.day) {
        (None, _) => true,
        (Some(month), None) => (1..=12).contains(&month),
        (Some(month), Some(day)) => {
            let (first, _) = date.days();
            let civil = crate::mime::civil_from_days(first);
            day > 0 && civil == (i64::from(year), i64::from(month), i64::from(day))
        }
    };
    exists.then_some(date)
}

/// `500`, `500K`, `5M`, `5MB`.
fn size(text: &str) -> Option<u64> {
    let text = text.to_ascii_uppercase();
    let text = text.strip_suffix('B').unwrap_or(&text);
    let (digits, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))
        .unwrap_or((text, 1));
    let plain = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    plain
        .then(|| digits.parse::<u64>().ok()?.checked_mul(unit))
        .flatten()
}

/// A size as a query has it: in the largest unit that leaves nothing over.
pub(super) fn show_size(size: u64) -> String {
    let unit = UNITS
        .iter()
        .find(|(_, unit)| size != 0 && size.is_multiple_of(*unit));
    match unit {
        Some((name, unit)) => format!("{}{name}", size / unit),
        None => size.to_string(),
    }
}
