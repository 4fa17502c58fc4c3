//! The measured Redis: a server of our own, and what it says about itself.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};
use redis::Commands;

use crate::arguments::Durability;
use crate::redis_server::RedisServer;

/// A fresh server with nothing else on it.
pub struct Server {
    server: RedisServer,
    connection: redis::Connection,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts one.
    pub fn start(durability: Durability) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let server = RedisServer::start(folder.path(), durability == Durability::Everysec)?;
        let mut connection = redis::Client::open(server.url())?.get_connection()?;
        let _: () =
            redis::cmd("CONFIG").arg("SET").arg("appendfsync").arg("everysec").query(&mut connection)?;
        Ok(Self { server, connection, _folder: folder })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.server.url()
    }

    fn info(&mut self, section: &str, field: &str) -> Result<f64> {
        let text: String = redis::cmd("INFO").arg(section).query(&mut self.connection)?;
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(value.with_context(|| format!("INFO {section} has no {field}"))?.trim().parse()?)
    }

    /// Name and version of the server program.
    pub fn version(&mut self) -> Result<String> {
        let text: String = redis::cmd("INFO").arg("server").query(&mut self.connection)?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let valkey = field("valkey_version:").map(|version| format!("Valkey {version}"));
        let redis = field("redis_version:").map(|version| format!("Redis {version}"));
        valkey.or(redis).context("the server does not tell its version")
    }

    /// Processor seconds used so far, of all its threads.
    pub fn cpu_s(&mut self) -> Result<f64> {
        Ok(self.info("cpu", "used_cpu_user")? + self.info("cpu", "used_cpu_sys")?)
    }

    /// Bytes in use.
    pub fn used_bytes(&mut self) -> Result<f64> {
        self.info("memory", "used_memory")
    }

    /// Forgets counts and the slow log, and logs commands over `slow_us`.
    pub fn reset(&mut self, slow_us: u64) -> Result<()> {
        let connection = &mut self.connection;
        let _: () = redis::cmd("CONFIG").arg("RESETSTAT").query(connection)?;
        let _: () =
            redis::cmd("CONFIG").arg("SET").arg("slowlog-log-slower-than").arg(slow_us).query(connection)?;
        Ok(redis::cmd("SLOWLOG").arg("RESET").query(connection)?)
    }

    /// Milliseconds of the longest script in the slow log; 0 when none was slow.
    pub fn longest_script_ms(&mut self) -> Result<f64> {
        let entries: Vec<Vec<redis::Value>> =
            redis::cmd("SLOWLOG").arg("GET").arg(-1).query(&mut self.connection)?;
        let mut longest = 0.0f64;
        for entry in entries {
            let micros: u64 =
                redis::from_redis_value_ref(entry.get(2).context("a slow entry has its time")?)?;
            let words: Vec<Vec<u8>> =
                redis::from_redis_value_ref(entry.get(3).context("a slow entry has its command")?)?;
            if words.first().is_some_and(|word| word.to_ascii_lowercase().starts_with(b"eval")) {
                longest = longest.max(micros as f64 / 1000.0);
            }
        }
        Ok(longest)
    }

    /// Members of a sorted set.
    pub fn members(&mut self, key: &str) -> Result<usize> {
        Ok(self.connection.zcard(key)?)
    }
}

/// The URLs of some servers, as the measured programs take them.
pub fn urls(servers: &[Server]) -> String {
    servers.iter().map(Server::url).collect::<Vec<_>>().join(",")
}

/// Counts commands as the server sees them. It slows the server down: only for counts, never beside a rate.
pub struct Monitor {
    stream: TcpStream,
    counting: JoinHandle<Counted>,
}

/// What a monitor saw.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted {
    /// Commands that clients sent.
    pub sent: usize,
    /// Commands that scripts ran.
    pub in_scripts: usize,
}

impl Monitor {
    /// Begins to count.
    pub fn start(url: &str) -> Result<Self> {
        let address = url.trim_start_matches("redis://").trim_end_matches("/0");
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"MONITOR\r\n")?;
        let mut lines = BufReader::new(stream.try_clone()?);
        let mut first = String::new();
        lines.read_line(&mut first)?;
        ensure!(first.starts_with("+OK"), "the server does not let itself be watched: {first}");
        let counting = std::thread::spawn(move || {
            let mut counted = Counted::default();
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                // +<time> [<database> <address or lua>] "<command>" ...
                let head = line.get(..line.len().min(64)).unwrap_or_default();
                if head.windows(5).any(|part| part == b" lua]") {
                    counted.in_scripts += 1;
                } else {
                    counted.sent += 1;
                }
                line.clear();
            }
            counted
        });
        Ok(Self { stream, counting })
    }

    /// Ends the count.
    pub fn stop(self) -> Result<Counted> {
        self.stream.shutdown(std::net::Shutdown::Both)?;
        self.counting.join().map_err(|_| anyhow::anyhow!("the counting thread panicked"))
    }
}
