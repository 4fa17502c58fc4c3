//! The JSON of answers. Names are fixed: other services and the published clients depend on them.

mod assets;
pub(crate) mod event;
pub(crate) mod timeline;

use atelier_domain::Timestamp;
use atelier_domain::error::{ErrorCode, JobError};
use atelier_domain::ids::{AssetId, JobId, WorkspaceId};
use atelier_domain::job::Job;
use atelier_domain::ledger::PaidCall;
use atelier_domain::money::{Cost, CostSource, MicroUsd};
use atelier_domain::operation::{Operation, Priority, Provider};
use atelier_domain::ports::ListPlace;
use atelier_domain::state::State;
use serde::Serialize;
use serde_json::{Map, Value};

use assets::AssetView;
pub(crate) use assets::{asset, assets};

/// The envelope of one thing.
#[derive(Debug, Serialize)]
pub(crate) struct One<T> {
    data: T,
}

/// The envelope of a page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct Many<T> {
    data: Vec<T>,
    meta: Meta,
}

/// The envelope of a part of a list that goes by cursors.
#[derive(Debug, Serialize)]
pub(crate) struct Listed<T> {
    data: Vec<T>,
    meta: ListMeta,
}

/// A job. Every key is always there; what is not known is null.
#[derive(Debug, Serialize)]
pub(crate) struct JobView<'a> {
    id: &'a JobId,
    workspace_id: &'a WorkspaceId,
    status: State,
    operation: Operation,
    provider: Provider,
    model: &'a str,
    prompt: Option<&'a str>,
    config: &'a Map<String, Value>,
    metadata: &'a Map<String, Value>,
    priority: Priority,
    attempts: u16,
    /// Each paid call and what became of it, oldest first.
    paid_calls: Vec<PaidCall>,
    checks: u16,
    progress: Option<f64>,
    provider_job_id: Option<&'a str>,
    provider_status: Option<&'a str>,
    asset_ids: Vec<&'a AssetId>,
    assets: Vec<AssetView<'a>>,
    text: Option<&'a str>,
    /// What the caller should know although the job was admitted.
    warnings: &'a [String],
    cost: CostView,
    /// Why it failed; in a job that has not ended, the last passing fault.
    error: Option<ErrorView<'a>>,
    trace_id: String,
    credential_id: Option<&'a str>,
    /// The dead letter that this job does again.
    replay_of: Option<&'a JobId>,
    /// Agents and workflows are not served yet.
    execution_id: Option<&'a str>,
    created_at: String,
    started_at: Option<String>,
    completed_at: Option<String>,
    next_check_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct CostView {
    estimated_usd: f64,
    actual_usd: Option<f64>,
    source: CostSource,
}

#[derive(Debug, Serialize)]
struct ErrorView<'a> {
    code: ErrorCode,
    message: &'a str,
    retryable: bool,
    provider_status: Option<&'a str>,
}

/// Facts of a page. The clients read `pages` or `total_pages`, by their age.
#[derive(Debug, PartialEq, Serialize)]
struct Meta {
    total: u64,
    page: u32,
    limit: u32,
    pages: u64,
    total_pages: u64,
}

/// Facts of a part of a list. How many there are in all is known only where pages are counted.
#[derive(Debug, Serialize)]
struct ListMeta {
    total: Option<u64>,
    page: Option<u32>,
    limit: u32,
    pages: Option<u64>,
    total_pages: Option<u64>,
    /// Where the list goes on; null at its end.
    next_cursor: Option<String>,
}

/// Puts one thing into its envelope.
pub(crate) fn one<T>(data: T) -> One<T> {
    One { data }
}

/// Puts a page into its envelope.
pub(crate) fn many<T>(data: Vec<T>, total: u64, page: u32, limit: u32) -> Many<T> {
    Many { data, meta: meta(total, page, limit) }
}

/// Puts a page that can also be gone on from by its cursor into its envelope.
pub(crate) fn page<T>(data: Vec<T>, total: u64, page: u32, limit: u32, next: Option<ListPlace>) -> Listed<T> {
    let Meta { total, page, limit, pages, total_pages } = meta(total, page, limit);
    let meta = ListMeta {
        total: Some(total),
        page: Some(page),
        limit,
        pages: Some(pages),
        total_pages: Some(total_pages),
        next_cursor: next.map(|place| place.to_string()),
    };
    Listed { data, meta }
}

/// Puts what was found from a cursor on into its envelope.
pub(crate) fn walked<T>(data: Vec<T>, limit: u32, next: Option<ListPlace>) -> Listed<T> {
    let next_cursor = next.map(|place| place.to_string());
    let meta = ListMeta { total: None, page: None, limit, pages: None, total_pages: None, next_cursor };
    Listed { data, meta }
}

/// The wire form of a job.
pub(crate) fn job(job: &Job) -> JobView<'_> {
    let body = &job.body;
    let spec = &body.spec;
    let prompt = spec.prompt.as_deref();
    JobView {
        id: &job.id,
        workspace_id: &body.workspace_id,
        status: job.state,
        operation: spec.operation,
        provider: spec.provider,
        model: &spec.model,
        prompt,
        config: &spec.config,
        metadata: &spec.metadata,
        priority: spec.priority,
        attempts: body.attempts,
        paid_calls: job.paid_calls(),
        checks: job.checks,
        progress: job.progress_percent.map(|percent| f64::from(percent.min(100)) / 100.0),
        provider_job_id: body.remote.as_ref().map(|remote| remote.id.as_str()),
        provider_status: body.provider_status.as_deref(),
        asset_ids: body.assets.iter().map(|asset| &asset.id).collect(),
        assets: body.assets.iter().map(|item| asset(item, prompt)).collect(),
        text: body.text.as_deref(),
        warnings: &body.warnings,
        cost: cost(&body.cost),
        error: body.error.as_ref().map(error),
        trace_id: body.trace.trace_id(),
        credential_id: spec.credential_id.as_deref(),
        replay_of: body.replay_of.as_ref(),
        execution_id: None,
        created_at: time(body.created_at),
        started_at: body.started_at.map(time),
        completed_at: body.completed_at.map(time),
        next_check_at: job.due_at.filter(|_| job.state == State::Awaiting).map(time),
    }
}

/// RFC 3339 to the millisecond: some clients cannot read nine digits.
pub(crate) fn time(time: Timestamp) -> String {
    format!("{time:.3}")
}

fn meta(total: u64, page: u32, limit: u32) -> Meta {
    let pages = total.div_ceil(u64::from(limit.max(1)));
    Meta { total, page, limit, pages, total_pages: pages }
}

fn cost(cost: &Cost) -> CostView {
    CostView {
        estimated_usd: cost.estimated.as_usd(),
        actual_usd: cost.actual.map(MicroUsd::as_usd),
        source: cost.source,
    }
}

fn error(error: &JobError) -> ErrorView<'_> {
    ErrorView {
        code: error.code,
        message: &error.message,
        retryable: error.code.is_retryable(),
        provider_status: error.provider_status.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_begun_page_counts() {
        assert_eq!((meta(0, 1, 20).pages, meta(20, 1, 20).pages, meta(21, 1, 20).total_pages), (0, 1, 2));
    }

    #[test]
    fn times_have_three_digits_of_a_second() {
        assert_eq!(time("2026-11-22T10:00:00.123456789Z".parse().unwrap()), "2026-11-22T10:00:00.123Z");
        assert_eq!(time("2026-11-22T10:00:00Z".parse().unwrap()), "2026-11-22T10:00:00.000Z");
    }
}
