//! A machine that is taken out of the list of devices, beside a bridge that runs.

use super::tests::{alice, demo, file, letterlock};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_machine_begins_new_keys_and_the_account_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let running = demo(&data).await;
    let provider = running.ready.provider.clone();
    let address = alice(&running).address.clone();
    let password = file(folder.path(), "password", &alice(&running).password);
    let log_in = async |name: &str| {
        let dir = folder.path().join(name).display().to_string();
        let words = [
            "log-in",
            &address,
            "--provider",
            &provider,
            "--data-dir",
            &dir,
            "--password-file",
            &password,
            "--device-name",
            name,
        ];
        letterlock(&words).await
    };
    let dir = data.display().to_string();
    let whose = ["--account", &address, "--data-dir", &dir];
    let said = async |words: &[&str]| {
        let all = [words, &whose, &["--password-file", &password]].concat();
        letterlock(&all).await
    };
    let first = log_in("stolen").await.unwrap();
    let removed = said(&["remove-device", "stolen"]).await.unwrap();
    assert!(
        removed.contains("“stolen” is none of the account's devices")
            && removed.contains("sealed under new keys")
            && removed.contains("keys rotate"),
        "{removed}"
    );
    let devices = said(&["devices"]).await.unwrap();
    assert!(!devices.contains("stolen"), "{devices}");
    // Without a replica: what is read and written is of both epochs.
    let keys = said(&["keys", "list"]).await.unwrap();
    said(&["keys", "rotate"]).await.unwrap();
    let rotated = said(&["keys", "list"]).await.unwrap();
    assert!(rotated.lines().count() > keys.lines().count(), "{rotated}");
    // A machine that comes after it has all that the first had.
    let second = log_in("found").await.unwrap();
    let messages = |said: &str| {
        let words = said.split_whitespace().skip_while(|word| *word != "with");
        let count = words.skip(1).find_map(|word| word.parse::<u32>().ok());
        count.unwrap_or_else(|| panic!("no number of messages: {said}"))
    };
    assert!(messages(&second) >= messages(&first), "{second}");
    // The password changes in the new epoch, and the phrase: both open it.
    let new = file(folder.path(), "new", "a new one");
    said(&["password", "--new-password-file", &new])
        .await
        .unwrap();
    std::fs::copy(&new, &password).unwrap();
    said(&["new-phrase"]).await.unwrap();
    said(&["remove-device", "found"]).await.unwrap();
    let third = log_in("third").await.unwrap();
    assert!(messages(&third) >= messages(&first), "{third}");
    running.stop().await;
}
