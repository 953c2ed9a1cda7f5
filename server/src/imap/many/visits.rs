//! How a session comes to a mailbox, leaves it, and comes back after its connection was lost.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use rand::seq::SliceRandom as _;

use super::Run;
use super::client::{Answer, Client, Selected};
use super::steps::went;
use super::world::SELECTED;
use crate::imap::set::write_set;

impl Run {
    /// CLOSE, UNSELECT, or another mailbox.
    pub(super) async fn leave(&mut self, client: &mut Client) {
        let selected = client.selected.as_ref().unwrap();
        let (mailbox, read_only) = (selected.mailbox, selected.read_only);
        let line = *["CLOSE", "UNSELECT", ""].choose(&mut self.rng).unwrap();
        if line.is_empty() {
            return self.select_any(client).await;
        }
        let before = self.world.truth(mailbox);
        let is_virtual = self.world.is_virtual(mailbox);
        client.selected = None;
        client.ok(&mut self.world, line).await;
        let expunges = line == "CLOSE" && !read_only;
        let after = self.world.truth(mailbox);
        for (uid, was) in before {
            let goes = expunges && was.flags.contains("\\Deleted");
            let is = after.get(&uid);
            assert!(went(is, goes, is_virtual), "{line}: {uid}");
        }
    }

    pub(super) async fn select_any(&mut self, client: &mut Client) {
        let name = *SELECTED.choose(&mut self.rng).unwrap();
        self.select(client, name).await;
    }

    pub(super) async fn select(&mut self, client: &mut Client, name: &str) {
        let read_only = self.rng.gen_ratio(1, 6);
        let how = ["SELECT", "EXAMINE"][usize::from(read_only)];
        let select = format!("{how} \"{name}\"");
        self.begin(client, name, &select, read_only).await;
        client.learn(&mut self.world).await;
    }

    async fn begin(
        &mut self,
        client: &mut Client,
        name: &str,
        line: &str,
        read_only: bool,
    ) -> Answer {
        if client.selected.take().is_some() && client.profile.notify.is_some() {
            // From here on all responses are of the new mailbox.
            client.ok(&mut self.world, "UNSELECT").await;
        }
        client.selected = Some(Selected {
            mailbox: self.world.mailbox(name),
            read_only,
            numbered: !client.profile.has("UIDONLY"),
            view: Vec::new(),
            known: BTreeMap::new(),
            highest: 0,
            follows: None,
        });
        client.ok(&mut self.world, line).await
    }

    /// The connection is lost, and what happened since is told when it is there again: all of
    /// it, and nothing else.
    pub(super) async fn reconnect(&mut self, client: &mut Client) {
        let before = client.selected.take().unwrap();
        let name = self.world.name(before.mailbox);
        let mut again = self.connect(client.profile).await;
        std::mem::swap(client, &mut again);
        drop(again);
        for _ in 0..self.rng.gen_range(0..3) {
            self.world.others(&mut self.rng).await;
        }
        if !client.profile.has("QRESYNC") || before.highest == 0 {
            return self.select(client, name).await;
        }
        let status = self.world.account.mailbox_by_id(before.mailbox).unwrap();
        let validity = status.uid_validity.get();
        let known: Vec<u32> = before.known.keys().copied().collect();
        let names_known = self.rng.gen_bool(0.5) && !known.is_empty();
        let set = if names_known {
            format!(" {}", write_set(known.iter().copied()))
        } else {
            String::new()
        };
        let how = ["SELECT", "EXAMINE"][usize::from(before.read_only)];
        let line = format!(
            "{how} \"{name}\" (QRESYNC ({validity} {}{set}))",
            before.highest
        );
        let answer = self.begin(client, name, &line, before.read_only).await;
        let truth = self.world.truth(before.mailbox);
        let gone: BTreeSet<u32> = known
            .iter()
            .copied()
            .filter(|uid| !truth.contains_key(uid))
            .collect();
        let told = answer
            .earlier
            .iter()
            .filter(|uid| before.known.contains_key(uid));
        assert!(gone.iter().eq(told), "{line}: {gone:?}");
        let changed = truth.iter().filter(|(uid, one)| {
            one.mod_seq > before.highest && (!names_known || known.contains(uid))
        });
        assert!(
            changed.map(|(uid, _)| uid).eq(answer.fetched.keys()),
            "{line}"
        );
        for (uid, known) in &before.known {
            if let (Some(really), Some(flags)) = (truth.get(uid), &known.flags)
                && !answer.fetched.contains_key(uid)
            {
                assert_eq!(flags, &really.flags, "{line}: {uid}");
            }
        }
        client.learn(&mut self.world).await;
    }
}
