//! The least that a first sync can cost: as many octets fetched by curl and written into SQLite.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rand::RngCore;

/// Writes a file into a table: argument 1 is the file, 2 the database, 3 the rows. A commit for
/// 500 rows, on the disk when it returns, as ours.
const INSERT: &str = r#"
import sqlite3, sys, os
size, rows = os.path.getsize(sys.argv[1]), int(sys.argv[3])
each = max(1, size // rows)
database = sqlite3.connect(sys.argv[2], isolation_level=None)
database.execute("PRAGMA journal_mode=WAL")
database.execute("PRAGMA synchronous=FULL")
database.execute("CREATE TABLE documents (id BLOB PRIMARY KEY, octets BLOB)")
with open(sys.argv[1], "rb") as source:
    database.execute("BEGIN")
    for row in range(rows):
        database.execute("INSERT INTO documents VALUES (?, ?)", (os.urandom(16), source.read(each)))
        if row % 500 == 499:
            database.execute("COMMIT")
            database.execute("BEGIN")
    database.execute("COMMIT")
"#;

/// Seconds that it takes.
///
/// # Errors
/// curl or Python is missing, or fails.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub fn seconds(folder: &Path, octets: u64, rows: usize) -> Result<f64> {
    std::fs::create_dir_all(folder)?;
    write_noise(&folder.join("served"), octets)?;
    let (mut server, url) = serve(folder)?;
    let start = Instant::now();
    let fetched = folder.join("fetched");
    let moved = run(Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--output"])
        .arg(&fetched)
        .arg(format!("{url}/served")))
    .and_then(|()| {
        run(Command::new("python3")
            .args(["-c", INSERT])
            .arg(&fetched)
            .arg(folder.join("plain.db"))
            .arg(rows.to_string()))
    });
    let seconds = start.elapsed().as_secs_f64();
    server.kill()?;
    server.wait()?;
    moved?;
    std::fs::remove_dir_all(folder)?;
    Ok(seconds)
}

/// Octets that nothing makes shorter, as sealed ones are.
fn write_noise(path: &Path, octets: u64) -> Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut block = vec![0; 1 << 20];
    let mut left = octets;
    while left > 0 {
        rand::rngs::OsRng.fill_bytes(&mut block);
        let now = block.len().min(usize::try_from(left)?);
        std::io::Write::write_all(&mut file, block.get(..now).unwrap_or_default())?;
        left -= u64::try_from(now)?;
    }
    std::io::Write::flush(&mut file)?;
    Ok(())
}

fn serve(folder: &Path) -> Result<(Child, String)> {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let server = Command::new("python3")
        .args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"])
        .arg(folder)
        .arg(port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start python3 -m http.server")?;
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok((server, format!("http://127.0.0.1:{port}")));
        }
        sleep(Duration::from_millis(50));
    }
    bail!("python3 -m http.server does not answer")
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("start {name}"))?;
    anyhow::ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}
