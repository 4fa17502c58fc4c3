//! Measures the queue engine beside its rivals, in one run on one machine. `tests/load/README.md` says how to read it.
//!
//! Each measured program is a process of its own: `atelier-load worker ...` and `atelier-load produce ...` are
//! Atelier's, `atelier-load bare` is the server that the api is compared with, and those of `tests/load/peers` are the
//! rivals'.

mod arguments;
mod bare;
mod bench;
#[expect(dead_code, reason = "its URL is enough here")]
#[path = "../../../deploy/dev/src/embedded_s3.rs"]
mod embedded_s3;
mod http;
mod job;
mod process;
mod produce;
mod programs;
#[expect(dead_code, reason = "replicas and sentinels are not measured")]
#[path = "../../../deploy/dev/src/redis_server.rs"]
mod redis_server;
mod report;
mod rows;
mod s3;
mod server;
mod worker;

use anyhow::{Context, Result};

use crate::arguments::Arguments;
use crate::report::Report;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("worker") => return worker::run(words.get(1..).unwrap_or_default()),
        Some("produce") => return produce::run(words.get(1..).unwrap_or_default()),
        Some("bare") => return bare::run(),
        Some("s3") => return s3::run(words.get(1..).unwrap_or_default()),
        Some("table") => {
            let file = words.get(1).context("table FILE: the report to show")?;
            println!("{}", Report::read(file)?.table());
            return Ok(());
        }
        _ => {}
    }
    let arguments = Arguments::read(&words)?;
    let mut report = Report::begin(&arguments)?;
    for (name, measure) in rows::ALL.iter().filter(|(name, _)| arguments.wants(name)) {
        for durability in &arguments.durabilities {
            eprintln!("== {name}, {}", durability.words());
            let figures = measure(&arguments, *durability).with_context(|| format!("row {name}"))?;
            report.add(*durability, figures);
            if let Some(file) = &arguments.json {
                report.write(file)?;
            }
        }
    }
    println!("{}", report.table());
    Ok(())
}
