//! A PostgreSQL cluster of the tests' own: made, started and thrown away with them.
//!
//! It listens on a Unix socket alone, so that no port is taken. A shell waits for the end of its
//! standard input, which comes when this process ends however it does, and then stops the server
//! and removes the folder; a server that was killed before is started again.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use tokio_postgres::{Client, Config, NoTls};

/// A cluster at work.
pub(crate) struct Cluster {
    pub(crate) folder: PathBuf,
    /// Its standard input keeps the cluster.
    _keeper: Child,
}

/// What the tests share: it forgets at a power cut, which is no part of them.
pub(crate) static SHARED: LazyLock<Cluster> = LazyLock::new(|| Cluster::start("-c fsync=off"));

/// Another, where accounts are too.
pub(crate) static SECOND: LazyLock<Cluster> = LazyLock::new(|| Cluster::start("-c fsync=off"));

const KEEPER: &str = r#"
"$1/initdb" -D "$2/data" -U letterlock -A trust -E UTF8 --locale=C --no-sync >"$2/log" 2>&1 || { cat "$2/log" >&2; exit 1; }
until [ -e "$2/stop" ]; do
    "$1/postgres" -D "$2/data" -c listen_addresses= -c unix_socket_directories="$2" -c max_connections=400 $3 >>"$2/log" 2>&1 </dev/null
    sleep 0.1
done &
tries=0
until "$1/pg_isready" -q -h "$2" -U letterlock -d postgres; do
    tries=$((tries + 1))
    [ $tries -lt 1200 ] || { cat "$2/log" >&2; touch "$2/stop"; exit 1; }
    sleep 0.05
done
echo ready
read _
touch "$2/stop"
kill -INT $(head -n 1 "$2/data/postmaster.pid")
wait
rm -rf "$2"
"#;

impl Cluster {
    /// Makes and starts one, with more options for the server.
    pub(crate) fn start(options: &str) -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("letterlock-pg-").tempdir();
        let folder = folder.unwrap().keep();
        let mut command = as_nobody_special(&folder);
        let mut keeper = command
            .args(["sh", "-c", KEEPER, "sh"])
            .args([&programs, &folder])
            .arg(options)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the cluster's keeper does not start");
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n", "PostgreSQL does not start; see above");
        Self {
            folder,
            _keeper: keeper,
        }
    }

    /// Kills the server at once; it is started again by itself.
    pub(crate) fn kill(&self) {
        let Ok(lock) = std::fs::read_to_string(self.folder.join("data/postmaster.pid")) else {
            return;
        };
        let process = lock.lines().next().unwrap_or_default();
        // It may be gone already.
        let _ = Command::new("kill").args(["-KILL", process]).output();
    }

    /// What connects to a database of it.
    pub(crate) fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config
            .host_path(&self.folder)
            .user("letterlock")
            .dbname(database);
        config
    }

    /// Connects, for a test's own questions.
    pub(crate) async fn connect(&self, database: &str) -> Client {
        let (client, connection) = self.config(database).connect(NoTls).await.unwrap();
        #[expect(clippy::disallowed_methods, reason = "it ends with the client")]
        tokio::spawn(connection);
        client
    }
}

/// The newest PostgreSQL's programs; Debian keeps them off the path.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").map_or_else(
        |_| Vec::new(),
        |entries| entries.flatten().map(|entry| entry.path()).collect(),
    );
    let newest = versions
        .into_iter()
        .map(|version| version.join("bin"))
        .filter(|programs| programs.join("initdb").exists())
        .max();
    newest.expect("no PostgreSQL here: install Debian's postgresql, or run `cargo xtask test`")
}

/// The server refuses to run as root: then it runs as the user that its package has made.
fn as_nobody_special(folder: &Path) -> Command {
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !root {
        return Command::new("env");
    }
    let owned = Command::new("chown").arg("postgres").arg(folder).status();
    assert!(owned.unwrap().success(), "there is no user `postgres`");
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]);
    command
}
