//! Screens with sample mail in them, to look at.

use super::*;

/// Every screen with something in it, as whole pages with the stylesheet: written to the folder
/// that `LETTERLOCK_GALLERY` names, to look at them without a server.
#[test]
fn a_gallery_can_be_drawn() {
    for (name, model) in gallery() {
        let page = page(&model);
        let mut whole = String::new();
        for region in &page.regions {
            if region.id == ROOT {
                whole.clone_from(&region.html);
                continue;
            }
            let place = whole
                .find(&format!("id=\"{}\"", region.id))
                .expect("a region has a place");
            let open = place + whole[place..].find('>').unwrap() + 1;
            whole.insert_str(open, &region.html);
        }
        let Ok(folder) = std::env::var("LETTERLOCK_GALLERY") else {
            continue;
        };
        let css = include_str!("../../../../static/app.css");
        let document = format!(
            "<!doctype html><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
             <style>{css}</style><body data-pane={}><div id=app>{whole}</div>",
            page.pane
        );
        std::fs::write(format!("{folder}/{name}.html"), document).unwrap();
    }
}

fn gallery() -> Vec<(&'static str, Model)> {
    let mut all = before_and_without_mail();
    all.extend(mail_screens());
    all
}

fn before_and_without_mail() -> Vec<(&'static str, Model)> {
    let error = Some("The address or the password is wrong.".to_owned());
    let form = LogIn {
        recovering: false,
        address: "alice@letterlock.example".to_owned(),
        busy: false,
        error,
    };
    let recovering = LogIn {
        recovering: true,
        ..LogIn::default()
    };
    let ended = Ended {
        address: "alice@letterlock.example".to_owned(),
        documents: 1204,
        incoming: 2,
        devices: 3,
        octets: 81_300_000,
        ..Ended::default()
    };
    let decrypted = Decrypted {
        body: Body::Text("Dear Alice,\n\nthe key under the mat is for you.\n\nBob\n".to_owned()),
        protection: good(Encryption::Decrypted, "bob@letterlock.example"),
        ..Decrypted::default()
    };
    let outcome = Some(Ok(Box::new(decrypted)));
    vec![
        ("starting", model(Screen::Starting)),
        ("login", model(Screen::LogIn(form))),
        ("recover", model(Screen::LogIn(recovering))),
        ("ended", model(Screen::Ended(ended))),
        (
            "decrypt-form",
            model(Screen::Decrypt(Decryption::default())),
        ),
        (
            "decrypt",
            model(Screen::Decrypt(Decryption {
                busy: false,
                outcome,
            })),
        ),
    ]
}

fn mail_screens() -> Vec<(&'static str, Model)> {
    let mut empty = sample_mail();
    empty.reader = Reader::Empty;
    empty.sync = SyncState::Offline;
    let mut html = sample_mail();
    let clean = crate::html::sanitize(
        "<h2>Programme</h2><p>Dear members,</p><p>the <b>summer reading</b> is on \
         <a href=\"https://letterlock.example/\">the fourth of June</a>.</p>\
         <img src=\"https://tracker.example/x.gif\"><table border=1><tr><td>18:00<td>Doors\
         <tr><td>19:00<td>Reading</table>",
        Vec::new(),
    );
    html.reader = Reader::Open(Box::new(MessageView {
        subject: "Summer reading".to_owned(),
        from: "Library <events@library.example>".to_owned(),
        to: "alice@letterlock.example".to_owned(),
        date_ms: 1_777_900_000_000,
        body: Body::Html {
            document: clean.document,
            blocked: clean.blocked,
            text: String::new(),
        },
        defects: vec![
            "a part says base64 and is not: its octets are shown as they came".to_owned(),
        ],
        uid: 4,
        ..MessageView::default()
    }));
    let mut writing = sample_mail();
    let draft = Draft {
        to: "bob@letterlock.example, carol@example.org".to_owned(),
        subject: "Re: The proofs".to_owned(),
        body: "Dear Bob,\n\nthank you.\n".to_owned(),
        ..Draft::default()
    };
    let mut compose = Compose::with(draft);
    let recipient = |address: &str, delivery| Recipient {
        address: address.to_owned(),
        delivery,
    };
    compose.recipients = vec![
        recipient("bob@letterlock.example", Delivery::Encrypted),
        recipient("carol@example.org", Delivery::Clear),
    ];
    writing.compose = Some(compose);
    let mut settings = sample_mail();
    settings.settings = Some(sample_settings());
    let mut phrase = sample_mail();
    let words = "legal winner thank year wave sausage worth useful ".repeat(3);
    phrase.settings = Some(Settings {
        phrase: Some(Secret(words.trim().to_owned())),
        ..sample_settings()
    });
    vec![
        ("settings", model(Screen::Mail(Box::new(settings)))),
        ("settings-phrase", model(Screen::Mail(Box::new(phrase)))),
        ("mail", model(Screen::Mail(Box::new(sample_mail())))),
        ("empty", model(Screen::Mail(Box::new(empty)))),
        ("html", model(Screen::Mail(Box::new(html)))),
        ("compose", model(Screen::Mail(Box::new(writing)))),
    ]
}

fn sample_settings() -> Settings {
    let device = |name: &str, current| DeviceRow {
        id: name.to_owned(),
        name: name.to_owned(),
        last_seen_ms: Some(1_777_900_000_000),
        current,
        stranger: false,
    };
    let stranger = DeviceRow {
        stranger: true,
        ..device("Webmail", false)
    };
    Settings {
        account: Some(AccountView {
            used_octets: 81_300_000,
            quota_octets: Some(1_073_741_824),
            kept_octets: 12_400_000,
            kept_most_octets: 268_435_456,
            has_recovery: true,
            devices: vec![device("Webmail", true), device("laptop", false), stranger],
        }),
        keys: Some(KeysView {
            all: vec![sample_row(true), sample_row(false)],
            own: vec![sample_key("alice@letterlock.example")],
            theirs: Some(TheirKey {
                key: sample_key("bob@letterlock.example"),
                compared: false,
            }),
        }),
        ..Settings::default()
    }
}

fn sample_row(for_the_world: bool) -> KeyRow {
    KeyRow {
        fingerprint: "5A5A ".repeat(10).trim_end().to_owned(),
        for_the_world,
        state: KeyState::InUse,
        can_be_revoked: true,
        created_at_ms: 1_763_000_000_000,
        expires_at_ms: Some(1_826_000_000_000),
    }
}

fn sample_key(address: &str) -> KeyView {
    KeyView {
        address: address.to_owned(),
        words: "legal winner thank year wave sausage".to_owned(),
        fingerprint: "5A5A ".repeat(10).trim_end().to_owned(),
        code_side: 3,
        code_path: "M1 1h1v1h-1z".to_owned(),
    }
}

pub(super) fn sample_mail() -> Mail {
    let mut mail = Mail::new("alice@letterlock.example".to_owned());
    let mailbox = |name: &str, unread| MailboxRow {
        id: name.to_owned(),
        name: name.to_owned(),
        role: if name == "INBOX" {
            "inbox".to_owned()
        } else {
            name.to_lowercase()
        },
        unread,
        total: 12,
    };
    mail.mailboxes = vec![
        mailbox("INBOX", 3),
        mailbox("Drafts", 0),
        mailbox("Sent", 0),
        mailbox("Archive", 0),
        mailbox("Junk", 0),
        mailbox("Trash", 0),
    ];
    mail.mailbox = Some("INBOX".to_owned());
    mail.sync = SyncState::Current;
    mail.rows = Some(sample_rows());
    let bob = good(Encryption::Decrypted, "bob@letterlock.example");
    mail.reader = Reader::Open(Box::new(MessageView {
        mailbox: "INBOX".to_owned(),
        uid: 9,
        subject: "The proofs, and a question about the seal".to_owned(),
        from: "Bob Weaver <bob@letterlock.example>".to_owned(),
        to: "Alice <alice@letterlock.example>".to_owned(),
        date_ms: 1_777_981_000_000,
        seen: true,
        flagged: true,
        protection: bob,
        body: Body::Text(
            "Dear Alice,\n\nthe proofs are attached. On page 14 the seal is printed upside down, \
             which I rather like: it looks as if the letter had been turned over in the hand \
             before it was opened.\n\nShall we keep it?\n\nYours,\nBob\n\n> Could you look at \
             the plates before Friday?\n> They go to the printer in the evening.\n"
                .to_owned(),
        ),
        attachments: vec![AttachmentView {
            name: "proofs-plate-14.pdf".to_owned(),
            media_type: "application/pdf".to_owned(),
            size: 482_113,
        }],
        ..MessageView::default()
    }));
    mail
}

fn sample_rows() -> Vec<MessageRow> {
    let unknown = Signature::UnknownKey {
        key: "5a3f".to_owned(),
    };
    let with = |encryption, signature| Protection {
        encryption,
        signature,
    };
    let (clear, opened) = (Encryption::None, Encryption::Decrypted);
    let letters = [
        (
            "Old key",
            "From the archive",
            with(Encryption::Unopened, Signature::None),
        ),
        (
            "Mallory",
            "Transfer the money now",
            with(clear, Signature::Bad),
        ),
        ("Library", "Summer reading", Protection::default()),
        (
            "paper-folding list",
            "[folding] A lock from 1697, unfolded",
            good(clear, "x"),
        ),
        ("Carol", "Keys", with(opened, Signature::None)),
        (
            "Dan Outside",
            "Signed by a key you do not know",
            with(clear, unknown),
        ),
        (
            "Šárka Nováková",
            "Příští schůzka – změna místa",
            Protection::default(),
        ),
        (
            "Bob Weaver",
            "The proofs, and a question about the seal",
            good(opened, "bob"),
        ),
    ];
    let row = |(uid, (from, subject, protection)): (u32, (&str, &str, Protection))| MessageRow {
        uid,
        correspondent: from.to_owned(),
        subject: subject.to_owned(),
        preview: "Dear Alice, the proofs are attached. On page 14 the seal is".to_owned(),
        date_ms: 1_777_981_000_000 - i64::from(10 - uid) * 40_000_000,
        seen: uid < 8,
        attachments: uid == 9,
        flagged: uid == 9 || uid == 5,
        answered: uid == 6,
        protection,
    };
    let mut rows: Vec<MessageRow> = (2..).zip(letters).map(row).collect();
    rows.reverse();
    rows
}
