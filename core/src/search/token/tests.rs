//! Words of many scripts, and the agreement with UAX 29.

use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

use super::*;

fn tokens(text: &str) -> Vec<(String, u32)> {
    let mut out = Vec::new();
    Tokenizer::new().tokenize(text, |token| {
        out.push((token.text.to_owned(), token.position));
    });
    out
}

fn words(text: &str) -> Vec<String> {
    tokens(text).into_iter().map(|(word, _)| word).collect()
}

#[test]
fn words_of_many_scripts() {
    let check = |text: &str, expected: &[&str]| assert_eq!(words(text), expected, "{text}");
    check("Hello, World!", &["hello", "world"]);
    check("Größe über ALLES", &["grosse", "uber", "alles"]);
    check("Привет, мир", &["привет", "мир"]);
    check("Καλημέρα κόσμε", &["καλημερα", "κοσμε"]);
    check("שלום עולם", &["שלום", "עולם"]);
    check("مرحبا بالعالم", &["مرحبا", "بالعالم"]);
    check("नमस्ते दुनिया", &["नमसते", "दुनिया"]);
    check("日本語", &["日本", "本語", "語"]);
    check("メール", &["メー", "ール", "ル"]);
    check("한국어", &["한국", "국어", "어"]);
    check("สวัสดี", &["สว", "วั", "ัส", "สด", "ดี", "ี"]);
    check("ສະບາຍດີ", &["ສະ", "ະບ", "ບາ", "າຍ", "ຍດ", "ດີ", "ີ"]);
    check("Tiếng Việt", &["tieng", "viet"]);
    check("გამარჯობა", &["გამარჯობა"]);
    check("iPhone手机 ok", &["iphone", "手机", "机", "ok"]);
    check("字", &["字"]);
    check("party 🎉👍🏽!", &["party", "🎉", "👍"]);
    check("ﾊﾞｽ バス", &["バス", "ス", "バス", "ス"]);
    check("한 = \u{1112}\u{1161}\u{11ab}", &["한", "한"]);
    check("", &[]);
    check("... --- !!!", &[]);
}

#[test]
fn addresses_hosts_and_numbers_come_apart() {
    let check = |text: &str, expected: &[&str]| assert_eq!(words(text), expected, "{text}");
    check(
        "bob.smith@mail.example.org",
        &["bob", "smith", "mail", "example", "org"],
    );
    check(
        "3.14 1,000 192.168.0.1",
        &["3", "14", "1", "000", "192", "168", "0", "1"],
    );
    check(
        "can't won’t snake_case",
        &["can", "t", "won", "t", "snake", "case"],
    );
    check("RFC9051", &["rfc9051"]);
}

#[test]
fn positions_count_words() {
    assert_eq!(
        tokens("a 日本 b"),
        [
            ("a".to_owned(), 0),
            ("日本".to_owned(), 1),
            ("本".to_owned(), 2),
            ("b".to_owned(), 3)
        ]
    );
}

#[test]
fn long_words_become_overlapping_pieces() {
    let long: String = ('a'..='z').cycle().take(300).collect();
    let pieces = words(&long);
    assert!(pieces.iter().all(|piece| piece.len() == MAX_WORD_CHARS));
    for start in 0..=long.len() - PIECE_OVERLAP {
        let part = &long[start..start + PIECE_OVERLAP];
        assert!(pieces.iter().any(|piece| piece.contains(part)), "{start}");
    }
    assert!(long.starts_with(&pieces[0]) && long.ends_with(pieces.last().unwrap()));
    let exact: String = ('a'..='z').cycle().take(MAX_WORD_CHARS).collect();
    assert_eq!(words(&exact), core::slice::from_ref(&exact));
}

#[test]
fn long_runs_keep_every_pair() {
    let run: String = (0..1000_u32)
        .map(|n| char::from_u32(0x4e00 + n).unwrap())
        .collect();
    let pairs = words(&run);
    assert_eq!(pairs.len(), 1000);
    for (nth, pair) in run.chars().collect::<Vec<_>>().windows(2).enumerate() {
        assert_eq!(pairs[nth], pair.iter().collect::<String>());
    }
}

fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9]{1,6}",
        2 => "[ .,:@'_-]{1,2}",
        1 => "[äöüßéÀИжαΩς]{1,4}",
        1 => "[日本語がぎカガ中文]{1,4}",
        1 => "[한국어กขไทย]{1,3}",
        1 => "[שלםمرحبन]{1,3}",
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Whether a mark ends the text: where the boundary after it is, it has no letter to be on, and
/// goes to the word that follows.
fn ends_with_lost_mark(text: &str) -> bool {
    text.chars().next_back().is_some_and(|last| {
        last.is_alphanumeric()
            && !format!("-{last}")
                .split_word_bounds()
                .any(|part| part == "-")
    })
}

#[test]
fn a_mark_without_a_letter_goes_to_what_follows() {
    assert!(ends_with_lost_mark("\u{115dc}"));
    assert!(!ends_with_lost_mark("a") && !ends_with_lost_mark("日") && !ends_with_lost_mark("5"));
    assert_eq!(words("\u{115dc}a"), ["\u{115dc}a"]);
}

#[test]
fn ideographs_of_any_script_are_pairs() {
    assert_eq!(
        words("\u{17000}\u{17001}a"),
        ["\u{17000}\u{17001}", "\u{17001}", "a"]
    );
}

/// Whether UAX 29 lets this character stand in no word with a letter. Numbers that are no digits
/// are among them; here they are part of a word as digits are.
fn is_parted(c: char) -> bool {
    format!("{c}a").split_word_bounds().count() == 2
}

fn is_odd_number(c: char) -> bool {
    c.is_numeric() && !c.is_alphabetic() && is_parted(c)
}

#[test]
fn letters_that_stand_alone_are_of_scripts_without_spaces() {
    let wrong: Vec<String> = (char::MIN..=char::MAX)
        .filter(|c| c.is_alphabetic() && class(*c) == Class::Letter && is_parted(*c))
        .filter(|c| !ends_with_lost_mark(&c.to_string()))
        .filter(|c| {
            let mut kept = true;
            Folder::new().fold(*c, |folded| kept &= folded == *c);
            kept
        })
        .map(|c| format!("{:x}", u32::from(c)))
        .collect();
    assert_eq!(wrong, [""; 0]);
}

proptest! {
    #[test]
    fn no_word_crosses_a_word_boundary_of_uax_29(text in any_text()) {
        // Katakana beside other letters, and what NFKD writes anew, is judged after folding.
        let mut folder = Folder::new();
        let mut folded = String::new();
        for c in text.chars() {
            folder.fold(c, |c| if !fold::composes(c) { folded.push(c) });
        }
        let mut boundaries: Vec<usize> = folded
            .split_word_bound_indices()
            .filter(|(at, _)| !ends_with_lost_mark(&folded[..*at]))
            .filter(|(at, after)| {
                let beside = folded[..*at].chars().next_back().into_iter();
                !beside.chain(after.chars().next()).any(is_odd_number)
            })
            .map(|(at, _)| folded[..at].chars().count())
            .collect();
        boundaries.push(folded.chars().count());
        let mut crossing = Vec::new();
        Tokenizer::new().tokenize(&folded, |token| {
            if token.kind == Kind::Word
                && boundaries.iter().any(|at| token.start < *at && *at < token.end)
            {
                crossing.push(token.text.to_owned());
            }
        });
        prop_assert!(crossing.is_empty(), "{crossing:?} in {folded:?}");
    }

    #[test]
    fn a_part_of_a_text_has_its_words(before in any_text(), part in any_text(), after in any_text()) {
        let mut inner = Tokenizer::new();
        let mut needed = Vec::new();
        inner.tokenize(&part, |token| needed.push((token.text.to_owned(), token.kind, token.start, token.end)));
        let end = inner.at();
        let mut outer = Tokenizer::new();
        let mut all = Vec::new();
        outer.tokenize(&format!("{before}{part}{after}"), |token| all.push(token.text.to_owned()));
        if !inner.composed() && !outer.composed() {
            for (text, kind, start, stop) in needed {
                let open = start == 0 || stop == end;
                let there = match kind {
                    Kind::Last { .. } => all.iter().any(|other| other.starts_with(&text)),
                    Kind::Word if open => all.iter().any(|other| other.contains(&text)),
                    Kind::Pair | Kind::Word => all.contains(&text),
                };
                prop_assert!(there, "{text:?} of {part:?}");
            }
        }
    }
}
