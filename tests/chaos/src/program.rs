//! One of the three real programs as a child process.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::gate::Gate;

/// Lines of a process' log that are kept for a failure.
const LOG_LINES: usize = 400;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Api,
    Worker,
    Poller,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Worker, Self::Poller, Self::Api];

    pub fn word(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Poller => "poller",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// The folder of the built programs, `target/<profile>`: tests lie in `deps` below it, and examples in `examples`.
pub fn folder_of_programs() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.ancestors().nth(2).context("the program has no folder above it")?;
    for kind in Kind::ALL {
        let program = folder.join(format!("atelier-{kind}"));
        ensure!(
            program.is_file(),
            "{} is missing: run `cargo build --workspace --bins` first (with the profile of the tests)",
            program.display()
        );
    }
    Ok(folder.to_owned())
}

/// A program that can be started, killed and started again. Dropping it kills it.
pub struct Program {
    kind: Kind,
    path: PathBuf,
    config: PathBuf,
    gate: Arc<Gate>,
    environment: Vec<(String, String)>,
    child: Option<Child>,
    log: Log,
    listen: watch::Sender<Option<SocketAddr>>,
    starts: u32,
}

impl Program {
    /// Not started yet; `config` is its settings file.
    pub fn new(kind: Kind, folder: &Path, config: PathBuf, gate: Arc<Gate>) -> Self {
        Self {
            kind,
            path: folder.join(format!("atelier-{kind}")),
            config,
            gate,
            environment: Vec::new(),
            child: None,
            log: Log::default(),
            listen: watch::Sender::new(None),
            starts: 0,
        }
    }

    /// With these variables and no others.
    pub fn with_environment(self, environment: Vec<(String, String)>) -> Self {
        Self { environment, ..self }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub fn log(&self) -> Log {
        self.log.clone()
    }

    /// Where it listens, as it says itself after every start.
    pub fn listen(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.listen.subscribe()
    }

    /// Starts it; does not wait until it is ready.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "{} runs already", self.kind);
        self.gate.begin_life();
        self.starts += 1;
        let mut child = Command::new(&self.path)
            .arg("--config")
            .arg(&self.config)
            // Settings of the person who runs the tests must not reach in.
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.path.display()))?;
        self.log.add(format!("--- start {} of {}", self.starts, self.kind));
        let output = child.stdout.take().context("no standard output")?;
        let errors = child.stderr.take().context("no standard error")?;
        tokio::spawn(read(output, self.log.clone(), self.listen.clone()));
        tokio::spawn(read(errors, self.log.clone(), self.listen.clone()));
        self.child = Some(child);
        Ok(())
    }

    /// SIGKILL, and waits until it is gone. A process that had ended by itself is an error.
    pub async fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        // Its address is nobody's from here on.
        self.listen.send_replace(None);
        if let Some(status) = child.try_wait()? {
            bail!("the {} had ended by itself with {status}", self.kind);
        }
        child.kill().await?;
        self.log.add(format!("--- killed {}", self.kind));
        Ok(())
    }

    /// SIGTERM, once it has started: before that it is the system that ends it.
    pub async fn terminate(&self) -> Result<()> {
        self.listen().wait_for(Option::is_some).await?;
        let id = self.child.as_ref().and_then(Child::id).context("it does not run")?;
        self.log.add(format!("--- SIGTERM to {}", self.kind));
        let status = Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status().await?;
        ensure!(status.success(), "kill ended with {status}");
        Ok(())
    }

    /// Waits for its end, at most `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let child = self.child.as_mut().context("it does not run")?;
        let status = tokio::time::timeout(limit, child.wait())
            .await
            .with_context(|| format!("the {} has not ended after {limit:?}", self.kind))??;
        self.child = None;
        self.listen.send_replace(None);
        Ok(status)
    }
}

/// What a program has written, for the report of a failure.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    fn add(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LOG_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The last lines, oldest first.
    pub fn tail(&self, count: usize) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = lines.len().saturating_sub(count);
        lines.iter().skip(skipped).fold(String::new(), |text, line| text + line + "\n")
    }
}

async fn read(source: impl AsyncRead + Unpin, log: Log, listen: watch::Sender<Option<SocketAddr>>) {
    let mut lines = BufReader::new(source).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.contains(" started\"")
            && let Some(address) = address_in(&line)
        {
            listen.send_replace(Some(address));
        }
        log.add(line);
    }
}

/// The address in a line `{... "message":"api started","listen":"127.0.0.1:4711" ...}`, wherever the field stands.
fn address_in(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let address = line.get("listen").or_else(|| line.get("fields")?.get("listen"))?;
    address.as_str()?.parse().ok()
}
