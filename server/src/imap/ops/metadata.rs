//! GETMETADATA, SETMETADATA (RFC 5464), and LIST with METADATA (RFC 9590).

use std::collections::{BTreeMap, BTreeSet};

use letterlock_core::id::MailboxName;
use letterlock_core::model::{AnnotationName, AnnotationOwner};
use letterlock_core::store::Store;

use super::{Context, ListedMailbox, OpError, Outcome};
use crate::imap::command::{Depth, Octets, WantedMetadata};
use crate::imap::response::MetadataData;

/// What is asked or done.
#[derive(Debug)]
pub enum MetadataOp {
    /// GETMETADATA; without a name, of the account.
    Get(Option<MailboxName>, WantedMetadata),
    /// SETMETADATA, likewise.
    Set(Option<MailboxName>, Vec<(AnnotationName, Option<Octets>)>),
}

/// Tells or sets annotations.
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    op: MetadataOp,
) -> Result<Outcome, OpError> {
    match op {
        MetadataOp::Get(of, wanted) => {
            let owner = owner(context, of.as_ref())?;
            let all = context.account.annotations(owner).await?;
            let (values, longest) = chosen(&all, &wanted);
            Ok(Outcome::Metadata(MetadataData { of, values }, longest))
        }
        MetadataOp::Set(of, entries) => {
            let owner = owner(context, of.as_ref())?;
            let entries = entries.into_iter();
            let entries = entries.map(|(name, value)| (name, value.map(|octets| octets.0)));
            let set = context
                .account
                .set_annotations(owner, entries.collect(), context.now);
            Ok(Outcome::MetadataSet(set.await?))
        }
    }
}

fn owner<S: Store>(
    context: &Context<'_, S>,
    of: Option<&MailboxName>,
) -> Result<AnnotationOwner, OpError> {
    let Some(name) = of else {
        return Ok(AnnotationOwner::Account);
    };
    let mailbox = context.account.mailbox(name);
    let mailbox = mailbox.ok_or(OpError::NoSuchMailbox)?;
    Ok(AnnotationOwner::Mailbox(mailbox.id))
}

/// Adds the annotations that LIST was asked for to what is listed. Where they cannot be read they
/// are left out (RFC 9590 3).
pub(super) async fn add<S: Store>(
    context: &Context<'_, S>,
    listed: &mut [ListedMailbox],
    entries: &[AnnotationName],
) {
    let wanted = WantedMetadata {
        entries: entries.to_vec(),
        max_size: None,
        depth: Depth::Zero,
    };
    for metadata in listed.iter_mut().map(|entry| &mut entry.metadata) {
        let Some(data) = metadata else { continue };
        let all = match owner(context, data.of.as_ref()) {
            Ok(owner) => context.account.annotations(owner).await.ok(),
            Err(_) => None,
        };
        match all {
            Some(all) => data.values = chosen(&all, &wanted).0,
            None => *metadata = None,
        }
    }
}

type Values = Vec<(AnnotationName, Option<Octets>)>;

/// What is wanted of what there is, each once; and how long the longest value is that is too
/// long. What was asked for by its name and is not there is NIL (RFC 9590 4); what is looked for
/// below names is told if it is there (RFC 5464 4.2.2).
fn chosen(
    all: &BTreeMap<AnnotationName, Vec<u8>>,
    wanted: &WantedMetadata,
) -> (Values, Option<usize>) {
    let mut values = Values::new();
    let mut longest = None;
    let mut seen = BTreeSet::new();
    for entry in &wanted.entries {
        let reached = |name: &AnnotationName| {
            let levels = name.levels_below(entry);
            levels.is_some_and(|levels| wanted.depth.reaches(levels))
        };
        // What is below a name begins with it, and sorts behind it.
        let below = all.range(entry.clone()..);
        let family = below.take_while(|(name, _)| name.as_str().starts_with(entry.as_str()));
        for (name, value) in family.filter(|(name, _)| reached(name)) {
            if !seen.insert(name.clone()) {
                continue;
            }
            let limit = wanted.max_size.map_or(usize::MAX, |size| {
                usize::try_from(size).unwrap_or(usize::MAX)
            });
            if value.len() > limit {
                longest = longest.max(Some(value.len()));
            } else {
                values.push((name.clone(), Some(Octets(value.clone()))));
            }
        }
        if wanted.depth == Depth::Zero && seen.insert(entry.clone()) {
            values.push((entry.clone(), None));
        }
    }
    (values, longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_and_size_choose() {
        let name = |text: &str| AnnotationName::new(text).unwrap();
        let all: BTreeMap<_, _> = [
            ("/private/filters/values/boss", "1"),
            ("/private/filters/values/boss/old", "333"),
            ("/private/filters/values", "22"),
            ("/private/filters/values-x", "4"),
        ]
        .into_iter()
        .map(|(text, value)| (name(text), value.as_bytes().to_vec()))
        .collect();
        let check = |entries: &[&str], max_size, depth, expected: &[&str], longest| {
            let wanted = WantedMetadata {
                entries: entries.iter().map(|entry| name(entry)).collect(),
                max_size,
                depth,
            };
            let (values, long) = chosen(&all, &wanted);
            let shown: Vec<String> = values
                .iter()
                .map(|(name, value)| {
                    let value = value
                        .as_ref()
                        .map_or("NIL", |octets| std::str::from_utf8(&octets.0).unwrap());
                    format!("{} {value}", name.as_str().rsplit('/').next().unwrap())
                })
                .collect();
            assert_eq!(shown, expected, "{entries:?} {depth:?}");
            assert_eq!(long, longest);
        };
        let top = &["/private/filters/values"][..];
        check(top, None, Depth::Zero, &["values 22"], None);
        check(top, None, Depth::One, &["values 22", "boss 1"], None);
        let whole = &["values 22", "boss 1", "old 333"];
        check(top, None, Depth::Infinity, whole, None);
        check(top, Some(1), Depth::Infinity, &["boss 1"], Some(3));
        check(&["/private/no"], None, Depth::Zero, &["no NIL"], None);
        check(&["/private/no"], None, Depth::One, &[], None);
        let twice = &["/private/filters/values", "/private/filters/values"];
        check(twice, None, Depth::Zero, &["values 22"], None);
    }
}
