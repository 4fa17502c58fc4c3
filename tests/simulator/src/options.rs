//! How a simulator is started: where it listens and how long its work takes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::journal::Provider;

/// Settings of one simulator.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 asks the system for a free one.
    pub listen: SocketAddr,
    /// How long the simulated work takes.
    pub timing: Timing,
    /// Seed of the ids (task, request) that the simulator hands out. The default is taken from the clock, so that
    /// a simulator that is started again does not hand out the ids of its predecessor. Media never depends on it.
    pub seed: u64,
    /// Accept `http://` URLs on loopback hosts where Runway and Luma (images) and ElevenLabs (recordings) ask for https.
    /// Off by default.
    pub allow_loopback_http_images: bool,
    /// How many journal entries are kept; older ones are dropped first. Default 1,000,000.
    pub journal_limit: usize,
    /// How many tasks are kept; the oldest are forgotten first and then answer 404. Default 200,000.
    pub task_limit: usize,
    /// A second address where everything is served over TLS. Default none.
    pub tls: Option<TlsOptions>,
}

/// How the simulator is served over TLS, with a certificate that it makes and signs itself when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// Where to listen; port 0 asks the system for a free one.
    pub listen: SocketAddr,
    /// Where to write the certificate as PEM, for clients to trust.
    pub certificate: Option<PathBuf>,
    /// Names in the certificate besides `localhost`, `127.0.0.1` and `::1`.
    pub names: Vec<String>,
    /// The provider that answers paths without a provider's prefix, for clients that know a host and no path.
    pub provider: Option<Provider>,
}

impl Default for TlsOptions {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { listen, certificate: None, names: Vec::new(), provider: None }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            timing: Timing::default(),
            seed: clock_seed(),
            allow_loopback_http_images: false,
            journal_limit: 1_000_000,
            task_limit: 200_000,
            tls: None,
        }
    }
}

/// How long the simulated work of each kind of media takes, from the accepted request to the finished result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// An image at Fal; default 300 ms.
    pub image: Duration,
    /// A video at Fal or Runway; default 2 s.
    pub video: Duration,
    /// A spoken text or a transcript at ElevenLabs or Deepgram, before the answer begins; default 100 ms.
    pub speech: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            image: Duration::from_millis(300),
            video: Duration::from_secs(2),
            speech: Duration::from_millis(100),
        }
    }
}

/// Reads `250ms`, `2s`, `1.5s`, `3m`; a bare number is seconds. `None` when it is none of these.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit_seconds) = if let Some(number) = text.strip_suffix("ms") {
        (number, 0.001)
    } else if let Some(number) = text.strip_suffix('s') {
        (number, 1.0)
    } else if let Some(number) = text.strip_suffix('m') {
        (number, 60.0)
    } else {
        (text, 1.0)
    };
    let value: f64 = number.trim().parse().ok()?;
    Duration::try_from_secs_f64(value * unit_seconds).ok()
}

fn clock_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The low 64 bits of the nanoseconds since 1970 differ between any two starts.
    u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("2s"), Some(Duration::from_secs(2)));
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("3m"), Some(Duration::from_secs(180)));
        assert_eq!(parse_duration("4"), Some(Duration::from_secs(4)));
        assert_eq!(parse_duration("soon"), None);
        assert_eq!(parse_duration("-1s"), None);
    }
}
