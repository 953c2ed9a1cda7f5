//! Mailboxes come, go and get other names; annotations, messages put together from others, and
//! searches in several mailboxes.

use std::collections::{BTreeMap, BTreeSet};

use letterlock_core::model::AnnotationOwner;
use rand::Rng;
use rand::seq::SliceRandom as _;

use super::Run;
use super::client::{Client, Expunges, uids};
use super::steps::fits;
use super::world::{BOXES, SHARED};

impl Run {
    /// CREATE, DELETE or RENAME, and what LIST says then.
    pub(super) async fn mailboxes(&mut self, client: &mut Client) {
        let before = self.world.names();
        let one = *BOXES.choose(&mut self.rng).unwrap();
        let other = *BOXES.choose(&mut self.rng).unwrap();
        let (line, expected) = match self.rng.gen_range(0..4) {
            0 | 1 => (format!("CREATE \"{one}\""), created(&before, one)),
            2 => (format!("DELETE \"{one}\""), deleted(&before, one)),
            _ => {
                let line = format!("RENAME \"{one}\" \"{other}\"");
                (line, renamed(&before, one, other))
            }
        };
        let answer = client
            .command(&mut self.world, &line, Expunges::Allowed)
            .await;
        assert_eq!(answer.is_ok(), expected.is_some(), "{line}: {before:?}");
        let after = self.world.names();
        assert_eq!(after, expected.unwrap_or(before), "{line}");
        let answer = client.ok(&mut self.world, "LIST \"\" *").await;
        let listed = answer.lines.iter().filter(|line| {
            line.starts_with("* LIST ")
                && !line.contains("\\NonExistent")
                && !line.contains("OLDNAME")
        });
        let name = |line: &String| {
            let (_, name) = line.split_once(" \"/\" ").unwrap();
            name.trim_matches('"').to_owned()
        };
        let listed: BTreeSet<String> = listed.map(name).collect();
        assert_eq!(listed, after, "{line}");
    }

    /// SETMETADATA, and what GETMETADATA says then.
    pub(super) async fn metadata(&mut self, client: &mut Client) {
        let of = *["", "INBOX", "Archive"].choose(&mut self.rng).unwrap();
        let entries = ["/private/comment", "/shared/comment", "/private/vendor/x/y"];
        let entry = *entries.choose(&mut self.rng).unwrap();
        let value = if self.rng.gen_bool(0.3) {
            "NIL".to_owned()
        } else {
            format!("\"v{}\"", self.rng.gen_range(0..3))
        };
        let line = format!("SETMETADATA \"{of}\" ({entry} {value})");
        client.ok(&mut self.world, &line).await;
        let owner = match of {
            "" => AnnotationOwner::Account,
            name => AnnotationOwner::Mailbox(self.world.mailbox(name)),
        };
        let all = self.world.account.annotations(owner).await.unwrap();
        let pairs = all.iter().map(|(name, value)| {
            let value = String::from_utf8(value.clone()).unwrap();
            format!("{} \"{}\"", name.as_str(), value.replace('\\', "\\\\"))
        });
        let pairs: Vec<String> = pairs.collect();
        let set = value != "NIL";
        assert_eq!(
            pairs.contains(&format!("{entry} {value}")),
            set,
            "{line}: {pairs:?}"
        );
        let line = format!("GETMETADATA (DEPTH infinity) \"{of}\" (/private /shared)");
        let answer = client.ok(&mut self.world, &line).await;
        let told = answer
            .lines
            .iter()
            .filter(|line| line.contains("METADATA") && line.contains('('));
        let expected = format!("* METADATA \"{of}\" ({})", pairs.join(" "));
        let expected = (!pairs.is_empty()).then_some(&expected);
        assert!(
            told.eq(expected),
            "{line}: {expected:?}, {:?}",
            answer.lines
        );
    }

    /// APPEND of a message with more text behind it.
    pub(super) async fn catenate(&mut self, client: &mut Client) {
        let some = client.some(&mut self.rng);
        let Some(uid) = some.first() else {
            return;
        };
        let from = client.selected.as_ref().unwrap().mailbox;
        let name = self.world.name(from).replace(' ', "%20");
        let to = *SHARED.choose(&mut self.rng).unwrap();
        let line = format!("APPEND {to} CATENATE (URL \"/{name}/;UID={uid}\" TEXT {{4+}}\r\nmore)");
        let size = self.world.truth(from).get(uid).map(|one| one.size);
        let answer = client
            .command(&mut self.world, &line, Expunges::Allowed)
            .await;
        assert_eq!(answer.is_ok(), size.is_some(), "{line}: {}", answer.tagged);
        match answer.after("APPENDUID ") {
            Some(code) => {
                let new = uids(code.split(' ').nth(1).unwrap());
                let after = self.world.truth(self.world.mailbox(to));
                assert_eq!(
                    Some(after[&new[0]].size),
                    size.map(|size| size + 4),
                    "{line}"
                );
            }
            None => assert!(answer.tagged.contains("[BADURL "), "{line}"),
        }
    }

    /// A search whose result is followed, or its end.
    pub(super) async fn follow(&mut self, client: &mut Client) {
        let keys = ["UNSEEN", "FLAGGED", "DELETED", "KEYWORD $Work"];
        let key = *keys.choose(&mut self.rng).unwrap();
        client.follow(&mut self.world, key).await;
    }

    /// A search in several mailboxes (RFC 7377).
    pub(super) async fn search_many(&mut self, client: &mut Client) {
        let keys = ["UNSEEN", "DELETED", "KEYWORD $Work"];
        let key = *keys.choose(&mut self.rng).unwrap();
        let line = format!("ESEARCH IN (mailboxes (INBOX Archive Junk)) RETURN (ALL) {key}");
        // Of the selected mailbox the messages are meant that the session counts.
        let counted = client.selected.clone().unwrap();
        let answer = client.ok(&mut self.world, &line).await;
        let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for line in answer
            .lines
            .iter()
            .filter(|line| line.contains("(TAG \"t\" "))
        {
            let (_, rest) = line.split_once(" MAILBOX ").unwrap();
            let (name, rest) = rest.split_once(' ').unwrap();
            let (_, set) = rest.split_once(" ALL ").unwrap();
            found.insert(name.to_owned(), uids(set));
        }
        let mut expected = BTreeMap::new();
        for name in SHARED {
            let mailbox = self.world.mailbox(name);
            let truth = self.world.truth(mailbox);
            let here = truth.iter().filter(|(_, one)| fits(key, &one.flags));
            let mut here: Vec<u32> = here.map(|(uid, _)| *uid).collect();
            if mailbox == counted.mailbox {
                if counted.view.contains(&None) || client.profile.notify.is_some() {
                    found.remove(name);
                    continue;
                }
                here.retain(|uid| counted.view.contains(&Some(*uid)));
            }
            if !here.is_empty() {
                expected.insert(name.to_owned(), here);
            }
        }
        assert_eq!(found, expected, "{line}");
    }
}

type Names = BTreeSet<String>;

/// The names above one.
fn parents(name: &str) -> impl Iterator<Item = String> {
    name.match_indices('/').map(|(at, _)| name[..at].to_owned())
}

/// The names after a CREATE, if it succeeds.
fn created(before: &Names, name: &str) -> Option<Names> {
    let mut after = before.clone();
    after.extend(parents(name));
    (!before.contains(name) && after.insert(name.to_owned())).then_some(after)
}

/// The names after a DELETE, if it succeeds.
fn deleted(before: &Names, name: &str) -> Option<Names> {
    let mut after = before.clone();
    after.remove(name).then_some(after)
}

/// The names after a RENAME, if it succeeds: all below go along, onto no other.
fn renamed(before: &Names, from: &str, to: &str) -> Option<Names> {
    let below = format!("{from}/");
    if !before.contains(from) || before.contains(to) || to.starts_with(&below) {
        return None;
    }
    let goes = |name: &&String| *name == from || name.starts_with(&below);
    let (moved, mut after): (Names, Names) = before.iter().cloned().partition(|name| goes(&name));
    after.extend(parents(to).filter(|name| !moved.contains(name)));
    for name in moved {
        if !after.insert(format!("{to}{}", &name[from.len()..])) {
            return None;
        }
    }
    Some(after)
}
