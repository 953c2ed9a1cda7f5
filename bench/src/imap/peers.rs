//! The servers: Letterlock's bridge, and Dovecot with and without `mail_crypt`, each with a
//! configuration and a folder of its own, on loopback.

use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::client::Door;
use super::ours::{Ours, USER};
use anyhow::{Context as _, Result, bail};

/// How long a server may take until it answers.
const START_SECONDS: u32 = 60;
/// How long it may go on working by itself.
const SETTLE_SECONDS: u32 = 180;
/// Processor time in a second, in hundredths, that is nothing.
const QUIET_TICKS: u64 = 3;
/// The passwords in Dovecot's configuration.
const PASSWORD: &str = "sesame";
/// Who Dovecot keeps mail as.
const MAIL_USER: &str = "mail";

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Ours, encrypted at rest.
    Letterlock,
    /// Dovecot's sdbox as it is.
    DovecotPlain,
    /// The same, every message encrypted.
    DovecotCrypt,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Letterlock, Self::DovecotPlain, Self::DovecotCrypt];

    /// What it is called on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Letterlock => "letterlock",
            Self::DovecotPlain => "dovecot",
            Self::DovecotCrypt => "mail_crypt",
        }
    }

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Letterlock => "Letterlock",
            Self::DovecotPlain => "Dovecot",
            Self::DovecotCrypt => "Dovecot with mail_crypt",
        }
    }
}

/// A server that can be stopped and started again.
#[derive(Debug)]
pub struct Peer {
    kind: Kind,
    folder: PathBuf,
    ours: Option<Ours>,
    child: Option<Child>,
    /// Where it listens.
    pub door: Door,
}

impl Peer {
    /// Prepares and starts a server that keeps everything in `folder`.
    ///
    /// # Errors
    /// It cannot be started, or does not answer.
    pub fn start(kind: Kind, folder: &Path, letterlock: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (ours, user, password) = match kind {
            Kind::Letterlock => {
                let (ours, password) = Ours::prepare(letterlock, folder)?;
                (Some(ours), USER, password)
            }
            Kind::DovecotPlain | Kind::DovecotCrypt => {
                configure(kind, folder, address)?;
                (None, "alice", PASSWORD.to_owned())
            }
        };
        let mut peer = Self {
            kind,
            folder: folder.to_owned(),
            ours,
            child: None,
            door: Door {
                address,
                user: user.to_owned(),
                password,
            },
        };
        peer.resume()?;
        Ok(peer)
    }

    /// Which it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Starts it again on what it has.
    ///
    /// # Errors
    /// It cannot be started, or does not answer.
    pub fn resume(&mut self) -> Result<()> {
        let child = match &self.ours {
            Some(ours) => ours.bridge(self.door.address)?,
            None => dovecot(&self.folder)?,
        };
        self.child = Some(child);
        for _ in 0..START_SECONDS * 10 {
            sleep(Duration::from_millis(100));
            if self.answers() {
                return Ok(());
            }
        }
        bail!(
            "{} does not answer after {START_SECONDS} s",
            self.kind.name()
        )
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.door.address) else {
            return false;
        };
        let mut greeting = [0; 4];
        let wait = Some(Duration::from_secs(5));
        stream.set_read_timeout(wait).is_ok() && stream.read_exact(&mut greeting).is_ok()
    }

    /// Stops it and waits until it is gone.
    ///
    /// # Errors
    /// Those of the system.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        Command::new("kill").arg(child.id().to_string()).status()?;
        child.wait()?;
        Ok(())
    }

    /// Waits until it has nothing more to do: what it does beside answering is not measured.
    ///
    /// # Errors
    /// Those of reading `/proc`.
    pub fn settle(&self) -> Result<()> {
        let (mut quiet, mut before) = (0, self.ticks()?);
        for _ in 0..SETTLE_SECONDS {
            sleep(Duration::from_secs(1));
            let now = self.ticks()?;
            quiet = if now.saturating_sub(before) <= QUIET_TICKS {
                quiet + 1
            } else {
                0
            };
            before = now;
            if quiet == 2 {
                break;
            }
        }
        Ok(())
    }

    /// Processor time of all its processes, in hundredths of seconds.
    fn ticks(&self) -> Result<u64> {
        let Some(child) = &self.child else {
            return Ok(0);
        };
        let mut ticks = 0;
        let mut processes = family(child.id())?;
        processes.extend(self.ours.as_ref().map(Ours::provider));
        for process in processes {
            // It may be gone by now.
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let after_name = stat.rsplit(')').next().unwrap_or_default();
            let times = after_name.split_whitespace().skip(11).take(2);
            ticks += times
                .filter_map(|time| time.parse::<u64>().ok())
                .sum::<u64>();
        }
        Ok(ticks)
    }

    /// Octets in memory of all its processes, what they share counted once.
    ///
    /// # Errors
    /// Those of reading `/proc`.
    pub fn resident(&self) -> Result<u64> {
        let Some(child) = &self.child else {
            return Ok(0);
        };
        let mut octets = 0;
        for process in family(child.id())? {
            let path = format!("/proc/{process}/smaps_rollup");
            // It may be gone by now.
            let Ok(text) = fs::read_to_string(path) else {
                continue;
            };
            let line = text.lines().find(|line| line.starts_with("Pss:"));
            let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
            octets += kib.unwrap_or(0) * 1024;
        }
        Ok(octets)
    }

    /// Octets of mail on the disk: of ours the device's, since what the provider keeps is elsewhere
    /// in life.
    ///
    /// # Errors
    /// Those of reading the folder.
    pub fn stored(&self) -> Result<u64> {
        let theirs = || self.folder.join("mail");
        let mail = self.ours.as_ref().map_or_else(theirs, Ours::mail);
        stored(&mail)
    }
}

#[expect(clippy::print_stderr, reason = "nobody else can be told")]
impl Drop for Peer {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("{} was not stopped: {error:#}", self.kind.name());
        }
    }
}

fn dovecot(folder: &Path) -> Result<Child> {
    let mut command = Command::new("/usr/sbin/dovecot");
    command.arg("-F").arg("-c").arg(folder.join("dovecot.conf"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0).spawn().context("start Dovecot")
}

fn stored(folder: &Path) -> Result<u64> {
    let mut octets = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        octets += if metadata.is_dir() {
            stored(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(octets)
}

/// A process and all that it started.
fn family(root: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else {
            continue;
        };
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let parent = after_name.split_whitespace().nth(1);
        if let Some(parent) = parent.and_then(|parent| parent.parse::<u32>().ok()) {
            parents.push((process, parent));
        }
    }
    let mut family = vec![root];
    let mut next = 0;
    while let Some(one) = family.get(next).copied() {
        next += 1;
        let children = parents.iter().filter(|(_, parent)| *parent == one);
        family.extend(children.map(|(process, _)| process));
    }
    Ok(family)
}

fn configure(kind: Kind, folder: &Path, address: SocketAddr) -> Result<()> {
    let root = folder.canonicalize()?;
    let root = root.display();
    for name in ["run", "mail"] {
        fs::create_dir_all(folder.join(name))?;
    }
    let id = |flag: &str| -> Result<String> {
        let output = Command::new("id").args([flag, MAIL_USER]).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let (uid, gid) = (id("-u")?, id("-g")?);
    let owner = format!("{uid}:{gid}");
    let (plugin, keys) = if kind == Kind::DovecotCrypt {
        ("mail_crypt", make_keys(folder, &owner)?)
    } else {
        ("", String::new())
    };
    Command::new("chown")
        .arg(&owner)
        .arg(folder.join("mail"))
        .status()?;
    let port = address.port();
    fs::write(
        folder.join("dovecot.conf"),
        format!(
            "base_dir = {root}/run\nstate_dir = {root}/run\nlog_path = {root}/log\n\
             protocols = imap\nlisten = 127.0.0.1\nssl = no\ndisable_plaintext_auth = no\n\
             auth_mechanisms = plain\nfirst_valid_uid = 1\nmail_uid = {uid}\nmail_gid = {gid}\n\
             mail_location = sdbox:{root}/mail/%u\nmail_plugins = {plugin}\n\
             mail_max_userip_connections = 500\ndefault_process_limit = 500\n\
             default_client_limit = 4000\nauth_cache_size = 1M\n\
             passdb {{\n  driver = static\n  args = password={PASSWORD}\n}}\n\
             userdb {{\n  driver = static\n  args = uid={uid} gid={gid} home={root}/mail/%u\n}}\n\
             service imap-login {{\n  process_min_avail = 1\n  service_count = 0\n  client_limit = 500\n  \
             inet_listener imap {{\n    address = 127.0.0.1\n    port = {port}\n  }}\n  \
             inet_listener imaps {{\n    port = 0\n  }}\n}}\n\
             service imap {{\n  process_limit = 500\n}}\n\
             namespace inbox {{\n  inbox = yes\n  separator = /\n}}\n{keys}"
        ),
    )?;
    Ok(())
}

/// Makes the keys of `mail_crypt` and gives their part of the configuration.
fn make_keys(folder: &Path, owner: &str) -> Result<String> {
    let (private, public) = (folder.join("private.pem"), folder.join("public.pem"));
    let openssl = |arguments: &[&str], out: &Path| {
        let mut command = Command::new("openssl");
        command.args(arguments).arg("-out").arg(out).status()
    };
    let curve = "ec_paramgen_curve:P-256";
    openssl(
        &["genpkey", "-algorithm", "EC", "-pkeyopt", curve],
        &private,
    )?;
    let from = private.display().to_string();
    openssl(&["pkey", "-in", &from, "-pubout"], &public)?;
    Command::new("chown")
        .arg(owner)
        .args([&private, &public])
        .status()?;
    let root = folder.canonicalize()?;
    let root = root.display();
    Ok(format!(
        "plugin {{\n  mail_crypt_global_private_key = <{root}/private.pem\n  \
         mail_crypt_global_public_key = <{root}/public.pem\n  mail_crypt_save_version = 2\n}}\n"
    ))
}
