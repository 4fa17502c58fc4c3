//! Figures, as JSON and as a table.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::arguments::{Arguments, Durability};
use crate::server::Server;

/// What a figure must reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Ours is at most this.
    AtMost(f64),
    /// Ours is at least this.
    AtLeast(f64),
    /// Ours divided by the peer's is at most this.
    RatioAtMost(f64),
    /// Ours divided by the peer's is at least this.
    RatioAtLeast(f64),
}

/// One figure: the median of its runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The row it belongs to, such as `drain 20k`.
    pub row: String,
    /// What was measured, with its unit.
    pub measure: String,
    /// Ours.
    pub value: f64,
    /// Ours, run by run.
    pub runs: Vec<f64>,
    /// Whom it is compared with.
    pub peer: Option<String>,
    /// Theirs, from the same run.
    pub peer_value: Option<f64>,
    /// Theirs, run by run.
    pub peer_runs: Vec<f64>,
    /// What it must reach; without it the figure stands beside others.
    pub goal: Option<Goal>,
    /// How many jobs were counted at the end of each run.
    pub jobs: usize,
    /// The machine's load average of one minute when the row ended; the measured programs are part of it.
    #[serde(default)]
    pub load_average: Option<f64>,
    /// What was measured: a continued report holds rows of several commits.
    #[serde(default)]
    pub commit: Option<String>,
}

impl Figure {
    /// A figure without a rival.
    pub fn alone(row: &str, measure: &str, runs: Vec<f64>, goal: Option<Goal>, jobs: usize) -> Self {
        Self {
            row: row.to_owned(),
            measure: measure.to_owned(),
            value: median(&runs),
            runs,
            peer: None,
            peer_value: None,
            peer_runs: Vec::new(),
            goal,
            jobs,
            load_average: load_average(),
            commit: Some(commit()),
        }
    }

    /// The same beside a rival's runs.
    pub fn beside(mut self, peer: &str, runs: Vec<f64>) -> Self {
        self.peer = Some(peer.to_owned());
        self.peer_value = Some(median(&runs));
        self.peer_runs = runs;
        self
    }

    /// Ours divided by theirs.
    pub fn ratio(&self) -> Option<f64> {
        self.peer_value.filter(|value| *value > 0.0).map(|value| self.value / value)
    }

    /// Whether the goal is reached; `None` without a goal, or without the rival that it is about.
    pub fn is_reached(&self) -> Option<bool> {
        match self.goal? {
            Goal::AtMost(limit) => Some(self.value <= limit),
            Goal::AtLeast(limit) => Some(self.value >= limit),
            Goal::RatioAtMost(limit) => self.ratio().map(|ratio| ratio <= limit),
            Goal::RatioAtLeast(limit) => self.ratio().map(|ratio| ratio >= limit),
        }
    }
}

fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// The commit that is checked out, with `-dirty` where files differ from it. Reports are no part of what is measured.
fn commit() -> String {
    static COMMIT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let ask = || {
        let git = |words: &[&str]| {
            let output = Command::new("git").args(words).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
        let changed = git(&["status", "--porcelain", "--", ":/", ":(top,exclude)tests/load/*.json"])?;
        Some(if changed.is_empty() { commit } else { format!("{commit}-dirty") })
    };
    COMMIT.get_or_init(|| ask().unwrap_or_else(|| "unknown".to_owned())).clone()
}

/// The middle of some values; the lower of two.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The smallest value that a share of `share` does not exceed; 0 of nothing.
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// The figures of one kind of server.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    durability: Durability,
    figures: Vec<Figure>,
}

/// All that one run measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// What was measured.
    commit: String,
    /// When, RFC 3339.
    at: String,
    cores: usize,
    server: String,
    runs: usize,
    parts: Vec<Part>,
}

impl Report {
    /// An empty report with the facts of this machine. A report that is there already is continued: its figures stay
    /// until they are measured again.
    pub fn begin(arguments: &Arguments) -> Result<Self> {
        let parts = match &arguments.json {
            Some(file) if file.is_file() => Self::read(file)?.parts,
            Some(_) | None => Vec::new(),
        };
        Ok(Self {
            commit: commit(),
            at: atelier_domain::Timestamp::now().to_string(),
            cores: std::thread::available_parallelism()?.get(),
            server: Server::start(Durability::Off)?.version()?,
            runs: arguments.runs,
            parts,
        })
    }

    /// Takes figures in; those of the same row and measure are replaced.
    pub fn add(&mut self, durability: Durability, figures: Vec<Figure>) {
        for figure in &figures {
            eprintln!("   {}", line(figure));
        }
        if !self.parts.iter().any(|part| part.durability == durability) {
            self.parts.push(Part { durability, figures: Vec::new() });
        }
        if let Some(part) = self.parts.iter_mut().find(|part| part.durability == durability) {
            for figure in figures {
                let same = |old: &&mut Figure| old.row == figure.row && old.measure == figure.measure;
                match part.figures.iter_mut().find(same) {
                    Some(old) => *old = figure,
                    None => part.figures.push(figure),
                }
            }
        }
    }

    /// Reads a written report.
    pub fn read(file: impl AsRef<Path>) -> Result<Self> {
        let file = file.as_ref();
        let text = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Writes it.
    pub fn write(&self, file: &Path) -> Result<()> {
        Ok(std::fs::write(file, serde_json::to_string_pretty(self)? + "\n")?)
    }

    /// As Markdown.
    pub fn table(&self) -> String {
        let mut text = format!(
            "Commit {}, {}, {} cores, {}, median of {} runs.\n",
            self.commit, self.at, self.cores, self.server, self.runs
        );
        for part in &self.parts {
            let _ = write!(text, "\n**{}**\n\n", part.durability.words());
            text += "| row | measure | Atelier | peer | ratio | goal | |\n|---|---|---|---|---|---|---|\n";
            for figure in &part.figures {
                let _ = writeln!(text, "{}", line(figure));
            }
        }
        text
    }
}

fn line(figure: &Figure) -> String {
    let peer = match (&figure.peer, figure.peer_value) {
        (Some(name), Some(value)) => format!("{name} {}", short(value)),
        _ => String::new(),
    };
    let ratio = figure.ratio().map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    let goal = match figure.goal {
        Some(Goal::AtMost(limit)) => format!("at most {}", short(limit)),
        Some(Goal::AtLeast(limit)) => format!("at least {}", short(limit)),
        Some(Goal::RatioAtMost(limit)) => format!("ratio at most {limit}"),
        Some(Goal::RatioAtLeast(limit)) => format!("ratio at least {limit}"),
        None => String::new(),
    };
    let verdict = match figure.is_reached() {
        Some(true) => "reached",
        Some(false) => "**missed**",
        None => "",
    };
    format!(
        "| {} | {} | {} | {peer} | {ratio} | {goal} | {verdict} |",
        figure.row,
        figure.measure,
        short(figure.value)
    )
}

/// Three or four digits that matter.
fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => {
            let whole = format!("{:.0}", value.abs());
            let mut text = String::new();
            for (place, digit) in whole.chars().enumerate() {
                if place > 0 && (whole.len() - place) % 3 == 0 {
                    text.push(',');
                }
                text.push(digit);
            }
            if value < 0.0 { format!("-{text}") } else { text }
        }
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
