//! `cargo xtask bench sync`: first syncs, news from device to device, and what idle devices cost
//! the provider.
#![expect(clippy::print_stdout, reason = "a benchmark says what it found")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use letterlock_bench::figures::table;
use letterlock_bench::sync::provider;
use letterlock_bench::sync::steps::Run;

/// Messages of the account, if the command line does not say.
const MESSAGES: usize = 100_000;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let output = PathBuf::from(arguments.next().context("sync OUTPUT-FILE [MESSAGES]")?);
    let second = arguments.next();
    if output == Path::new(provider::WORD) {
        let folder = PathBuf::from(second.context("which folder?")?);
        return Box::pin(provider::serve(&folder)).await;
    }
    let messages = match second {
        Some(word) => word
            .to_string_lossy()
            .parse()
            .context("how many messages?")?,
        None => MESSAGES,
    };
    let folder = tempfile::tempdir()?;
    let mut run = Run::new(folder.path().to_owned(), messages)?;
    println!("{messages} messages");
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    let start = Instant::now();
    let say = |step: &str| println!("{:5} s  {step}", start.elapsed().as_secs());
    Box::pin(run.all(say)).await?;
    say("done");
    let table = table(&[run.ours, run.plain]);
    println!("\n{table}");
    std::fs::write(&output, &table).with_context(|| output.display().to_string())?;
    println!("written to {}", output.display());
    Ok(())
}
