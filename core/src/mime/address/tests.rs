//! Address lists, good and bad.

use super::*;

/// Renders as `name|adl|mailbox|host`, `~` for NIL.
fn check(value: &str, expected: &[&str]) {
    let show = |part: &Option<Vec<u8>>| part.as_deref().map_or_else(|| "~".to_owned(), to_text);
    let parsed = parse_addresses(value.as_bytes(), 100);
    let given: Vec<_> = parsed
        .addresses
        .iter()
        .map(|a| {
            format!(
                "{}|{}|{}|{}",
                show(&a.name),
                show(&a.adl),
                show(&a.mailbox),
                show(&a.host)
            )
        })
        .collect();
    assert_eq!(given, expected, "{value}");
}

#[test]
fn addresses_of_rfc_5322() {
    check(
        "John Doe <jdoe@machine.example>",
        &["John Doe|~|jdoe|machine.example"],
    );
    // RFC 5322 A.1.2.
    check(
        "\"Joe Q. Public\" <john.q.public@example.com>, Mary Smith <mary@x.test>, jdoe@example.org",
        &[
            "Joe Q. Public|~|john.q.public|example.com",
            "Mary Smith|~|mary|x.test",
            "~|~|jdoe|example.org",
        ],
    );
    check(
        "\"Giant; \\\"Big\\\" Box\" <s@example.net>",
        &["Giant; \"Big\" Box|~|s|example.net"],
    );
    // RFC 5322 A.1.3.
    check(
        "A Group:Ed Jones <joe@where.test>,joe@where.test,John <jdoe@one.test>;",
        &[
            "~|~|A Group|~",
            "Ed Jones|~|joe|where.test",
            "~|~|joe|where.test",
            "John|~|jdoe|one.test",
            "~|~|~|~",
        ],
    );
    check(
        "Undisclosed recipients:;",
        &["~|~|Undisclosed recipients|~", "~|~|~|~"],
    );
    // RFC 5322 A.5 and A.6.1.
    check(
        "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
        &["Pete|~|pete|silly.test"],
    );
    check(
        "Mary Smith <@node.test,@b.test:mary@example.net>, , j . d @ x . test",
        &[
            "Mary Smith|@node.test,@b.test|mary|example.net",
            "~|~|j.d|x.test",
        ],
    );
    check("a@[127.0.0.1]", &["~|~|a|[127.0.0.1]"]);
}

#[test]
fn what_is_no_address_is_shown_too() {
    check("", &[]);
    check(" , ,", &[]);
    check("someone", &["~|~|someone|MISSING_DOMAIN"]);
    check("<>", &["~|~||"]);
    check("Name <x", &["Name|~|x|MISSING_DOMAIN"]);
    check("a@b (Al)", &["Al|~|a|b"]);
    check("John Doe jd@x", &["John Doe|~|jd|x"]);
    check("a@b junk, c @ d . e x", &["~|~|a|b", "~|~|c|d.e"]);
    check("a@b <c@d>", &["a@b|~|c|d"]);
    check(
        "Open group: a@b",
        &["~|~|Open group|~", "~|~|a|b", "~|~|~|~"],
    );
    check(
        "\"unterminated <a@b>",
        &["~|~|unterminated <a@b>|MISSING_DOMAIN"],
    );
    check(
        "=?utf-8?q?J=C3=BCrgen?= <j@x>",
        &["=?utf-8?q?J=C3=BCrgen?=|~|j|x"],
    );
}

#[test]
fn limits_and_people() {
    let parsed = parse_addresses("a@b,".repeat(500).as_bytes(), 10);
    assert!(parsed.cut);
    assert_eq!(parsed.addresses.len(), 10);
    let people = parse_mailboxes(b"G: =?utf-8?q?J=C3=BC?= <j@x>, \"a b\"@c;, z", 9);
    let shown: Vec<_> = people
        .iter()
        .map(|m| (m.name.as_str(), m.address.as_str()))
        .collect();
    assert_eq!(shown, [("Jü", "j@x"), ("", "\"a b\"@c"), ("", "z")]);
}

#[test]
fn message_ids_are_found() {
    assert_eq!(
        parse_message_ids(b" <a@b>\r\n\t<c d@e> junk", 9),
        ["a@b", "cd@e"]
    );
    assert_eq!(parse_message_ids(b" a@b ", 9), ["a@b"]);
    assert_eq!(
        parse_message_ids(b"your mail of Tuesday", 9),
        Vec::<String>::new()
    );
}
