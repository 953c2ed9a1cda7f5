//! The page's questions to an open account, over the memory store.

use futures::executor::block_on;
use letterlock_core::id::{AccountId, MailboxName};
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_core::store::MemoryStore;

use super::*;
use crate::protocol::Body;

const NOW: Timestamp = Timestamp::from_secs(1_777_982_700);
const LETTER: &[u8] = b"From: \"Weaver, Bob\" <bob@letterlock.example>\r\n\
    To: alice@letterlock.example, Carol <carol@example.org>\r\nCc: dan@example.org\r\n\
    Subject: =?utf-8?q?Caf=C3=A9?=\r\nDate: Tue, 5 May 2026 12:05:00 +0000\r\n\
    Message-ID: <1@x>\r\nReferences: <0@x>\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nAt five.\r\n--b\r\n\
    Content-Type: application/pdf; name=plan.pdf\r\nContent-Disposition: attachment\r\n\
    Content-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--b--\r\n";

async fn with_letter() -> (Account<MemoryStore>, Place) {
    let address = Address::new("alice@letterlock.example").unwrap();
    let root = RootKey::from_octets([7; 32]);
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
    let account = Account::open(MemoryStore::new(), address, keys, [3; 32], NOW)
        .await
        .unwrap();
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
    account
        .append(inbox, LETTER, FlagSet::new(), NOW, NOW)
        .await
        .unwrap();
    let uid = account.placements(inbox)[0].uid.get();
    (
        account,
        Place {
            mailbox: inbox.to_string(),
            uid,
        },
    )
}

async fn rows(account: &Account<MemoryStore>, mailbox: &str) -> Vec<MessageRow> {
    match messages(account, mailbox.to_owned(), 10).await {
        Ok(Response::Messages {
            rows, more: false, ..
        }) => rows,
        other => panic!("{other:?}"),
    }
}

async fn opened(account: &Account<MemoryStore>, place: &Place) -> MessageView {
    match message(account, place).await {
        Ok(Response::Message(message)) => *message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_letter_is_listed_and_read() {
    block_on(async {
        let (account, place) = with_letter().await;
        let Response::Mailboxes(mailboxes) = mailboxes(&account) else {
            panic!("mailboxes were asked for");
        };
        let inbox = mailboxes
            .iter()
            .find(|mailbox| mailbox.role == "inbox")
            .unwrap();
        assert_eq!(
            (inbox.name.as_str(), inbox.unread, inbox.total),
            ("INBOX", 1, 1)
        );
        let row = rows(&account, &place.mailbox).await.remove(0);
        assert_eq!(
            (row.correspondent.as_str(), row.subject.as_str()),
            ("Weaver, Bob", "Café")
        );
        assert_eq!(
            (row.preview.as_str(), row.attachments, row.seen),
            ("At five.", true, false)
        );
        let view = opened(&account, &place).await;
        assert_eq!(view.body, Body::Text("At five.".to_owned()));
        assert_eq!(view.reply_to, "\"Weaver, Bob\" <bob@letterlock.example>");
        assert_eq!(view.reply_cc, "Carol <carol@example.org>, dan@example.org");
        assert_eq!(view.defects, Vec::<String>::new());
        let (octets, media_type, name) = attachment(&account, &place, 0).await.unwrap();
        assert_eq!(
            (&octets[..], &*media_type, &*name),
            (&b"%PDF"[..], "application/pdf", "plan.pdf")
        );
        assert_eq!(
            attachment(&account, &place, 1).await,
            Err(Failure::NotFound)
        );
        let thread = thread(&account, &place).await;
        assert_eq!(thread.in_reply_to.as_deref(), Some("1@x"));
        assert_eq!(thread.references, ["0@x"]);
    });
}

#[test]
fn what_is_wanted_is_what_is_read() {
    block_on(async {
        let (account, place) = with_letter().await;
        account.fetch_lazily();
        assert_eq!(account.let_go(u64::MAX, NOW).await.unwrap().contents, 0);
        let text = wanted(&account, &place).await.unwrap();
        let file = wanted_attachment(&account, &place, 0).await.unwrap();
        assert_eq!((text.len(), file.len()), (1, 1));
        let none = wanted_attachment(&account, &place, 1).await;
        assert_eq!(none.unwrap_err(), Failure::NotFound);
        // All of it waits to be pushed, so it is pushed to nowhere first.
        while let Some(push) = account.pending_push().await.unwrap() {
            account.pushed(&push, NOW).await.unwrap();
        }
        assert_eq!(account.let_go(0, NOW).await.unwrap().contents, 2);
        assert_eq!(account.missing(&text).await.unwrap().len(), 1);
        assert_eq!(account.missing(&file).await.unwrap().len(), 1);
        let told = message(&account, &place).await.unwrap_err();
        assert!(told.to_string().contains("not at the provider"), "{told}");
        assert!(attachment(&account, &place, 0).await.is_err());
        // The list needs none of it.
        assert_eq!(rows(&account, &place.mailbox).await[0].preview, "At five.");
    });
}

#[test]
fn marks_and_moves_are_kept() {
    block_on(async {
        let (account, place) = with_letter().await;
        mark(&account, &place, Mark::Seen, true, NOW).await.unwrap();
        mark(&account, &place, Mark::Flagged, true, NOW)
            .await
            .unwrap();
        mark(&account, &place, Mark::Flagged, false, NOW)
            .await
            .unwrap();
        let row = rows(&account, &place.mailbox).await.remove(0);
        assert!(row.seen && !row.flagged);
        put(&account, &place, Destination::Trash, NOW)
            .await
            .unwrap();
        assert_eq!(rows(&account, &place.mailbox).await, vec![]);
        assert_eq!(message(&account, &place).await, Err(Failure::NotFound));
        let trash = account.mailbox_for(Role::Trash).unwrap().id.to_string();
        let uid = rows(&account, &trash).await[0].uid;
        put(
            &account,
            &Place {
                mailbox: trash.clone(),
                uid,
            },
            Destination::Trash,
            NOW,
        )
        .await
        .unwrap();
        assert_eq!(
            rows(&account, &trash).await,
            vec![],
            "from the trash it goes for good"
        );
    });
}

#[test]
fn places_that_are_none_are_not_found() {
    block_on(async {
        let (account, place) = with_letter().await;
        for (mailbox, uid) in [
            ("", 1),
            ("zz", 1),
            (place.mailbox.as_str(), 0),
            (&place.mailbox, 99),
        ] {
            let place = Place {
                mailbox: mailbox.to_owned(),
                uid,
            };
            assert_eq!(message(&account, &place).await, Err(Failure::NotFound));
        }
    });
}
