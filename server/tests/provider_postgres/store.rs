//! An S3-compatible store of the tests' own (s3s-fs), with one bucket.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use letterlock_server::provider::BucketConfig;

/// The bucket's name.
const BUCKET: &str = "mail";

/// The store; killed on drop.
pub(crate) struct Store {
    program: PathBuf,
    root: PathBuf,
    port: u16,
    running: Child,
}

impl Store {
    /// Starts one over a folder; `None` where the program is not installed.
    pub(crate) fn start(root: &Path) -> Option<Self> {
        let Some(program) = std::env::var_os("LETTERLOCK_S3S_FS") else {
            println!("skipped: `cargo xtask test` installs s3s-fs and sets LETTERLOCK_S3S_FS");
            return None;
        };
        let program = PathBuf::from(program);
        std::fs::create_dir_all(root.join(BUCKET)).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let running = run(&program, root, port);
        Some(Self {
            program,
            root: root.to_owned(),
            port,
            running,
        })
    }

    /// Kills it at once.
    pub(crate) fn kill(&mut self) {
        self.running.kill().unwrap();
        self.running.wait().unwrap();
    }

    /// Starts it again, on the same port.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.running = run(&self.program, &self.root, self.port);
    }

    /// What a provider is told of it.
    pub(crate) fn config(&self) -> BucketConfig {
        BucketConfig {
            endpoint: format!("http://127.0.0.1:{}", self.port),
            region: "us-east-1".to_owned(),
            bucket: BUCKET.to_owned(),
            prefix: "letterlock".to_owned(),
            key_id: "tests".to_owned(),
            secret: "hush".to_owned(),
        }
    }

    /// The files of its objects.
    pub(crate) fn objects(&self) -> Vec<PathBuf> {
        let folder = self.root.join(BUCKET).join("letterlock");
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(program: &Path, root: &Path, port: u16) -> Child {
    let mut running = Command::new(program)
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--access-key", "tests", "--secret-key", "hush"])
        .arg(root)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("s3s-fs does not start");
    for _ in 0..400 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return running;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    running.kill().unwrap();
    panic!("s3s-fs does not answer: {:?}", running.wait());
}
