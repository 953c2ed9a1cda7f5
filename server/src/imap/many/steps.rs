//! What a session does, and what must come of it.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use rand::seq::SliceRandom as _;

use super::Run;
use super::client::{Answer, Client, Expunges, Selected, code, uids};
use super::world::{SELECTED, SHARED, True};
use crate::imap::set::write_set;

const FLAGS: [&str; 4] = ["\\Seen", "\\Deleted", "\\Flagged", "$Work"];

/// How a command names messages.
struct Named {
    /// `UID ` or nothing.
    prefix: &'static str,
    set: String,
    uids: Vec<u32>,
    expunges: Expunges,
}

impl Run {
    pub(super) async fn step(&mut self, client: &mut Client) {
        if client.idling {
            return client.done(&mut self.world).await;
        }
        if client.selected.is_none() {
            return self.select_any(client).await;
        }
        match self.rng.gen_range(0..33) {
            0..=2 => self.append(client).await,
            3 | 4 => drop(client.ok(&mut self.world, "NOOP").await),
            5 => client.idle().await,
            6..=9 => self.store(client).await,
            10..=12 => self.fetch(client).await,
            13..=15 => self.search(client).await,
            16 => self.copy(client).await,
            17 => self.move_messages(client).await,
            18 | 19 => self.expunge(client).await,
            20 => self.replace(client).await,
            21 => self.reconnect(client).await,
            22 => self.leave(client).await,
            23 => self.status(client).await,
            24 | 25 => self.mailboxes(client).await,
            26 | 27 => self.metadata(client).await,
            28 => self.catenate(client).await,
            29 => self.search_many(client).await,
            30 | 31 => self.follow(client).await,
            _ => self.sort(client).await,
        }
        if !client.idling && self.rng.gen_bool(0.7) {
            client.learn(&mut self.world).await;
        }
    }

    /// Some messages, by numbers or by UIDs.
    fn name(&mut self, client: &Client) -> Option<Named> {
        let uids = client.some(&mut self.rng);
        let selected = client.selected.as_ref().filter(|_| !uids.is_empty())?;
        if client.profile.has("UIDONLY") || self.rng.gen_bool(0.5) {
            return Some(Named {
                prefix: "UID ",
                set: write_set(uids.iter().copied()),
                uids,
                expunges: Expunges::Allowed,
            });
        }
        if client.profile.notify == Some("SELECTED") {
            // Its numbers may be others once it has asked what is new.
            return None;
        }
        let number = |uid: &u32| u32::try_from(selected.position(*uid)).unwrap();
        Some(Named {
            prefix: "",
            set: write_set(uids.iter().map(number)),
            uids,
            expunges: Expunges::Held,
        })
    }

    fn truth(&self, client: &Client) -> BTreeMap<u32, True> {
        let selected = client.selected.as_ref().unwrap();
        self.world.truth(selected.mailbox)
    }

    async fn append(&mut self, client: &mut Client) {
        let name = SHARED.choose(&mut self.rng).unwrap();
        let mailbox = self.world.mailbox(name);
        let mut line = format!("APPEND {name}");
        let count = self.rng.gen_range(1..4);
        for _ in 0..count {
            let flag = FLAGS.choose(&mut self.rng).unwrap();
            let number = self.rng.gen_range(0..9999);
            let message = format!(" ({flag}) {{14+}}\r\nSubject: {number:05}");
            line.push_str(&message);
        }
        let before = self.world.truth(mailbox);
        let answer = client.ok(&mut self.world, &line).await;
        let after = self.world.truth(mailbox);
        let set = answer
            .after("APPENDUID ")
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap();
        let new: Vec<u32> = after
            .keys()
            .filter(|uid| !before.contains_key(uid))
            .copied()
            .collect();
        assert_eq!((uids(set), new.len()), (new, count));
    }

    async fn store(&mut self, client: &mut Client) {
        self.hear(client).await;
        let Some(named) = self.name(client) else {
            return;
        };
        let flag = *FLAGS.choose(&mut self.rng).unwrap();
        let sign = *["+", "-", ""].choose(&mut self.rng).unwrap();
        let silent = *["", ".SILENT"].choose(&mut self.rng).unwrap();
        let selected = client.selected.as_mut().unwrap();
        let condstore = client.profile.has("CONDSTORE") || client.profile.has("QRESYNC");
        let since = Some(selected.highest).filter(|since| *since > 0 && condstore);
        let since = since.filter(|_| self.rng.gen_bool(0.5));
        let modifier = since.map_or(String::new(), |n| format!(" (UNCHANGEDSINCE {n})"));
        let line = format!(
            "{}STORE {}{modifier} {sign}FLAGS{silent} ({flag})",
            named.prefix, named.set
        );
        let before = self.world.truth(selected.mailbox);
        if !selected.read_only && !silent.is_empty() {
            conclude(selected, &named.uids, since.is_none(), (sign, flag));
        }
        let read_only = selected.read_only;
        let answer = client.command(&mut self.world, &line, named.expunges).await;
        let after = self.truth(client);
        let mut refused = BTreeSet::new();
        for (uid, old) in &before {
            let Some(new) = after.get(uid) else {
                // What has lost its flag is not shown among those that have it.
                let left = !changed(&old.flags, sign, flag).contains("\\Flagged");
                assert!(left && named.uids.contains(uid), "{line}: {uid}");
                continue;
            };
            if read_only || !named.uids.contains(uid) {
                assert_eq!(old, new, "{line}: {uid}");
            } else if since.is_some_and(|since| old.mod_seq > since) {
                assert_eq!(old, new, "{line}: {uid} had changed");
                refused.insert(*uid);
            } else {
                assert_eq!(new.flags, changed(&old.flags, sign, flag), "{line}: {uid}");
            }
        }
        let told = answer.after("[MODIFIED ").map(uids).unwrap_or_default();
        let told = as_uids(client, &named, told);
        assert_eq!(told, refused, "{line}: {}", answer.tagged);
    }

    async fn fetch(&mut self, client: &mut Client) {
        let Some(named) = self.name(client) else {
            return;
        };
        let selected = client.selected.as_ref().unwrap();
        let (read_only, highest) = (selected.read_only, selected.highest);
        let qresync = client.profile.has("QRESYNC");
        let condstore = qresync || client.profile.has("CONDSTORE");
        let plain = [
            "(UID FLAGS)",
            "(UID BODY[])",
            "(UID BODY.PEEK[TEXT] RFC822.SIZE)",
            "FAST",
        ];
        let mut items = (*plain.choose(&mut self.rng).unwrap()).to_owned();
        let mut since = None;
        if condstore && self.rng.gen_bool(0.4) {
            let vanished = ["", " VANISHED"][usize::from(qresync && named.prefix == "UID ")];
            since = Some(self.rng.gen_range(1..=highest.max(1)));
            items = format!("(UID FLAGS) (CHANGEDSINCE {}{vanished})", since.unwrap());
        }
        let line = format!("{}FETCH {} {items}", named.prefix, named.set);
        let before = self.truth(client);
        let answer = client.command(&mut self.world, &line, named.expunges).await;
        let after = self.truth(client);
        for uid in &named.uids {
            let Some(now) = after.get(uid) else {
                continue;
            };
            let was = &before[uid];
            if since.is_none_or(|since| was.mod_seq > since) {
                assert!(answer.fetched.contains_key(uid), "{line}: {uid}");
            }
            let sees = items.contains("BODY[]") && !read_only;
            assert_eq!(
                now.flags.contains("\\Seen"),
                was.flags.contains("\\Seen") || sees,
                "{line}"
            );
            let size = format!("RFC822.SIZE {}", now.size);
            let told = answer.lines.iter().any(|line| line.contains(&size));
            assert!(!items.contains("SIZE") || told, "{line}");
        }
        let asked_for_vanished = line.ends_with("VANISHED)");
        assert!(answer.earlier.is_empty() || asked_for_vanished, "{line}");
    }

    async fn search(&mut self, client: &mut Client) {
        let uid_only = client.profile.has("UIDONLY");
        let keys = [
            "ALL",
            "UNSEEN",
            "DELETED",
            "FLAGGED",
            "KEYWORD $Work",
            "NOT SEEN",
        ];
        let key = *keys.choose(&mut self.rng).unwrap();
        let by_uid = uid_only || self.rng.gen_bool(0.5);
        let prefix = if by_uid { "UID " } else { "" };
        let returns = ["", "RETURN (ALL) ", "RETURN (SAVE ALL) "];
        let returns = *returns.choose(&mut self.rng).unwrap();
        let line = format!("{prefix}SEARCH {returns}{key}");
        self.hear(client).await;
        let before = client.selected.clone().unwrap();
        let expunges = if by_uid {
            Expunges::Allowed
        } else {
            Expunges::Held
        };
        let answer = client.command(&mut self.world, &line, expunges).await;
        let truth = self.truth(client);
        let found = found(&answer);
        let expected = before.view.iter().enumerate().filter_map(|(at, uid)| {
            let uid = (*uid)?;
            let number = u32::try_from(at + 1).unwrap();
            fits(key, &truth.get(&uid)?.flags).then_some(if by_uid { uid } else { number })
        });
        let expected: Vec<u32> = expected.collect();
        if before.view.iter().all(Option::is_some) {
            assert_eq!(found, expected, "{line}");
        }
        if returns.contains("SAVE") {
            let line = "UID FETCH $ (UID FLAGS)";
            let answer = client.ok(&mut self.world, line).await;
            let fetched: Vec<u32> = answer.fetched.keys().copied().collect();
            let known = client.selected.as_ref().unwrap();
            let uid = |number: &u32| known.view[usize::try_from(*number).unwrap() - 1];
            if by_uid {
                let missing = found.iter().find(|uid| !fetched.contains(uid));
                assert_eq!(missing, None, "{line}");
            } else if known.view == before.view {
                let missing = found
                    .iter()
                    .filter_map(uid)
                    .find(|uid| !fetched.contains(uid));
                assert_eq!(missing, None, "{line}");
            }
        }
    }

    /// What was told unasked is read before a command of which the answer depends on it.
    async fn hear(&mut self, client: &mut Client) {
        if client.profile.notify.is_some() {
            client.ok(&mut self.world, "NOOP").await;
            client.learn(&mut self.world).await;
        }
    }

    async fn sort(&mut self, client: &mut Client) {
        let what = [
            "SORT (REVERSE ARRIVAL) UTF-8 ALL",
            "THREAD ORDEREDSUBJECT UTF-8 ALL",
        ];
        let line = format!("UID {}", what.choose(&mut self.rng).unwrap());
        self.hear(client).await;
        let before = client.selected.clone().unwrap();
        let answer = client.ok(&mut self.world, &line).await;
        let truth = self.truth(client);
        let list = answer
            .lines
            .iter()
            .find(|line| line.starts_with("* SORT") || line.starts_with("* THREAD"));
        let digits = |c: char| !c.is_ascii_digit();
        let mut found: Vec<u32> = list.unwrap().split(digits).flat_map(str::parse).collect();
        found.sort_unstable();
        let here = before
            .view
            .iter()
            .flatten()
            .filter(|uid| truth.contains_key(uid));
        if before.view.iter().all(Option::is_some) {
            assert!(found.iter().eq(here), "{line}: {found:?}");
        }
    }

    async fn copy(&mut self, client: &mut Client) {
        let Some(named) = self.name(client) else {
            return;
        };
        let name = *SHARED.choose(&mut self.rng).unwrap();
        let to = self.world.mailbox(name);
        let line = format!("{}COPY {} {name}", named.prefix, named.set);
        let (source, before) = (self.truth(client), self.world.truth(to));
        let there = named
            .uids
            .iter()
            .filter(|uid| source.contains_key(uid))
            .count();
        let answer = client
            .command(&mut self.world, &line, Expunges::Allowed)
            .await;
        let after = self.world.truth(to);
        assert_eq!(
            after.len(),
            before.len() + if answer.is_ok() { there } else { 0 },
            "{line}"
        );
        if let Some(code) = answer.after("COPYUID ") {
            let mut words = code.split(' ').skip(1).map(uids);
            for (from, to) in words.next().unwrap().iter().zip(words.next().unwrap()) {
                assert_eq!(source[from].flags, after[&to].flags, "{line}");
            }
        }
    }

    async fn move_messages(&mut self, client: &mut Client) {
        let Some(named) = self.name(client) else {
            return;
        };
        let name = *SHARED.choose(&mut self.rng).unwrap();
        let line = format!("{}MOVE {} {name}", named.prefix, named.set);
        let read_only = client.selected.as_ref().unwrap().read_only;
        let expunges = if read_only {
            Expunges::Held
        } else {
            Expunges::Allowed
        };
        let answer = client.command(&mut self.world, &line, expunges).await;
        let after = self.truth(client);
        if answer.is_ok() && !read_only {
            assert!(
                named.uids.iter().all(|uid| !after.contains_key(uid)),
                "{line}"
            );
        }
    }

    async fn expunge(&mut self, client: &mut Client) {
        let some = client.some(&mut self.rng);
        let line = if self.rng.gen_bool(0.5) && !some.is_empty() {
            format!("UID EXPUNGE {}", write_set(some.iter().copied()))
        } else {
            "EXPUNGE".to_owned()
        };
        let read_only = client.selected.as_ref().unwrap().read_only;
        let expunges = if read_only {
            Expunges::Held
        } else {
            Expunges::Allowed
        };
        let before = self.truth(client);
        let answer = client.command(&mut self.world, &line, expunges).await;
        let after = self.truth(client);
        let mailbox = client.selected.as_ref().unwrap().mailbox;
        let is_virtual = self.world.is_virtual(mailbox);
        for (uid, was) in before {
            let named = line == "EXPUNGE" || some.contains(&uid);
            let goes = named && was.flags.contains("\\Deleted") && !read_only;
            let is = after.get(&uid);
            assert!(went(is, goes, is_virtual), "{line}: {uid}");
        }
        assert_eq!(answer.is_ok(), !read_only, "{line}");
    }

    async fn replace(&mut self, client: &mut Client) {
        let Some(named) = self.name(client) else {
            return;
        };
        let uid = named.uids[0];
        let selected = client.selected.as_ref().unwrap();
        let number = match named.prefix {
            "" => selected.position(uid).to_string(),
            _ => uid.to_string(),
        };
        let (read_only, there) = (selected.read_only, self.truth(client).contains_key(&uid));
        let line = format!(
            "{}REPLACE {number} INBOX (\\Draft) {{2+}}\r\nhi",
            named.prefix
        );
        let expunges = if read_only {
            Expunges::Held
        } else {
            Expunges::Allowed
        };
        let answer = client.command(&mut self.world, &line, expunges).await;
        assert_eq!(
            answer.is_ok(),
            there && !read_only,
            "{line}: {}",
            answer.tagged
        );
        assert!(
            !answer.is_ok() || !self.truth(client).contains_key(&uid),
            "{line}"
        );
    }

    async fn status(&mut self, client: &mut Client) {
        let name = *SELECTED.choose(&mut self.rng).unwrap();
        let mailbox = self.world.mailbox(name);
        let line = format!("STATUS \"{name}\" (MESSAGES UNSEEN DELETED SIZE HIGHESTMODSEQ)");
        let answer = client.ok(&mut self.world, &line).await;
        let truth = self.world.truth(mailbox);
        let count = |flag: &str, has: bool| {
            let with = truth.values().filter(|one| one.flags.contains(flag) == has);
            Some(with.count() as u64)
        };
        let lines = answer
            .lines
            .iter()
            .filter(|line| line.starts_with("* STATUS"));
        // What NOTIFY tells stands before it.
        let told = { lines }.next_back().unwrap();
        let highest = self.world.account.highest_mod_seq(mailbox).unwrap().get();
        assert_eq!(code(told, "MESSAGES "), Some(truth.len() as u64));
        assert_eq!(code(told, "UNSEEN "), count("\\Seen", false));
        assert_eq!(code(told, "DELETED "), count("\\Deleted", true));
        assert_eq!(
            code(told, "SIZE "),
            Some(truth.values().map(|one| one.size).sum())
        );
        assert_eq!(code(told, "HIGHESTMODSEQ "), Some(highest));
    }
}

/// Whether a message is gone, or there, as it should: where it is shown from several mailboxes,
/// the one placement that nobody has marked stays.
pub(super) fn went(is: Option<&True>, goes: bool, is_virtual: bool) -> bool {
    let kept = is.is_some_and(|is| is_virtual && !is.flags.contains("\\Deleted"));
    is.is_none() == goes || kept
}

/// What a client knows after `.SILENT`; with UNCHANGEDSINCE it has to ask.
fn conclude(selected: &mut Selected, uids: &[u32], certain: bool, (sign, flag): (&str, &str)) {
    for uid in uids {
        if let Some(known) = selected.known.get_mut(uid) {
            let flags = known.flags.take().filter(|_| certain);
            known.flags = flags.map(|flags| changed(&flags, sign, flag));
        }
    }
}

fn changed(flags: &BTreeSet<String>, sign: &str, flag: &str) -> BTreeSet<String> {
    let mut flags = flags.clone();
    match sign {
        "+" => drop(flags.insert(flag.to_owned())),
        "-" => drop(flags.remove(flag)),
        _ => flags = BTreeSet::from([flag.to_owned()]),
    }
    flags
}

pub(super) fn fits(key: &str, flags: &BTreeSet<String>) -> bool {
    match key {
        "ALL" => true,
        "DELETED" => flags.contains("\\Deleted"),
        "FLAGGED" => flags.contains("\\Flagged"),
        "KEYWORD $Work" => flags.contains("$Work"),
        _ => !flags.contains("\\Seen"),
    }
}

/// What SEARCH or ESEARCH answered.
fn found(answer: &Answer) -> Vec<u32> {
    let old = answer
        .lines
        .iter()
        .find_map(|line| line.strip_prefix("* SEARCH"));
    if let Some(list) = old {
        return list.split(' ').flat_map(str::parse).collect();
    }
    let new = answer
        .lines
        .iter()
        .find(|line| line.starts_with("* ESEARCH (TAG \"t\")"));
    let all = new.and_then(|line| line.split_once(" ALL "));
    all.map(|(_, set)| uids(set)).unwrap_or_default()
}

/// The UIDs of what a response names by number, if it does.
fn as_uids(client: &Client, named: &Named, numbers: Vec<u32>) -> BTreeSet<u32> {
    let view = &client.selected.as_ref().unwrap().view;
    let uid = |number: u32| match named.prefix {
        "" => view[usize::try_from(number).unwrap() - 1].unwrap(),
        _ => number,
    };
    numbers.into_iter().map(uid).collect()
}
