//! The `[poller]` section.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;

/// How much one poller process does at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PollerSettings {
    /// Where `/healthz` and `/readyz` answer. `0.0.0.0:8082`.
    pub listen: SocketAddr,
    /// Threads that checks share. 1: a second one costs more than it gives, and more cores are for more processes.
    pub threads: usize,
    /// Status checks at once. 256: each is one short request, and the batch size is the throughput.
    pub checks: usize,
}

impl Default for PollerSettings {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8082)), threads: 1, checks: 256 }
    }
}
