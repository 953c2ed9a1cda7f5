//! `cargo xtask bench core split`: the lossless split with all structure, beside `mail-parser`
//! parsing the same messages in the same run.
#![expect(clippy::print_stdout, reason = "a benchmark says what it found")]

use std::hint::black_box;
use std::time::Instant;

use anyhow::Result;
use letterlock_bench::mail::{self, Sort, message};
use letterlock_core::mime::{join, split};
use mail_parser::MessageParser;

/// Messages of each sort.
const MESSAGES: u32 = 300;
/// Of messages with a large file.
const FILES: u32 = 20;
/// Each side goes over the messages so often, in turn; the quickest round counts.
const ROUNDS: usize = 9;

fn main() -> Result<()> {
    println!(
        "split with structure, and mail-parser on the same messages: quickest of {ROUNDS} rounds"
    );
    println!(
        "  {:<24} {:>9} {:>22} {:>22}  ratio",
        "", "octets", "Letterlock", "mail-parser"
    );
    for sort in Sort::ALL {
        let most = if sort == Sort::File { FILES } else { MESSAGES };
        let messages: Vec<_> = (0..most).map(|number| message(sort, number)).collect();
        compare(sort.name(), &messages);
    }
    match mail::lists()? {
        Some(lists) => compare("mailing lists", &lists),
        None => println!("{} is not here: no figures for real mail", mail::LISTS),
    }
    Ok(())
}

fn compare(name: &str, messages: &[Vec<u8>]) {
    let parser = MessageParser::default();
    let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        ours = ours.min(seconds(|| {
            for raw in messages {
                black_box(split(black_box(raw)));
            }
        }));
        theirs = theirs.min(seconds(|| {
            for raw in messages {
                black_box(parser.parse(black_box(raw)));
            }
        }));
    }
    for raw in messages {
        let parts = split(raw);
        let whole = join(&parts.structure, &parts.skeleton, &parts.leaves);
        assert!(
            whole.is_ok_and(|whole| whole == *raw),
            "{name}: not the same octets"
        );
    }
    let octets: usize = messages.iter().map(Vec::len).sum();
    println!(
        "  {name:<24} {octets:>9} {} {}  {:.2}",
        rate(octets, messages.len(), ours),
        rate(octets, messages.len(), theirs),
        theirs / ours
    );
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn rate(octets: usize, messages: usize, seconds: f64) -> String {
    let megabytes = octets as f64 / 1e6 / seconds;
    let microseconds = seconds * 1e6 / messages as f64;
    format!("{megabytes:>6.0} MB/s {microseconds:>7.1} us")
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}
