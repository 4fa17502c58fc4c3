//! The `[worker]` section.

use std::net::{Ipv4Addr, SocketAddr};

use atelier_domain::operation::Step;
use serde::Deserialize;

/// How much one worker process does at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerSettings {
    /// Where `/healthz` and `/readyz` answer. `0.0.0.0:8081`.
    pub listen: SocketAddr,
    /// Threads that steps share. 1: a second one costs more than it gives, and more cores are for more processes.
    pub threads: usize,
    /// Paid calls at once. 32: a call mostly waits for its provider.
    pub submit: usize,
    /// Deliveries at once. 4: each may hold two parts of an upload, which bounds the process' memory.
    pub deliver: usize,
    /// Decisions about unknown outcomes, and cancels at providers, at once. 4: both are rare.
    pub other: usize,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8081));
        Self { listen, threads: 1, submit: 32, deliver: 4, other: 4 }
    }
}

impl WorkerSettings {
    /// How many of a step run at once.
    pub fn concurrency_of(&self, step: Step) -> usize {
        match step {
            Step::Submit => self.submit,
            Step::Deliver => self.deliver,
            Step::Check | Step::Reconcile | Step::Abandon => self.other,
        }
    }

    /// The settings that are 0, by name.
    pub fn zeros(&self) -> impl Iterator<Item = &'static str> {
        [("threads", self.threads), ("submit", self.submit), ("deliver", self.deliver), ("other", self.other)]
            .into_iter()
            .filter(|(_, value)| *value == 0)
            .map(|(name, _)| name)
    }
}
