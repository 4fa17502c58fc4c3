//! Figures for dashboards, in the form that published boards and clients read: sums over days, from the books.

use std::collections::BTreeMap;

use atelier_domain::Date;
use atelier_domain::costs::{CostKey, DayCost, Sums, day_of, day_with, group, number_of};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use crate::error::ApiError;
use crate::extract::{Caller, DaysQuery, SummaryQuery};
use crate::state::ApiState;
use crate::wire;

/// Nothing here counts tokens yet: media have none.
const NO_TOKENS: u64 = 0;

#[derive(Debug, Serialize)]
struct Summary {
    total_cost: f64,
    total_executions: i64,
    total_tokens: u64,
    daily_costs: Vec<DailyCost>,
}

#[derive(Debug, Serialize)]
struct DailyCost {
    date: String,
    cost: f64,
    executions: i64,
}

/// `GET /api/v1/costs/summary`: `from` and `to` are days.
pub(super) async fn summary(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    SummaryQuery { from, to }: SummaryQuery,
) -> Result<Response, ApiError> {
    let costs = state.costs.costs(&workspace, from, to).await?;
    let total = total(&costs);
    let daily_costs = by_day(&costs, from, to)
        .map(|(date, sums)| DailyCost { date, cost: usd(&sums), executions: sums.jobs() })
        .collect();
    Ok(Json(wire::one(Summary {
        total_cost: usd(&total),
        total_executions: total.jobs(),
        total_tokens: NO_TOKENS,
        daily_costs,
    }))
    .into_response())
}

#[derive(Debug, Serialize)]
struct Dashboard {
    overview: Overview,
    executions_by_day: Vec<Count>,
    cost_by_day: Vec<Cost>,
    error_rate: Vec<ErrorRate>,
    /// Agents are not served yet.
    agent_usage: Vec<AgentUsage>,
    model_usage: Vec<ModelUsage>,
    /// Outputs are not scored here.
    score_trends: Vec<ScoreTrend>,
    cache_by_day: Vec<CacheUse>,
}

#[derive(Debug, Serialize)]
struct Overview {
    total_executions: i64,
    total_cost: f64,
    total_tokens: u64,
    error_count: i64,
    /// Of the jobs that succeeded, from their first paid call to their end.
    avg_duration_ms: i64,
    total_agents: u64,
    cache_hit_rate: f64,
    cache_savings: f64,
    cached_tokens: u64,
}

#[derive(Debug, Serialize)]
struct Count {
    date: String,
    count: i64,
}

#[derive(Debug, Serialize)]
struct Cost {
    date: String,
    cost: f64,
}

#[derive(Debug, Serialize)]
struct ErrorRate {
    date: String,
    /// Of all that ended on the day, from 0 to 1.
    error_rate: f64,
    total: i64,
    errors: i64,
}

#[derive(Debug, Serialize)]
struct AgentUsage {
    agent_name: String,
    executions: i64,
    total_cost: f64,
}

#[derive(Debug, Serialize)]
struct ModelUsage {
    model_name: String,
    count: i64,
    total_cost: f64,
    total_tokens: u64,
}

#[derive(Debug, Serialize)]
struct ScoreTrend {
    date: String,
    name: String,
    average: f64,
    count: i64,
}

#[derive(Debug, Serialize)]
struct CacheUse {
    date: String,
    cache_hit_rate: f64,
    cached_tokens: u64,
    cache_creation_tokens: u64,
    prompt_tokens: u64,
}

/// `GET /api/v1/dashboard/metrics`: the last `days` days, today included.
pub(super) async fn dashboard(
    State(state): State<ApiState>,
    Caller(workspace): Caller,
    DaysQuery(days): DaysQuery,
) -> Result<Response, ApiError> {
    let to = day_of(state.now()?);
    let from = day_with(number_of(to) - i64::from(days) + 1).unwrap_or(to);
    let costs = state.costs.costs(&workspace, from, to).await?;
    Ok(Json(wire::one(drawn(&costs, from, to))).into_response())
}

fn drawn(costs: &[DayCost], from: Date, to: Date) -> Dashboard {
    let total = total(costs);
    let days: Vec<(String, Sums)> = by_day(costs, from, to).collect();
    let of_models = group(costs, &[CostKey::Model]).into_iter();
    Dashboard {
        overview: Overview {
            total_executions: total.jobs(),
            total_cost: usd(&total),
            total_tokens: NO_TOKENS,
            error_count: total.failed,
            avg_duration_ms: if total.succeeded > 0 { total.run_ms / total.succeeded } else { 0 },
            total_agents: 0,
            cache_hit_rate: 0.0,
            cache_savings: 0.0,
            cached_tokens: NO_TOKENS,
        },
        executions_by_day: days
            .iter()
            .map(|(date, sums)| Count { date: date.clone(), count: sums.jobs() })
            .collect(),
        cost_by_day: days.iter().map(|(date, sums)| Cost { date: date.clone(), cost: usd(sums) }).collect(),
        error_rate: days.iter().map(|(date, sums)| error_rate(date.clone(), sums)).collect(),
        agent_usage: Vec::new(),
        model_usage: of_models
            .map(|(model, sums)| ModelUsage {
                model_name: model.model.unwrap_or_default(),
                count: sums.jobs(),
                total_cost: usd(&sums),
                total_tokens: NO_TOKENS,
            })
            .collect(),
        score_trends: Vec::new(),
        cache_by_day: Vec::new(),
    }
}

fn error_rate(date: String, sums: &Sums) -> ErrorRate {
    let total = sums.jobs();
    let error_rate = if total > 0 { sums.failed as f64 / total as f64 } else { 0.0 };
    ErrorRate { date, error_rate, total, errors: sums.failed }
}

fn total(costs: &[DayCost]) -> Sums {
    group(costs, &[]).into_iter().next().map(|(_, sums)| sums).unwrap_or_default()
}

/// Every day, also one on which nothing ended: a board draws a line through them.
fn by_day(costs: &[DayCost], from: Date, to: Date) -> impl Iterator<Item = (String, Sums)> {
    let mut days: BTreeMap<Date, Sums> = BTreeMap::new();
    for (day, sums) in group(costs, &[CostKey::Day]) {
        if let Some(day) = day.day {
            days.insert(day, sums);
        }
    }
    (number_of(from)..=number_of(to))
        .filter_map(day_with)
        .map(move |day| (day.to_string(), days.get(&day).copied().unwrap_or_default()))
}

fn usd(sums: &Sums) -> f64 {
    sums.micro_usd as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use atelier_domain::operation::{Operation, Provider};

    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn every_day_is_drawn_and_rates_are_of_what_ended_on_it() {
        let cost = |on: &str, sums| DayCost {
            day: day(on),
            provider: Provider::Fal,
            operation: Operation::ImageGen,
            model: "m".to_owned(),
            sums,
        };
        let costs = [
            cost(
                "2026-11-23",
                Sums { succeeded: 3, failed: 1, micro_usd: 500_000, run_ms: 6_000, ..Sums::default() },
            ),
            cost("2026-11-25", Sums { succeeded: 1, run_ms: 2_000, ..Sums::default() }),
        ];
        let board = drawn(&costs, day("2026-11-23"), day("2026-11-25"));
        let counts: Vec<_> =
            board.executions_by_day.iter().map(|day| (day.date.as_str(), day.count)).collect();
        assert_eq!(counts, [("2026-11-23", 4), ("2026-11-24", 0), ("2026-11-25", 1)]);
        assert_eq!(board.error_rate[0].error_rate, 0.25);
        assert_eq!(board.error_rate[1].error_rate, 0.0);
        assert_eq!((board.overview.avg_duration_ms, board.overview.total_cost), (2_000, 0.5));
        assert_eq!((board.model_usage.len(), board.model_usage[0].count), (1, 5));
    }
}
