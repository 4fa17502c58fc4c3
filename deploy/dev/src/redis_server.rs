//! A real Redis (or Valkey) server of our own: on a free port, in its own folder, stopped with us.

use std::io::{BufRead, BufReader, Read, Write};
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
    program: PathBuf,
    arguments: Vec<String>,
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

/// A server that can do everything: TLS, Cluster and Sentinel, as Debian builds it. `deploy/setup --tests` puts it into
/// `.dev/bin` where the machine has none.
pub fn find_full_program() -> Result<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let unpacked =
        unpacked.map(|folder| folder.join(".dev/bin/redis-server-full")).find(|path| path.is_file());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed =
        || std::env::split_paths(&path).map(|folder| folder.join("redis-server")).find(|path| path.is_file());
    unpacked.or_else(installed).context("no redis-server was found; run deploy/setup --tests")
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl RedisServer {
    /// Starts a server that keeps its files in `folder`. With an append-only file every write is on disk before it is
    /// answered: with `everysec` a crash while a flush is late loses what was answered meanwhile. Ready when it returns.
    pub fn start(folder: &Path, has_aof: bool) -> Result<Self> {
        let aof = if has_aof { "yes" } else { "no" };
        Self::start_with(find_program()?, folder, &["--appendonly", aof, "--appendfsync", "always"])
    }

    /// Starts a server with settings of its own.
    pub fn start_with(program: PathBuf, folder: &Path, more: &[&str]) -> Result<Self> {
        let port = free_port()?;
        let text = port.to_string();
        let common = ["--bind", "127.0.0.1", "--port", &text, "--save", "", "--protected-mode", "no"];
        let kept = ["--maxmemory-policy", "noeviction", "--loglevel", "warning", "--dir"];
        let folder_text = folder.to_str().context("the folder's name is no text")?;
        let arguments = common.iter().chain(more).chain(&kept).chain([&folder_text]);
        let arguments = arguments.map(|argument| (*argument).to_owned()).collect();
        let mut server = Self { child: None, port, folder: folder.to_owned(), program, arguments };
        server.start_again()?;
        Ok(server)
    }

    /// Starts a server that follows this one, with files beside it.
    pub fn start_replica(&self) -> Result<Self> {
        let master = format!("127.0.0.1 {}", self.port);
        let folder = self.folder.with_extension("replica");
        Self::start_with(
            self.program.clone(),
            &folder,
            &["--replicaof", &master, "--repl-diskless-sync-delay", "0"],
        )
    }

    /// Starts a sentinel: its settings are a file, into which it writes what it learns.
    pub fn start_sentinel(program: PathBuf, folder: &Path, settings: &str) -> Result<Self> {
        let port = free_port()?;
        std::fs::create_dir_all(folder)?;
        let file = folder.join("sentinel.conf");
        std::fs::write(&file, format!("bind 127.0.0.1\nport {port}\nprotected-mode no\n{settings}"))?;
        let arguments = vec![file.to_string_lossy().into_owned(), "--sentinel".to_owned()];
        let mut server = Self { child: None, port, folder: folder.to_owned(), program, arguments };
        server.start_again()?;
        Ok(server)
    }

    /// Starts it again on the same port and files, after [`RedisServer::kill`].
    pub fn start_again(&mut self) -> Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
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

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends a command and gives its answer's text: the line of a short answer, or the content of a long one. Lists are
    /// not read.
    pub fn ask(&self, command: &[&str]) -> std::io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(200))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut request = format!("*{}\r\n", command.len());
        for word in command {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(request.as_bytes())?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = line.strip_prefix('$').and_then(|length| length.trim().parse::<usize>().ok());
        let Some(length) = length else { return Ok(line.trim_end().to_owned()) };
        let mut content = vec![0; length];
        reader.read_exact(&mut content)?;
        Ok(String::from_utf8_lossy(&content).into_owned())
    }

    /// Whether it works; one that asks for a password does.
    fn answers(&self) -> bool {
        self.ask(&["PING"]).is_ok_and(|answer| answer == "+PONG" || answer.starts_with("-NOAUTH"))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
