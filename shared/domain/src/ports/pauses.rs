//! Pauses, kept where all workers see them.

use async_trait::async_trait;

use super::StoreUnavailable;
use crate::pause::{Pause, PauseScope};

/// A pause and how many jobs it has held back so far; some of them may have ended meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The pause.
    pub pause: Pause,
    /// How many jobs.
    pub jobs: u64,
}

/// Holds jobs back and lets them go.
#[async_trait]
pub trait Pauses: Send + Sync {
    /// From now on no job of the scope is begun; the facts replace those of an earlier pause of the same scope. On an
    /// error it may hold in parts: say it again.
    async fn pause(&self, pause: &Pause) -> Result<(), StoreUnavailable>;
    /// Ends the pause and queues what it has held; how many those were, or `None` when there was no such pause. On an
    /// error some may be held still: say it again.
    async fn resume(&self, scope: &PauseScope) -> Result<Option<u64>, StoreUnavailable>;
    /// All pauses, of all workspaces, in the order of their scopes.
    async fn pauses(&self) -> Result<Vec<Held>, StoreUnavailable>;
}
