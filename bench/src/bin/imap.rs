//! `cargo xtask bench imap`: our IMAP server beside Dovecot, plain and with `mail_crypt`, on the
//! same mail in the same run.
#![expect(clippy::print_stdout, reason = "a benchmark says what it found")]

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use letterlock_bench::figures::table;
use letterlock_bench::imap::peers::{Kind, Peer};
use letterlock_bench::imap::steps::Run;

/// Messages that each server gets, if the command line does not say.
const MESSAGES: u32 = 10_000;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = "imap LETTERLOCK-PROGRAM OUTPUT-FILE [MESSAGES] [SERVER]...";
    let letterlock = PathBuf::from(arguments.next().context(usage)?);
    let output = PathBuf::from(arguments.next().context(usage)?);
    let messages = match arguments.next() {
        Some(word) => word
            .to_string_lossy()
            .parse()
            .context("how many messages?")?,
        None => MESSAGES,
    };
    let wanted: Vec<String> = arguments
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let folder = tempfile::tempdir()?;
    let mut reports = Vec::new();
    for (nth, kind) in Kind::ALL.into_iter().enumerate() {
        if !wanted.is_empty() && !wanted.iter().any(|word| word == kind.word()) {
            continue;
        }
        println!("{}, {messages} messages", kind.name());
        let mut peer = Peer::start(kind, &folder.path().join(nth.to_string()), &letterlock)?;
        let mut run = Run::new(&mut peer, kind.name(), messages, |step| {
            println!("  {step}");
        });
        run.all().with_context(|| kind.name())?;
        reports.push(run.report);
    }
    let table = table(&reports);
    println!("\n{table}");
    std::fs::write(&output, &table).with_context(|| output.display().to_string())?;
    println!("written to {}", output.display());
    if reports.iter().any(|report| !report.wrong.is_empty()) {
        bail!("some answers were wrong");
    }
    Ok(())
}
