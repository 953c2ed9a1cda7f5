//! Names of mailboxes, addresses, numbers: what is taken and what is not.

use super::*;

#[test]
fn addresses_are_checked() {
    for good in [
        "a@b",
        "Alice.B+x@example.org",
        "\"a b\"@x.y",
        "a@[127.0.0.1]",
        "ö@ü.de",
    ] {
        assert!(Address::new(good).is_ok(), "{good}");
    }
    for bad in [
        "", "a", "@b", "a@", "a b@c", "a@b c", "a@b..c", "a@.b", "a\r\n@b", "<a@b>",
    ] {
        assert!(Address::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn inbox_has_one_spelling() {
    assert!(MailboxName::new("inbox").unwrap().is_inbox());
    assert_eq!(MailboxName::new("Inbox/x").unwrap().as_str(), "INBOX/x");
    assert_eq!(MailboxName::new("a//b"), Err(InvalidId::Form));
    assert_eq!(
        MailboxName::new("a/b").unwrap().parent(),
        MailboxName::new("a").ok()
    );
}

#[test]
fn hex_goes_both_ways() {
    let id = DocId::new([0xab; 16]);
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!("xy".parse::<DocId>(), Err(InvalidId::Form));
    assert_eq!(format!("{id:?}"), "DocId(abababab…)");
}
