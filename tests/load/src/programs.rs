//! The real programs: api, worker, poller and simulator as processes of their own, from the folder of this one.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::http;
use crate::process::cpu_of;
use crate::redis_server::free_port;

/// Longest wait for a program to answer after its start.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running program. Dropping it kills it.
pub struct Program {
    child: Child,
    /// Where it answers.
    pub address: SocketAddr,
    _folder: Option<tempfile::TempDir>,
}

fn built(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(
        path.is_file(),
        "{} is missing: build it first, `cargo build --workspace --bins` with the profile of this program",
        path.display()
    );
    Ok(path)
}

impl Program {
    /// Starts the api, the worker or the poller. `settings` is TOML without the address to listen on. It is alive when
    /// this returns.
    pub fn start(kind: &str, settings: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address: SocketAddr = format!("127.0.0.1:{}", free_port()?).parse()?;
        let section = format!("[{kind}]\n");
        let with_listen = format!("{section}listen = \"{address}\"\n");
        let text = match settings.contains(&section) {
            true => settings.replacen(&section, &with_listen, 1),
            false => format!("{settings}\n{with_listen}"),
        };
        let file = folder.path().join("settings.toml");
        std::fs::write(&file, text)?;
        let child = Command::new(built(&format!("atelier-{kind}"))?)
            .arg("--config")
            .arg(&file)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let mut program = Self { child, address, _folder: Some(folder) };
        program.wait_until(kind, |address| {
            http::get(address, "/healthz").is_ok_and(|(status, _)| status == 200)
        })?;
        Ok(program)
    }

    /// Starts the simulator of the providers; videos take `video`.
    pub fn simulator(video: &str) -> Result<Self> {
        let mut command = Command::new(built("atelier-simulator")?);
        command.args(["--listen", "127.0.0.1:0", "--video", video]);
        Self::announced(command)
    }

    /// Starts another role of this program.
    pub fn own(role: &str, more: &[&str], redis: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(role).args(more).env("LOAD_REDIS", redis);
        Self::announced(command)
    }

    /// Starts a program that tells its address in its first line.
    fn announced(mut command: Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        let found = line.split_whitespace().find_map(|word| word.trim_start_matches("http://").parse().ok());
        let Some(address) = found else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("the program told no address: {line}");
        };
        // It says no more; a pipe that nobody reads would stop it all the same.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Ok(Self { child, address, _folder: None })
    }

    fn wait_until(&mut self, kind: &str, is_so: impl Fn(SocketAddr) -> bool) -> Result<()> {
        let since = Instant::now();
        while !is_so(self.address) {
            if let Some(status) = self.child.try_wait()? {
                bail!("the {kind} ended with {status}");
            }
            ensure!(since.elapsed() < START_LIMIT, "the {kind} does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits until it says that it can work.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        self.wait_until("program", |address| {
            http::get(address, "/readyz").is_ok_and(|(status, _)| status == 200)
        })
    }

    /// Processor seconds used so far, in steps of 10 ms.
    pub fn cpu_s(&self) -> Result<f64> {
        cpu_of(self.child.id())
    }

    /// Bytes of a line of its status: `VmRSS` now, `VmHWM` the most since [`Self::forget_peak`].
    pub fn memory(&self, line: &str) -> Result<f64> {
        let text = std::fs::read_to_string(self.proc("status"))?;
        let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
        let kilobytes: f64 = value.context("no such line")?.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024.0)
    }

    /// Lets the most that it ever had in memory count from now.
    pub fn forget_peak(&self) -> Result<()> {
        Ok(std::fs::write(self.proc("clear_refs"), "5")?)
    }

    fn proc(&self, file: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(file)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
