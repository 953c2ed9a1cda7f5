//! Devices of one account against a directory that lies.

use serde_bytes::ByteBuf;

use super::*;
use crate::id::{AccountId, MailboxName};
use crate::keys::transparency::Finding;
use crate::keys::transparency::answer::EntryAnswer;
use crate::keys::transparency::memory::MemoryDirectory;
use crate::openpgp::{Certificate, SecretCertificate};
use crate::seal::{AccountKeys, RootKey};
use crate::store::MemoryStore;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

type Device = Account<MemoryStore>;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn address(local: &str) -> Address {
    Address::new(&format!("{local}@letterlock.example")).unwrap()
}

fn later(minutes: i64) -> Timestamp {
    Timestamp::from_secs(NOW.as_millis() / 1000 + 60 * minutes)
}

async fn device(seed: u8) -> Device {
    let root = RootKey::from_octets([1; 32]);
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
    let store = MemoryStore::new();
    Account::open(store, address("alice"), keys, [seed; 32], NOW)
        .await
        .unwrap()
}

/// Alice's first device, her second, and a directory that has her key.
async fn world() -> (Device, Device, MemoryDirectory) {
    let (first, second) = (device(1).await, device(2).await);
    let certificates = first.create_keys(NOW).await.unwrap();
    let entry: Vec<u8> = certificates
        .iter()
        .flat_map(Certificate::to_bytes)
        .collect();
    exchange(&first, &second).await;
    let mut directory = MemoryDirectory::new("letterlock.example", 1);
    directory.publish(&address("alice"), &[&entry]);
    directory.publish(&address("bob"), &[b"bob 1"]);
    (first, second, directory)
}

/// What `from` has written comes to `to`.
async fn exchange(from: &Device, to: &Device) {
    while let Some(push) = from.pending_push().await.unwrap() {
        let documents: Vec<ByteBuf> = push.request.documents.clone();
        to.take_documents(documents, NOW).await.unwrap();
        from.pushed(&push, NOW).await.unwrap();
    }
}

fn answer(directory: &mut MemoryDirectory, call: &Call) -> Vec<u8> {
    use crate::sync::wire::encode;
    match call {
        Call::Head { seen, also } => encode(&directory.head(*seen, *also)),
        Call::Lookup { address, seen } => encode(&directory.lookup(address, *seen)),
        Call::Changes { from, seen } => encode(&directory.changes(*from, *seen)),
        Call::Entry { position } => encode(&EntryAnswer {
            version: answer::ANSWER_VERSION,
            certificates: directory.entry_at(*position),
        }),
    }
}

async fn check_at(
    device: &Device,
    directory: &mut MemoryDirectory,
    now: Timestamp,
) -> Result<(), DirectoryError> {
    let mut session = device.directory().await?;
    let mut next = session.begin_check().await?;
    while let Some(call) = next {
        let octets = answer(directory, &call);
        next = session.handle_check(&call, &octets, now).await?;
    }
    Ok(())
}

async fn check(device: &Device, directory: &mut MemoryDirectory) -> Result<(), DirectoryError> {
    check_at(device, directory, NOW).await
}

async fn look_up(
    device: &Device,
    directory: &mut MemoryDirectory,
    who: &Address,
) -> Result<Entry, DirectoryError> {
    let mut session = device.directory().await?;
    let call = session
        .lookup_call(who)?
        .expect("a directory that is known");
    let octets = answer(directory, &call);
    session.handle_lookup(who, &octets, NOW).await
}

fn finding<T>(result: Result<T, DirectoryError>) -> Finding {
    match result {
        Err(DirectoryError::Alarm(alarm)) => alarm.finding,
        Err(other) => panic!("no alarm: {other}"),
        Ok(_) => panic!("no alarm"),
    }
}

fn warnings(device: &Device) -> u32 {
    device.mailbox(&MailboxName::inbox()).unwrap().messages
}

#[tokio::test]
async fn an_honest_directory_is_checked_in_silence_and_gives_keys() {
    let (first, second, mut directory) = world().await;
    for n in 0..5 {
        check(&first, &mut directory).await.unwrap();
        exchange(&first, &second).await;
        check(&second, &mut directory).await.unwrap();
        exchange(&second, &first).await;
        directory.publish(&address("bob"), &[&[n]]);
    }
    let bob = look_up(&first, &mut directory, &address("bob"))
        .await
        .unwrap();
    assert_eq!(bob.certificates, [[4]]);
    assert_eq!((warnings(&first), warnings(&second)), (0, 0));
    // A head is told to the other devices at most every ten minutes.
    let told = first.directory_document().await.unwrap();
    assert_eq!(told.heads[&first.id()].size, 2);
    check_at(&first, &mut directory, later(11)).await.unwrap();
    let told = first.directory_document().await.unwrap();
    assert_eq!(told.heads[&first.id()].size, 7);
}

#[tokio::test]
async fn without_the_accounts_key_nothing_is_asked() {
    let device = device(3).await;
    let mut session = device.directory().await.unwrap();
    assert_eq!(session.begin_check().await.unwrap(), None);
    assert_eq!(session.lookup_call(&address("bob")).unwrap(), None);
}

#[tokio::test]
async fn attack_14_devices_that_are_shown_two_heads_find_out_and_tell_once() {
    let (first, second, mut directory) = world().await;
    let mut other = directory.clone();
    directory.publish(&address("bob"), &[b"bob 2"]);
    other.publish(&address("bob"), &[b"the provider's own"]);
    check(&first, &mut directory).await.unwrap();
    exchange(&first, &second).await;
    let split = Finding::SplitView {
        witness: Witness::Device,
        size: 3,
    };
    for _ in 0..3 {
        assert_eq!(finding(check(&second, &mut other).await), split);
    }
    assert_eq!(warnings(&second), 1);
    // No key comes from there, to whoever asks.
    let bob = look_up(&second, &mut other, &address("bob")).await;
    assert_eq!(finding(bob), split);
    // The first hears of it with the second's documents, and does not tell it again.
    exchange(&second, &first).await;
    assert!(warnings(&first) <= 1);
    // The directory holds again: so does the device.
    check(&second, &mut directory).await.unwrap_err();
    second.take_directory_anew(NOW).await.unwrap();
    check(&second, &mut directory).await.unwrap();
    look_up(&second, &mut directory, &address("bob"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_key_of_another_device_is_fetched_first_and_a_strangers_is_an_alarm() {
    let (first, second, mut directory) = world().await;
    check(&first, &mut directory).await.unwrap();
    exchange(&first, &second).await;
    check(&second, &mut directory).await.unwrap();
    // The first device publishes a new key twice before the second hears of it.
    let mut rng = ChaCha20Rng::from_seed([9; 32]);
    for passphrase in ["one", "two"] {
        let new = SecretCertificate::generate(&address("alice"), Some(passphrase), NOW, &mut rng);
        let new = new.unwrap();
        first.store_key(&new.to_bytes(), NOW).await.unwrap();
        directory.publish(&address("alice"), &[&new.certificate().to_bytes()]);
    }
    let heard = check(&second, &mut directory).await;
    assert!(matches!(heard, Err(DirectoryError::Unsettled)), "{heard:?}");
    exchange(&first, &second).await;
    check(&second, &mut directory).await.unwrap();
    assert_eq!(warnings(&second), 0);
    let stranger = SecretCertificate::generate(&address("alice"), None, NOW, &mut rng).unwrap();
    directory.publish(&address("alice"), &[&stranger.certificate().to_bytes()]);
    let first_time = check(&second, &mut directory).await;
    assert!(matches!(first_time, Err(DirectoryError::Unsettled)));
    let own = Finding::OwnEntry {
        address: address("alice"),
        version: Some(4),
    };
    for _ in 0..2 {
        assert_eq!(finding(check(&second, &mut directory).await), own);
    }
    assert_eq!(warnings(&second), 1);
}

#[tokio::test]
async fn attack_14_an_own_entry_that_goes_back_to_an_older_one_is_found() {
    let (first, _, mut directory) = world().await;
    let old = directory.entry_at(0).remove(0);
    check(&first, &mut directory).await.unwrap();
    let mut rng = ChaCha20Rng::from_seed([9; 32]);
    let new = SecretCertificate::generate(&address("alice"), None, NOW, &mut rng).unwrap();
    first.store_key(&new.to_bytes(), NOW).await.unwrap();
    directory.publish(&address("alice"), &[&old, &new.certificate().to_bytes()]);
    check(&first, &mut directory).await.unwrap();
    directory.publish(&address("alice"), &[&old]);
    check(&first, &mut directory).await.unwrap_err();
    let own = Finding::OwnEntry {
        address: address("alice"),
        version: Some(3),
    };
    assert_eq!(finding(check(&first, &mut directory).await), own);
}

#[tokio::test]
async fn heads_of_others_are_heard_if_they_can_be_meant() {
    let (first, _, mut directory) = world().await;
    let mut other = directory.clone();
    other.publish(&address("bob"), &[b"the provider's own"]);
    directory.publish(&address("bob"), &[b"bob 2"]);
    directory.publish(&address("bob"), &[b"bob 3"]);
    let hear = async |head: &SignedHead, is_vouched_for| {
        let heard = HeardHead {
            from: address("bob"),
            head: head.octets().to_vec(),
            is_vouched_for,
        };
        first.hear_of_head(&heard, NOW).await.unwrap();
    };
    // Of another provider, and by another key in an unsigned mail: anybody can send these.
    let mut foreign = MemoryDirectory::new("elsewhere.example", 1);
    let mut forged = MemoryDirectory::new("letterlock.example", 2);
    hear(&foreign.signed(), true).await;
    hear(&forged.signed(), false).await;
    hear(&directory.clone().signed(), true).await;
    check(&first, &mut directory).await.unwrap();
    assert_eq!(first.heard_heads().await.unwrap(), []);
    // The same signed by who sent it is news.
    hear(&forged.signed(), true).await;
    let found = finding(check(&first, &mut directory).await);
    assert_eq!(found, Finding::OtherDirectory);
    first.take_directory_anew(NOW).await.unwrap();
    hear(&other.signed(), false).await;
    let found = finding(check(&first, &mut directory).await);
    let witness = Witness::Correspondent(address("bob"));
    assert_eq!(found, Finding::SplitView { witness, size: 3 });
    for n in 0..40 {
        let mut another = MemoryDirectory::new("letterlock.example", n);
        hear(&another.signed(), false).await;
    }
    let heard = first.heard_heads().await.unwrap();
    assert_eq!(heard.len(), crate::replica::directory::MAX_HEARD);
}

#[tokio::test]
async fn what_is_taken_anew_by_one_device_is_taken_anew_by_all() {
    let (first, second, mut directory) = world().await;
    for device in [&first, &second] {
        check(device, &mut directory).await.unwrap();
    }
    exchange(&first, &second).await;
    exchange(&second, &first).await;
    // The provider went back to a backup, and says so.
    let mut restored = MemoryDirectory::new("letterlock.example", 1);
    restored.publish(&address("alice"), &[&directory.entry_at(0).remove(0)]);
    let back = Finding::RolledBack { seen: 2, shown: 1 };
    assert_eq!(finding(check(&first, &mut restored).await), back);
    first.take_directory_anew(NOW).await.unwrap();
    check(&first, &mut restored).await.unwrap();
    assert_eq!(finding(check(&second, &mut restored).await), back);
    exchange(&first, &second).await;
    check(&second, &mut restored).await.unwrap();
}
