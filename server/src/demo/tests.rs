//! The demo as a whole: it starts, refuses a second one, and goes on where it ended.

use super::*;

fn options(folder: &Path) -> Options {
    let text = "[listen]\nweb = \"127.0.0.1:0\"\nimap = \"127.0.0.1:0\"\n\
                smtp = \"127.0.0.1:0\"\nlmtp = \"127.0.0.1:0\"\n";
    Options {
        data_dir: DataPlace::Directory(folder.join("data")),
        ready_file: Some(folder.join("ready.json")),
        config: Config::parse(text).unwrap(),
        web_files: |_| None,
    }
}

fn read_ready(options: &Options) -> ReadyFile {
    let octets = std::fs::read(options.ready_file.as_ref().unwrap()).unwrap();
    serde_json::from_slice(&octets).unwrap()
}

async fn greeting(address: &str) -> String {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.unwrap();
    line
}

async fn accepted(demo: &Demo, name: &str) -> u64 {
    let address = letterlock_core::id::Address::new(&format!("{name}@{DOMAIN}")).unwrap();
    demo.provider
        .incoming_count(&address)
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_starts_and_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let demo = Box::pin(Demo::start(&options)).await.unwrap();
    let first = read_ready(&options);
    assert_eq!(first.accounts.len(), 2);
    assert!(greeting(&first.imap).await.starts_with("* OK"));
    assert!(greeting(&first.smtp).await.starts_with("220 "));
    assert!(greeting(&first.lmtp).await.starts_with("220 "));
    let letters = (accepted(&demo, "alice").await, accepted(&demo, "bob").await);
    assert!(letters.0 >= 12, "{letters:?}");

    let second = Box::pin(Demo::start(&Options {
        ready_file: None,
        ..options.clone()
    }))
    .await;
    let error = second.err().unwrap();
    assert!(matches!(error, DemoError::Lock(_)), "{error}");
    demo.stop().await;

    let demo = Box::pin(Demo::start(&options)).await.unwrap();
    let again = read_ready(&options);
    for (old, new) in first.accounts.iter().zip(&again.accounts) {
        assert_eq!(old.app_password, new.app_password);
        assert_eq!(old.password, new.password);
    }
    let now = (accepted(&demo, "alice").await, accepted(&demo, "bob").await);
    assert_eq!(now, letters, "no letter is fed twice");
    demo.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_feeding_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let demo = Box::pin(Demo::start(&options)).await.unwrap();
    let letters = accepted(&demo, "alice").await;
    demo.stop().await;
    // As if the process had been killed after the last letter and before it was noted.
    let path = folder.path().join("data").join("demo.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("\"letters_fed\": true", "\"letters_fed\": false"),
    )
    .unwrap();
    let demo = Box::pin(Demo::start(&options)).await.unwrap();
    assert_eq!(accepted(&demo, "alice").await, letters);
    demo.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = options(folder.path());
    options.config.listen.imap = taken.local_addr().unwrap();
    let error = Box::pin(Demo::start(&options)).await.err().unwrap();
    let said = error.to_string();
    assert!(
        said.contains("--imap") && said.contains(&options.config.listen.imap.to_string()),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_listener_answers() {
    use crate::starttls::testing::{connector, localhost};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    let socket = folder.path().join("imap");
    let listen = &mut options.config.listen;
    listen.imaps = Some(listen.imap);
    listen.smtps = Some(listen.smtp);
    listen.imap_socket = Some(socket.clone());
    listen.starttls_required = true;
    let demo = Box::pin(Demo::start(&options)).await.unwrap();
    let ready = read_ready(&options);
    // Over the plain ports nobody logs in before STARTTLS.
    let said = greeting(&ready.imap).await;
    assert!(
        said.contains(" LOGINDISABLED ") && !said.contains("AUTH=PLAIN"),
        "{said}"
    );
    // TLS from the first octet.
    let pem = std::fs::read(folder.path().join("data/tls.pem")).unwrap();
    let connector = connector(CertificateDer::from_pem_slice(&pem).unwrap());
    for (place, hello) in [(&ready.imaps, "* OK "), (&ready.smtps, "220 ")] {
        let stream = tokio::net::TcpStream::connect(place.as_ref().unwrap()).await;
        let stream = connector
            .connect(localhost(), stream.unwrap())
            .await
            .unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.unwrap();
        assert!(line.starts_with(hello), "{line}");
        assert!(!line.contains("LOGINDISABLED"), "{line}");
    }
    let stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
    let mut client = BufReader::new(stream);
    let account = &ready.accounts[0];
    let login = format!("a LOGIN {} {}\r\n", account.address, account.app_password);
    client.write_all(login.as_bytes()).await.unwrap();
    let mut heard = String::new();
    while !heard.contains("\r\na ") {
        assert!(client.read_line(&mut heard).await.unwrap() > 0, "{heard}");
    }
    assert!(heard.contains("\r\na OK "), "{heard}");
    // An app password that is taken back while the bridge runs.
    let address = letterlock_core::id::Address::new(&account.address).unwrap();
    let place = crate::bridge::offline::account_folder(Path::new(&ready.data_dir), &address);
    crate::bridge::app_passwords::remove(&place, "demo").unwrap();
    let mut rest = String::new();
    while client.read_line(&mut rest).await.unwrap() > 0 {}
    assert_eq!(rest, "* BYE This app password was removed\r\n");
    demo.stop().await;
    assert!(!socket.exists());
}
