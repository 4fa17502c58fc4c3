//! All families of faults for as many minutes as the first argument says (10 without one); the report goes to standard
//! output, whatever is told meanwhile too, and the report alone into the file that the second argument names. A run that
//! breaks a promise ends with an error. `ATELIER_CHAOS_SEED` repeats the dice of a run.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use atelier_chaos::scenario::Scenario;
use atelier_chaos::scenario::faults::Family;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let minutes: u64 =
        arguments.next().map_or(Ok(10), |text| text.parse()).context("minutes are a number")?;
    let seed = match std::env::var("ATELIER_CHAOS_SEED") {
        Ok(text) => text.parse()?,
        Err(_) => rand::random(),
    };
    let scenario = Scenario {
        seed,
        families: Family::ALL.to_vec(),
        strikes: Family::ALL.len(),
        time: Duration::from_secs(60 * minutes),
        callers: 16,
        rules: Vec::new(),
    };
    let account = scenario.run().await?;
    let report = format!("{:#}\n", account.report);
    print!("{report}");
    if let Some(path) = arguments.next() {
        std::fs::write(&path, report).with_context(|| format!("cannot write {path}"))?;
    }
    ensure!(account.wrong.is_empty(), "{} promises were broken", account.wrong.len());
    println!("a soak of {minutes} minutes kept every promise");
    Ok(())
}
