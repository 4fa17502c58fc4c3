//! The poller: asks providers how far waiting jobs are, and keeps the clock that promotes due steps. It never touches
//! media bytes.

mod check;
pub mod program;
pub mod settings;

use std::sync::Arc;

use atelier_domain::policy::Policy;
use atelier_domain::ports::{Credentials, Providers, Telemetry};

/// What checks need. One for a process.
pub struct Poller {
    /// What to do next.
    pub policy: Arc<Policy>,
    /// Who is asked.
    pub providers: Arc<dyn Providers>,
    /// With which keys.
    pub credentials: Arc<dyn Credentials>,
    /// Where spans go.
    pub telemetry: Arc<dyn Telemetry>,
}
