//! Measured programs: who they are, what they use, and what their handlers wrote.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// One system under measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Ours; the handler ends the job in one write.
    Atelier,
    /// Ours; the handler stores the intent of a paid call first, as every real submit does.
    AtelierLedger,
    /// BullMQ's Rust port.
    BullMq,
    /// apalis-redis with its own storage.
    ApalisRedis,
    /// Celery with two processes and late acknowledgement.
    Celery,
}

impl System {
    /// For the reader, and for progress.
    pub fn name(self) -> &'static str {
        match self {
            Self::Atelier => "Atelier",
            Self::AtelierLedger => "Atelier with intent",
            Self::BullMq => "BullMQ Rust",
            Self::ApalisRedis => "apalis-redis",
            Self::Celery => "Celery",
        }
    }

    /// Whether it is Atelier in one of its forms.
    pub fn is_ours(self) -> bool {
        match self {
            Self::Atelier | Self::AtelierLedger => true,
            Self::BullMq | Self::ApalisRedis | Self::Celery => false,
        }
    }

    fn command(self) -> Result<Command> {
        match self {
            Self::Atelier => Ok(Command::new(std::env::current_exe()?)),
            Self::AtelierLedger => {
                let mut command = Command::new(std::env::current_exe()?);
                command.env("LOAD_LEDGER", "1");
                Ok(command)
            }
            Self::BullMq => Ok(Command::new(peers()?.join("bullmq"))),
            Self::ApalisRedis => Ok(Command::new(peers()?.join("apalis"))),
            Self::Celery => {
                let mut command = Command::new(celery()?);
                command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/celery/peer.py"));
                Ok(command)
            }
        }
    }
}

/// Builds the rivals once a run and gives the folder of their programs.
fn peers() -> Result<PathBuf> {
    static BUILT: std::sync::OnceLock<std::result::Result<PathBuf, String>> = std::sync::OnceLock::new();
    let build = || -> Result<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers");
        eprintln!("building the peers");
        let status = Command::new("cargo")
            .args(["build", "--release", "--locked", "--quiet", "--manifest-path"])
            .arg(folder.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .status()?;
        ensure!(status.success(), "the peers do not build");
        Ok(target.join("release"))
    };
    BUILT.get_or_init(|| build().map_err(|reason| format!("{reason:#}"))).clone().map_err(anyhow::Error::msg)
}

/// Installs Celery once into a folder of its own and gives the Python that has it.
fn celery() -> Result<PathBuf> {
    static INSTALLED: std::sync::OnceLock<std::result::Result<PathBuf, String>> = std::sync::OnceLock::new();
    let install = || -> Result<PathBuf> {
        let needs = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/celery/requirements.txt");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/celery");
        let python = folder.join("bin/python");
        if !folder.join("bin/celery").exists() {
            eprintln!("installing celery");
            let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).status()?;
            ensure!(made.success(), "python3 makes no virtual environment");
            let installed = Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--requirement"])
                .arg(&needs)
                .status()?;
            ensure!(installed.success(), "celery cannot be installed");
        }
        Ok(python)
    };
    INSTALLED
        .get_or_init(|| install().map_err(|reason| format!("{reason:#}")))
        .clone()
        .map_err(anyhow::Error::msg)
}

/// A running worker. Dropping it kills it.
pub struct Worker {
    child: Child,
}

impl Worker {
    /// Starts a worker; `more` are further arguments of ours.
    pub fn start(
        system: System,
        redis: &str,
        records: &Records,
        concurrency: usize,
        more: &[&str],
    ) -> Result<Self> {
        let child = system
            .command()?
            .arg("worker")
            .args(more)
            .env("LOAD_REDIS", redis)
            .env("LOAD_RECORDS", &records.path)
            .env("LOAD_CONCURRENCY", concurrency.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("{} does not start", system.name()))?;
        Ok(Self { child })
    }

    /// Processor seconds used so far, in steps of 10 ms.
    pub fn cpu_s(&self) -> Result<f64> {
        cpu_of(self.child.id())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor seconds of a process so far.
pub fn cpu_of(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = text.rsplit_once(')').context("stat names the program")?;
    let mut ticks = rest.split_whitespace().skip(11).map(str::parse::<f64>);
    let (user, system) = (ticks.next().context("utime")??, ticks.next().context("stime")??);
    Ok((user + system) / 100.0)
}

/// What a producer did.
pub struct Production {
    /// From its first call to its last answer.
    pub seconds: f64,
    /// Processor seconds of the whole program, its start included.
    pub cpu_s: f64,
}

/// Runs a producer to its end. `mode` is `single`, `concurrent`, `bulk` or `paced:RATE`, with
/// `+keys` or `+runway`.
pub fn produce(system: System, redis: &str, jobs: usize, mode: &str, delay: Duration) -> Result<Production> {
    produce_due(system, redis, jobs, mode, &delay.as_millis().to_string())
}

/// The same for `due` as the programs take it.
pub fn produce_due(system: System, redis: &str, jobs: usize, mode: &str, due: &str) -> Result<Production> {
    let before = cpu_of_children()?;
    let output = system
        .command()?
        .args(["produce", &jobs.to_string(), mode, due])
        .env("LOAD_REDIS", redis)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the producer of {} ended with {}", system.name(), output.status);
    let seconds = String::from_utf8(output.stdout)?.trim().parse()?;
    Ok(Production { seconds, cpu_s: cpu_of_children()? - before })
}

/// Processor seconds of all children that have ended.
fn cpu_of_children() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let (_, rest) = text.rsplit_once(')').context("stat names the program")?;
    let mut ticks = rest.split_whitespace().skip(13).map(str::parse::<f64>);
    let (user, system) = (ticks.next().context("cutime")??, ticks.next().context("cstime")??);
    Ok((user + system) / 100.0)
}

/// The file that handlers write 16 bytes into when they begin: their start and when they should have begun.
pub struct Records {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Records {
    /// An empty file of its own.
    pub fn create() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("records");
        std::fs::File::create(&path)?;
        Ok(Self { path, _folder: folder })
    }

    /// How many handlers have begun.
    pub fn count(&self) -> Result<usize> {
        Ok(usize::try_from(std::fs::metadata(&self.path)?.len())? / 16)
    }

    /// Waits until so many have begun; fails when nothing begins for a minute.
    pub fn wait_for(&self, count: usize) -> Result<()> {
        let mut seen = 0;
        let mut since = Instant::now();
        loop {
            let now = self.count()?;
            if now >= count {
                return Ok(());
            }
            if now != seen {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() > Duration::from_secs(60) {
                bail!("{now} of {count} jobs have begun, and no more for a minute");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Start and due time of each, in seconds, in the order of their starts.
    pub fn read(&self) -> Result<Vec<(f64, f64)>> {
        let bytes = std::fs::read(&self.path)?;
        let number = |bytes: &[u8]| Ok::<_, anyhow::Error>(f64::from_le_bytes(bytes.try_into()?));
        let mut records = Vec::with_capacity(bytes.len() / 16);
        for record in bytes.chunks_exact(16) {
            let (start, due) = record.split_at(8);
            records.push((number(start)?, number(due)?));
        }
        records.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(records)
    }

    /// Milliseconds from due time to start, of those that have a due time; the first `skip` left out.
    pub fn late_ms(&self, skip: usize) -> Result<Vec<f64>> {
        let dated = self.read()?.into_iter().filter(|(_, due)| *due > 0.0);
        Ok(dated.skip(skip).map(|(start, due)| (start - due) * 1000.0).collect())
    }

    /// Starts a second, from the first to the last.
    pub fn rate(&self) -> Result<f64> {
        let records = self.read()?;
        let (first, last) = (records.first().context("none began")?.0, records.last().context("none")?.0);
        Ok((records.len() - 1) as f64 / (last - first).max(1e-6))
    }
}
