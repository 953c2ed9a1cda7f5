//! LIST and LSUB (RFC 3501 6.3.8, 6.3.9; RFC 5258; RFC 6154; RFC 5819; RFC 9590).
//!
//! Invariant: a name is listed once, parents before children. A parent that has no mailbox of
//! its own, because only it was deleted, is shown where the pattern stops at it.

use std::collections::BTreeMap;

use letterlock_core::account::MailboxStatus;
use letterlock_core::id::{HIERARCHY_SEPARATOR, MailboxName};
use letterlock_core::store::Store;

use super::mailboxes::rights;
use super::{Context, metadata, status};
use crate::imap::command::{ListCommand, ListReport, ListSelection};
use crate::imap::response::{Attribute, ListItem, MetadataData, Rights, StatusData};

/// Names with their mailboxes; `None` is a parent without one.
pub(super) type Tree = BTreeMap<MailboxName, Option<MailboxStatus>>;
type Listed = Vec<ListedMailbox>;

/// A mailbox that is listed.
#[derive(Debug)]
pub struct ListedMailbox {
    /// Its line.
    pub item: ListItem,
    /// Its STATUS, if that was asked for.
    pub status: Option<StatusData>,
    /// MYRIGHTS, if they were asked for.
    pub my_rights: Option<(MailboxName, Rights)>,
    /// Its annotations, if they were asked for; `super::metadata` fills them in.
    pub metadata: Option<MetadataData>,
}

impl ListedMailbox {
    /// With its line alone.
    fn of(item: ListItem) -> Self {
        Self {
            item,
            status: None,
            my_rights: None,
            metadata: None,
        }
    }
}

/// LIST, with annotations if they are wanted.
pub(super) async fn run<S: Store>(context: &Context<'_, S>, command: &ListCommand) -> Listed {
    let mut listed = list(context, command);
    metadata::add(context, &mut listed, &command.report.metadata).await;
    listed
}

fn list<S: Store>(context: &Context<'_, S>, command: &ListCommand) -> Listed {
    if let [pattern] = command.patterns.as_slice()
        && pattern.is_empty()
    {
        // It asks for the separator and the root (RFC 3501 6.3.8).
        let root = ListItem {
            attributes: vec![Attribute::NoSelect],
            name: String::new(),
            child_info: Vec::new(),
            old_name: None,
        };
        return vec![ListedMailbox::of(root)];
    }
    let patterns: Vec<Pattern> = command
        .patterns
        .iter()
        .map(|pattern| Pattern::new(&command.reference, pattern))
        .collect();
    let tree = tree(context);
    let mut listed = Vec::new();
    for (name, mailbox) in &tree {
        if !patterns
            .iter()
            .any(|pattern| pattern.matches(name.as_str()))
        {
            continue;
        }
        let child_info = if command.select.recursive_match {
            child_info(&tree, name, command.select)
        } else {
            Vec::new()
        };
        let selected = is_selected(mailbox.as_ref(), command.select);
        if !selected && child_info.is_empty() {
            continue;
        }
        let item = ListItem {
            attributes: attributes(&tree, name, mailbox.as_ref(), &command.report),
            name: name.to_string(),
            child_info,
            old_name: None,
        };
        let mut entry = ListedMailbox::of(item);
        // One that is listed for its children alone has neither counts nor rights (RFC 5819 2,
        // RFC 8440 4).
        if let Some(mailbox) = mailbox.as_ref().filter(|_| selected) {
            let items = &command.report.status;
            entry.status = (!items.is_empty()).then(|| status::data(context, mailbox, items));
            let rights = || (name.clone(), rights(mailbox));
            entry.my_rights = command.report.my_rights.then(rights);
            entry.metadata = (!command.report.metadata.is_empty()).then(|| MetadataData {
                of: Some(name.clone()),
                values: Vec::new(),
            });
        }
        listed.push(entry);
    }
    listed
}

/// LSUB: subscribed names, and parents of such where `%` stops above them (RFC 3501 6.3.9).
pub(super) fn lsub<S: Store>(context: &Context<'_, S>, reference: &str, pattern: &str) -> Listed {
    let pattern = Pattern::new(reference, pattern);
    let tree = tree(context);
    let subscribed = ListSelection {
        subscribed: true,
        ..ListSelection::default()
    };
    let mut listed = Vec::new();
    for (name, mailbox) in &tree {
        if !pattern.matches(name.as_str()) {
            continue;
        }
        let attributes = if is_selected(mailbox.as_ref(), subscribed) {
            Vec::new()
        } else if pattern.stops && !child_info(&tree, name, subscribed).is_empty() {
            vec![Attribute::NoSelect]
        } else {
            continue;
        };
        let item = ListItem {
            attributes,
            name: name.to_string(),
            child_info: Vec::new(),
            old_name: None,
        };
        listed.push(ListedMailbox::of(item));
    }
    listed
}

pub(super) fn tree<S: Store>(context: &Context<'_, S>) -> Tree {
    let mut tree = Tree::new();
    for mailbox in context.account.shown_mailboxes() {
        let mut parent = mailbox.name.parent();
        while let Some(name) = parent {
            parent = name.parent();
            tree.entry(name).or_insert(None);
        }
        tree.insert(mailbox.name.clone(), Some(mailbox));
    }
    tree
}

/// Whether the selection options choose a name by itself.
fn is_selected(mailbox: Option<&MailboxStatus>, select: ListSelection) -> bool {
    let subscribed = mailbox.is_some_and(|mailbox| mailbox.subscribed);
    let special = mailbox.and_then(special_use).is_some();
    (!select.subscribed || subscribed) && (!select.special_use || special)
}

/// The selection options that some name below this one meets (RFC 5258 3.5).
fn child_info(tree: &Tree, name: &MailboxName, select: ListSelection) -> Vec<&'static str> {
    let met = below(tree, name).any(|(_, mailbox)| is_selected(mailbox.as_ref(), select));
    let mut info = Vec::new();
    if met && select.subscribed {
        info.push("SUBSCRIBED");
    }
    if met && select.special_use {
        info.push("SPECIAL-USE");
    }
    info
}

fn below<'a>(
    tree: &'a Tree,
    name: &'a MailboxName,
) -> impl Iterator<Item = (&'a MailboxName, &'a Option<MailboxStatus>)> {
    // Names between `a` and `a/` sort in between, such as `a b`: they are skipped, not the end.
    let prefix = name.as_str();
    let after = tree.range(name.clone()..).skip(1);
    let family = after.take_while(move |(other, _)| other.as_str().starts_with(prefix));
    family.filter(move |(other, _)| {
        let rest = other.as_str().strip_prefix(prefix);
        rest.is_some_and(|rest| rest.starts_with(HIERARCHY_SEPARATOR))
    })
}

fn attributes(
    tree: &Tree,
    name: &MailboxName,
    mailbox: Option<&MailboxStatus>,
    report: &ListReport,
) -> Vec<Attribute> {
    let mut attributes = Vec::new();
    if mailbox.is_none() {
        // `\Noselect` for programs that do not know RFC 5258, which says that it is implied.
        attributes.extend([Attribute::NonExistent, Attribute::NoSelect]);
    }
    let children = below(tree, name).next().is_some();
    if !children && mailbox.is_some_and(|mailbox| mailbox.virtual_mailbox.is_some()) {
        attributes.push(Attribute::NoInferiors);
    }
    if report.children {
        attributes.push(if children {
            Attribute::HasChildren
        } else {
            Attribute::HasNoChildren
        });
    }
    if report.subscribed && mailbox.is_some_and(|mailbox| mailbox.subscribed) {
        attributes.push(Attribute::Subscribed);
    }
    if report.special_use {
        attributes.extend(mailbox.and_then(special_use));
    }
    attributes
}

/// What a mailbox is for (RFC 6154 2).
fn special_use(mailbox: &MailboxStatus) -> Option<Attribute> {
    let role = mailbox.role.map(Attribute::Role);
    role.or_else(|| mailbox.virtual_mailbox.map(Attribute::Virtual))
}

/// All that can be told of a name.
pub(super) fn all_attributes(tree: &Tree, name: &MailboxName) -> Vec<Attribute> {
    let report = ListReport {
        subscribed: true,
        children: true,
        special_use: true,
        ..ListReport::default()
    };
    let mailbox = tree.get(name).and_then(Option::as_ref);
    attributes(tree, name, mailbox, &report)
}

/// A pattern with its reference in front.
struct Pattern {
    text: Vec<char>,
    /// Whether it ends with `%`.
    stops: bool,
}

impl Pattern {
    fn new(reference: &str, pattern: &str) -> Self {
        let text = format!("{reference}{pattern}");
        // INBOX has any case, as a whole and as the first level (RFC 3501 5.1).
        let (first, rest) = match text.split_once(HIERARCHY_SEPARATOR) {
            Some((first, rest)) => (first, Some(rest)),
            None => (text.as_str(), None),
        };
        let text = match rest {
            _ if !first.eq_ignore_ascii_case("INBOX") => text,
            Some(rest) => format!("INBOX{HIERARCHY_SEPARATOR}{rest}"),
            None => "INBOX".to_owned(),
        };
        Self {
            stops: text.ends_with('%'),
            text: text.chars().collect(),
        }
    }

    /// `*` is any text, `%` any text within a level. One row of the table of "pattern so far
    /// matches name so far" is kept: time is the product of the lengths, whatever the pattern.
    fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let mut row = vec![false; name.len().saturating_add(1)];
        if let Some(first) = row.first_mut() {
            *first = true;
        }
        for wanted in &self.text {
            let mut next = Vec::with_capacity(row.len());
            let mut left = false;
            for (index, above) in row.iter().enumerate() {
                let c = index.checked_sub(1).and_then(|index| name.get(index));
                let diagonal = index.checked_sub(1).and_then(|index| row.get(index)) == Some(&true);
                left = match wanted {
                    '*' => *above || left,
                    '%' => *above || (left && c != Some(&HIERARCHY_SEPARATOR)),
                    wanted => diagonal && c == Some(wanted),
                };
                next.push(left);
            }
            row = next;
        }
        row.last() == Some(&true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names() {
        for (reference, pattern, name, expected) in [
            ("", "*", "a/b/c", true),
            ("", "%", "a", true),
            ("", "%", "a/b", false),
            ("", "a/%", "a/b", true),
            ("a/", "%", "a/b", true),
            ("", "%/c", "a/b/c", false),
            ("", "*c", "a/b/c", true),
            ("", "%b*c", "abxc", true),
            ("", "inbox", "INBOX", true),
            ("", "iNbOx/%", "INBOX/x", true),
            ("", "inbo", "INBOX", false),
            ("", "", "a", false),
            ("", "*", "", true),
        ] {
            let matched = Pattern::new(reference, pattern).matches(name);
            assert_eq!(matched, expected, "{reference} {pattern} {name}");
        }
    }

    #[test]
    fn many_wildcards_end_soon() {
        let pattern = "*a%".repeat(300);
        assert!(!Pattern::new("", &pattern).matches(&"a".repeat(900)[..299]));
    }
}
