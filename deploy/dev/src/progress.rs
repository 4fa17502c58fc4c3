//! Live progress: a bar a job on a terminal, a line a change elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::demo::JobView;

/// Writes to standard output; a closed one is nobody's loss here.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// One bar or one line of changes for each job.
pub(crate) struct Board {
    bars: Option<MultiProgress>,
    since: Instant,
}

/// The display of one job.
pub(crate) struct Row {
    name: String,
    bar: Option<ProgressBar>,
    shown: String,
    since: Instant,
}

/// How far along each state is, of 100.
fn position(job: &JobView) -> u64 {
    match job.status.as_str() {
        "queued" => 5,
        "submitting" | "uncertain" => 15,
        "awaiting" => 20 + (job.progress.unwrap_or(0.0) * 60.0) as u64,
        "delivering" => 90,
        _ => 100,
    }
}

impl Board {
    pub(crate) fn new() -> Self {
        let bars = std::io::stdout().is_terminal().then(MultiProgress::new);
        Self { bars, since: Instant::now() }
    }

    pub(crate) fn row(&self, name: &str) -> Row {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(100));
            if let Ok(style) = ProgressStyle::with_template("{prefix:>8} [{bar:30}] {msg} {elapsed}") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Row { name: name.to_owned(), bar, shown: String::new(), since: self.since }
    }
}

impl Row {
    pub(crate) fn show(&mut self, job: &JobView) {
        let provider_status = job.provider_status.as_deref().unwrap_or("-");
        let text = format!("{:<11} provider: {provider_status:<12} checks: {:<3}", job.status, job.checks);
        match &self.bar {
            Some(bar) => {
                bar.set_position(position(job));
                bar.set_message(text);
                if job.is_over() {
                    bar.abandon();
                }
            }
            None if text != self.shown => {
                say(&format!("{:>7.2} s  {:>8}  {text}", self.since.elapsed().as_secs_f64(), self.name));
                self.shown = text;
            }
            None => {}
        }
    }
}
