//! What people type, and that every query reads as it is written.

use proptest::prelude::*;

use super::*;

fn check(text: &str, canonical: &str) {
    assert_eq!(Query::parse(text).to_string(), canonical, "{text}");
}

#[test]
fn queries_as_people_type_them() {
    check("seeds  garden", "seeds garden");
    check("wor*", "wor*");
    check("\"a b\"", "\"a b\"");
    check("“a b”", "\"a b\"");
    check(
        "FROM:Bob subject:\"the plan\"",
        "from:Bob subject:\"the plan\"",
    );
    check(
        "from:bob@x.org OR from:\"Bob Smith\"",
        "from:bob@x.org OR from:\"Bob Smith\"",
    );
    check("a b OR c d", "a b OR c d");
    check("(a b) OR c", "(a b) OR c");
    check("(a) ((b))", "a b");
    check("-(a OR b) -c -subject:d", "-(a OR b) -c -subject:d");
    check(
        "has:attachments is:STARRED is:unseen",
        "has:attachment is:flagged is:unread",
    );
    check(
        "after:2024 before:2024/5 on:2024-05-17",
        "since:2024 before:2024-05 on:2024-05-17",
    );
    check(
        "larger:5mb smaller:1536k larger:10",
        "larger:5M smaller:1536K larger:10",
    );
    check("in:\"Old mail\" in:Sent", "in:\"Old mail\" in:Sent");
    check("e-mail http://x.org/y a:b", "e-mail http://x.org/y a:b");
    check(
        "\"-a\" \"OR\" \"from:x\" \"say \\\"hi\\\"\"",
        "\"-a\" \"OR\" \"from:x\" \"say \\\"hi\\\"\"",
    );
    check("", "");
    check("()", "");
    check("a()b", "a b");
}

#[test]
fn what_is_not_understood_is_words_and_is_said() {
    let check = |text: &str, canonical: &str, notes: &[Note]| {
        let query = Query::parse(text);
        assert_eq!(query.to_string(), canonical, "{text}");
        assert_eq!(query.notes(), notes, "{text}");
    };
    let owned = str::to_owned;
    check(
        "before:soon",
        "\"before:soon\"",
        &[Note::Date(owned("soon"))],
    );
    check(
        "on:2023-02-29",
        "\"on:2023-02-29\"",
        &[Note::Date(owned("2023-02-29"))],
    );
    check(
        "on:2024-13",
        "\"on:2024-13\"",
        &[Note::Date(owned("2024-13"))],
    );
    check("is:blue", "\"is:blue\"", &[Note::State(owned("blue"))]);
    check("has:wings", "\"has:wings\"", &[Note::Thing(owned("wings"))]);
    check("larger:big", "\"larger:big\"", &[Note::Size(owned("big"))]);
    check("from: a", "a", &[Note::NoValue(owned("from"))]);
    check("a !!! b", "a b", &[Note::NoWords(owned("!!!"))]);
    check("a \"b c", "a \"b c\"", &[Note::OpenQuote]);
    check("(a b", "a b", &[Note::Parenthesis]);
    check("a) b", "a b", &[Note::Parenthesis]);
    check("a OR", "a \"OR\"", &[Note::Or]);
    check("OR a", "\"OR\" a", &[Note::Or]);
    check(&"(".repeat(100), "", &[Note::TooLong, Note::Parenthesis]);
}

#[test]
fn days_months_and_years() {
    let days = |text: &str| {
        let Node::On(date) = Query::parse(&format!("on:{text}")).root else {
            panic!("{text}");
        };
        date.days()
    };
    assert_eq!(days("1970"), (0, 365));
    assert_eq!(days("1970-12"), (334, 365));
    assert_eq!(days("1970-02"), (31, 59));
    assert_eq!(days("2024-02-29"), (19_782, 19_783));
}

fn any_leaf() -> impl Strategy<Value = Node> {
    let field = proptest::sample::select(
        &[
            None,
            None,
            Some(Field::From),
            Some(Field::Subject),
            Some(Field::Body),
            Some(Field::FileName),
        ][..],
    );
    let text = prop_oneof![
        "[a-zA-Z0-9@.:()\"\\\\*“ -]{0,8}[a-z]",
        Just("OR".to_owned())
    ];
    let date = (
        1000..9999_u16,
        proptest::option::of(1..=12_u8),
        1..=28_u8,
        any::<bool>(),
    )
        .prop_map(|(year, month, day, with_day)| Date {
            year,
            month,
            day: month.and(with_day.then_some(day)),
        });
    prop_oneof![
        4 => (field, text.clone(), any::<bool>())
            .prop_map(|(field, text, prefix)| Node::Words { field, text, prefix }),
        1 => Just(Node::Attachment),
        1 => date.clone().prop_map(Node::Before),
        1 => date.clone().prop_map(Node::Since),
        1 => date.prop_map(Node::On),
        1 => text.prop_map(Node::In),
        1 => proptest::sample::select(&State::ALL[..]).prop_map(Node::Is),
        1 => (0..1_000_000_000_u64).prop_map(Node::Larger),
        1 => (0..1000_u64).prop_map(|n| Node::Smaller(n << 20)),
    ]
}

fn any_node() -> impl Strategy<Value = Node> {
    any_leaf().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Node::and),
            proptest::collection::vec(inner.clone(), 1..4)
                .prop_map(|nodes| Node::or(nodes).unwrap()),
            inner.prop_map(|node| Node::Not(Box::new(node))),
        ]
    })
}

proptest! {
    #[test]
    fn a_query_reads_as_it_is_written(root in any_node()) {
        let query = Query { root, notes: Vec::new() };
        let written = query.to_string();
        let read = Query::parse(&written);
        prop_assert_eq!(&read, &query, "{}", written);
        prop_assert!(read.notes().is_empty(), "{} {:?}", written, read.notes());
    }

    #[test]
    fn anything_is_a_query(text in "\\PC{0,60}") {
        let query = Query::parse(&text);
        prop_assert_eq!(Query::parse(&query.to_string()), query);
    }

    #[test]
    fn what_looks_like_a_query_is_one(text in "(from:|is:|in:|before:|-|\\(|\\)| OR | |\"|\\*|a|b|2024|\\\\){0,20}") {
        let query = Query::parse(&text);
        prop_assert_eq!(Query::parse(&query.to_string()), query);
    }
}
