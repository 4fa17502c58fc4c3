//! `GET /api/v1/media/costs`: what the jobs of the workspace have cost.

use atelier_domain::costs::{CostGroup, CostKey, Sums, group, usd_text};
use atelier_domain::operation::{Operation, Provider};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use crate::error::ApiError;
use crate::extract::{Caller, CostQuery};
use crate::state::ApiState;
use crate::wire;

#[derive(Debug, Serialize)]
struct Costs {
    from: String,
    to: String,
    group_by: Vec<&'static str>,
    rows: Vec<Row>,
    totals: Figures,
}

/// Only what was asked for tells rows apart; the other facts are not there.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<Provider>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<Operation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Debug, Serialize)]
struct Figures {
    jobs: i64,
    succeeded: i64,
    failed: i64,
    cancelled: i64,
    /// Jobs among them whose cost nobody knows.
    unpriced: i64,
    cost_usd: f64,
    /// The same without rounding.
    cost_usd_decimal: String,
}

pub(super) async fn show(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    CostQuery { from, to, by }: CostQuery,
) -> Result<Response, ApiError> {
    let costs = state.costs.costs(&workspace, from, to).await?;
    let totals = group(&costs, &[]).into_iter().next().map(|(_, sums)| sums).unwrap_or_default();
    let costs = Costs {
        from: from.to_string(),
        to: to.to_string(),
        group_by: by.iter().map(|key: &CostKey| key.as_str()).collect(),
        rows: group(&costs, &by).into_iter().map(row).collect(),
        totals: figures(totals),
    };
    Ok(Json(wire::one(costs)).into_response())
}

fn row((group, sums): (CostGroup, Sums)) -> Row {
    Row {
        day: group.day.map(|day| day.to_string()),
        provider: group.provider,
        operation: group.operation,
        model: group.model,
        figures: figures(sums),
    }
}

fn figures(sums: Sums) -> Figures {
    Figures {
        jobs: sums.jobs(),
        succeeded: sums.succeeded,
        failed: sums.failed,
        cancelled: sums.cancelled,
        unpriced: sums.unpriced,
        cost_usd: sums.micro_usd as f64 / 1_000_000.0,
        cost_usd_decimal: usd_text(sums.micro_usd),
    }
}
