//! The poller: asks providers how far waiting jobs are, and keeps the clock that promotes due steps. It fetches no media;
//! a result that stands in the answer itself goes into the spool.

mod check;
pub mod program;
pub mod settings;

use std::sync::Arc;

use atelier_domain::policy::Policy;
use atelier_domain::ports::{Credentials, Providers, Spool, Telemetry, TimeSource};

/// What checks need. One for a process.
pub struct Poller {
    /// What to do next.
    pub policy: Arc<Policy>,
    /// Who is asked.
    pub providers: Arc<dyn Providers>,
    /// With which keys.
    pub credentials: Arc<dyn Credentials>,
    /// Where a result goes that came with the answer.
    pub spool: Arc<dyn Spool>,
    /// When it is.
    pub time: Arc<dyn TimeSource>,
    /// Where spans go.
    pub telemetry: Arc<dyn Telemetry>,
}
