//! What the caller wants measured.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::rows;

const USAGE: &str = "usage: atelier-load ROW|all [--runs N] [--jobs N] [--durability off|everysec|both] \
                     [--without-peers] [--json FILE], or: atelier-load table FILE";

/// Whether the server keeps an append-only file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// In memory only.
    Off,
    /// `appendfsync everysec`.
    Everysec,
}

impl Durability {
    /// For the reader.
    pub fn words(self) -> &'static str {
        match self {
            Self::Off => "no append-only file",
            Self::Everysec => "appendfsync everysec",
        }
    }
}

/// A read command line.
pub struct Arguments {
    row: String,
    /// Runs of each figure; the median counts.
    pub runs: usize,
    /// Instead of each row's own number of jobs: for short runs.
    pub jobs: Option<usize>,
    /// The servers to measure on, one after the other.
    pub durabilities: Vec<Durability>,
    /// Whether the rivals run too.
    pub with_peers: bool,
    /// Where the report goes; it is written after every row.
    pub json: Option<PathBuf>,
}

impl Arguments {
    /// Reads a command line, or says what would be right.
    pub fn read(words: &[String]) -> Result<Self> {
        let mut words = words.iter();
        let row = words.next().context(USAGE)?.clone();
        if row != "all" && !rows::ALL.iter().any(|(name, _)| *name == row) {
            let names: Vec<_> = rows::ALL.iter().map(|(name, _)| *name).collect();
            bail!("there is no row {row}; there are {}, all\n{USAGE}", names.join(", "));
        }
        let mut arguments = Self {
            row,
            runs: 5,
            jobs: None,
            durabilities: vec![Durability::Off, Durability::Everysec],
            with_peers: true,
            json: None,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--runs" => arguments.runs = value()?.parse::<usize>()?.max(1),
                "--jobs" => arguments.jobs = Some(value()?.parse()?),
                "--durability" => {
                    arguments.durabilities = match value()?.as_str() {
                        "off" => vec![Durability::Off],
                        "everysec" => vec![Durability::Everysec],
                        "both" => vec![Durability::Off, Durability::Everysec],
                        other => bail!("{other} is no durability\n{USAGE}"),
                    }
                }
                "--without-peers" => arguments.with_peers = false,
                "--json" => arguments.json = Some(value()?.into()),
                other => bail!("{other} is not known\n{USAGE}"),
            }
        }
        Ok(arguments)
    }

    /// Whether a row is to be measured.
    pub fn wants(&self, row: &str) -> bool {
        self.row == "all" || self.row == row
    }

    /// The row's own number of jobs, or what `--jobs` says.
    pub fn jobs_or(&self, usual: usize) -> usize {
        self.jobs.unwrap_or(usual)
    }
}
