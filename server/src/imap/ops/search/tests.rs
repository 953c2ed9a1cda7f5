//! SEARCH with the index against SEARCH without it, over made-up mail and any texts.

use letterlock_core::account::Account;
use letterlock_core::id::{MailboxName, SequenceNumber};
use letterlock_core::model::FlagSet;
use letterlock_core::store::MemoryStore;
use proptest::prelude::*;

use super::*;
use crate::imap::recall::Recall;
use crate::imap::recent::Recents;
use crate::imap::transcripts::{new_account, now};

#[test]
fn one_false_decides_and_nothing_else_does() {
    assert_eq!(
        all([Some(true), None, Some(false)].into_iter()),
        Some(false)
    );
    assert_eq!(all([Some(true), None].into_iter()), None);
    assert_eq!(all([Some(true)].into_iter()), Some(true));
}

/// What the mail is made of: words that have parts of each other, scripts, punctuation.
const WORDS: [&str; 22] = [
    "が日本語",
    "x™½",
    "한국",
    "café",
    "seed",
    "seeds",
    "Seedling",
    "lighthouse",
    "house",
    "Grüße",
    "GRÜSSE",
    "straße",
    "日本語",
    "日本",
    "本",
    "が",
    "bob@mail.example.org",
    "can't",
    "x",
    "Ёлка",
    "ﬁnance",
    "=20",
];

fn any_words() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(&WORDS[..]);
    let between = proptest::sample::select(&[" ", " ", ", ", "-", "", "<b>"][..]);
    proptest::collection::vec((word, between), 0..7)
        .prop_map(|words| words.iter().flat_map(|(w, b)| [*w, *b]).collect::<String>())
}

/// A message: a subject as it stands or in encoded words, folded; plain, HTML, both, or a message
/// within.
fn any_message() -> impl Strategy<Value = Vec<u8>> {
    (any_words(), any_words(), any_words(), 0..6_u8).prop_map(|(subject, text, other, form)| {
        let subject = match form % 3 {
            0 => subject,
            1 => subject.replace(' ', "\r\n "),
            _ => format!("=?utf-8?b?{}?=", base64(subject.as_bytes())),
        };
        let html = format!("<html><p class=\"seed\">{other}</p><a href=\"http://x.org/{text}\">");
        let head = format!("From: Bob <bob@x.org>\r\nTo: {other} <a@b.c>\r\nSubject: {subject}\r\n");
        let typed = |kind: &str, text: &str| {
            format!("Content-Type: text/{kind}; charset=utf-8\r\n\r\n{text}\r\n")
        };
        let many = |parts: &[String]| {
            let parts: String = parts.iter().flat_map(|part| ["--b\r\n", part]).collect();
            format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n")
        };
        let body = match form {
            0 | 1 => typed("plain", &text),
            2 => typed("html", &html),
            3 => format!(
                "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
                base64(text.as_bytes())
            ),
            4 => many(&[typed("plain", &text), typed("html", &html)]),
            _ => many(&[
                format!("Content-Disposition: attachment\r\n{}", typed("plain", &text)),
                format!("Content-Type: message/rfc822\r\n\r\nX-Seed: {other}\r\n\r\n{text}\r\n"),
            ]),
        };
        format!("{head}{body}").into_bytes()
    })
}

fn base64(octets: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(octets)
}

/// Texts that stand in markup, in headers, or nowhere.
const FIXED: [&str; 12] = [
    "か",
    "日本語か",
    "e\u{301}",
    "u",
    "class=",
    "href",
    "か\u{3099}",
    "",
    "?",
    "x-seed: ",
    "\r\n",
    "seed</p>",
];

fn any_needle() -> impl Strategy<Value = String> {
    let cut =
        (any_words(), any::<prop::sample::Index>(), 1..9_usize).prop_map(|(words, at, length)| {
            let chars: Vec<char> = words.chars().collect();
            let start = if chars.is_empty() {
                0
            } else {
                at.index(chars.len())
            };
            chars.into_iter().skip(start).take(length).collect()
        });
    prop_oneof![4 => cut, 1 => proptest::sample::select(&FIXED[..]).prop_map(str::to_owned)]
}

fn any_key() -> impl Strategy<Value = SearchKey> {
    let leaf = (0..6_u8, any_needle()).prop_map(|(kind, text)| match kind {
        0 | 1 => SearchKey::Body(text),
        2 => SearchKey::Text(text),
        kind => SearchKey::Header {
            name: ["SUBJECT", "from", "X-Other"][usize::from(kind) - 3].to_owned(),
            text,
        },
    });
    leaf.prop_recursive(2, 5, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|key| SearchKey::Not(Box::new(key))),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| SearchKey::Or(Box::new(a), Box::new(b))),
            proptest::collection::vec(inner, 1..3).prop_map(SearchKey::And),
        ]
    })
}

async fn both_ways(messages: Vec<Vec<u8>>, late: usize, keys: Vec<SearchKey>) {
    let account = new_account().await;
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
    let append = async |message: &[u8]| {
        let account: &Account<MemoryStore> = &account;
        account
            .append(inbox, message, FlagSet::new(), now(), now())
            .await
            .unwrap();
    };
    let early = messages.len().saturating_sub(late);
    for message in &messages[..early] {
        append(message).await;
    }
    while account.index_step(7).await.unwrap().more {}
    // The index does not know these.
    for message in &messages[early..] {
        append(message).await;
    }
    let recents = Recents::default();
    let recall = Recall::default();
    let progress = super::super::Progress::default();
    let context = Context {
        progress: &progress,
        behind: false,
        room: None,
        account: &account,
        recents: &recents,
        recall: &recall,
        now: now(),
    };
    let placements = account.placements(inbox);
    let slots: Vec<Slot> = (1..)
        .zip(&placements)
        .map(|(number, placement)| Slot {
            number: SequenceNumber::new(number).unwrap(),
            uid: placement.uid,
            mod_seq: placement.mod_seq,
            recent: false,
        })
        .collect();
    let last = *slots.last().unwrap();
    for key in keys {
        let narrowing = Narrowing::of(&account, &key, usize::MAX).await;
        let key = mapped(key);
        let mut answers = Vec::new();
        for narrowing in [narrowing, Narrowing::default()] {
            let question = Question {
                key: key.clone(),
                narrowing,
                loose: Loose::default(),
            };
            let found = find(&context, inbox, slots.clone(), last, &question).await;
            answers.push(found.unwrap());
        }
        assert_eq!(answers[0], answers[1], "{key:?}");
    }
}

#[tokio::test]
async fn what_the_index_rules_out_is_not_read() {
    let account = new_account().await;
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
    for text in ["lighthouse", "seeds"] {
        let raw = format!("Subject: {text}\r\n\r\nThe {text}.\r\n");
        let raw = raw.as_bytes();
        let appended = account.append(inbox, raw, FlagSet::new(), now(), now());
        appended.await.unwrap();
    }
    while account.index_step(7).await.unwrap().more {}
    let hashes: Vec<_> = account
        .placements(inbox)
        .iter()
        .map(|p| p.message)
        .collect();
    for (place, text, expected) in [
        (Place::Body, "ghthous", [false, true]),
        (Place::Body, "the seeds.", [true, false]),
        (Place::Subject, "seed", [true, false]),
        (Place::From, "seed", [true, true]),
    ] {
        let name = "subject".to_owned();
        let key = match place {
            Place::Body => SearchKey::Body(text.to_owned()),
            Place::Subject => SearchKey::Header {
                name,
                text: text.to_owned(),
            },
            _ => SearchKey::Header {
                name: "From".to_owned(),
                text: text.to_owned(),
            },
        };
        let narrowing = Narrowing::of(&account, &key, usize::MAX).await;
        let ruled_out = hashes
            .iter()
            .map(|hash| narrowing.rules_out(place, &casemap(text), hash));
        assert_eq!(ruled_out.collect::<Vec<_>>(), expected, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_index_changes_no_answer(
        messages in proptest::collection::vec(any_message(), 1..20),
        late in 0..4_usize,
        keys in proptest::collection::vec(any_key(), 1..14),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(both_ways(messages, late, keys));
    }
}
