//! A real Redis (or Valkey) server of our own: on a free port, in its own folder, stopped with us.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Longest wait for a server to answer after its start.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A running server. Dropping it kills it.
pub struct RedisServer {
    child: Option<Child>,
    port: u16,
    folder: PathBuf,
    has_aof: bool,
}

/// Where the server program is: `$ATELIER_REDIS_SERVER`, then `redis-server` or `valkey-server` on the PATH, then what
/// `deploy/setup` has put into `.dev/bin`.
pub fn find_program() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("ATELIER_REDIS_SERVER") {
        return Ok(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join(".dev/bin")));
    folders
        .iter()
        .flat_map(|folder| ["redis-server", "valkey-server"].map(|name| folder.join(name)))
        .find(|program| program.is_file())
        .context("no redis-server or valkey-server was found; run deploy/setup, or set ATELIER_REDIS_SERVER")
}

impl RedisServer {
    /// Starts a server that keeps its files in `folder`. With an append-only file every write is on disk before it is
    /// answered: with `everysec` a crash while a flush is late loses what was answered meanwhile. Ready when it returns.
    pub fn start(folder: &Path, has_aof: bool) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut server = Self { child: None, port, folder: folder.to_owned(), has_aof };
        server.start_again()?;
        Ok(server)
    }

    /// Starts it again on the same port and files, after [`RedisServer::kill`].
    pub fn start_again(&mut self) -> Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let child = Command::new(find_program()?)
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &self.port.to_string(),
                "--save",
                "",
                "--protected-mode",
                "no",
            ])
            .args(["--appendonly", if self.has_aof { "yes" } else { "no" }, "--appendfsync", "always"])
            .args(["--maxmemory-policy", "noeviction", "--loglevel", "warning"])
            .arg("--dir")
            .arg(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("the redis server does not start")?;
        self.child = Some(child);
        let since = Instant::now();
        while !self.answers() {
            if since.elapsed() > START_LIMIT {
                bail!("the redis server on port {} does not answer", self.port);
            }
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                bail!("the redis server ended with {status}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Kills it at once (SIGKILL), as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    fn answers(&self) -> bool {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(200))?;
            stream.set_read_timeout(Some(Duration::from_millis(500)))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0u8; 5];
            stream.read_exact(&mut answer)?;
            Ok(&answer == b"+PONG")
        };
        ask().unwrap_or(false)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
