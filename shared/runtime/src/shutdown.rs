//! An orderly end: one signal stops the taking of work and starts the grace, a second one ends the process at once.

use std::future::Future;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The work was not done when the grace was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work did not end within the grace of {} ms", grace.as_millis())]
pub struct GraceOver {
    /// How long there was.
    pub grace: Duration,
}

/// The end of the process, as all of its parts see it. Clones are the same end.
#[derive(Debug, Clone)]
pub struct Shutdown {
    token: CancellationToken,
    deadline: Arc<OnceLock<Instant>>,
    grace: Duration,
    _listener: Option<Arc<AbortOnDropHandle<()>>>,
}

impl Shutdown {
    /// Begins at SIGTERM or SIGINT. The second signal exits at once with 128 and the signal's number, as a shell would
    /// report it. Must be called within a Tokio runtime.
    pub fn listen(grace: Duration) -> io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut shutdown = Self::manual(grace);
        let listener = tokio::spawn(listen(shutdown.clone(), terminate, interrupt));
        shutdown._listener = Some(Arc::new(AbortOnDropHandle::new(listener)));
        Ok(shutdown)
    }

    /// Begins only at [`Self::begin`]: for tests, and for parts of a process that has its own signals.
    pub fn manual(grace: Duration) -> Self {
        Self { token: CancellationToken::new(), deadline: Arc::default(), grace, _listener: None }
    }

    /// Begins now, unless it has begun before.
    pub fn begin(&self) {
        self.deadline.get_or_init(|| Instant::now() + self.grace);
        self.token.cancel();
    }

    /// Cancelled when the process takes no more work.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Waits for the beginning of the end.
    pub async fn begun(&self) {
        self.token.cancelled().await;
    }

    /// What is left of the grace: all of it before the end has begun.
    pub fn time_left(&self) -> Duration {
        self.deadline.get().map_or(self.grace, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The result of `work`, which has all the time in the world until the end begins, and the grace from then on.
    pub async fn within_grace<F: Future>(&self, work: F) -> Result<F::Output, GraceOver> {
        tokio::select! {
            biased;
            output = work => Ok(output),
            () = self.grace_over() => Err(GraceOver { grace: self.grace }),
        }
    }

    async fn grace_over(&self) {
        self.begun().await;
        tokio::time::sleep(self.time_left()).await;
    }
}

async fn listen(shutdown: Shutdown, mut terminate: Signal, mut interrupt: Signal) {
    let first = either(&mut terminate, &mut interrupt).await;
    let grace_ms = u64::try_from(shutdown.grace.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(signal = first, grace_ms, "stopping");
    shutdown.begin();
    let second = either(&mut terminate, &mut interrupt).await;
    tracing::warn!(signal = second, "second signal, ending at once");
    std::process::exit(128 + second);
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> i32 {
    tokio::select! {
        _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
        _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
    }
}
