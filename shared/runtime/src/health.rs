//! `/healthz` and `/readyz` of a process without an API of its own.
//!
//! `/healthz` answers 200 as long as the process can answer at all: restarting it because Redis is away would help
//! nobody. `/readyz` asks the checks, all at once, and turns to 503 as soon as the process is told to stop, before
//! anything else changes, so that no new work is sent its way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atelier_domain::ports::BoxError;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

type Answer = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// What a process must have to be ready.
#[derive(Default)]
pub struct Health {
    checks: Vec<Check>,
    stopping: CancellationToken,
}

struct Check {
    name: &'static str,
    limit: Duration,
    ask: Box<dyn Fn() -> Answer + Send + Sync>,
}

#[derive(Debug, Serialize)]
struct Found {
    name: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    duration_ms: u64,
}

impl Health {
    /// Ready until `stopping` is cancelled.
    pub fn new(stopping: CancellationToken) -> Self {
        Self { checks: Vec::new(), stopping }
    }

    /// Also asks `ask`, which counts as failed after `limit`. Of its error only the outermost text is shown.
    #[must_use]
    pub fn check<F, A, E>(mut self, name: &'static str, limit: Duration, ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let ask = Box::new(move || -> Answer {
            let answer = ask();
            Box::pin(async move { answer.await.map_err(Into::into) })
        });
        self.checks.push(Check { name, limit, ask });
        self
    }

    /// The two routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(async || Json(json!({ "data": { "status": "alive" } }))))
            .route("/readyz", get(readyz))
            .with_state(Arc::new(self))
    }

    /// Answers on `listener` until `end` is cancelled. That is a later moment than the one given to [`Self::new`]: the
    /// 503 must still be heard.
    pub async fn serve(self, listener: TcpListener, end: CancellationToken) -> std::io::Result<()> {
        axum::serve(listener, self.router()).with_graceful_shutdown(end.cancelled_owned()).await
    }
}

impl Check {
    async fn run(&self) -> Found {
        let began = Instant::now();
        let (status, message) = match tokio::time::timeout(self.limit, (self.ask)()).await {
            Ok(Ok(())) => ("ok", None),
            Ok(Err(error)) => ("failed", Some(error.to_string())),
            Err(_) => ("failed", Some(format!("no answer within {} ms", self.limit.as_millis()))),
        };
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Found { name: self.name, status, message, duration_ms }
    }
}

async fn readyz(State(health): State<Arc<Health>>) -> Response {
    if health.stopping.is_cancelled() {
        return not_ready("the process is stopping", &[]);
    }
    let found = futures::future::join_all(health.checks.iter().map(Check::run)).await;
    let failed: Vec<_> =
        found.iter().filter(|found| found.message.is_some()).map(|found| found.name).collect();
    if failed.is_empty() {
        Json(json!({ "data": { "status": "ready", "checks": found } })).into_response()
    } else {
        not_ready(&format!("not available: {}", failed.join(", ")), &found)
    }
}

fn not_ready(message: &str, found: &[Found]) -> Response {
    let error = json!({ "code": "not_ready", "message": message, "details": { "checks": found } });
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": error }))).into_response()
}
