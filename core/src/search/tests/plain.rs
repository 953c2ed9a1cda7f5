//! What a query means, read off the messages one by one.

use std::collections::BTreeSet;

use super::world::{Letter, World};
use crate::id::MessageHash;
use crate::search::document::{Field, Traits};
use crate::search::evaluate::{Facts, Population};
use crate::search::lookup::elements;
use crate::search::query::{Node, Query, State};
use crate::search::token::Tokenizer;
use crate::store::Store;

/// The messages for which the query holds, the newest first.
pub(super) fn finds<S: Store>(world: &World<S>, query: &Query) -> Vec<MessageHash> {
    let mut found: Vec<&Letter> = world
        .letters()
        .filter(|letter| holds(world, letter, &query.root))
        .collect();
    found.sort_by(|a, b| (b.date, a.hash).cmp(&(a.date, b.hash)));
    found.into_iter().map(|letter| letter.hash).collect()
}

fn holds<S: Store>(world: &World<S>, letter: &Letter, node: &Node) -> bool {
    match node {
        Node::And(nodes) => {
            // What is asked of a place is asked of one place.
            let (placed, rest): (Vec<&Node>, Vec<&Node>) =
                nodes.iter().partition(|node| of_place(node));
            let fits = |place: &Facts| placed.iter().all(|node| place_fits(world, place, node));
            (placed.is_empty() || letter.places.iter().any(fits))
                && rest.into_iter().all(|node| holds(world, letter, node))
        }
        Node::Or(nodes) => nodes.iter().any(|node| holds(world, letter, node)),
        Node::Not(inner) => !holds(world, letter, inner),
        Node::Words {
            field,
            text,
            prefix,
        } => letter
            .texts
            .iter()
            .filter(|(place, _)| match field {
                Some(field) => place == field,
                None => *place != Field::Rest,
            })
            .any(|(_, within)| contains(within, text, *prefix)),
        Node::Attachment => letter.traits.any(Traits::ATTACHMENT),
        Node::Is(State::Encrypted) => letter.traits.any(Traits::ENCRYPTED),
        Node::Is(State::Signed) => letter.traits.any(Traits::SIGNED),
        Node::In(_) | Node::Is(_) => {
            let mut places = letter.places.iter();
            places.any(|place| place_fits(world, place, node))
        }
        Node::Before(date) => day(letter) < date.days().0,
        Node::Since(date) => day(letter) >= date.days().0,
        Node::On(date) => (date.days().0..date.days().1).contains(&day(letter)),
        Node::Larger(size) => letter.size > *size,
        Node::Smaller(size) => letter.size < *size,
    }
}

fn of_place(node: &Node) -> bool {
    matches!(node, Node::In(_) | Node::Is(_))
        && !matches!(node, Node::Is(State::Encrypted | State::Signed))
}

fn place_fits<S: Store>(world: &World<S>, place: &Facts, node: &Node) -> bool {
    match node {
        Node::In(name) => world.mail.mailboxes(name).contains(&place.mailbox),
        Node::Is(State::Unread) => !place.seen,
        Node::Is(State::Read) => place.seen,
        Node::Is(State::Flagged) => place.flagged,
        Node::Is(State::Unflagged) => !place.flagged,
        Node::Is(State::Answered) => place.answered,
        Node::Is(State::Unanswered) => !place.answered,
        Node::Is(State::Draft) => place.draft,
        other => panic!("{other:?} is not asked of a place"),
    }
}

fn day(letter: &Letter) -> i64 {
    letter.date.as_secs().div_euclid(86_400)
}

/// Whether the words of `text` stand beside each other.
fn contains(within: &str, text: &str, prefix: bool) -> bool {
    let mut words: BTreeSet<(u32, String)> = BTreeSet::new();
    Tokenizer::new().tokenize(within, |token| {
        words.insert((token.position, token.text.to_owned()));
    });
    let elements = elements(text, prefix);
    words.iter().any(|(start, _)| {
        elements.iter().all(|element| {
            words
                .iter()
                .any(|(at, word)| *at == start + element.offset && element.accepts(word))
        })
    })
}

/// Whether a text stands in one of the fields, as IMAP compares.
pub(super) fn has(letter: &Letter, fields: &[Field], needle: &str) -> bool {
    let needle = needle.to_lowercase();
    let mut texts = letter.texts.iter();
    texts.any(|(field, text)| fields.contains(field) && text.to_lowercase().contains(&needle))
}
