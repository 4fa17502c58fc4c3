//! What the peers share: their arguments, the 300-byte body, the clock and the record file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// A variable that `atelier-load` sets for each of its programs.
pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; atelier-load starts this program"))
}

/// Where each handler writes when it began and when it should have: two little-endian doubles.
pub struct Records(File);

impl Records {
    pub fn open() -> Self {
        let file = OpenOptions::new().append(true).create(true).open(setting("LOAD_RECORDS"));
        Self(file.expect("the record file opens"))
    }

    pub fn write(&self, due: f64) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&now().to_le_bytes());
        bytes[8..].copy_from_slice(&due.to_le_bytes());
        (&self.0).write_all(&bytes).expect("the record file takes a record");
    }
}

/// A request of 300 bytes.
pub fn payload() -> serde_json::Value {
    let mut body = serde_json::json!({
        "provider": "fal", "model": "fal-ai/flux/dev", "operation": "image_gen", "workspace": "tenant-0001",
        "config": {"width": 1024, "height": 1024, "steps": 28}, "prompt": ""
    });
    let missing = 300 - body.to_string().len();
    body["prompt"] = "x".repeat(missing).into();
    body
}

/// What a producer is asked for.
pub struct Production {
    pub jobs: usize,
    pub mode: Mode,
    pub delay: Duration,
}

/// How a producer sends.
#[derive(Clone, Copy)]
pub enum Mode {
    /// One after the other.
    Single,
    /// 64 in flight.
    Concurrent,
    /// 500 a call.
    Bulk,
    /// So many a second, each stamped.
    Paced(f64),
}

/// Reads `produce JOBS MODE DELAY_MS`.
pub fn production(arguments: &[String]) -> Production {
    let mode = match arguments[2].as_str() {
        "single" => Mode::Single,
        "concurrent" => Mode::Concurrent,
        "bulk" => Mode::Bulk,
        paced => Mode::Paced(paced.trim_start_matches("paced:").parse().expect("paced:RATE")),
    };
    Production {
        jobs: arguments[1].parse().expect("a number of jobs"),
        mode,
        delay: Duration::from_millis(arguments[3].parse().expect("a delay in ms")),
    }
}

/// Sleeps to the next of some instants that are between half and one and a half of the mean apart.
pub struct Pace {
    next: tokio::time::Instant,
    rate: f64,
}

impl Pace {
    pub fn new(rate: f64) -> Self {
        Self { next: tokio::time::Instant::now(), rate }
    }

    pub async fn wait(&mut self) {
        self.next += Duration::from_secs_f64((0.5 + rand::random::<f64>()) / self.rate);
        tokio::time::sleep_until(self.next).await;
    }
}
