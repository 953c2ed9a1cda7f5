//! `letterlock-sop` beside gpg and sq on the same documents with the same key: whole processes,
//! from file to file, as a person would start them.
//!
//! Invariant: every program's work is checked before it is timed: what it wrote, ours opens, and
//! what ours wrote, it opens, octet for octet. All encrypt the same way: AES in SEIPD version 1,
//! which is what all three read, without compressing. Rejected: libraries in one process; nobody
//! uses gpg so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::figures::{Better, Report};

/// Who the key is of.
const USER_ID: &str = "Alice <alice@letterlock.example>";
/// Documents: what each is called in the figures, and its octets.
const SIZES: [(Names, usize); 2] = [
    (
        Names {
            write: "encrypt and sign 1 MB",
            read: "decrypt and verify 1 MB",
        },
        1_000_000,
    ),
    (
        Names {
            write: "encrypt and sign 25 MB",
            read: "decrypt and verify 25 MB",
        },
        25_000_000,
    ),
];
/// For each MB of the long document beyond the short one: what starting costs is in neither.
const PER_MEGAOCTET: Names = Names {
    write: "of that, for each MB, encrypt and sign",
    read: "of that, for each MB, decrypt and verify",
};
/// Times that everything is done; the median counts.
const ROUNDS: usize = 9;

#[derive(Debug, Clone, Copy)]
struct Names {
    write: &'static str,
    read: &'static str,
}

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// `letterlock-sop`.
    Letterlock,
    /// `GnuPG`.
    Gpg,
    /// Sequoia's.
    Sq,
}

impl Peer {
    /// All of them, ours first.
    pub const ALL: [Self; 3] = [Self::Letterlock, Self::Gpg, Self::Sq];

    const fn name(self) -> &'static str {
        match self {
            Self::Letterlock => "Letterlock",
            Self::Gpg => "gpg",
            Self::Sq => "sq",
        }
    }
}

/// The folder with the key, the documents and our program.
#[derive(Debug)]
pub struct Desk {
    folder: PathBuf,
    program: PathBuf,
}

impl Desk {
    /// Makes a key that all programs know, and the documents.
    ///
    /// # Errors
    /// A program is missing or refuses.
    pub fn new(folder: &Path, program: &Path) -> Result<Self> {
        let desk = Self {
            folder: folder.to_owned(),
            program: program.to_owned(),
        };
        let mut generate = desk.sop();
        generate.args(["generate-key", "--profile=compatibility", USER_ID]);
        fs::write(desk.path("key"), output(generate)?)?;
        let mut extract = desk.sop();
        extract.arg("extract-cert").stdin(desk.open("key")?);
        fs::write(desk.path("cert"), output(extract)?)?;
        let mut import = desk.gpg()?;
        import.arg("--import").arg(desk.path("key"));
        output(import)?;
        for (_, size) in SIZES {
            fs::write(desk.document(size), text(size))?;
        }
        Ok(desk)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn document(&self, size: usize) -> PathBuf {
        self.path(&format!("document-{size}"))
    }

    fn open(&self, name: &str) -> Result<fs::File> {
        let path = self.path(name);
        fs::File::open(&path).with_context(|| path.display().to_string())
    }

    fn sop(&self) -> Command {
        Command::new(&self.program)
    }

    fn gpg(&self) -> Result<Command> {
        let home = self.path("gnupg");
        fs::create_dir_all(&home)?;
        #[cfg(unix)]
        fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        let mut command = Command::new("gpg");
        command.env("GNUPGHOME", home);
        command.args(["--quiet", "--batch", "--yes", "--trust-model", "always"]);
        Ok(command)
    }

    /// The command that encrypts and signs.
    fn writing(&self, peer: Peer, from: &Path, to: &Path) -> Result<Command> {
        let (key, cert) = (self.path("key"), self.path("cert"));
        Ok(match peer {
            Peer::Letterlock => {
                let mut command = self.sop();
                let signer = format!("--sign-with={}", key.display());
                command.args(["encrypt", "--no-armor", &signer]).arg(cert);
                command.stdin(fs::File::open(from)?);
                command.stdout(fs::File::create(to)?);
                command
            }
            Peer::Gpg => {
                let mut command = self.gpg()?;
                command.args(["--compress-algo", "none", "--recipient", USER_ID]);
                command.args(["--sign", "--encrypt", "--output"]);
                command.arg(to).arg(from);
                command
            }
            Peer::Sq => {
                let mut command = Command::new("sq");
                command.args(["--force", "encrypt", "--binary", "--compression", "none"]);
                command.arg("--signer-key").arg(key);
                command.arg("--recipient-cert").arg(cert);
                command.arg("--output").arg(to).arg(from);
                command
            }
        })
    }

    /// The command that decrypts and verifies.
    fn reading(&self, peer: Peer, from: &Path, to: &Path) -> Result<Command> {
        let (key, cert) = (self.path("key"), self.path("cert"));
        Ok(match peer {
            Peer::Letterlock => {
                let verdict = self.path("verdict");
                // It is never written over; there may be none yet.
                let _gone = fs::remove_file(&verdict);
                let mut command = self.sop();
                command.arg("decrypt");
                command.arg(format!("--verify-with={}", cert.display()));
                command.arg(format!("--verifications-out={}", verdict.display()));
                command.arg(key);
                command.stdin(fs::File::open(from)?);
                command.stdout(fs::File::create(to)?);
                command
            }
            Peer::Gpg => {
                let mut command = self.gpg()?;
                command.args(["--decrypt", "--output"]).arg(to).arg(from);
                command
            }
            Peer::Sq => {
                let mut command = Command::new("sq");
                command
                    .args(["--force", "decrypt", "--signer-cert"])
                    .arg(cert);
                command.arg("--recipient-key").arg(key);
                command.arg("--output").arg(to).arg(from);
                command
            }
        })
    }

    /// Whether each program opens what ours wrote, and ours what each wrote.
    fn check(&self, size: usize) -> Result<()> {
        let document = fs::read(self.document(size))?;
        for peer in Peer::ALL {
            for (writer, reader) in [(peer, Peer::Letterlock), (Peer::Letterlock, peer)] {
                let (sealed, opened) = (self.path("sealed"), self.path("opened"));
                output(self.writing(writer, &self.document(size), &sealed)?)?;
                output(self.reading(reader, &sealed, &opened)?)?;
                if fs::read(&opened)? != document {
                    bail!("{} does not read {}", reader.name(), writer.name());
                }
            }
        }
        Ok(())
    }

    /// Times everything, the programs by turns.
    ///
    /// # Errors
    /// A program refuses, or what it wrote is not what it was given.
    pub fn measure(&self) -> Result<Vec<Report>> {
        let mut reports: Vec<Report> = Peer::ALL.map(|peer| Report::new(peer.name())).into();
        let mut medians = Vec::new();
        for (names, size) in SIZES {
            self.check(size)?;
            let mut times = vec![(Vec::new(), Vec::new()); Peer::ALL.len()];
            for _ in 0..ROUNDS {
                for (peer, (write, read)) in Peer::ALL.into_iter().zip(&mut times) {
                    let (sealed, opened) = (self.path("sealed"), self.path("opened"));
                    write.push(timed(self.writing(peer, &self.document(size), &sealed)?)?);
                    read.push(timed(self.reading(peer, &sealed, &opened)?)?);
                }
            }
            let times = times
                .iter_mut()
                .map(|(write, read)| (median(write), median(read)));
            let times: Vec<(f64, f64)> = times.collect();
            for (report, (write, read)) in reports.iter_mut().zip(&times) {
                report.time(names.write, *write);
                report.time(names.read, *read);
            }
            medians.push((size, times));
        }
        if let [(small, short), (large, long)] = &medians[..] {
            #[expect(clippy::cast_precision_loss, reason = "figures for people")]
            let megaoctets = (large - small) as f64 / 1e6;
            for (report, (short, long)) in reports.iter_mut().zip(short.iter().zip(long)) {
                let each = |short: f64, long: f64| Some((long - short) * 1000.0 / megaoctets);
                let names = PER_MEGAOCTET;
                report.push(names.write, "ms", Better::Less, each(short.0, long.0));
                report.push(names.read, "ms", Better::Less, each(short.1, long.1));
            }
        }
        Ok(reports)
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn timed(mut command: Command) -> Result<f64> {
    command.stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status()?;
    let seconds = start.elapsed().as_secs_f64();
    if !status.success() {
        bail!("{} ended with {status}", command.get_program().display());
    }
    Ok(seconds)
}

fn output(mut command: Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_owned();
    let done = command.output();
    let done = done.with_context(|| format!("starting {}", name.display()))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        bail!("{} ended with {}: {said}", name.display(), done.status);
    }
    Ok(done.stdout)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Lines of letters that nothing compresses much.
fn text(octets: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut text = Vec::with_capacity(octets);
    while text.len() < octets {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let column = text.len() % 78;
        text.push(match column {
            76 => b'\r',
            77 => b'\n',
            _ => b'A' + u8::try_from(state >> 59).unwrap_or(0),
        });
    }
    text
}
