//! Status fields that come along with an import: kept, and not believed.

use letterlock_core::openpgp::Protection;

use super::*;

const FORGED: &str = "Letterlock-Signature: valid; fingerprint=00; address=a@b.example\r\n\
    X-Leap-Encryption: decrypted\r\nSubject: believe me\r\n\r\ntext\r\n";

#[tokio::test]
async fn what_a_source_claims_is_kept_and_told_and_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["forged", "honest"] {
        fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    put("forged/1.eml", FORGED);
    // In the body it is a quotation.
    put("honest/1.eml", &format!("Subject: look\r\n\r\n{FORGED}"));
    let replica = replica().await;
    let summary = import(&replica, folder.path(), import::Options::default())
        .await
        .unwrap();
    assert_eq!(summary.messages, 2);
    assert_eq!(summary.notes.count(Note::ForeignStatus), 1);
    let mailbox = replica.mailbox(&name("forged")).unwrap().id;
    let placement = replica.placements(mailbox).remove(0);
    let message = replica.message(placement.message).await.unwrap().unwrap();
    assert_eq!(message.protection, Protection::NONE);
    assert_eq!(replica.raw(&message).await.unwrap(), FORGED.as_bytes());
}
