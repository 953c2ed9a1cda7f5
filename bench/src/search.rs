//! The search index over made-up mail: how fast it takes messages in, how large it is, how fast
//! it answers. Over any store, so natively and in a browser.

use std::collections::BTreeMap;

use letterlock_core::id::{MailboxId, MessageHash};
use letterlock_core::search::{
    Builder, Facts, Field, Index, Page, Population, Query, SearchError, Traits,
};
use letterlock_core::store::{Batch, Store};

use crate::letters::{Language, Letter, Numbers, letter, person};

/// Messages that the index takes in at a time.
const AT_A_TIME: u32 = 256;
/// Queries of each kind.
const QUERIES: u64 = 25;
/// What a page of the webmail asks for.
const PAGE: Page = Page {
    offset: 0,
    limit: 50,
};

/// The mail around the index: one letter in three is unread, one in ten is archived.
#[derive(Debug, Default)]
pub struct Mail {
    places: BTreeMap<MessageHash, Facts>,
}

const INBOX: MailboxId = MailboxId::new([1; 16]);
const ARCHIVE: MailboxId = MailboxId::new([2; 16]);

impl Mail {
    fn place(&mut self, letter: &Letter) {
        let number = letter.number;
        let facts = Facts {
            message: letter.hash,
            mailbox: if number.is_multiple_of(10) {
                ARCHIVE
            } else {
                INBOX
            },
            seen: !number.is_multiple_of(3),
            flagged: number.is_multiple_of(50),
            answered: false,
            draft: false,
        };
        self.places.insert(letter.hash, facts);
    }
}

impl Population for Mail {
    fn changes(&self) -> u64 {
        self.places.len() as u64
    }

    fn places(&self) -> usize {
        self.places.len()
    }

    fn mailboxes(&self, named: &str) -> Vec<MailboxId> {
        match named {
            "inbox" => vec![INBOX],
            "archive" => vec![ARCHIVE],
            _ => Vec::new(),
        }
    }

    fn each_message(&self, visit: &mut dyn FnMut(&MessageHash)) {
        self.places.keys().for_each(visit);
    }

    fn each_place(&self, mailboxes: Option<&[MailboxId]>, visit: &mut dyn FnMut(&Facts)) {
        self.places
            .values()
            .filter(|facts| mailboxes.is_none_or(|wanted| wanted.contains(&facts.mailbox)))
            .for_each(visit);
    }

    fn each_place_of(&self, message: &MessageHash, visit: &mut dyn FnMut(&Facts)) {
        self.places.get(message).into_iter().for_each(visit);
    }
}

/// What a benchmark needs of where it runs.
pub trait Host {
    /// Milliseconds since some moment.
    fn millis(&self) -> f64;

    /// Shows a line.
    fn say(&self, line: &str);
}

/// Takes letters into an index in `store`, then asks it.
///
/// Returns the median of all queries in milliseconds.
pub async fn run<S: Store>(store: &S, letters: u32, host: &impl Host) -> Result<f64, SearchError> {
    let index = Index::new();
    let mut mail = Mail::default();
    fill(store, &index, &mut mail, letters, host).await?;
    let mut all = Vec::new();
    for (kind, queries) in queries(letters) {
        let mut times = Vec::new();
        let mut found = 0;
        for text in &queries {
            let query = Query::parse(text);
            let start = host.millis();
            found += index.search(store, &mail, &query, PAGE).await?.total;
            times.push(host.millis() - start);
        }
        let mean = found / queries.len().max(1);
        host.say(&format!(
            "  {kind:<24} {}  {mean:>7} found",
            spread(&mut times)
        ));
        all.append(&mut times);
    }
    host.say(&format!("  {:<24} {}", "all queries", spread(&mut all)));
    Ok(at(&all, 0.5))
}

async fn fill<S: Store>(
    store: &S,
    index: &Index,
    mail: &mut Mail,
    letters: u32,
    host: &impl Host,
) -> Result<(), SearchError> {
    let (mut octets, mut spent) = (0, 0.0);
    let mut number = 0;
    while number < letters {
        let batch: Vec<Letter> = (number..letters.min(number + AT_A_TIME))
            .map(letter)
            .collect();
        number += AT_A_TIME;
        octets += batch.iter().map(Letter::octets).sum::<usize>();
        for letter in &batch {
            mail.place(letter);
        }
        let start = host.millis();
        let mut builder = Builder::new();
        for letter in &batch {
            take_in(letter, &mut builder);
        }
        index.add(store, builder, Batch::new()).await?;
        while index.tend(store, mail).await? {}
        spent += host.millis() - start;
    }
    let size = index.size(store).await?;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (rate, share, megabytes) = (
        f64::from(letters) / (spent / 1000.0),
        size.octets as f64 / octets as f64,
        size.octets as f64 / 1e6,
    );
    host.say(&format!(
        "  {letters} messages of {} octets: {rate:.0} indexed a second, merging included",
        octets / letters.max(1) as usize
    ));
    host.say(&format!(
        "  index: {:.1} MB in {} segments, {share:.3} of the mail without attachments",
        megabytes, size.segments
    ));
    Ok(())
}

fn take_in(letter: &Letter, builder: &mut Builder) {
    builder.begin(letter.hash, letter.date, letter.octets() as u64);
    builder.text(Field::From, &letter.from);
    builder.text(Field::To, &letter.to);
    builder.text(Field::Subject, &letter.subject);
    builder.text(Field::Body, &letter.body);
    if let Some(name) = &letter.attachment {
        builder.text(Field::FileName, name);
    }
    builder.finish_message(if letter.attachment.is_some() {
        Traits::ATTACHMENT
    } else {
        Traits::NONE
    });
}

/// Queries as people ask them, by kind.
fn queries(letters: u32) -> Vec<(&'static str, Vec<String>)> {
    let mut numbers = Numbers::new(99);
    let mut rare = |from: u64, width: u64| Language::English.word(from + numbers.below(width));
    let kind = |make: &mut dyn FnMut(u64) -> String| (0..QUERIES).map(make).collect();
    let sample = |nth: u64| {
        let mut numbers = Numbers::new(nth + 7);
        let number = numbers.below(u64::from(letters));
        letter(u32::try_from(number).unwrap_or(0))
    };
    let phrase = |nth: u64| {
        let letter = sample(nth);
        let words: Vec<&str> = letter.body.split_whitespace().skip(9).take(2).collect();
        format!("\"{}\"", words.join(" ").replace(['"', '>'], ""))
    };
    let beginning = |word: &str| word.chars().take(5).collect::<String>();
    vec![
        ("a rare word", kind(&mut |_| rare(20_000, 30_000))),
        ("a common word", kind(&mut |_| rare(200, 2000))),
        (
            "a very frequent word",
            kind(&mut |nth| Language::English.word(nth % 10)),
        ),
        (
            "two frequent words",
            kind(&mut |_| format!("{} {}", rare(3, 40), rare(3, 40))),
        ),
        ("a phrase", kind(&mut |nth| phrase(nth))),
        (
            "a beginning",
            kind(&mut |_| format!("{}*", beginning(&rare(500, 9000)))),
        ),
        (
            "from:",
            kind(&mut |nth| {
                let person = person(nth * nth);
                let address = person.rsplit('<').next().unwrap_or_default();
                format!("from:{}", address.trim_end_matches('>'))
            }),
        ),
        (
            "subject:",
            kind(&mut |_| format!("subject:{}", rare(50, 2000))),
        ),
        (
            "a word in some months",
            kind(&mut |nth| format!("{} since:2016-0{} before:2017", rare(50, 2000), nth % 9 + 1)),
        ),
        (
            "a month",
            kind(&mut |nth| format!("on:2016-{:02}", nth % 12 + 1)),
        ),
        (
            "one word, not another",
            kind(&mut |_| format!("{} -{}", rare(20, 400), rare(5, 100))),
        ),
        (
            "in: and is:unread",
            kind(&mut |_| "in:inbox is:unread".to_owned()),
        ),
        (
            "a word, in:, is:unread",
            kind(&mut |_| format!("{} in:inbox is:unread", rare(50, 2000))),
        ),
        ("Japanese", kind(&mut |nth| sample_japanese(nth))),
    ]
}

fn sample_japanese(nth: u64) -> String {
    let word = Language::Japanese.word(nth * 13 + 40);
    word.chars().take(3).collect()
}

fn at(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a position in a short list"
    )]
    let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

fn spread(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    let (median, p95, most) = (at(times, 0.5), at(times, 0.95), at(times, 1.0));
    format!("median {median:>7.2} ms   95% {p95:>7.2} ms   most {most:>7.2} ms")
}
