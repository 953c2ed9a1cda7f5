//! SEARCH, SORT and THREAD: each answer is known before.

use anyhow::Result;

use super::super::client::Client;
use super::super::mailbag::{
    NEEDLE, NEEDLE_BASE64, NEEDLE_FROM, NEEDLE_QUOTED, NEEDLE_SUBJECT, Needle,
};
use super::{ROUNDS, Run, seconds};
use crate::figures::Better;

/// After so many seconds a search is not asked a third time.
const ENOUGH: f64 = 4.0;

/// A search, and how many messages it has to find.
struct Question {
    /// Of the first time, and of the others.
    names: [&'static str; 2],
    keys: String,
    /// What follows the keys, if anything.
    literal: &'static str,
    expected: usize,
}

impl Run<'_> {
    pub(super) fn search(&mut self) -> Result<()> {
        (self.say)("search");
        let mut client = self.selected()?;
        for question in self.questions() {
            let Question {
                names: [first, warm],
                keys,
                literal,
                expected,
            } = question;
            let mut times = Vec::new();
            // A server that needs long needs as long again.
            let enough = |times: &[f64]| times.len() > 1 && times.iter().sum::<f64>() > ENOUGH;
            while times.len() < ROUNDS && !enough(&times) {
                let mut found = 0;
                let mut hits = |line: &[u8]| {
                    if line.starts_with(b"* SEARCH") {
                        found += line.split(|octet| *octet == b' ').count() - 2;
                    }
                };
                times.push(seconds(|| {
                    let head = format!("UID SEARCH {keys}");
                    if literal.is_empty() {
                        client.each(&head, |line, _| hits(line))
                    } else {
                        client.with_literal(&head, literal, |line, _| hits(line))
                    }
                })?);
                self.report.expect(warm, found, expected);
            }
            self.report.time(first, times.remove(0));
            let warmest = times.into_iter().fold(f64::MAX, f64::min);
            self.report.time(warm, warmest);
        }
        self.arrange(&mut client)
    }

    /// SORT and THREAD, where the server has them.
    fn arrange(&mut self, client: &mut Client) -> Result<()> {
        for (first, warm, capability, command) in [
            (
                "sort, first",
                "sort",
                "SORT",
                "UID SORT (REVERSE DATE) UTF-8 ALL",
            ),
            (
                "thread, first",
                "thread",
                "THREAD=REFERENCES",
                "UID THREAD REFERENCES UTF-8 ALL",
            ),
        ] {
            if !client.capabilities.contains(capability) {
                self.report.push(first, "ms", Better::Less, None);
                self.report.push(warm, "ms", Better::Less, None);
                continue;
            }
            self.report.time(first, seconds(|| client.run(command))?);
            self.report.time(warm, seconds(|| client.run(command))?);
        }
        Ok(())
    }

    fn questions(&self) -> Vec<Question> {
        let count = |needle: Needle| needle.count(self.messages);
        let unseen = (0..self.messages).filter(|number| number % 3 > 0).count();
        let middle = self.messages / 2;
        let by_id = format!("HEADER Message-ID \"<{middle}@bench.example>\"");
        let question = |names, keys: &str, literal, expected| Question {
            names,
            keys: keys.to_owned(),
            literal,
            expected,
        };
        vec![
            question(
                ["search unseen, first", "search unseen"],
                "UNSEEN",
                "",
                unseen,
            ),
            question(
                ["search subject, first", "search subject"],
                "SUBJECT ",
                NEEDLE_SUBJECT,
                count(Needle::Subject),
            ),
            question(
                ["search from, first", "search from"],
                "FROM ",
                NEEDLE_FROM,
                count(Needle::From),
            ),
            question(
                ["search message-id, first", "search message-id"],
                &by_id,
                "",
                1,
            ),
            question(
                ["search body, first", "search body"],
                "BODY ",
                NEEDLE,
                count(Needle::Plain),
            ),
            question(
                [
                    "search body in quoted-printable, first",
                    "search body in quoted-printable",
                ],
                "CHARSET UTF-8 BODY ",
                NEEDLE_QUOTED,
                count(Needle::Quoted),
            ),
            question(
                ["search body in base64, first", "search body in base64"],
                "BODY ",
                NEEDLE_BASE64,
                count(Needle::Base64),
            ),
            question(
                ["search text in vain, first", "search text in vain"],
                "TEXT ",
                "nosuchwordanywhere",
                0,
            ),
        ]
    }
}
