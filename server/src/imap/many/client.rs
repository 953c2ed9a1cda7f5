//! One session: what RFC 3501, RFC 7162 and RFC 9586 let a client conclude, and no more.

use std::collections::{BTreeMap, BTreeSet};

use letterlock_core::id::MailboxId;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};

use super::steps::fits;
use super::world::World;

/// What a client turns on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) enable: &'static str,
    /// NOTIFY, with EXPUNGE at once or with a command.
    pub(super) notify: Option<&'static str>,
}

impl Profile {
    pub(super) fn has(&self, name: &str) -> bool {
        self.enable.split(' ').any(|one| one == name)
    }
}

/// Whether an EXPUNGE may come in answer to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expunges {
    Allowed,
    Held,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) flags: Option<BTreeSet<String>>,
    pub(super) mod_seq: Option<u64>,
}

/// What a client knows of the mailbox that it has selected.
#[derive(Debug, Clone)]
pub(super) struct Selected {
    pub(super) mailbox: MailboxId,
    pub(super) read_only: bool,
    /// Whether it counts in sequence numbers.
    pub(super) numbered: bool,
    /// UIDs by position, where they are known.
    pub(super) view: Vec<Option<u32>>,
    pub(super) known: BTreeMap<u32, Known>,
    /// The highest mod-sequence that it may claim to know (RFC 7162 6).
    pub(super) highest: u64,
    /// A search that is followed, and the UIDs that it finds (RFC 5267 4.3).
    pub(super) follows: Option<(&'static str, BTreeSet<u32>)>,
}

/// What came in answer to a command.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) line: String,
    pub(super) lines: Vec<String>,
    pub(super) tagged: String,
    /// UIDs of FETCH responses, and of them the mod-sequences.
    pub(super) fetched: BTreeMap<u32, Option<u64>>,
    pub(super) earlier: BTreeSet<u32>,
    highest: Option<u64>,
    mod_seq: u64,
}

impl Answer {
    pub(super) fn is_ok(&self) -> bool {
        self.tagged.starts_with("t OK")
    }

    /// What stands behind a word in any response or code, up to a bracket.
    pub(super) fn after(&self, mark: &str) -> Option<&str> {
        let mut all = self.lines.iter().chain([&self.tagged]);
        all.find_map(|line| line.split_once(mark).map(|(_, rest)| rest))
            .map(|rest| rest.split([']', ')']).next().unwrap_or(rest))
    }
}

pub(super) struct Client {
    pub(super) pipe: BufReader<DuplexStream>,
    pub(super) profile: Profile,
    pub(super) session: usize,
    pub(super) selected: Option<Selected>,
    pub(super) idling: bool,
}

impl Client {
    /// Whether responses come at any time.
    fn hears_at_once(&self) -> bool {
        self.idling || self.profile.notify.is_some()
    }

    /// Reads a response with its literals.
    async fn read(&mut self) -> String {
        let mut whole = Vec::new();
        loop {
            let read = self.pipe.read_until(b'\n', &mut whole).await.unwrap();
            let text = String::from_utf8_lossy(&whole);
            let text = text.trim_end_matches(['\r', '\n']);
            let literal = text
                .rsplit_once('{')
                .and_then(|(_, rest)| rest.strip_suffix('}'));
            match literal.and_then(|size| size.parse::<usize>().ok()) {
                Some(size) if read > 0 => {
                    let mut octets = vec![0; size];
                    self.pipe.read_exact(&mut octets).await.unwrap();
                    whole.extend(octets);
                }
                _ => {
                    // Shown where the test fails.
                    eprintln!("S{}: {text}", self.session);
                    return text.to_owned();
                }
            }
        }
    }

    pub(super) async fn greet(&mut self, world: &mut World) {
        self.read().await;
        self.ok(world, "LOGIN alice sesame").await;
        if !self.profile.enable.is_empty() {
            let enable = format!("ENABLE {}", self.profile.enable);
            self.ok(world, &enable).await;
        }
        if let Some(how) = self.profile.notify {
            let events = "MessageNew MessageExpunge FlagChange";
            let here = "MessageNew (UID FLAGS) MessageExpunge FlagChange";
            let line = format!("NOTIFY SET ({how} ({here})) (PERSONAL ({events} MailboxName))");
            self.ok(world, &line).await;
        }
    }

    /// A command that succeeds, and in answer to which an EXPUNGE may come.
    pub(super) async fn ok(&mut self, world: &mut World, line: &str) -> Answer {
        let answer = self.command(world, line, Expunges::Allowed).await;
        assert!(answer.is_ok(), "{line}: {}", answer.tagged);
        answer
    }

    /// A command. What the client knows at its end is compared with the truth.
    pub(super) async fn command(
        &mut self,
        world: &mut World,
        line: &str,
        expunges: Expunges,
    ) -> Answer {
        if self.profile.notify == Some("SELECTED") && expunges == Expunges::Held && line != "NOOP" {
            // Numbers may change until the command is there; a careful client asks first.
            Box::pin(self.command(world, "NOOP", Expunges::Allowed)).await;
        }
        self.say(world, "t", line, expunges).await
    }

    /// A command with a tag of its own.
    async fn say(
        &mut self,
        world: &mut World,
        tag: &str,
        line: &str,
        expunges: Expunges,
    ) -> Answer {
        eprintln!("C{}: {tag} {line}", self.session);
        let octets = format!("{tag} {line}\r\n");
        self.pipe.write_all(octets.as_bytes()).await.unwrap();
        self.finish(world, tag, line, expunges).await
    }

    /// Follows a search, or ends that (RFC 5267 4.3).
    pub(super) async fn follow(&mut self, world: &mut World, key: &'static str) {
        let selected = self.selected.as_mut().unwrap();
        if selected.follows.take().is_some() {
            self.ok(world, "CANCELUPDATE \"f\"").await;
            return;
        }
        selected.follows = Some((key, BTreeSet::new()));
        let line = format!("UID SEARCH RETURN (UPDATE ALL) {key}");
        let answer = self.say(world, "f", &line, Expunges::Allowed).await;
        assert!(answer.is_ok(), "{line}: {}", answer.tagged);
    }

    pub(super) async fn idle(&mut self) {
        eprintln!("C{}: IDLE", self.session);
        self.pipe.write_all(b"t IDLE\r\n").await.unwrap();
        self.idling = true;
    }

    /// Ends IDLE; what came meanwhile is read now.
    pub(super) async fn done(&mut self, world: &mut World) {
        self.pipe.write_all(b"DONE\r\n").await.unwrap();
        self.finish(world, "t", "IDLE", Expunges::Allowed).await;
        self.idling = false;
    }

    async fn finish(
        &mut self,
        world: &mut World,
        tag: &str,
        line: &str,
        expunges: Expunges,
    ) -> Answer {
        let mut answer = Answer {
            line: line.to_owned(),
            ..Answer::default()
        };
        loop {
            let response = self.read().await;
            assert!(!response.is_empty(), "{line}: the connection is closed");
            world.look();
            if let Some(rest) = response.strip_prefix(&format!("{tag} ")) {
                answer.highest = code(&response, "[HIGHESTMODSEQ ").or(answer.highest);
                answer.tagged = format!("t {rest}");
                break;
            }
            self.conclude(world, &mut answer, &response, expunges);
            answer.lines.push(response);
        }
        if let Some(selected) = &mut self.selected {
            // RFC 7162 6: a HIGHESTMODSEQ counts even if higher ones were seen.
            let seen = selected.highest.max(answer.mod_seq);
            selected.highest = answer.highest.unwrap_or(seen);
        }
        self.check(world, &answer, expunges);
        answer
    }

    fn conclude(&mut self, world: &mut World, answer: &mut Answer, line: &str, how: Expunges) {
        let at_once = self.hears_at_once();
        let Some(selected) = &mut self.selected else {
            return;
        };
        let truth = world.truth(selected.mailbox);
        let told = format!("{}: {line}", answer.line);
        if let Some(highest) = code(line, "* OK [HIGHESTMODSEQ ") {
            answer.highest = Some(highest);
        } else if let Some(found) = line.strip_prefix("* ESEARCH (TAG \"f\") UID") {
            selected.moved(found);
        } else if let Some(set) = line.strip_prefix("* VANISHED (EARLIER) ") {
            let vanishes = self.profile.has("QRESYNC");
            assert!(vanishes, "{told}");
            for uid in uids(set) {
                assert!(!truth.contains_key(&uid), "{told}");
                answer.earlier.insert(uid);
            }
        } else if let Some(set) = line.strip_prefix("* VANISHED ") {
            let vanishes = self.profile.has("QRESYNC") || self.profile.has("UIDONLY");
            assert!(vanishes && how == Expunges::Allowed, "{told}");
            for uid in uids(set) {
                assert!(!truth.contains_key(&uid), "{told}");
                selected.place(uid, &told);
                selected.view.retain(|known| *known != Some(uid));
                selected.known.remove(&uid);
            }
        } else if let Some(count) = line.strip_suffix(" EXISTS") {
            let count: usize = count.trim_start_matches("* ").parse().unwrap();
            assert!(count >= selected.view.len(), "{told}");
            selected.view.resize(count, None);
        } else if let Some(number) = line.strip_suffix(" EXPUNGE") {
            let number: usize = number.trim_start_matches("* ").parse().unwrap();
            let vanishes = self.profile.has("QRESYNC") || self.profile.has("UIDONLY");
            assert!(!vanishes && how == Expunges::Allowed, "{told}");
            assert!(number <= selected.view.len(), "{told}");
            if let Some(uid) = selected.view.remove(number - 1) {
                assert!(!truth.contains_key(&uid), "{told}");
                selected.known.remove(&uid);
            }
        } else if line.contains(" FETCH (") || line.contains(" UIDFETCH (") {
            assert_eq!(
                line.contains(" UIDFETCH ("),
                self.profile.has("UIDONLY"),
                "{told}"
            );
            let uid = selected.fetched(answer, line, &told);
            let known = &selected.known[&uid];
            let recent = code_text(line, "FLAGS (").is_some_and(|f| f.contains("\\Recent"));
            if recent && !selected.read_only {
                assert!(world.claim(selected.mailbox, uid, self.session), "{told}");
            }
            // What a STORE has made leave a virtual mailbox is told, too.
            let has_left = !truth.contains_key(&uid)
                && answer.line.contains("STORE")
                && world.is_virtual(selected.mailbox);
            if !at_once && !has_left {
                let really = truth.get(&uid).unwrap_or_else(|| panic!("{told} is gone"));
                let flags = known.flags.as_ref().filter(|_| line.contains("FLAGS ("));
                assert!(flags.is_none_or(|flags| *flags == really.flags), "{told}");
                let mod_seq = known.mod_seq.filter(|_| line.contains("MODSEQ ("));
                assert!(mod_seq.is_none_or(|told| told == really.mod_seq), "{told}");
            }
        }
    }

    /// Compares what the client knows with what is true.
    fn check(&self, world: &World, answer: &Answer, expunges: Expunges) {
        let Some(selected) = &self.selected else {
            return;
        };
        let line = &answer.line;
        let truth = world.truth(selected.mailbox);
        let view = &selected.view;
        let here: Vec<u32> = view.iter().copied().flatten().collect();
        assert!(here.is_sorted_by(|a, b| a < b), "{line}: {here:?}");
        let held = here.iter().filter(|uid| !truth.contains_key(uid));
        if expunges == Expunges::Allowed && answer.is_ok() {
            assert_eq!(held.count(), 0, "{line}: {here:?}, {:?}", truth.keys());
            assert_eq!(view.len(), truth.len(), "{line}");
            if let Some((key, found)) = &selected.follows {
                let fits = truth.iter().filter(|(_, one)| fits(key, &one.flags));
                assert!(
                    fits.map(|(uid, _)| uid).eq(found),
                    "{line}: {key} {found:?}"
                );
            }
        } else {
            assert!(view.len() >= truth.len() + held.clone().count(), "{line}");
            for uid in held {
                let gone = world.gone(selected.mailbox, *uid).unwrap();
                let highest = selected.highest;
                assert!(
                    highest < gone,
                    "{line}: {uid} left at {gone}, told {highest}"
                );
            }
        }
        let condstore = self.profile.has("CONDSTORE") || self.profile.has("QRESYNC");
        for (uid, known) in &selected.known {
            let Some(really) = truth.get(uid) else {
                continue;
            };
            if let Some(flags) = &known.flags {
                assert_eq!(flags, &really.flags, "{line}: flags of {uid}");
            }
            if let Some(mod_seq) = known.mod_seq.filter(|_| condstore) {
                assert_eq!(mod_seq, really.mod_seq, "{line}: mod-sequence of {uid}");
            }
        }
    }

    /// Asks for what is new, as careful programs do after EXISTS.
    pub(super) async fn learn(&mut self, world: &mut World) {
        let Some(selected) = &self.selected else {
            return;
        };
        let Some(first) = selected.view.iter().position(Option::is_none) else {
            return;
        };
        let before = selected.view[..first].iter().rev().flatten().next();
        let uid = before
            .filter(|_| selected.numbered)
            .map_or(1, |uid| uid + 1);
        if self.profile.has("UIDONLY") || self.profile.has("QRESYNC") {
            let line = format!("UID FETCH {uid}:* (UID FLAGS MODSEQ)");
            self.ok(world, &line).await;
        } else {
            let line = format!("FETCH {}:* (UID FLAGS)", first + 1);
            self.command(world, &line, Expunges::Held).await;
            // What is gone before it was ever known is told of by the next command that may.
            self.ok(world, "NOOP").await;
        }
    }

    /// Some messages of which the UIDs are known.
    pub(super) fn some(&self, rng: &mut StdRng) -> Vec<u32> {
        let Some(selected) = &self.selected else {
            return Vec::new();
        };
        let here: Vec<u32> = selected.view.iter().copied().flatten().collect();
        let part = rng.gen_range(1..=here.len().clamp(1, 3));
        let from = rng.gen_range(0..here.len().max(1));
        here.into_iter().skip(from).take(part).collect()
    }
}

impl Selected {
    /// The number by which a client names a message.
    pub(super) fn position(&self, uid: u32) -> usize {
        let found = self.view.iter().position(|known| *known == Some(uid));
        found.unwrap() + 1
    }

    /// Notes that the message of this UID is there: UIDs ascend. Without numbers no place is
    /// known for those of which the UID is not.
    fn place(&mut self, uid: u32, told: &str) {
        if self.view.contains(&Some(uid)) {
            return;
        }
        let below = self
            .view
            .iter()
            .rposition(|known| known.is_some_and(|known| known < uid));
        let start = below.map_or(0, |at| at + 1);
        let free = if self.numbered {
            Some(start).filter(|at| self.view.get(*at) == Some(&None))
        } else {
            self.view.iter().position(Option::is_none)
        };
        let free = free.unwrap_or_else(|| panic!("{told}: not counted in {:?}", self.view));
        self.view[free] = Some(uid);
        if !self.numbered {
            self.view
                .sort_unstable_by_key(|uid| uid.unwrap_or(u32::MAX));
        }
    }

    /// What has come to the result of the followed search, or gone from it.
    fn moved(&mut self, told: &str) {
        let Some((_, found)) = &mut self.follows else {
            return;
        };
        let set = |mark| code_text(told, mark).map(uids).unwrap_or_default();
        found.retain(|uid| !set("REMOVEFROM (0 ").contains(uid));
        found.extend(set("ADDTO (0 "));
        found.extend(set(" ALL "));
    }

    /// Learns from a FETCH response; gives the UID.
    fn fetched(&mut self, answer: &mut Answer, line: &str, told: &str) -> u32 {
        let number: u32 = line.split(' ').nth(1).unwrap().parse().unwrap();
        let named = code(line, "UID ").map(|uid| u32::try_from(uid).unwrap());
        let uid = if line.contains(" UIDFETCH (") {
            assert!(named.is_none_or(|uid| uid == number), "{told}");
            self.place(number, told);
            number
        } else {
            let at = usize::try_from(number).unwrap() - 1;
            assert!(at < self.view.len(), "{told}");
            let known = self.view[at];
            let uid = named
                .or(known)
                .unwrap_or_else(|| panic!("{told}: without a UID"));
            assert!(known.is_none_or(|known| known == uid), "{told}");
            self.view[at] = Some(uid);
            uid
        };
        let known = self.known.entry(uid).or_default();
        let mod_seq = code(line, "MODSEQ (");
        if let Some(flags) = code_text(line, "FLAGS (") {
            let flags = flags.split_ascii_whitespace();
            let kept = flags.filter(|flag| *flag != "\\Recent").map(str::to_owned);
            known.flags = Some(kept.collect());
        }
        known.mod_seq = mod_seq.or(known.mod_seq);
        answer.mod_seq = answer.mod_seq.max(mod_seq.unwrap_or(0));
        answer.fetched.insert(uid, mod_seq);
        uid
    }
}

/// The number behind a word.
pub(super) fn code(line: &str, mark: &str) -> Option<u64> {
    let rest = code_text(line, mark)?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// What stands behind a word, up to a bracket.
fn code_text<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(mark)?;
    rest.split([')', ']']).next()
}

/// The numbers of a set.
pub(super) fn uids(set: &str) -> Vec<u32> {
    let span = |range: &str| {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        from.parse::<u32>().unwrap()..=to.parse().unwrap()
    };
    set.split(',')
        .filter(|range| !range.is_empty())
        .flat_map(span)
        .collect()
}
