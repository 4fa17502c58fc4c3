//! Makes the records of assets again from the manifests in the asset store: after Redis was lost, or when records have
//! expired whose files are still there. It may run beside everything else, and be repeated.

use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use atelier_domain::ids::WorkspaceId;
use atelier_runtime::{Command, CommandError};
use tokio::time::Instant;

use super::words::Options;
use crate::program::{AssetStores, Settings};

pub(super) const COMMAND: Command<Settings> = Command {
    name: "rebuild-index",
    help: &["rebuild-index [--workspace NAME]"],
    run: |settings, words| Box::pin(asked(settings, words)),
};

async fn asked(settings: Settings, words: Vec<String>) -> Result<String, CommandError> {
    let options = Options::read(&words, &["workspace"]).map_err(CommandError::Usage)?;
    let workspace = options.get("workspace").map(str::parse).transpose().map_err(CommandError::Usage)?;
    Ok(run(&settings, workspace).await?.to_string())
}

/// Between two signs of progress.
const TELL_EVERY: Duration = Duration::from_secs(3);
/// Manifests that cannot be used and are named; more are only counted.
const NAMED: usize = 20;

/// What a rebuild did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Assets whose records are written.
    pub assets: u64,
    /// Manifests whose object is gone.
    pub orphans: u64,
    /// Manifests that cannot be read, or tell of another object.
    pub unreadable: u64,
}

impl fmt::Display for Rebuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { assets, orphans, unreadable } = self;
        write!(f, "{assets} assets, {orphans} manifests without an object, {unreadable} unreadable manifests")
    }
}

/// Walks over the manifests of all workspaces, or of one. Nothing is removed; a record that is there is written anew. All
/// of them live as long from now on as a new one. Fails where a store does not answer; what was done until then stays.
pub async fn run(settings: &Settings, workspace: Option<WorkspaceId>) -> anyhow::Result<Rebuilt> {
    let stores = AssetStores::open(settings).await?;
    let mut rebuilt = Rebuilt::default();
    let mut place = String::new();
    let mut told = Instant::now();
    loop {
        let found = stores.manifests.manifests(workspace.as_ref(), &place).await;
        let found =
            found.with_context(|| format!("cannot read manifests after `{place}`; so far {rebuilt}"))?;
        let kept = stores.records.keep(&found.assets).await;
        kept.with_context(|| format!("cannot write records after `{place}`; so far {rebuilt}"))?;
        for key in &found.unreadable {
            rebuilt.unreadable += 1;
            if rebuilt.unreadable <= NAMED as u64 {
                tell(format_args!("not usable: {key}"));
            }
        }
        rebuilt.assets += found.assets.len() as u64;
        rebuilt.orphans += found.orphans;
        let Some(next) = found.next else { break };
        place = next;
        if told.elapsed() >= TELL_EVERY {
            tell(format_args!("{rebuilt}; at {place}"));
            told = Instant::now();
        }
    }
    tell(format_args!("done: {rebuilt}"));
    Ok(rebuilt)
}

/// To standard error: standard output is for what another program reads. A closed one is no reason to stop.
fn tell(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
