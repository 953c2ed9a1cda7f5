//! Made-up mail: words by Zipf's law in several languages, people who write to each other in
//! threads, replies that quote.

use letterlock_core::id::{MessageHash, Timestamp};

/// Words of each language.
const VOCABULARY: u64 = 60_000;
/// People.
const PEOPLE: u64 = 3000;
/// Octets of the fields that servers add, which the index does not read: `Received`, `DKIM`.
pub const TRACE_OCTETS: usize = 1200;
/// When the first letter came: 2015-01-01. Another comes every half hour.
const FIRST: i64 = 1_420_070_400;
const EVERY: i64 = 1800;

/// A stream of numbers (`SplitMix64`).
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// The same seed, the same numbers.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    /// A rank from 0 to below `most`, each as often as its place in the order says (Zipf's law).
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a random rank need not be exact"
    )]
    pub fn rank(&mut self, most: u64) -> u64 {
        let uniform = (self.number() >> 11) as f64 / (1_u64 << 53) as f64;
        let rank = (uniform * (most as f64).ln()).exp() as u64;
        rank.saturating_sub(1).min(most.saturating_sub(1))
    }
}

/// A language of the mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Like English.
    English,
    /// Like German: umlauts, longer words.
    German,
    /// Like Russian.
    Russian,
    /// Like Japanese: no spaces.
    Japanese,
}

impl Language {
    fn of(numbers: &mut Numbers) -> Self {
        match numbers.below(20) {
            0..=11 => Self::English,
            12..=16 => Self::German,
            17..=18 => Self::Russian,
            _ => Self::Japanese,
        }
    }

    /// The word of a rank; frequent ones are short.
    pub fn word(self, rank: u64) -> String {
        let syllables: &[&str] = match self {
            Self::English => &[
                "th", "e", "an", "in", "er", "re", "on", "at", "en", "nd", "ti", "es", "or", "te",
                "of", "ed", "is", "it", "al", "ar", "st", "to", "nt", "ng", "se", "ha", "as", "ou",
                "io", "le", "ve", "co",
            ],
            Self::German => &[
                "en", "er", "ch", "de", "ei", "ie", "in", "te", "ge", "un", "ich", "sch", "be",
                "ung", "st", "an", "ver", "ß", "ü", "ä", "auf", "ent", "lich", "heit", "ö", "tag",
                "haus", "re", "se", "ne", "da", "wir",
            ],
            Self::Russian => &[
                "ст", "но", "то", "на", "ен", "ов", "ни", "ра", "во", "ко", "пр", "го", "ал", "ро",
                "по", "ре", "от", "ли", "ва", "ка", "ть", "ор", "ло", "ер", "он", "та", "ос", "не",
                "ла", "де", "ит", "за",
            ],
            Self::Japanese => &[
                "日", "本", "の", "に", "は", "を", "人", "年", "大", "す", "る", "た", "会", "国",
                "中", "メ", "ー", "ル", "送", "信", "東", "京", "都", "手", "紙", "が", "で", "し",
                "様", "願", "致", "件",
            ],
        };
        // The rank's digits, mixed, so that words of neighbouring ranks are not neighbours.
        let mut left = (rank + 1).wrapping_mul(2_654_435_761) % (VOCABULARY * 16) + 1;
        let mut word = String::new();
        let most = 1 + (rank + 2).ilog(12);
        for _ in 0..=most {
            let at = usize::try_from(left % 32).unwrap_or(0);
            word.push_str(syllables.get(at).copied().unwrap_or_default());
            left = left / 32 + 7 * (rank + 1);
        }
        word
    }
}

/// A letter.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Its number, from 0.
    pub number: u32,
    /// Its hash.
    pub hash: MessageHash,
    /// When it came.
    pub date: Timestamp,
    /// `From`, `To`, `Subject`, body.
    pub from: String,
    /// Who gets it.
    pub to: String,
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub body: String,
    /// The name of what is attached to it.
    pub attachment: Option<String>,
}

impl Letter {
    /// How long the message is, without the attachment.
    pub fn octets(&self) -> usize {
        let fields = self.from.len() + self.to.len() + self.subject.len() + 120;
        TRACE_OCTETS + fields + self.body.len()
    }
}

/// The letter of a number; any can be made without those before it.
pub fn letter(number: u32) -> Letter {
    // Letters of a thread stand some way apart.
    let thread = if number.is_multiple_of(3) {
        number
    } else {
        number.saturating_sub(7 * (number % 3))
    };
    let mut numbers = Numbers::new(u64::from(thread) << 20);
    let language = Language::of(&mut numbers);
    let subject_words = 3 + numbers.below(5);
    let subject = text(language, subject_words, &mut numbers);
    let quoted = text(language, 40, &mut numbers);
    let mut numbers = Numbers::new(u64::from(number) << 20 | 1);
    let words = 40 + numbers.rank(1200);
    let mut body = String::new();
    if thread != number {
        body.push_str("> ");
        body.push_str(&quoted);
        body.push_str("\r\n\r\n");
    }
    let mut left = words;
    while left > 0 {
        let line = left.min(12);
        body.push_str(&text(language, line, &mut numbers));
        body.push_str(if numbers.below(6) == 0 {
            ".\r\n\r\n"
        } else {
            "\r\n"
        });
        left -= line;
    }
    if numbers.below(5) == 0 {
        let page = format!("https://example.org/p/{:x}\r\n", numbers.number());
        body.push_str(&page);
    }
    let attachment = (numbers.below(8) == 0).then(|| {
        let name = language.word(numbers.rank(VOCABULARY));
        format!("{name}-{}.pdf", numbers.below(1000))
    });
    let mut hash = [0; 32];
    for chunk in hash.chunks_exact_mut(8) {
        chunk.copy_from_slice(&numbers.number().to_be_bytes());
    }
    Letter {
        number,
        hash: MessageHash::new(hash),
        date: Timestamp::from_secs(FIRST + i64::from(number) * EVERY),
        from: person(numbers.rank(PEOPLE)),
        to: person(numbers.rank(PEOPLE)),
        subject: if thread == number {
            subject
        } else {
            format!("Re: {subject}")
        },
        body,
        attachment,
    }
}

/// A person's name and address.
pub fn person(rank: u64) -> String {
    let (first, last) = (
        Language::English.word(rank * 17 + 900),
        Language::German.word(rank * 31 + 1200),
    );
    format!(
        "{first} {last} <{first}.{rank}@{}.example>",
        Language::English.word(rank % 40 + 300)
    )
}

fn text(language: Language, words: u64, numbers: &mut Numbers) -> String {
    let mut text = String::new();
    let between = if language == Language::Japanese {
        ""
    } else {
        " "
    };
    for nth in 0..words {
        if nth > 0 {
            text.push_str(between);
        }
        // Frequent words are the same in the mail of all; names and numbers are not.
        if numbers.below(60) == 0 {
            text.push_str(&numbers.below(100_000).to_string());
        } else {
            text.push_str(&language.word(numbers.rank(VOCABULARY)));
        }
        if language == Language::Japanese && nth % 9 == 8 {
            text.push('。');
        }
    }
    text
}
