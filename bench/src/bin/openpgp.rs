//! `cargo xtask bench openpgp`: sealing a letter, and whole messages beside gpg and sq.
#![expect(clippy::print_stdout, reason = "a benchmark says what it found")]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use letterlock_bench::figures::table;
use letterlock_bench::openpgp::Desk;
use letterlock_core::id::{Address, Timestamp};
use letterlock_core::openpgp::encrypt;
use letterlock_core::openpgp::secret_certificate::{Profile, Template};
use rand::rngs::OsRng;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
/// Octets of the letter that is sealed.
const LETTER: usize = 10_000;
const SEALS: usize = 1000;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = "openpgp LETTERLOCK-SOP-PROGRAM OUTPUT-FILE";
    let program = PathBuf::from(arguments.next().context(usage)?);
    let place = PathBuf::from(arguments.next().context(usage)?);
    seal()?;
    let folder = tempfile::tempdir()?;
    let reports = Desk::new(folder.path(), &program)?.measure()?;
    let table = table(&reports);
    println!("\n{table}");
    std::fs::write(&place, &table).with_context(|| place.display().to_string())?;
    println!("written to {}", place.display());
    Ok(())
}

/// What the mail exchanger does with every message.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn seal() -> Result<()> {
    let letter = vec![b'x'; LETTER];
    let address = Address::new("alice@letterlock.example")?;
    for profile in Profile::ALL {
        let secret = Template::new(profile, &address, None, NOW)?.generate(&mut OsRng)?;
        let certificate = secret.certificate();
        let mut times = Vec::with_capacity(SEALS);
        for _ in 0..SEALS {
            let start = Instant::now();
            let sealed = encrypt::to_recipient(certificate, &letter, NOW, &mut OsRng)?;
            times.push(start.elapsed().as_secs_f64());
            assert!(sealed.len() > LETTER, "nothing is compressed");
        }
        times.sort_by(f64::total_cmp);
        let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or(0.0);
        println!(
            "sealing 10 kB, {profile:?}: median {:.3} ms, 95 % under {:.3} ms",
            at(50) * 1000.0,
            at(95) * 1000.0
        );
    }
    Ok(())
}
