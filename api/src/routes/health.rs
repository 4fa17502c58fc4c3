//! For the cluster: whether the process lives, and whether it should get requests.

use std::future::Future;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use tracing::warn;

use crate::error::ApiError;
use crate::state::ApiState;

pub(super) async fn alive() -> Json<Value> {
    Json(json!({"data": {"status": "ok"}}))
}

/// 503 while the process starts or ends, or when a store does not answer; says which.
pub(super) async fn ready(State(state): State<ApiState>) -> Result<Json<Value>, ApiError> {
    if state.draining.is_cancelled() {
        return Err(ApiError::Unavailable {
            message: "the process is shutting down".to_owned(),
            details: None,
        });
    }
    // Until then whatever needs the time is refused.
    state.now()?;
    let limit = state.settings.ready_timeout();
    let (jobs, assets) = tokio::join!(
        ask("job_store", limit, state.jobs.ready()),
        ask("asset_store", limit, state.assets.ready())
    );
    let checks = json!({"job_store": word(jobs), "asset_store": word(assets)});
    let missing = match (jobs, assets) {
        (true, true) => return Ok(Json(json!({"data": {"status": "ready", "checks": checks}}))),
        (false, true) => "the job store (Redis) does not answer",
        (true, false) => "the asset store (S3) does not answer",
        (false, false) => "neither the job store (Redis) nor the asset store (S3) answers",
    };
    Err(ApiError::Unavailable { message: missing.to_owned(), details: Some(json!({"checks": checks})) })
}

async fn ask<E: std::error::Error>(
    store: &'static str,
    limit: Duration,
    question: impl Future<Output = Result<(), E>>,
) -> bool {
    match tokio::time::timeout(limit, question).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            warn!(store, error = %error, "not ready");
            false
        }
        Err(_) => {
            warn!(store, error = "no answer in time", "not ready");
            false
        }
    }
}

fn word(answers: bool) -> &'static str {
    if answers { "ok" } else { "unavailable" }
}
